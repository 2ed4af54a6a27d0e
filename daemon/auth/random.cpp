// Random bytes and strict codecs. Decoders are table-free: they see short texts only.
#include "auth/random.hpp"

#include <limits>

#include <openssl/rand.h>

namespace pgweir::auth {

namespace {
constexpr char kBase64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  if (c == '/') return 63;
  return -1;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}
}  // namespace

Result<std::string> random_bytes(size_t count) {
  std::string bytes(count, '\0');
  if (count > static_cast<size_t>(std::numeric_limits<int>::max())) return Error{"too many random bytes asked for"};
  if (count != 0 && RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(count)) != 1)
    return Error{"no random bytes: the generator of OpenSSL failed"};
  return bytes;
}

std::string base64_encode(ByteView bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t at = 0; at < bytes.size(); at += 3) {
    size_t have = std::min<size_t>(3, bytes.size() - at);
    uint32_t group = 0;
    for (size_t i = 0; i < 3; ++i)
      group = group << 8 | (i < have ? static_cast<unsigned char>(bytes[at + i]) : 0u);
    for (size_t i = 0; i < 4; ++i)
      out.push_back(i <= have ? kBase64[group >> (18 - 6 * i) & 63] : '=');
  }
  return out;
}

std::optional<std::string> base64_decode(ByteView text, size_t most) {
  if (text.size() % 4 != 0 || text.size() / 4 > most / 3 + 1) return std::nullopt;
  size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=')
    ++padding;
  std::string out;
  out.reserve(text.size() / 4 * 3);
  for (size_t at = 0; at < text.size(); at += 4) {
    size_t digits = at + 4 == text.size() ? 4 - padding : 4;
    uint32_t group = 0;
    for (size_t i = 0; i < 4; ++i) {
      int value = i < digits ? base64_value(text[at + i]) : 0;
      if (value < 0) return std::nullopt;
      group = group << 6 | static_cast<uint32_t>(value);
    }
    const uint32_t stray = digits == 4 ? 0 : (1u << (8 * (4 - digits))) - 1;
    if (group & stray) return std::nullopt;
    for (size_t i = 0; i + 1 < digits; ++i)
      out.push_back(static_cast<char>(group >> (16 - 8 * i) & 255));
  }
  if (out.size() > most) return std::nullopt;
  return out;
}

std::string hex_encode(ByteView bytes) {
  return hex(bytes, bytes.size());
}

std::optional<std::string> hex_decode(ByteView text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string out;
  out.reserve(text.size() / 2);
  for (size_t at = 0; at < text.size(); at += 2) {
    int high = hex_value(text[at]);
    int low = hex_value(text[at + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out.push_back(static_cast<char>(high << 4 | low));
  }
  return out;
}

}  // namespace pgweir::auth
