// A server connection: pool entry + what it owes and knows + its stream. Owned by its worker's registry; handed to
// another worker whole. Its ReplyQueue says at any time which answers are still owed.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/list.hpp"
#include "net/task.hpp"
#include "pool/entry.hpp"
#include "session/client.hpp"
#include "session/lookup.hpp"
#include "session/outbox.hpp"
#include "track/parameters.hpp"
#include "track/reply_queue.hpp"
#include "track/statements.hpp"

namespace pgweir::session {

// A copy of the batch in flight, kept while it may have to be sent again ("cached plan must not change result type").
struct RetryCopy {
  enum class Phase : uint8_t {
    kOff,
    kOpen,      // the batch goes on
    kComplete,  // its Sync has been sent
    kFailed,    // the error came; a ReadyForQuery is awaited
    kRetried,   // sent again: a second error is the client's
  };
  Phase phase = Phase::kOff;
  bool parsed = false;           // the client gave the name in this batch; the answer was made here
  bool described = false;        // the client learns the columns in this batch, before any row
  std::string messages;          // as the client sent them
  std::string name;              // the client's name of the one statement that it uses
  std::string portal;            // of its last Bind
  std::string held_back;         // a ParameterDescription: half of an answer that may yet be an error
  track::StatementPtr outdated;  // with kFailed
  void stop() {
    phase = Phase::kOff;
    held_back.clear();
    outdated.reset();
  }
  bool alive() const { return phase == Phase::kOpen || phase == Phase::kComplete; }
  bool watches() const { return alive() || !held_back.empty(); }  // answers matter to it
};

// What the worker does with a server of its ready list, after the batch.
enum class Errand : uint8_t { kNone, kRead, kReset, kCheck, kCleanUp, kMove, kLookup };

class Server final : public pool::ServerEntry, public End, public Hook<ReadyTag> {
 public:
  Client* client = nullptr;         // attached; null unless active
  LocalPool* local_pool = nullptr;  // null while it moves between workers
  std::shared_ptr<pool::SharedPool> shared_pool;
  track::ReplyQueue replies;
  track::ParameterSet parameters;
  track::ServerStatements statements;
  std::unique_ptr<RetryCopy> retry;
  std::unique_ptr<net::Spawned> flow;  // its login, reset, check or clean-up; null when the relay has it
  uint64_t unnamed = 0;                // number of the unnamed statement it holds (Client::unnamed); 0: unknown
  uint32_t backend_pid = 0;
  std::string cancel_secret;
  std::string last_error;  // its last FATAL, for "server conn crashed?"
  std::string last_sqlstate;
  uint32_t registry_index = 0;
  size_t host = 0;    // index into its database's host list
  std::string place;  // that host's name or address as configured, or the path of the unix socket
  Errand errand = Errand::kNone;
  LookupPromise lookup;              // with Errand::kLookup
  uint16_t moving_to = 0;            // the worker, with Errand::kMove
  char transaction = 'I';            // of its last ReadyForQuery
  bool hidden_set = false;           // the SETs of an attach are in flight: their answers must not fail
  bool held_until_proven = false;    // ... and the client's request waits for them
  bool held_for_answers = false;     // the client's next message waits until older ones have been answered
  bool checking = false;             // ... until it is known whether a statement is what the client was told of it
  uint64_t told_parameters = 0;      // half of a description that is under way (track::Told)
  uint64_t bound = 0;                // number of the statement that the unnamed portal's columns are wanted of; 0: none
  std::vector<std::string> proving;  // settings that are accepted when those SETs are ("name=value")
  std::string set_error;             // what it said to them
  uint64_t batch = 1;                // number of the batch that is open now: grows with every Sync and Query
  bool half_told = false;   // a client that went had sent half a message: nothing may be sent behind it any more
  bool let_finish = false;  // with Errand::kCleanUp: its client has said goodbye, so what it asked for is not cancelled
  Micros attached_at = 0;
  Micros closing_deadline = kNever;
  Micros overdue_at = kNever;  // closed by upkeep if its login, errand or cancel has not ended by then (patience.hpp)
  Micros answered_at = 0;      // last ReadyForQuery
};

// Since when the transaction on `server`, which has a client, has rested: nothing runs there and it is the client's
// turn, be it between two queries or behind a Flush. 0: it does not.
inline Micros idle_in_transaction_since(const Server& server) {
  if (server.replies.batch_at_rest()) return std::max(server.last_activity, server.client->last_request);
  return server.replies.all_answered() && server.transaction != 'I' ? server.answered_at : 0;
}

}  // namespace pgweir::session
