// HBA rules, ident maps, certificate names.
#include "auth/hba.hpp"

#include <filesystem>
#include <fstream>

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <unistd.h>

#include "base/build.hpp"
#include "base/text.hpp"

namespace pgweir::auth {
namespace {

using testing::HasSubstr;

IdentMaps some_maps() {
  return parse_ident("mymap sys db\n", "ident").maps;
}

HbaLoad parse(ByteView text) {
  return parse_hba(text, "/nonexistent/hba", some_maps());
}

HbaClient tcp(const std::string& address, ByteView database = "db", ByteView user = "bob") {
  HbaClient client;
  client.address = HbaAddress::parse(address);
  client.database = database;
  client.user = user;
  return client;
}

HbaClient local(ByteView database = "db", ByteView user = "bob") {
  HbaClient client;
  client.unix_socket = true;
  client.database = database;
  client.user = user;
  return client;
}

// The line of the rule that matches, 0 for none.
int matched(const HbaLoad& load, const HbaClient& client) {
  const HbaRule* rule = load.rules->match(client);
  return rule ? rule->line : 0;
}

// The only complaint about a text of one bad line.
std::string complaint(ByteView text) {
  HbaLoad load = parse(text);
  EXPECT_TRUE(load.rules->empty()) << text;
  EXPECT_EQ(load.complaints.size(), 1u) << text;
  if (load.complaints.empty()) return {};
  EXPECT_TRUE(load.complaints[0].skipped);
  return load.complaints[0].text;
}

TEST(Hba, EmptyMatchesNobody) {
  EXPECT_EQ(matched(parse("\n# nothing\n   # here\r\n"), local()), 0);
  EXPECT_EQ(HbaRules().match(local()), nullptr);
}

TEST(Hba, Types) {
  HbaLoad load = parse(
      "local all all peer\n"
      "hostssl all all all cert\n"
      "hostnossl all all all reject\n"
      "host all all all md5\n");
  ASSERT_TRUE(load.complaints.empty());
  EXPECT_EQ(matched(load, local()), 1);
  HbaClient client = tcp("10.0.0.1");
  EXPECT_EQ(matched(load, client), 3);
  client.tls = true;
  EXPECT_EQ(matched(load, client), 2);
  EXPECT_EQ(matched(parse("local all all trust"), tcp("127.0.0.1")), 0);
  EXPECT_EQ(matched(parse("host all all all trust"), local()), 0);
  client.tls = false;
  EXPECT_EQ(matched(parse("hostssl all all all trust"), client), 0);
  EXPECT_EQ(matched(parse("host all all all trust"), client), 1);
  client.tls = true;
  EXPECT_EQ(matched(parse("host all all all trust"), client), 1);
  EXPECT_EQ(matched(parse("hostnossl all all all trust"), client), 0);
}

TEST(Hba, Methods) {
  const std::pair<const char*, HbaMethod> cases[] = {
      {"trust", HbaMethod::kTrust},       {"reject", HbaMethod::kReject}, {"md5", HbaMethod::kMd5},
      {"password", HbaMethod::kPassword}, {"peer", HbaMethod::kPeer},     {"scram-sha-256", HbaMethod::kScramSha256}};
  for (auto [word, method] : cases) {
    HbaLoad load = parse(cat("local all all ", word, "  # comment"));
    ASSERT_EQ(load.rules->rules().size(), 1u) << word;
    EXPECT_EQ(load.rules->rules()[0].method, method);
    EXPECT_STREQ(hba_method_name(method), word);
  }
  EXPECT_EQ(parse("hostssl all all all cert").rules->rules()[0].method, HbaMethod::kCert);
  HbaLoad ldap = parse("host all all all ldap ldapserver=a ldapprefix=u#1 ldapsuffix=\", dc=x # y\" # z\n");
  ASSERT_EQ(ldap.rules->rules().size(), 1u);
  ASSERT_TRUE(ldap.rules->rules()[0].ldap);
  EXPECT_EQ(ldap_bind_name(*ldap.rules->rules()[0].ldap, "="), "u#1=, dc=x # y");
  const size_t not_built = kHasLdap ? 0 : 1;
  EXPECT_EQ(ldap.complaints.size(), not_built);
  ldap = parse("host all all all ldap ldapserver=a ldapcolour=red\n");
  ASSERT_EQ(ldap.rules->rules().size(), 1u);  // without it a laxer rule might decide
  EXPECT_FALSE(ldap.rules->rules()[0].ldap);
  ASSERT_EQ(ldap.complaints.size(), 1u + not_built);
  EXPECT_FALSE(ldap.complaints[0].skipped);
}

TEST(Hba, WhatIsNotBuiltIsToldWithItsLine) {
  HbaLoad load = parse("local all all trust\nhost all all all ldap ldapserver=a ldapprefix=u\n");
  ASSERT_EQ(load.rules->rules().size(), 2u);
  if (kHasLdap) {
    EXPECT_TRUE(load.complaints.empty());
    return;
  }
  ASSERT_EQ(load.complaints.size(), 1u);
  EXPECT_EQ(load.complaints[0].text, "hba line 2: this pgweir was built without LDAP: nobody can log in by this rule");
  EXPECT_EQ(load.complaints[0].line, 2);
  EXPECT_FALSE(load.complaints[0].skipped);  // a laxer rule behind it must not decide
}

TEST(Hba, Databases) {
  HbaLoad load = parse(
      "local one,two , \"three four\" all trust\n"
      "local sameuser all trust\n"
      "local \"all\" all trust\n"
      "local \"sameuser\",\"replication\" all trust\n"
      "local quo\"\"ted all trust\n"  // two tokens: broken
      "local \"q\"\"x\" all trust\n");
  EXPECT_EQ(matched(load, local("one")), 1);
  EXPECT_EQ(matched(load, local("two")), 1);
  EXPECT_EQ(matched(load, local("three four")), 1);
  EXPECT_EQ(matched(load, local("three")), 0);
  EXPECT_EQ(matched(load, local("One")), 0);
  EXPECT_EQ(matched(load, local("bob", "bob")), 2);
  EXPECT_EQ(matched(load, local("all")), 3);
  EXPECT_EQ(matched(load, local("sameuser")), 4);
  EXPECT_EQ(matched(load, local("replication")), 4);
  EXPECT_EQ(matched(load, local("q\"x")), 6);
  ASSERT_EQ(load.complaints.size(), 1u);
  EXPECT_EQ(load.complaints[0].line, 5);
}

TEST(Hba, Replication) {
  HbaLoad load = parse("local all all trust\nlocal replication,db all md5\n");
  HbaClient client = local();
  EXPECT_EQ(matched(load, client), 1);
  client.replication = true;
  EXPECT_EQ(matched(load, client), 2);
  client.database = "replication";
  EXPECT_EQ(matched(parse("local \"replication\" all trust"), client), 0);
  EXPECT_EQ(matched(parse("local all,sameuser,db all trust"), client), 0);
}

TEST(Hba, Users) {
  HbaLoad load = parse("local all bob,eve trust\nlocal all \"all\" md5\nlocal all sameuser,replication md5\n");
  EXPECT_EQ(matched(load, local("db", "bob")), 1);
  EXPECT_EQ(matched(load, local("db", "eve")), 1);
  EXPECT_EQ(matched(load, local("db", "all")), 2);
  EXPECT_EQ(matched(load, local("db", "replication")), 3);  // the database words are ordinary user names
  EXPECT_EQ(matched(load, local("db", "db")), 0);
  EXPECT_EQ(matched(load, local("db", "")), 0);
}

TEST(Hba, Addresses) {
  struct Case {
    const char* rule;
    const char* client;
    bool matches;
  };
  const Case cases[] = {
      {"all", "1.2.3.4", true},
      {"all", "::1", true},
      {"127.0.0.1/32", "127.0.0.1", true},
      {"127.0.0.1/32", "127.0.0.2", false},
      {"10.0.0.0/8", "10.255.1.2", true},
      {"10.0.0.0/8", "11.0.0.0", false},
      {"10.128.0.0/9", "10.127.0.1", false},
      {"10.128.0.0/9", "10.200.0.1", true},
      {"0.0.0.0/0", "8.8.8.8", true},
      {"0.0.0.0/0", "::1", false},
      {"::/0", "::1", true},
      {"::/0", "1.2.3.4", false},
      {"0.0.0.0/0", "::ffff:8.8.8.8", true},
      {"10.0.0.0/8", "::ffff:10.1.1.1", true},
      {"10.0.0.0/8", "::ffff:11.1.1.1", false},
      {"::ffff:10.0.0.0/104", "10.1.1.1", true},
      {"::ffff:10.0.0.0/104", "::ffff:10.1.1.1", true},
      {"::ffff:10.0.0.0/104", "11.1.1.1", false},
      {"::ffff:10.0.0.1/128", "10.0.0.1", true},
      {"fe80::/10", "febf::1", true},
      {"fe80::/10", "fec0::1", false},
      {"2001:db8::1/128", "2001:db8::1", true},
      {"2001:db8::1/128", "2001:db8::2", false},
      {"10.0.0.0 255.0.0.0", "10.9.9.9", true},
      {"10.0.0.0 255.0.0.0", "11.9.9.9", false},
      {"10.0.0.5 255.0.0.255", "10.7.7.5", true},
      {"10.0.0.5 255.0.0.255", "10.7.7.6", false},
      {"fe80:: ffc0::", "fe90::1", true},
      {"\"10.0.0.0/8\"", "10.1.1.1", true},
  };
  for (const Case& c : cases) {
    HbaLoad load = parse(cat("host all all ", c.rule, " trust"));
    EXPECT_TRUE(load.complaints.empty()) << c.rule;
    EXPECT_EQ(matched(load, tcp(c.client)) != 0, c.matches) << c.rule << " against " << c.client;
  }
}

TEST(Hba, AnAddressMissingMatchesAllOnly) {
  HbaClient client = tcp("");
  EXPECT_EQ(client.address.size, 0);
  EXPECT_EQ(matched(parse("host all all 0.0.0.0/0 trust\nhost all all ::/0 trust\n"), client), 0);
}

TEST(Hba, HostBitsBeyondTheMaskAreIgnoredWithAWarning) {
  HbaLoad load = parse("host all all 10.1.2.3/8 trust\n");
  ASSERT_EQ(load.complaints.size(), 1u);
  EXPECT_FALSE(load.complaints[0].skipped);
  EXPECT_THAT(load.complaints[0].text, HasSubstr("hba line 1: address 10.1.2.3/8 has bits set beyond its mask"));
  EXPECT_EQ(matched(load, tcp("10.9.9.9")), 1);
  EXPECT_EQ(matched(load, tcp("11.1.2.3")), 0);
}

TEST(Hba, FromSockaddr) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  inet_pton(AF_INET, "10.0.0.1", &v4.sin_addr);
  EXPECT_EQ(HbaAddress::of(reinterpret_cast<sockaddr*>(&v4)).size, 4);
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  inet_pton(AF_INET6, "::ffff:10.0.0.1", &v6.sin6_addr);
  HbaAddress mapped = HbaAddress::of(reinterpret_cast<sockaddr*>(&v6));
  EXPECT_EQ(mapped.size, 4);
  EXPECT_EQ(mapped.bytes[0], 10);
  inet_pton(AF_INET6, "fe80::1", &v6.sin6_addr);
  EXPECT_EQ(HbaAddress::of(reinterpret_cast<sockaddr*>(&v6)).size, 16);
  sockaddr unix_address{};
  unix_address.sa_family = AF_UNIX;
  EXPECT_EQ(HbaAddress::of(&unix_address).size, 0);
  EXPECT_EQ(HbaAddress::of(static_cast<const sockaddr*>(nullptr)).size, 0);
  EXPECT_EQ(HbaAddress::of(ByteView("abc")).size, 0);
}

TEST(Hba, BadLinesAreToldAndSkipped) {
  const std::pair<const char*, const char*> cases[] = {
      {"hostx all all all trust", "unknown type \"hostx\""},
      {"HOST all all all trust", "unknown type"},
      {"\"host\" all all all trust", "unknown type"},
      {"hostgssenc all all all trust", "unknown type"},
      {"host", "expected a database name"},
      {"host all", "expected a user name"},
      {"host all all", "expected an address"},
      {"host all all all", "unknown method"},
      {"local all all", "unknown method"},
      {"host all, all all trust", "\"trust\" is not an address"},
      {"host ,all all all trust", "expected a database name"},
      {"host all all example.org trust", "is not an address"},
      {"host all all samehost trust", "is not an address"},
      {"host all all .example.org trust", "is not an address"},
      {"host all all 10.0.0.1 trust", "needs a /prefix length"},
      {"host all all 10.0.0.1 ffff:: trust", "needs a /prefix length"},
      {"host all all 10.0.0.1/33 trust", "is not a prefix length from 0 to 32"},
      {"host all all ::1/129 trust", "is not a prefix length from 0 to 128"},
      {"host all all 10.0.0.1/ trust", "is not a prefix length"},
      {"host all all 10.0.0.1/-1 trust", "is not a prefix length"},
      {"host all all 10.0.0.1/4294967296 trust", "is not a prefix length"},
      {"host all all 10.0.0.1/8x trust", "is not a prefix length"},
      {"host all all 10.0.0.0.1/8 trust", "is not an address"},
      {"host all all 010.0.0.1/8 trust", "is not an address"},
      {"host all all 10/8 trust", "is not an address"},
      {"host all all fe80::1%eth0/64 trust", "is not an address"},
      {"local all all 127.0.0.1/32 trust", "unknown method \"127.0.0.1/32\""},
      {"host all all all any", "unknown method \"any\""},
      {"host all all all pam", "unknown method \"pam\""},
      {"host all all all plain", "unknown method"},
      {"host all all all \"trust\"", "unknown method"},
      {"host all all all TRUST", "unknown method"},
      {"host all all all gss", "unknown method"},
      {"host all all all trust extra", "unexpected \"extra\""},
      {"host all all all md5 map=mymap", "unexpected \"map=mymap\""},
      {"local all all peer map=nomap", "ident map \"nomap\" is not defined"},
      {"local all all peer map=", "ident map \"\" is not defined"},
      {"local all all peer mop=mymap", "unknown option"},
      {"local all all peer map=mymap more", "unexpected \"more\""},
      {"local all all peer map= \"mymap\"", "unexpected \"mymap\""},
      {"local samerole all trust", "samerole is not supported"},
      {"local samegroup all trust", "samegroup is not supported"},
      {"local all +admins trust", "groups are not supported"},
      {"local /^db all trust", "regular expressions are not supported"},
      {"local all /^u trust", "regular expressions are not supported"},
      {"local \"\" all trust", "empty name"},
      {"local \"open all trust", "expected a database name"},
      {"local all @ trust", "@ without a file name"},
      {"local all @nofile trust", "could not read /nonexistent/nofile: No such file or directory"},
  };
  for (auto [line, text] : cases)
    EXPECT_THAT(complaint(line), testing::AllOf(HasSubstr("hba line 1: "), HasSubstr(text))) << line;
  EXPECT_FALSE(complaint(ByteView("local a\0b all trust", 19)).empty());

  HbaLoad load = parse("local all all trust\nnonsense\n\nlocal all all md5");
  ASSERT_EQ(load.complaints.size(), 1u);
  EXPECT_EQ(describe(load.complaints[0]).substr(0, 19), "/nonexistent/hba:2:");
  EXPECT_EQ(load.rules->rules().size(), 2u);
  EXPECT_EQ(load.rules->rules()[1].line, 4);
}

TEST(Hba, MapMustExist) {
  for (const char* line : {"local all all peer map=mymap", "local all all peer map=\"mymap\"",
                           "hostssl all all all cert map=mymap # comment"}) {
    HbaLoad load = parse(line);
    ASSERT_EQ(load.rules->rules().size(), 1u) << line;
    EXPECT_EQ(load.rules->rules()[0].map, "mymap");
  }
}

TEST(Hba, RulesThatNobodyCanPassStayAndAreTold) {
  // To skip the line would let the next one decide.
  HbaLoad load = parse("host all all all peer\nhost all all all trust\n");
  ASSERT_EQ(load.complaints.size(), 1u);
  EXPECT_FALSE(load.complaints[0].skipped);
  EXPECT_EQ(matched(load, tcp("1.1.1.1")), 1);
  EXPECT_EQ(parse("hostnossl all all all cert\n").complaints.size(), 1u);
}

class HbaFiles : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "pgweir-hba-XXXXXX").string();
    ASSERT_TRUE(mkdtemp(name.data()));
    dir_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  void write(const std::string& name, const std::string& text) { std::ofstream(dir_ / name) << text; }
  HbaLoad load() {
    auto loaded = load_hba((dir_ / "hba").string(), some_maps());
    EXPECT_TRUE(loaded.ok());
    return loaded.take();
  }
  std::filesystem::path dir_;
};

