// "cached plan must not change result type": a table changed under a prepared statement. Outside a transaction, and
// when nothing of the batch has been answered yet, the statement is prepared anew and the batch sent once more; the
// client does not hear of it.
#include "relay/relay.hpp"
#include "wire/builder.hpp"
#include "wire/error_fields.hpp"

namespace pgweir::relay {

using session::RetryCopy;
using session::Server;
using track::Action;
using track::Kind;

namespace {

constexpr size_t kMostRemembered = 16 * 1024;  // larger batches are not sent twice

// The kinds of messages that may stand in a batch that is kept. Anything else, and it is not.
bool plain(char type, Kind* kind) {
  switch (type) {
    case 'B': *kind = Kind::kBind; return true;
    case 'E': *kind = Kind::kExecute; return true;
    case 'D': *kind = Kind::kDescribe; return true;
    case 'S': *kind = Kind::kSync; return true;
    default: return false;
  }
}

}  // namespace

// A Bind of a named statement opens a batch outside a transaction: `head` and `rest` are its bytes as sent.
void Relay::remember_for_retry(Server& server, ByteView head, ByteView rest, size_t rest_size,
                               const track::StatementPtr& statement) {
  bool fits = rest.size() == rest_size && head.size() + rest_size <= kMostRemembered;
  if (!server.retry) server.retry = std::make_unique<RetryCopy>();
  RetryCopy& copy = *server.retry;
  copy.phase = fits ? RetryCopy::Phase::kOpen : RetryCopy::Phase::kOff;
  if (!fits) return;
  copy.messages.assign(head);
  copy.messages.append(rest);
  copy.kinds.assign(1, 'B');
  copy.statement = statement;
}

// Called before a further message is handled. Only what goes to the server as it is can be kept: Execute, Describe of
// a portal, Sync.
void Relay::extend_retry(Server& server, ByteView message, char type, bool whole) {
  RetryCopy& copy = *server.retry;
  if (copy.phase == RetryCopy::Phase::kOff || copy.phase == RetryCopy::Phase::kRetried) return;
  bool portal = type == 'D' && message.size() > wire::kHeaderSize && message[wire::kHeaderSize] == 'P';
  bool keeps = copy.phase == RetryCopy::Phase::kOpen && whole && (type == 'E' || type == 'S' || portal) &&
               copy.messages.size() + message.size() <= kMostRemembered;
  if (!keeps) {
    copy.phase = RetryCopy::Phase::kOff;  // something stands behind it at the server already: too late to repeat
    return;
  }
  copy.messages.append(message);
  copy.kinds.push_back(type);
  if (type == 'S') copy.phase = RetryCopy::Phase::kComplete;
}

bool Relay::heals(Server& server, const wire::ErrorFields& fields, const track::Match& match) {
  bool cached_plan = fields.sqlstate == "0A000" && (fields.routine == "RevalidateCachedQuery" ||
                                                    fields.message == "cached plan must not change result type");
  if (!cached_plan) return false;
  // Only the Bind itself may have failed: then nothing has been answered. Its Sync is all that is still owed.
  bool complete = server.retry && server.retry->phase == RetryCopy::Phase::kComplete;
  if (!complete || match.kind != Kind::kBind || server.replies.size() != 1) {
    // The client hears of it and will prepare anew, perhaps under another name but with the same text: that must
    // reach the server, whose own copy would stay stale for ever.
    server.statements.doubt_all();
    return false;
  }
  server.retry->phase = RetryCopy::Phase::kFailed;
  server.replies.hide_head();
  return true;
}

void Relay::retry_now(Server& server) {
  RetryCopy& copy = *server.retry;
  copy.phase = RetryCopy::Phase::kRetried;
  ++hub_.tally.retries;
  std::string message;
  wire::append_close_statement(message, copy.statement->name());
  wire::append_parse(message, copy.statement->name(), copy.statement->body());
  hub_.outbox.add_copy(server, message);
  auto note = std::make_unique<track::StatementNote>();
  note->statement = copy.statement;
  note->sent = true;
  server.replies.expect(Kind::kClose, Action::kHide);
  server.replies.expect(Kind::kParse, Action::kHide, std::move(note));
  hub_.outbox.add_copy(server, copy.messages);
  for (char type : copy.kinds) {
    Kind kind = Kind::kSync;
    if (plain(type, &kind)) server.replies.expect(kind, Action::kForward);
  }
  ++server.batch;
  session::resume(hub_, *server.client);
}

}  // namespace pgweir::relay
