// Random bytes for nonces, salts and cancel keys, and strict decoding of hex and base64.
// Promises: random bytes come from OpenSSL's generator or not at all; decoders accept the canonical form only.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace pgweir::auth {

// `count` unpredictable bytes. Fails only when the generator is broken; never go on without them.
Result<std::string> random_bytes(size_t count);

std::string base64_encode(ByteView bytes);

// RFC 4648 with padding; no white space, no missing padding, no stray bits. `most` bounds the decoded size in bytes.
std::optional<std::string> base64_decode(ByteView text, size_t most = 1 << 20);

std::string hex_encode(ByteView bytes);  // lower case

// Even number of digits, either case.
std::optional<std::string> hex_decode(ByteView text);

}  // namespace pgweir::auth
