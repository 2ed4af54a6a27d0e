// From ini to snapshot: all errors with their places, all or nothing, files of authentication, what holds for a pool.
#include "settings/load.hpp"

#include <unistd.h>

#include <chrono>

#include "base/build.hpp"
#include "settings/table.hpp"
#include "support.hpp"

namespace pgweir::settings {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

TEST(Load, DefaultsAndBothNamesOfTheMainSection) {
  auto snapshot = loaded("[pgweir]\n");
  EXPECT_EQ(snapshot->global.listen_port, 6432);
  EXPECT_EQ(snapshot->global.query_wait_timeout, 120 * kSecond);
  EXPECT_EQ(snapshot->global.server_check_query, "<empty>");
  EXPECT_EQ(snapshot->global.client_cleanup_bytes, 1 << 20);
  EXPECT_EQ(loaded("[pgbouncer]\nlisten_port = 7\n")->global.listen_port, 7);
  ASSERT_TRUE(snapshot->userlist && snapshot->hba && snapshot->ident);
}

TEST(Load, EntriesOfAllSections) {
  auto snapshot = loaded(
      "[databases]\nMyDB = host=h\nmydb = host=g\n* = host=f dbname=all\n[users]\n'a b' = pool_size=3\n"
      "[peers]\n2 = host=/p\n[pgweir]\npeer_id = 1\n");
  EXPECT_THAT(snapshot->databases, SizeIs(2));
  EXPECT_EQ(snapshot->databases.at("MyDB")->host_text, "h");
  EXPECT_EQ(snapshot->databases.at("mydb")->host_text, "g");
  ASSERT_TRUE(snapshot->fallback);
  EXPECT_EQ(from_fallback(*snapshot, "other")->dbname, "all");
  EXPECT_EQ(from_fallback(*snapshot, "other")->name, "other");
  EXPECT_EQ(snapshot->users.at("a b").pool_size, 3);
  EXPECT_EQ(snapshot->peers.at(2).host, "/p");
}

TEST(Load, TheTemplateGivesItsName) {
  auto snapshot = loaded("[databases]\n* = host=f\n[pgweir]\n");
  EXPECT_EQ(from_fallback(*snapshot, "other")->dbname, "other");
}

TEST(Load, LastDefinitionWinsAndSectionsAdd) {
  auto snapshot =
      loaded("[pgweir]\nlisten_port=1\npkt_buf=8192\n[databases]\na=port=1\na=port=2\n[pgbouncer]\nlisten_port=2\n");
  EXPECT_EQ(snapshot->databases.at("a")->port, 2);
  EXPECT_EQ(snapshot->global.listen_port, 2);
  EXPECT_EQ(snapshot->global.pkt_buf, 8192);  // a second header takes nothing back, as it does in PgBouncer
}

TEST(Load, TellsEveryError) {
  std::vector<std::string> errors = refused(
      "[pgweir]\n"
      "default_pool_size = many\n"
      "defualt_pool_size = 5\n"
      "no words\n"
      "[databases]\n"
      "pgbouncer = host=x\n"
      "pgweir = host=x\n"
      "a = prot=5\n"
      "[users]\n"
      "u = pool_mode=x\n"
      "[peers]\n"
      "0 = host=x\n"
      "[nonsense]\n"
      "x = 1\n");
  EXPECT_THAT(errors, Contains(HasSubstr("invalid value \"many\" for parameter default_pool_size in configuration "
                                         "(test.ini:2): must be a whole number")));
  EXPECT_THAT(errors, Contains("unknown parameter: pgbouncer/defualt_pool_size, did you mean default_pool_size? "
                               "(test.ini:3)"));
  EXPECT_THAT(errors, Contains(HasSubstr("syntax error in configuration (test.ini:4), stopping loading")));
  EXPECT_THAT(errors, Contains(AllOf(HasSubstr("\"pgbouncer\" is reserved"), HasSubstr("(test.ini:6)"))));
  EXPECT_THAT(errors, Contains(AllOf(HasSubstr("\"pgweir\" is reserved"), HasSubstr("(test.ini:7)"))));
  EXPECT_THAT(errors, Contains(HasSubstr("invalid value \"prot=5\" for parameter a in configuration (test.ini:8): "
                                         "unrecognized connection parameter: prot, did you mean port?")));
  EXPECT_THAT(errors, Contains(HasSubstr("(test.ini:10): pool_mode must be one of")));
  EXPECT_THAT(errors, Contains(HasSubstr("(test.ini:12): a peer's id")));
  EXPECT_THAT(errors, Contains("invalid section \"nonsense\" in configuration (test.ini:13)"));
  EXPECT_THAT(errors, SizeIs(9));
}

TEST(Load, MainSectionMustBeThere) {
  EXPECT_THAT(refused("[databases]\n"),
              ElementsAre("load_init_file: main section missing from config file (test.ini)"));
}

TEST(Load, NamesHaveTheirLimits) {
  EXPECT_THAT(refused("[pgweir]\n[databases]\n" + std::string(64, 'd') + " =\n"),
              ElementsAre(HasSubstr("too long database name")));
  EXPECT_TRUE(loaded("[pgweir]\n[databases]\n" + std::string(63, 'd') + " =\n"));
  EXPECT_THAT(refused("[pgweir]\n[users]\n" + std::string(128, 'u') + " =\n"),
              ElementsAre(HasSubstr("too long user name")));
}

TEST(Load, ErrorsShowNoPassword) {
  for (const char* line :
       {"a = password=planted pool_size=x", "a = password='planted x", "a = host=b password=planted planted",
        "a = password = planted prot=1", "* = password=planted x"}) {
    LoadResult result = load_text(std::string("[pgweir]\n[databases]\n") + line + "\n", "t");
    EXPECT_EQ(result.errors.size() + result.warnings.size(), 1u) << line;
    for (const auto& list : {result.errors, result.warnings}) {
      for (const std::string& text : texts(list))
        EXPECT_THAT(text, Not(HasSubstr("planted"))) << line;
    }
  }
}

TEST(Load, ABadTemplateIsAWarning) {
  LoadResult result = load_text("[pgweir]\n[databases]\n* = nonsense\n", "t");
  ASSERT_TRUE(result.snapshot);
  EXPECT_FALSE(result.snapshot->fallback);
  EXPECT_THAT(texts(result.warnings), ElementsAre(HasSubstr("the template \"*\" cannot be used")));
}

TEST(Load, AnUnreadableFileIsTheOnlyError) {
  LoadResult result = load("/nonexistent/pgweir.ini", nullptr);
  EXPECT_EQ(result.snapshot, nullptr);
  EXPECT_THAT(texts(result.errors),
              ElementsAre("could not load file \"/nonexistent/pgweir.ini\": No such file or directory"));
}

TEST(CrossCheck, SettingsThatDoNotGoTogether) {
  EXPECT_THAT(refused("[pgweir]\nauth_type = cert\n"),
              ElementsAre("auth_type cert needs client_tls_sslmode verify-full (test.ini:2)"));
  EXPECT_THAT(refused("[pgweir]\nclient_tls_sslmode = require\n"),
              ElementsAre("TLS setup failed: client_tls_sslmode needs client_tls_cert_file (test.ini:2)",
                          "TLS setup failed: client_tls_sslmode needs client_tls_key_file (test.ini:2)"));
  EXPECT_THAT(refused("[pgweir]\nclient_tls_sslmode = allow\nclient_tls_cert_file = /nonexistent/c\n"
                      "client_tls_key_file = /nonexistent/k\n"),
              ElementsAre("TLS setup failed: could not read client_tls_cert_file \"/nonexistent/c\": No such file or "
                          "directory (test.ini:3)",
                          "TLS setup failed: could not read client_tls_key_file \"/nonexistent/k\": No such file or "
                          "directory (test.ini:4)"));
  EXPECT_THAT(refused("[pgweir]\nauth_dbname = pgbouncer\n"),
              ElementsAre("cannot use the reserved \"pgbouncer\" database as an auth_dbname (test.ini:2)"));
  EXPECT_THAT(refused("[pgweir]\nserver_tls_key_file = /k\n"),
              ElementsAre("TLS setup failed: server_tls_key_file needs server_tls_cert_file (test.ini:2)"));
  Folder folder;
  std::string file = folder.write("pem", "");
  std::string tls = "[pgweir]\nclient_tls_cert_file = " + file + "\nclient_tls_key_file = " + file + "\n";
  EXPECT_TRUE(loaded(tls + "client_tls_sslmode = require\n"));
  EXPECT_THAT(refused(tls + "client_tls_sslmode = verify-full\n"),
              ElementsAre("TLS setup failed: client_tls_sslmode verify-full needs client_tls_ca_file (test.ini:4)"));
  EXPECT_TRUE(loaded(tls + "client_tls_sslmode = verify-full\nclient_tls_ca_file = " + file + "\nauth_type = cert\n"));
}

TEST(CrossCheck, AuthTypesThatAreNotBuilt) {
  const std::string pam = "[pgweir]\nauth_type = pam\n";
  const std::string ldap = "[pgweir]\n\nauth_type = ldap\nauth_ldap_options = ldapserver=a ldapprefix=u\n";
  if (kHasPam) {
    EXPECT_TRUE(loaded(pam));
  } else {
    EXPECT_THAT(refused(pam), ElementsAre("this pgweir was built without PAM (PGWEIR_PAM) (test.ini:2)"));
  }
  if (kHasLdap) {
    EXPECT_TRUE(loaded(ldap));
  } else {
    EXPECT_THAT(refused(ldap), ElementsAre("this pgweir was built without LDAP (PGWEIR_LDAP) (test.ini:3)"));
  }
}

TEST(AuthFiles, AreLoadedByAuthType) {
  Folder folder;
  std::string users = folder.write("users", "\"alice\" \"a\"\n\"bob\" \"b\"\n");
  std::string hba = folder.write("hba", "host all all 10.0.0.0/8 md5\nlocal all all peer map=m\n");
  std::string ident = folder.write("ident", "m root alice\n");
  std::string files = "auth_file = " + users + "\nauth_hba_file = " + hba + "\nauth_ident_file = " + ident + "\n";
  auto snapshot = loaded("[pgweir]\nauth_type = hba\n" + files);
  EXPECT_EQ(snapshot->userlist->find("alice")->text(), "a");
  EXPECT_THAT(snapshot->hba->rules(), SizeIs(2));
  EXPECT_TRUE(snapshot->ident->matches("m", "root", "alice"));
  EXPECT_TRUE(loaded("[pgweir]\nauth_type = md5\n" + files)->hba->empty());
  EXPECT_EQ(loaded("[pgweir]\nauth_type = any\n" + files)->userlist->size(), 0u);
}

TEST(AuthFiles, MissingOrBrokenOnesAreWarnings) {
  LoadResult missing = load_text("[pgweir]\nauth_file = /nonexistent/u\n", "t");
  ASSERT_TRUE(missing.snapshot);
  EXPECT_TRUE(missing.auth_files_broken);
  EXPECT_THAT(texts(missing.warnings),
              ElementsAre("could not open auth_file /nonexistent/u: No such file or directory (t:2)"));
  Folder folder;
  std::string users = folder.write("users", "\"alice\" \"a\"\nbroken\n");
  LoadResult broken = load_text("[pgweir]\nauth_file = " + users + "\n", "t");
  ASSERT_TRUE(broken.snapshot);
  EXPECT_TRUE(broken.auth_files_broken);
  EXPECT_EQ(broken.snapshot->userlist->size(), 1u);
  EXPECT_THAT(texts(broken.warnings), ElementsAre(AllOf(HasSubstr("broken auth file"), HasSubstr(users + ":2"))));
  std::string hba = folder.write("hba", "nonsense\nlocal all all trust\n");
  LoadResult line = load_text("[pgweir]\nauth_type = hba\nauth_hba_file = " + hba + "\n", "t");
  ASSERT_TRUE(line.snapshot);
  EXPECT_TRUE(line.auth_files_broken);
  EXPECT_THAT(line.snapshot->hba->rules(), SizeIs(1));
}

TEST(AuthFiles, AUserlistThatEverybodyMayReadIsAWarningWithItsRemedy) {
  Folder folder;
  std::string users = folder.write("users", "\"alice\" \"a\"\n", 0644);
  LoadResult result = load_text("[pgweir]\nauth_file = " + users + "\n", "t");
  ASSERT_TRUE(result.snapshot);
  EXPECT_FALSE(result.auth_files_broken);
  EXPECT_THAT(texts(result.warnings), ElementsAre(HasSubstr("chmod")));
}

TEST(AuthFiles, AnUnchangedUserlistIsShared) {
  Folder folder;
  std::string users = folder.write("users", "\"alice\" \"a\"\n");
  std::string ini = folder.write("pgweir.ini", "[pgweir]\nauth_file = " + users + "\n");
  auto first = load(ini, nullptr).snapshot;
  auto second = load(ini, first).snapshot;
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->userlist, second->userlist);
  folder.write("users", "\"alice\" \"b\"\n");  // of the same size, within the same second
  auto third = load(ini, second).snapshot;
  EXPECT_NE(third->userlist, second->userlist);
  EXPECT_EQ(third->userlist->find("alice")->text(), "b");
}

