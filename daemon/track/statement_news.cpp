#include "track/statement_news.hpp"

#include <utility>

namespace pgweir::track {

void Swallowed::collect(void* context, Kind kind, Action action, StatementNote* note) {
  auto& self = *static_cast<Swallowed*>(context);
  if (self.seen_++ == 0) self.first_noted_ = note != nullptr;
  if (kind != Kind::kParse && !note) return;
  self.items_.push_back({kind, action, note != nullptr, note ? std::move(*note) : StatementNote{}});
}

Swallowed::Lost Swallowed::undo(ServerStatements& server, ClientStatements* client) const {
  Lost lost;
  for (auto item = items_.rbegin(); item != items_.rend(); ++item) {
    const StatementNote& note = item->note;
    if (!item->noted) {
      bool unnamed = item->kind == Kind::kParse;
      lost.of_server = lost.of_server || unnamed;
      lost.of_client = lost.of_client || (unnamed && item->action == Action::kForward);
    } else if (item->kind == Kind::kDescribe) {
      lost.check = lost.check || item->action == Action::kHide;
    } else if (!note.statement || note.doom != Doom::kNone) {
      continue;  // it was to change nothing
    } else if (item->kind == Kind::kParse) {
      if (note.sent) server.remove(*note.statement);
      if (client && !note.client_name.empty()) client->remove(note.client_name);
    } else if (note.sent) {  // an eviction that did not happen
      server.not_closed(note.statement);
    } else if (client && !note.client_name.empty()) {
      client->add(note.client_name, note.statement);
    }
  }
  return lost;
}

bool deallocates_all(ByteView command_complete) {
  return command_complete == ByteView("DISCARD ALL\0", 12) || command_complete == ByteView("DEALLOCATE ALL\0", 15);
}

void forget_all(const ReplyQueue& replies, ServerStatements& server, ClientStatements* client, uint64_t batch) {
  server.clear();
  if (client) client->clear();
  replies.for_each_note([&](Kind kind, Action, StatementNote& note) {
    // A name that was given up behind the command: there is nothing left that an error could give back.
    if (kind != Kind::kParse && !note.sent) note.client_name.clear();
    if (kind != Kind::kParse || !note.statement || note.doom != Doom::kNone) return;
    if (note.sent) server.sent(note.statement, batch);
    if (client && !note.client_name.empty()) client->add(note.client_name, note.statement);
  });
}

void confirm(const Match& match, ServerStatements& server, uint64_t batch) {
  if (!match.completed || !match.note || !match.note->statement) return;
  const StatementPtr& statement = match.note->statement;
  if (match.kind == Kind::kClose && match.note->sent) server.closed(*statement);
  if (match.kind != Kind::kParse) return;
  if (!server.known(*statement)) server.sent(statement, batch);
  server.confirm(*statement);
}

}  // namespace pgweir::track
