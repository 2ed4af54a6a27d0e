// Which statements a server has, and whether they are there what its clients were told. Promises: nobody's Bind runs
// on a server where the text means other columns, or parameters, than this client was told of: what is parsed on one
// more server, or was before anybody was told, is described there first, hidden, and the client's message waits for
// that. Does not: what becomes of a statement that is outdated (heal.cpp).
#include <utility>

#include "relay/relay.hpp"
#include "wire/builder.hpp"

namespace pgweir::relay {

using session::Client;
using session::Server;
using track::Action;
using track::Expected;
using track::Kind;

namespace {

constexpr ByteView kFlush("H\0\0\0\4", 5);
// In a ledger entry's `statement`: it is a client's unnamed one (Client::unnamed), not a shared one.
constexpr uint64_t kUnnamed = uint64_t{1} << 63;

}  // namespace

track::NotePtr Relay::note_of(track::StatementPtr statement, ByteView client_name, bool sent) {
  auto note = std::make_unique<track::StatementNote>();
  note->statement = std::move(statement);
  note->client_name = client_name;
  note->sent = sent;
  return note;
}

track::NotePtr Relay::doomed(track::Doom doom, ByteView client_name) {
  track::NotePtr note = note_of(nullptr, client_name, true);
  note->doom = doom;
  return note;
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
Relay::Ensured Relay::ensure_statement(Server& server, Piece& piece, const track::StatementPtr& statement) {
  track::ServerStatements::Use use = server.statements.use(*statement, server.batch);
  bool told = statement->description().known();
  if (use.present && (use.verified || !told)) return Ensured::kReady;
  if (!use.present) {
    if (statement->retired()) return Ensured::kOutdated;
    if (!send_hidden_parse(server, piece, statement)) return Ensured::kReady;
  }
  if (!told) return Ensured::kReady;
  send_run(server, piece);
  bool wait = send_check(server, statement->name(), note_of(statement, {}, false), 0);
  return wait ? Ensured::kWait : Ensured::kReady;
}

// False: an error swallows it.
bool Relay::send_hidden_parse(Server& server, Piece& piece, const track::StatementPtr& statement) {
  send_run(server, piece);
  send_parse(server, *statement);
  Expected expected = server.replies.expect(Kind::kParse, Action::kHide, note_of(statement, {}, true));
  if (expected == Expected::kOwed) server.statements.sent(statement, server.batch);
  evict_statements(server);
  return expected == Expected::kOwed;
}

// The server is asked what that statement is. `number`: of an unnamed one; a shared one stands in the note only, so
// that errors are not healed. False: it will not say, an error swallows the question.
bool Relay::send_check(Server& server, ByteView name, track::NotePtr note, uint64_t number) {
  std::string message = track::describe_statement(name);
  message.append(kFlush);
  hub_.outbox.add_copy(server, message);
  if (server.replies.expect(Kind::kDescribe, Action::kHide, std::move(note), number) != Expected::kOwed) return false;
  server.checking = true;
  return true;
}

// The same for the client's unnamed statement. If it has none, or one too large to be remembered, then the server must
// not answer with another client's.
Relay::Ensured Relay::ensure_unnamed(Client& client, Piece& piece) {
  Server& server = *client.server;
  if (client.naming == session::Naming::kOwnServer) return Ensured::kReady;
  const session::ClientExtras* extras = client.extras.get();
  if (client.unnamed != 0 && server.unnamed == client.unnamed)
    return extras && extras->unnamed_outdated ? Ensured::kOutdated : Ensured::kReady;
  bool remembered = client.unnamed != 0 && extras && !extras->unnamed_query.empty();
  send_run(server, piece);
  std::string message;
  remembered ? wire::append_parse(message, {}, extras->unnamed_query) : wire::append_close_statement(message, {});
  hub_.outbox.add_copy(server, message);
  Expected expected = server.replies.expect(remembered ? Kind::kParse : Kind::kClose, Action::kHide);
  if (expected != Expected::kOwed) return Ensured::kReady;
  server.unnamed = remembered ? client.unnamed : 0;
  if (!remembered || extras->unnamed_told.columns == 0) return Ensured::kReady;
  bool wait = send_check(server, {}, note_of(nullptr, {}, false), kUnnamed | client.unnamed);
  return wait ? Ensured::kWait : Ensured::kReady;
}

// The number under which the ledger keeps a Describe of the client's unnamed statement.
uint64_t Relay::unnamed_number(const Client& client) {
  bool kept = client.naming != session::Naming::kOwnServer && client.unnamed != 0 && client.extras;
  return kept ? kUnnamed | client.unnamed : 0;
}

// Half of an answer to a Describe (ParameterDescription), or its end (RowDescription, NoData). What is hidden is an
// answer to a check.
void Relay::on_description(Server& server, ByteView body, const wire::Header& header, const track::Match& match) {
  bool whole = body.size() == header.body_size();
  if (header.type == 't') {
    server.told_parameters = whole ? track::print_of_parameters(body) : track::print_of_size(header.body_size());
    return;
  }
  if (!match.completed) return;  // an error
  track::Told told{std::exchange(server.told_parameters, 0), track::kNoColumns};
  if (header.type == 'T')
    told.columns = whole ? track::print_of_columns(body) : track::print_of_size(header.body_size());
  bool check = match.verdict == track::Match::Verdict::kHide;
  if (check) {
    server.checking = false;
    session::resume(hub_, *server.client);
  }
  if ((match.statement & kUnnamed) != 0) return note_unnamed(*server.client, match.statement & ~kUnnamed, told, check);
  track::StatementPtr statement = match.note ? match.note->statement : server.statements.find(match.statement);
  if (!statement) return;
  if (statement->description().agrees(told)) return server.statements.verified(*statement);
  hub_.statements.retire(*statement);
  if (check && server.statements.give_up(*statement)) {
    send_close(server, statement);
  } else {
    server.generation = 0;  // obsolete: its client knows now what it has here, nobody else does
  }
}

void Relay::note_unnamed(Client& client, uint64_t number, track::Told told, bool check) {
  if (number != client.unnamed || !client.extras) return;  // it has parsed another one
  session::ClientExtras& extras = *client.extras;
  if (check) {
    extras.unnamed_outdated =
        told.columns != extras.unnamed_told.columns || told.parameters != extras.unnamed_told.parameters;
  } else {
    extras.unnamed_told = told;
  }
}

// Of a statement that has been taken from the server's books. False: an error swallows it.
bool Relay::send_close(Server& server, const track::StatementPtr& statement) {
  std::string message;
  wire::append_close_statement(message, statement->name());
  hub_.outbox.add_copy(server, message);
  return server.replies.expect(Kind::kClose, Action::kHide, note_of(statement, {}, true)) == Expected::kOwed;
}

// From here on the server has no statement of that name, whatever it had before.
void Relay::close_stand_in(Server& server) {
  std::string message;
  wire::append_close_statement(message, track::Statement::kStandIn);
  hub_.outbox.add_copy(server, message);
  server.replies.expect(Kind::kClose, Action::kHide);
}

// From here on the server has a statement of that name.
void Relay::send_stand_in(Server& server) {
  close_stand_in(server);
  std::string message;
  wire::append_parse(message, track::Statement::kStandIn, ByteView("\0\0\0", 3));
  hub_.outbox.add_copy(server, message);
  server.replies.expect(Kind::kParse, Action::kHide, doomed(track::Doom::kNone, {}));
}

// Over max_prepared_statements the least recently used one goes, never one that the open batch refers to. Session mode
// has no bound: who still has its statements mapped there has them from before a reload.
void Relay::evict_statements(Server& server) {
  const pool::Rules& rules = server.local_pool->rules();
  if (rules.mode == settings::PoolMode::kSession) return;
  auto most = static_cast<size_t>(rules.max_prepared_statements);
  while (track::StatementPtr victim = server.statements.evict(most, server.batch)) {
    if (send_close(server, victim)) continue;
    server.statements.not_closed(victim);
    return;
  }
}

}  // namespace pgweir::relay
