// What the messages of a client mean: attach, the ledger, names of prepared statements. compat/wire.md sections 7,
// 9, 10.
#include "base/text.hpp"
#include "relay/relay.hpp"
#include "track/deallocate.hpp"
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

constexpr size_t kMostGathered = size_t{64} * 1024;     // smaller messages are whole before a server is taken for them
constexpr size_t kMostRemembered = size_t{256} * 1024;  // of an unnamed statement
static_assert(track::kDeallocateStandIn.substr(12, 11) == track::Statement::kStandIn);

constexpr ByteView kParseComplete("1\0\0\0\4", 5);
constexpr ByteView kCloseComplete("3\0\0\0\4", 5);

bool maps_statements(const Client& client) {
  return client.naming == session::Naming::kMapped;
}

// DEALLOCATE of a name that is this client's, and no other statement? `sql` without its NUL.
std::optional<std::string> deallocates(const Client& client, ByteView sql) {
  if (client.statements.size() == 0 || !maps_statements(client)) return std::nullopt;
  std::optional<std::string> name = track::deallocated_name(sql);
  return name && client.statements.find(*name) ? name : std::nullopt;
}

// A Parse of that, `rest` being its body behind the statement's name, as it is sent to servers.
std::string with_stand_in(ByteView rest) {
  std::string rewritten(track::kDeallocateStandIn);
  return rewritten.append(rest.substr(rest.find('\0')));
}

}  // namespace

Relay::Scan Relay::on_client_message(Client& client, Piece& piece, const wire::Header& header, const ClientRule& rule) {
  size_t size = header.size();
  if (rule.step == ClientStep::kUnknown) {
    return refuse(client, piece, Reason::kClientUnknownPacket);
  }
  if (rule.step == ClientStep::kTerminate) return refuse(client, piece, Reason::kClientTerminate);
  bool whole = piece.rest().size() >= size;
  if (!client.server) {
    if (!rule.needs_server) {
      drop(client, nullptr, piece, size);
      return Scan::kDone;
    }
    if (!whole && size <= kMostGathered) return until(piece, size);
    session::Attached attached = attach(hub_, client);
    if (attached == session::Attached::kClosed) return Scan::kClosed;
    if (attached != session::Attached::kNow) return Scan::kHeld;
  }
  if (rule.needs_server) {  // not by a Flush, nor by COPY data behind an error: no answer would end it
    if (client.query_start == 0) client.query_start = hub_.now();
    if (client.xact_start == 0) client.xact_start = hub_.now();  // its server may have stayed since the one before
  }
  Server& server = *client.server;
  if ((rule.named || server.retry) && maps_statements(client))
    keep_for_retry(client, piece.rest().substr(0, size), header.type, whole);
  if (rule.named && server.replies.skipping()) {  // ignored there, so it must take no effect here either
    drop(client, &server, piece, size);
    return Scan::kDone;
  }
  if (rule.needs_server && client.local_pool->rules().slow_texts) {
    if (const size_t wants = note_text(client, piece, header, rule)) return until(piece, wants);
  }
  switch (rule.step) {
    case ClientStep::kParse: return on_parse(client, piece, size);
    case ClientStep::kBind: return on_bind(client, piece, size);
    case ClientStep::kDescribe: return on_describe(client, piece, size);
    case ClientStep::kClose: return on_close(client, piece, size);
    case ClientStep::kExecute: return on_execute(client, piece, size, whole);
    case ClientStep::kQuery: return on_query(client, piece, size, whole);
    case ClientStep::kForward:
      if (rule.kind == Kind::kSync) ++server.batch;
      break;
    default: break;
  }
  if (rule.step != ClientStep::kPlain) server.replies.expect(rule.kind, Action::kForward);
  pass(client, piece, size);
  return Scan::kDone;
}

Relay::Scan Relay::on_query(Client& client, Piece& piece, size_t size, bool whole) {
  if (hub_.snapshot->global.disable_pqexec) {
    return refuse(client, piece, Reason::kPqexecDisallowed);
  }
  Server& server = *client.server;
  if (!whole && size <= track::kMostDeallocate && client.statements.size() > 0) return until(piece, size);
  std::optional<std::string> name;
  if (whole && size > wire::kHeaderSize) {
    name = deallocates(client, piece.rest().substr(wire::kHeaderSize, size - wire::kHeaderSize - 1));
  }
  track::NotePtr note;
  if (name) {
    drop(client, &server, piece, size);
    bool alone = !server.replies.in_extended_batch();
    send_stand_in(server);
    std::string message;
    if (alone) {  // if that went wrong, this query would be ignored until a Sync that its client does not owe
      wire::append_empty(message, 'S');
      server.replies.expect(Kind::kSync, Action::kHide);
    }
    wire::append_query(message, track::kDeallocateStandIn);
    hub_.outbox.add_copy(server, message);
    note = note_of(*client.statements.find(*name), *name, false);
  } else {
    pass(client, piece, size);
  }
  ++server.batch;
  if (server.replies.expect(Kind::kQuery, Action::kForward, std::move(note)) != Expected::kOwed) return Scan::kDone;
  client.unnamed = server.unnamed = 0;
  if (name) client.statements.remove(*name);
  return Scan::kDone;
}

