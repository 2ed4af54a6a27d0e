// One worker as its connections see it: loop, log, books, snapshot, outbox, the lists of what is to be done after the
// batch. Rooms above session/ (relay, login, admin) get a Hub& and nothing else; workers/ implements the effects.
// Not thread safe: a Hub belongs to its worker's thread.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/list.hpp"
#include "base/log.hpp"
#include "net/loop.hpp"
#include "net/resolver.hpp"
#include "net/tls.hpp"
#include "pool/pool.hpp"
#include "session/client.hpp"
#include "session/local_pool.hpp"
#include "session/outbox.hpp"
#include "session/reasons.hpp"
#include "session/registry.hpp"
#include "session/server.hpp"
#include "track/statements.hpp"

namespace pgweir::session {

// A cancel request on its way through the workers; the asking coroutine waits at the gate of its own worker.
enum class CancelOutcome : uint8_t { kPending, kDelivered, kAnsweredHere, kNotRunning, kUnknownKey };

struct CancelTicket {
  CancelOutcome outcome = CancelOutcome::kPending;
  net::Gate done;
};

// SUSPEND: whom the relay does not read any more beyond the message that has begun.
enum class Frozen : uint8_t { kNobody, kClients, kAll };

// What a worker counts beside the pools' counters; SHOW WORKERS and the log.
struct Tally {
  uint64_t loops = 0;  // batches of events
  uint64_t queries = 0;
  uint64_t servers_sent = 0;  // to other workers
  uint64_t servers_received = 0;
  uint64_t mismatches = 0;  // replies that nothing owed
  uint64_t impossible = 0;  // moves that the tables forbid
  uint64_t cancels = 0;     // cancel requests sent to servers
  uint64_t console_logins = 0;
  uint64_t retries = 0;  // batches sent again after "cached plan must not change result type"
  std::array<uint64_t, static_cast<size_t>(Reason::kCount)> closes{};
};

class Hub {
 public:
  Hub(net::Loop& loop, net::Resolver& resolver, Logger& log, pool::Books& books, track::StatementRegistry& statements,
      unsigned worker)
      : loop(loop), resolver(resolver), log(log), books(books), statements(statements), worker(worker) {}
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;
  virtual ~Hub() = default;

  net::Loop& loop;
  net::Resolver& resolver;
  Logger& log;
  pool::Books& books;
  track::StatementRegistry& statements;
  const unsigned worker;
  pool::SnapshotPtr snapshot;
  std::shared_ptr<const net::TlsContext> client_tls;  // null: TLS is off for clients
  std::shared_ptr<const net::TlsContext> server_tls;  // null: TLS is off towards servers
  track::TrackedPtr tracked;                          // names of the tracked parameters
  net::OffloadPool* vouchers = nullptr;               // threads for PAM and LDAP; null: in place
  std::string process_secret;                         // random, for the salts of users who do not exist
  Outbox outbox;
  Registry<Client> clients;
  Registry<Server> servers;
  Tally tally;
  Frozen frozen = Frozen::kNobody;
  uint64_t next_unnamed = 0;  // numbers of clients' unnamed statements on this worker

  // To be looked at after the batch: a client that got a server or whose peer drained, a server whose client drained.
  List<Client, ReadyTag> ready_clients;
  List<Server, ReadyTag> ready_servers;
  // Pools that have a server to offer to other workers (Pool::next_offer), once the ready lists are worked off.
  List<LocalPool, OfferTag> offering;
  // Closed in this batch; freed when it has ended.
  std::vector<std::unique_ptr<Client>> dead_clients;
  std::vector<std::unique_ptr<Server>> dead_servers;

  Micros now() const { return loop.now(); }
  bool paused(const pool::Pool& pool) const {
    return books.mode() == pool::Mode::kPaused || pool.shared().database->paused.load(std::memory_order_relaxed);
  }

  // -- effects that workers/ implements --
  // This worker's part of the pool; made at the first call.
  virtual LocalPool& pool_of(const std::shared_ptr<pool::SharedPool>& shared) = 0;
  virtual std::vector<LocalPool*> pools() = 0;        // all of this worker
  virtual net::StreamHandler& client_handler() = 0;   // the relay's, for logged-in clients
  virtual net::StreamHandler& server_handler() = 0;   // the relay's, for active and idle servers
  virtual net::StreamHandler& closing_handler() = 0;  // for servers that wait for the end of the stream
  virtual void client_ready(Client& client) = 0;      // logged in: to the relay, or to the console's driver
  // Log a new server in: for the pool, or for `owner`, a replication client, to which it is linked at once.
  virtual void launch(LocalPool& pool, pool::Slot slot, Client* owner = nullptr) = 0;
  virtual void start_reset(Server& server) = 0;       // server_reset_query, then returned()
  virtual void start_check(Server& server) = 0;       // server_check_query, then returned()
  virtual void start_lookup(Server& server) = 0;      // auth_query (server.lookup), then returned()
  virtual void cancel_abandoned(Server& server) = 0;  // a cancel request for a server about to be closed
  virtual void start_clean_up(Server& server) = 0;    // cancel, drain, roll back within the budget
  virtual void send_server(unsigned worker, std::unique_ptr<Server> server) = 0;
  virtual void ask_for_server(unsigned worker, pool::SharedPool& shared) = 0;
  virtual void evict_for(LocalPool& pool, pool::Limit limit) = 0;  // close the longest idle server under that limit
  virtual pool::Bell* bell() = 0;
  // A server of this pool has logged in: the welcome is there. Opens the gates of all workers.
  virtual void welcome_news(pool::SharedPool& shared) = 0;
  // A login to a server failed (booked in shared.trouble()). With `tell`, clients that wait for this pool, on all
  // workers, get the server's own error, unless usable servers exist.
  virtual void login_trouble(pool::SharedPool& shared, bool tell) = 0;
  virtual uint32_t next_id() = 0;                                        // shared sequence of clients and servers
  virtual void draw_random(char* to, size_t size) = 0;                   // for salts and nonces; never fails
  virtual void draw_cancel_key(Client& client, size_t secret_size) = 0;  // unique; books it
  virtual void forget_cancel_key(Client& client) = 0;
  virtual std::shared_ptr<CancelTicket> cancel(uint32_t pid, ByteView secret) = 0;
};

// "C-0x...: db/user@host:port " (compat/config_file.md, section 11).
std::string log_prefix(const Client& client);
std::string log_prefix(const Server& server);

}  // namespace pgweir::session
