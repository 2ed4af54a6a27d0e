#include "login/exchange.hpp"

#include <algorithm>

#include "net/wait.hpp"
#include "track/statement_news.hpp"
#include "wire/builder.hpp"
#include "wire/error_fields.hpp"
#include "wire/reader.hpp"

namespace pgweir::login {

namespace {

constexpr size_t kMostWhole = size_t{64} * 1024;  // longer messages are looked at by their beginning only
constexpr size_t kMostError = 1000;
constexpr int kReadsATurn = 16;  // then others have theirs, and the clock goes on

void take_locals(session::Server& server) {
  track::Kind kind{};
  track::NotePtr note;
  while (server.replies.take_local(&kind, &note))
    note.reset();
}

void append_rollback(session::Server& server, std::string& message) {
  wire::MessageBuilder(message, 'P').cstring({}).cstring("ROLLBACK").u16(0).finish();
  wire::MessageBuilder(message, 'B').cstring({}).cstring({}).u16(0).u16(0).u16(0).finish();
  wire::MessageBuilder(message, 'E').cstring({}).u32(0).finish();
  for (track::Kind kind : {track::Kind::kParse, track::Kind::kBind, track::Kind::kExecute})
    server.replies.expect(kind, track::Action::kHide);
}

void note_parameter(session::Server& server, ByteView body) {
  wire::Reader reader(body);
  const ByteView name = reader.cstring();
  const ByteView value = reader.cstring();
  if (reader.ok()) server.parameters.set(name, value);
}

}  // namespace

Exchange::Exchange(session::Hub& hub, session::Server& server, const char* name)
    : hub(hub), server(server), name(name), inbox(server.stream) {
  if (server.held) inbox.give(*server.held);
  server.held.reset();
  server.body_dropped = false;
  server.unnamed = 0;
}

bool Exchange::ask(std::string_view sql) {
  std::string message;
  wire::append_query(message, sql);
  server.replies.expect(track::Kind::kQuery, track::Action::kHide);
  return server.stream.send(message);
}

bool Exchange::ask(std::string_view sql, std::string_view parameter, Answer& answer) {
  using track::Action;
  using track::Kind;
  std::string message;
  wire::MessageBuilder(message, 'P').cstring({}).cstring(sql).u16(0).finish();
  wire::MessageBuilder(message, 'B')
      .cstring({})
      .cstring({})
      .u16(0)
      .u16(1)
      .u32(static_cast<uint32_t>(parameter.size()))
      .bytes(parameter)
      .u16(0)
      .finish();
  wire::MessageBuilder(message, 'D').u8('P').cstring({}).finish();
  wire::MessageBuilder(message, 'E').cstring({}).u32(0).finish();
  wire::append_empty(message, 'S');
  for (Kind kind : {Kind::kParse, Kind::kBind, Kind::kDescribe, Kind::kExecute, Kind::kSync})
    server.replies.expect(kind, Action::kHide);
  answer_ = &answer;
  return server.stream.send(message);
}

void Exchange::note_answer(char type, ByteView body, bool whole) {
  if (type == 'T' && body.size() >= 2) answer_->columns = load_be16(body.data());
  if (type != 'D') return;
  ++answer_->rows;
  wipe(answer_->row);
  answer_->row = whole ? body : ByteView();
  answer_->cut = !whole;
}

bool Exchange::settled() const {
  return server.replies.all_answered() && server.body_left == 0 && inbox.bytes().empty();
}

bool Exchange::over() const {
  return server.state() == pool::ServerState::kClosing || server.state() == pool::ServerState::kGone;
}

// A batch that nobody will close now is closed by Sync; a COPY IN is failed first. Late COPY messages and a Sync too
// many are harmless to PostgreSQL. The Sync alone would commit what the batch has done, and PostgreSQL rolls that back
// when a client leaves without it: so a ROLLBACK goes before, which takes back an implicit transaction, too (with a
// warning in the server's log). Not where an error, or the end of the COPY, has done so.
void Exchange::end_open_work() {
  std::string message;
  bool sync = server.replies.in_extended_batch();
  bool rollback = sync && !server.replies.skipping() && !server.replies.in_copy_in();
  if (server.replies.in_copy_in() && !copy_ended_) {
    copy_ended_ = true;
    sync = sync || server.replies.copy_in_extended();
    wire::append_copy_fail(message, "client has gone");
    server.replies.expect(track::Kind::kCopyFail, track::Action::kHide);
  }
  if (sync) {
    if (rollback) append_rollback(server, message);
    wire::append_empty(message, 'S');
    server.replies.expect(track::Kind::kSync, track::Action::kHide);
  }
  if (!message.empty()) server.stream.send(message);
}

bool Exchange::mismatch(char type) const {
  session::note_mismatch(hub, server, type, name);
  return false;
}

void Exchange::skip_body() {
  const size_t part = std::min<size_t>(server.body_left, inbox.bytes().size());
  server.body_left -= static_cast<uint32_t>(part);
  inbox.consume(part);
}

bool Exchange::handle_message(char type, ByteView body, bool whole) {
  if (type == 'Z' && body.size() != 1) return mismatch(type);
  if (type == 'S' && whole) note_parameter(server, body);
  if (type == 'E') {
    const wire::ErrorFields fields = wire::parse_error_fields(body);
    error = fields.message.substr(0, kMostError);
    farewell = whole && fields.fatal();
    if (farewell) return true;
  }
  track::Swallowed swallowed;
  track::Match match = server.replies.match(type, body, track::Swallowed::collect, &swallowed);
  swallowed.undo(server.statements, nullptr);
  if (match.verdict == track::Match::Verdict::kMismatch) return mismatch(type);
  const bool own = match.verdict == track::Match::Verdict::kHide;
  if (answer_ && own) note_answer(type, body, whole);
  if (type == 'E' && own && server.hidden_set) settings_unknown = true;
  if (type == 'Z' && own) server.hidden_set = false;
  if (type == 'Z' && match.status != 0) server.transaction = match.status;
  if (type == 'C' && body == ByteView("DISCARD ALL\0", 12)) discarded_all = true;
  if (type == 'C') track::note_command(server.parameters, body, track::ParameterSet::kSomebody);
  if (type == 'C' && track::deallocates_all(body))
    track::forget_all(server.replies, server.statements, nullptr, server.batch);
  track::confirm(match, server.statements, server.batch);
  take_locals(server);
  return true;
}

bool Exchange::handle() {
  for (;;) {
    skip_body();
    if (server.body_left > 0) return true;
    wire::Header header;
    const ByteView bytes = inbox.bytes();
    const wire::Frame frame = wire::parse_header(bytes, hub.snapshot->global.max_packet_size, header);
    if (frame == wire::Frame::kNeedMore) return true;
    if (frame == wire::Frame::kBad) return mismatch(0);
    const bool small = header.size() <= kMostWhole;
    if (small && bytes.size() < header.size()) return true;
    const size_t seen = std::min(header.size(), bytes.size());
    const bool matched = handle_message(header.type, bytes.substr(wire::kHeaderSize, seen - wire::kHeaderSize), small);
    if (!matched) return false;
    if (farewell) return true;
    server.body_left = static_cast<uint32_t>(header.size() - seen);
    inbox.consume(seen);
  }
}

net::Task<Drained> drain(Exchange& exchange) {
  net::Waited waited = net::Waited::kReady;
  int reads = 0;
  for (;;) {
    if (!exchange.handle()) co_return Drained::kMismatch;
    if (exchange.farewell) co_return Drained::kLost;
    if (exchange.settled()) co_return Drained::kDone;
    exchange.end_open_work();
    const size_t left = exchange.inbox.bytes().size();
    Got got = exchange.inbox.read_now(left + 1);
    const size_t read = exchange.inbox.bytes().size() - left;
    if (read > exchange.budget) co_return Drained::kOverBudget;
    exchange.budget -= read;
    if (exchange.hub.loop.now() >= exchange.deadline) co_return Drained::kTimeout;
    if (got == Got::kOk && ++reads % kReadsATurn > 0) continue;
    if (got == Got::kOk) {
      co_await net::next_turn(exchange.hub.loop);
      if (exchange.over()) co_return Drained::kLost;
      continue;
    }
    if (got != Got::kAgain) co_return Drained::kLost;
    if (waited == net::Waited::kTimeout) co_return Drained::kTimeout;
    waited = co_await net::readable(exchange.server.stream, exchange.deadline);
    if (exchange.over()) co_return Drained::kLost;
  }
}

void let_go(session::Hub& hub, session::Server& server) {
  if (server.state() != pool::ServerState::kClosing) return;
  server.errand = session::Errand::kRead;
  session::resume(hub, server);
}

}  // namespace pgweir::login
