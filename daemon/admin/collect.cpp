// A worker's counts: pools, statistics, lists, memory, itself.
#include "admin/collect.hpp"

#include <unordered_set>

#include "admin/averages.hpp"
#include "admin/present.hpp"
#include "base/mutex.hpp"
#include "base/text.hpp"
#include "session/waits.hpp"

namespace pgweir::admin {

namespace {

constexpr int64_t kMostCauses = 16;  // room for them, and for none
static_assert(pool::kCauseRows.size() < kMostCauses);

using pool::ClientState;
using pool::ServerState;
using session::Client;
using session::LocalPool;
using session::Server;

// This worker's pools that still stand in the books: those of a killed or removed database vanish from every list.
std::vector<LocalPool*> live_pools(session::Hub& hub) {
  std::unordered_set<unsigned> known;
  for (const auto& shared : hub.books.pools())
    known.insert(shared->id);
  std::vector<LocalPool*> live;
  for (LocalPool* pool : hub.pools()) {
    if (known.contains(pool->shared().id)) live.push_back(pool);
  }
  return live;
}

size_t count(const LocalPool& pool, ServerState state) {
  return pool.servers(state).size();
}

size_t count(const LocalPool& pool, ClientState state) {
  return pool.clients(state).size();
}

// Cancel requests on their way to this pool's servers; each is one connection to a server and one client.
size_t cancels_of(const LocalPool& pool) {
  size_t cancels = 0;
  for (ServerState state : {ServerState::kActive, ServerState::kBeingCanceled, ServerState::kTested}) {
    const auto& servers = pool.servers(state);
    for (const auto* entry = servers.front(); entry; entry = servers.next(*entry))
      cancels += entry->cancels;
  }
  return cancels;
}

Micros longest_wait(const LocalPool& pool, Micros now) {
  Micros longest = 0;
  for (ClientState state : {ClientState::kWaiting, ClientState::kAtGate}) {
    const auto* first = pool.clients(state).front();
    if (first && first->wait_start > 0) longest = std::max(longest, now - first->wait_start);
  }
  return longest;
}

using WaitersByCause = std::array<size_t, pool::kCauseRows.size()>;

// Logins whose user is looked up are counted by their lookups, whether these wait for a server or for its answer.
WaitersByCause waiters_by_cause(const LocalPool& pool) {
  WaitersByCause waiters{};
  waiters[static_cast<size_t>(pool::Cause::kAuthQuery)] = pool.lookups.size();
  for (ClientState state : {ClientState::kWaiting, ClientState::kAtGate}) {
    const auto& list = pool.clients(state);
    for (const auto* entry = list.front(); entry; entry = list.next(*entry)) {
      const auto& client = static_cast<const Client&>(*entry);
      if (!session::is_guest(client)) ++waiters[static_cast<size_t>(pool.waits().cause())];
    }
  }
  return waiters;
}

// Of the client that has waited longest: for how long, and why, in one number of which the largest of all workers
// counts (longest_cause). 0: nobody waits.
int64_t longest_and_cause(const LocalPool& pool, Micros now) {
  int64_t longest = 0;
  auto consider = [&](Micros since, pool::Cause cause) {
    const int64_t code = std::max<Micros>(now - since, 0) * kMostCauses + static_cast<int64_t>(cause) + 1;
    longest = std::max(longest, code);
  };
  for (ClientState state : {ClientState::kWaiting, ClientState::kAtGate}) {
    const auto* first = static_cast<const Client*>(pool.clients(state).front());
    if (first) consider(first->wait_start, session::cause_of(*first));
  }
  if (const auto* first = pool.lookups.front()) consider(first->since, pool::Cause::kAuthQuery);
  return longest;
}

Cell load_balance(const pool::SharedDatabase& database) {
  auto config = database.config();
  if (!config || config->hosts.size() < 2) return {};
  return settings::word_of(config->load_balance_hosts);
}

RowCells pool_row(const LocalPool& pool, Micros now) {
  const pool::SharedPool& shared = pool.shared();
  const size_t cancels = cancels_of(pool);
  RowCells row = {shared.database->name, shared.user->name};
  for (size_t number : {
           count(pool, ClientState::kActive) + count(pool, ClientState::kIdle),
           count(pool, ClientState::kWaiting) + count(pool, ClientState::kAtGate),
           cancels,
           size_t{0},
           count(pool, ServerState::kActive),
           cancels,
           count(pool, ServerState::kBeingCanceled),
           count(pool, ServerState::kIdle) + count(pool, ServerState::kMoving),
           count(pool, ServerState::kUsed),
           count(pool, ServerState::kTested),
           count(pool, ServerState::kLogin),
       }) {
    row.push_back(std::to_string(number));
  }
  row.push_back(std::to_string(longest_wait(pool, now)));
  row.push_back("0");
  row.push_back(settings::word_of(pool.rules().mode));
  row.push_back(load_balance(*shared.database));
  row.push_back(std::to_string(longest_and_cause(pool, now)));
  for (Micros waited : pool.waited)
    row.push_back(std::to_string(waited));
  return row;
}

size_t clients_in(const session::Hub& hub, ClientState state) {
  size_t number = 0;
  for (const auto& client : hub.clients)
    number += client->state() == state;
  return number;
}

size_t servers_in(const session::Hub& hub, ServerState state) {
  size_t number = 0;
  for (const auto& server : hub.servers)
    number += server->state() == state;
  return number;
}

int64_t thread_cpu_time() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<int64_t>(time.tv_sec) * kSecond + time.tv_nsec / 1000;
}

RowCells memory_row(std::string name, size_t size, size_t used) {
  return {std::move(name), std::to_string(size), std::to_string(used), "0", std::to_string(size * used)};
}

}  // namespace

