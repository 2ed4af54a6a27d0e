// Who else vouches for a user's password: PAM and LDAP (compat/auth.md, sections 9 and 10). The only room with libpam
// and libldap. These functions block, for seconds at times: they are called in a thread of net::OffloadPool, never in a
// loop. Thread safe. Promises: a yes only when the other side said yes to this very name and password; never a password
// in a text. Does not: know clients, or what a yes is good for.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "auth/ldap_options.hpp"
#include "auth/secret.hpp"

namespace pgweir::vouch {

using Seconds = std::chrono::seconds;
using Instant = std::chrono::steady_clock::time_point;

// PgBouncer's, so that the file in /etc/pam.d that was written for it serves.
inline constexpr const char* kPamService = "pgbouncer";
inline constexpr Seconds kConnectPatience{3};  // for one address of a directory
inline constexpr Seconds kAnswerPatience{10};  // for one answer of it

struct Verdict {
  bool accepted = false;
  std::string why;                     // of a no, for the log
  std::chrono::microseconds pause{0};  // that PAM wants before the client is told no; the caller waits, not the thread
};

struct Question {
  std::string user;
  auth::SecretBytes password;  // not empty: to a directory an empty one means "as nobody", and succeeds
  std::string remote_host;     // for PAM
  std::shared_ptr<const auth::LdapOptions> ldap;
  Instant until = Instant::max();  // a directory is not waited for longer
};

Verdict ask_pam(const Question& question);
Verdict ask_ldap(const Question& question);

}  // namespace pgweir::vouch
