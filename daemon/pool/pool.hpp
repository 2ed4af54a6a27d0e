// One worker's part of a pool: its lists, and the decisions who gets which server when. Promises: first come, first
// served over the whole pool; limits by the shared books only; every change of state goes through `move`.
// Does not: touch a socket, send a byte, start a login - it says what is to be done.
#pragma once

#include <memory>
#include <optional>

#include "base/list.hpp"
#include "pool/entry.hpp"
#include "pool/rules.hpp"
#include "pool/shared.hpp"
#include "pool/wait_log.hpp"

namespace pgweir::pool {

// A waiter of another worker is served before one of our own, or one who may come, only when it has waited longer by
// more than this: within it order is not observable, and every hand-over between two loops costs as much as a
// transaction.
inline constexpr Micros kQueueSlack = 5 * kMillisecond;
// To the others a wait is told in steps of this, rounded down: their line is written at most once a millisecond while
// somebody waits, not with each transaction.
inline constexpr Micros kWaitGrain = kQueueSlack / 5;
// While a server is on its way to a worker no other follows, for what it brings is not seen yet, and those that were
// too many would come back; but for waiters who are older by more than this, who may wait for the end of a session.
inline constexpr Micros kFarSlack = 10 * kQueueSlack;
// How many servers one worker logs in at a time for one pool, as long as logins succeed; after a failure it is one.
inline constexpr size_t kLoginsAtOnce = 4;

enum class Refusal : uint8_t { kLoginFailing, kShuttingDown };

// The answer to "this client needs a server".
struct Checkout {
  enum class Verdict : uint8_t { kTake, kWait, kRefuse };
  Verdict verdict = Verdict::kWait;
  ServerEntry* server = nullptr;             // kTake: already active
  Refusal refusal = Refusal::kLoginFailing;  // kRefuse
};

// Why a server cannot be reused.
enum class Unfit : uint8_t {
  kDisconnected,
  kNotInSync,
  kInTransaction,
  kCancelInDoubt,
  kObsolete,
  kPaused,
  kLifetime,
  kSurplus,
  kEvicted,  // a replication client waits for its slot
  kIdleTooLong,
};

// The answer to "this server has been released".
struct Checkin {
  enum class Verdict : uint8_t {
    kIdle,   // it rests in the pool
    kOffer,  // it rests, and somebody waits on another worker: ask next_offer() when this turn's events are done
    kGive,   // to `waiter`, of this worker; server and client are active
    kSend,   // to the waiter of worker `worker`; the server is moving
    kReset,  // the reset query first; the server is in the tested list
    kHold,   // until the cancel requests against it have gone
    kClose,  // `unfit` says why
  };
  Verdict verdict = Verdict::kIdle;
  ClientEntry* waiter = nullptr;
  unsigned worker = 0;
  Unfit unfit = Unfit::kObsolete;
};

// One step towards more servers for a pool in which somebody waits.
struct Supply {
  enum class Step : uint8_t {
    kNothing,  // nothing can be done now
    kGive,     // `server` to `waiter`; both are active (it rested while the pool was paused)
    kCheck,    // run the check query on `server` (now tested), then check it in
    kLaunch,   // log in a new server with `slot`
    kAsk,      // ask `worker` for an idle one
    kEvict,    // `limit` is reached: close the longest idle server of another pool under it
  };
  Step step = Step::kNothing;
  ServerEntry* server = nullptr;
  ClientEntry* waiter = nullptr;
  Slot slot;
  unsigned worker = 0;
  Limit limit = Limit::kNone;
};

// What of a released server's session speaks against reuse; filled in by session/.
struct Condition {
  bool in_sync = false;         // every answer owed has come, and no message is half sent either way
  bool in_transaction = false;  // its last ReadyForQuery was not 'I'
  bool connected = true;
  bool reset_done = false;  // comes from its reset query: do not reset again
};

class Pool {
 public:
  Pool(std::shared_ptr<SharedPool> shared, unsigned worker, Rules rules)
      : shared_(std::move(shared)), worker_(worker), rules_(std::move(rules)) {}

  SharedPool& shared() const { return *shared_; }
  const std::shared_ptr<SharedPool>& shared_ptr() const { return shared_; }
  unsigned worker() const { return worker_; }
  const Rules& rules() const { return rules_; }
  void set_rules(Rules rules) { rules_ = std::move(rules); }