std::string_view longest_cause(const Cell& cell) {
  const auto cause = static_cast<size_t>(number_of(cell) % kMostCauses);
  return cause == 0 || cause > pool::kCauseRows.size() ? std::string_view() : pool::kCauseRows[cause - 1].name;
}

void collect_pools(session::Hub& hub, Rows& rows) {
  for (const LocalPool* pool : live_pools(hub))
    rows.push_back(pool_row(*pool, hub.now()));
  RowCells console = {kConsoleDatabase, kConsoleDatabase, std::to_string(clients_in(hub, ClientState::kConsole))};
  console.resize(15, "0");
  console.push_back("statement");
  console.push_back({});
  console.resize(console.size() + 1 + pool::kCauseRows.size(), "0");
  rows.push_back(std::move(console));
}

void collect_stats(session::Hub& hub, Rows& rows) {
  Totals totals;
  for (const LocalPool* pool : live_pools(hub))
    totals[pool->shared().database->name] += pool->counters;
  for (const auto& [database, counters] : totals) {
    RowCells row = {database};
    for (Cell& cell : counter_cells(counters))
      row.push_back(std::move(cell));
    rows.push_back(std::move(row));
  }
  if (hub.tally.console_logins == 0) return;
  session::Counters console;  // its commands are counted by the Director
  console.client_logins = hub.tally.console_logins;
  RowCells row = {kConsoleDatabase};
  for (Cell& cell : counter_cells(console))
    row.push_back(std::move(cell));
  rows.push_back(std::move(row));
}

void collect_lists(session::Hub& hub, Rows& rows) {
  rows.push_back({"free_clients", "0"});
  rows.push_back({"used_clients", std::to_string(hub.clients.size())});
  rows.push_back({"login_clients", std::to_string(clients_in(hub, ClientState::kLogin))});
  rows.push_back({"free_servers", "0"});
  rows.push_back({"used_servers", std::to_string(hub.servers.size())});
}

void collect_memory(session::Hub& hub, Rows& rows) {
  size_t held = 0;
  size_t prepared = 0;
  for (const auto& client : hub.clients)
    held += client->held ? 1 : 0;
  for (const auto& server : hub.servers) {
    held += server->held ? 1 : 0;
    prepared += server->statements.size();
  }
  const size_t connections = hub.clients.size() + hub.servers.size();
  rows.push_back(memory_row("pool_cache", sizeof(LocalPool), hub.pools().size()));
  rows.push_back(memory_row("server_cache", sizeof(Server), hub.servers.size()));
  rows.push_back(memory_row("client_cache", sizeof(Client), hub.clients.size()));
  rows.push_back(memory_row("iobuf_cache", session::Outbox::kSlot, held));
  rows.push_back(memory_row("var_list_cache", sizeof(track::ParameterSet), connections));
  rows.push_back(memory_row("server_prepared_statement_cache", sizeof(track::Statement), prepared));
}

