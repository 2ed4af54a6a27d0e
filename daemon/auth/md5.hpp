// PostgreSQL's md5 password method, both sides (AuthenticationMD5Password, type 5).
// Promises: constant-time comparison, the same work for an unknown user as for a known one.
#pragma once

#include <string>

#include "auth/secret.hpp"
#include "base/bytes.hpp"

namespace pgweir::auth {

inline constexpr size_t kMd5SaltSize = 4;

// The stored form: "md5" + hex(md5(password || user)). Empty when MD5 is not available (FIPS).
std::string md5_secret(ByteView password, ByteView user);

// The answer to a challenge: "md5" + hex(md5(hex part of the stored form || salt)), as sent in the PasswordMessage
// without its closing NUL. Of a plain or md5 `secret`; empty for a SCRAM or empty one (compat/auth.md, section 4:
// "wrong password type").
std::string md5_response(const Secret& secret, ByteView user, ByteView salt);

// Server side: does `response` (without NUL) prove the secret? SCRAM and empty secrets never match, after equal work.
bool md5_verify(const Secret& secret, ByteView user, ByteView salt, ByteView response);

}  // namespace pgweir::auth