TEST_F(HbaFiles, NamesFromFiles) {
  write("hba", "local @dbs,extra @users trust\nlocal all all reject\n");
  write("dbs", "# a comment, and an empty line: neither breaks the rule\n\none, two\r\nthree\n@more\n");
  write("more", "four\n");
  write("users", "bob,\"eve\"\n");
  HbaLoad loaded = load();
  EXPECT_TRUE(loaded.complaints.empty()) << describe(loaded.complaints[0]);
  for (const char* database : {"one", "two", "three", "four", "extra"})
    EXPECT_EQ(matched(loaded, local(database)), 1) << database;
  EXPECT_EQ(matched(loaded, local("one", "eve")), 1);
  EXPECT_EQ(matched(loaded, local("one", "mallory")), 2);
  EXPECT_EQ(matched(loaded, local("@dbs")), 2);
}

TEST_F(HbaFiles, AFileThatNamesItself) {
  write("hba", "local @loop all trust\n");
  write("loop", "@loop\n@loop\n@loop\n");
  HbaLoad loaded = load();
  EXPECT_TRUE(loaded.rules->empty());
  ASSERT_EQ(loaded.complaints.size(), 1u);
  EXPECT_THAT(loaded.complaints[0].text, HasSubstr("too many files in files"));
}

TEST_F(HbaFiles, ABadFileBreaksItsRuleWithItsLine) {
  write("hba", "local @dbs all trust\n");
  write("dbs", "one\n+two\n");
  HbaLoad loaded = load();
  EXPECT_TRUE(loaded.rules->empty());
  EXPECT_THAT(loaded.complaints.at(0).text, HasSubstr("dbs: line 2: groups are not supported"));
  write("dbs", "one two\n");
  EXPECT_THAT(load().complaints.at(0).text, HasSubstr("separated by commas"));
}