// A row for each cause that has made somebody wait, or does so now.
void collect_waits(session::Hub& hub, Rows& rows) {
  for (const LocalPool* pool : live_pools(hub)) {
    const WaitersByCause waiting = waiters_by_cause(*pool);
    for (size_t cause = 0; cause < pool::kCauseRows.size(); ++cause) {
      if (pool->waited[cause] == 0 && waiting[cause] == 0) continue;
      rows.push_back({pool->shared().database->name, pool->shared().user->name,
                      std::string(pool::kCauseRows[cause].name), std::to_string(waiting[cause]),
                      std::to_string(pool->waited[cause])});
    }
  }
}

// Transactions that are open now, and those of them in which nothing happens: a server that is held for nothing.
void collect_transactions(session::Hub& hub, Rows& rows) {
  for (const LocalPool* pool : live_pools(hub)) {
    int64_t open = 0, idle = 0;
    Micros longest = 0, longest_idle = 0;
    const auto& active = pool->servers(pool::ServerState::kActive);
    for (const auto* entry = active.front(); entry; entry = active.next(*entry)) {
      const auto& server = static_cast<const Server&>(*entry);
      if (!server.client || server.replies.in_copy_both()) continue;
      const Micros rests_since = session::idle_in_transaction_since(server);
      if (rests_since == 0 && server.transaction == 'I' && server.replies.all_answered()) continue;
      ++open;
      if (server.client->xact_start > 0) longest = std::max(longest, hub.now() - server.client->xact_start);
      if (rests_since == 0) continue;
      ++idle;
      longest_idle = std::max(longest_idle, hub.now() - rests_since);
    }
    rows.push_back({pool->shared().database->name, pool->shared().user->name, std::to_string(open),
                    std::to_string(idle), std::to_string(longest), std::to_string(longest_idle),
                    std::to_string(pool->counters.slow_queries), std::to_string(pool->counters.slow_xacts)});
  }
}

void collect_latencies(session::Hub& hub, Rows& rows) {
  for (const LocalPool* pool : live_pools(hub)) {
    for (size_t kind = 0; kind < session::kTookNames.size(); ++kind) {
      const Histogram* histogram = pool->latencies.of(static_cast<session::Took>(kind));
      if (!histogram) continue;
      rows.push_back(
          {pool->shared().database->name, pool->shared().user->name, session::kTookNames[kind], histogram->text()});
    }
  }
}

void collect_workers(session::Hub& hub, Rows& rows) {
  const session::Tally& tally = hub.tally;
  rows.push_back({std::to_string(hub.worker),
                  std::to_string(hub.clients.size()),
                  std::to_string(clients_in(hub, ClientState::kActive)),
                  std::to_string(clients_in(hub, ClientState::kIdle)),
                  std::to_string(clients_in(hub, ClientState::kWaiting) + clients_in(hub, ClientState::kAtGate)),
                  std::to_string(clients_in(hub, ClientState::kLogin)),
                  std::to_string(hub.servers.size()),
                  std::to_string(servers_in(hub, ServerState::kActive)),
                  std::to_string(servers_in(hub, ServerState::kIdle) + servers_in(hub, ServerState::kUsed)),
                  std::to_string(servers_in(hub, ServerState::kLogin)),
                  std::to_string(hub.pools().size()),
                  std::to_string(tally.loops),
                  std::to_string(tally.queries),
                  std::to_string(tally.servers_sent),
                  std::to_string(tally.servers_received),
                  std::to_string(tally.cancels),
                  std::to_string(tally.retries),
                  std::to_string(tally.mismatches),
                  std::to_string(tally.impossible),
                  std::to_string(hub.outbox.sends()),
                  std::to_string(thread_cpu_time()),
                  hub.outbox.batched() ? "yes" : "no",
                  std::to_string(hub.outbox.batches()),
                  std::to_string(lock_counts().taken),
                  std::to_string(lock_counts().waited)});
}

}  // namespace pgweir::admin