TEST(Set, ChangesACopy) {
  auto before = loaded("[pgweir]\n");
  auto after = with_setting(before, "query_timeout", "5min");
  ASSERT_TRUE(after.ok());
  EXPECT_EQ((*after)->global.query_timeout, 300 * kSecond);
  EXPECT_EQ(before->global.query_timeout, 0);
}

TEST(Set, RefusesBadNamesAndValues) {
  auto before = loaded("[pgweir]\n");
  EXPECT_THAT(with_setting(before, "no_such", "1").error().message, HasSubstr("unknown parameter"));
  EXPECT_THAT(with_setting(before, "query_timeout", "soon").error().message, HasSubstr("invalid value \"soon\""));
  EXPECT_THAT(with_setting(before, "auth_type", "cert").error().message, HasSubstr("needs client_tls_sslmode"));
  EXPECT_FALSE(with_setting(before, "auth_file", "/nonexistent/u").ok());
  EXPECT_FALSE(with_setting(before, "auth_type", "hba").ok());  // no rules: nobody could come in any more
}

TEST(Set, LeavesTlsToTheContextsThatAreBuiltFromIt) {
  EXPECT_TRUE(with_setting(loaded("[pgweir]\n"), "client_tls_sslmode", "require").ok());
}

TEST(Set, ARestartSettingIsTakenAndChangesNothing) {
  auto before = loaded("[pgweir]\n");
  auto after = with_setting(before, "listen_port", "7");
  ASSERT_TRUE(after.ok());
  EXPECT_EQ(*after, before);
  EXPECT_FALSE(with_setting(before, "listen_port", "x").ok());
}

