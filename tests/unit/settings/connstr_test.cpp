// Lines of [databases], [users] and [peers] (compat/config_file.md, sections 2 to 4).
#include "settings/connstr.hpp"

#include "support.hpp"

namespace pgweir::settings {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::Pair;

std::string pairs_error(const std::string& line) {
  auto pairs = parse_pairs(line);
  return pairs ? "none" : pairs.error().message;
}

TEST(Pairs, BlanksAndQuotes) {
  EXPECT_THAT(*parse_pairs(""), IsEmpty());
  EXPECT_THAT(*parse_pairs("   "), IsEmpty());
  EXPECT_THAT(*parse_pairs("a=1 b = 2  c='x y' d='it''s' e=a'b\tf=5"),
              ElementsAre(Pair("a", "1"), Pair("b", "2"), Pair("c", "x y"), Pair("d", "it's"), Pair("e", "a'b"),
                          Pair("f", "5")));
  EXPECT_THAT(*parse_pairs("a=b=c"), ElementsAre(Pair("a", "b=c")));
  EXPECT_THAT(*parse_pairs("a='''' b=''' '"), ElementsAre(Pair("a", "'"), Pair("b", "' ")));
}

TEST(Pairs, Errors) {
  EXPECT_THAT(pairs_error("host"), HasSubstr("expected key=value at column 1"));
  EXPECT_THAT(pairs_error("a=1 =2"), HasSubstr("column 5"));
  EXPECT_THAT(pairs_error("a="), HasSubstr("empty value for a"));
  EXPECT_THAT(pairs_error("password=''"), HasSubstr("empty value for password"));
  EXPECT_THAT(pairs_error("a='x"), HasSubstr("closing quote"));
  EXPECT_THAT(pairs_error("a='x'b=1"), HasSubstr("a blank must follow"));
  EXPECT_THAT(pairs_error("host= port=5"), HasSubstr("empty value for host"));
  EXPECT_EQ(pairs_error("password= a=b"), "none");  // a password may look like that
}

TEST(Pairs, ErrorsNeverRepeatValues) {
  EXPECT_THAT(pairs_error("password=my planted"), Not(HasSubstr("planted")));
  EXPECT_THAT(pairs_error("password='planted"), Not(HasSubstr("planted")));
}

Database database(const std::string& line, const std::string& name = "db") {
  auto entry = parse_database(name, line);
  EXPECT_TRUE(entry.ok()) << (entry.ok() ? "" : entry.error().message);
  return entry ? entry.take() : Database();
}

std::string database_error(const std::string& line) {
  auto entry = parse_database("db", line);
  return entry ? "none" : entry.error().message;
}

TEST(DatabaseLine, EmptyIsTheUnixSocket) {
  Database d = database("");
  EXPECT_THAT(d.hosts, IsEmpty());
  EXPECT_EQ(d.port, 5432);
  EXPECT_EQ(d.dbname, "db");
  EXPECT_FALSE(d.user || d.password || d.pool_size || d.pool_mode);
  EXPECT_EQ(database("", "*").dbname, "");
}

TEST(DatabaseLine, EveryKey) {
  Database d = database(
      "host=a,b port=5433 dbname=x user=u password='p w' auth_user=au auth_query='select $1' auth_dbname=ad "
      "pool_size=5 min_pool_size=2 reserve_pool_size=3 connect_query='set x=1; set y=2' pool_mode=Transaction "
      "load_balance_hosts=disable max_db_connections=7 max_db_client_connections=8 server_lifetime=60 "
      "client_encoding=UTF8 datestyle='ISO, DMY' timezone=UTC application_name=app query_wait_timeout=0");
  EXPECT_THAT(d.hosts, ElementsAre("a", "b"));
  EXPECT_EQ(d.host_text, "a,b");
  EXPECT_EQ(d.port, 5433);
  EXPECT_EQ(d.dbname, "x");
  EXPECT_EQ(d.user, "u");
  EXPECT_EQ(d.password->text(), "p w");
  EXPECT_EQ(d.auth_user, "au");
  EXPECT_EQ(d.auth_query, "select $1");
  EXPECT_EQ(d.auth_dbname, "ad");
  EXPECT_EQ(d.pool_size, 5);
  EXPECT_EQ(d.min_pool_size, 2);
  EXPECT_EQ(d.reserve_pool_size, 3);
  EXPECT_EQ(d.connect_query, "set x=1; set y=2");
  EXPECT_EQ(d.pool_mode, PoolMode::kTransaction);
  EXPECT_EQ(d.load_balance_hosts, LoadBalance::kDisable);
  EXPECT_EQ(d.max_db_connections, 7);
  EXPECT_EQ(d.max_db_client_connections, 8);
  EXPECT_EQ(d.server_lifetime, 60 * kSecond);
  EXPECT_EQ(d.client_encoding, "UTF8");
  EXPECT_EQ(d.datestyle, "ISO, DMY");
  EXPECT_EQ(d.timezone, "UTC");
  EXPECT_EQ(d.application_name, "app");
  EXPECT_EQ(d.query_wait_timeout, 0);
}

TEST(DatabaseLine, Aliases) {
  EXPECT_EQ(database("reserve_pool=4").reserve_pool_size, 4);
}

TEST(DatabaseLine, LastValueWinsAndNegativeInherits) {
  EXPECT_EQ(database("port=1 port=2").port, 2);
  EXPECT_EQ(database("pool_size=5 pool_size=-1").pool_size, std::nullopt);
  EXPECT_EQ(database("pool_size=0").pool_size, 0);
  EXPECT_EQ(database("query_wait_timeout=-1").query_wait_timeout, std::nullopt);
}

TEST(DatabaseLine, Hosts) {
  EXPECT_THAT(database("host=/run/postgresql,@abstract,10.0.0.1,::1,db.example.net").hosts,
              ElementsAre("/run/postgresql", "@abstract", "10.0.0.1", "::1", "db.example.net"));
  EXPECT_THAT(database_error("host=,"), HasSubstr("names no host"));
  EXPECT_THAT(database_error("host=db:5433"), HasSubstr("no IPv6 address"));
  EXPECT_THAT(database_error("host='a b'"), HasSubstr("neither an address nor a host name"));
}

TEST(DatabaseLine, Errors) {
  EXPECT_THAT(database_error("port=0"), HasSubstr("port must be between 1 and 65535"));
  EXPECT_THAT(database_error("port=x"), HasSubstr("port must be"));
  EXPECT_THAT(database_error("pool_size=many"), HasSubstr("pool_size must be a whole number"));
  EXPECT_THAT(database_error("pool_size=2147483648"), HasSubstr("pool_size must be"));
  EXPECT_THAT(database_error("pool_mode=often"), HasSubstr("session, transaction, statement"));
  EXPECT_THAT(database_error("load_balance_hosts=yes"), HasSubstr("round-robin, disable"));
  EXPECT_THAT(database_error("pool_sise=1"),
              HasSubstr("unrecognized connection parameter: pool_sise, did you mean pool_size?"));
  EXPECT_THAT(database_error("Host=x"), HasSubstr("unrecognized connection parameter: Host"));
  EXPECT_THAT(database_error("max_user_connections=1"), HasSubstr("unrecognized"));
}

TEST(UserLine, EveryKey) {
  auto user = parse_user("u",
                         "pool_size=1 reserve_pool_size=2 pool_mode=session max_user_connections=3 "
                         "max_user_client_connections=4 query_timeout=5 idle_transaction_timeout=6 "
                         "transaction_timeout=7min client_idle_timeout=8 query_wait_timeout=9 "
                         "log_slow_queries=300ms log_slow_transactions=0");
  ASSERT_TRUE(user.ok());
  EXPECT_EQ(user->pool_size, 1);
  EXPECT_EQ(user->reserve_pool_size, 2);
  EXPECT_EQ(user->pool_mode, PoolMode::kSession);
  EXPECT_EQ(user->max_user_connections, 3);
  EXPECT_EQ(user->max_user_client_connections, 4);
  EXPECT_EQ(user->query_timeout, 5 * kSecond);
  EXPECT_EQ(user->idle_transaction_timeout, 6 * kSecond);
  EXPECT_EQ(user->transaction_timeout, 420 * kSecond);
  EXPECT_EQ(user->client_idle_timeout, 8 * kSecond);
  EXPECT_EQ(user->query_wait_timeout, 9 * kSecond);
  EXPECT_EQ(user->log_slow_queries, 300 * kMillisecond);
  EXPECT_EQ(user->log_slow_transactions, 0) << "none for this one, whatever the global value";
  EXPECT_FALSE(parse_user("u", "host=x").ok());
}

TEST(PeerLine, IdsHostsPorts) {
  auto peer = parse_peer("7", "host=/run/a");
  ASSERT_TRUE(peer.ok());
  EXPECT_EQ(peer->id, 7);
  EXPECT_EQ(peer->port, 6432);
  EXPECT_EQ(parse_peer("65535", "host=x port=1 pool_size=3")->pool_size, 3);
  for (const char* bad : {"0", "65536", "x", "", "-1", "0x1", "1 "})
    EXPECT_FALSE(parse_peer(bad, "host=x").ok()) << bad;
  EXPECT_THAT(parse_peer("1", "port=5").error().message, HasSubstr("needs a host"));
}

}  // namespace
}  // namespace pgweir::settings