  // Servers, by state. Idle: the last used in front. Others: the newest at the back.
  using Servers = List<ServerEntry>;
  using Clients = List<ClientEntry>;
  Servers& servers(ServerState state) { return server_lists_[static_cast<size_t>(state)]; }
  const Servers& servers(ServerState state) const { return server_lists_[static_cast<size_t>(state)]; }
  // Clients, by state. Waiting: first come in front. Idle: the longest idle in front.
  Clients& clients(ClientState state) { return client_lists_[static_cast<size_t>(state)]; }
  const Clients& clients(ClientState state) const { return client_lists_[static_cast<size_t>(state)]; }
  bool empty() const;

  // The one door. False, and nothing changed, when the table forbids the move.
  bool move(ClientEntry& client, ClientState to);
  bool move(ServerEntry& server, ServerState to);

  // A new member: sets its pool and puts it into the list of `state`.
  void join(ClientEntry& client, ClientState state);
  void join(ServerEntry& server, ServerState state);
  // Out of the pool (closed, or moving to another worker).
  void leave(ClientEntry& client, ClientState to);
  void leave(ServerEntry& server, ServerState to);

  // `client` (idle) needs a server. kWait: it is in the queue now; call `supply` next.
  // `stopping`: the pooler is shutting down by WAIT_FOR_SERVERS.
  Checkout checkout(ClientEntry& client, Micros now, bool paused, bool stopping);
  // `server` (active, tested, login, being cancelled or just arrived) is free. Order of the questions: compat wire.md
  // 7, 8, 14.
  Checkin checkin(ServerEntry& server, const Condition& condition, Micros now, bool paused);
  // The next step for those who wait (clients in the queue, or `welcome_waiters` logins that wait for a greeting).
  // Call until kNothing.
  Supply supply(size_t welcome_waiters, Micros now, bool paused, Bell* bell);
  // Why its waiters wait; kept by supply().
  const WaitLog& waits() const { return waits_; }
  // A waiter gives up or is served otherwise: `client` leaves the queue for `to`.
  void stop_waiting(ClientEntry& client, ClientState to);
  // A waiter of another worker asks for a server: call next_offer() when this turn's events are done.
  void note_wish() { ++wishes_; }
  // A server that rests here for the oldest waiter elsewhere, of worker `*to`; it is moving then. Call until null: what
  // was noted since (kOffer, note_wish) is done. Not at once, because the next event of the same turn is often a client
  // of our own who wants it: a hand-over costs as much as a transaction.
  ServerEntry* next_offer(unsigned* to);
  // Behind that: somebody has asked for a server that is no longer here, and might have a new one. To be told.
  bool take_unmet_wish();
  // `server` has rested for server_check_delay: it is to be checked before a client gets it.
  bool check_due(const ServerEntry& server, Micros now) const;

  // Upkeep, one server at a time (call until null): which idle or used server is to be closed, and why.
  ServerEntry* next_to_close(Micros now, bool paused, Unfit* why);
  // Idle servers that have rested longer than server_check_delay become used.
  void age_idle(Micros now);
  // The longest idle server (idle, or used if nobody waits here); null if none.
  ServerEntry* eviction_candidate();

 private:
  size_t tested_soon() const;
  Cause cause_of_coming() const;
  Cause cause_of_limit(Limit refused, size_t lacking) const;
  void count_tested(ServerEntry& server);
  Supply next_supply(size_t waiting, size_t demand, Micros now, Bell* bell);
  size_t pooled_logins() const;
  ServerEntry* give_away();
  std::optional<unsigned> older_elsewhere(Micros rival) const;
  void send(ServerEntry& server, unsigned worker);
  void publish_wait();
  void publish_idle();
  std::optional<Unfit> unfit(ServerEntry& server, const Condition& condition, Micros now, bool paused);
  bool take_closing_turn(ServerEntry& server, int keep);
  bool take_lifetime_turn(const ServerEntry& server, Micros now) const;

  std::shared_ptr<SharedPool> shared_;
  unsigned worker_;
  Rules rules_;
  WaitLog waits_;
  unsigned offers_ = 0;  // servers that have come to rest since the last next_offer() while somebody waited elsewhere
  unsigned wishes_ = 0;  // letters of other workers since then
  Servers server_lists_[kServerStates];
  Clients client_lists_[kClientStates];
};

}  // namespace pgweir::pool
