// A session::Hub of one worker without workers/: real loop, books and outbox; what workers/ would do is noted, not
// done. Promises: run_until ends within its patience; connections left over are closed before the hub goes. Rooms
// derive from it and override the effects that they test. Does not: drain the ready lists (a derived hub may).
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/text.hpp"
#include "net/offload.hpp"
#include "session/attach.hpp"
#include "settings/load.hpp"
#include "unit/support/wait.hpp"

namespace pgweir::test {

// Log lines as "LEVEL text".
struct Lines : LogSink {
  explicit Lines(std::vector<std::string>& all) : all(all) {}
  void write(const LogRecord& record) override { all.emplace_back(cat(level_name(record.level), " ", record.text)); }
  std::vector<std::string>& all;
};

// The snapshot of an ini file with these lines in [databases], [users] and [pgweir]. Fails the test on errors.
inline pool::SnapshotPtr snapshot_of(const std::string& databases, const std::string& more = {},
                                     const std::string& users = {}) {
  const std::string text = cat("[databases]\n", databases, "\n[users]\n", users,
                               "\n[pgweir]\nlisten_port = 6432\nauth_type = trust\nauth_file =\n", more, "\n");
  settings::LoadResult loaded = settings::load_text(text, "test.ini");
  for (const auto& problem : loaded.errors)
    ADD_FAILURE() << settings::describe(problem);
  return loaded.snapshot;
}

class TestHub : public session::Hub, protected net::Turn {
 public:
  // `workers`: how many the books believe in; this hub is the first of them.
  explicit TestHub(const pool::SnapshotPtr& snapshot, unsigned workers = 1)
      : TestHub(std::make_unique<Parts>(snapshot, workers), snapshot) {}
  ~TestHub() override { close_all(); }

  // Turns the loop until `holds`, at most five seconds.
  bool run_until(const std::function<bool()>& holds) {
    const Micros end = monotonic_now() + 5 * kSecond;
    while (!holds()) {
      if (monotonic_now() > end) return false;
      loop.run_once(*this);
    }
    return true;
  }
  // One turn without waiting: the batch of events that are there, then its end.
  void turn() { loop.run_once(*this, false); }
  bool logged(const std::string& piece) const {
    for (const std::string& line : lines) {
      if (line.find(piece) != std::string::npos) return true;
    }
    return false;
  }
  void show_lines() const {
    for (const std::string& line : lines)
      std::fprintf(stderr, "  log: %s\n", line.c_str());
  }

  // A client that has just been accepted; fd -1: without a socket.
  session::Client& add_client(int fd) {
    session::Client& client = clients.add(std::make_unique<session::Client>());
    client.id = next_id();
    client.connected_at = client.last_request = now();
    client.seat.take_socket(books.clients());
    const bool opened = fd < 0 || client.stream.open(loop, fd);
    EXPECT_TRUE(opened);
    return client;
  }
  // A client that has logged in: idle in its pool.
  session::Client& add_pool_client(const std::string& database, const std::string& user, int fd = -1) {
    session::Client& client = add_client(fd);
    client.database = books.database(database);
    client.user = books.user(user);
    client.local_pool = &pool_of(books.pool(client.database, user));
    client.local_pool->join(client, pool::ClientState::kIdle);
    client.stream.set_handler(&client_handler(), &client);
    return client;
  }
  // A server that logs in, without a socket unless given.
  session::Server& add_server(session::LocalPool& pool, pool::Slot slot, int fd = -1) {
    session::Server& server = servers.add(std::make_unique<session::Server>());
    server.id = next_id();
    server.connected_at = server.last_activity = now();
    server.shared_pool = pool.shared_ptr();
    server.local_pool = &pool;
    server.generation = pool.shared().database->generation.load();
    server.slot = std::move(slot);
    pool.join(server, pool::ServerState::kLogin);
    const bool opened = fd < 0 || server.stream.open(loop, fd);
    EXPECT_TRUE(opened);
    return server;
  }
  session::Server& add_pool_server(const std::string& database, const std::string& user, int fd = -1) {
    auto shared = books.pool(books.database(database), user);
    pool::Limit refused{};
    return add_server(pool_of(shared), pool::Slot::acquire(shared, nullptr, 0, &refused), fd);
  }

