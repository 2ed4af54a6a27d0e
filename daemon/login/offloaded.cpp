#include "login/offloaded.hpp"

#include "auth/digest.hpp"
#include "auth/password.hpp"
#include "base/text.hpp"
#include "net/offload.hpp"

namespace pgweir::login {

namespace {

struct PasswordCheck {
  auth::Secret secret;
  std::string user;
  auth::SecretBytes password;
  uint32_t mock_iterations = 0;
  bool matches = false;
  void run() { matches = auth::verify_password(secret, user, password.view(), mock_iterations); }
};

struct VerifierWork {
  auth::Secret plain;
  std::string salt;
  uint32_t iterations = 0;
  std::optional<auth::ScramVerifier> verifier;
  void run() {
    auto made = auth::derive_scram_verifier(plain.text(), salt, iterations);
    if (made) verifier = made.take();
  }
};

void prove(FinalProof& proof) {
  auto made = proof.client.final();
  if (made) {
    proof.message = made.take();
  } else {
    proof.error = made.error().message;
  }
}

}  // namespace

net::Task<bool> check_password(session::Hub& hub, auth::Secret secret, std::string user, auth::SecretBytes password,
                               uint32_t mock_iterations) {
  auto check = std::make_shared<PasswordCheck>();
  check->secret = std::move(secret);
  check->user = std::move(user);
  check->password = std::move(password);
  check->mock_iterations = mock_iterations;
  const bool costly = check->secret.kind() == auth::SecretKind::kScram || mock_iterations > 0;
  net::Offloaded how = net::Offloaded::kRefused;
  if (costly) {
    std::function<void()> work = [check] { check->run(); };
    how = co_await net::offload(hub.loop, work);
  }
  if (how == net::Offloaded::kRefused) check->run();
  co_return check->matches;
}

net::Task<std::optional<auth::ScramVerifier>> make_verifier(session::Hub& hub, auth::Secret plain, std::string salt,
                                                            uint32_t iterations) {
  auto job = std::make_shared<VerifierWork>();
  job->plain = std::move(plain);
  job->salt = std::move(salt);
  job->iterations = iterations;
  std::function<void()> work = [job] { job->run(); };
  net::Offloaded how = co_await net::offload(hub.loop, work);
  if (how == net::Offloaded::kRefused) job->run();
  co_return std::move(job->verifier);
}

net::Task<std::shared_ptr<FinalProof>> make_final_proof(session::Hub& hub, auth::ScramClient client) {
  auto proof = std::make_shared<FinalProof>(FinalProof{std::move(client), std::nullopt, {}});
  net::Offloaded how = net::Offloaded::kRefused;
  if (proof->client.rounds() > 0) {
    std::function<void()> work = [proof] { prove(*proof); };
    how = co_await net::offload(hub.loop, work);
  }
  if (how == net::Offloaded::kRefused) prove(*proof);
  co_return proof;
}

std::string mark_of(const session::Hub& hub, ByteView secret, ByteView user) {
  return auth::hmac_sha256(hub.process_secret, cat(user, '\0', secret));
}

std::string mark_of(const auth::ScramVerifier& verifier) {
  return cat(verifier.stored_key.view(), verifier.server_key.view());
}

}  // namespace pgweir::login
