// SCRAM-SHA-256, the side that proves. The server is as hostile as a client: it chooses nonce, salt and iterations.
#include <charconv>

#include "auth/digest.hpp"
#include "auth/password.hpp"
#include "auth/random.hpp"
#include "auth/scram.hpp"
#include "auth/scram_text.hpp"
#include "base/text.hpp"

namespace pgweir::auth {

namespace {
constexpr size_t kMaxMechanismList = 4096;  // bytes
constexpr size_t kMaxErrorText = 100;       // of an "e=" value that we repeat

Error failure(std::string reason) {
  return Error{"SCRAM: " + std::move(reason), "08P01"};
}

// Digits only; nothing for an empty or malformed number, the largest value for one that does not fit.
std::optional<uint64_t> parse_number(ByteView text) {
  if (text.empty() || text.find_first_not_of("0123456789") != ByteView::npos) return std::nullopt;
  uint64_t value = 0;
  auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failed == std::errc::result_out_of_range) return UINT64_MAX;
  return value;
}
}  // namespace

ScramClient ScramClient::with_password(ByteView password, ScramMemory memory) {
  ScramClient client;
  client.password_ = SecretBytes(saslprep(password));
  client.memory_ = std::move(memory);
  return client;
}

ScramClient ScramClient::with_keys(ScramKeys keys) {
  ScramClient client;
  client.memory_.keys = std::move(keys);
  client.pass_through_ = true;
  return client;
}

Result<std::string> ScramClient::first() {
  if (step_ != Step::kFirst) return failure("started twice");
  step_ = Step::kOver;
  if (pass_through_ && (memory_.keys.client_key.size() != kSha256Size || memory_.keys.server_key.size() != kSha256Size))
    return failure("keys of a wrong size");
  if (own_nonce_.empty()) {
    auto random = random_bytes(kScramNonceBytes);
    if (!random) return failure(random.error().message);
    own_nonce_ = base64_encode(*random);
  }
  client_first_bare_ = "n=,r=" + own_nonce_;  // the user is the startup packet's, as with libpq
  step_ = Step::kServerFirst;
  return "n,," + client_first_bare_;
}

Result<void> ScramClient::read_server_first(ByteView server_first) {
  if (step_ != Step::kServerFirst) return failure("server-first-message out of order");
  step_ = Step::kOver;
  auto parsed = parse_server_first(server_first);
  if (!parsed) return parsed;
  step_ = Step::kFinal;
  return {};
}

Result<void> ScramClient::parse_server_first(ByteView server_first) {
  if (server_first.size() > kMaxScramMessage) return failure("server-first-message too long");
  detail::ScramReader reader(server_first);
  if (reader.next_is('m')) return failure("server demands an extension");
  auto nonce = reader.take('r');
  if (!nonce || !nonce->starts_with(own_nonce_) || nonce->size() <= own_nonce_.size())
    return failure("server's nonce does not extend ours");
  if (nonce->size() - own_nonce_.size() > kMaxScramNonce) return failure("server's nonce is too long");
  if (!detail::is_scram_printable(*nonce)) return failure("server's nonce is not printable");
  auto salt_text = reader.take('s');
  if (!salt_text) return failure("no salt in server-first-message");
  auto salt = base64_decode(*salt_text, kMaxScramSalt);
  if (!salt || salt->empty()) return failure("malformed or over-long salt");
  auto iterations_text = reader.take('i');
  auto iterations = iterations_text ? parse_number(*iterations_text) : std::nullopt;
  if (!iterations || *iterations == 0) return failure("malformed iteration count");
  if (*iterations > kMaxScramIterations)
    return failure(cat("server asks for more than ", kMaxScramIterations, " iterations"));
  if (!reader.done()) return failure("unexpected bytes at the end of server-first-message");

  remembered_ = !pass_through_ && memory_.iterations == *iterations && memory_.salt == *salt &&
                memory_.keys.client_key.size() == kSha256Size && memory_.keys.server_key.size() == kSha256Size;
  memory_.salt = std::move(*salt);
  memory_.iterations = static_cast<uint32_t>(*iterations);
  nonce_ = *nonce;
  server_first_ = server_first;
  return {};
}

uint32_t ScramClient::rounds() const {
  return pass_through_ || remembered_ || step_ != Step::kFinal ? 0 : memory_.iterations;
}

Result<void> ScramClient::make_keys() {
  SecretBytes salted(pbkdf2_sha256(password_.view(), memory_.salt, memory_.iterations));
  if (salted.empty()) return failure("PBKDF2 failed");
  memory_.keys.client_key = SecretBytes(hmac_sha256(salted.view(), "Client Key"));
  memory_.keys.server_key = SecretBytes(hmac_sha256(salted.view(), "Server Key"));
  return {};
}

Result<std::string> ScramClient::final() {
  if (step_ != Step::kFinal) return failure("client-final-message out of order");
  step_ = Step::kOver;
  if (!pass_through_ && !remembered_) {
    auto made = make_keys();
    if (!made) return made.error();
  }
  const std::string without_proof = "c=biws,r=" + nonce_;
  auth_message_ = cat(client_first_bare_, ',', server_first_, ',', without_proof);
  SecretBytes stored_key(sha256(memory_.keys.client_key.view()));
  SecretBytes signature(hmac_sha256(stored_key.view(), auth_message_));
  const std::string proof = exclusive_or(memory_.keys.client_key.view(), signature.view());
  if (proof.size() != kSha256Size) return failure("SHA-256 failed");
  step_ = Step::kVerify;
  return cat(without_proof, ",p=", base64_encode(proof));
}

Result<void> ScramClient::verify(ByteView server_final) {
  if (step_ != Step::kVerify) return failure("server-final-message out of order");
  step_ = Step::kOver;
  if (server_final.size() > kMaxScramMessage) return failure("server-final-message too long");
  detail::ScramReader reader(server_final);
  if (auto error = reader.take('e')) {
    ByteView text = error->substr(0, kMaxErrorText);
    return failure(detail::is_scram_printable(text) ? cat("server says ", text) : "server says an unprintable error");
  }
  auto text = reader.take('v');
  if (!text || !reader.done()) return failure("malformed server-final-message");
  auto signature = base64_decode(*text, kSha256Size);
  const std::string expected = hmac_sha256(memory_.keys.server_key.view(), auth_message_);
  if (!signature || signature->size() != kSha256Size || !same_secret(*signature, expected))
    return Error{"invalid server signature", "08P01"};
  verified_ = !pass_through_;
  return {};
}

Result<void> choose_scram_mechanism(ByteView list) {
  if (list.size() > kMaxMechanismList) return Error{"the server's list of SASL mechanisms is too long", "08P01"};
  bool found = false;
  while (true) {
    const size_t end = list.find('\0');
    if (end == ByteView::npos) return Error{"the server's list of SASL mechanisms is malformed", "08P01"};
    if (end == 0) break;
    found = found || list.substr(0, end) == kScramMechanism;
    list.remove_prefix(end + 1);
  }
  if (list.size() != 1) return Error{"the server's list of SASL mechanisms is malformed", "08P01"};
  if (!found) return Error{"none of the server's SASL authentication mechanisms are supported", "08P01"};
  return {};
}

}  // namespace pgweir::auth
