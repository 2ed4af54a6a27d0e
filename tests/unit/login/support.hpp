// What the tests of login/ share: a Hub of one worker without workers/, clients on socket pairs, a scripted server in a
// thread of its own.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "login/client_login.hpp"
#include "login/errands.hpp"
#include "login/server_login.hpp"
#include "net/offload.hpp"
#include "session/attach.hpp"
#include "wire/builder.hpp"
#include "wire/startup.hpp"

namespace pgweir::login {

// A descriptor with blocking calls.
class Wire {
 public:
  explicit Wire(int fd = -1) : fd_(fd) {
    timeval patience{5, 0};
    if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  }
  Wire(Wire&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Wire& operator=(Wire&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Wire() { close(); }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  int fd() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  void send(const std::string& bytes) { (void)!::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  std::string receive(size_t count) {  // exactly, or what came before the end
    std::string out;
    while (out.size() < count) {
      char byte[4096];
      ssize_t got = ::recv(fd_, byte, std::min(sizeof byte, count - out.size()), 0);
      if (got <= 0) break;
      out.append(byte, static_cast<size_t>(got));
    }
    return out;
  }
  std::string receive_untyped() {
    std::string head = receive(4);
    return head.size() < 4 ? head : head + receive(load_be32(head.data()) - 4);
  }
  std::pair<char, std::string> receive_message() {
    std::string head = receive(5);
    if (head.size() < 5) return {0, {}};
    return {head[0], receive(load_be32(head.data() + 1) - 4)};
  }

 private:
  int fd_;
};

struct Lines : LogSink {
  explicit Lines(std::vector<std::string>& all) : all(all) {}
  void write(const LogRecord& record) override {
    all.push_back(std::to_string(monotonic_now() / 1000) + " " + std::string(record.text));
  }
  std::vector<std::string>& all;
};

class TestHub final : public session::Hub, private net::Turn {
 public:
  struct Parts {
    std::unique_ptr<net::Loop> loop;
    net::OffloadPool offload{1, 16};
    net::Resolver resolver{offload};
    Logger log;
    track::StatementRegistry statements;
    std::unique_ptr<pool::Books> books;
  };

  static std::unique_ptr<TestHub> make(std::shared_ptr<settings::Snapshot> snapshot) {
    auto parts = std::make_unique<Parts>();
    parts->loop = net::Loop::create().take();
    parts->loop->set_offload(&parts->offload);
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

  // Turns the loop until `holds`, at most five seconds.
  bool run_until(const std::function<bool()>& holds) {
    const Micros end = monotonic_now() + 5 * kSecond;
    while (!holds()) {
      if (monotonic_now() > end) return false;
      loop.run_once(*this);
    }
    return true;
  }

  session::Client& add_client(int fd) {
    session::Client& client = clients.add(std::make_unique<session::Client>());
    client.id = next_id();
    client.connected_at = client.last_request = now();
    client.seat.take_socket(books.clients());
    EXPECT_TRUE(client.stream.open(loop, fd));
    client.flow = std::make_unique<net::Spawned>();
    client.flow->start(loop, client_login(*this, client), [&client] { client.flow.reset(); });
    return client;
  }
  void run(session::Server& server, net::Task<void> task) {
    server.stream.set_handler(nullptr, nullptr);
    server.flow = std::make_unique<net::Spawned>();
    server.flow->start(loop, std::move(task), [&server] { server.flow.reset(); });
  }
  void show_lines() const {
    for (const std::string& line : lines)
      std::fprintf(stderr, "  log: %s\n", line.c_str());
  }
  bool logged(const std::string& piece) const {
    for (const std::string& line : lines) {
      if (line.find(piece) != std::string::npos) return true;
    }
    return false;
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
  net::StreamHandler& client_handler() override { return handler_; }
  net::StreamHandler& server_handler() override { return handler_; }
  net::StreamHandler& closing_handler() override { return handler_; }
  void client_ready(session::Client& client) override { ready.push_back(&client); }
  void launch(session::LocalPool& pool, pool::Slot slot) override {
    ++launches;
    session::Server& server = servers.add(std::make_unique<session::Server>());
    server.id = next_id();
    server.connected_at = server.last_activity = now();
    server.slot = std::move(slot);
    server.local_pool = &pool;
    server.shared_pool = pool.shared_ptr();
    server.generation = pool.shared().database->generation.load();
    pool.join(server, pool::ServerState::kLogin);
    run(server, server_login(*this, server));
  }
  void start_reset(session::Server& server) override { run(server, run_reset(*this, server)); }
  void start_check(session::Server& server) override { run(server, run_check(*this, server)); }
  void start_clean_up(session::Server& server) override { run(server, clean_up(*this, server)); }
  void cancel_abandoned(session::Server&) override {}
  void send_server(unsigned, std::unique_ptr<session::Server>) override {}
  void ask_for_server(unsigned, pool::SharedPool&) override {}
  void evict_for(session::LocalPool&, pool::Limit) override {}
  pool::Bell* bell() override { return nullptr; }
  void welcome_news(pool::SharedPool&) override { open_gates(); }
  void login_trouble(pool::SharedPool&, bool) override { open_gates(); }
  uint32_t next_id() override { return ++last_id_; }
  void draw_cancel_key(session::Client& client, size_t secret_size) override {
    client.cancel_key.pid = client.id + 1000;
    client.cancel_key.size = static_cast<uint8_t>(secret_size);
  }
  void forget_cancel_key(session::Client&) override {}
  std::shared_ptr<session::CancelTicket> cancel(uint32_t pid, ByteView secret) override {
    cancelled.emplace_back(pid, secret);
    auto ticket = std::make_shared<session::CancelTicket>();
    ticket->outcome = session::CancelOutcome::kDelivered;
    return ticket;
  }

  std::vector<session::Client*> ready;
  std::vector<std::pair<uint32_t, std::string>> cancelled;
  std::vector<std::string> lines;
  int launches = 0;

 private:
  TestHub(std::unique_ptr<Parts> parts, std::shared_ptr<settings::Snapshot> settings)
      : Hub(*parts->loop, parts->resolver, parts->log, *parts->books, parts->statements, 0), parts_(std::move(parts)) {
    snapshot = std::move(settings);
    process_secret = std::string(32, 's');
    std::vector<std::unique_ptr<LogSink>> sinks;
    sinks.push_back(std::make_unique<Lines>(lines));
    log.set_sinks(std::move(sinks));
  }
  void open_gates() {
    for (auto& [id, pool] : pools_)
      pool->welcome_gate.open();
  }
  void after_batch() override {
    while (session::Server* server = ready_servers.pop_front()) {
      const session::Errand errand = std::exchange(server->errand, session::Errand::kNone);
      if (server->flow) continue;
      if (errand == session::Errand::kReset) start_reset(*server);
      if (errand == session::Errand::kCheck) start_check(*server);
      if (errand == session::Errand::kCleanUp) start_clean_up(*server);
    }
    while (ready_clients.pop_front()) {
    }
    outbox.flush();
    dead_clients.clear();
    dead_servers.clear();
  }
  void on_tick(Micros) override {
    for (auto& [id, pool] : pools_) {
      if (pool->welcome_waiters > 0) session::feed(*this, *pool);
    }
  }

  struct Quiet final : net::StreamHandler {
    void on_readable(net::Stream&) override {}
    void on_writable(net::Stream&) override {}
  };
  std::unique_ptr<Parts> parts_;
  Quiet handler_;
  uint32_t last_id_ = 0;
  std::map<unsigned, std::unique_ptr<session::LocalPool>> pools_;
};

// A server on a port of 127.0.0.1 that lives through `script` once for each connection.
class ScriptedServer {
 public:
  using Script = std::function<void(Wire&)>;
  explicit ScriptedServer(Script script) : listener_(::socket(AF_INET, SOCK_STREAM, 0)), script_(std::move(script)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* raw = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(0, ::bind(listener_.fd(), raw, size));
    EXPECT_EQ(0, ::listen(listener_.fd(), 16));
    EXPECT_EQ(0, ::getsockname(listener_.fd(), raw, &size));
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~ScriptedServer() {
    ::shutdown(listener_.fd(), SHUT_RDWR);
    thread_.join();
    for (auto& [fd, thread] : connections_) {
      ::shutdown(fd, SHUT_RDWR);
      thread.join();
      ::close(fd);
    }
  }
  int port() const { return port_; }

 private:
  void serve() {
    for (;;) {
      int fd = ::accept(listener_.fd(), nullptr, nullptr);
      if (fd < 0) return;
      connections_.emplace_back(fd, std::thread([this, fd] {
                                  Wire wire(fd);
                                  script_(wire);
                                  ::shutdown(wire.release(), SHUT_RDWR);
                                }));
    }
  }
  Wire listener_;
  Script script_;
  int port_ = 0;
  std::vector<std::pair<int, std::thread>> connections_;  // the accepting thread's until it has ended
  std::thread thread_;
};

// What a server says that lets everybody in.
inline std::string let_in(const std::string& secret = "1234") {
  std::string out;
  wire::append_authentication_ok(out);
  wire::append_parameter_status(out, "server_version", "15.9");
  wire::append_parameter_status(out, "client_encoding", "UTF8");
  wire::append_parameter_status(out, "DateStyle", "ISO, MDY");
  wire::append_parameter_status(out, "TimeZone", "UTC");
  wire::append_parameter_status(out, "standard_conforming_strings", "on");
  wire::append_parameter_status(out, "application_name", "");
  wire::append_backend_key_data(out, 77, secret);
  wire::append_ready_for_query(out, 'I');
  return out;
}

// A configuration with one database `db` at that port, and users plain/secret, md5, scram.
inline std::shared_ptr<settings::Snapshot> configuration(int port, settings::AuthType type) {
  auto snapshot = std::make_shared<settings::Snapshot>();
  settings::Global& global = snapshot->global;
  global.auth_type = type;
  global.max_packet_size = 0x7fffffff;
  global.client_login_timeout = 3 * kSecond;
  global.server_connect_timeout = 2 * kSecond;
  global.server_login_retry = 1 * kSecond;
  global.query_wait_timeout = 10 * kSecond;
  global.client_cleanup_timeout = 2 * kSecond;
  global.client_cleanup_bytes = 1 << 20;
  global.default_pool_size = 2;
  global.max_client_conn = 100;
  global.scram_iterations = 4096;
  global.server_lifetime = 3600 * kSecond;
  global.server_check_delay = 30 * kSecond;
  global.log_connections = global.log_disconnections = global.log_pooler_errors = true;
  global.pool_mode = settings::PoolMode::kTransaction;
  global.track_extra_parameters = "IntervalStyle";
  auto database = std::make_shared<settings::Database>();
  database->name = database->dbname = "db";
  database->hosts = {"127.0.0.1"};
  database->port = port;
  snapshot->databases["db"] = database;
  std::vector<auth::UserRecord> users;
  users.push_back({"plain", auth::Secret("secret"), 1});
  users.push_back({"empty", auth::Secret(""), 2});
  users.push_back({"admin", auth::Secret("secret"), 3});
  snapshot->userlist = std::make_shared<auth::Userlist>(std::move(users));
  snapshot->hba = std::make_shared<auth::HbaRules>();
  snapshot->ident = std::make_shared<auth::IdentMaps>();
  global.admin_users = "admin";
  return snapshot;
}

inline std::string startup(const wire::Pairs& parameters, uint32_t version = 196608) {
  std::string out;
  wire::append_startup(out, version, parameters);
  return out;
}

inline std::pair<int, Wire> socket_pair() {
  int fds[2];
  EXPECT_EQ(0, ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  return {fds[0], Wire(fds[1])};
}

}  // namespace pgweir::login
