// Secrets as stored in auth_file, in `password=` or by auth_query, and the bytes of keys: wiped when they die.
// Promises: the kind is decided by shape exactly as PgBouncer decides it (compat/auth.md, section 1).
// Does not promise that a secret never was in memory elsewhere: who reads a file wipes its own buffer.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/bytes.hpp"

namespace pgweir::auth {

// A string of bytes that is overwritten when it is destroyed, assigned or moved from.
class SecretBytes {
 public:
  SecretBytes() = default;
  explicit SecretBytes(std::string bytes) : bytes_(std::move(bytes)) { scrub(bytes); }
  SecretBytes(const SecretBytes&) = default;
  SecretBytes(SecretBytes&& other) noexcept : bytes_(std::move(other.bytes_)) { scrub(other.bytes_); }
  SecretBytes& operator=(const SecretBytes& other) {
    if (this != &other) {
      wipe(bytes_);
      bytes_ = other.bytes_;
    }
    return *this;
  }
  SecretBytes& operator=(SecretBytes&& other) noexcept {
    if (this != &other) {
      wipe(bytes_);
      bytes_ = std::move(other.bytes_);
      scrub(other.bytes_);
    }
    return *this;
  }
  ~SecretBytes() { wipe(bytes_); }

  ByteView view() const { return bytes_; }
  bool empty() const { return bytes_.empty(); }
  size_t size() const { return bytes_.size(); }

 private:
  // A short string leaves its bytes behind when moved from, beyond its size.
  static void scrub(std::string& moved_from) {
    moved_from.resize(moved_from.capacity());  // NOLINT(clang-analyzer-cplusplus.Move): on purpose
    wipe(moved_from);
  }

  std::string bytes_;
};

// What a server keeps of a SCRAM-SHA-256 password: enough to verify a proof, not enough to make one.
struct ScramVerifier {
  uint32_t iterations = 0;
  std::string salt;        // decoded
  SecretBytes stored_key;  // 32 bytes
  SecretBytes server_key;  // 32 bytes
};

// What a login by SCRAM leaves behind: enough to log in to any server that holds the same verifier (pass-through,
// compat/auth.md, section 4).
struct ScramKeys {
  SecretBytes client_key;  // 32 bytes
  SecretBytes server_key;  // 32 bytes
};

// Reads "SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey" (the form of pg_authid.rolpassword). Nothing on any
// deviation: bad base64, a key that is not 32 bytes, iterations outside 1 to 2^31-1.
std::optional<ScramVerifier> parse_scram_verifier(ByteView text);

// The inverse.
std::string format_scram_verifier(const ScramVerifier& verifier);

enum class SecretKind {
  kNone,   // no or empty secret: never matches anything, by any method that asks for a proof
  kPlain,  // anything that is not one of the next two
  kMd5,    // "md5" and 32 lower-case hex digits: md5(password || user)
  kScram,  // a SCRAM verifier
};
const char* secret_kind_name(SecretKind kind);  // "none", "plain", "md5", "scram"

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string text);         // the kind is decided by the shape of `text`
  static Secret password(std::string text);  // plain, whatever its shape

  SecretKind kind() const { return kind_; }
  ByteView text() const { return text_.view(); }
  bool empty() const { return kind_ == SecretKind::kNone; }
  // Of a SCRAM secret: what its text says, read once. Null for the other kinds.
  const std::shared_ptr<const ScramVerifier>& verifier() const { return verifier_; }

  // Same text; in constant time.
  bool same_as(const Secret& other) const;

 private:
  SecretKind kind_ = SecretKind::kNone;
  SecretBytes text_;
  std::shared_ptr<const ScramVerifier> verifier_;
};

}  // namespace pgweir::auth
