// The few primitives that the provers are made of, over libcrypto.
// Promises: when the library refuses (memory, FIPS without MD5) the digest is empty, and `same_secret` never says that
// an empty value equals anything, so that a failure ends in a failed login and not in an accepted one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/bytes.hpp"

namespace pgweir::auth {

inline constexpr size_t kSha256Size = 32;

std::string md5_hex(ByteView bytes);  // 32 lower-case digits
std::string sha256(ByteView bytes);
std::string hmac_sha256(ByteView key, ByteView bytes);

// PBKDF2 with HMAC-SHA-256, 32 bytes out. Costs about 0.4 ms per 1000 iterations; the caller bounds them.
std::string pbkdf2_sha256(ByteView password, ByteView salt, uint32_t iterations);

// Byte-wise exclusive or; empty when the sizes differ.
std::string exclusive_or(ByteView a, ByteView b);

// Equality in time that depends on the sizes only. False when either is empty.
bool same_secret(ByteView a, ByteView b);

}  // namespace pgweir::auth