TEST_F(HbaFiles, MissingHbaFile) {
  auto missing = load_hba("/nonexistent/hba", {});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message, "could not open hba config file /nonexistent/hba: No such file or directory");
}

TEST(Ident, Grammar) {
  IdentLoad load = parse_ident(
      "# comment\n"
      "m root postgres\n"
      "m \"sys user\" \"db user\" # more\n"
      "m admin all\n"
      "n one \"all\"\r\n"
      "\"m\" quoted map\n"
      "m two\n"
      "m two three four\n"
      "m\n"
      "m \"\" x\n"
      "m , x\n",
      "ident");
  std::vector<int> lines;
  for (const Complaint& complaint : load.complaints) {
    lines.push_back(complaint.line);
    EXPECT_THAT(complaint.text, HasSubstr(cat("could not parse ident config line ", complaint.line)));
  }
  EXPECT_THAT(lines, testing::ElementsAre(6, 7, 8, 9, 10, 11));
  const IdentMaps& maps = load.maps;
  EXPECT_TRUE(maps.has("m"));
  EXPECT_TRUE(maps.has("n"));
  EXPECT_FALSE(maps.has("o"));
  EXPECT_TRUE(maps.matches("m", "root", "postgres"));
  EXPECT_FALSE(maps.matches("m", "root", "bob"));
  EXPECT_FALSE(maps.matches("m", "postgres", "root"));
  EXPECT_TRUE(maps.matches("m", "sys user", "db user"));
  EXPECT_TRUE(maps.matches("m", "admin", "anybody"));
  EXPECT_FALSE(maps.matches("n", "one", "anybody"));
  EXPECT_TRUE(maps.matches("n", "one", "all"));
  EXPECT_FALSE(maps.matches("o", "root", "postgres"));
  EXPECT_FALSE(maps.matches("m", "same", "same"));  // a map replaces equality
}

