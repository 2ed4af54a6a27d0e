// SCRAM-SHA-256 (RFC 5802, 7677) as PostgreSQL speaks it, without channel binding: the side that asks (ScramServer) and
// the side that proves (ScramClient). Pure: bytes in, bytes out; who sends them, and when to give up, is login/'s part.
// Promises: every byte of the peer is bounded before use, comparisons are constant time, keys are wiped. An Error's
// message is for the log; the client is told kScramFailed (kScramWrongMechanism for a wrong mechanism), SQLSTATE 08P01.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "auth/secret.hpp"
#include "base/bytes.hpp"
#include "base/result.hpp"

namespace pgweir::auth {

inline constexpr char kScramMechanism[] = "SCRAM-SHA-256";
inline constexpr char kScramFailed[] = "SASL authentication failed";
inline constexpr char kScramWrongMechanism[] = "client selected an invalid SASL authentication mechanism";

inline constexpr uint32_t kMaxScramIterations =
    1'000'000;  // more is refused: it would burn a CPU for a peer's pleasure
inline constexpr size_t kMaxScramMessage = size_t{16} * 1024;  // bytes of any one message
inline constexpr size_t kMaxScramNonce = 1024;                 // bytes, each side's part
inline constexpr size_t kScramNonceBytes = 18;                 // of ours; 24 characters in base64, as PostgreSQL's
inline constexpr size_t kMaxScramSalt = 1024;                  // bytes, decoded
inline constexpr size_t kScramSaltSize = 16;                   // of the salts that we make

// The verifier of a plain password. Costs `iterations` rounds of PBKDF2 (about 0.4 ms per 1000): callers cache the
// result per user record, and run it off the loop where iterations exceed kScramIterationsOnLoop.
// Error: iterations 0 or above kMaxScramIterations.
Result<ScramVerifier> derive_scram_verifier(ByteView password, ByteView salt, uint32_t iterations);
inline constexpr uint32_t kScramIterationsOnLoop = 16 * 1024;  // about 6 ms

// A salt for `user`: stable during the process, unpredictable outside it. For users who do not exist, and for verifiers
// made from plain secrets, so that the two look alike. `process_key`: 32 random bytes made at start.
std::string scram_salt(ByteView process_key, ByteView user);

// The mechanism name in a SASLInitialResponse. Error: message kScramWrongMechanism, fit for the client.
Result<void> check_scram_mechanism(ByteView mechanism);

class ScramServer {
 public:
  // A real exchange against a stored or derived verifier.
  static ScramServer genuine(std::shared_ptr<const ScramVerifier> verifier);  // never null
  static ScramServer genuine(ScramVerifier verifier);

  // An exchange that looks and costs the same, and always fails at its end: unknown users, empty or md5 secrets.
  static ScramServer mock(ByteView user, ByteView process_key, uint32_t iterations);

  // kScramNonceBytes random bytes, of which first() makes its part of the nonce. Without, it draws its own.
  void give_nonce(ByteView random);

  // client-first-message in, server-first-message out. gs2 flags n and y; p, authzid and m= are refused; the user name
  // is ignored (the startup packet's counts).
  Result<std::string> first(ByteView client_first);

  struct Success {
    std::string server_final;  // for AuthenticationSASLFinal
    ScramKeys keys;            // for pass-through
  };
  // client-final-message in. Call once, after a successful first().
  Result<Success> final(ByteView client_final);

  bool is_mock() const { return mock_; }
  void set_nonce_for_test(std::string nonce) { own_nonce_ = std::move(nonce); }

 private:
  enum class Step { kFirst, kFinal, kOver };
  ScramServer(std::shared_ptr<const ScramVerifier> verifier, bool mock) : verifier_(std::move(verifier)), mock_(mock) {}

  std::shared_ptr<const ScramVerifier> verifier_;
  bool mock_;
  Step step_ = Step::kFirst;
  char binding_flag_ = 'n';
  std::string own_nonce_;          // empty: made by first()
  std::string nonce_;              // the client's and ours
  std::string client_first_bare_;  // both for the AuthMessage
  std::string server_first_;
};

// What a verified login teaches about a password: with the same salt and iterations the next one needs no PBKDF2. Keep
// it with the password that it came from, and drop it with that.
struct ScramMemory {
  std::string salt;
  uint32_t iterations = 0;
  ScramKeys keys;
};

class ScramClient {
 public:
  // Prepared by saslprep() here. `memory` of an earlier login with this password, or {}.
  static ScramClient with_password(ByteView password, ScramMemory memory = {});
  static ScramClient with_keys(ScramKeys keys);  // pass-through: no password anywhere

  // The client-first-message. Error: no random bytes.
  Result<std::string> first();

  // Reads the server-first-message; cheap. Error: malformed, or beyond the bounds above.
  Result<void> read_server_first(ByteView server_first);

  // PBKDF2 rounds that final() is going to spend: above kScramIterationsOnLoop run it off the loop. 0 with keys.
  uint32_t rounds() const;

  // The client-final-message. After read_server_first().
  Result<std::string> final();

  // Checks the server's signature: only after this is the server known to know the secret. Error: "e=..." of the
  // server (bounded, printable), malformed, or a wrong signature ("invalid server signature").
  Result<void> verify(ByteView server_final);

  // After a successful verify(); empty salt before.
  ScramMemory memory() const { return step_ == Step::kOver && verified_ ? memory_ : ScramMemory{}; }

  void set_nonce_for_test(std::string nonce) { own_nonce_ = std::move(nonce); }

 private:
  enum class Step { kFirst, kServerFirst, kFinal, kVerify, kOver };
  ScramClient() = default;
  Result<void> parse_server_first(ByteView server_first);
  Result<void> make_keys();

  SecretBytes password_;
  bool pass_through_ = false;  // memory_ holds keys for any salt
  bool remembered_ = false;    // memory_ holds keys for the salt of this login
  bool verified_ = false;
  Step step_ = Step::kFirst;
  ScramMemory memory_;
  std::string own_nonce_;  // empty: made by first()
  std::string nonce_;
  std::string client_first_bare_;
  std::string server_first_;
  std::string auth_message_;
};

// Does the list of an AuthenticationSASL message (names each closed by NUL, then an empty one) offer SCRAM-SHA-256?
// Error, fit for the waiting clients: malformed or over-long list; none of the mechanisms supported.
Result<void> choose_scram_mechanism(ByteView list);

}  // namespace pgweir::auth
