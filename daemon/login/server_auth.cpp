// How pgweir proves itself to a server, and what the server says until it is ready (compat/auth.md, section 4). The
// server is not trusted: it gets no stored hash as a password, its SCRAM signature is verified before its
// AuthenticationOk counts, its errors may lack any field (CVE-2026-6666).
#include "auth/md5.hpp"
#include "base/text.hpp"
#include "login/offloaded.hpp"
#include "login/server_flow.hpp"
#include "session/say.hpp"
#include "wire/builder.hpp"
#include "wire/error_fields.hpp"
#include "wire/reader.hpp"
#include "wire/startup.hpp"

namespace pgweir::login {

using session::Reason;

namespace {

constexpr size_t kMostError = 4096;       // of a server's error text that is kept
constexpr size_t kMostParameters = 1000;  // ParameterStatus messages of a login

// AuthenticationXXX codes.
enum : uint32_t { kOk = 0, kCleartext = 3, kMd5 = 5, kSasl = 10, kSaslContinue = 11, kSaslFinal = 12 };

const std::string& user_of(const ServerLogin& login) {
  return login.shared->user->name;
}

ServerStep failed(ServerLogin& login, std::string_view told, std::string_view logged) {
  say(login.hub, login.server, session::said(Level::kError, Event::kServerRefused), logged);
  login.cannot(told);
  return ServerStep::kFailed;
}

ServerStep reply(ServerLogin& login, const std::string& message) {
  if (login.server.stream.send(message)) return ServerStep::kGoOn;
  login.fail(Reason::kServerLost, "server conn crashed?");
  return ServerStep::kFailed;
}

ServerStep send_cleartext(ServerLogin& login) {
  const auth::SecretKind kind = login.secret.kind();
  if (kind == auth::SecretKind::kMd5 || kind == auth::SecretKind::kScram)
    return failed(login, "wrong password type", "cannot do cleartext authentication: wrong password type");
  std::string message;
  wire::append_password(message, login.secret.text());
  const ServerStep step = reply(login, message);
  wipe(message);
  return step;
}

ServerStep send_md5(ServerLogin& login, ByteView salt) {
  if (salt.size() != auth::kMd5SaltSize) return login.fail(Got::kBadSize), ServerStep::kFailed;
  if (login.secret.kind() == auth::SecretKind::kScram)
    return failed(login, "wrong password type", "cannot do MD5 authentication: wrong password type");
  std::string message;
  wire::append_password(message, auth::md5_response(login.secret, user_of(login), salt));
  return reply(login, message);
}

// Keys that the pool's own user has left when he proved himself to us, against the secret that is still stored.
std::optional<auth::ScramKeys> passed_keys(const ServerLogin& login) {
  if (login.forced_user || login.secret.kind() != auth::SecretKind::kScram) return std::nullopt;
  std::string mark = mark_of(*login.secret.verifier());
  auto note = login.shared->user->client_keys.find(mark);
  wipe(mark);
  if (!note) return std::nullopt;
  return auth::ScramKeys{auth::SecretBytes(note->first_key), auth::SecretBytes(note->server_key)};
}

auth::ScramMemory remembered(ServerLogin& login) {
  login.scram_mark = mark_of(login.hub, login.secret.text(), user_of(login));
  auth::ScramMemory memory;
  if (auto note = login.shared->server_keys.find(login.scram_mark)) {
    memory.salt = note->salt;
    memory.iterations = note->iterations;
    memory.keys = {auth::SecretBytes(note->first_key), auth::SecretBytes(note->server_key)};
  }
  return memory;
}

void remember(ServerLogin& login) {
  const auth::ScramMemory memory = login.scram->memory();
  if (login.scram_mark.empty() || memory.salt.empty()) return;
  pool::ScramNote note;
  note.mark = login.scram_mark;
  note.salt = memory.salt;
  note.iterations = memory.iterations;
  note.first_key = memory.keys.client_key.view();
  note.server_key = memory.keys.server_key.view();
  login.shared->server_keys.keep(note);
}

bool choose_scram_client(ServerLogin& login) {
  const auth::SecretKind kind = login.secret.kind();
  login.scram_mark.clear();
  if (kind == auth::SecretKind::kMd5) return false;
  if (kind == auth::SecretKind::kScram) {
    auto keys = passed_keys(login);
    if (!keys) return false;
    login.scram = auth::ScramClient::with_keys(std::move(*keys));
    return true;
  }
  login.scram = auth::ScramClient::with_password(login.secret.text(), remembered(login));
  return true;
}

ServerStep begin_scram(ServerLogin& login, ByteView mechanisms) {
  auto chosen = auth::choose_scram_mechanism(mechanisms);
  if (!chosen) return failed(login, chosen.error().message, chosen.error().message);
  if (!choose_scram_client(login))
    return failed(login, "wrong password type", "cannot do SCRAM authentication: wrong password type");
  auto first = login.scram->first();
  if (!first) return failed(login, first.error().message, first.error().message);
  std::string message;
  wire::append_sasl_initial(message, auth::kScramMechanism, *first);
  return reply(login, message);
}

ServerStep continue_scram(ServerLogin& login, ByteView data) {
  if (!login.scram) return login.fail(Reason::kServerUnknownPacket, "unknown pkt"), ServerStep::kFailed;
  auto read = login.scram->read_server_first(data);
  if (!read) return failed(login, read.error().message, read.error().message);
  return ServerStep::kProve;
}

ServerStep end_scram(ServerLogin& login, ByteView data) {
  if (!login.scram) return login.fail(Reason::kServerUnknownPacket, "unknown pkt"), ServerStep::kFailed;
  auto verified = login.scram->verify(data);
  if (!verified) return failed(login, verified.error().message, verified.error().message);
  login.scram_verified = true;
  remember(login);
  return ServerStep::kGoOn;
}

ServerStep let_in(ServerLogin& login) {
  if (login.scram && !login.scram_verified)
    return failed(login, "invalid server signature", "server skipped its part of SCRAM: invalid server signature");
  login.authenticated = true;
  return ServerStep::kGoOn;
}

ServerStep on_error(ServerLogin& login, ByteView body) {
  const wire::ErrorFields fields = wire::parse_error_fields(body);
  LoginFailure& failure = login.failure;
  const std::string_view severity = fields.severity.empty() ? std::string_view("FATAL") : fields.severity;
  failure.reason = Reason::kServerLoginFailed;
  failure.text = fields.message.empty() ? "login failed" : std::string(fields.message.substr(0, kMostError));
  failure.sqlstate = fields.sqlstate.size() == 5 ? std::string(fields.sqlstate) : "08P01";
  // A server that starts up, shuts down or has no room is no answer to who asked; another host may have one.
  failure.elsewhere = failure.sqlstate == "57P03" || failure.sqlstate == "53300";
  failure.tell = failure.sqlstate != "57P03";
  session::Said what = session::said(Level::kWarning, Event::kServerRefused);
  what.sqlstate = failure.sqlstate;
  say(login.hub, login.server, what, cat("server login failed: ", severity, " ", failure.text));
  return ServerStep::kFailed;
}

ServerStep on_parameter(ServerLogin& login, ByteView body) {
  wire::Reader reader(body);
  const ByteView name = reader.cstring();
  const ByteView value = reader.cstring();
  auto& all = login.welcome->parameters;
  if (!reader.at_end() || all.size() >= kMostParameters) return login.fail(Got::kBadSize), ServerStep::kFailed;
  all.emplace_back(name, value);
  login.server.parameters.set(name, value);
  return ServerStep::kGoOn;
}

ServerStep on_key(ServerLogin& login, ByteView body) {
  wire::Reader reader(body);
  login.server.backend_pid = reader.u32();
  login.server.cancel_secret = reader.rest();
  const size_t size = login.server.cancel_secret.size();
  if (!reader.ok() || size < 4 || size > wire::kMostCancelKey) return login.fail(Got::kBadSize), ServerStep::kFailed;
  return ServerStep::kGoOn;
}

ServerStep on_ready(ServerLogin& login, ByteView body) {
  if (body.size() != 1) return login.fail(Got::kBadSize), ServerStep::kFailed;
  login.server.transaction = body[0];
  return ServerStep::kReady;
}

}  // namespace

void choose_secret(ServerLogin& login) {
  login.forced_user = login.config->user.has_value();
  if (login.config->password) {
    login.secret = *login.config->password;
    return;
  }
  pool::SharedPool::KeptSecret kept;
  if (!login.forced_user) kept = login.shared->kept_secret();
  if (kept.password) {
    login.secret = auth::Secret::password(kept.text);
    return;
  }
  const auth::Secret* stored = login.snapshot->userlist ? login.snapshot->userlist->find(user_of(login)) : nullptr;
  if (stored && !stored->empty()) {
    login.secret = *stored;
  } else if (!login.forced_user) {
    login.secret = auth::Secret(kept.text);
  }
}

namespace {

// What a replication client asks of the server that is its own. Its wishes beat those of the entry, which come first.
void add_wishes(wire::Pairs& parameters, const session::Client& client) {
  const bool logical = client.replication == session::Replication::kLogical;
  auto set = [&parameters](const std::string& name, const std::string& value) {
    std::erase_if(parameters, [&name](const auto& pair) { return equal_ignoring_case(pair.first, name); });
    parameters.emplace_back(name, value);
  };
  parameters.emplace_back("replication", logical ? "database" : "true");
  for (size_t index = 0; index < client.parameters.names()->size(); ++index) {
    const track::Value& value = client.parameters.value(index);
    if (value) set(client.parameters.names()->name(index), *value);
  }
  if (const auto* extras = client.parameters.extras()) {
    for (const auto& [name, value] : *extras)
      set(name, value);
  }
  if (client.extras && !client.extras->options.empty()) parameters.emplace_back("options", client.extras->options);
}

}  // namespace

std::string startup_packet(const ServerLogin& login) {
  const settings::Database& config = *login.config;
  wire::Pairs parameters{{"database", config.dbname.empty() ? login.shared->database->name : config.dbname}};
  auto add = [&parameters](const char* name, const std::optional<std::string>& value) {
    if (value) parameters.emplace_back(name, *value);
  };
  add("client_encoding", config.client_encoding);
  add("datestyle", config.datestyle);
  add("timezone", config.timezone);
  add("application_name", config.application_name);
  if (login.server.own && login.server.client) add_wishes(parameters, *login.server.client);
  parameters.emplace_back("user", user_of(login));
  std::string packet;
  wire::append_startup(packet, wire::kProtocol30, parameters);
  return packet;
}

ServerStep on_authentication(ServerLogin& login, ByteView body) {
  wire::Reader reader(body);
  const uint32_t code = reader.u32();
  if (!reader.ok() || login.authenticated) return login.fail(Got::kBadSize), ServerStep::kFailed;
  switch (code) {
    case kOk: return let_in(login);
    case kCleartext: return send_cleartext(login);
    case kMd5: return send_md5(login, reader.rest());
    case kSasl: return begin_scram(login, reader.rest());
    case kSaslContinue: return continue_scram(login, reader.rest());
    case kSaslFinal: return end_scram(login, reader.rest());
    default: return failed(login, "unsupported authentication method", cat("unknown/unsupported auth method: ", code));
  }
}

ServerStep on_login_message(ServerLogin& login, char type, ByteView body) {
  login.bytes_seen += body.size() + wire::kHeaderSize;
  if (login.bytes_seen > kMostLoginBytes) return login.fail(Got::kBadSize), ServerStep::kFailed;
  switch (type) {
    case 'R': return on_authentication(login, body);
    case 'E': return on_error(login, body);
    case 'N':
    case 'v': return ServerStep::kGoOn;
    default: break;
  }
  if (login.authenticated) {
    switch (type) {
      case 'S': return on_parameter(login, body);
      case 'K': return on_key(login, body);
      case 'Z': return on_ready(login, body);
      default: break;
    }
  }
  say(login.hub, login.server, session::said(Level::kWarning, Event::kServerNews),
      cat("unexpected packet '", type, "' during login"));
  login.fail(Reason::kServerUnknownPacket, "unknown pkt");
  return ServerStep::kFailed;
}

net::Task<bool> send_final_proof(ServerLogin& login) {
  std::string message;
  auth::ScramClient prover = std::move(*login.scram);
  std::shared_ptr<FinalProof> proof = co_await make_final_proof(login.hub, std::move(prover));
  if (login.gone()) co_return false;
  login.scram = std::move(proof->client);
  if (!proof->message) {
    failed(login, proof->error, proof->error);
    co_return false;
  }
  wire::append_sasl_response(message, *proof->message);
  co_return reply(login, message) == ServerStep::kGoOn;
}

}  // namespace pgweir::login
