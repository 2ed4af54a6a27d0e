// The books that all workers share: exact counts of server and client connections, one SharedPool per (database
// entry, pool user), its welcome, its hosts' troubles. Promises: every limit holds at every instant, whatever the
// number of workers; nothing here is locked on the path of a query (atomics and each worker's own published line).
// Does not: know sockets, or a worker's lists (pool/pool.hpp).
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/mutex.hpp"
#include "pool/scram_note.hpp"
#include "settings/snapshot.hpp"
#include "track/parameters.hpp"

namespace pgweir::pool {

using SnapshotPtr = std::shared_ptr<const settings::Snapshot>;
using DatabasePtr = std::shared_ptr<const settings::Database>;

// A count with a limit; a limit of 0 or less is no limit. Lowering the limit below the count refuses newcomers only.
class Quota {
 public:
  // `allowance`: how far above the limit this caller may go (the reserve pool).
  bool try_acquire(int allowance = 0);
  void acquire() { used_.fetch_add(1); }
  void release() { used_.fetch_sub(1); }
  int used() const { return used_.load(); }
  int limit() const { return limit_.load(std::memory_order_relaxed); }
  void set_limit(int limit) { limit_.store(limit, std::memory_order_relaxed); }
  bool full(int allowance = 0) const { return limit() > 0 && used() >= limit() + allowance; }

 private:
  std::atomic<int> used_{0};
  std::atomic<int> limit_{0};
};

// What a server said when it let us in; every client of the pool is greeted with it.
struct Welcome {
  std::vector<std::pair<std::string, std::string>> parameters;  // ParameterStatus, in the server's order
  std::string fixed;            // as bytes: AuthenticationOk and those that are the same for every client
  track::ParameterSet tracked;  // the tracked ones among them, to be shared by the clients that set none of their own
};

// Why servers of a pool cannot be had at the moment, and when the next try is due.
struct LoginTrouble {
  std::string reason;        // for the log and for "cached error: ..."
  std::string sqlstate;      // the server's own, or empty
  bool from_server = false;  // the server answered with an ErrorResponse
  Micros retry_at = 0;
  int failures = 0;  // in a row
};

struct SharedUser {
  explicit SharedUser(std::string n) : name(std::move(n)) {}
  const std::string name;
  Quota servers;          // max_user_connections, counted by pool user
  Quota clients;          // max_user_client_connections, counted by login user
  ScramMemo client_keys;  // pass-through: of its own last SCRAM login against a stored SCRAM secret
  ScramMemo verifier;     // made from its plain secret
};

// How one host of a database's list is doing. Guarded by SharedDatabase::mutex.
struct HostState {
  int failures = 0;
  Micros retry_at = 0;
};

class SharedDatabase {
 public:
  SharedDatabase(std::string name, DatabasePtr config, bool automatic)
      : name(std::move(name)), automatic(automatic), config_(std::move(config)) {}

  const std::string name;
  const bool automatic;  // made from the "*" entry
  Quota servers;         // max_db_connections
  Quota clients;         // max_db_client_connections
  std::atomic<bool> paused{false};
  std::atomic<bool> disabled{false};
  std::atomic<bool> removed{false};     // a reload took it away: its clients are being told
  std::atomic<uint32_t> generation{1};  // servers born under another generation are obsolete
  std::atomic<Micros> empty_since{0};   // automatic entries: for autodb_idle_timeout

  DatabasePtr config() const;
  void set_config(DatabasePtr config);

  // The host to try next (index into config()->hosts), or nothing when every host is in its back-off; then
  // `*wait_until` is when the first of them may be tried again.
  std::optional<size_t> choose_host(size_t count, bool round_robin, Micros now, Micros* wait_until);
  void host_failed(size_t host, Micros now, Micros retry_limit);
  void host_works(size_t host);

 private:
  mutable Mutex mutex_;
  DatabasePtr config_;
  std::vector<HostState> hosts_;
  size_t next_host_ = 0;
};

// What a worker shows of its part of a pool; written by that worker only, read by the others. In a cache line each:
// `idle` changes with each transaction and is read by who lacks a server; `oldest_wait` is read by everybody who has
// one too many.
struct Published {
  alignas(64) std::atomic<Micros> oldest_wait{kNever};  // when its first waiter began to wait (Pool::publish_wait)
  alignas(64) std::atomic<int> idle{0};                 // its idle and used servers
  std::atomic<int> waiting{0};                          // its waiters
  std::atomic<int> incoming{0};  // servers on their way to it; raised by who sends, lowered when they arrive
};

class SharedPool {
 public:
  SharedPool(unsigned id, std::shared_ptr<SharedDatabase> database, std::shared_ptr<SharedUser> user, unsigned workers);
  ~SharedPool() { wipe(secret_); }

