// What the messages of a server mean: the ledger's verdict, parameters, confirmations, the end of a transaction.
#include "base/text.hpp"
#include "relay/relay.hpp"
#include "session/say.hpp"
#include "session/slow.hpp"
#include "track/statement_news.hpp"
#include "wire/builder.hpp"
#include "wire/error_fields.hpp"
#include "wire/reader.hpp"

namespace pgweir::relay {

using session::Client;
using session::Reason;
using session::RetryCopy;
using session::Server;
using track::Action;
using track::Kind;

namespace {

struct DoomRow {
  ByteView expected;  // what the server says, naming a statement that the client does not know
  ByteView sqlstate;
  ByteView file;
  ByteView routine;
};

// Indexed by Doom. What the client hears is what PostgreSQL says in that case; drivers look at the routine, too.
constexpr DoomRow kDooms[] = {
    {},
    {"26000", "26000", "prepare.c", "FetchPreparedStatement"},
    {"42P05", "42P05", "prepare.c", "StorePreparedStatement"},
    {"26000", "0A000", "plancache.c", "RevalidateCachedQuery"},
};

// The ErrorResponse in place of the server's own, which said `sqlstate`. Empty: that one is for the client.
std::string doom_text(const track::StatementNote& note, ByteView sqlstate) {
  const DoomRow& row = kDooms[static_cast<size_t>(note.doom)];
  std::string out;
  if (row.expected.empty() || row.expected != sqlstate) return out;
  std::string text = "cached plan must not change result type";
  std::string_view detail;  // PgBouncer's words, for those who look for them (compat/messages.tsv)
  if (note.doom != track::Doom::kOutdated) {
    bool taken = note.doom == track::Doom::kInUse;
    text = cat("prepared statement \"", note.client_name, "\" ", taken ? "already exists" : "does not exist");
    detail = taken ? "prepared statement name is already in use" : "prepared statement did not exist";
  }
  wire::MessageBuilder message(out, 'E');
  message.u8('S').cstring("ERROR").u8('V').cstring("ERROR").u8('C').cstring(row.sqlstate).u8('M').cstring(text);
  if (!detail.empty()) message.u8('D').cstring(detail);
  message.u8('F').cstring(row.file).u8('R').cstring(row.routine).u8(0);
  message.finish();
  return out;
}

// Then the client hears that there are none instead of a ReadyForQuery: as the answer to its BEGIN.
bool opens_block_in_statement_mode(const Client& client, ByteView body) {
  return body[0] != 'I' && session::mode_of(client) == settings::PoolMode::kStatement;
}

}  // namespace

// Behind a row that was passed on: the whole rows that follow go the same way, for nothing can change between them.
// What is not whole, or no row, or too long, is for the scan.
void Relay::step_over_rows(Piece& piece) const {
  const uint64_t most = hub_.snapshot->global.max_packet_size;
  for (ByteView rest = piece.rest(); rest.size() >= wire::kHeaderSize; rest = piece.rest()) {
    if (rest[0] != 'D' && rest[0] != 'd') return;
    const uint64_t length = load_be32(rest.data() + 1);
    if (length < 4 || length >= most || length + 1 > rest.size()) return;
    piece.at += length + 1;
  }
}

Relay::Scan Relay::on_server_message(Server& server, Piece& piece, const wire::Header& header) {
  size_t size = header.size();
  ByteView body = piece.rest().substr(wire::kHeaderSize, header.body_size());
  Client* client = server.client;
  if (!server_rule(header.type).known) {
    close_server(hub_, server, Reason::kServerUnknownPacket);
    return Scan::kClosed;
  }
  if (!client) return on_unlinked(server, piece, header.type, body, size);
  bool hidden = false;
  if ((header.type == 'D' || header.type == 'd') && server.replies.takes_row(&hidden)) {
    hidden ? drop(server, client, piece, size) : pass(server, piece, size);
    if (!hidden && server.body_left == 0) step_over_rows(piece);
    return Scan::kDone;
  }
  bool whole = body.size() == header.body_size();
  if (!(server.retry && server.retry->watches()) && server.replies.passes(header.type)) {
    if (header.type == 'C' && whole) on_command(server, body);
    pass(server, piece, size);
    if (server.replies.local_due()) deliver_local(server, &piece);
    return Scan::kDone;
  }
  // Its last words may come at any time (pg_terminate_backend, idle_in_transaction_session_timeout): owed or not, they
  // are for the client. The end of the stream follows.
  if (header.type == 'E' && whole && last_words(server, body)) {
    pass(server, piece, size);
    return Scan::kDone;
  }
  track::Swallowed swallowed;
  track::Match match = server.replies.match(header.type, body, track::Swallowed::collect, &swallowed);
  if (match.verdict == track::Match::Verdict::kMismatch) return mismatch(server, header.type);
  hidden = match.verdict == track::Match::Verdict::kHide;
  if (server.held_for_answers && (header.type == 'Z' || header.type == 'E' || header.type == 'G')) {
    server.held_for_answers = false;
    session::resume(hub_, *client);
  }
  if (match.kind == Kind::kDescribe && header.type != 'E') on_description(server, body, header, match);
  if (server.retry && server.retry->watches() && !match.async && note_answer(server, piece, header.type, size, !hidden))
    return Scan::kDone;
  if (header.type == 'E') {
    track::Swallowed::Lost lost = swallowed.undo(server.statements, &client->statements);
    server.told_parameters = 0;  // half a description: the other half is not coming
    if (lost.of_server) server.unnamed = 0;
    if (lost.of_client) client->unnamed = 0;
    if (lost.check) {
      server.checking = false;
      session::resume(hub_, *client);
    }
    hidden = on_error(server, piece, whole ? body : ByteView(), match, swallowed.cause());
  }
  if (header.type == 'S') hidden = on_parameter(server, body, hidden);
  bool of_attach = hidden && match.kind == Kind::kQuery;  // its SETs and RESETs are accounted for
  if (header.type == 'C' && whole && !of_attach) on_command(server, body);
  if (match.note) track::confirm(match, server.statements, server.batch);
  hidden = hidden || (header.type == 'Z' && opens_block_in_statement_mode(*client, body));
  hidden ? drop(server, client, piece, size) : pass(server, piece, size);
  if (server.replies.local_due()) deliver_local(server, &piece);
  return header.type == 'Z' ? on_ready(server, piece, match) : Scan::kDone;
}

// Nobody is attached. Notices and notifications are dropped, parameters noted; the rest must not come.
Relay::Scan Relay::on_unlinked(Server& server, Piece& piece, char type, ByteView body, size_t size) {
  if (type == 'S') on_parameter(server, body, true);
  if (type == 'A' || type == 'N' || type == 'S') {
    drop(server, nullptr, piece, size);
    return Scan::kDone;
  }
  wire::ErrorFields fields = wire::parse_error_fields(type == 'E' ? body : ByteView());
  say(hub_, server, session::said(Level::kWarning, Event::kServerNews),
      cat("got packet '", type, "' from server when not linked", fields.message.empty() ? "" : ": ", fields.message));
  close_server(hub_, server, type == 'E' ? Reason::kServerLostIdle : Reason::kServerUnsolicited, fields.message);
  return Scan::kClosed;
}

Relay::Scan Relay::mismatch(Server& server, char type) {
  session::note_mismatch(hub_, server, type, "the relay");
  close_server(hub_, server, Reason::kAnswerMismatch);
  return Scan::kClosed;
}

bool Relay::last_words(Server& server, ByteView body) {
  wire::ErrorFields fields = wire::parse_error_fields(body);
  if (!fields.fatal()) return false;
  server.last_error = fields.message.empty() ? "FATAL" : std::string(fields.message);
  server.last_sqlstate = fields.sqlstate;
  return true;
}

// Returns whether the error is hidden from the client, who may have heard of it in other words. Not hidden is that of a
// hidden Parse: the client's own messages behind it are swallowed.
bool Relay::on_error(Server& server, Piece& piece, ByteView body, const track::Match& match,
                     const track::StatementNote* cause) {
  wire::ErrorFields fields = wire::parse_error_fields(body);
  if (match.kind == Kind::kQuery && match.verdict == track::Match::Verdict::kHide) {
    server.set_error = fields.message.empty() ? "refused" : std::string(fields.message);
    return true;
  }
  if (heals(server, fields, match)) return true;
  if (server.retry && server.retry->alive()) server.retry->phase = RetryCopy::Phase::kOff;
  give_held_back(server, piece);
  std::string told = cause ? doom_text(*cause, fields.sqlstate) : std::string();
  if (told.empty()) return false;
  send_run(*server.client, piece);
  hub_.outbox.add_copy(*server.client, told);
  return true;
}

// Returns whether the report is hidden. The client hears of a value that is new to it.
bool Relay::on_parameter(Server& server, ByteView body, bool hidden) {
  wire::Reader reader(body);
  ByteView name = reader.cstring();
  ByteView value = reader.cstring();
  if (!reader.ok()) return true;
  bool tracked = server.parameters.set(name, value);
  Client* client = server.client;
  if (!client || !tracked) return hidden;
  track::Value before = client->parameters.value(name);
  client->parameters.set(name, value);
  bool news = !before || !equal_ignoring_case(*before, value);
  return hidden && !news;
}

void Relay::on_command(Server& server, ByteView body) {
  if (body.size() < 4 || (body[0] != 'D' && body[0] != 'R' && body[0] != 'S')) return;
  if (track::deallocates_all(body)) {
    track::forget_all(server.replies, server.statements, server.client ? &server.client->statements : nullptr,
                      server.batch);
  }
  track::note_command(server.parameters, body, server.client ? server.client->id : track::ParameterSet::kSomebody);
}

// ReadyForQuery: a request has been answered, perhaps a transaction has ended, perhaps the server is free.
Relay::Scan Relay::on_ready(Server& server, Piece& piece, const track::Match& match) {
  Client& client = *server.client;
  Micros now = hub_.now();
  server.transaction = match.status == 0 ? 'I' : match.status;
  server.answered_at = now;
  if (server.retry && server.retry->phase == RetryCopy::Phase::kFailed) {
    retry_now(server);
    return Scan::kDone;
  }
  if (match.verdict == track::Match::Verdict::kHide) return on_hidden_ready(server);
  send_run(client, piece);
  session::Counters& counters = client.local_pool->counters;
  bool answered = server.replies.all_answered();
  ++counters.queries;
  ++hub_.tally.queries;
  session::Latencies& latencies = client.local_pool->latencies;
  if (client.query_start > 0) {
    counters.query_time += static_cast<uint64_t>(now - client.query_start);
    latencies.add(session::Took::kQuery, now - client.query_start);
  }
  const Micros query_took = client.query_start > 0 ? now - client.query_start : -1;
  Micros transaction_took = -1;
  client.query_start = answered ? 0 : now;
  if (server.transaction == 'I') {
    ++counters.xacts;
    if (client.xact_start > 0) {
      counters.xact_time += static_cast<uint64_t>(now - client.xact_start);
      latencies.add(session::Took::kTransaction, now - client.xact_start);
      transaction_took = now - client.xact_start;
    }
    client.xact_start = answered ? 0 : now;
  }
  session::answered(hub_, client, query_took, transaction_took);
  settings::PoolMode mode = session::mode_of(client);
  if (mode == settings::PoolMode::kStatement && server.transaction != 'I') {
    close_client(hub_, client, Reason::kTransactionInStatementMode);
    return after_ready(server);
  }
  if (answered && mode != settings::PoolMode::kSession) trim_statements(server);
  release_if_over(server);
  return after_ready(server);
}

// What has been read behind a ReadyForQuery is lost only with the server: its next owner, be it a clean-up, has it
// else.
Relay::Scan Relay::after_ready(const Server& server) {
  bool closed = server.state() == pool::ServerState::kGone || server.state() == pool::ServerState::kClosing;
  return closed ? Scan::kClosed : Scan::kDone;
}

// The transaction is over and nothing is owed or half sent: the server is free for others.
void Relay::release_if_over(Server& server) {
  Client& client = *server.client;
  bool over = server.replies.all_answered() && server.transaction == 'I' && client.body_left == 0;
  if (!over) return;
  if (session::mode_of(client) == settings::PoolMode::kSession) {
    const bool leave = hub_.books.stopping() == pool::Stopping::kDrain && !server.replies.ambiguous();
    if (leave) close_client(hub_, client, Reason::kDraining);
    return;
  }
  if (server.replies.ambiguous()) return end_doubt(server);
  release(hub_, server);
}

// It may still say one ReadyForQuery more, which is for this client; what answers an empty query comes behind that.
void Relay::end_doubt(Server& server) {
  std::string message;
  wire::append_query(message, {});
  hub_.outbox.add_copy(server, message);
  server.replies.expect(Kind::kQuery, Action::kHide);
  server.unnamed = 0;
  ++server.batch;
}

// A batch may have needed more statements than a server keeps; now that it is through, the rest goes.
void Relay::trim_statements(Server& server) {
  auto most = static_cast<size_t>(std::max(server.local_pool->rules().max_prepared_statements, 0));
  bool half_sent = server.client && server.client->body_left > 0;  // nothing may come in between
  if (server.statements.size() <= most || half_sent) return;
  evict_statements(server);
  if (!server.replies.in_extended_batch()) return;
  hub_.outbox.add(server, ByteView("S\0\0\0\4", 5));
  server.replies.expect(Kind::kSync, Action::kHide);
}

// The SETs of an attach are through, or an eviction between two batches.
Relay::Scan Relay::on_hidden_ready(Server& server) {
  Client& client = *server.client;
  if (!server.hidden_set) {
    release_if_over(server);
    return Scan::kDone;
  }
  server.hidden_set = false;
  if (!server.set_error.empty()) {
    std::string text = cat("invalid server parameter: ", server.set_error);
    close_server(hub_, server, Reason::kInvalidParameter, text);
    return Scan::kClosed;
  }
  client.parameters_unproven = false;
  for (const std::string& setting : server.proving)
    server.local_pool->shared().set_verified(setting);
  server.proving.clear();
  if (!server.held_until_proven) return Scan::kDone;
  server.held_until_proven = false;
  session::resume(hub_, client);
  return Scan::kDone;
}

}  // namespace pgweir::relay