TEST(Ident, WithoutAMapTheNamesMustBeEqual) {
  IdentMaps maps;
  EXPECT_TRUE(maps.matches("", "bob", "bob"));
  EXPECT_FALSE(maps.matches("", "bob", "Bob"));
  EXPECT_FALSE(maps.matches("", "", ""));
}

TEST(Names, ExactOrNot) {
  EXPECT_TRUE(name_matches("bob", "bob"));
  for (const char* name : {"Bob", "*", "*.ob", "bob ", "", "bo"})
    EXPECT_FALSE(name_matches(name, "bob")) << name;
  EXPECT_FALSE(name_matches(ByteView("bob\0.evil", 9), "bob"));
  EXPECT_FALSE(name_matches(ByteView("bob\0", 4), ByteView("bob\0", 4)));
  EXPECT_FALSE(name_matches("", ""));
  EXPECT_FALSE(name_matches("*.example.org", "db.example.org"));

  CertificateNames names{{"alt.example", "bob"}, "common"};
  EXPECT_TRUE(certificate_matches(names, "bob"));
  EXPECT_TRUE(certificate_matches(names, "common"));
  EXPECT_FALSE(certificate_matches(names, "eve"));
  EXPECT_FALSE(certificate_matches({}, ""));

  IdentMaps maps = parse_ident("m alt.example eve\n", "ident").maps;
  EXPECT_TRUE(maps.matches("m", names, "eve"));
  EXPECT_FALSE(maps.matches("m", names, "bob"));
  EXPECT_TRUE(maps.matches("", names, "bob"));
}

TEST_F(HbaFiles, IdentFile) {
  write("ident", "m a b\n");
  EXPECT_TRUE(load_ident((dir_ / "ident").string())->maps.has("m"));
  EXPECT_EQ(load_ident("/nonexistent/ident").error().message,
            "could not open ident config file /nonexistent/ident: No such file or directory");
}

}  // namespace
}  // namespace pgweir::auth
