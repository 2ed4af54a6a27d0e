#include "net/address.hpp"

#include <gtest/gtest.h>
#include <sys/un.h>

#include <cstring>

namespace pgweir::net {
namespace {

TEST(Address, ParsesLiterals) {
  auto v4 = Address::parse_ip("10.1.2.3", 6432);
  ASSERT_TRUE(v4);
  EXPECT_EQ("10.1.2.3", v4->host());
  EXPECT_EQ(6432, v4->port());
  EXPECT_EQ("10.1.2.3:6432", v4->text());
  EXPECT_EQ(4u, v4->ip_size());
  EXPECT_EQ(10, v4->ip_bytes()[0]);
  auto v6 = Address::parse_ip("2001:db8::1", 5);
  ASSERT_TRUE(v6);
  EXPECT_EQ("[2001:db8::1]:5", v6->text());
  EXPECT_EQ(16u, v6->ip_size());
  auto scoped = Address::parse_ip("fe80::1%lo", 5);
  ASSERT_TRUE(scoped);
  EXPECT_EQ("fe80::1%lo", scoped->host());
}

TEST(Address, RefusesWhatIsNoLiteral) {
  for (const char* text : {"", "localhost", "1.2.3", "1.2.3.4.5", "[::1]", "::1%nosuchif", "1.2.3.4%lo", "*"})
    EXPECT_FALSE(Address::parse_ip(text, 1)) << text;
}

TEST(Address, UnixPathsAndAbstractNames) {
  sockaddr_storage raw;
  auto path = Address::unix_path("/tmp/.s.PGSQL.6432");
  ASSERT_TRUE(path.ok());
  EXPECT_EQ("unix:/tmp/.s.PGSQL.6432", path->text());
  EXPECT_EQ("unix", path->host());
  EXPECT_EQ(0, path->port());
  socklen_t size = path->to_sockaddr(raw);
  Address back = Address::from_sockaddr(reinterpret_cast<sockaddr*>(&raw), size);
  EXPECT_EQ(*path, back);
  auto abstract = Address::unix_path("@pgweir");
  ASSERT_TRUE(abstract.ok());
  size = abstract->to_sockaddr(raw);
  EXPECT_EQ('\0', reinterpret_cast<sockaddr_un*>(&raw)->sun_path[0]);
  EXPECT_EQ("@pgweir", Address::from_sockaddr(reinterpret_cast<sockaddr*>(&raw), size).path());
  EXPECT_FALSE(Address::unix_path("").ok());
  EXPECT_FALSE(Address::unix_path("@").ok());
  EXPECT_FALSE(Address::unix_path(std::string(108, 'a')).ok());
  EXPECT_TRUE(Address::unix_path(std::string(107, 'a')).ok());
  EXPECT_FALSE(Address::unix_path(std::string("/a\0b", 4)).ok());
}

TEST(Address, UnixPeersShowTheirPid) {
  Address peer = Address::unix_peer(77, 1000);
  EXPECT_EQ("unix(77)", peer.text());
  EXPECT_EQ(1000u, peer.unix_uid());
  EXPECT_EQ(static_cast<uid_t>(-1), Address().unix_uid());
}

TEST(Address, CopiesAreDeepAndEqual) {
  Address first = *Address::unix_path("/a/b");
  Address second = first;
  EXPECT_EQ(first, second);
  second = *Address::parse_ip("1.1.1.1", 1);
  EXPECT_FALSE(first == second);
  Address third = *Address::parse_ip("1.1.1.1", 2);
  EXPECT_TRUE(second.same_host(third));
  EXPECT_FALSE(second == third);
  EXPECT_EQ("/a/b", first.path());
}

TEST(Address, AnIPv4PeerOfASocketForBothFamiliesIsIPv4) {
  sockaddr_storage raw{};
  const socklen_t size = Address::parse_ip("::ffff:10.1.2.3", 65000)->to_sockaddr(raw);
  const Address peer = Address::from_sockaddr(reinterpret_cast<sockaddr*>(&raw), size);
  EXPECT_EQ("10.1.2.3:65000", peer.text());
  EXPECT_EQ(*Address::parse_ip("10.1.2.3", 65000), peer);
  for (const char* text : {"::1", "::10.1.2.3", "64:ff9b::a01:203", "fd00::ffff:a01:203"}) {
    const Address other = *Address::parse_ip(text, 1);
    const socklen_t length = other.to_sockaddr(raw);
    EXPECT_EQ(other, Address::from_sockaddr(reinterpret_cast<sockaddr*>(&raw), length)) << text;
  }
}

TEST(Address, HostileSizesGiveNone) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  EXPECT_TRUE(Address::from_sockaddr(reinterpret_cast<sockaddr*>(&v4), 4).none());
  EXPECT_TRUE(Address::from_sockaddr(reinterpret_cast<sockaddr*>(&v4), 1).none());
  EXPECT_TRUE(Address::from_sockaddr(nullptr, 16).none());
  v4.sin_family = AF_APPLETALK;
  EXPECT_TRUE(Address::from_sockaddr(reinterpret_cast<sockaddr*>(&v4), sizeof v4).none());
  EXPECT_EQ("none", Address().text());
}

}  // namespace
}  // namespace pgweir::net
