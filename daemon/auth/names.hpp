// The names of a client certificate against a login name (methods cert, peer with TLS).
// Promises: exact, case-sensitive equality. PgBouncer compares as for host names, with `*.domain` wildcards and without
// regard to case (compat/auth.md, section 8 [Q]): a certificate for `*.example` would open every account below it.
#pragma once

#include <string>
#include <vector>

#include "base/bytes.hpp"

namespace pgweir::auth {

struct CertificateNames {
  std::vector<std::string> dns;  // subjectAltName, dNSName entries
  std::string common_name;       // of the subject; empty without one
};

// One name: equal bytes, not empty, no NUL within (a name with a NUL is a forgery).
bool name_matches(ByteView certificate_name, ByteView login);

// Any of the names.
bool certificate_matches(const CertificateNames& names, ByteView login);

}  // namespace pgweir::auth
