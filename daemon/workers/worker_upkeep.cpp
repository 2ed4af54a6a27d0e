// What a worker does on its tick and on the Director's orders: timeouts, idle servers, minimum sizes, eviction.
#include <algorithm>

#include "base/text.hpp"
#include "session/attach.hpp"
#include "session/slow.hpp"
#include "session/waits.hpp"
#include "wire/builder.hpp"
#include "workers/worker.hpp"

namespace pgweir::workers {

using pool::ClientState;
using pool::ServerState;
using session::Client;
using session::LocalPool;
using session::Reason;
using session::Server;

namespace {

constexpr unsigned kUpkeepTicks = 3;  // timeouts and idle servers are looked after every 0.3 s

bool over(Micros start, Micros limit, Micros now) {
  return limit > 0 && start > 0 && now - start > limit;
}

}  // namespace

void Worker::on_tick(Micros now) {
  parts_.fleet.beats(worker).fetch_add(1, std::memory_order_relaxed);
  repeat_early_cancels();
  bool upkeep = ++ticks_ % kUpkeepTicks == 0;
  for (LocalPool* pool : pools()) {
    if (upkeep) look_after(*pool, now);
    if (pool->wanted()) session::feed(*this, *pool);
  }
  if (!upkeep) return;
  std::erase_if(pools_, [](const auto& item) {
    const LocalPool& pool = *item.second;
    return pool.shared().database->removed.load() && pool.deserted();
  });
}

void Worker::sweep() {
  for (LocalPool* pool : pools())
    look_after(*pool, now());
}

void Worker::look_after(LocalPool& pool, Micros now) {
  session::end_overdue(*this, pool);
  session::settle_slow(*this, pool, now);
  if (!pool.empty()) pool.shared().last_used.store(now, std::memory_order_relaxed);
  if (frozen == session::Frozen::kAll) return;  // SUSPEND: time stands still for who cannot speak
  pool.age_idle(now);
  bool paused = this->paused(pool);
  pool::Unfit why{};
  while (pool::ServerEntry* entry = pool.next_to_close(now, paused, &why)) {
    const Reason reason = why == pool::Unfit::kObsolete ? Reason::kConfigChanged : session::reason_of(why);
    close_server(*this, static_cast<Server&>(*entry), reason);
  }
  close_logins(pool, paused);
  check_waiting(pool, now);
  check_active(pool, now);
  check_idle_clients(pool, now);
  keep_minimum(pool);
}

// Logins of a pool that is paused, or that began under a configuration that is no more (RECONNECT, a reload).
void Worker::close_logins(LocalPool& pool, bool paused) {
  const uint32_t generation = pool.shared().database->generation.load();
  auto& logins = pool.servers(ServerState::kLogin);
  for (auto* entry = logins.front(); entry;) {
    auto& server = static_cast<Server&>(*entry);
    entry = logins.next(server);
    if (!paused && server.generation == generation) continue;
    if (server.own) session::take_own_back(*this, server);
    close_server(*this, server, paused ? Reason::kPauseMode : Reason::kServerLoginObsolete);
  }
}

void Worker::check_waiting(LocalPool& pool, Micros now) {
  const pool::Rules& rules = pool.rules();
  auto& waiting = pool.clients(ClientState::kWaiting);
  for (auto* entry = waiting.front(); entry;) {
    auto& client = static_cast<Client&>(*entry);
    entry = waiting.next(client);
    if (over(client.wait_start, rules.query_wait_timeout, now)) {
      close_client(*this, client, Reason::kQueryWaitTimeout);
    } else if (over(client.query_start, rules.query_timeout, now)) {
      close_client(*this, client, Reason::kQueryTimeoutQueued);
    } else if (rules.query_wait_notify > 0 && (now - client.wait_start) / kSecond > rules.query_wait_notify &&
               !session::is_guest(client) && client.more().notified_wait != client.wait_start) {
      client.more().notified_wait = client.wait_start;
      std::string notice;
      wire::append_notice(notice, "NOTICE", "00000",
                          "No server connection available in postgres backend, client being queued",
                          pool::row_of(pool.waits().cause()).text);
      client.stream.send(notice);
    }
  }
}

void Worker::check_active(LocalPool& pool, Micros now) {
  const pool::Rules& rules = pool.rules();
  if (rules.query_timeout <= 0 && rules.idle_transaction_timeout <= 0 && rules.transaction_timeout <= 0 &&
      !rules.fast_close && pool.own_servers == 0) {
    return;
  }
  auto& active = pool.servers(ServerState::kActive);
  for (auto* entry = active.front(); entry;) {
    auto& server = static_cast<Server&>(*entry);
    entry = active.next(server);
    Client* client = server.client;
    if (!client) continue;
    bool running = !server.replies.all_answered();
    bool in_transaction = running || server.transaction != 'I';
    const Micros idle_since = session::idle_in_transaction_since(server);
    uint32_t generation = pool.shared().database->generation.load();
    // A replication stream has no end, nor is it a transaction; what limits it is a client that does not speak.
    const bool stream = server.replies.in_copy_both();
    const Micros asked = stream ? client->last_request : client->query_start;
    if (running && over(asked, rules.query_timeout, now)) {
      close_client(*this, *client, Reason::kQueryTimeout);
    } else if (over(idle_since, rules.idle_transaction_timeout, now)) {
      close_client(*this, *client, Reason::kIdleTransactionTimeout);
    } else if (in_transaction && !stream && over(client->xact_start, rules.transaction_timeout, now)) {
      close_client(*this, *client, Reason::kTransactionTimeout);
    } else if (server.generation != generation && (server.own || (rules.fast_close && !in_transaction))) {
      close_client(*this, *client, Reason::kConfigChanged);
    }
  }
}

void Worker::check_idle_clients(LocalPool& pool, Micros now) {
  auto& idle = pool.clients(ClientState::kIdle);
  for (auto* entry = idle.front(); entry;) {
    auto& client = static_cast<Client&>(*entry);
    entry = idle.next(client);
    Micros limit = settings::client_idle_timeout(*snapshot, client.user->name);
    if (over(client.last_request, limit, now)) {
      close_client(*this, client, Reason::kClientIdleTimeout);
    } else if (snapshot->users.empty()) {
      return;  // one limit for all, and the longest idle is in front
    }
  }
}

// Each pool has one worker that keeps its minimum, so that many do not launch at once for the same want.
void Worker::keep_minimum(LocalPool& pool) {
  pool::SharedPool& shared = pool.shared();
  int minimum = shared.minimum.load(std::memory_order_relaxed);
  if (minimum <= 0 || shared.id % shared.workers != worker || paused(pool)) return;
  if (frozen != session::Frozen::kNobody) return;
  if (shared.servers.used() >= minimum || shared.logins.load() > 0) return;
  auto config = shared.database->config();
  if (!config || (!config->user && shared.database->clients.used() == 0)) return;
  auto trouble = shared.trouble();
  if (trouble && now() < trouble->retry_at) return;
  pool::Limit refused = pool::Limit::kNone;
  pool::Slot slot = pool::Slot::acquire(pool.shared_ptr(), bell(), 0, &refused);
  if (slot) launch(pool, std::move(slot));
}

bool Worker::evict_here(pool::SharedPool& wanted, pool::Limit limit) {
  Server* victim = nullptr;
  for (LocalPool* pool : pools()) {
    if (!session::shares_limit(pool->shared(), wanted, limit)) continue;
    auto* candidate = static_cast<Server*>(pool->eviction_candidate());
    if (candidate && (!victim || candidate->last_activity < victim->last_activity)) victim = candidate;
  }
  if (!victim) return false;
  close_server(*this, *victim, Reason::kServerEvicted);
  return true;
}

void Worker::close_clients_of(const std::string& database, Reason reason) {
  for (size_t at = clients.size(); at-- > 0;) {
    if (at >= clients.size()) continue;
    Client& client = clients[at];
    if (client.database && client.database->name == database && client.state() != ClientState::kConsole) {
      close_client(*this, client, reason);
    }
  }
}

void Worker::close_servers_of(const std::string& database, Reason reason) {
  for (size_t at = servers.size(); at-- > 0;) {
    if (at >= servers.size()) continue;
    Server& server = servers[at];
    if (server.local_pool && server.local_pool->shared().database->name == database)
      close_server(*this, server, reason);
  }
}

bool Worker::kill_client(uint32_t id) {
  for (const auto& client : clients) {
    if (client->id != id || client->state() == ClientState::kLogin) continue;
    close_client(*this, *client, Reason::kAdminDisconnect);
    return true;
  }
  return false;
}

void Worker::refuse_waiting() {
  for (LocalPool* pool : pools()) {
    for (ClientState state : {ClientState::kWaiting, ClientState::kAtGate}) {
      while (auto* entry = pool->clients(state).front())
        close_client(*this, static_cast<Client&>(*entry), Reason::kServerShuttingDown);
    }
  }
  sweep();
}

// A server that is just on its way from one worker to another is missed.
void Worker::leave_addresses(const std::string& name, const std::vector<net::Address>& vanished) {
  for (const auto& server : servers) {
    if (!server->shared_pool || server->place != name) continue;
    const net::Address& peer = server->stream.peer();
    const bool gone =
        std::any_of(vanished.begin(), vanished.end(), [&](const auto& one) { return one.same_host(peer); });
    if (gone) server->generation = 0;
  }
  sweep();
}

bool Worker::leave_pool(unsigned id) {
  auto place = pools_.find(id);
  if (place == pools_.end()) return true;
  const LocalPool* pool = place->second.get();
  if (!pool->deserted()) return false;
  // A client that logs in is in no list yet.
  for (const auto& client : clients) {
    if (client->local_pool == pool) return false;
  }
  for (const auto& server : servers) {
    if (server->local_pool == pool) return false;
  }
  pools_.erase(place);
  return true;
}

size_t Worker::obsolete_servers(const std::string& database) const {
  size_t count = 0;
  for (const auto& server : servers) {
    if (!server->shared_pool) continue;
    const pool::SharedDatabase& entry = *server->shared_pool->database;
    if (!database.empty() && entry.name != database) continue;
    if (server->generation != entry.generation.load()) ++count;
  }
  return count;
}

size_t Worker::console_clients() const {
  size_t count = 0;
  for (const auto& client : clients)
    count += client->state() == ClientState::kConsole;
  return count;
}

}  // namespace pgweir::workers
