// What a client wants and a server has, and the SQL between them.
#include "track/parameters.hpp"

#include <gtest/gtest.h>

#include <string>

namespace pgweir::track {
namespace {

class Parameters : public ::testing::Test {
 protected:
  Parameters() : names(std::make_shared<const TrackedNames>(std::vector<std::string>{"IntervalStyle", "search_path"})) {
    client.init(names);
    server.init(names);
  }
  std::string sql() { return replay(client, server); }
  TrackedPtr names;
  ParameterSet client;
  ParameterSet server;
};

TEST(TrackedNames, OrderAndCase) {
  TrackedNames names({"IntervalStyle", "timezone", "intervalstyle"});
  ASSERT_EQ(names.size(), 6u);
  EXPECT_EQ(names.name(0), "DateStyle");
  EXPECT_EQ(names.name(1), "client_encoding");
  EXPECT_EQ(names.name(2), "TimeZone");
  EXPECT_EQ(names.name(3), "standard_conforming_strings");
  EXPECT_EQ(names.name(4), "application_name");
  EXPECT_EQ(names.name(5), "IntervalStyle");
  EXPECT_EQ(names.find("TIMEZONE"), 2u);
  EXPECT_EQ(names.find("work_mem"), TrackedNames::kNone);
  EXPECT_EQ(names.find(""), TrackedNames::kNone);
}

TEST_F(Parameters, NothingWantedNothingSent) {
  EXPECT_EQ(sql(), "");
  server.set("DateStyle", "ISO, MDY");
  EXPECT_EQ(sql(), "");
}

TEST_F(Parameters, OnlyWhatDiffers) {
  client.set("datestyle", "German");
  client.set("TimeZone", "UTC");
  server.set("DateStyle", "ISO, MDY");
  server.set("TimeZone", "utc");  // compared without case, as PgBouncer does
  EXPECT_EQ(sql(), "SET \"datestyle\"='German';");
}

TEST_F(Parameters, SeveralInOneQueryInTheirOrder) {
  client.set("application_name", "it's");
  client.set("DateStyle", "German");
  EXPECT_EQ(sql(), "SET \"datestyle\"='German';SET \"application_name\"='it''s';");
}

TEST_F(Parameters, UntrackedNamesAreNotTaken) {
  EXPECT_FALSE(client.set("work_mem", "4MB"));
  EXPECT_EQ(client.value("work_mem"), nullptr);
  EXPECT_TRUE(client.set("APPLICATION_NAME", "x"));
  EXPECT_EQ(*client.value("application_name"), "x");
}

TEST_F(Parameters, ASameValueIsKept) {
  client.set("application_name", "x");
  Value before = client.value("application_name");
  client.set("application_name", "x");
  EXPECT_EQ(client.value("application_name"), before);
}

TEST_F(Parameters, SearchPathIsAList) {
  struct Row {
    const char* value;
    const char* sql;
  };
  const Row rows[] = {
      {"", "''"},
      {"  ", "''"},
      {"public", "'public'"},
      {"\"$user\", public", "'$user', 'public'"},
      {"Public,B", "'public', 'b'"},
      {"\"Mixed Case\"", "'Mixed Case'"},
      {"\"a\"\"b\"", "'a\"b'"},
      {"\"a,b\",c", "'a,b', 'c'"},
      {"a'b", "'a''b'"},
      {"\"a\\b\"", "E'a\\\\b'"},
      {"\"\"", "''"},
      {"\"open", "'open'"},
      {"a'; DROP TABLE t; --", "'a''; drop table t; --'"},
  };
  for (const Row& row : rows) {
    ParameterSet wants;
    ParameterSet has;
    wants.init(names);
    has.init(names);
    wants.set("search_path", row.value);
    EXPECT_EQ(replay(wants, has), std::string("SET \"search_path\" TO ") + row.sql + ";") << row.value;
  }
}

TEST_F(Parameters, BackslashesAndQuotes) {
  EXPECT_EQ(quote_literal(""), "''");
  EXPECT_EQ(quote_literal("a'b"), "'a''b'");
  EXPECT_EQ(quote_literal("a\\b"), "E'a\\\\b'");
  EXPECT_EQ(quote_literal("\\'"), "E'\\\\'''");
}

TEST_F(Parameters, LongValuesAreNotCut) {
  std::string value(100000, 'x');
  client.set("application_name", value);
  EXPECT_EQ(sql(), "SET \"application_name\"='" + value + "';");
}

TEST_F(Parameters, ExtrasAreSetOnceAndResetForTheNext) {
  client.set_extra("work_mem", "8MB");
  client.set_extra("my.setting", "a");
  EXPECT_EQ(sql(), "SET \"work_mem\"='8MB';SET \"my\".\"setting\"='a';");
  EXPECT_EQ(sql(), "");
  ParameterSet other;
  other.init(names);
  other.set_extra("WORK_MEM", "8MB");
  EXPECT_EQ(replay(other, server), "RESET \"my\".\"setting\";");
  ParameterSet plain;
  plain.init(names);
  EXPECT_EQ(replay(plain, server), "RESET \"work_mem\";");
  EXPECT_EQ(replay(plain, server), "");
}

TEST_F(Parameters, AnExtraOfAnotherValueIsSetAgain) {
  client.set_extra("work_mem", "8MB");
  EXPECT_NE(sql(), "");
  ParameterSet other;
  other.init(names);
  other.set_extra("work_mem", "9MB");
  EXPECT_EQ(replay(other, server), "SET \"work_mem\"='9MB';");
}

TEST_F(Parameters, TheLastOfTwoExtrasWins) {
  client.set_extra("work_mem", "8MB");
  client.set_extra("Work_Mem", "9MB");
  ASSERT_EQ(client.extras()->size(), 1u);
  EXPECT_EQ(client.extras()->front().second, "9MB");
}

TEST_F(Parameters, WhoMeetsSharesOneText) {
  ParameterSet clients[3];
  ParameterSet servers[2];
  for (ParameterSet& one : clients) {
    one.init(names);
    one.set("application_name", "pgbench");
    one.set_extra("work_mem", "8MB");
  }
  for (ParameterSet& one : servers) {
    one.init(names);
    one.set("application_name", "pgbench");
    one.set("TimeZone", "UTC");  // nobody asks for it
    one.set_extra("work_mem", "8MB");
  }
  EXPECT_FALSE(clients[0].satisfied_by(servers[0]));
  // Whatever the order of the meetings: each round can only lower the address that somebody holds.
  for (int round = 0; round < 5; ++round) {
    for (ParameterSet& server : servers) {
      for (ParameterSet& one : clients)
        EXPECT_EQ(replay(one, server), "");
    }
  }
  for (ParameterSet& server : servers) {
    for (ParameterSet& one : clients)
      EXPECT_TRUE(one.satisfied_by(server));
  }
  EXPECT_EQ(*servers[0].value("TimeZone"), "UTC");
}

TEST_F(Parameters, SharingEndsWithAnyChange) {
  client.set("application_name", "a");
  server.set("application_name", "a");
  client.set_extra("work_mem", "8MB");
  server.set_extra("work_mem", "8MB");
  EXPECT_EQ(sql(), "");
  ASSERT_TRUE(client.satisfied_by(server));
  server.set("application_name", "b");
  EXPECT_FALSE(client.satisfied_by(server));
  EXPECT_EQ(*client.value("application_name"), "a");
  EXPECT_EQ(sql(), "SET \"application_name\"='a';");
  server.set("application_name", "a");
  EXPECT_EQ(sql(), "");
  server.set_value(names->find("application_name"), nullptr);
  EXPECT_EQ(sql(), "SET \"application_name\"='a';");
  server.set("application_name", "a");
  client.set_extra("work_mem", "9MB");
  EXPECT_EQ(server.extras()->front().second, "8MB");
  EXPECT_EQ(sql(), "SET \"work_mem\"='9MB';");
  server.set_extras(nullptr);
  EXPECT_EQ(sql(), "SET \"work_mem\"='9MB';");
}

TEST_F(Parameters, ASetOfAServerThatHasNothingSatisfiesNobody) {
  client.set("application_name", "a");
  EXPECT_FALSE(client.satisfied_by(server));
  EXPECT_TRUE(server.satisfied_by(client));  // wants nothing
}

TEST_F(Parameters, TextsThatDifferInCaseAreEqualButNotShared) {
  client.set("TimeZone", "UTC");
  server.set("TimeZone", "utc");
  EXPECT_EQ(sql(), "");
  EXPECT_EQ(*client.value("TimeZone"), "UTC");
  EXPECT_EQ(*server.value("TimeZone"), "utc");
  EXPECT_FALSE(client.satisfied_by(server));
}

TEST_F(Parameters, ASetRaisesDoubtForOthersOnly) {
  client.set_extra("work_mem", "8MB");
  EXPECT_EQ(sql(), "SET \"work_mem\"='8MB';");
  note_command(server, ByteView("SET\0", 4), 7);
  server.begin_for(7);
  EXPECT_EQ(sql(), "");
  server.begin_for(8);
  EXPECT_EQ(sql(), "SET \"work_mem\"='8MB';");
  server.begin_for(7);
  EXPECT_EQ(sql(), "");
  note_command(server, ByteView("SET\0", 4), ParameterSet::kSomebody);
  server.begin_for(7);
  EXPECT_EQ(sql(), "SET \"work_mem\"='8MB';");
  note_command(server, ByteView("SELECT 1\0", 9), 7);
  note_command(server, ByteView("SET CONSTRAINTS\0", 16), 7);
  server.begin_for(8);
  EXPECT_EQ(sql(), "");
}

TEST_F(Parameters, WhoWantsNothingGetsAResetOfWhatWasSet) {
  ParameterSet plain;
  plain.init(names);
  client.set_extra("work_mem", "8MB");
  EXPECT_EQ(sql(), "SET \"work_mem\"='8MB';");
  note_command(server, ByteView("SET\0", 4), 7);
  server.begin_for(8);
  EXPECT_EQ(replay(plain, server), "RESET \"work_mem\";");
  EXPECT_EQ(server.extras(), nullptr);
}

TEST_F(Parameters, NamesCannotCarrySql) {
  client.set_extra("a\"; DROP TABLE t; --", "1");
  EXPECT_EQ(sql(), "SET \"a\"\"; drop table t; --\"='1';");
}

TEST_F(Parameters, WithoutExtrasAClientIsSmall) {
  EXPECT_LE(sizeof(ParameterSet), 64u);
}

TEST_F(Parameters, ClientsWithTheSameValuesShareThem) {
  SharedSets sets;
  ParameterSet other;
  other.init(names);
  client.set("application_name", "web");
  other.set("application_name", "web");
  EXPECT_NE(client.value("application_name"), other.value("application_name"));
  sets.share(client);
  sets.share(other);
  EXPECT_EQ(client.value("application_name"), other.value("application_name"));

  other.set("application_name", "psql");  // for itself only
  EXPECT_EQ(*client.value("application_name"), "web");
  EXPECT_EQ(*other.value("application_name"), "psql");
  sets.share(other);
  client.set("application_name", "psql");
  sets.share(client);
  EXPECT_EQ(client.value("application_name"), other.value("application_name"));
}

TEST_F(Parameters, WhoSharesMeetsAServerWithOneText) {
  SharedSets sets;
  ParameterSet other;
  other.init(names);
  client.set("application_name", "web");
  other.set("application_name", "web");
  server.set("application_name", "web");
  sets.share(client);
  sets.share(other);
  EXPECT_EQ(sql(), "");
  EXPECT_TRUE(client.satisfied_by(server));
  EXPECT_TRUE(other.satisfied_by(server)) << "what one has learnt holds for all that share with it";
}

TEST_F(Parameters, ACopyHasAListOfItsOwn) {
  client.set("TimeZone", "UTC");
  ParameterSet copy = client;
  copy.set("TimeZone", "CET");
  EXPECT_EQ(*client.value("TimeZone"), "UTC");
  copy = client;
  client.set("TimeZone", "PST8PDT");
  EXPECT_EQ(*copy.value("TimeZone"), "UTC");
}

}  // namespace
}  // namespace pgweir::track