// Of a portal that deallocates one name: the server gets one to deallocate if the name is the client's, and certainly
// has none if it is not.
Relay::Scan Relay::on_execute(Client& client, Piece& piece, size_t size, bool whole) {
  Server& server = *client.server;
  track::NotePtr note;
  bool known = false;
  if (client.extras && !client.extras->deallocates.empty() && maps_statements(client)) {
    if (!whole && size <= kMostGathered) return until(piece, size);
    const session::ClientExtras& extras = *client.extras;
    const std::string& portal = extras.deallocating_portal;
    ByteView body = piece.rest().substr(0, size).substr(wire::kHeaderSize);
    if (body.size() > portal.size() && body.substr(0, portal.size()) == portal && body[portal.size()] == '\0') {
      const track::StatementPtr* statement = client.statements.find(extras.deallocates);
      known = statement != nullptr;
      note = known ? note_of(*statement, extras.deallocates, false) : doomed(track::Doom::kUnknown, extras.deallocates);
      send_run(server, piece);
      known ? send_stand_in(server) : close_stand_in(server);
    }
  }
  Expected expected = server.replies.expect(Kind::kExecute, Action::kForward, std::move(note));
  if (known && expected == Expected::kOwed) client.statements.remove(client.extras->deallocates);
  pass(client, piece, size);
  return Scan::kDone;
}

// `portal` is bound to a statement that deallocates `name`; empty: to one that does not.
void Relay::note_deallocation(Client& client, ByteView portal, const std::string& name) {
  if (!name.empty()) {
    client.extras->deallocates = name;
    client.extras->deallocating_portal = portal;
  } else if (client.extras->deallocating_portal == portal) {
    client.extras->deallocates.clear();
  }
}

Relay::Scan Relay::on_parse(Client& client, Piece& piece, size_t size) {
  ByteView body = piece.rest().substr(wire::kHeaderSize);
  size_t body_size = size - wire::kHeaderSize;
  if (body_size == 0) {
    return refuse(client, piece, Reason::kClientBrokenParse);
  }
  if (body.empty()) return Scan::kHeld;
  Server& server = *client.server;
  bool own_server = client.naming == session::Naming::kOwnServer;
  if (body[0] == '\0' && !own_server) return on_unnamed_parse(client, piece, size, body.size() >= body_size);
  if (!maps_statements(client)) {
    if (own_server) server.unnamed = 0;  // what another client left there is gone, perhaps
    server.replies.expect(Kind::kParse, Action::kForward);
    pass(client, piece, size);
    return Scan::kDone;
  }
  track::ParseNames names;
  track::Seen seen = track::read_name(body, body_size, names.name);
  if (seen == track::Seen::kNeedMore) return until(piece, wire::kHeaderSize + track::enough_for_names(body_size));
  if (seen == track::Seen::kOk) {
    if (undecided(server, names.name)) return Scan::kHeld;
    seen = track::read_parse(body, body_size, names);
  }
  if (seen == track::Seen::kNeedMore) return until(piece, size);
  if (seen == track::Seen::kBroken) {
    return refuse(client, piece, Reason::kClientBrokenParse);
  }
  session::Counters& counters = client.local_pool->counters;
  if (client.statements.find(names.name)) {
    ++counters.client_parses;
    return on_taken_name(client, piece, size, names);
  }
  std::string name(names.name);
  std::optional<std::string> deallocated = deallocates(client, names.rest.substr(0, names.rest.find('\0')));
  if (deallocated) {
    client.more().deallocating[name] = *deallocated;
  } else if (client.extras) {
    client.extras->deallocating.erase(name);
  }
  track::StatementPtr statement =
      hub_.statements.find_or_make(deallocated ? ByteView(with_stand_in(names.rest)) : names.rest);
  // Others have been told what this is. Is it still, then the name may stand for the same; else for a new one.
  if (statement->description().known() && ensure_statement(server, piece, statement) == Ensured::kWait)
    return Scan::kHeld;
  ++counters.client_parses;
  drop(client, &server, piece, size);
  Expected expected;
  if (server.statements.use(*statement, server.batch)) {
    expected = server.replies.expect(Kind::kParse, Action::kLocal, note_of(statement, name, false));
  } else {
    if (server.retry) server.retry->phase = session::RetryCopy::Phase::kOff;  // it answers first
    send_parse(server, *statement);
    expected = server.replies.expect(Kind::kParse, Action::kForward, note_of(statement, name, true));
    if (expected == Expected::kOwed) server.statements.sent(statement, server.batch);
  }
  if (expected == Expected::kOwed) client.statements.add(name, std::move(statement));
  evict_statements(server);
  deliver_local(server, nullptr);
  return Scan::kDone;
}

