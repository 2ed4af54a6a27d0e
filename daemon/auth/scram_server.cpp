// SCRAM-SHA-256, the side that asks, and what verifiers are made of.
#include <cassert>

#include "auth/digest.hpp"
#include "auth/password.hpp"
#include "auth/random.hpp"
#include "auth/scram.hpp"
#include "auth/scram_text.hpp"
#include "base/text.hpp"

namespace pgweir::auth {

namespace {
Error failure(std::string reason) {
  return Error{"SCRAM: " + std::move(reason), "08P01"};
}
}  // namespace

Result<ScramVerifier> derive_scram_verifier(ByteView password, ByteView salt, uint32_t iterations) {
  if (iterations == 0 || iterations > kMaxScramIterations)
    return failure(cat(iterations, " iterations are not between 1 and ", kMaxScramIterations));
  SecretBytes prepared(saslprep(password));
  SecretBytes salted(pbkdf2_sha256(prepared.view(), salt, iterations));
  if (salted.empty()) return failure("PBKDF2 failed");
  SecretBytes client_key(hmac_sha256(salted.view(), "Client Key"));
  ScramVerifier verifier{iterations, std::string(salt), SecretBytes(sha256(client_key.view())),
                         SecretBytes(hmac_sha256(salted.view(), "Server Key"))};
  if (client_key.empty() || verifier.stored_key.empty() || verifier.server_key.empty())
    return failure("SHA-256 failed");
  return verifier;
}

std::string scram_salt(ByteView process_key, ByteView user) {
  assert(!process_key.empty());
  return hmac_sha256(process_key, cat("salt of ", user)).substr(0, kScramSaltSize);
}

Result<void> check_scram_mechanism(ByteView mechanism) {
  if (mechanism != kScramMechanism) return Error{kScramWrongMechanism, "08P01"};
  return {};
}

ScramServer ScramServer::genuine(std::shared_ptr<const ScramVerifier> verifier) {
  assert(verifier);
  return ScramServer(std::move(verifier), false);
}

ScramServer ScramServer::genuine(ScramVerifier verifier) {
  return genuine(std::make_shared<const ScramVerifier>(std::move(verifier)));
}

void ScramServer::give_nonce(ByteView random) {
  own_nonce_ = base64_encode(random);
}

ScramServer ScramServer::mock(ByteView user, ByteView process_key, uint32_t iterations) {
  ScramVerifier nobody{iterations, scram_salt(process_key, user),
                       SecretBytes(hmac_sha256(process_key, cat("stored key of ", user))),
                       SecretBytes(hmac_sha256(process_key, cat("server key of ", user)))};
  return ScramServer(std::make_shared<const ScramVerifier>(std::move(nobody)), true);
}

Result<std::string> ScramServer::first(ByteView client_first) {
  if (step_ != Step::kFirst) return failure("a second client-first-message");
  step_ = Step::kOver;
  if (client_first.size() > kMaxScramMessage) return failure("client-first-message too long");
  if (client_first.size() < 2) return failure("client-first-message too short");
  binding_flag_ = client_first[0];
  if (binding_flag_ == 'p') return failure("client asks for channel binding, which was not offered");
  if ((binding_flag_ != 'n' && binding_flag_ != 'y') || client_first[1] != ',')
    return failure("malformed channel-binding flag");
  client_first.remove_prefix(2);
  if (!client_first.starts_with(',')) return failure("client asks for an authorization identity, or is malformed");
  client_first.remove_prefix(1);

  detail::ScramReader reader(client_first);
  if (reader.next_is('m')) return failure("client demands an extension");
  if (!reader.take('n')) return failure("no user name in client-first-message");
  auto nonce = reader.take('r');
  if (!nonce || nonce->empty() || nonce->size() > kMaxScramNonce || !detail::is_scram_printable(*nonce))
    return failure("no proper nonce in client-first-message");
  while (!reader.done())
    if (!reader.skip_extension()) return failure("malformed extension in client-first-message");

  if (own_nonce_.empty()) {
    auto random = random_bytes(kScramNonceBytes);
    if (!random) return failure(random.error().message);
    own_nonce_ = base64_encode(*random);
  }
  nonce_ = cat(*nonce, own_nonce_);
  client_first_bare_ = client_first;
  server_first_ = cat("r=", nonce_, ",s=", base64_encode(verifier_->salt), ",i=", verifier_->iterations);
  step_ = Step::kFinal;
  return server_first_;
}

Result<ScramServer::Success> ScramServer::final(ByteView client_final) {
  if (step_ != Step::kFinal) return failure("client-final-message out of order");
  step_ = Step::kOver;
  if (client_final.size() > kMaxScramMessage) return failure("client-final-message too long");
  detail::ScramReader reader(client_final);
  auto binding = reader.take('c');
  if (!binding || *binding != (binding_flag_ == 'n' ? "biws" : "eSws"))
    return failure("channel binding does not match the client's flag");
  auto nonce = reader.take('r');
  if (!nonce || *nonce != nonce_) return failure("nonce does not match");
  while (!reader.done() && !reader.next_is('p'))
    if (!reader.skip_extension()) return failure("malformed extension in client-final-message");
  const ByteView without_proof = client_final.substr(0, client_final.size() - reader.left());
  auto proof_text = reader.take('p');
  if (!proof_text || !reader.done()) return failure("no proof at the end of client-final-message");
  auto proof = base64_decode(*proof_text, kSha256Size);
  if (!proof || proof->size() != kSha256Size) return failure("malformed proof");

  // `without_proof` still ends in the comma before "p=".
  const std::string auth_message =
      cat(client_first_bare_, ',', server_first_, ',', without_proof.substr(0, without_proof.size() - 1));
  SecretBytes signature(hmac_sha256(verifier_->stored_key.view(), auth_message));
  SecretBytes client_key(exclusive_or(*proof, signature.view()));
  SecretBytes stored_key(sha256(client_key.view()));
  const std::string server_signature = hmac_sha256(verifier_->server_key.view(), auth_message);
  const bool proven = same_secret(stored_key.view(), verifier_->stored_key.view());
  if (!proven || mock_ || client_key.empty() || server_signature.empty()) return failure("wrong password");
  return Success{"v=" + base64_encode(server_signature),
                 ScramKeys{std::move(client_key), SecretBytes(verifier_->server_key)}};
}

}  // namespace pgweir::auth
