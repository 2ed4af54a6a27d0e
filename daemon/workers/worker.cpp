#include "workers/worker.hpp"

#include <unistd.h>

#include "admin/console.hpp"
#include "base/text.hpp"
#include "login/client_login.hpp"
#include "login/connect.hpp"
#include "login/errands.hpp"
#include "login/lookup.hpp"
#include "login/server_login.hpp"
#include "net/dial.hpp"
#include "session/attach.hpp"
#include "session/patience.hpp"
#include "wire/builder.hpp"

namespace pgweir::workers {

using pool::ClientState;
using pool::ServerState;
using session::Client;
using session::Errand;
using session::LocalPool;
using session::Reason;
using session::Server;

namespace {

constexpr int kReadyRounds = 8;
constexpr int kSpareDescriptors = 32;  // left for servers, files and the console when clients take all others

}  // namespace

Result<std::unique_ptr<Worker>> Worker::create(unsigned number, const WorkerParts& parts, const NewSettings& settings) {
  auto loop = net::Loop::create();
  if (!loop) return loop.error();
  std::unique_ptr<Worker> worker(new Worker(number, parts, loop.take()));
  worker->loop.set_offload(&parts.offload);
  worker->vouchers = &parts.vouchers;
  worker->snapshot = settings.snapshot;
  worker->client_tls = settings.client_tls;
  worker->server_tls = settings.server_tls;
  worker->process_secret = parts.process_secret;
  Worker* self = worker.get();
  auto bell = net::Wakeup::create(worker->loop, [self] { self->read_mail(); });
  if (!bell) return bell.error();
  parts.fleet.mailbox(number).open(bell.take());
  return worker;
}

Worker::Worker(unsigned number, const WorkerParts& parts, std::unique_ptr<net::Loop> loop)
    : Hub(*loop, parts.resolver, parts.log, parts.books, parts.statements, number),
      parts_(parts),
      loop_(std::move(loop)),
      relay_(*this),
      closing_(*this) {}

Worker::~Worker() {
  join();
}

void Worker::start() {
  thread_ = std::thread([this] { run(); });
}

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

void Worker::stop() {
  loop.stop();
}

// Connections end with their worker, in its own thread: coroutines first, then sockets.
void Worker::run() {
  choose_sending();
  loop.run(*this);
  parts_.fleet.mailbox(worker).close();
  cancels_.clear();
  while (clients.size() > 0)
    close_client(*this, clients[clients.size() - 1], Reason::kDaemonExit);
  while (servers.size() > 0)
    bury(*this, servers[servers.size() - 1]);
  bury_dead();
  outbox.set_batch(nullptr);
  pools_.clear();
}

// In the worker's own thread, to which a batch belongs. All workers fare alike, so the first one tells.
void Worker::choose_sending() {
  loop_->set_gather(snapshot->global.gathered_reads);
  const bool wanted = snapshot->global.batched_sends;
  if (wanted == outbox.has_batch()) return;
  if (!wanted) {
    outbox.set_batch(nullptr);
    if (worker == 0) log.log(Event::kSends, "sends: one system call each (batched_sends is off)");
    return;
  }
  auto batch = net::SendBatch::create();
  if (batch) outbox.set_batch(batch.take());
  if (worker > 0) return;
  log.log(Event::kSends, batch ? std::string("sends: small messages leave in batches (io_uring)")
                               : cat("sends: one system call each (", batch.error().message, ")"));
}

// ---- the turn ----

void Worker::after_batch() {
  ++tally.loops;
  drain_ready();
  offer_servers();
  outbox.flush();
  // Nobody else will tell that these are broken: no edge follows a failed send.
  while (session::End* end = outbox.take_broken()) {
    if (end->stream.handler()) end->stream.handler()->on_readable(end->stream);
    loop.do_not_block();
  }
  bury_dead();
}

void Worker::drain_ready() {
  for (int round = 0; round < kReadyRounds; ++round) {
    size_t waiting_clients = ready_clients.size();
    size_t waiting_servers = ready_servers.size();
    if (waiting_clients + waiting_servers == 0) return;
    while (waiting_servers-- > 0) {
      if (Server* server = ready_servers.pop_front()) do_errand(*server);
    }
    while (waiting_clients-- > 0) {
      Client* client = ready_clients.pop_front();
      if (!client) continue;
      net::Gate* login = client->extras ? client->extras->served : nullptr;
      login ? login->open() : relay_.resume(*client);
    }
  }
  loop.do_not_block();
}

// What rests now, behind this turn's events, is not wanted here.
void Worker::offer_servers() {
  if (offering.empty()) return;
  while (LocalPool* pool = offering.pop_front()) {
    unsigned to = 0;
    while (pool::ServerEntry* entry = pool->next_offer(&to)) {
      auto& server = static_cast<Server&>(*entry);
      server.errand = Errand::kMove;
      server.moving_to = static_cast<uint16_t>(to);
      resume(*this, server);
    }
    if (pool->take_unmet_wish()) parts_.fleet.slot_freed(pool->shared());
  }
  drain_ready();
}

void Worker::do_errand(Server& server) {
  Errand errand = server.errand;
  const bool for_relay = server.state() == ServerState::kIdle || server.state() == ServerState::kUsed ||
                         server.state() == ServerState::kActive || server.state() == ServerState::kBeingCanceled;
  if (server.flow && (for_relay || (errand != Errand::kRead && errand != Errand::kNone))) {
    // The coroutine that brought it here has not been taken down yet: in the next turn.
    resume(*this, server);
    loop.do_not_block();
    return;
  }
  server.errand = Errand::kNone;
  switch (errand) {
    case Errand::kNone:
    case Errand::kRead:
      if (server.state() == ServerState::kClosing) return closing_.on_readable(server.stream);
      if (!server.flow) relay_.resume(server);
      return;
    case Errand::kReset: return start_reset(server);
    case Errand::kCheck: return start_check(server);
    case Errand::kCleanUp: return start_clean_up(server);
    case Errand::kLookup: return start_lookup(server);
    case Errand::kMove: return move_out(server);
  }
}

void Worker::bury_dead() {
  if (!dead_clients.empty()) {
    parts_.fleet.clients(worker).fetch_sub(static_cast<int>(dead_clients.size()), std::memory_order_relaxed);
  }
  dead_clients.clear();
  dead_servers.clear();
  std::erase_if(cancels_, [](const auto& flow) { return !flow->active(); });
}

// ---- mail ----

void Worker::read_mail() {
  for (Mail& mail : parts_.fleet.mailbox(worker).collect()) {
    std::visit([this](auto& item) { take(std::move(item)); }, mail);
  }
}

void Worker::adopt(const NewClient& mail) {
  if (mail.fd >= parts_.descriptor_limit - kSpareDescriptors) {
    std::string message;
    wire::append_error(message, "FATAL", "53300", "no more connections allowed (file descriptor limit)");
    (void)!::write(mail.fd, message.data(), message.size());
    ::close(mail.fd);
    parts_.fleet.clients(worker).fetch_sub(1, std::memory_order_relaxed);
    const std::string from = mail.peer.host();
    log.write(Level::kWarning, Event::kDescriptorsFew,
              cat("connection from ", mail.peer.text(), " refused: the file descriptor limit (",
                  parts_.descriptor_limit, ") is reached, raise LimitNOFILE or lower max_client_conn"),
              {{"CLIENT_ADDR", from}, {"SQLSTATE", "53300"}});
    return;
  }
  net::apply_socket_options(mail.fd, mail.peer.family(), login::socket_options(snapshot->global));
  auto owned = std::make_unique<Client>();
  Client& client = clients.add(std::move(owned));
  client.id = next_id();
  client.connected_at = client.last_request = now();
  client.listen_port = mail.listen_port;
  client.seat.take_socket(books.clients());
  if (!client.stream.open(loop, mail.fd, mail.peer)) {
    close_client(*this, client, Reason::kClientSocketError);
    return;
  }
  client.flow = std::make_unique<net::Spawned>();
  client.flow->start(loop, login::client_login(*this, client), [this, &client] {
    bool failed = client.flow->failed();
    client.flow.reset();
    if (failed) return impossible(*this, &client, nullptr, "client login ended by an exception");
    if (client.state() == ClientState::kConsole) client_ready(client);
  });
}

// The login calls this as its last act; the console's coroutine can only start when the login's has gone.
void Worker::client_ready(Client& client) {
  if (client.state() != ClientState::kConsole) return relay_.open(client);
  if (client.flow) return;  // called again when the login has ended
  ++tally.console_logins;
  client.flow = std::make_unique<net::Spawned>();
  client.flow->start(loop, admin::console(*this, client, parts_.office), [this, &client] {
    bool failed = client.flow->failed();
    client.flow.reset();
    if (failed) return impossible(*this, &client, nullptr, "console ended by an exception");
    close_client(*this, client, Reason::kClientTerminate);
  });
}

void Worker::take(TakeServer mail) {
  ++tally.servers_received;
  Server& server = servers.add(std::move(mail.server));
  auto shared = server.shared_pool;
  LocalPool& pool = pool_of(shared);
  server.local_pool = &pool;
  pool.join(server, ServerState::kMoving);
  if (!server.stream.join_loop(loop)) return bury(*this, server);
  session::arrived(*this, server);
}

void Worker::take(const WantServer& mail) {
  LocalPool& pool = pool_of(mail.pool);
  pool.note_wish();
  offering.push_back(pool);
}

void Worker::take(const SupplyChanged& mail) {
  if (mail.pool) return session::feed(*this, pool_of(mail.pool));
  for (LocalPool* pool : pools()) {
    if (pool->wanted()) session::feed(*this, *pool);
  }
}

void Worker::take(const EvictIdle& mail) {
  evict_here(*mail.pool, mail.limit);
}

void Worker::take(const WelcomeNews& mail) {
  pool_of(mail.pool).welcome_gate.open();
}

void Worker::take(const LoginTroubleNews& mail) {
  LocalPool& pool = pool_of(mail.pool);
  auto trouble = mail.pool->trouble();
  if (mail.tell && trouble && mail.pool->servers.used() <= mail.pool->logins.load()) {
    while (auto* entry = pool.clients(ClientState::kWaiting).front()) {
      close_client(*this, static_cast<Client&>(*entry), Reason::kLoginFailing, trouble->reason, trouble->sqlstate);
    }
  }
  pool.welcome_gate.open();
}

void Worker::take(const NewSettings& mail) {
  snapshot = mail.snapshot;
  client_tls = mail.client_tls;
  server_tls = mail.server_tls;
  choose_sending();
  for (LocalPool* pool : pools()) {
    if (auto config = pool->shared().database->config()) {
      pool->set_rules(pool::rules_for(*snapshot, *config, pool->shared().user->name));
    }
  }
  sweep();
}

void Worker::take(const Order& mail) {
  mail.what(*this);
}

// ---- effects ----

LocalPool& Worker::pool_of(const std::shared_ptr<pool::SharedPool>& shared) {
  auto& place = pools_[shared->id];
  if (!place) {
    auto config = shared->database->config();
    place = std::make_unique<LocalPool>(shared, worker, pool::rules_for(*snapshot, *config, shared->user->name));
  }
  return *place;
}

std::vector<LocalPool*> Worker::pools() {
  std::vector<LocalPool*> all;
  all.reserve(pools_.size());
  for (auto& [id, pool] : pools_)
    all.push_back(pool.get());
  return all;
}

void Worker::launch(LocalPool& pool, pool::Slot slot, Client* owner) {
  Server& server = servers.add(std::make_unique<Server>());
  server.id = next_id();
  server.connected_at = server.last_activity = now();
  server.slot = std::move(slot);
  server.local_pool = &pool;
  server.shared_pool = pool.shared_ptr();
  server.generation = pool.shared().database->generation.load();
  pool.join(server, ServerState::kLogin);
  if (owner) session::give_own(*owner, server);
  expect_end(*this, server, snapshot->global.server_connect_timeout);
  run_flow(server, login::server_login(*this, server));
}

void Worker::run_flow(Server& server, net::Task<void> task) {
  outbox.flush_end(server);  // what its client had sent goes before what the coroutine sends
  server.stream.set_handler(nullptr, nullptr);
  server.flow = std::make_unique<net::Spawned>();
  server.flow->start(loop, std::move(task), [this, &server] {
    bool failed = server.flow->failed();
    server.flow.reset();
    if (failed) impossible(*this, nullptr, &server, "server coroutine ended by an exception");
  });
}

void Worker::start_reset(Server& server) {
  run_flow(server, login::run_reset(*this, server));
}

void Worker::start_check(Server& server) {
  run_flow(server, login::run_check(*this, server));
}

void Worker::start_lookup(Server& server) {
  run_flow(server, login::run_lookup(*this, server));
}

void Worker::start_clean_up(Server& server) {
  run_flow(server, login::clean_up(*this, server));
}

// Out of every list of this worker first; only then may another thread see it.
void Worker::move_out(Server& server) {
  outbox.flush_end(server);
  outbox.forget(server);  // should that have failed, whoever has it then will see it
  server.stream.set_handler(nullptr, nullptr);
  server.stream.leave_loop();
  server.local_pool = nullptr;
  send_server(server.moving_to, servers.remove(server));
}

void Worker::send_server(unsigned to, std::unique_ptr<Server> server) {
  ++tally.servers_sent;
  parts_.fleet.post(to, TakeServer{std::move(server)});
}

void Worker::ask_for_server(unsigned from, pool::SharedPool& shared) {
  parts_.fleet.post(from, WantServer{books.pool_by_id(shared.id)});
}

void Worker::evict_for(LocalPool& pool, pool::Limit limit) {
  if (now() < pool.next_eviction) return;
  pool.next_eviction = now() + 20 * kMillisecond;  // one at a time: the slot comes back when it is really closed
  if (evict_here(pool.shared(), limit)) return;
  for (const auto& other : books.pools()) {
    if (!session::shares_limit(*other, pool.shared(), limit)) continue;
    if (auto holder = other->idle_elsewhere(worker)) {
      return parts_.fleet.post(*holder, EvictIdle{pool.shared_ptr(), limit});
    }
  }
}

void Worker::welcome_news(pool::SharedPool& shared) {
  auto pool = books.pool_by_id(shared.id);
  if (!pool) return;
  for (unsigned to = 0; to < parts_.fleet.size(); ++to)
    parts_.fleet.post(to, WelcomeNews{pool});
}

void Worker::login_trouble(pool::SharedPool& shared, bool tell) {
  auto pool = books.pool_by_id(shared.id);
  if (!pool) return;
  for (unsigned to = 0; to < parts_.fleet.size(); ++to)
    parts_.fleet.post(to, LoginTroubleNews{pool, tell});
}

}  // namespace pgweir::workers
