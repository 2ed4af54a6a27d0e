// "cached plan must not change result type": a table changed under a shared statement. Promises: nobody reads rows by
// an older description of them. The statement is retired (see ARCHITECTURE.md): who prepares its text from now on gets
// a new one, who learns the columns in the batch at hand is moved to it, outside a transaction without hearing of the
// error; whoever trusts an older description gets PostgreSQL's error and prepares anew.
#include "relay/relay.hpp"
#include "wire/builder.hpp"
#include "wire/error_fields.hpp"

namespace pgweir::relay {

using session::Client;
using session::RetryCopy;
using session::Server;
using track::Action;
using track::Expected;
using track::Kind;

namespace {

constexpr size_t kMostKept = size_t{16} * 1024;  // larger batches are not sent twice

bool same_name(RetryCopy& copy, ByteView name) {
  if (copy.name.empty()) copy.name = name;
  return !name.empty() && copy.name == name;
}

}  // namespace

// Called before a message is handled. A batch is kept that begins outside a transaction, with nothing owed, and uses
// one named statement only.
void Relay::keep_for_retry(Client& client, ByteView message, char type, bool whole) {
  Server& server = *client.server;
  RetryCopy* copy = server.retry.get();
  bool open = copy && copy->phase == RetryCopy::Phase::kOpen;
  bool names = type == 'P' || type == 'B' || type == 'D';
  if (!open && names && server.transaction == 'I' && server.replies.empty() && !server.replies.in_extended_batch()) {
    if (!copy) server.retry = std::make_unique<RetryCopy>();
    copy = server.retry.get();
    copy->phase = RetryCopy::Phase::kOpen;
    copy->parsed = copy->described = false;
    copy->messages.clear();
    copy->name.clear();
    copy->portal.clear();
    open = true;
  }
  if (!open) {  // something stands behind the batch at the server already: too late to repeat it
    if (copy && copy->phase == RetryCopy::Phase::kComplete) copy->phase = RetryCopy::Phase::kOff;
    return;
  }
  bool fits = whole && copy->messages.size() + message.size() <= kMostKept;
  if (!fits || !keep(*copy, message, type)) {
    copy->phase = RetryCopy::Phase::kOff;
    return;
  }
  copy->messages.append(message);
  if (type == 'S') copy->phase = RetryCopy::Phase::kComplete;
}

// May this message stand in a batch that is kept?
bool Relay::keep(RetryCopy& copy, ByteView message, char type) {
  ByteView body = message.substr(wire::kHeaderSize);
  track::BindNames bind;
  track::Target target;
  switch (type) {
    case 'P':
      // A name that is given in this batch has not been described before.
      copy.parsed = copy.described = true;
      return same_name(copy, body.substr(0, body.find('\0')));
    case 'B':
      if (track::read_bind(body, body.size(), bind) != track::Seen::kOk) return false;
      copy.portal = bind.portal;
      return same_name(copy, bind.statement);
    case 'D':
      if (track::read_target(body, body.size(), target) != track::Seen::kOk) return false;
      copy.described = true;
      return target.kind == 'S' ? same_name(copy, target.name) : !copy.name.empty() && target.name == copy.portal;
    case 'E': return copy.described;
    case 'H':
    case 'S': return true;
    default: return false;
  }
}

// Does the client ask what columns `portal` has, directly behind the Bind at piece.at? *wants > 0: it has not come, ask
// again when so many bytes from that Bind on are there.
bool Relay::learns_columns(const Piece& piece, size_t size, ByteView portal, size_t* wants) const {
  if (piece.rest().size() < size) return false;
  ByteView next = piece.rest().substr(size);
  if (!next.empty() && next[0] != 'D') return false;
  wire::Header header;
  wire::Frame frame = wire::parse_header(next, kMostKept, header);
  if (frame == wire::Frame::kBad) return false;
  size_t needed = frame == wire::Frame::kNeedMore ? wire::kHeaderSize : header.size();
  if (next.size() < needed) {
    *wants = size + needed;
    return false;
  }
  track::Target target;
  track::Seen seen = track::read_target(next.substr(wire::kHeaderSize), header.body_size(), target);
  return seen == track::Seen::kOk && target.kind == 'P' && target.name == portal;
}

// The client's name stands for the text as it is understood now. `outdated` may end with that: it is not looked at
// behind.
track::StatementPtr Relay::renew(Client& client, ByteView name, const track::Statement& outdated) {
  track::StatementPtr fresh = hub_.statements.find_or_make(outdated.body());
  client.statements.add(name, fresh);
  return fresh;
}

// An answer to a batch that is kept: the first one that the client sees makes it too late. Of a Describe, half the
// answer comes before the error: it is held back. True: this message was.
bool Relay::note_answer(Server& server, Piece& piece, char type, size_t size, bool forwarded) {
  RetryCopy& copy = *server.retry;
  if (type == 'E' || !forwarded) return false;
  if (type == 't' && copy.alive() && piece.rest().size() >= size) {
    copy.held_back.assign(piece.rest().substr(0, size));
    drop(server, server.client, piece, size);
    return true;
  }
  give_held_back(server, piece);
  if (copy.alive()) copy.phase = RetryCopy::Phase::kOff;
  return false;
}

void Relay::give_held_back(Server& server, Piece& piece) {
  if (!server.retry || server.retry->held_back.empty()) return;
  send_run(*server.client, piece);
  hub_.outbox.add_copy(*server.client, server.retry->held_back);
  server.retry->held_back.clear();
}

// Returns whether the client shall not hear of this error.
bool Relay::heals(Server& server, const wire::ErrorFields& fields, const track::Match& match) {
  bool cached_plan = fields.sqlstate == "0A000" && (fields.routine == "RevalidateCachedQuery" ||
                                                    fields.message == "cached plan must not change result type");
  RetryCopy* copy = server.retry.get();
  bool kept = copy && copy->alive() && copy->described;
  // A statement that is analyzed anew keeps the types of its parameters, and may not fit its tables any more: nothing
  // that concerns a client whose Parse was answered here.
  bool misfit = fields.sqlstate.substr(0, 2) == "42" && kept && copy->parsed;
  if (!(cached_plan || misfit) || match.statement == 0) return false;
  track::StatementPtr outdated = server.statements.find(match.statement);
  if (!outdated) return false;
  hub_.statements.retire(*outdated);
  if (!kept) return false;
  const track::StatementPtr* known = server.client->statements.find(copy->name);
  if (!known || *known != outdated) return false;
  bool complete = copy->phase == RetryCopy::Phase::kComplete;
  if (server.replies.size() != (complete ? 1 : 0)) return false;
  if (complete) {
    server.replies.hide_head();  // its Sync
  } else {
    hub_.outbox.add(server, ByteView("S\0\0\0\4", 5));
    server.replies.expect(Kind::kSync, Action::kHide);
  }
  copy->phase = RetryCopy::Phase::kFailed;
  copy->held_back.clear();
  copy->outdated = std::move(outdated);
  return true;
}

void Relay::retry_now(Server& server) {
  RetryCopy& copy = *server.retry;
  Client& client = *server.client;
  copy.phase = RetryCopy::Phase::kRetried;
  ++hub_.tally.retries;
  ++server.batch;
  track::StatementPtr fresh = renew(client, copy.name, *copy.outdated);
  copy.outdated.reset();
  Piece nothing;
  if (!server.statements.use(*fresh, server.batch)) send_hidden_parse(server, nothing, fresh);
  ByteView messages = copy.messages;
  wire::Header header;
  while (wire::parse_header(messages, UINT32_MAX, header) == wire::Frame::kOk) {
    send_again(server, messages.substr(0, header.size()), header.type, *fresh);
    messages.remove_prefix(header.size());
  }
  session::resume(hub_, client);
}

// A message of the kept batch, now for `statement`. Its Parse has been answered already.
void Relay::send_again(Server& server, ByteView message, char type, const track::Statement& statement) {
  ByteView body = message.substr(wire::kHeaderSize);
  track::BindNames bind;
  track::Target target;
  switch (type) {
    case 'P': return;
    case 'B':
      track::read_bind(body, body.size(), bind);
      hub_.outbox.add_copy(server, track::bind_head(bind, body.size(), statement.name()));
      hub_.outbox.add_copy(server, body.substr(bind.end));
      server.replies.expect(Kind::kBind, Action::kForward, nullptr, statement.number());
      return;
    case 'D':
      track::read_target(body, body.size(), target);
      hub_.outbox.add_copy(server,
                           target.kind == 'S' ? track::describe_statement(statement.name()) : std::string(message));
      server.replies.expect(Kind::kDescribe, Action::kForward, nullptr, statement.number());
      return;
    default: hub_.outbox.add_copy(server, message);
  }
  if (type == 'E') server.replies.expect(Kind::kExecute, Action::kForward);
  if (type == 'S') server.replies.expect(Kind::kSync, Action::kForward);
  if (type == 'S') ++server.batch;
}

}  // namespace pgweir::relay