TEST(Set, ReadsTheFilesThatItNames) {
  Folder folder;
  auto before = loaded("[pgweir]\n");
  auto after = with_setting(before, "auth_file", folder.write("users", "\"carol\" \"c\"\n"));
  ASSERT_TRUE(after.ok());
  EXPECT_TRUE((*after)->userlist->find("carol"));
}

TEST(Diff, NamesWhatChanged) {
  auto before =
      loaded("[pgweir]\nlisten_port=1\n[databases]\na=port=1\nb=port=1\nc=port=1\nd=pool_size=1\n[users]\nu=\n");
  auto after = loaded(
      "[pgweir]\nlisten_port=2\nquery_timeout=1\nserver_tls_sslmode=disable\n"
      "[databases]\nb=port=2\nc=port=1\nd=pool_size=2\ne=\n*=host=x\n[users]\nu=pool_size=1\n[peers]\n1=host=x\n");
  Difference difference = diff(*before, *after);
  EXPECT_THAT(difference.settings, ElementsAre("listen_port", "query_timeout", "server_tls_sslmode"));
  EXPECT_THAT(difference.restart, ElementsAre("listen_port"));
  EXPECT_THAT(difference.added, ElementsAre("e", "*"));
  EXPECT_THAT(difference.removed, ElementsAre("a"));
  EXPECT_THAT(difference.changed, ElementsAre("b", "d"));
  EXPECT_THAT(difference.recycled, ElementsAre("b"));
  EXPECT_TRUE(difference.users && difference.peers && difference.server_tls);
  EXPECT_FALSE(difference.client_tls);
}

