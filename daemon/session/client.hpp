// A client connection: pool entry + what is known of it + its stream. Plain data beside the stream, so that it can be
// written down for a restart (DESIGN, section 7). Owned by its worker's registry; never moves in memory.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <unordered_map>

#include "base/list.hpp"
#include "net/task.hpp"
#include "net/wait.hpp"
#include "pool/entry.hpp"
#include "session/outbox.hpp"
#include "session/reasons.hpp"
#include "session/slow_notes.hpp"
#include "track/parameters.hpp"
#include "track/statements.hpp"

namespace pgweir::session {

class Server;
class LocalPool;

struct ReadyTag {};

// Cancel keys are drawn by us, never the server's: 4 bytes of "process id" and a secret of 4 (3.0, most clients) or 32
// (3.2) bytes.
struct CancelKey {
  uint32_t pid = 0;

  // Room for a secret of that size, to be filled in.
  char* reserve(size_t size) {
    whole_ = size > short_.size() ? std::make_unique<std::string>(size, '\0') : nullptr;
    return whole_ ? whole_->data() : short_.data();
  }
  ByteView view() const { return whole_ ? ByteView(*whole_) : ByteView(short_.data(), short_.size()); }

 private:
  std::array<char, 4> short_{};
  std::unique_ptr<std::string> whole_;  // a longer one
};

enum class Replication : uint8_t { kNone, kPhysical, kLogical };

// Who looks after a client's prepared statements. Decided when it first gets a server outside session mode, and kept:
// a reload must not take away the names that it has given, nor give it those of others.
enum class Naming : uint8_t {
  kOwnServer,  // session mode: it has a server for itself, which sees every message as it is
  kUnmapped,   // max_prepared_statements = 0: only the unnamed statement is brought from server to server
  kMapped,
};

// What only some clients need, kept apart so that an idle client stays small.
struct ClientExtras {
  std::string unnamed_query;        // body of its last unnamed Parse (name stripped), to be given to another server
  track::Told unnamed_told;         // what it was told of that
  bool unnamed_outdated = false;    // ... and is not so any more
  std::string unnamed_deallocates;  // the name that it was to DEALLOCATE; empty: it was something else
  std::unordered_map<std::string, std::string> deallocating;  // the same of named ones
  const std::string& deallocated_by(ByteView statement) const {
    static const std::string kNone;
    auto found = deallocating.find(std::string(statement));
    return found == deallocating.end() ? kNone : found->second;
  }
  // The portal bound last that deallocates a name, and that name; empty: there is none.
  std::string deallocating_portal;
  std::string deallocates;
  net::Gate* served = nullptr;                   // of a login that waits for a server: opened when there are news of it
  bool guest = false;                            // of another pool, whose server is to look its user up
  std::string options;                           // of a replication client, as it gave them
  std::shared_ptr<const pool::Welcome> welcome;  // ... what its own server has said
  std::unique_ptr<SlowNotes> slow;
  Micros notified_wait = 0;  // wait_start of the wait that query_wait_notify has told it of
};

class Client final : public pool::ClientEntry, public End, public Hook<ReadyTag> {
 public:
  Server* server = nullptr;  // attached; null unless active
  pool::ClientSeat seat;
  std::shared_ptr<pool::SharedDatabase> database;
  std::shared_ptr<pool::SharedUser> user;  // who logged in
  LocalPool* local_pool = nullptr;
  track::ParameterSet parameters;
  track::ClientStatements statements;
  std::unique_ptr<ClientExtras> extras;
  CancelKey cancel_key;
  std::unique_ptr<net::Spawned> flow;  // its login (or console); null once the relay has it
  uint64_t unnamed = 0;                // number of its current unnamed statement; 0: none
  uint32_t registry_index = 0;
  uint16_t protocol_minor = 0;  // 3.x
  uint16_t listen_port = 0;     // the "port" of a unix client
  Replication replication = Replication::kNone;
  Naming naming = Naming::kOwnServer;
  char console_rights = 0;           // 'a' admin, 's' stats, 0 not a console client
  bool parameters_unproven = false;  // holds startup parameters that no server has accepted yet
  bool skip_until_sync = false;  // an error made here in a batch: messages are dropped until Sync, as PostgreSQL does

  Micros query_start = 0;  // of the request it waits for or that runs; 0: none
  Micros xact_start = 0;   // of the open transaction; 0: none
  Micros login_deadline = kNever;

  ClientExtras& more() {
    if (!extras) extras = std::make_unique<ClientExtras>();
    return *extras;
  }
};

}  // namespace pgweir::session