  const unsigned id;
  const std::shared_ptr<SharedDatabase> database;
  const std::shared_ptr<SharedUser> user;
  const unsigned workers;
  Quota servers;                              // pool_size
  std::atomic<int> reserve{0};                // reserve_pool_size
  std::atomic<int> minimum{0};                // min_pool_size
  std::atomic<int> claims{0};                 // replication clients that wait for a slot: pooled servers make room
  std::atomic<int> closing{0};                // servers that keep their slot until PostgreSQL has closed its side
  std::atomic<int> logins{0};                 // servers logging in now, all workers
  std::atomic<int> tested{0};                 // servers being checked, reset or cleaned up now, all workers
  std::atomic<Micros> next_lifetime_kill{0};  // server_lifetime kills of one pool are spaced
  std::atomic<Micros> last_used{0};           // when a worker last saw clients or servers in it; 0: not looked at yet
  std::atomic<bool> forced{false};            // its user was the entry's forced one when it was made
  std::atomic<bool> superseded{false};        // and the entry forces another one now: its clients move there
  ScramMemo server_keys;                      // of the password its servers take, so that PBKDF2 runs once

  int live() const { return servers.used() - closing.load(); }

  Published& published(unsigned worker) { return published_[worker]; }
  const Published& published(unsigned worker) const { return published_[worker]; }
  // When the oldest waiter of the other workers began to wait; kNever if none waits.
  Micros oldest_elsewhere(unsigned me) const;
  // The worker with the oldest waiter of those that have more waiters than servers on their way; since when it waits.
  std::optional<unsigned> neediest_elsewhere(unsigned me, Micros* since = nullptr) const;
  std::optional<unsigned> idle_elsewhere(unsigned me) const;

  std::shared_ptr<const Welcome> welcome() const;
  void set_welcome(std::shared_ptr<const Welcome> welcome);

  std::optional<LoginTrouble> trouble() const;
  bool in_trouble() const { return in_trouble_.load(std::memory_order_relaxed); }
  // Books a failed login and says when the next try is due: jittered back-off from 100 ms up to `retry_limit`.
  Micros login_failed(std::string reason, std::string sqlstate, bool from_server, Micros now, Micros retry_limit);
  void login_works();

  // What the last login of the pool's own user has left for logins to servers: the secret that auth_query told, or the
  // very password that PAM or LDAP vouched for; empty: nothing. Wiped when it is replaced.
  struct KeptSecret {
    std::string text;
    bool password = false;  // a password, whatever it looks like
    ~KeptSecret() { wipe(text); }
  };
  void keep_secret(ByteView secret, bool password = false);
  void forget_password();  // he has proved himself by his record since
  KeptSecret kept_secret() const;

  // Startup parameters (name=value) that a server of this pool has accepted; bounded. Verified ones need no round
  // trip of their own when they are replayed.
  bool verified(const std::string& setting) const;
  void set_verified(const std::string& setting);

 private:
  std::unique_ptr<Published[]> published_;
  mutable Mutex mutex_;
  std::shared_ptr<const Welcome> welcome_;
  std::optional<LoginTrouble> trouble_;
  std::atomic<bool> in_trouble_{false};
  std::map<std::string, bool> verified_;
  std::string secret_;
  bool secret_is_password_ = false;
};

// A server's way from one worker to another, counted in Published::incoming as long as it lasts: until it arrives, or
// is no more.
class Passage {
 public:
  Passage() = default;
  Passage(const Passage&) = delete;
  Passage& operator=(const Passage&) = delete;
  ~Passage() { end(); }
  void begin(std::shared_ptr<SharedPool> pool, unsigned to) {
    end();
    pool->published(to).incoming.fetch_add(1);
    pool_ = std::move(pool);
    to_ = to;
  }
  void end() {
    if (pool_) pool_->published(to_).incoming.fetch_sub(1);
    pool_.reset();
  }

 private:
  std::shared_ptr<SharedPool> pool_;
  unsigned to_ = 0;
};

// Told when a slot became free, so that somebody who waits for one can be served. Called from any thread.
class Bell {
 public:
  virtual ~Bell() = default;
  virtual void slot_freed(SharedPool& pool) = 0;
};

enum class Limit { kNone, kPool, kDatabase, kUser };

// The right to one server connection, counted in pool, database and user; given back by the destructor.
class Slot {
 public:
  Slot() = default;
  Slot(Slot&& other) noexcept = default;
  Slot& operator=(Slot&& other) noexcept;
  ~Slot() { give_back(); }

  // Pool, then database, then user; what was taken is undone when a later one is full. `allowance`: reserve.
  // On refusal the slot is empty and *refused_by says which limit.
  static Slot acquire(std::shared_ptr<SharedPool> pool, Bell* bell, int allowance, Limit* refused_by);
  explicit operator bool() const { return pool_ != nullptr; }
  void give_back();

 private:
  std::shared_ptr<SharedPool> pool_;
  Bell* bell_ = nullptr;
};

// The right to one client connection; which counts it holds grows as the login goes on.
class ClientSeat {
 public:
  ClientSeat() = default;
  ClientSeat(ClientSeat&& other) noexcept;
  ClientSeat& operator=(ClientSeat&& other) noexcept;
  ~ClientSeat() { give_back(); }