  // -- session::Hub --
  session::LocalPool& pool_of(const std::shared_ptr<pool::SharedPool>& shared) override {
    auto& place = pools_[shared->id];
    if (!place) {
      place = std::make_unique<session::LocalPool>(
          shared, 0, pool::rules_for(*snapshot, *shared->database->config(), shared->user->name));
    }
    return *place;
  }
  std::vector<session::LocalPool*> pools() override {
    std::vector<session::LocalPool*> all;
    for (auto& [id, pool] : pools_)
      all.push_back(pool.get());
    return all;
  }
  net::StreamHandler& client_handler() override { return client_handler_; }
  net::StreamHandler& server_handler() override { return server_handler_; }
  net::StreamHandler& closing_handler() override { return closing_handler_; }
  void client_ready(session::Client& client) override { ready.push_back(&client); }
  void launch(session::LocalPool& pool, pool::Slot slot, session::Client* /*owner*/ = nullptr) override {
    note("launch", pool.shared().user->name);
    add_server(pool, std::move(slot));
  }
  void start_reset(session::Server& server) override { note("reset", server.id); }
  void start_check(session::Server& server) override { note("check", server.id); }
  void start_lookup(session::Server& server) override { note("lookup", server.id); }
  void start_clean_up(session::Server& server) override { note("clean up", server.id); }
  void cancel_abandoned(session::Server& server) override { note("cancel abandoned", server.id); }
  void send_server(unsigned to, std::unique_ptr<session::Server> server) override {
    note(cat("send ", server->id, " to"), to);
  }
  void ask_for_server(unsigned whom, pool::SharedPool&) override { note("ask", whom); }
  void evict_for(session::LocalPool& pool, pool::Limit limit) override {
    note(cat("evict for ", pool.shared().user->name), limit == pool::Limit::kDatabase ? "database" : "user");
  }
  pool::Bell* bell() override { return nullptr; }
  void welcome_news(pool::SharedPool&) override {}
  void login_trouble(pool::SharedPool&, bool) override {}
  uint32_t next_id() override { return ++last_id_; }
  void draw_random(char* to, size_t size) override { ASSERT_EQ(getentropy(to, size), 0); }
  void draw_cancel_key(session::Client& client, size_t secret_size) override {
    client.cancel_key.pid = client.id + 1000;
    client.cancel_key.reserve(secret_size);
  }
  void forget_cancel_key(session::Client& client) override { note("forget key", client.id); }
  std::shared_ptr<session::CancelTicket> cancel(uint32_t, ByteView) override { return nullptr; }

  std::vector<std::string> effects;  // what was asked of workers/, in order
  std::vector<session::Client*> ready;
  std::vector<std::string> lines;  // of the log

 protected:
  // Closes everything that is left. A derived hub that lends itself to coroutines calls this in its own destructor.
  void close_all() {
    while (clients.size() > 0)
      close_client(*this, clients[0], session::Reason::kDaemonExit);
    while (servers.size() > 0)
      bury(*this, servers[0]);
    dead_clients.clear();
    dead_servers.clear();
    pools_.clear();
  }
  void after_batch() override {
    outbox.flush();
    dead_clients.clear();
    dead_servers.clear();
  }
  void on_tick(Micros) override {}
  net::OffloadPool& offload() { return parts_->offload; }

 private:
  struct Parts {
    Parts(const pool::SnapshotPtr& snapshot, unsigned workers)
        : loop(net::Loop::create().take()), books(workers, snapshot) {}
    std::unique_ptr<net::Loop> loop;
    net::OffloadPool offload{1, 16};
    net::Resolver resolver{offload};
    Logger log;
    track::StatementRegistry statements;
    pool::Books books;
  };
  TestHub(std::unique_ptr<Parts> parts, pool::SnapshotPtr settings)
      : Hub(*parts->loop, parts->resolver, parts->log, parts->books, parts->statements, 0), parts_(std::move(parts)) {
    snapshot = std::move(settings);
    std::vector<std::unique_ptr<LogSink>> sinks;
    sinks.push_back(std::make_unique<Lines>(lines));
    log.set_sinks(std::move(sinks));
  }
  template <class What>
  void note(const std::string& effect, const What& what) {
    effects.push_back(cat(effect, " ", what));
  }

  struct Quiet final : net::StreamHandler {
    void on_readable(net::Stream&) override {}
    void on_writable(net::Stream&) override {}
  };
  std::unique_ptr<Parts> parts_;
  Quiet client_handler_, server_handler_, closing_handler_;
  uint32_t last_id_ = 0;
  std::map<unsigned, std::unique_ptr<session::LocalPool>> pools_;
};

}  // namespace pgweir::test