TEST(Diff, IsEmptyForTheSame) {
  Folder folder;
  std::string ini = folder.write("pgweir.ini", "[pgweir]\n[databases]\na=password=x\n[users]\nu=\n[peers]\n1=host=x\n");
  auto before = load(ini, nullptr).snapshot;
  Difference difference = diff(*before, *load(ini, before).snapshot);
  EXPECT_THAT(difference.settings, IsEmpty());
  EXPECT_THAT(difference.changed, IsEmpty());
  EXPECT_FALSE(difference.users || difference.peers || difference.client_tls || difference.server_tls);
}

TEST(Diff, RecyclesForWhatMakesAnotherServer) {
  auto entry = [](const std::string& line) { return loaded("[pgweir]\n[databases]\na = " + line + "\n"); };
  auto base = entry("host=h user=u");
  for (const char* other : {"host=i user=u", "host=h user=v", "host=h user=u port=5", "host=h user=u dbname=x",
                            "host=h user=u connect_query=q", "host=h user=u auth_dbname=x",
                            "host=h user=u auth_query=x", "host=h user=u load_balance_hosts=disable"})
    EXPECT_THAT(diff(*base, *entry(other)).recycled, ElementsAre("a")) << other;
  for (const char* other : {"host=h user=u password=p", "host=h user=u client_encoding=x", "host=h user=u datestyle=x",
                            "host=h user=u timezone=x", "host=h user=u application_name=x", "host=h user=u auth_user=x",
                            "host=h user=u pool_size=1", "host=h user=u server_lifetime=1"}) {
    EXPECT_THAT(diff(*base, *entry(other)).changed, ElementsAre("a")) << other;
    EXPECT_THAT(diff(*base, *entry(other)).recycled, IsEmpty()) << other;
  }
}

