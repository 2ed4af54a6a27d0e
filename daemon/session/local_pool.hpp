// One worker's part of a pool, with what sockets need beside the books: the gate of logins that wait for a welcome,
// the counters, how long things took, the parameters that its clients share.
#pragma once

#include "net/wait.hpp"
#include "pool/pool.hpp"
#include "session/client.hpp"
#include "session/counters.hpp"
#include "session/latencies.hpp"
#include "session/slow_rate.hpp"
#include "track/parameters.hpp"

namespace pgweir::session {

// A login whose user is looked up on a server of this pool (auth_query). It lives in the login's frame.
struct PendingLookup : Hook<> {
  explicit PendingLookup(Micros now) : since(now) {}
  Micros since;       // when it began to wait
  Micros served = 0;  // when it got the server that is asked; 0: it waits for one
};

struct OfferTag {};

class LocalPool final : public pool::Pool, public Hook<OfferTag> {
 public:
  using pool::Pool::Pool;
  net::Gate welcome_gate;    // opened when the shared pool got a welcome, or a login failed for good
  Micros next_eviction = 0;  // evictions for this pool are spaced: the slot comes back a little later
  Counters counters;
  Latencies latencies;
  pool::WaitLog::Shares waited{};  // by cause, of the waits that ended with a server
  SlowRate slow_rate;
  track::SharedSets parameters;
  size_t wanting_own = 0;       // of its clients at the gate: those of replication, whom no pooled server helps
  size_t own_servers = 0;       // servers that belong to one client each
  List<PendingLookup> lookups;  // the longest waiting in front

  // Nobody is in it, nor waits for what it may bring.
  bool deserted() const { return empty() && !welcome_gate.waited_for() && wanting_own == 0 && lookups.empty(); }

  // Somebody waits for a server, or for the welcome that the first one brings.
  bool wanted() const {
    return !clients(pool::ClientState::kWaiting).empty() || !clients(pool::ClientState::kAtGate).empty();
  }
};

// Replication clients keep their server, whatever the pool's mode.
inline settings::PoolMode mode_of(const Client& client) {
  return client.replication == Replication::kNone ? client.local_pool->rules().mode : settings::PoolMode::kSession;
}

}  // namespace pgweir::session
