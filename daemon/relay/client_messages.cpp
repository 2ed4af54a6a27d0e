// What the messages of a client mean: attach, the ledger, names of prepared statements. compat/wire.md sections 7,
// 9, 10.
#include "base/text.hpp"
#include "relay/relay.hpp"
#include "track/rewrite.hpp"
#include "wire/builder.hpp"

namespace pgweir::relay {

using session::Client;
using session::Reason;
using session::Server;
using track::Action;
using track::Expected;
using track::Kind;

namespace {

constexpr size_t kMostGathered = 64 * 1024;     // smaller messages are whole before a server is taken for them
constexpr size_t kMostRemembered = 256 * 1024;  // of an unnamed statement

constexpr ByteView kParseComplete("1\0\0\0\4", 5);
constexpr ByteView kCloseComplete("3\0\0\0\4", 5);

track::NotePtr note_of(track::StatementPtr statement, ByteView client_name, bool sent) {
  auto note = std::make_unique<track::StatementNote>();
  note->statement = std::move(statement);
  note->client_name = client_name;
  note->sent = sent;
  return note;
}

bool maps_statements(const Client& client) {
  return client.local_pool->rules().max_prepared_statements > 0;
}

}  // namespace

Relay::Scan Relay::on_client_message(Client& client, Piece& piece, const wire::Header& header, const ClientRule& rule) {
  size_t size = header.size();
  if (rule.step == ClientStep::kUnknown) {
    close_client(hub_, client, Reason::kClientUnknownPacket);
    return Scan::kClosed;
  }
  if (rule.step == ClientStep::kTerminate) {
    if (client.server) send_run(*client.server, piece);
    close_client(hub_, client, Reason::kClientTerminate);
    return Scan::kClosed;
  }
  bool whole = piece.rest().size() >= size;
  if (!client.server) {
    if (!rule.needs_server) {
      drop(client, nullptr, piece, size);
      return Scan::kDone;
    }
    if (!whole && size <= kMostGathered) return Scan::kHeld;
    session::Attached attached = attach(hub_, client);
    if (attached == session::Attached::kClosed) return Scan::kClosed;
    if (attached != session::Attached::kNow) return Scan::kHeld;
  }
  if (client.query_start == 0) client.query_start = hub_.now();
  Server& server = *client.server;
  if (server.retry) extend_retry(server, piece.rest().substr(0, size), header.type, whole);
  if (rule.named && server.replies.skipping()) {  // ignored there, so it must take no effect here either
    drop(client, &server, piece, size);
    return Scan::kDone;
  }
  switch (rule.step) {
    case ClientStep::kParse: return on_parse(client, piece, size);
    case ClientStep::kBind: return on_bind(client, piece, size);
    case ClientStep::kDescribe: return on_describe(client, piece, size);
    case ClientStep::kClose: return on_close(client, piece, size);
    case ClientStep::kQuery:
      if (hub_.snapshot->global.disable_pqexec) {
        close_client(hub_, client, Reason::kPqexecDisallowed);
        return Scan::kClosed;
      }
      client.unnamed = server.unnamed = 0;
      ++server.batch;
      break;
    case ClientStep::kForward:
      if (rule.kind == Kind::kSync) ++server.batch;
      break;
    default: break;
  }
  if (rule.step != ClientStep::kPlain) server.replies.expect(rule.kind, Action::kForward);
  pass(client, piece, size);
  return Scan::kDone;
}

Relay::Scan Relay::on_parse(Client& client, Piece& piece, size_t size) {
  ByteView body = piece.rest().substr(wire::kHeaderSize);
  size_t body_size = size - wire::kHeaderSize;
  if (body_size == 0) {
    close_client(hub_, client, Reason::kClientBrokenParse);
    return Scan::kClosed;
  }
  if (body.empty()) return Scan::kHeld;
  Server& server = *client.server;
  bool session_mode = client.local_pool->rules().mode == settings::PoolMode::kSession;
  if (body[0] == '\0' && !session_mode) return on_unnamed_parse(client, piece, size, body.size() >= body_size);
  if (!maps_statements(client)) {
    server.replies.expect(Kind::kParse, Action::kForward);
    pass(client, piece, size);
    return Scan::kDone;
  }
  track::ParseNames names;
  track::Seen seen = track::read_parse(body, body_size, names);
  if (seen == track::Seen::kNeedMore) return Scan::kHeld;
  if (seen == track::Seen::kBroken) {
    close_client(hub_, client, Reason::kClientBrokenParse);
    return Scan::kClosed;
  }
  session::Counters& counters = client.local_pool->counters;
  if (undecided(server, names.name)) return Scan::kHeld;
  ++counters.client_parses;
  if (client.statements.find(names.name)) {
    close_client(hub_, client, Reason::kStatementInUse);
    return Scan::kClosed;
  }
  track::StatementPtr statement = hub_.statements.find_or_make(names.rest);
  std::string name(names.name);
  drop(client, &server, piece, size);
  bool present = server.statements.use(*statement, server.batch);
  Expected expected;
  if (present) {
    expected = server.replies.expect(Kind::kParse, Action::kLocal, note_of(statement, name, false));
  } else {
    send_parse(server, *statement);
    expected = server.replies.expect(Kind::kParse, Action::kForward, note_of(statement, name, true));
    if (expected == Expected::kOwed) server.statements.sent(statement, server.batch);
  }
  if (expected == Expected::kOwed) client.statements.add(name, std::move(statement));
  evict_statements(server);
  deliver_local(server, nullptr);
  return Scan::kDone;
}

// An unnamed statement goes to the server as it is, and is remembered: its Bind may come in a later transaction, on
// another server.
Relay::Scan Relay::on_unnamed_parse(Client& client, Piece& piece, size_t size, bool whole) {
  Server& server = *client.server;
  session::ClientExtras& extras = client.more();
  extras.unnamed_query.clear();
  if (whole && size <= kMostRemembered) {
    extras.unnamed_query.assign(piece.rest().substr(wire::kHeaderSize + 1, size - wire::kHeaderSize - 1));
  }
  client.unnamed = server.unnamed = ++hub_.next_unnamed << 8 | hub_.worker;
  server.replies.expect(Kind::kParse, Action::kForward);
  pass(client, piece, size);
  return Scan::kDone;
}

// A pipeline may use a name whose Parse or Close an error in an earlier batch is about to swallow: PostgreSQL knows at
// that moment what the name stands for, we know it when that batch has been answered. Until then the message waits.
bool Relay::undecided(Server& server, ByteView name) {
  if (!server.replies.undecided(name)) return false;
  server.held_for_answers = true;
  return true;
}

void Relay::send_parse(Server& server, const track::Statement& statement) {
  std::string message;
  if (server.statements.in_doubt(statement)) {
    wire::append_close_statement(message, statement.name());
    server.replies.expect(Kind::kClose, Action::kHide);
  }
  wire::append_parse(message, statement.name(), statement.body());
  hub_.outbox.add_copy(server, message);
  ++server.local_pool->counters.server_parses;
}

// The server must have `statement` before what stands at piece.at: if it has not, a hidden Parse goes first.
void Relay::ensure_statement(Server& server, Piece& piece, const track::StatementPtr& statement) {
  if (server.statements.use(*statement, server.batch)) return;
  send_run(server, piece);
  send_parse(server, *statement);
  Expected expected = server.replies.expect(Kind::kParse, Action::kHide, note_of(statement, {}, true));
  if (expected == Expected::kOwed) server.statements.sent(statement, server.batch);
  evict_statements(server);
}

void Relay::ensure_unnamed(Client& client, Piece& piece) {
  Server& server = *client.server;
  if (client.unnamed == 0 || server.unnamed == client.unnamed || !client.extras) return;
  if (client.extras->unnamed_query.empty()) return;
  send_run(server, piece);
  std::string message;
  wire::append_parse(message, {}, client.extras->unnamed_query);
  hub_.outbox.add_copy(server, message);
  server.replies.expect(Kind::kParse, Action::kHide);
  server.unnamed = client.unnamed;
}

// Over max_prepared_statements the least recently used one goes, never one that the open batch refers to.
void Relay::evict_statements(Server& server) {
  auto most = static_cast<size_t>(server.local_pool->rules().max_prepared_statements);
  while (track::StatementPtr victim = server.statements.evict(most, server.batch)) {
    std::string message;
    wire::append_close_statement(message, victim->name());
    hub_.outbox.add_copy(server, message);
    Expected expected = server.replies.expect(Kind::kClose, Action::kHide, note_of(victim, {}, true));
    if (expected == Expected::kOwed) continue;
    server.statements.not_closed(victim);
    return;
  }
}

Relay::Scan Relay::on_bind(Client& client, Piece& piece, size_t size) {
  Server& server = *client.server;
  ByteView body = piece.rest().substr(wire::kHeaderSize);
  track::BindNames names;
  track::Seen seen = track::read_bind(body, size - wire::kHeaderSize, names);
  if (seen == track::Seen::kNeedMore) return Scan::kHeld;
  if (seen == track::Seen::kBroken) {
    close_client(hub_, client, Reason::kClientBrokenBind);
    return Scan::kClosed;
  }
  if (names.statement.empty() || !maps_statements(client)) {
    if (names.statement.empty()) ensure_unnamed(client, piece);
    server.replies.expect(Kind::kBind, Action::kForward);
    pass(client, piece, size);
    return Scan::kDone;
  }
  if (undecided(server, names.statement)) return Scan::kHeld;
  const track::StatementPtr* statement = client.statements.find(names.statement);
  if (!statement) {
    close_client(hub_, client, Reason::kStatementUnknown);
    return Scan::kClosed;
  }
  ++client.local_pool->counters.binds;
  bool opens = server.replies.empty() && server.transaction == 'I';
  ensure_statement(server, piece, *statement);
  send_run(server, piece);
  ByteView head = hub_.outbox.scribble(track::bind_head(names, size - wire::kHeaderSize, (*statement)->name()));
  hub_.outbox.add(server, head);
  server.replies.expect(Kind::kBind, Action::kForward);
  size_t replaced = wire::kHeaderSize + names.end;
  if (opens)
    remember_for_retry(server, head, piece.rest().substr(0, size).substr(replaced), size - replaced, *statement);
  piece.at += replaced;
  piece.run = piece.at;
  pass(client, piece, size - replaced);
  return Scan::kDone;
}

Relay::Scan Relay::on_describe(Client& client, Piece& piece, size_t size) {
  Server& server = *client.server;
  track::Target target;
  track::Seen seen = track::read_target(piece.rest().substr(wire::kHeaderSize), size - wire::kHeaderSize, target);
  if (seen == track::Seen::kNeedMore) return Scan::kHeld;
  if (seen == track::Seen::kBroken) {
    close_client(hub_, client, Reason::kClientBrokenDescribe);
    return Scan::kClosed;
  }
  bool named = target.kind == 'S' && !target.name.empty() && maps_statements(client);
  if (!named) {
    if (target.kind == 'S' && target.name.empty()) ensure_unnamed(client, piece);
    server.replies.expect(Kind::kDescribe, Action::kForward);
    pass(client, piece, size);
    return Scan::kDone;
  }
  if (undecided(server, target.name)) return Scan::kHeld;
  const track::StatementPtr* statement = client.statements.find(target.name);
  if (!statement) {
    close_client(hub_, client, Reason::kStatementUnknown);
    return Scan::kClosed;
  }
  ensure_statement(server, piece, *statement);
  drop(client, &server, piece, size);
  hub_.outbox.add_copy(server, track::describe_statement((*statement)->name()));
  server.replies.expect(Kind::kDescribe, Action::kForward);
  return Scan::kDone;
}

// Closing a name never reaches the server: the statement stays there for others.
Relay::Scan Relay::on_close(Client& client, Piece& piece, size_t size) {
  Server& server = *client.server;
  track::Target target;
  track::Seen seen = track::read_target(piece.rest().substr(wire::kHeaderSize), size - wire::kHeaderSize, target);
  if (seen == track::Seen::kNeedMore) return Scan::kHeld;
  if (seen == track::Seen::kBroken) {
    close_client(hub_, client, Reason::kClientBrokenClose);
    return Scan::kClosed;
  }
  if (target.kind == 'P' || target.name.empty() || !maps_statements(client)) {
    server.replies.expect(Kind::kClose, Action::kForward);
    pass(client, piece, size);
    return Scan::kDone;
  }
  if (undecided(server, target.name)) return Scan::kHeld;
  const track::StatementPtr* known = client.statements.find(target.name);
  track::NotePtr note = known ? note_of(*known, target.name, false) : nullptr;
  std::string name(target.name);
  drop(client, &server, piece, size);
  if (server.replies.expect(Kind::kClose, Action::kLocal, std::move(note)) == Expected::kOwed) {
    client.statements.remove(name);
  }
  deliver_local(server, nullptr);
  return Scan::kDone;
}

// Local answers whose turn it is. `run`: the piece of the server's input that is being scanned, which goes first.
void Relay::deliver_local(Server& server, Piece* run) {
  Kind kind;
  track::NotePtr note;
  while (server.replies.take_local(&kind, &note)) {
    if (!server.client) continue;
    if (run) send_run(*server.client, *run);
    hub_.outbox.add(*server.client, kind == Kind::kParse ? kParseComplete : kCloseComplete);
  }
}

// After an error that was made here, messages are ignored until a Sync, as PostgreSQL does.
Relay::Scan Relay::skipping(Client& client, Piece& piece, size_t size, char type) {
  if (type == 'X') {
    close_client(hub_, client, Reason::kClientTerminate);
    return Scan::kClosed;
  }
  drop(client, nullptr, piece, size);
  if (type != 'S') return Scan::kDone;
  client.skip_until_sync = false;
  std::string ready;
  wire::append_ready_for_query(ready, 'I');
  hub_.outbox.add_copy(client, ready);
  return Scan::kDone;
}

void Relay::cancel_waiting(Client& client) {
  if (client.state() != pool::ClientState::kWaiting || !client.held) return;
  client.local_pool->stop_waiting(client, pool::ClientState::kIdle);
  client.query_start = client.wait_start = 0;
  std::string answer;
  wire::append_error(answer, "ERROR", "57014", "canceling statement due to user request");
  wire::Header header;
  wire::parse_header(*client.held, UINT32_MAX, header);
  bool simple = header.type == 'Q' || header.type == 'F';
  if (simple) {
    size_t here = std::min(header.size(), client.held->size());
    client.body_left = static_cast<uint32_t>(header.size() - here);
    client.body_dropped = client.body_left > 0;
    client.held->erase(0, here);
    if (client.held->empty()) client.held.reset();
    wire::append_ready_for_query(answer, 'I');
  } else {
    client.skip_until_sync = true;
  }
  hub_.outbox.add_copy(client, answer);
  session::resume(hub_, client);
}

}  // namespace pgweir::relay