// The server refuses it (42P05), unless it finds another fault first.
Relay::Scan Relay::on_taken_name(Client& client, Piece& piece, size_t size, const track::ParseNames& names) {
  Server& server = *client.server;
  std::string message;
  wire::append_parse(message, track::Statement::kStandIn, names.rest);
  track::NotePtr note = doomed(track::Doom::kInUse, names.name);
  drop(client, &server, piece, size);
  send_stand_in(server);
  hub_.outbox.add_copy(server, message);
  server.replies.expect(Kind::kParse, Action::kForward, std::move(note));
  return Scan::kDone;
}

// An unnamed statement goes to the server as it is, and is remembered: its Bind may come in a later transaction, on
// another server.
Relay::Scan Relay::on_unnamed_parse(Client& client, Piece& piece, size_t size, bool whole) {
  if (!whole && size <= kMostRemembered) return until(piece, size);
  Server& server = *client.server;
  ByteView rest = piece.rest().substr(0, size).substr(wire::kHeaderSize + 1);
  ByteView sql = rest.substr(0, rest.find('\0'));
  std::optional<std::string> name = whole ? deallocates(client, sql) : std::nullopt;
  const std::string rewritten = name ? with_stand_in(rest) : std::string();
  if (server.replies.expect(Kind::kParse, Action::kForward) == Expected::kOwed) {
    session::ClientExtras& extras = client.more();
    extras.unnamed_query.clear();
    if (size <= kMostRemembered) extras.unnamed_query.assign(name ? ByteView(rewritten) : rest);
    extras.unnamed_deallocates = name.value_or(std::string());
    extras.unnamed_told = {};
    extras.unnamed_outdated = false;
    client.unnamed = server.unnamed = ++hub_.next_unnamed << 8 | hub_.worker;
  }
  if (!name) {
    pass(client, piece, size);
    return Scan::kDone;
  }
  drop(client, &server, piece, size);
  std::string message;
  wire::append_parse(message, {}, rewritten);
  hub_.outbox.add_copy(server, message);
  return Scan::kDone;
}

// A pipeline may use a name whose Parse or Close an error in an earlier batch is about to swallow: PostgreSQL knows at
// that moment what the name stands for, we know it when that batch has been answered. Until then the message waits.
bool Relay::undecided(Server& server, ByteView name) {
  if (!server.replies.undecided(name)) return false;
  server.held_for_answers = true;
  return true;
}

Relay::Scan Relay::on_bind(Client& client, Piece& piece, size_t size) {
  Server& server = *client.server;
  ByteView body = piece.rest().substr(wire::kHeaderSize);
  track::BindNames names;
  size_t body_size = size - wire::kHeaderSize;
  track::Seen seen = track::read_bind(body, body_size, names);
  if (seen == track::Seen::kNeedMore) return until(piece, wire::kHeaderSize + track::enough_for_names(body_size));
  if (seen == track::Seen::kBroken) {
    return refuse(client, piece, Reason::kClientBrokenBind);
  }
  if (names.portal.empty()) server.bound = 0;
  if (names.statement.empty()) return on_unnamed_bind(client, piece, size, names);
  if (!maps_statements(client)) {
    server.replies.expect(Kind::kBind, Action::kForward);
    pass(client, piece, size);
    return Scan::kDone;
  }
  if (undecided(server, names.statement)) return Scan::kHeld;
  const track::StatementPtr* known = client.statements.find(names.statement);
  if (known && (*known)->retired()) {
    size_t wants = 0;
    if (learns_columns(piece, size, names.portal, &wants)) {
      renew(client, names.statement, **known);
      known = client.statements.find(names.statement);
    }
    if (wants > 0) return until(piece, wants);
  }
  Ensured ensured = known ? ensure_statement(server, piece, *known) : Ensured::kOutdated;
  if (ensured == Ensured::kWait) return Scan::kHeld;
  const track::Statement* statement =
      known ? known->get() : nullptr;  // not counted: all workers share the count's line
  ++client.local_pool->counters.binds;
  if (client.extras) note_deallocation(client, names.portal, client.extras->deallocated_by(names.statement));
  if (ensured == Ensured::kReady) {
    // The first one to be told of its columns may be told by its portal.
    if (names.portal.empty() && !statement->description().known()) server.bound = statement->number();
    server.replies.expect(Kind::kBind, Action::kForward, nullptr, statement->number());
    send_bind(client, piece, size, names, statement->name());
    return Scan::kDone;
  }
  track::Doom doom = statement ? track::Doom::kOutdated : track::Doom::kUnknown;
  server.replies.expect(Kind::kBind, Action::kForward, doomed(doom, names.statement));
  send_bind(client, piece, size, names, track::Statement::kNowhere);
  return Scan::kDone;
}

