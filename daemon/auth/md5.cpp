// The md5 method.
#include "auth/md5.hpp"

#include "auth/digest.hpp"

namespace pgweir::auth {

namespace {
// An md5 secret that nobody knows the password of, so that unknown users cost the same hashes.
constexpr ByteView kNobody = "md500000000000000000000000000000000";

std::string response_to(ByteView stored, ByteView salt) {
  if (stored.size() != kNobody.size()) return {};
  SecretBytes input(std::string(stored.substr(3)).append(salt));
  std::string digits = md5_hex(input.view());
  return digits.empty() ? digits : "md5" + digits;
}
}  // namespace

std::string md5_secret(ByteView password, ByteView user) {
  SecretBytes input(std::string(password).append(user));
  std::string digits = md5_hex(input.view());
  return digits.empty() ? digits : "md5" + digits;
}

std::string md5_response(const Secret& secret, ByteView user, ByteView salt) {
  if (secret.kind() == SecretKind::kMd5) return response_to(secret.text(), salt);
  if (secret.kind() != SecretKind::kPlain) return {};
  SecretBytes stored(md5_secret(secret.text(), user));
  return response_to(stored.view(), salt);
}

bool md5_verify(const Secret& secret, ByteView user, ByteView salt, ByteView response) {
  // Always hash twice, whatever the kind: the first result serves plain secrets only.
  const bool plain = secret.kind() == SecretKind::kPlain;
  SecretBytes hashed(md5_secret(plain ? secret.text() : kNobody, user));
  ByteView stored = plain ? hashed.view() : secret.kind() == SecretKind::kMd5 ? secret.text() : kNobody;
  SecretBytes expected(response_to(stored, salt));
  const bool equal = same_secret(expected.view(), response);
  return equal && (plain || secret.kind() == SecretKind::kMd5);
}

}  // namespace pgweir::auth
