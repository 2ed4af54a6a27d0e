// Work that costs many hashes, done off the loop: PBKDF2 for passwords and verifiers. Promises: the work owns what it
// touches, so a login may vanish while it runs; with a full queue it is done in place, slowly but surely. Private to
// login/.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "auth/scram.hpp"
#include "auth/secret.hpp"
#include "net/task.hpp"
#include "session/hub.hpp"

namespace pgweir::login {

// auth::verify_password, for every kind of secret.
net::Task<bool> check_password(session::Hub& hub, auth::Secret secret, std::string user, auth::SecretBytes password,
                               uint32_t mock_iterations);

// The verifier of a plain password; nothing when it cannot be made.
net::Task<std::optional<auth::ScramVerifier>> make_verifier(session::Hub& hub, auth::Secret plain, std::string salt,
                                                            uint32_t iterations);

// ScramClient::final(); the client is handed over and back because the work may outlive the caller.
struct FinalProof {
  auth::ScramClient client;
  std::optional<std::string> message;  // nothing: `error`
  std::string error;
};
net::Task<std::shared_ptr<FinalProof>> make_final_proof(session::Hub& hub, auth::ScramClient client);

// Under which mark a ScramMemo keeps what was made from this secret: a keyed hash, so that it tells nothing.
std::string mark_of(const session::Hub& hub, ByteView secret, ByteView user);

// The mark of keys that a proof against this verifier has left: its own two keys, for they belong to no other.
std::string mark_of(const auth::ScramVerifier& verifier);

}  // namespace pgweir::login
