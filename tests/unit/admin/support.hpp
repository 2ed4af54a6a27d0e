// What the tests of admin/ share: a Hub of one worker without workers/, an office that does the Director's part in
// place, operations that only note what they were asked.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "admin/commands.hpp"
#include "admin/console.hpp"
#include "base/text.hpp"
#include "net/offload.hpp"
#include "session/attach.hpp"
#include "settings/load.hpp"

namespace pgweir::admin {

struct Lines : LogSink {
  explicit Lines(std::vector<std::string>& all) : all(all) {}
  void write(const LogRecord& record) override { all.emplace_back(cat(level_name(record.level), " ", record.text)); }
  std::vector<std::string>& all;
};

inline pool::SnapshotPtr snapshot_of(const std::string& databases, const std::string& more = {},
                                     const std::string& users = {}) {
  const std::string text = cat("[databases]\n", databases, "\n[users]\n", users,
                               "\n[pgweir]\nlisten_port = 6432\nauth_type = trust\nauth_file =\n", more, "\n");
  settings::LoadResult loaded = settings::load_text(text, "test.ini");
  for (const auto& problem : loaded.errors)
    ADD_FAILURE() << settings::describe(problem);
  return loaded.snapshot;
}

class NotingOperations final : public Operations {
 public:
  Result<void> reload() override { return note("reload"), answer; }
  Result<void> set(const std::string& key, const std::string& value, std::string* notice) override {
    note(cat("set ", key, "=", value));
    *notice = set_notice;
    return answer;
  }
  void pause(DatabasePtr database, Done done) override { wait(cat("pause ", name(database)), std::move(done)); }
  void suspend(Done done) override { wait("suspend", std::move(done)); }
  void resume(DatabasePtr database) override { note(cat("resume ", name(database))); }
  void kill(DatabasePtr database, Done done) override { wait(cat("kill ", name(database)), std::move(done)); }
  void kill_client(uint32_t id, Done done) override { wait(cat("kill_client ", id), std::move(done)); }
  void reconnect(DatabasePtr database) override { note(cat("reconnect ", name(database))); }
  void wait_close(DatabasePtr database, Done done) override {
    wait(cat("wait_close ", name(database)), std::move(done));
  }
  void disable(DatabasePtr database, bool disabled) override {
    note(cat(disabled ? "disable " : "enable ", name(database)));
  }
  void shutdown(Shutdown kind) override { note(cat("shutdown ", static_cast<int>(kind))); }

  Result<void> answer;
  std::string set_notice;
  bool at_once = true;
  std::vector<std::string> asked;
  std::vector<Done> waiting;

 private:
  static std::string name(const DatabasePtr& database) { return database ? database->name : "*"; }
  void note(std::string what) { asked.push_back(std::move(what)); }
  void wait(std::string what, Done done) {
    note(std::move(what));
    if (at_once) return done(answer);
    waiting.push_back(std::move(done));
  }
};

class TestHub final : public session::Hub, public Office, private net::Turn {
 public:
  static std::unique_ptr<TestHub> make(pool::SnapshotPtr snapshot) {
    auto parts = std::make_unique<Parts>();
    parts->loop = net::Loop::create().take();
    parts->books = std::make_unique<pool::Books>(1, snapshot);
    return std::unique_ptr<TestHub>(new TestHub(std::move(parts), std::move(snapshot)));
  }
  ~TestHub() override {
    while (clients.size() > 0)
      close_client(*this, clients[0], session::Reason::kDaemonExit);
    while (servers.size() > 0)
      bury(*this, servers[0]);
    dead_clients.clear();
    dead_servers.clear();
    pools_.clear();
  }

  // One command as the console would hand it in; the outcome may be incomplete.
  std::shared_ptr<Job> run(const std::string& text, char rights = 'a') {
    auto job = std::make_shared<Job>();
    Result<Command> command = parse_command(text);
    EXPECT_TRUE(command.ok()) << text;
    job->command = command.take();
    job->rights = rights;
    submit(job);
    return job;
  }
  Rows show(const std::string& topic) {
    auto job = run("SHOW " + topic);
    EXPECT_TRUE(job->finished && job->outcome.ok) << job->outcome.text;
    const Columns* columns = columns_of(topic);
    EXPECT_EQ(columns, job->outcome.columns);
    for (const RowCells& row : job->outcome.rows)
      EXPECT_EQ(columns->size(), row.size()) << topic;
    return job->outcome.rows;
  }
  // The cell of the named column in the row whose first column is `key`.
  Cell cell(const std::string& topic, const std::string& key, std::string_view column) {
    const Columns& columns = *columns_of(topic);
    for (const RowCells& row : show(topic)) {
      if (row.at(0) != key) continue;
      for (size_t at = 0; at < columns.size(); ++at) {
        if (columns[at].name == column) return row.at(at);
      }
    }
    ADD_FAILURE() << topic << " " << key << " " << column;
    return {};
  }

  bool run_until(const std::function<bool()>& holds) {
    const Micros end = monotonic_now() + 5 * kSecond;
    while (!holds()) {
      if (monotonic_now() > end) return false;
      loop.run_once(*this);
    }
    return true;
  }
  bool logged(const std::string& piece) const {
    for (const std::string& line : lines) {
      if (line.find(piece) != std::string::npos) return true;
    }
    return false;
  }

