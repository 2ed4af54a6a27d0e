// Matching: addresses, names, the first rule. The grammar is hba_parse.cpp's.
#include "auth/hba.hpp"

#include <algorithm>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace pgweir::auth {

namespace {
constexpr uint8_t kMappedPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
}  // namespace

const char* hba_type_name(HbaType type) {
  static constexpr std::array<const char*, 4> kNames = {"local", "host", "hostssl", "hostnossl"};
  return kNames[static_cast<size_t>(type)];
}

const char* hba_method_name(HbaMethod method) {
  static constexpr std::array<const char*, 8> kNames = {"trust", "reject", "md5",           "password",
                                                        "peer",  "cert",   "scram-sha-256", "ldap"};
  return kNames[static_cast<size_t>(method)];
}

HbaAddress HbaAddress::of(ByteView bytes) {
  HbaAddress out;
  if (bytes.size() == 16 && std::memcmp(bytes.data(), kMappedPrefix, sizeof kMappedPrefix) == 0)
    bytes.remove_prefix(sizeof kMappedPrefix);
  if (bytes.size() != 4 && bytes.size() != 16) return out;
  std::memcpy(out.bytes.data(), bytes.data(), bytes.size());
  out.size = static_cast<uint8_t>(bytes.size());
  return out;
}

HbaAddress HbaAddress::of(const sockaddr* address) {
  if (!address) return {};
  if (address->sa_family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, address, sizeof v4);
    return of(ByteView(reinterpret_cast<const char*>(&v4.sin_addr), 4));
  }
  if (address->sa_family == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, address, sizeof v6);
    return of(ByteView(reinterpret_cast<const char*>(&v6.sin6_addr), 16));
  }
  return {};
}

HbaAddress HbaAddress::parse(const std::string& text) {
  HbaAddress out;
  if (text.find('\0') != std::string::npos) return out;
  if (inet_pton(AF_INET, text.c_str(), out.bytes.data()) == 1)
    out.size = 4;
  else if (inet_pton(AF_INET6, text.c_str(), out.bytes.data()) == 1)
    out.size = 16;
  return out;
}

bool HbaNames::contains(ByteView name) const {
  return std::binary_search(names.begin(), names.end(), name, [](ByteView a, ByteView b) { return a < b; });
}

namespace {

bool type_matches(HbaType type, const HbaClient& client) {
  if (client.unix_socket) return type == HbaType::kLocal;
  return type == HbaType::kHost || type == (client.tls ? HbaType::kHostSsl : HbaType::kHostNoSsl);
}

bool address_matches(const HbaRule& rule, const HbaAddress& address) {
  if (rule.any_address) return true;
  if (rule.address.size != address.size || address.size == 0) return false;
  for (size_t i = 0; i < address.size; ++i)
    if ((address.bytes[i] & rule.mask[i]) != rule.address.bytes[i]) return false;
  return true;
}

bool database_matches(const HbaNames& databases, const HbaClient& client) {
  if (client.replication) return databases.replication;
  return databases.all || (databases.same_user && client.database == client.user) ||
         databases.contains(client.database);
}

}  // namespace

bool HbaRule::matches(const HbaClient& client) const {
  // A client's address may still be in its mapped form when the caller filled it in by hand.
  const HbaAddress address =
      HbaAddress::of(ByteView(reinterpret_cast<const char*>(client.address.bytes.data()), client.address.size));
  return type_matches(type, client) && (client.unix_socket || address_matches(*this, address)) &&
         database_matches(databases, client) && (users.all || users.contains(client.user));
}

const HbaRule* HbaRules::match(const HbaClient& client) const {
  auto found = std::find_if(rules_.begin(), rules_.end(), [&](const HbaRule& rule) { return rule.matches(client); });
  return found == rules_.end() ? nullptr : &*found;
}

}  // namespace pgweir::auth
