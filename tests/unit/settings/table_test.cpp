// The settings table: complete and faithful to compat/settings.tsv, its values, ranges and SHOW CONFIG.
#include "settings/table.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "base/text.hpp"
#include "settings/check.hpp"
#include "support.hpp"

namespace pgweir::settings {
namespace {

using testing::HasSubstr;

struct Fact {
  std::string name, aliases, scope, type, preset, allowed, reloadable;
};

std::vector<Fact> facts() {
  std::string shared = std::string(PGWEIR_SOURCE_DIR) + "/../shared/compat/settings.tsv";
  std::string own = std::string(PGWEIR_SOURCE_DIR) + "/tests/compat/settings.tsv";
  std::istringstream in(read_file(std::filesystem::exists(shared) ? shared : own));
  std::vector<Fact> all;
  std::string line;
  std::getline(in, line);  // names of columns
  while (std::getline(in, line)) {
    std::vector<std::string> fields;
    for (size_t start = 0; start <= line.size();) {
      const size_t end = std::min(line.find('\t', start), line.size());
      fields.push_back(line.substr(start, end - start));
      start = end + 1;
    }
    fields.resize(9);
    all.push_back({fields[0], fields[1], fields[2], fields[3], fields[4], fields[5], fields[6]});
  }
  return all;
}

// The default as the table writes it, in the words of settings.tsv.
std::string in_their_words(const Row& row) {
  if (row.name == "conffile") return "(command-line file)";
  if (row.name == "verbose") return "(0 or number of -v)";
  if (!row.preset) return "(unset)";
  return row.preset->empty() ? "(empty)" : *row.preset;
}

TEST(Table, HoldsEverySettingOfPgBouncerWithItsDefault) {
  std::vector<Fact> all = facts();
  ASSERT_GT(all.size(), 130u);
  for (const Fact& fact : all) {
    if (fact.scope != "global") continue;
    const Row* row = find_row(fact.name);
    ASSERT_NE(row, nullptr) << fact.name;
    EXPECT_EQ(in_their_words(*row), fact.preset) << fact.name;
    EXPECT_EQ(row->reloadable(), fact.reloadable.rfind("yes", 0) == 0) << fact.name;
  }
}

TEST(Table, HoldsEveryKeyOfEntriesWithItsDefault) {
  const std::map<std::string, Scope> scopes = {
      {"database", Scope::kDatabase}, {"user", Scope::kUser}, {"peer", Scope::kPeer}};
  for (const Fact& fact : facts()) {
    if (fact.scope == "global") continue;
    for (const std::string& name : {fact.name, fact.aliases}) {
      if (name.empty()) continue;
      auto row = std::find_if(entry_rows().begin(), entry_rows().end(),
                              [&](const EntryRow& r) { return r.name == name && r.scope == scopes.at(fact.scope); });
      ASSERT_NE(row, entry_rows().end()) << fact.scope << " " << name;
      EXPECT_EQ(row->preset, fact.preset) << name;
    }
  }
}

TEST(Table, HasNothingThatNeitherPgBouncerNorPgweirKnows) {
  std::set<std::string> known = {"batched_sends",
                                 "client_cleanup_bytes",
                                 "client_cleanup_timeout",
                                 "console_extra_columns",
                                 "console_old_columns",
                                 "gathered_reads",
                                 "journal",
                                 "log_slow_queries",
                                 "log_slow_texts",
                                 "log_slow_transactions",
                                 "metrics_listen",
                                 "shutdown_timeout",
                                 "workers"};
  for (const Fact& fact : facts()) {
    if (fact.scope == "global") known.insert(fact.name);
  }
  for (const Row& row : global_rows())
    EXPECT_TRUE(known.count(row.name)) << row.name;
  EXPECT_EQ(global_rows().size(), known.size());
}

TEST(Table, IsSortedAndHelpful) {
  for (size_t at = 1; at < global_rows().size(); ++at)
    EXPECT_LT(global_rows()[at - 1].name, global_rows()[at].name);
  for (const Row& row : global_rows())
    EXPECT_GT(row.help.size(), 10u) << row.name;
  for (const EntryRow& row : entry_rows())
    EXPECT_GT(row.help.size(), 10u) << row.name;
}

TEST(Table, DefaultsAreWithinTheirRanges) {
  for (const Row& row : global_rows()) {
    if (!row.preset) continue;
    Global global;
    Result<void> done = assign(global, row, *row.preset);
    EXPECT_TRUE(done.ok()) << row.name;
  }
}

TEST(Table, ServiceNameIsJobName) {
  EXPECT_EQ(find_row("service_name"), find_row("job_name"));
  EXPECT_EQ(find_row("no_such"), nullptr);
  EXPECT_EQ(find_row("ADMIN_USERS"), nullptr);
}

std::string assigned(const std::string& name, const std::string& text) {
  Global global = default_global();
  const Row* row = find_row(name);
  Result<void> done = assign(global, *row, text);
  return done ? show(global, *row).value_or("NULL") : done.error().message;
}

TEST(Values, IntegersAreCLiterals) {
  EXPECT_EQ(assigned("default_pool_size", "17"), "17");
  EXPECT_EQ(assigned("default_pool_size", "0x10"), "16");
  EXPECT_EQ(assigned("unix_socket_mode", "0700"), "448");
  EXPECT_EQ(assigned("unix_socket_mode", "0777"), "511");
  for (const char* bad : {"", " 5", "5x", "0x", "ten", "1.5", "5 ", "99999999999999999999", "1e3"})
    EXPECT_THAT(assigned("default_pool_size", bad), HasSubstr("must be a whole number")) << bad;
  EXPECT_THAT(assigned("default_pool_size", std::string("5\0", 2)), HasSubstr("must be a whole number"));
}

TEST(Values, RangesAreChecked) {
  EXPECT_THAT(assigned("listen_port", "65536"), HasSubstr("between 0 and 65535"));
  EXPECT_EQ(assigned("default_pool_size", "-1"), "0");  // none, as in PgBouncer
  EXPECT_THAT(assigned("default_pool_size", "-2147483649"), HasSubstr("between 0"));
  EXPECT_THAT(assigned("listen_port", "-1"), HasSubstr("between 0"));
  EXPECT_THAT(assigned("default_pool_size", "2147483648"), HasSubstr("between 0 and 2147483647"));
  EXPECT_THAT(assigned("peer_id", "16384"), HasSubstr("between"));
  EXPECT_THAT(assigned("stats_period", "0"), HasSubstr("between"));
  EXPECT_THAT(assigned("scram_iterations", "0"), HasSubstr("between"));
  EXPECT_EQ(assigned("max_db_connections", "-1"), "-1");  // no limit, as in PgBouncer
  EXPECT_EQ(assigned("max_packet_size", "4294967295"), "4294967295");
  EXPECT_THAT(assigned("max_packet_size", "4294967296"), HasSubstr("must be"));
}

TEST(Values, BooleansAreIntegersOrWords) {
  for (const char* yes : {"1", "2", "-1", "on", "ON", "yes", "true", "0x1"})
    EXPECT_EQ(assigned("syslog", yes), "1") << yes;
  for (const char* no : {"0", "off", "no", "False", "00"})
    EXPECT_EQ(assigned("syslog", no), "0") << no;
  for (const char* bad : {"", "maybe", "y", "1 "})
    EXPECT_THAT(assigned("syslog", bad), HasSubstr("on or off")) << bad;
}

TEST(Values, TimesAreSecondsOrHaveAUnit) {
  const std::map<std::string, std::string> good = {
      {"30", "30"},  {"0.5", "0.5"},  {"1e2", "100"},      {".25", "0.25"}, {"500ms", "0.5"},
      {"30s", "30"}, {"5min", "300"}, {"5 min", "300"},    {"2h", "7200"},  {"1d", "86400"},
      {"0", "0"},    {"+3", "3"},     {"1500us", "0.0015"}};
  for (const auto& [text, shown] : good)
    EXPECT_EQ(assigned("query_timeout", text), shown) << text;
  for (const char* bad : {"", "-1", "nan", "inf", "0x10", "1,5", "5minutes", "s", "5S", "--1", "1e400", "1 2"})
    EXPECT_THAT(assigned("query_timeout", bad), HasSubstr("must be a time")) << bad;
  EXPECT_THAT(assigned("query_timeout", "1e300"), HasSubstr("too long"));
  EXPECT_EQ(assigned("query_timeout", "12345678"), "1.23457e+07");  // %g, as PgBouncer shows it
}

TEST(Values, WholeSecondsAndMilliseconds) {
  EXPECT_EQ(assigned("stats_period", "2min"), "120");
  EXPECT_EQ(assigned("query_wait_notify", "7"), "7");
  EXPECT_THAT(assigned("query_wait_notify", "500ms"), HasSubstr("must be a whole number"));
  EXPECT_EQ(assigned("tcp_user_timeout", "1500"), "1500");
  EXPECT_EQ(assigned("tcp_user_timeout", "3s"), "3000");
  EXPECT_EQ(assigned("tcp_user_timeout", "1.5s"), "1500");
  for (const char* bad : {"1.5", "1e3", "2.0", "0.5"})  // milliseconds, and seconds they would have become
    EXPECT_THAT(assigned("tcp_user_timeout", bad), HasSubstr("must be a whole number")) << bad;
}

TEST(Values, SizesAreBytesOrHaveAUnit) {
  EXPECT_EQ(assigned("client_cleanup_bytes", "64MB"), "67108864");
  EXPECT_EQ(assigned("client_cleanup_bytes", "1.5kB"), "1536");
  EXPECT_EQ(assigned("client_cleanup_bytes", "0x100"), "256");
  EXPECT_EQ(assigned("max_packet_size", "1GB"), "1073741824");
  for (const char* bad : {"", "-1", "64mb", "MB", "1 TB", "1.5", "1.5B x"})
    EXPECT_THAT(assigned("client_cleanup_bytes", bad), HasSubstr("must be a size")) << bad;
}

TEST(Values, WordsIgnoreCaseAndNameTheAllowedOnes) {
  EXPECT_EQ(assigned("pool_mode", "Transaction"), "transaction");
  EXPECT_EQ(assigned("auth_type", "SCRAM-SHA-256"), "scram-sha-256");
  EXPECT_EQ(assigned("client_tls_sslmode", "verify-CA"), "verify-ca");
  EXPECT_THAT(assigned("pool_mode", "sometimes"), HasSubstr("session, transaction, statement"));
}

TEST(Values, TextsThatAreChecked) {
  EXPECT_EQ(assigned("workers", "8"), "8");
  EXPECT_EQ(assigned("workers", "auto"), "auto");
  for (const char* bad : {"0", "65", "many", ""})
    EXPECT_THAT(assigned("workers", bad), HasSubstr("must be auto or a number")) << bad;
  EXPECT_EQ(assigned("client_tls_protocols", "tlsv1.2,!tlsv1.1:secure"), "tlsv1.2,!tlsv1.1:secure");
  EXPECT_THAT(assigned("client_tls_protocols", "tlsv9"), HasSubstr("\"tlsv9\" is none of"));
  EXPECT_THAT(assigned("client_tls_dheparams", "legacy"), HasSubstr("must be auto or none"));
  EXPECT_EQ(assigned("listen_addr", "*"), "*");
  EXPECT_EQ(assigned("listen_addr", "127.0.0.1, ::1,fe80::1%eth0,db.example.net"),
            "127.0.0.1, ::1,fe80::1%eth0,db.example.net");
  EXPECT_THAT(assigned("listen_addr", "127.0.0.1:6432"), HasSubstr("a port does not belong here"));
  EXPECT_THAT(assigned("listen_addr", "/tmp"), HasSubstr("neither an address nor a host name"));
  EXPECT_THAT(assigned("unix_socket_dir", "/" + std::string(100, 'd')), HasSubstr("longer than"));
}

TEST(Values, WorkersAreCounted) {
  Global global = default_global();
  EXPECT_GE(global.worker_count(), 1u);
  EXPECT_LE(global.worker_count(), 4u);
  global.workers = "7";
  EXPECT_EQ(global.worker_count(), 7u);
}

TEST(ShowConfig, HasARowForEverySettingByName) {
  auto snapshot = loaded("[pgweir]\nquery_timeout = 90s\npool_mode = Statement\nlisten_addr =\n");
  std::vector<ConfigRow> rows = show_config(*snapshot);
  std::map<std::string, ConfigRow> by_name;
  for (const ConfigRow& row : rows)
    by_name[row.key] = row;
  EXPECT_EQ(rows.size(), global_rows().size());
  EXPECT_TRUE(std::is_sorted(rows.begin(), rows.end(), [](auto& a, auto& b) { return a.key < b.key; }));
  EXPECT_EQ(by_name["query_timeout"].value, "90");
  EXPECT_EQ(by_name["query_timeout"].preset, "0");
  EXPECT_EQ(by_name["pool_mode"].value, "statement");
  EXPECT_EQ(by_name["listen_addr"].value, "");
  EXPECT_EQ(by_name["listen_addr"].changeable, false);
  EXPECT_EQ(by_name["auth_user"].value, std::nullopt);
  EXPECT_EQ(by_name["auth_user"].preset, std::nullopt);
  EXPECT_EQ(by_name["unix_socket_mode"].value, "511");
  EXPECT_EQ(by_name["unix_socket_mode"].preset, "0777");
  EXPECT_EQ(by_name["conffile"].value, "test.ini");
  EXPECT_EQ(by_name["server_check_query"].value, "<empty>");
}

TEST(ShowConfig, ShowsNoSecret) {
  auto snapshot = loaded("[pgweir]\nauth_ldap_options = ldapbinddn=x ldapbindpasswd=planted\n");
  for (const ConfigRow& row : show_config(*snapshot))
    EXPECT_THAT(row.value.value_or(""), testing::Not(HasSubstr("planted"))) << row.key;
  for (const ConfigRow& row : show_config(*loaded("[pgweir]\n"))) {
    EXPECT_FALSE(row.key == "auth_ldap_options" && row.value);
  }
}

TEST(Near, SuggestsWhatWasMeant) {
  EXPECT_EQ(nearest_setting("defualt_pool_size"), "default_pool_size");
  EXPECT_EQ(nearest_setting("Pool_Mode"), "pool_mode");
  EXPECT_EQ(nearest_setting("zebra"), "");
  EXPECT_EQ(nearest_setting(std::string(100000, 'x')), "");
  EXPECT_EQ(nearest_key(Scope::kDatabase, "db_name"), "dbname");
  EXPECT_EQ(nearest_key(Scope::kPeer, "hots"), "host");
}

}  // namespace
}  // namespace pgweir::settings
