// libcrypto's digests behind plain functions. Failure is an empty string, see the header.
#include "auth/digest.hpp"

#include <array>
#include <limits>
#include <memory>

#include <openssl/crypto.h>
#include <openssl/evp.h>

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

struct FreeDigest {
  void operator()(EVP_MD* kind) const { EVP_MD_free(kind); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

// Looked up once: OpenSSL 3 does it anew for each digest that begins with EVP_sha256(). Null: refused.
const EVP_MD* sha256_kind() {
  static const std::unique_ptr<EVP_MD, FreeDigest> kKind(EVP_MD_fetch(nullptr, "SHA256", nullptr));
  return kKind.get();
}

constexpr size_t kBlock = 64;  // of SHA-256, which HMAC pads its key to

// HMAC by hand (RFC 2104), with one context for both hashes: HMAC() and EVP_MAC look everything up by name and make
// three contexts for each call, which costs several times the hashing of a short message.
class Hmac {
 public:
  explicit Hmac(ByteView key) {
    std::string hashed;
    const bool too_long = key.size() > kBlock;
    if (too_long) key = hashed = sha256(key);
    good_ = context_ && sha256_kind() && (!too_long || !hashed.empty());
    key.copy(key_.data(), kBlock);
    wipe(hashed);
  }
  ~Hmac() { wipe(key_.data(), key_.size()); }
  Hmac(const Hmac&) = delete;
  Hmac& operator=(const Hmac&) = delete;

  std::string of(ByteView bytes) {
    std::string inner(kSha256Size, '\0');
    std::string outer(kSha256Size, '\0');
    good_ = good_ && pass(0x36, bytes, inner) && pass(0x5c, inner, outer);
    return good_ ? outer : std::string();
  }

 private:
  bool pass(char pad, ByteView bytes, std::string& out) {
    std::array<char, kBlock> padded{};
    for (size_t at = 0; at < kBlock; ++at)
      padded[at] = static_cast<char>(key_[at] ^ pad);
    unsigned written = 0;
    const bool done = EVP_DigestInit_ex2(context_.get(), sha256_kind(), nullptr) == 1 &&
                      EVP_DigestUpdate(context_.get(), padded.data(), kBlock) == 1 &&
                      EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1 &&
                      EVP_DigestFinal_ex(context_.get(), raw(out), &written) == 1;
    wipe(padded.data(), kBlock);
    return done && written == kSha256Size;
  }

  std::array<char, kBlock> key_{};
  std::unique_ptr<EVP_MD_CTX, FreeDigest> context_{EVP_MD_CTX_new()};
  bool good_ = false;
};
}  // namespace

std::string md5_hex(ByteView bytes) {
  return hex_encode(digest(bytes, EVP_md5(), 16));
}

std::string sha256(ByteView bytes) {
  const EVP_MD* kind = sha256_kind();
  return kind ? digest(bytes, kind, kSha256Size) : std::string();
}

std::string hmac_sha256(ByteView key, ByteView bytes) {
  return Hmac(key).of(bytes);
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