Relay::Scan Relay::on_unnamed_bind(Client& client, Piece& piece, size_t size, const track::BindNames& names) {
  Server& server = *client.server;
  Ensured ensured = ensure_unnamed(client, piece);
  if (ensured == Ensured::kWait) return Scan::kHeld;
  if (ensured == Ensured::kOutdated) {
    size_t wants = 0;
    bool learns = learns_columns(piece, size, names.portal, &wants);
    if (wants > 0) return until(piece, wants);
    if (!learns) {
      server.replies.expect(Kind::kBind, Action::kForward, doomed(track::Doom::kOutdated, {}));
      send_bind(client, piece, size, names, track::Statement::kNowhere);
      return Scan::kDone;
    }
  }
  if (client.extras) note_deallocation(client, names.portal, client.extras->unnamed_deallocates);
  server.replies.expect(Kind::kBind, Action::kForward);
  pass(client, piece, size);
  return Scan::kDone;
}

// The Bind at piece.at, with another name for its statement.
void Relay::send_bind(Client& client, Piece& piece, size_t size, const track::BindNames& names,
                      std::string_view statement) {
  Server& server = *client.server;
  send_run(server, piece);
  hub_.outbox.add_copy(server, track::bind_head(names, size - wire::kHeaderSize, statement));
  size_t replaced = wire::kHeaderSize + names.end;
  piece.at += replaced;
  piece.run = piece.at;
  pass(client, piece, size - replaced);
}

Relay::Scan Relay::on_describe(Client& client, Piece& piece, size_t size) {
  Server& server = *client.server;
  track::Target target;
  track::Seen seen = track::read_target(piece.rest().substr(wire::kHeaderSize), size - wire::kHeaderSize, target);
  if (seen == track::Seen::kNeedMore) return until(piece, size);
  if (seen == track::Seen::kBroken) {
    return refuse(client, piece, Reason::kClientBrokenDescribe);
  }
  bool named = target.kind == 'S' && !target.name.empty() && maps_statements(client);
  if (!named) {
    uint64_t number = target.kind == 'P' && target.name.empty() ? server.bound : 0;
    if (target.kind == 'S' && target.name.empty()) {
      if (ensure_unnamed(client, piece) == Ensured::kWait) return Scan::kHeld;
      if (client.extras) client.extras->unnamed_outdated = false;  // it will know
      number = unnamed_number(client);
    }
    server.replies.expect(Kind::kDescribe, Action::kForward, nullptr, number);
    pass(client, piece, size);
    return Scan::kDone;
  }
  if (undecided(server, target.name)) return Scan::kHeld;
  std::string name(target.name);
  track::StatementPtr statement;
  if (const track::StatementPtr* known = client.statements.find(name)) statement = *known;
  if (statement && statement->retired()) statement = renew(client, name, *statement);
  if (statement && ensure_statement(server, piece, statement) == Ensured::kWait) return Scan::kHeld;
  drop(client, &server, piece, size);
  if (!statement) {
    hub_.outbox.add_copy(server, track::describe_statement(track::Statement::kNowhere));
    server.replies.expect(Kind::kDescribe, Action::kForward, doomed(track::Doom::kUnknown, name));
    return Scan::kDone;
  }
  hub_.outbox.add_copy(server, track::describe_statement(statement->name()));
  server.replies.expect(Kind::kDescribe, Action::kForward, note_of(statement, {}, false), statement->number());
  return Scan::kDone;
}

// Closing a name never reaches the server: the statement stays there for others.
Relay::Scan Relay::on_close(Client& client, Piece& piece, size_t size) {
  Server& server = *client.server;
  track::Target target;
  track::Seen seen = track::read_target(piece.rest().substr(wire::kHeaderSize), size - wire::kHeaderSize, target);
  if (seen == track::Seen::kNeedMore) return until(piece, size);
  if (seen == track::Seen::kBroken) {
    return refuse(client, piece, Reason::kClientBrokenClose);
  }
  if (target.kind != 'S' || target.name.empty() || !maps_statements(client)) {
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
    if (client.extras) client.extras->deallocating.erase(name);
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
    return refuse(client, piece, Reason::kClientTerminate);
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