TEST(Restart, RunningValuesAreKept) {
  auto running = loaded("[pgweir]\nlisten_port=1\nworkers=2\nquery_timeout=1\n");
  Global fresh = loaded("[pgweir]\nlisten_port=2\nworkers=3\nquery_timeout=2\n")->global;
  keep_restart_settings(running->global, fresh);
  EXPECT_EQ(fresh.listen_port, 1);
  EXPECT_EQ(fresh.workers, "2");
  EXPECT_EQ(fresh.query_timeout, 2 * kSecond);
}

TEST(Effective, UserBeatsDatabaseBeatsGlobal) {
  auto s = loaded(
      "[pgweir]\ndefault_pool_size=1\nreserve_pool_size=1\nmin_pool_size=1\nmax_db_connections=1\nquery_wait_timeout="
      "1\n"
      "server_lifetime=1\nmax_user_connections=1\nmax_db_client_connections=1\nmax_user_client_connections=1\n"
      "query_timeout=1\nclient_idle_timeout=1\nidle_transaction_timeout=1\ntransaction_timeout=1\n"
      "[databases]\nd=pool_size=2 reserve_pool_size=2 min_pool_size=2 max_db_connections=2 query_wait_timeout=2 "
      "server_lifetime=2 pool_mode=transaction max_db_client_connections=2\nplain=\nzero=pool_size=0 server_lifetime=0 "
      "max_db_connections=0 query_wait_timeout=0\n"
      "[users]\nu=pool_size=3 reserve_pool_size=3 query_wait_timeout=3 pool_mode=statement max_user_connections=3 "
      "max_user_client_connections=3 query_timeout=3 client_idle_timeout=3 idle_transaction_timeout=3 "
      "transaction_timeout=3\nz=query_timeout=0 max_user_connections=0\n");
  const Database& d = *s->databases.at("d");
  const Database& plain = *s->databases.at("plain");
  const Database& zero = *s->databases.at("zero");
  EXPECT_EQ(pool_size(*s, plain, "x"), 1);
  EXPECT_EQ(pool_size(*s, d, "x"), 2);
  EXPECT_EQ(pool_size(*s, d, "u"), 3);
  EXPECT_EQ(pool_size(*s, zero, "x"), 0);
  EXPECT_EQ(reserve_pool_size(*s, d, "u"), 3);
  EXPECT_EQ(min_pool_size(*s, d), 2);
  EXPECT_EQ(pool_mode(*s, plain, "x"), PoolMode::kSession);
  EXPECT_EQ(pool_mode(*s, d, "x"), PoolMode::kTransaction);
  EXPECT_EQ(pool_mode(*s, d, "u"), PoolMode::kStatement);
  EXPECT_EQ(max_db_connections(*s, d), 2);
  EXPECT_EQ(max_db_connections(*s, zero), 1);
  EXPECT_EQ(max_db_client_connections(*s, d), 2);
  EXPECT_EQ(max_user_connections(*s, "u"), 3);
  EXPECT_EQ(max_user_connections(*s, "z"), 1);
  EXPECT_EQ(max_user_client_connections(*s, "u"), 3);
  EXPECT_EQ(server_lifetime(*s, d), 2 * kSecond);
  EXPECT_EQ(server_lifetime(*s, zero), 1 * kSecond);
  EXPECT_EQ(query_timeout(*s, "u"), 3 * kSecond);
  EXPECT_EQ(query_timeout(*s, "z"), 1 * kSecond);
  EXPECT_EQ(idle_transaction_timeout(*s, "u"), 3 * kSecond);
  EXPECT_EQ(transaction_timeout(*s, "u"), 3 * kSecond);
  EXPECT_EQ(client_idle_timeout(*s, "u"), 3 * kSecond);
  EXPECT_EQ(query_wait_timeout(*s, d, "x"), 2 * kSecond);
  EXPECT_EQ(query_wait_timeout(*s, d, "u"), 3 * kSecond);
  EXPECT_EQ(query_wait_timeout(*s, zero, "x"), 0);
}

