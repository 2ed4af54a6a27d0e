// The rules of auth_hba_file (compat/auth.md, section 6): who may come from where, and how he proves himself.
// Promises: the first rule that matches decides; a line that cannot be understood is reported and skipped. Host names,
// groups and regular expressions are not part of the format. Reads files only where `@file` or a path says so.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "auth/ident.hpp"
#include "auth/ldap_options.hpp"
#include "auth/textfile.hpp"
#include "base/bytes.hpp"
#include "base/result.hpp"

struct sockaddr;

namespace pgweir::auth {

enum class HbaType { kLocal, kHost, kHostSsl, kHostNoSsl };
enum class HbaMethod { kTrust, kReject, kMd5, kPassword, kPeer, kCert, kScramSha256, kLdap };
const char* hba_type_name(HbaType type);
const char* hba_method_name(HbaMethod method);  // as written in the file

// An address as bytes in network order: size 4 or 16; 0 for a Unix socket. IPv4-mapped IPv6 becomes IPv4.
struct HbaAddress {
  std::array<uint8_t, 16> bytes{};
  uint8_t size = 0;

  static HbaAddress of(ByteView bytes);              // 4 or 16 bytes, anything else: none
  static HbaAddress of(const sockaddr* address);     // AF_INET, AF_INET6, anything else: none
  static HbaAddress parse(const std::string& text);  // "10.0.0.1", "::1"; size 0 when malformed
};

// What is known of a client when the rules are asked.
struct HbaClient {
  bool unix_socket = false;
  bool tls = false;
  HbaAddress address;
  ByteView database;         // the name that the client asked for
  ByteView user;             // the login name
  bool replication = false;  // physical replication; logical replication counts as its database
};

// A list of names in a rule.
struct HbaNames {
  bool all = false;
  bool same_user = false;          // databases only
  bool replication = false;        // databases only
  std::vector<std::string> names;  // sorted

  bool contains(ByteView name) const;
};

struct HbaRule {
  HbaType type = HbaType::kLocal;
  HbaNames databases;
  HbaNames users;
  bool any_address = false;
  HbaAddress address;              // already masked
  std::array<uint8_t, 16> mask{};  // as many bytes as the address
  HbaMethod method = HbaMethod::kReject;
  std::string map;                          // of cert and peer; empty without one
  std::shared_ptr<const LdapOptions> ldap;  // of ldap; null: they cannot be used, and nobody can log in by this rule
  int line = 0;

  bool matches(const HbaClient& client) const;
};

class HbaRules {
 public:
  HbaRules() = default;
  explicit HbaRules(std::vector<HbaRule> rules) : rules_(std::move(rules)) {}

  // The first rule that matches; null: nobody may come in this way ("no authentication method is found").
  const HbaRule* match(const HbaClient& client) const;

  const std::vector<HbaRule>& rules() const { return rules_; }
  bool empty() const { return rules_.empty(); }

 private:
  std::vector<HbaRule> rules_;
};

struct HbaLoad {
  std::shared_ptr<const HbaRules> rules;
  std::vector<Complaint> complaints;  // texts begin "hba line N: "; `skipped` ones cost their line
};

// `file` is the path of the text: it names complaints, and `@names` files are relative to its directory. A rule's
// map= must be among `maps`.
HbaLoad parse_hba(ByteView text, const std::string& file, const IdentMaps& maps);

// Error: `could not open hba config file PATH: REASON`.
Result<HbaLoad> load_hba(const std::string& path, const IdentMaps& maps);

}  // namespace pgweir::auth
