// The shapes of secrets.
#include "auth/secret.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "auth/digest.hpp"
#include "auth/random.hpp"
#include "base/text.hpp"

namespace pgweir::auth {

namespace {
constexpr ByteView kScramPrefix = "SCRAM-SHA-256$";
constexpr size_t kMd5Digits = 32;

bool is_md5_shape(ByteView text) {
  if (text.size() != 3 + kMd5Digits || !text.starts_with("md5")) return false;
  return std::all_of(text.begin() + 3, text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::shared_ptr<const ScramVerifier> verifier_in(ByteView text) {
  auto verifier = parse_scram_verifier(text);
  return verifier ? std::make_shared<const ScramVerifier>(std::move(*verifier)) : nullptr;
}

std::optional<SecretBytes> decode_key(ByteView text) {
  auto bytes = base64_decode(text, kSha256Size);
  if (!bytes || bytes->size() != kSha256Size) return std::nullopt;
  return SecretBytes(std::move(*bytes));
}
}  // namespace

std::optional<ScramVerifier> parse_scram_verifier(ByteView text) {
  if (!text.starts_with(kScramPrefix)) return std::nullopt;
  text.remove_prefix(kScramPrefix.size());
  const size_t colon = text.find(':');
  const size_t dollar = text.find('$');
  if (colon == ByteView::npos || dollar == ByteView::npos || dollar < colon) return std::nullopt;
  const size_t last_colon = text.find(':', dollar);
  if (last_colon == ByteView::npos) return std::nullopt;

  ScramVerifier verifier;
  int32_t iterations = 0;
  auto [end, failure] = std::from_chars(text.data(), text.data() + colon, iterations);
  if (failure != std::errc() || end != text.data() + colon || iterations <= 0) return std::nullopt;
  verifier.iterations = static_cast<uint32_t>(iterations);

  auto salt = base64_decode(text.substr(colon + 1, dollar - colon - 1));
  auto stored_key = decode_key(text.substr(dollar + 1, last_colon - dollar - 1));
  auto server_key = decode_key(text.substr(last_colon + 1));
  if (!salt || salt->empty() || !stored_key || !server_key) return std::nullopt;
  verifier.salt = std::move(*salt);
  verifier.stored_key = std::move(*stored_key);
  verifier.server_key = std::move(*server_key);
  return verifier;
}

std::string format_scram_verifier(const ScramVerifier& verifier) {
  return cat(kScramPrefix, verifier.iterations, ':', base64_encode(verifier.salt), '$',
             base64_encode(verifier.stored_key.view()), ':', base64_encode(verifier.server_key.view()));
}

const char* secret_kind_name(SecretKind kind) {
  static constexpr std::array<const char*, 4> kNames = {"none", "plain", "md5", "scram"};
  return kNames[static_cast<size_t>(kind)];
}

Secret::Secret(std::string text) : text_(std::move(text)), verifier_(verifier_in(text_.view())) {
  if (text_.empty()) {
    kind_ = SecretKind::kNone;
  } else if (verifier_) {
    kind_ = SecretKind::kScram;
  } else {
    kind_ = is_md5_shape(text_.view()) ? SecretKind::kMd5 : SecretKind::kPlain;
  }
}

Secret Secret::password(std::string text) {
  Secret secret;
  secret.kind_ = text.empty() ? SecretKind::kNone : SecretKind::kPlain;
  secret.text_ = SecretBytes(std::move(text));
  return secret;
}

bool Secret::same_as(const Secret& other) const {
  if (empty() || other.empty()) return empty() == other.empty();
  return same_secret(text(), other.text());
}

}  // namespace pgweir::auth
