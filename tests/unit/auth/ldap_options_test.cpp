#include "auth/ldap_options.hpp"

#include <gtest/gtest.h>

namespace pgweir::auth {
namespace {

std::string fault(ByteView text) {
  auto options = parse_ldap_options(text);
  return options ? "" : options.error().message;
}

TEST(LdapOptions, SimpleBind) {
  auto options = parse_ldap_options("ldapserver=ldap.example ldapprefix=\"cn=\" ldapsuffix=\", dc=example, dc=net\"");
  ASSERT_TRUE(options);
  EXPECT_FALSE(options->searches);
  EXPECT_EQ("cn=alice, dc=example, dc=net", ldap_bind_name(*options, "alice"));
  EXPECT_EQ("ldap://ldap.example:389", ldap_uris(*options, options->servers));
}

TEST(LdapOptions, SearchAndBind) {
  auto options = parse_ldap_options(
      " ldapserver=a,ldapport=3389,ldaptls=1\tldapbasedn=\"dc=example,dc=net\" ldapbinddn=\"cn=\"\"r\"\"\" "
      "ldapbindpasswd=\"a b,\"\"c\" ");
  ASSERT_TRUE(options);
  EXPECT_TRUE(options->searches);
  EXPECT_TRUE(options->start_tls);
  EXPECT_EQ("dc=example,dc=net", options->base_dn);
  EXPECT_EQ("cn=\"r\"", options->bind_dn);
  EXPECT_EQ("a b,\"c", options->bind_password.view());
  EXPECT_EQ("(uid=bob)", ldap_search_filter(*options, "bob"));
  EXPECT_EQ(LdapScope::kSubtree, options->scope);
  EXPECT_EQ("ldap://a:3389", ldap_uris(*options, options->servers));
}

TEST(LdapOptions, FiltersAndAttributes) {
  auto options = parse_ldap_options("ldapbasedn=x ldapsearchfilter=(|(uid=$username)(mail=$username))");
  ASSERT_TRUE(options);
  EXPECT_EQ("(|(uid=bob)(mail=bob))", ldap_search_filter(*options, "bob"));
  EXPECT_EQ("(|(uid=$username)(mail=$username))", ldap_search_filter(*options, "$username"));
  options = parse_ldap_options("ldapbasedn=x ldapsearchattribute=cn");
  ASSERT_TRUE(options);
  EXPECT_EQ("(cn=bob)", ldap_search_filter(*options, "bob"));
}

TEST(LdapOptions, NamesThatWouldChangeASearch) {
  for (ByteView bad :
       {ByteView("*"), ByteView("a(b"), ByteView("a)b"), ByteView("a\\b"), ByteView("a/b"), ByteView("a\0b", 3)})
    EXPECT_FALSE(fits_ldap_search(bad)) << bad;
  EXPECT_TRUE(fits_ldap_search("bob@example.net"));
}

TEST(LdapOptions, Servers) {
  auto options = parse_ldap_options("ldapserver=\"one two:1389 [::1] [::2]:5 ::3\" ldapscheme=ldaps ldapbasedn=x");
  ASSERT_TRUE(options);
  EXPECT_EQ("ldaps://one:636 ldaps://two:1389 ldaps://[::1]:636 ldaps://[::2]:5 ldaps://[::3]:636",
            ldap_uris(*options, options->servers));
  EXPECT_EQ("", ldap_uris(*options, ""));
}

TEST(LdapOptions, Urls) {
  auto options = parse_ldap_options("ldapurl=\"ldaps://h.example:6360/dc=a%2cdc=b?cn,sn?one?\"");
  ASSERT_TRUE(options);
  EXPECT_TRUE(options->ldaps);
  EXPECT_EQ("ldaps://h.example:6360", ldap_uris(*options, options->servers));
  EXPECT_EQ("dc=a,dc=b", options->base_dn);
  EXPECT_EQ("cn", options->search_attribute);
  EXPECT_EQ(LdapScope::kOne, options->scope);
  options = parse_ldap_options("ldapurl=LDAP://[::1]:5/x??SUB?(uid=$username)");
  ASSERT_TRUE(options);
  EXPECT_EQ("ldap://[::1]:5", ldap_uris(*options, options->servers));
  EXPECT_EQ("(uid=a)", ldap_search_filter(*options, "a"));
  options = parse_ldap_options("ldapurl=ldap:///x");
  ASSERT_TRUE(options);
  EXPECT_EQ("", options->servers);
  EXPECT_EQ(LdapScope::kBase, options->scope);
  EXPECT_EQ("(uid=a)", ldap_search_filter(*options, "a"));
}

TEST(LdapOptions, WhatCannotBe) {
  const std::pair<ByteView, const char*> kCases[] = {
      {"", "LDAP needs"},
      {"ldapserver=a", "LDAP needs"},
      {"ldapprefix=a ldapsuffix=b", "needs ldapserver"},
      {"ldapserver=a ldapprefix=a ldapbasedn=b", "cannot stand beside"},
      {"ldapserver=a ldapsuffix=a ldapbinddn=b", "cannot stand beside"},
      {"ldapserver=a ldapsuffix=a ldapurl=ldap://h/x", "cannot stand beside"},
      {"ldapserver=a ldapbinddn=b", "needs ldapbasedn"},
      {"ldapbasedn=a ldapsearchattribute=b ldapsearchfilter=c", "cannot stand beside"},
      {"ldapbasedn=a ldapscheme=ldaps ldaptls=1", "cannot stand beside"},
      {"ldapbasedn=a ldaptls=yes", "1 or 0"},
      {"ldapbasedn=a ldapscheme=http", "invalid ldapscheme"},
      {"ldapbasedn=a ldapport=0", "invalid LDAP port"},
      {"ldapbasedn=a ldapport=65536", "invalid LDAP port"},
      {"ldapbasedn=a ldapport=3x", "invalid LDAP port"},
      {"ldapbasedn=a ldapport=", "invalid LDAP port"},
      {"ldapbasedn=a LDAPPORT=3", "invalid LDAP option"},
      {"ldapbasedn=a map=b", "invalid LDAP option"},
      {"ldapbasedn=dc=a,dc=b", "invalid LDAP option"},
      {"ldapbasedn = a", "no key=value"},
      {"ldapbasedn", "no key=value"},
      {"ldapbasedn=\"a", "not closed"},
      {"ldapbasedn=\"a\"b", "not closed"},
      {"ldapurl=http://h/x", "must begin"},
      {"ldapurl=ldap:h/x", "must begin"},
      {"ldapurl=ldap://h:0/x", "invalid LDAP port"},
      {"ldapurl=ldap://h/x??all", "unknown scope"},
      {"ldapurl=ldap://h/%zz", "broken %XX"},
      {"ldapurl=ldap://h/%0", "broken %XX"},
      {"ldapurl=ldap://h/%00", "broken %XX"},
      {"ldapurl=ldap://h/x????ext", "extensions"},
      {"ldapurl=ldap://h", "needs ldapbasedn"},
  };
  for (const auto& [text, words] : kCases)
    EXPECT_NE(std::string::npos, fault(text).find(words)) << text << ": " << fault(text);
}

}  // namespace
}  // namespace pgweir::auth
