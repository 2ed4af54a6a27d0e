// How a directory is asked about a password: `auth_ldap_options` and what stands behind `ldap` in an HBA rule
// (compat/auth.md, section 10). Pure: text in, facts out; vouch/ talks to the directory.
// Promises: options that contradict each other are an error, never a guess; a user's name cannot change the shape of a
// search. Does not: look a server up, or say whether there is one.
#pragma once

#include <string>
#include <vector>

#include "auth/secret.hpp"
#include "base/bytes.hpp"
#include "base/result.hpp"

namespace pgweir::auth {

enum class LdapScope : unsigned char { kBase, kOne, kSubtree };

struct LdapOptions {
  std::string servers;  // separated by blanks; empty: those that the DNS names for base_dn
  int port = 0;         // 0: the scheme's
  bool ldaps = false;
  bool start_tls = false;
  // Simple bind: as prefix, user name, suffix.
  std::string prefix;
  std::string suffix;
  // Search and bind, when `searches`: find the user below base_dn, then bind as what was found.
  bool searches = false;
  std::string base_dn;
  std::string bind_dn;  // who searches; empty: nobody
  SecretBytes bind_password;
  std::string search_attribute;  // "uid" unless given; empty with a filter
  std::string search_filter;     // with $username
  LdapScope scope = LdapScope::kSubtree;

  const char* scheme() const { return ldaps ? "ldaps" : "ldap"; }
  int effective_port() const { return port != 0 ? port : ldaps ? 636 : 389; }
};

// key=value pairs separated by blanks or commas; a value is bare or "quoted" with "" for a quote.
Result<LdapOptions> parse_ldap_options(ByteView text);

// ldapurl: ldap[s]://[host[:port]]/base[?[attribute][?[scope][?[filter]]]] (RFC 4516), written over `options`.
Result<void> read_ldap_url(ByteView url, LdapOptions& options);

// "ldap://one:389 ldap://two:389", for hosts separated by blanks. An item that has a port keeps it.
std::string ldap_uris(const LdapOptions& options, ByteView hosts);

// Whether a name may stand in a filter: without * ( ) \ / and NUL.
bool fits_ldap_search(ByteView user);
std::string ldap_search_filter(const LdapOptions& options, ByteView user);
std::string ldap_bind_name(const LdapOptions& options, ByteView user);  // of a simple bind

}  // namespace pgweir::auth