TEST(Effective, LargestPoolsCanBeAdded) {
  auto s = loaded("[pgweir]\ndefault_pool_size=2147483647\n[databases]\nd=reserve_pool_size=2147483647\n");
  const Database& d = *s->databases.at("d");
  EXPECT_GT(pool_size(*s, d, "u") + reserve_pool_size(*s, d, "u"), 1'000'000'000);
}

TEST(Load, TenThousandDatabasesAndUsersAreRead) {
  std::string text = "[pgweir]\n[databases]\n";
  for (int at = 0; at < 10000; ++at)
    text += "database_" + std::to_string(at) + " = host=10.0.0.1 port=5432 dbname=db pool_size=5 password=secret\n";
  text += "[users]\n";
  for (int at = 0; at < 10000; ++at)
    text += "user_" + std::to_string(at) + " = pool_mode=transaction max_user_connections=5\n";
  const auto start = std::chrono::steady_clock::now();
  auto snapshot = loaded(text);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  RecordProperty("milliseconds", std::to_string(took.count()));
  EXPECT_THAT(snapshot->databases, SizeIs(10000));
  EXPECT_THAT(snapshot->users, SizeIs(10000));
}

TEST(Load, TheSampleFilesInEtcAreGood) {
  const std::string etc = std::string(PGWEIR_SOURCE_DIR) + "/etc/";
  Folder folder;
  std::string example = read_file(etc + "userlist.example");
  for (size_t at = example.find(";\""); at != std::string::npos; at = example.find(";\"", at))
    example.erase(at, 1);
  std::string users = folder.write("users", example);
  LoadResult result = load_text(
      "[pgweir]\nauth_type = hba\nauth_file = " + users + "\nauth_hba_file = " + etc + "pgweir_hba.conf\n", "t");
  ASSERT_TRUE(result.snapshot);
  EXPECT_THAT(texts(result.warnings), IsEmpty());
  EXPECT_FALSE(result.snapshot->hba->empty());
  EXPECT_EQ(result.snapshot->userlist->size(), 3u);
  EXPECT_EQ(result.snapshot->userlist->find("app")->kind(), auth::SecretKind::kScram);
  EXPECT_EQ(result.snapshot->userlist->find("reporter")->kind(), auth::SecretKind::kMd5);
}

}  // namespace
}  // namespace pgweir::settings
