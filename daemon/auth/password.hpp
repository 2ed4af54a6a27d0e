// Cleartext passwords: comparing one that a client sent (AuthenticationCleartextPassword, type 3; auth_type `plain`,
// HBA `password`), and the preparation of passwords for SCRAM.
#pragma once

#include <cstdint>
#include <string>

#include "auth/secret.hpp"
#include "base/bytes.hpp"

namespace pgweir::auth {

// Does `password` (without NUL) match the stored secret? Plain: compared; md5: hashed and compared; SCRAM: derived and
// compared; none: never, and an empty password never.
//
// `mock_iterations`: PBKDF2 iterations to spend where the secret itself asks for none, so that the time does not tell
// which users exist or have a SCRAM secret. Pass Userlist::scram_iterations(), which is 0 where no user has one.
bool verify_password(const Secret& secret, ByteView user, ByteView password, uint32_t mock_iterations);

// What PostgreSQL's pg_saslprep does (RFC 4013), without the NFKC step for which Debian has no library that we may use:
// ASCII passes unchanged; in valid UTF-8 the non-ASCII spaces become a space and the code points that are "commonly
// mapped to nothing" go; text that is not UTF-8, or that RFC 4013 prohibits, or that nothing is left of, is used raw.
// A password typed with compatibility characters (full-width letters, ligatures, superscripts) or in decomposed form
// therefore needs a stored SCRAM verifier instead of a plain text.
std::string saslprep(ByteView password);

}  // namespace pgweir::auth
