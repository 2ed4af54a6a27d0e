// What a real directory cannot show in a functional test: servers that the DNS names. libldap's look-up is replaced at
// link time.
#include <gtest/gtest.h>
#include <lber.h>
#include <ldap.h>

#include "vouch/vouch.hpp"

namespace {
std::string asked_domain;
const char* answered_hosts = nullptr;
}  // namespace

extern "C" int __wrap_ldap_domain2hostlist(const char* domain, char** hosts) {
  asked_domain = domain;
  if (!answered_hosts) return LDAP_UNAVAILABLE;
  *hosts = ber_strdup(answered_hosts);
  return LDAP_SUCCESS;
}

namespace pgweir::vouch {
namespace {

Question question(const char* options, const char* user = "alice") {
  Question made;
  made.user = user;
  made.password = auth::SecretBytes("planted");
  auto parsed = auth::parse_ldap_options(options);
  if (parsed) made.ldap = std::make_shared<const auth::LdapOptions>(parsed.take());
  return made;
}

bool says(const Verdict& verdict, const char* words) {
  return !verdict.accepted && verdict.why.find(words) != std::string::npos &&
         verdict.why.find("planted") == std::string::npos;
}

TEST(Ldap, ServersAreLookedUpForTheBase) {
  answered_hosts = nullptr;
  EXPECT_TRUE(says(ask_ldap(question("ldapbasedn=\"ou=x,dc=example,dc=net\"")), "could not find LDAP servers"));
  EXPECT_EQ("example.net", asked_domain);
  answered_hosts = "127.0.0.1:1 127.0.0.1:2";
  EXPECT_TRUE(says(ask_ldap(question("ldapurl=ldap:///dc=example%2Cdc=net??sub")), "Can't contact LDAP server"));
  EXPECT_EQ("example.net", asked_domain);
}

TEST(Ldap, NeverABindAsNobody) {
  Question empty = question("ldapserver=127.0.0.1 ldapport=1 ldapprefix=\"\"");
  empty.password = auth::SecretBytes();
  EXPECT_TRUE(says(ask_ldap(empty), "empty password"));
  EXPECT_TRUE(says(ask_ldap(question("ldapserver=127.0.0.1 ldapport=1 ldapprefix=\"\"", "")), "no name to bind as"));
  EXPECT_TRUE(says(ask_ldap(question("nonsense")), "cannot be used"));
}

TEST(Ldap, NoTimeIsNoLogin) {
  Question late = question("ldapserver=127.0.0.1 ldapport=1 ldapprefix=\"uid=\"");
  late.until = std::chrono::steady_clock::now() - Seconds(1);
  EXPECT_FALSE(ask_ldap(late).accepted);
}

TEST(Pam, PasswordsThatCannotBe) {
  Question odd = question("nonsense");
  odd.password = auth::SecretBytes(std::string("a\0b", 3));
  EXPECT_FALSE(ask_pam(odd).accepted);
  odd.password = auth::SecretBytes();
  EXPECT_FALSE(ask_pam(odd).accepted);
}

}  // namespace
}  // namespace pgweir::vouch
