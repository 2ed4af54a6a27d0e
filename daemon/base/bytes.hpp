// Views of bytes and the big-endian integers of the protocol.
// A ByteView owns nothing; it may hold NULs. Nothing here checks bounds: callers do, before they read.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace pgweir {

using ByteView = std::string_view;

inline uint16_t load_be16(const char* at) {
  uint16_t raw = 0;
  std::memcpy(&raw, at, sizeof raw);
  return __builtin_bswap16(raw);
}

inline uint32_t load_be32(const char* at) {
  uint32_t raw = 0;
  std::memcpy(&raw, at, sizeof raw);
  return __builtin_bswap32(raw);
}

inline void store_be16(char* at, uint16_t value) {
  uint16_t raw = __builtin_bswap16(value);
  std::memcpy(at, &raw, sizeof raw);
}

inline void store_be32(char* at, uint32_t value) {
  uint32_t raw = __builtin_bswap32(value);
  std::memcpy(at, &raw, sizeof raw);
}

inline void append_be16(std::string& out, uint16_t value) {
  char raw[2];
  store_be16(raw, value);
  out.append(raw, sizeof raw);
}

inline void append_be32(std::string& out, uint32_t value) {
  char raw[4];
  store_be32(raw, value);
  out.append(raw, sizeof raw);
}

// "a1b2..." of at most `most` bytes, for log lines about packets that make no sense.
std::string hex(ByteView bytes, size_t most = 64);

// Overwrites with zeros in a way that the compiler keeps; for secrets.
void wipe(std::string& secret);
void wipe(char* at, size_t size);

}  // namespace pgweir
