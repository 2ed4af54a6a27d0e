// SCRAM-SHA-256 with a client (compat/auth.md, section 3). A client that proves itself against a stored verifier leaves
// the keys behind by which pgweir can log in to servers as that user (pass-through) - never under another user's name.
#include <array>

#include "auth/scram.hpp"
#include "auth/userlist.hpp"
#include "base/text.hpp"
#include "login/client_flow.hpp"
#include "login/offloaded.hpp"
#include "session/say.hpp"
#include "wire/builder.hpp"
#include "wire/reader.hpp"

namespace pgweir::login {

namespace {

struct InitialResponse {
  ByteView mechanism;
  ByteView data;
  bool whole = false;
};

InitialResponse read_initial(ByteView body) {
  wire::Reader reader(body);
  InitialResponse initial;
  initial.mechanism = reader.cstring();
  const int32_t size = reader.i32();
  if (!reader.ok() || size < 0) return initial;
  initial.data = reader.bytes(static_cast<uint64_t>(size));
  initial.whole = reader.at_end();
  return initial;
}

// The cost that a mock should have: that of most users here.
uint32_t mock_iterations(const ClientLogin& login) {
  const uint32_t usual = login.snapshot->userlist ? login.snapshot->userlist->scram_iterations() : 0;
  return usual > 0 ? usual : static_cast<uint32_t>(login.snapshot->global.scram_iterations);
}

// The verifier of a plain secret, made once for each secret.
net::Task<std::optional<auth::ScramVerifier>> verifier_of_plain(ClientLogin& login) {
  const auto iterations = static_cast<uint32_t>(login.snapshot->global.scram_iterations);
  std::shared_ptr<pool::SharedUser> user = login.client.user;
  const std::string mark = mark_of(login.hub, cat(iterations, ':', login.secret.text()), login.user);
  if (auto note = user->verifier.find(mark)) {
    auth::ScramVerifier known{note->iterations, note->salt, auth::SecretBytes(note->first_key),
                              auth::SecretBytes(note->server_key)};
    co_return std::optional<auth::ScramVerifier>(std::move(known));
  }
  const std::string salt = auth::scram_salt(login.hub.process_secret, login.user);
  std::optional<auth::ScramVerifier> made = co_await make_verifier(login.hub, login.secret, salt, iterations);
  if (made) {
    pool::ScramNote note;
    note.mark = mark;
    note.salt = made->salt;
    note.iterations = made->iterations;
    note.first_key = made->stored_key.view();
    note.server_key = made->server_key.view();
    user->verifier.keep(note);
  }
  co_return std::move(made);
}

net::Task<std::optional<auth::ScramServer>> choose_prover(ClientLogin& login) {
  std::optional<auth::ScramVerifier> verifier;
  if (login.secret.verifier()) co_return auth::ScramServer::genuine(login.secret.verifier());
  if (login.secret.kind() == auth::SecretKind::kPlain) {
    verifier = co_await verifier_of_plain(login);
  }
  if (!verifier) {
    co_return auth::ScramServer::mock(login.user, login.hub.process_secret, mock_iterations(login));
  }
  co_return auth::ScramServer::genuine(std::move(*verifier));
}

void keep_keys(ClientLogin& login, const auth::ScramKeys& keys) {
  if (!login.secret.verifier()) return;
  pool::ScramNote note;
  note.mark = mark_of(*login.secret.verifier());
  if (login.client.user->client_keys.holds(note.mark)) return;
  note.first_key = keys.client_key.view();
  note.server_key = keys.server_key.view();
  login.client.user->client_keys.keep(note);
}

bool fail(ClientLogin& login, const Error& why) {
  login.hub.log.debug(cat(log_prefix(login.client), "SCRAM: ", why.message));
  return login.refuse(why.message == auth::kScramWrongMechanism ? auth::kScramWrongMechanism : auth::kScramFailed);
}

}  // namespace

net::Task<bool> prove_by_scram(ClientLogin& login) {
  std::string message;
  std::array<char, auth::kScramNonceBytes> random{};
  std::optional<auth::ScramServer> prover = co_await choose_prover(login);
  if (login.gone()) co_return false;
  wire::append_authentication_sasl(message, {auth::kScramMechanism});
  if (!login.send(message)) co_return false;

  bool answered = co_await read_answer(login);
  if (!answered) co_return false;
  InitialResponse initial = read_initial(login.inbox.body());
  auto mechanism = auth::check_scram_mechanism(initial.mechanism);
  if (!mechanism) co_return fail(login, mechanism.error());
  if (!initial.whole) co_return login.refuse(auth::kScramFailed);
  login.hub.draw_random(random.data(), random.size());
  prover->give_nonce(ByteView(random.data(), random.size()));
  auto challenge = prover->first(initial.data);
  if (!challenge) co_return fail(login, challenge.error());
  message.clear();
  wire::append_authentication_sasl_continue(message, *challenge);
  if (!login.send(message)) co_return false;

  answered = co_await read_answer(login);
  if (!answered) co_return false;
  auto success = prover->final(login.inbox.body());
  if (!success || !login.known) {  // for who watches the log for passwords that are tried
    say(login.hub, login.client, session::said(Level::kLog, Event::kLoginFailed), "password authentication failed");
  }
  if (!success) co_return fail(login, success.error());
  if (!login.known) co_return login.refuse(auth::kScramFailed);
  keep_keys(login, success->keys);
  message.clear();
  wire::append_authentication_sasl_final(message, success->server_final);
  co_return login.send(message);
}

}  // namespace pgweir::login
