#include "base/bytes.hpp"

#include <algorithm>

namespace pgweir {

std::string hex(ByteView bytes, size_t most) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (unsigned char c : bytes.substr(0, std::min(most, bytes.size()))) {
    out.push_back(kDigits[c >> 4]);
    out.push_back(kDigits[c & 15]);
  }
  return out;
}

void wipe(char* at, size_t size) {
  explicit_bzero(at, size);
}

void wipe(std::string& secret) {
  if (!secret.empty()) wipe(secret.data(), secret.size());
  secret.clear();
}

}  // namespace pgweir