  session::Client& add_client(int fd) {
    session::Client& client = clients.add(std::make_unique<session::Client>());
    client.id = next_id();
    client.connected_at = client.last_request = now();
    client.seat.take_socket(books.clients());
    const bool opened = fd < 0 || client.stream.open(loop, fd);
    EXPECT_TRUE(opened);
    return client;
  }
  session::Client& add_pool_client(const std::string& database, const std::string& user) {
    session::Client& client = add_client(-1);
    client.database = books.database(database);
    client.user = books.user(user);
    client.local_pool = &pool_of(books.pool(client.database, user));
    client.local_pool->join(client, pool::ClientState::kIdle);
    return client;
  }
  session::Server& add_pool_server(const std::string& database, const std::string& user) {
    auto shared = books.pool(books.database(database), user);
    session::Server& server = servers.add(std::make_unique<session::Server>());
    server.id = next_id();
    server.connected_at = server.last_activity = now();
    server.shared_pool = shared;
    server.local_pool = &pool_of(shared);
    server.generation = shared->database->generation.load();
    pool::Limit refused{};
    server.slot = pool::Slot::acquire(shared, nullptr, 0, &refused);
    server.local_pool->join(server, pool::ServerState::kLogin);
    return server;
  }
  session::Client& add_console(int fd, char rights) {
    session::Client& client = add_client(fd);
    client.console_rights = rights;
    client.user = books.user("boss");
    client.database = std::make_shared<pool::SharedDatabase>("pgweir", nullptr, false);
    EXPECT_TRUE(pool::set_state(client, pool::ClientState::kConsole));
    return client;
  }
  void start_console(session::Client& client) {
    client.flow = std::make_unique<net::Spawned>();
    client.flow->start(loop, console(*this, client, *this), [this, &client] {
      failed = failed || client.flow->failed();
      client.flow.reset();
    });
  }

  Context context() {
    return Context{.books = books,
                   .snapshot = books.snapshot(),
                   .resolver = resolver,
                   .averages = averages,
                   .operations = operations,
                   .version = "PgBouncer 1.25.2 (pgweir test)",
                   .log = log,
                   .listeners = [] {
                     return Rows{{"7", "127.0.0.1", "6432"}};
                   }};
  }

  // -- Office: the Director's part, in place --
  void submit(std::shared_ptr<Job> job) override {
    ++submitted;
    if (plan(*job) == Where::kWorkers) {
      job->parts.resize(1);
      collect_part(*this, *job, job->parts[0]);
    }
    finish(job, context(), [job] {
      job->finished = true;
      job->done.open();
    });
  }
  void cancel_console() override {}

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
  net::StreamHandler& client_handler() override { return handler_; }
  net::StreamHandler& server_handler() override { return handler_; }
  net::StreamHandler& closing_handler() override { return handler_; }
  void client_ready(session::Client&) override {}
  void launch(session::LocalPool&, pool::Slot) override {}
  void start_reset(session::Server&) override {}
  void start_check(session::Server&) override {}
  void cancel_abandoned(session::Server&) override {}
  void start_clean_up(session::Server&) override {}
  void send_server(unsigned, std::unique_ptr<session::Server>) override {}
  void ask_for_server(unsigned, pool::SharedPool&) override {}
  void evict_for(session::LocalPool&, pool::Limit) override {}
  pool::Bell* bell() override { return nullptr; }
  void welcome_news(pool::SharedPool&) override {}
  void login_trouble(pool::SharedPool&, bool) override {}
  uint32_t next_id() override { return ++last_id_; }
  void draw_cancel_key(session::Client& client, size_t secret_size) override {
    client.cancel_key.pid = 77;
    client.cancel_key.size = static_cast<uint8_t>(secret_size);
  }
  void forget_cancel_key(session::Client&) override {}
  std::shared_ptr<session::CancelTicket> cancel(uint32_t, ByteView) override { return nullptr; }

  NotingOperations operations;
  Averages averages;
  std::vector<std::string> lines;
  int submitted = 0;
  bool failed = false;

 private:
  struct Parts {
    std::unique_ptr<net::Loop> loop;
    net::OffloadPool offload{1, 16};
    net::Resolver resolver{offload};
    Logger log;
    track::StatementRegistry statements;
    std::unique_ptr<pool::Books> books;
  };
  TestHub(std::unique_ptr<Parts> parts, pool::SnapshotPtr settings)
      : Hub(*parts->loop, parts->resolver, parts->log, *parts->books, parts->statements, 0), parts_(std::move(parts)) {
    snapshot = std::move(settings);
    std::vector<std::unique_ptr<LogSink>> sinks;
    sinks.push_back(std::make_unique<Lines>(lines));
    log.set_sinks(std::move(sinks));
  }
  void after_batch() override {
    outbox.flush();
    dead_clients.clear();
    dead_servers.clear();
  }
  void on_tick(Micros) override {}

  struct Quiet final : net::StreamHandler {
    void on_readable(net::Stream&) override {}
    void on_writable(net::Stream&) override {}
  };
  std::unique_ptr<Parts> parts_;
  Quiet handler_;
  uint32_t last_id_ = 0;
  std::map<unsigned, std::unique_ptr<session::LocalPool>> pools_;
};

}  // namespace pgweir::admin
