// libcrypto's digests behind plain functions. Failure is an empty string, see the header.
#include "auth/digest.hpp"

#include <limits>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "auth/random.hpp"

namespace pgweir::auth {

namespace {
const unsigned char* raw(ByteView bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

unsigned char* raw(std::string& bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());
}

bool fits_int(ByteView bytes) {
  return bytes.size() <= static_cast<size_t>(std::numeric_limits<int>::max());
}

std::string digest(ByteView bytes, const EVP_MD* kind, size_t size) {
  std::string out(size, '\0');
  unsigned written = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), raw(out), &written, kind, nullptr) != 1 || written != size) return {};
  return out;
}
}  // namespace

std::string md5_hex(ByteView bytes) {
  return hex_encode(digest(bytes, EVP_md5(), 16));
}

std::string sha256(ByteView bytes) {
  return digest(bytes, EVP_sha256(), kSha256Size);
}

std::string hmac_sha256(ByteView key, ByteView bytes) {
  std::string out(kSha256Size, '\0');
  unsigned written = 0;
  static constexpr unsigned char kNoKey[1] = {0};  // a null key means "reuse the last one" to HMAC()
  const void* key_bytes = key.empty() ? kNoKey : raw(key);
  if (!fits_int(key)) return {};
  if (!HMAC(EVP_sha256(), key_bytes, static_cast<int>(key.size()), raw(bytes), bytes.size(), raw(out), &written))
    return {};
  return written == kSha256Size ? out : std::string();
}

std::string pbkdf2_sha256(ByteView password, ByteView salt, uint32_t iterations) {
  if (!fits_int(password) || !fits_int(salt) || iterations == 0 ||
      iterations > static_cast<uint32_t>(std::numeric_limits<int>::max()))
    return {};
  std::string out(kSha256Size, '\0');
  if (PKCS5_PBKDF2_HMAC(password.data() ? password.data() : "", static_cast<int>(password.size()), raw(salt),
                        static_cast<int>(salt.size()), static_cast<int>(iterations), EVP_sha256(), kSha256Size,
                        raw(out)) != 1)
    return {};
  return out;
}

std::string exclusive_or(ByteView a, ByteView b) {
  if (a.size() != b.size()) return {};
  std::string out(a);
  for (size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<char>(out[i] ^ b[i]);
  return out;
}

bool same_secret(ByteView a, ByteView b) {
  if (a.empty() || a.size() != b.size()) return false;
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace pgweir::auth
