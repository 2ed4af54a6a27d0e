// The rows of SHOW, made from books, snapshot and one worker.
#include "support.hpp"

namespace pgweir::admin {

namespace {

const char kDatabases[] =
    "db = host=10.0.0.1 port=5433 dbname=real user=forced pool_size=7 pool_mode=session max_db_connections=9\n"
    "many = host=a,b load_balance_hosts=disable\n"
    "MyDb = min_pool_size=1";

std::vector<std::string> first_cells(const Rows& rows) {
  std::vector<std::string> cells;
  for (const RowCells& row : rows)
    cells.push_back(row.at(0).value_or("(null)"));
  return cells;
}

class Show : public testing::Test {
 protected:
  std::unique_ptr<ConsoleHub> hub =
      std::make_unique<ConsoleHub>(snapshot_of(kDatabases, "default_pool_size = 20\nauth_user = asker",
                                               "alice = pool_size=3 pool_mode=session max_user_connections=4"));
};

}  // namespace

TEST_F(Show, EveryTopicAnswersWithItsColumns) {
  hub->add_pool_client("db", "forced");
  hub->add_pool_server("db", "forced");
  hub->add_console(-1, 'a');
  for (const TopicRow& row : topic_rows()) {
    if (row.topic != "HELP") hub->show(std::string(row.topic));
  }
}

TEST_F(Show, Databases) {
  EXPECT_EQ((std::vector<std::string>{"MyDb", "db", "many", "pgbouncer"}), first_cells(hub->show("DATABASES")));
  EXPECT_EQ("10.0.0.1", hub->cell("DATABASES", "db", "host"));
  EXPECT_EQ("5433", hub->cell("DATABASES", "db", "port"));
  EXPECT_EQ("real", hub->cell("DATABASES", "db", "database"));
  EXPECT_EQ("forced", hub->cell("DATABASES", "db", "force_user"));
  EXPECT_EQ("7", hub->cell("DATABASES", "db", "pool_size"));
  EXPECT_EQ("session", hub->cell("DATABASES", "db", "pool_mode"));
  EXPECT_EQ("9", hub->cell("DATABASES", "db", "max_connections"));
  EXPECT_EQ("3600", hub->cell("DATABASES", "db", "server_lifetime"));
  EXPECT_EQ(Cell(), hub->cell("DATABASES", "db", "load_balance_hosts"));
  EXPECT_EQ("disable", hub->cell("DATABASES", "many", "load_balance_hosts"));
  EXPECT_EQ("a,b", hub->cell("DATABASES", "many", "host"));
  EXPECT_EQ(Cell(), hub->cell("DATABASES", "MyDb", "host"));
  EXPECT_EQ("MyDb", hub->cell("DATABASES", "MyDb", "database"));
  EXPECT_EQ("20", hub->cell("DATABASES", "MyDb", "pool_size"));
  EXPECT_EQ(Cell(), hub->cell("DATABASES", "MyDb", "pool_mode"));
  EXPECT_EQ("6432", hub->cell("DATABASES", "pgbouncer", "port"));
  EXPECT_EQ("statement", hub->cell("DATABASES", "pgbouncer", "pool_mode"));
  hub->books.known_database("db")->paused = true;
  hub->books.known_database("many")->disabled = true;
  EXPECT_EQ("1", hub->cell("DATABASES", "db", "paused"));
  EXPECT_EQ("0", hub->cell("DATABASES", "db", "disabled"));
  EXPECT_EQ("1", hub->cell("DATABASES", "many", "disabled"));
  hub->add_pool_server("db", "forced");
  EXPECT_EQ("1", hub->cell("DATABASES", "db", "current_connections"));
}

TEST_F(Show, AutomaticDatabasesWhileInUse) {
  hub = std::make_unique<ConsoleHub>(snapshot_of("* = host=127.0.0.1"));
  EXPECT_EQ((std::vector<std::string>{"pgbouncer"}), first_cells(hub->show("DATABASES")));
  hub->books.database("idle");
  hub->add_pool_server("used", "u");
  EXPECT_EQ((std::vector<std::string>{"pgbouncer", "used"}), first_cells(hub->show("DATABASES")));
}

TEST_F(Show, Users) {
  hub->books.user("zoe");
  EXPECT_EQ((std::vector<std::string>{"alice", "asker", "forced", "pgbouncer", "zoe"}),
            first_cells(hub->show("USERS")));
  EXPECT_EQ("        3", hub->cell("USERS", "alice", "pool_size"));
  EXPECT_EQ("", hub->cell("USERS", "alice", "reserve_pool_size"));
  EXPECT_EQ("session", hub->cell("USERS", "alice", "pool_mode"));
  EXPECT_EQ("4", hub->cell("USERS", "alice", "max_user_connections"));
  EXPECT_EQ("", hub->cell("USERS", "zoe", "pool_size"));
  EXPECT_EQ(Cell(), hub->cell("USERS", "zoe", "pool_mode"));
}

TEST_F(Show, Pools) {
  auto& waiter = hub->add_pool_client("db", "forced");
  hub->add_pool_client("db", "forced");
  ASSERT_TRUE(waiter.local_pool->move(waiter, pool::ClientState::kWaiting));
  waiter.wait_start = hub->now() - 3 * kSecond - 250;
  auto& server = hub->add_pool_server("db", "forced");
  ASSERT_TRUE(server.local_pool->move(server, pool::ServerState::kTested));
  hub->add_pool_server("db", "forced");
  hub->add_pool_client("MyDb", "forced");
  hub->add_console(-1, 's');
  Rows rows = hub->show("POOLS");
  ASSERT_EQ(3u, rows.size());
  EXPECT_EQ(
      (RowCells{"MyDb", "forced", "1", "0", "0", "0", "0", "0", "0", "0", "0", "0", "0", "0", "0", "session", {}}),
      rows[0]);
  EXPECT_EQ("3", rows[1][13]);
  EXPECT_LE(250, number_of(rows[1][14]));
  rows[1][13] = rows[1][14] = "";
  EXPECT_EQ((RowCells{"db", "forced", "1", "1", "0", "0", "0", "0", "0", "0", "0", "1", "1", "", "", "session", {}}),
            rows[1]);
  EXPECT_EQ(
      (RowCells{
          "pgbouncer", "pgbouncer", "1", "0", "0", "0", "0", "0", "0", "0", "0", "0", "0", "0", "0", "statement", {}}),
      rows[2]);
}

TEST_F(Show, KilledPoolsVanish) {
  hub->add_pool_client("db", "forced").local_pool->counters.queries = 5;
  EXPECT_EQ(2u, hub->show("POOLS").size());
  EXPECT_EQ("5", hub->cell("STATS", "db", "total_query_count"));
  hub->books.forget_pools(*hub->books.known_database("db"));
  EXPECT_EQ(1u, hub->show("POOLS").size());
  EXPECT_EQ((std::vector<std::string>{"pgbouncer"}), first_cells(hub->show("STATS")));
}

TEST_F(Show, ClientsAndServers) {
  auto& client = hub->add_pool_client("db", "forced");
  auto& server = hub->add_pool_server("db", "forced");
  client.server = &server;
  server.client = &client;
  ASSERT_TRUE(client.local_pool->move(client, pool::ClientState::kActive));
  ASSERT_TRUE(server.local_pool->move(server, pool::ServerState::kActive));
  server.backend_pid = 4711;
  client.query_start = hub->now() - 2 * kSecond - 5;
  hub->add_client(-1);  // logging in: in SOCKETS only
  hub->add_console(-1, 'a');
  const Rows clients = hub->show("CLIENTS");
  const Rows servers = hub->show("SERVERS");
  ASSERT_EQ(2u, clients.size());
  ASSERT_EQ(1u, servers.size());
  EXPECT_EQ((RowCells{"C", "forced", "db", "none", "active"}), RowCells(clients[0].begin(), clients[0].begin() + 5));
  EXPECT_EQ((RowCells{"C", "boss", "pgbouncer", "none", "idle"}), RowCells(clients[1].begin(), clients[1].begin() + 5));
  EXPECT_EQ((RowCells{"S", "forced", "db", "none", "active"}), RowCells(servers[0].begin(), servers[0].begin() + 5));
  EXPECT_EQ("2", clients[0][11]);
  EXPECT_LE(5, number_of(clients[0][12]));
  EXPECT_EQ(clients[0][14], servers[0][15]);
  EXPECT_EQ(clients[0][15], servers[0][14]);
  EXPECT_EQ("", clients[1][15]);
  EXPECT_EQ("4711", servers[0][16]);
  EXPECT_EQ(std::to_string(client.id), clients[0][20]);
  EXPECT_EQ("0", servers[0][13]);
  hub->books.obsolete(nullptr);
  EXPECT_EQ("1", hub->show("SERVERS")[0][13]);
  client.server = nullptr;
  server.client = nullptr;
}

TEST_F(Show, SocketsByPoolThenList) {
  auto& second = hub->add_pool_client("db", "u2");
  auto& waiter = hub->add_pool_client("db", "u1");
  ASSERT_TRUE(waiter.local_pool->move(waiter, pool::ClientState::kWaiting));
  hub->add_pool_client("db", "u1");
  hub->add_pool_server("db", "u1");
  hub->add_client(-1);
  std::vector<std::string> seen;
  for (const RowCells& row : hub->show("SOCKETS"))
    seen.push_back(cat(*row[1], " ", *row[4]));
  EXPECT_EQ(
      (std::vector<std::string>{"u1 cl_active", "u1 cl_waiting", "u1 sv_login", "u2 cl_active", "(nouser) cl_login"}),
      seen);
  EXPECT_TRUE(hub->show("ACTIVE_SOCKETS").empty());
  second.held = std::make_unique<std::string>("abc");
  ASSERT_EQ(1u, hub->show("ACTIVE_SOCKETS").size());
  EXPECT_EQ("3", hub->show("ACTIVE_SOCKETS")[0][26]);
}

TEST_F(Show, FdsTellNoSecrets) {
  int ends[2];
  ASSERT_EQ(0, ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
  auto& client = hub->add_pool_client("db", "forced");
  ASSERT_TRUE(client.stream.open(hub->loop, ends[0]));
  client.cancel_key.pid = 99;
  Rows rows = hub->show("FDS");
  ASSERT_EQ(2u, rows.size());
  EXPECT_EQ((RowCells{"7", "pooler", {}, {}, "127.0.0.1", "6432", "0", "0", {}, {}, {}, {}, {}, {}, {}}), rows[0]);
  EXPECT_EQ("client", rows[1][1]);
  EXPECT_EQ("0", rows[1][6]);
  EXPECT_EQ(Cell(), rows[1][12]);
  ::close(ends[1]);
}

TEST_F(Show, Lists) {
  hub->add_pool_client("db", "forced");
  hub->add_client(-1);
  hub->add_pool_server("db", "forced");
  EXPECT_EQ((std::vector<std::string>{"databases", "users", "peers", "pools", "peer_pools", "free_clients",
                                      "used_clients", "login_clients", "free_servers", "used_servers", "dns_names",
                                      "dns_zones", "dns_queries", "dns_pending"}),
            first_cells(hub->show("LISTS")));
  EXPECT_EQ("4", hub->cell("LISTS", "databases", "items"));
  EXPECT_EQ("2", hub->cell("LISTS", "pools", "items"));
  EXPECT_EQ("2", hub->cell("LISTS", "used_clients", "items"));
  EXPECT_EQ("1", hub->cell("LISTS", "login_clients", "items"));
  EXPECT_EQ("1", hub->cell("LISTS", "used_servers", "items"));
}

TEST_F(Show, Stats) {
  auto& counters = hub->add_pool_client("db", "forced").local_pool->counters;
  hub->add_pool_client("db", "u2").local_pool->counters.queries = 5;
  counters.queries = 10;
  counters.xacts = 4;
  counters.xact_time = 400;
  counters.received = 1000;
  counters.client_logins = 2;
  auto sample = make_stats_job();
  sample->parts.resize(1);
  collect_part(*hub, *sample, sample->parts[0]);
  Totals totals = totals_of(*sample);
  EXPECT_EQ(15u, totals["db"].queries);
  hub->averages = Averages(monotonic_now() - 10 * kSecond);
  EXPECT_EQ("15", hub->cell("STATS", "db", "total_query_count"));
  EXPECT_EQ("1000", hub->cell("STATS", "db", "total_received"));
  EXPECT_EQ("2", hub->cell("STATS", "db", "total_client_login_count"));
  EXPECT_EQ("1", hub->cell("STATS", "db", "avg_query_count"));
  EXPECT_EQ("100", hub->cell("STATS", "db", "avg_xact_time"));
  EXPECT_EQ("15", hub->cell("STATS_TOTALS", "db", "query_count"));
  EXPECT_EQ("1", hub->cell("STATS_AVERAGES", "db", "query_count"));
  EXPECT_NE("0", hub->cell("STATS", "pgbouncer", "total_query_count"));
  const Rows rows = hub->show("TOTALS");
  ASSERT_EQ(24u, rows.size());
  EXPECT_EQ("total_server_assignment_count", rows[0][0]);
  EXPECT_EQ("avg_client_login_count", rows[23][0]);
  EXPECT_EQ("1000", hub->cell("TOTALS", "total_client_bytes", "value"));  // nothing of the console's is passed on
}

TEST_F(Show, State) {
  EXPECT_EQ((Rows{{"active", "yes"}, {"paused", "no"}, {"suspended", "no"}}), hub->show("STATE"));
  hub->books.set_mode(pool::Mode::kPaused);
  EXPECT_EQ((Rows{{"active", "no"}, {"paused", "yes"}, {"suspended", "no"}}), hub->show("STATE"));
  hub->books.set_mode(pool::Mode::kSuspended);
  EXPECT_EQ((Rows{{"active", "no"}, {"paused", "no"}, {"suspended", "yes"}}), hub->show("STATE"));
}

TEST_F(Show, TheRest) {
  EXPECT_EQ(Rows{{"PgBouncer 1.25.2 (pgweir test)"}}, hub->show("VERSION"));
  EXPECT_EQ("20", hub->cell("CONFIG", "default_pool_size", "value"));
  const Rows config = hub->show("CONFIG");
  for (size_t at = 1; at < config.size(); ++at)
    EXPECT_LT(*config[at - 1][0], *config[at][0]);
  EXPECT_EQ(12u, hub->show("MEM").size());
  EXPECT_TRUE(hub->show("DNS_HOSTS").empty());
  EXPECT_TRUE(hub->show("DNS_ZONES").empty());
  EXPECT_TRUE(hub->show("PEERS").empty());
  EXPECT_TRUE(hub->show("PEER_POOLS").empty());
  hub->tally.loops = 12;
  EXPECT_EQ("12", hub->cell("WORKERS", "0", "loops"));
}

}  // namespace pgweir::admin
