// What the answers of a server say about prepared statements: a Parse that has come through, everything deallocated, an
// error that has swallowed what was booked when it was sent. Used by whoever reads a server, with its client or
// without. Pure; does not know messages on their way, only the ledger's entries.
#pragma once

#include <cstdint>
#include <vector>

#include "track/reply_queue.hpp"
#include "track/statements.hpp"

namespace pgweir::track {

// The entries that one error has swallowed, to be undone in the opposite order: the last change first.
class Swallowed {
 public:
  // A ReplyQueue::Visitor; `context` is a Swallowed. Takes the note's contents.
  static void collect(void* context, Kind kind, Action action, StatementNote* note);

  struct Lost {
    bool of_server = false;  // its unnamed statement is not what it is believed to be
    bool of_client = false;  // the same of the client's
    bool check = false;      // a hidden Describe
  };
  // `client`: the names of the attached client; null: it has gone.
  Lost undo(ServerStatements& server, ClientStatements* client) const;

  // Of the message that the error answers; null: it has none.
  const StatementNote* cause() const { return seen_ > 0 && first_noted_ ? &items_.front().note : nullptr; }

 private:
  struct Item {
    Kind kind{};
    Action action{};
    bool noted = false;
    StatementNote note;
  };
  std::vector<Item> items_;
  size_t seen_ = 0;
  bool first_noted_ = false;  // the first one seen is items_.front()
};

// The body of a CommandComplete that says that no prepared statement is left (DEALLOCATE ALL, DISCARD ALL).
bool deallocates_all(ByteView command_complete);

// It has come from the server that owes `replies`. What was sent behind that command is not touched by it, and counts
// as sent in `batch`. `client` as above.
void forget_all(const ReplyQueue& replies, ServerStatements& server, ClientStatements* client, uint64_t batch);

// The ledger has matched an answer: confirms the Parse, or the Close of an evicted one, that it completes.
void confirm(const Match& match, ServerStatements& server, uint64_t batch);

}  // namespace pgweir::track
