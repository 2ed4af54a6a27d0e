// The server of a replication client (compat/wire.md, section 11): one of its own, logged in with what the client has
// asked for, and closed with it. It counts in the pool like any other; when that is full, resting servers are evicted
// and working ones closed as they come back. The client hears the greeting of that very server, and what it says when
// it does not let us in.
#include <algorithm>

#include "login/client_flow.hpp"
#include "login/end_watch.hpp"
#include "net/wait.hpp"

namespace pgweir::login {

using session::Reason;

namespace {

constexpr Micros kAskAgain = 20 * kMillisecond;     // for a slot: as often as evictions come
constexpr Micros kFirstRetry = 100 * kMillisecond;  // of a login; doubled up to server_login_retry

// The client at its pool's gate, for as long as this lives.
class AtGate {
 public:
  AtGate(ClientLogin& login, session::LocalPool& pool) : login_(login), pool_(pool) {
    login.client.wait_start = login.hub.now();
    login.client.more().served = &news;
    pool.join(login.client, pool::ClientState::kAtGate);
    ++pool.wanting_own;
  }
  ~AtGate() {
    --pool_.wanting_own;
    claim(false);
    if (login_.client.extras) login_.client.extras->served = nullptr;
  }
  AtGate(const AtGate&) = delete;
  AtGate& operator=(const AtGate&) = delete;

  // The pooled servers are to make room for one.
  void claim(bool on) {
    if (on != claims_) pool_.shared().claims.fetch_add(on ? 1 : -1);
    claims_ = on;
  }

  net::Gate news;  // its server has logged in, or cannot

 private:
  ClientLogin& login_;
  session::LocalPool& pool_;
  bool claims_ = false;
};

// Begins to log a server in, if there is room for one now.
bool launch(ClientLogin& login, session::LocalPool& pool, AtGate& gate) {
  if (login.hub.paused(pool)) return false;
  pool::Limit refused = pool::Limit::kNone;
  pool::Slot slot = pool::Slot::acquire(pool.shared_ptr(), login.hub.bell(), 0, &refused);
  gate.claim(!slot && refused == pool::Limit::kPool);
  if (!slot) {
    login.hub.evict_for(pool, refused);
    return false;
  }
  login.hub.launch(pool, std::move(slot), &login.client);
  return true;
}

}  // namespace

net::Task<bool> get_own_server(ClientLogin& login) {
  session::Client& client = login.client;
  session::LocalPool& pool = *client.local_pool;
  const Micros queue_end = deadline_after(login.hub.now(), pool.rules().query_wait_timeout);
  const Micros until = std::min(login.deadline, queue_end);
  const Micros slowest = std::max(login.snapshot->global.server_login_retry, kFirstRetry);
  Micros retry = kFirstRetry;
  Micros next = 0;
  AtGate gate(login, pool);
  EndWatch watch(login.hub, client);
  while (!login.gone() && login.hub.now() < until) {
    if (!may_go_on_waiting(login)) co_return false;
    if (client.server && client.extras->welcome) {
      login.welcome = std::move(client.extras->welcome);
      co_return true;
    }
    if (!client.server && login.hub.now() >= next && launch(login, pool, gate)) {
      next = login.hub.now() + retry;  // should it fail
      retry = std::min(retry * 2, slowest);
      continue;
    }
    const Micros wake = client.server ? until : std::min(until, std::max(next, login.hub.now() + kAskAgain));
    co_await gate.news.wait(login.hub.loop, wake);
  }
  if (login.gone()) co_return false;
  const Reason reason = queue_end < login.deadline ? Reason::kQueryWaitTimeout : Reason::kLoginTimeoutServerDown;
  session::close_client(login.hub, client, reason);
  co_return false;
}

}  // namespace pgweir::login
