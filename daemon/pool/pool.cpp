#include "pool/pool.hpp"

#include <algorithm>
#include <utility>

namespace pgweir::pool {

bool set_state(ClientEntry& client, ClientState to) {
  if (!may_move(client.state_, to)) return false;
  client.unlink();
  client.state_ = to;
  return true;
}

bool set_state(ServerEntry& server, ServerState to) {
  if (!may_move(server.state_, to)) return false;
  server.unlink();
  server.state_ = to;
  return true;
}

bool Pool::empty() const {
  auto none = [](const auto& list) { return list.empty(); };
  return std::all_of(std::begin(server_lists_), std::end(server_lists_), none) &&
         std::all_of(std::begin(client_lists_), std::end(client_lists_), none);
}

namespace {

// The states of a server that a waiter may have for the asking, from another worker too.
bool rests(ServerState state) {
  return state == ServerState::kIdle || state == ServerState::kUsed;
}

}  // namespace

// The worker's own lines. The sequentially consistent stores matter: "I wait" is written before looking for idle
// servers elsewhere, "I have an idle one" before looking for waiters elsewhere, so one of the two always sees the other
// and no wake-up is lost.
void Pool::publish_wait() {
  if (shared_->workers > 1)
    shared_->published(worker_).waiting.store(static_cast<int>(clients(ClientState::kWaiting).size()));
  const auto* first = clients(ClientState::kWaiting).front();
  Micros oldest = first ? first->wait_start / kWaitGrain * kWaitGrain : kNever;
  auto& line = shared_->published(worker_).oldest_wait;
  if (line.load(std::memory_order_relaxed) == oldest) return;
  line.store(oldest, shared_->workers > 1 ? std::memory_order_seq_cst : std::memory_order_relaxed);
}

void Pool::publish_idle() {
  int idle = static_cast<int>(servers(ServerState::kIdle).size() + servers(ServerState::kUsed).size());
  auto& line = shared_->published(worker_).idle;
  if (line.load(std::memory_order_relaxed) == idle) return;
  line.store(idle, shared_->workers > 1 ? std::memory_order_seq_cst : std::memory_order_relaxed);
}

bool Pool::move(ClientEntry& client, ClientState to) {
  ClientState from = client.state_;
  if (!may_move(from, to)) return false;
  client.unlink();
  client.state_ = to;
  clients(to).push_back(client);
  if (from == ClientState::kWaiting || to == ClientState::kWaiting) publish_wait();
  return true;
}

bool Pool::move(ServerEntry& server, ServerState to) {
  ServerState from = server.state_;
  if (!may_move(from, to)) return false;
  server.unlink();
  server.state_ = to;
  if (to == ServerState::kIdle) {
    servers(to).push_front(server);
  } else {
    servers(to).push_back(server);
  }
  if (rests(from) || rests(to)) publish_idle();
  if (from == ServerState::kTested || to == ServerState::kTested) count_tested(server);
  if (to == ServerState::kClosing) server.passage.end();
  if (to == ServerState::kClosing && !std::exchange(server.counted_closing, true)) shared_->closing.fetch_add(1);
  return true;
}

void Pool::join(ClientEntry& client, ClientState state) {
  client.pool = this;
  client.state_ = state;
  clients(state).push_back(client);
}

void Pool::join(ServerEntry& server, ServerState state) {
  server.pool = this;
  server.state_ = state;
  servers(state).push_back(server);
  if (rests(state)) publish_idle();
  if (state == ServerState::kMoving) server.passage.end();
}

void Pool::leave(ClientEntry& client, ClientState to) {
  ClientState from = client.state_;
  client.unlink();
  client.state_ = to;
  client.pool = nullptr;
  if (from == ClientState::kWaiting) publish_wait();
}

void Pool::leave(ServerEntry& server, ServerState to) {
  ServerState from = server.state_;
  server.unlink();
  server.state_ = to;
  server.pool = nullptr;
  if (rests(from)) publish_idle();
  if (from == ServerState::kTested) count_tested(server);
  if (std::exchange(server.counted_closing, false)) shared_->closing.fetch_sub(1);
}

// For the waiters of other workers. Never on the way of a plain transaction: no server is tested there.
void Pool::count_tested(ServerEntry& server) {
  const bool is = server.state_ == ServerState::kTested && !server.answering;
  if (std::exchange(server.counted_tested, is) == is) return;
  shared_->tested.fetch_add(is ? 1 : -1, std::memory_order_relaxed);
}

Checkout Pool::checkout(ClientEntry& client, Micros now, bool paused, bool stopping) {
  Checkout answer;
  if (stopping) {
    answer.verdict = Checkout::Verdict::kRefuse;
    answer.refusal = Refusal::kShuttingDown;
    return answer;
  }
  auto& idle = servers(ServerState::kIdle);
  if (!paused && clients(ClientState::kWaiting).empty() && !idle.empty()) {
    ServerEntry* server = rules_.round_robin ? idle.back() : idle.front();
    if (move(client, ClientState::kActive) && move(*server, ServerState::kActive)) {
      answer.verdict = Checkout::Verdict::kTake;
      answer.server = server;
      return answer;
    }
  }
  if (!paused && shared_->in_trouble() && shared_->servers.used() <= shared_->logins.load()) {
    answer.verdict = Checkout::Verdict::kRefuse;
    answer.refusal = Refusal::kLoginFailing;
    return answer;
  }
  client.wait_start = now;
  move(client, ClientState::kWaiting);
  return answer;
}

// Over its lifetime, and its turn has come; the pool's next one comes lifetime / pool_size later. Takes the turn, also
// before other workers: a server of which this is true is to be closed.
bool Pool::take_lifetime_turn(const ServerEntry& server, Micros now) const {
  if (rules_.server_lifetime <= 0) return server.served;  // used once
  if (now - server.connected_at < rules_.server_lifetime) return false;
  Micros due = shared_->next_lifetime_kill.load(std::memory_order_relaxed);
  if (now < due) return false;
  const int most = shared_->servers.limit();
  const Micros space = most > 0 ? rules_.server_lifetime / most : 0;
  return shared_->next_lifetime_kill.compare_exchange_strong(due, now + space, std::memory_order_relaxed);
}

// Several workers may see one server too many at once: who counts it as closing closes it.
bool Pool::take_closing_turn(ServerEntry& server, int keep) {
  int closing = shared_->closing.load();
  do {
    if (shared_->servers.used() - closing <= keep) return false;
  } while (!shared_->closing.compare_exchange_weak(closing, closing + 1));
  server.counted_closing = true;
  return true;
}

// May this server be reused? Read from top to bottom; the first objection counts, and its server is to be closed.
std::optional<Unfit> Pool::unfit(ServerEntry& server, const Condition& condition, Micros now, bool paused) {
  if (!condition.connected) return Unfit::kDisconnected;
  if (!condition.in_sync) return Unfit::kNotInSync;
  if (condition.in_transaction) return Unfit::kInTransaction;
  if (server.cancel_in_doubt) return Unfit::kCancelInDoubt;
  if (server.generation != shared_->database->generation.load(std::memory_order_relaxed)) return Unfit::kObsolete;
  if (shared_->database->removed.load(std::memory_order_relaxed)) return Unfit::kObsolete;
  if (paused) return Unfit::kPaused;
  if (take_lifetime_turn(server, now)) return Unfit::kLifetime;
  int most = shared_->servers.limit();
  const int claims = shared_->claims.load(std::memory_order_relaxed);
  const int keep = claims > 0 ? most - claims : most + shared_->reserve.load(std::memory_order_relaxed);
  if (most > 0 && take_closing_turn(server, keep)) return claims > 0 ? Unfit::kEvicted : Unfit::kSurplus;
  return std::nullopt;
}

Checkin Pool::checkin(ServerEntry& server, const Condition& condition, Micros now, bool paused) {
  Checkin answer;
  server.last_activity = now;
  if (auto objection = unfit(server, condition, now, paused)) {
    answer.verdict = Checkin::Verdict::kClose;
    answer.unfit = *objection;
    return answer;
  }
  if (server.cancels > 0) {
    if (server.state() != ServerState::kBeingCanceled) move(server, ServerState::kBeingCanceled);
    answer.verdict = Checkin::Verdict::kHold;
    return answer;
  }
  if (!rules_.reset_query.empty() && !condition.reset_done && server.dirty_session) {
    move(server, ServerState::kTested);
    count_tested(server);  // also one that is there already, for auth_query
    answer.verdict = Checkin::Verdict::kReset;
    return answer;
  }
  ClientEntry* mine = clients(ClientState::kWaiting).front();
  if (auto worker = older_elsewhere(mine ? mine->wait_start : now)) {
    send(server, *worker);
    answer.verdict = Checkin::Verdict::kSend;
    answer.worker = *worker;
    return answer;
  }
  if (mine) {
    move(*mine, ClientState::kActive);
    move(server, ServerState::kActive);
    answer.verdict = Checkin::Verdict::kGive;
    answer.waiter = mine;
    return answer;
  }
  bool check_first = rules_.check_delay == 0 && check_due(server, now);
  if (!move(server, check_first ? ServerState::kUsed : ServerState::kIdle)) {
    answer.verdict = Checkin::Verdict::kClose;
    answer.unfit = Unfit::kNotInSync;
    return answer;
  }
  if (shared_->workers == 1 || shared_->oldest_elsewhere(worker_) == kNever) return answer;
  ++offers_;
  answer.verdict = Checkin::Verdict::kOffer;
  return answer;
}

// The worker whose waiter goes before `rival`, who has waited since then. Who waits how long is a line that changes
// seldom; how many do, and how much is on its way to them, is looked at only when it matters.
std::optional<unsigned> Pool::older_elsewhere(Micros rival) const {
  if (shared_->workers == 1) return std::nullopt;
  Micros since = shared_->oldest_elsewhere(worker_);
  if (since == kNever || since + kQueueSlack >= rival) return std::nullopt;
  auto worker = shared_->neediest_elsewhere(worker_, &since);
  if (!worker || since + kQueueSlack >= rival) return std::nullopt;
  const bool under_way = shared_->published(*worker).incoming.load() > 0;
  return under_way && since + kFarSlack >= rival ? std::nullopt : worker;
}

void Pool::send(ServerEntry& server, unsigned worker) {
  leave(server, ServerState::kMoving);
  server.passage.begin(shared_, worker);
}

ServerEntry* Pool::next_offer(unsigned* to) {
  if (offers_ + wishes_ == 0) return nullptr;
  auto worker = shared_->neediest_elsewhere(worker_);
  ServerEntry* server = worker ? give_away() : nullptr;
  if (!server) {
    offers_ = 0;
    if (!worker) wishes_ = 0;
    return nullptr;
  }
  --(wishes_ > 0 ? wishes_ : offers_);
  send(*server, *worker);
  *to = *worker;
  return server;
}

// Who asked did so because a server rested here, in place of logging one in. Where one still rests, but for somebody
// of our own, he would ask again.
bool Pool::take_unmet_wish() {
  const bool unmet = std::exchange(wishes_, 0) > 0;
  return unmet && !shared_->servers.full() && shared_->published(worker_).idle.load(std::memory_order_relaxed) == 0;
}

// Servers that log in for whoever comes first.
size_t Pool::pooled_logins() const {
  size_t count = 0;
  const auto& logins = servers(ServerState::kLogin);
  for (const ServerEntry* server = logins.front(); server; server = logins.next(*server))
    count += server->own ? 0 : 1;
  return count;
}

// Servers that are being checked or reset.
size_t Pool::tested_soon() const {
  size_t count = 0;
  const auto& tested = servers(ServerState::kTested);
  for (const ServerEntry* server = tested.front(); server; server = tested.next(*server))
    count += server->answering ? 0 : 1;
  return count;
}

// Of servers that log in or are being checked: what those who wait for them wait for.
Cause Pool::cause_of_coming() const {
  const auto& logins = servers(ServerState::kLogin);
  if (logins.empty())
    return shared_->logins.load(std::memory_order_relaxed) > 0 ? Cause::kConnecting : Cause::kChecking;
  for (const ServerEntry* server = logins.front(); server; server = logins.next(*server)) {
    if (!server->resolving) return Cause::kConnecting;
  }
  return Cause::kDns;
}

// Of those who wait because a limit refuses a server more, and who lack so many. Servers that other workers reset or
// check come to the oldest waiter, wherever that is, as our own would.
Cause Pool::cause_of_limit(Limit refused, size_t lacking) const {
  const int all = shared_->tested.load(std::memory_order_relaxed);
  if (all > 0 && static_cast<size_t>(all) >= tested_soon() + lacking) return Cause::kChecking;
  switch (refused) {
    case Limit::kDatabase: return Cause::kDatabaseLimit;
    case Limit::kUser: return Cause::kUserLimit;
    default: return Cause::kPoolFull;
  }
}

Supply Pool::supply(size_t welcome_waiters, Micros now, bool paused, Bell* bell) {
  const size_t waiting = clients(ClientState::kWaiting).size();
  const size_t demand = waiting + (welcome_waiters > 0 && waiting == 0 ? 1 : 0);
  if (demand == 0) return {};
  if (paused) waits_.note(Cause::kPaused, now);
  if (paused || shared_->database->removed.load(std::memory_order_relaxed)) return {};
  return next_supply(waiting, demand, now, bell);
}

Supply Pool::next_supply(size_t waiting, size_t demand, Micros now, Bell* bell) {
  Supply step;
  auto& idle = servers(ServerState::kIdle);
  auto& used = servers(ServerState::kUsed);
  if (waiting > 0 && !idle.empty()) {
    step.step = Supply::Step::kGive;
    step.server = rules_.round_robin ? idle.back() : idle.front();
    step.waiter = clients(ClientState::kWaiting).front();
    move(*step.waiter, ClientState::kActive);
    move(*step.server, ServerState::kActive);
    return step;
  }
  if (waiting > 0 && !used.empty() && tested_soon() < waiting) {
    step.step = Supply::Step::kCheck;
    step.server = used.front();
    move(*step.server, ServerState::kTested);
    return step;
  }
  // Servers that come without our doing more: those that log in and those that are being checked or reset.
  size_t logins = pooled_logins();
  size_t coming = logins + tested_soon();
  if (waiting > 0 && coming < demand) {
    if (auto worker = shared_->idle_elsewhere(worker_)) {
      waits_.note(Cause::kHandOver, now);
      step.step = Supply::Step::kAsk;
      step.worker = *worker;
      return step;
    }
  }
  if (coming >= demand || logins >= kLoginsAtOnce) {
    waits_.note(cause_of_coming(), now);
    return step;
  }
  if (auto trouble = shared_->trouble()) {
    const bool early = now < trouble->retry_at;
    if (early || shared_->logins.load() > 0) {
      waits_.note(early ? Cause::kLoginRetry : cause_of_coming(), now);
      return step;
    }
  }
  const auto* first = clients(ClientState::kWaiting).front();
  bool reserve_open = first && rules_.reserve_timeout > 0 && now - first->wait_start > rules_.reserve_timeout;
  int allowance = reserve_open ? shared_->reserve.load(std::memory_order_relaxed) : 0;
  allowance -= shared_->claims.load(std::memory_order_relaxed);
  Limit refused = Limit::kNone;
  step.slot = Slot::acquire(shared_, bell, allowance, &refused);
  if (step.slot) {
    step.step = Supply::Step::kLaunch;
    return step;
  }
  if (refused == Limit::kDatabase || refused == Limit::kUser) {
    step.step = Supply::Step::kEvict;
    step.limit = refused;
  }
  waits_.note(cause_of_limit(refused, demand - coming), now);
  return step;
}

void Pool::stop_waiting(ClientEntry& client, ClientState to) {
  move(client, to);
}

// An idle or used server that nobody here waits for; null: none.
ServerEntry* Pool::give_away() {
  const size_t waiting = clients(ClientState::kWaiting).size();
  auto& idle = servers(ServerState::kIdle);
  auto& used = servers(ServerState::kUsed);
  if (waiting == 0 && !idle.empty()) return rules_.round_robin ? idle.back() : idle.front();
  return used.size() + tested_soon() > waiting ? used.front() : nullptr;
}

bool Pool::check_due(const ServerEntry& server, Micros now) const {
  if (!rules_.checks) return false;
  if (rules_.check_delay == 0) return server.served && rules_.reset_query.empty();
  return now - server.last_activity >= rules_.check_delay;
}

void Pool::age_idle(Micros now) {
  if (!rules_.checks || rules_.check_delay <= 0) return;
  auto& idle = servers(ServerState::kIdle);
  while (ServerEntry* server = idle.back()) {
    if (now - server->last_activity < rules_.check_delay) return;
    move(*server, ServerState::kUsed);
  }
}

ServerEntry* Pool::next_to_close(Micros now, bool paused, Unfit* why) {
  const Condition rested{.in_sync = true, .in_transaction = false, .connected = true, .reset_done = true};
  int minimum = shared_->minimum.load(std::memory_order_relaxed);
  for (ServerState state : {ServerState::kUsed, ServerState::kIdle}) {
    auto& list = servers(state);
    for (ServerEntry* server = list.back(); server;) {
      ServerEntry* before = list.previous(*server);
      bool idle_too_long = rules_.server_idle_timeout > 0 && now - server->last_activity > rules_.server_idle_timeout;
      if (auto objection = unfit(*server, rested, now, paused)) {
        *why = *objection;
        return server;
      }
      if (idle_too_long && take_closing_turn(*server, minimum)) {
        *why = Unfit::kIdleTooLong;
        return server;
      }
      server = before;
    }
  }
  return nullptr;
}

ServerEntry* Pool::eviction_candidate() {
  auto& idle = servers(ServerState::kIdle);
  auto& used = servers(ServerState::kUsed);
  ServerEntry* oldest = nullptr;
  if (clients(ClientState::kWaiting).empty()) oldest = used.front();
  ServerEntry* rested = idle.back();
  if (!oldest || (rested && rested->last_activity < oldest->last_activity)) oldest = rested;
  return oldest;
}

}  // namespace pgweir::pool
