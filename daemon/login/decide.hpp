// What a login decides, as pure functions: which protocol, which proof is asked for, what a console client may do.
// Sources: compat/wire.md sections 2 and 3, compat/auth.md sections 3 and 11, compat/console.md section 1.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "auth/hba.hpp"
#include "auth/secret.hpp"
#include "net/address.hpp"
#include "session/client.hpp"
#include "settings/snapshot.hpp"

namespace pgweir::login {

// 3.0 and 3.2 are spoken. 3.1 does not exist, and what comes after 3.2 is not known yet: the client is told the newest
// that we speak; so it is when it asked for protocol options, of which we know none.
struct Spoken {
  uint16_t minor = 0;
  bool tell = false;  // by NegotiateProtocolVersion
};
Spoken negotiate(uint16_t minor, bool has_options);

// A cancel key's secret: 4 bytes in protocol 3.0, 32 in 3.2.
// `peers`: the key may have to be sent on to a peer, and PgBouncer takes but short ones.
size_t cancel_secret_size(uint16_t minor, bool peers = false);

// Cancel keys among peers (compat/wire.md, section 6): who made it, and how often it may still be sent on.
inline constexpr unsigned kMostHops = 3;
int peer_of_key(uint32_t pid);
unsigned hops_left(ByteView secret);
void set_hops(std::string& secret, unsigned hops);  // of at least four bytes

// How a client proves who it is.
enum class Method : uint8_t {
  kTrust,      // not at all, but the user must be known
  kAny,        // not at all
  kCleartext,  // AuthenticationCleartextPassword
  kMd5,
  kScram,
  kCert,
  kPeer,
  kPam,     // cleartext, and PAM judges
  kLdap,    // cleartext, and a directory judges
  kReject,  // an HBA rule says no
  kNoRule,  // no HBA rule says anything
};
Method method_of(settings::AuthType type);  // of kHba: kNoRule, the rules decide
Method method_of(const auth::HbaRule* rule);

// Somebody else judges; the name need not be known here.
bool is_vouched(Method method);

// What is asked for given the secret that is stored: md5 becomes SCRAM when only a SCRAM verifier is there.
Method sharpened(Method asked, auth::SecretKind stored);

bool is_console(std::string_view database);  // pgweir and its alias pgbouncer
// The daemon's own account as these users, over a unix socket, is the administrator without a proof.
bool is_house_user(std::string_view user);

// 'a' admin, 's' stats, 0 may not come in. Default deny; `any`: auth_type=any, where everybody may look.
char console_rights(std::string_view user, std::string_view admin_users, std::string_view stats_users, bool any);

// The startup parameter `replication`: "database" is logical, a true boolean physical, all else none.
session::Replication replication_of(std::string_view value);
std::string_view replication_word(session::Replication replication);  // for the log: no, yes, database

// application_name_add_host: "NAME - 1.2.3.4:5", "NAME - [::1]:5", "NAME - unix(PID@HOST):PORT"; `name` empty: "app".
std::string name_with_host(std::string_view name, const net::Address& peer, int unix_port, std::string_view host);

// May this stand in a SET? Letters, digits, _ and $, parts joined by dots, no digit in front.
bool is_parameter_name(std::string_view name);

}  // namespace pgweir::login