  // The socket itself; never refused here (the refusal is a message, sent after the startup packet was read).
  void take_socket(Quota& all);
  // Database, then user; false and *refused_by when one is full. A seat holds each at most once.
  bool try_take(std::shared_ptr<SharedDatabase> database, std::shared_ptr<SharedUser> user, Limit* refused_by);
  // Counted in both whatever the limits: administrators.
  void take(std::shared_ptr<SharedDatabase> database, std::shared_ptr<SharedUser> user);
  void give_back();

 private:
  Quota* all_ = nullptr;
  std::shared_ptr<SharedDatabase> database_;
  std::shared_ptr<SharedUser> user_;
};

// A process to which cancel requests are sent on, and those that are on their way from all workers.
struct PeerPool {
  explicit PeerPool(int i) : id(i) {}
  const int id;
  Quota forwards;                // its pool_size
  std::atomic<int> waiting{0};   // requests that wait for their turn
  std::atomic<int> opening{0};   // connections being opened
  std::atomic<int> carrying{0};  // connections that have been made
};

// What the operator has asked of the whole pooler.
enum class Mode : uint8_t { kRunning, kPaused, kSuspended };
// kDrain: nobody gets a server any more, who ends a transaction is told to go.
enum class Stopping : uint8_t { kNo, kWaitForServers, kWaitForClients, kDrain };

class Books {
 public:
  Books(unsigned workers, SnapshotPtr snapshot);

  Mode mode() const { return mode_.load(std::memory_order_relaxed); }
  void set_mode(Mode mode) { mode_.store(mode); }
  Stopping stopping() const { return stopping_.load(std::memory_order_relaxed); }
  void set_stopping(Stopping stopping) { stopping_.store(stopping); }
  bool paused() const { return mode() != Mode::kRunning; }

  unsigned workers() const { return workers_; }
  Quota& clients() { return clients_; }  // max_client_conn, all sockets
  // Counts the console's clients; in none of the lists below.
  const std::shared_ptr<SharedDatabase>& console() const { return console_; }

  // The entry of that name; made from "*" when there is such a template. Null: no such database.
  // *made: set to true when it was made now (to be logged).
  std::shared_ptr<SharedDatabase> database(const std::string& name, bool* made = nullptr);
  std::shared_ptr<SharedDatabase> known_database(const std::string& name) const;  // never makes one
  std::shared_ptr<SharedUser> user(const std::string& name);
  std::shared_ptr<SharedPool> pool(const std::shared_ptr<SharedDatabase>& database, const std::string& user);
  std::shared_ptr<SharedPool> pool_by_id(unsigned id) const;

  std::vector<std::shared_ptr<SharedDatabase>> databases() const;             // by name
  std::vector<std::shared_ptr<SharedDatabase>> databases_with_pools() const;  // by name, each once
  std::vector<std::shared_ptr<SharedUser>> users() const;                     // by name
  std::vector<std::shared_ptr<SharedPool>> pools() const;                     // by (database, user)

  SnapshotPtr snapshot() const;
  std::shared_ptr<PeerPool> peer(int id) const;  // null: not in [peers]

  // A reload or SET: new limits hold from now on; entries whose servers must be recycled get a new generation;
  // vanished entries are marked removed and leave the books. Returns the names of those.
  std::vector<std::string> apply(SnapshotPtr snapshot);
  // RECONNECT: all servers of the entry (null: of all entries) are obsolete from now on.
  void obsolete(SharedDatabase* database);
  // Automatic entries that have been empty for longer than autodb_idle_timeout leave the books.
  std::vector<std::string> drop_idle_automatic(Micros now, Micros idle_timeout);
  // KILL: the pools of that entry and their counters vanish from the books (live servers keep their slots).
  void forget_pools(const SharedDatabase& database);
  // Pools that have had neither clients nor servers for longer than pool_idle_timeout, but for those that are to have
  // servers without clients. When every worker has given up its part of one, forget_unused takes it, and its counters,
  // out of the books; false: somebody has come meanwhile.
  std::vector<unsigned> idle_pools(Micros now, Micros idle_timeout);
  bool forget_unused(unsigned id);

 private:
  void set_limits(SharedPool& pool) const;    // mutex held
  void set_limits(SharedDatabase& db) const;  // mutex held
  void set_limits(SharedUser& user) const;    // mutex held
  void apply_peers();                         // mutex held

  const unsigned workers_;
  std::atomic<Mode> mode_{Mode::kRunning};
  std::atomic<Stopping> stopping_{Stopping::kNo};
  Quota clients_;
  const std::shared_ptr<SharedDatabase> console_;
  mutable Mutex mutex_;
  SnapshotPtr snapshot_;
  unsigned next_pool_id_ = 1;
  std::map<std::string, std::shared_ptr<SharedDatabase>> databases_;
  std::map<std::string, std::shared_ptr<SharedUser>> users_;
  std::map<std::pair<std::string, std::string>, std::shared_ptr<SharedPool>> pools_;
  std::map<int, std::shared_ptr<PeerPool>> peers_;
  std::map<unsigned, std::weak_ptr<SharedPool>> by_id_;  // also those that have left the books but are still in use
};

}  // namespace pgweir::pool
