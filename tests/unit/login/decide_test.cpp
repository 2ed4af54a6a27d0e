// The decisions of a login, as tables.
#include "login/decide.hpp"

#include <gtest/gtest.h>

namespace pgweir::login {
namespace {

TEST(Negotiate, SpeaksThreeZeroAndThreeTwo) {
  struct Row {
    uint16_t asked;
    bool options;
    uint16_t spoken;
    bool told;
  };
  const Row rows[] = {{0, false, 0, false}, {0, true, 0, true},  {1, false, 0, true},    {2, false, 2, false},
                      {2, true, 2, true},   {3, false, 2, true}, {9999, false, 2, true}, {65535, true, 2, true}};
  for (const Row& row : rows) {
    Spoken spoken = negotiate(row.asked, row.options);
    EXPECT_EQ(row.spoken, spoken.minor) << row.asked;
    EXPECT_EQ(row.told, spoken.tell) << row.asked;
  }
  EXPECT_EQ(4u, cancel_secret_size(0));
  EXPECT_EQ(32u, cancel_secret_size(2));
}

TEST(Sharpened, OnlyMd5WithAScramSecretBecomesScram) {
  const Method methods[] = {Method::kTrust, Method::kAny,  Method::kCleartext, Method::kMd5,   Method::kScram,
                            Method::kCert,  Method::kPeer, Method::kReject,    Method::kNoRule};
  const auth::SecretKind kinds[] = {auth::SecretKind::kNone, auth::SecretKind::kPlain, auth::SecretKind::kMd5,
                                    auth::SecretKind::kScram};
  for (Method method : methods) {
    for (auth::SecretKind kind : kinds) {
      const bool changes = method == Method::kMd5 && kind == auth::SecretKind::kScram;
      EXPECT_EQ(changes ? Method::kScram : method, sharpened(method, kind));
    }
  }
}

TEST(MethodOf, EveryAuthTypeAndHbaMethod) {
  EXPECT_EQ(Method::kTrust, method_of(settings::AuthType::kTrust));
  EXPECT_EQ(Method::kAny, method_of(settings::AuthType::kAny));
  EXPECT_EQ(Method::kCleartext, method_of(settings::AuthType::kPlain));
  EXPECT_EQ(Method::kMd5, method_of(settings::AuthType::kMd5));
  EXPECT_EQ(Method::kScram, method_of(settings::AuthType::kScramSha256));
  EXPECT_EQ(Method::kCert, method_of(settings::AuthType::kCert));
  EXPECT_EQ(Method::kNoRule, method_of(settings::AuthType::kHba));
  EXPECT_EQ(Method::kPam, method_of(settings::AuthType::kPam));
  EXPECT_EQ(Method::kNoRule, method_of(static_cast<const auth::HbaRule*>(nullptr)));
  auth::HbaRule rule;
  rule.method = auth::HbaMethod::kPassword;
  EXPECT_EQ(Method::kCleartext, method_of(&rule));
  rule.method = auth::HbaMethod::kReject;
  EXPECT_EQ(Method::kReject, method_of(&rule));
  rule.method = auth::HbaMethod::kPeer;
  EXPECT_EQ(Method::kPeer, method_of(&rule));
}

TEST(ConsoleRights, DenyByDefault) {
  EXPECT_EQ('a', console_rights("root", "boss, root", "root", false));
  EXPECT_EQ('s', console_rights("stats", "root", "mon stats", false));
  EXPECT_EQ(0, console_rights("nobody", "root", "stats", false));
  EXPECT_EQ(0, console_rights("Root", "root", "", false));
  EXPECT_EQ(0, console_rights("", "", "", false));
  EXPECT_EQ(0, console_rights("", "", "", true));
  EXPECT_EQ(0, console_rights("roo", "root", "root", false));
  EXPECT_EQ('s', console_rights("whoever", "root", "", true));
  EXPECT_EQ('a', console_rights("root", "root", "", true));
  EXPECT_TRUE(is_console("pgweir") && is_console("pgbouncer"));
  EXPECT_FALSE(is_console("PgBouncer") || is_console("") || is_console("pgweir2"));
}

TEST(Replication, WordsAsPostgresReadsThem) {
  using session::Replication;
  for (const char* word : {"true", "t", "TRUE", "on", "yes", "y", "1"})
    EXPECT_EQ(Replication::kPhysical, replication_of(word)) << word;
  for (const char* word : {"false", "off", "0", "no", "", "maybe", "truex", "2"})
    EXPECT_EQ(Replication::kNone, replication_of(word)) << word;
  EXPECT_EQ(Replication::kLogical, replication_of("database"));
}

TEST(ParameterName, NothingThatCouldCarrySql) {
  for (const char* good : {"search_path", "work_mem", "my.setting", "a1$", "_x", "a.b.c"})
    EXPECT_TRUE(is_parameter_name(good)) << good;
  for (const char* bad : {"", ".", "a.", ".a", "a..b", "1a", "a b", "a;b", "a\"b", "a-b", "a'b", "\xc3\xa9", "a.1"})
    EXPECT_FALSE(is_parameter_name(bad)) << bad;
}

TEST(NameWithHost, EachKindOfPeer) {
  EXPECT_EQ("psql - 10.0.0.1:99", name_with_host("psql", *net::Address::parse_ip("10.0.0.1", 99), 6432, "h"));
  EXPECT_EQ("app - [::1]:5", name_with_host("", *net::Address::parse_ip("::1", 5), 6432, "h"));
  EXPECT_EQ("x - unix(12@box):6432", name_with_host("x", net::Address::unix_peer(12, 0), 6432, "box"));
}

}  // namespace
}  // namespace pgweir::login
