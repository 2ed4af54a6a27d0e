// What the tests of login/ share: a hub that starts the logins and the errands, clients on socket pairs, a scripted
// server in a thread of its own.
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
#include "login/lookup.hpp"
#include "login/server_login.hpp"
#include "unit/support/hub.hpp"
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
  bool sent(const std::string& bytes) { return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) > 0; }
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

class LoginHub final : public test::TestHub {
 public:
  explicit LoginHub(std::shared_ptr<settings::Snapshot> snapshot) : TestHub(std::move(snapshot)) {
    process_secret = std::string(32, 's');
    loop.set_offload(&offload());
  }
  ~LoginHub() override { close_all(); }

  session::Client& add_client(int fd) {
    session::Client& client = TestHub::add_client(fd);
    client.flow = std::make_unique<net::Spawned>();
    client.flow->start(loop, client_login(*this, client), [&client] { client.flow.reset(); });
    return client;
  }
  void run(session::Server& server, net::Task<void> task) {
    server.stream.set_handler(nullptr, nullptr);
    server.flow = std::make_unique<net::Spawned>();
    server.flow->start(loop, std::move(task), [&server] { server.flow.reset(); });
  }

  // -- session::Hub --
  void launch(session::LocalPool& pool, pool::Slot slot, session::Client* /*owner*/ = nullptr) override {
    ++launches;
    session::Server& server = add_server(pool, std::move(slot));
    run(server, server_login(*this, server));
  }
  void start_reset(session::Server& server) override { run(server, run_reset(*this, server)); }
  void start_check(session::Server& server) override { run(server, run_check(*this, server)); }
  void start_clean_up(session::Server& server) override { run(server, clean_up(*this, server)); }
  void start_lookup(session::Server& server) override { run(server, run_lookup(*this, server)); }
  void welcome_news(pool::SharedPool&) override { open_gates(); }
  void login_trouble(pool::SharedPool&, bool) override { open_gates(); }
  std::shared_ptr<session::CancelTicket> cancel(uint32_t pid, ByteView secret) override {
    cancelled.emplace_back(pid, secret);
    auto ticket = std::make_shared<session::CancelTicket>();
    ticket->outcome = session::CancelOutcome::kDelivered;
    return ticket;
  }

  std::vector<std::pair<uint32_t, std::string>> cancelled;
  int launches = 0;

 private:
  void open_gates() {
    for (session::LocalPool* pool : pools())
      pool->welcome_gate.open();
  }
  void after_batch() override {
    while (session::Server* server = ready_servers.pop_front()) {
      const session::Errand errand = std::exchange(server->errand, session::Errand::kNone);
      if (server->flow) continue;
      if (errand == session::Errand::kReset) start_reset(*server);
      if (errand == session::Errand::kCheck) start_check(*server);
      if (errand == session::Errand::kCleanUp) start_clean_up(*server);
      if (errand == session::Errand::kLookup) start_lookup(*server);
    }
    while (session::Client* client = ready_clients.pop_front()) {
      if (client->extras && client->extras->served) client->extras->served->open();
    }
    TestHub::after_batch();
  }
  void on_tick(Micros) override {
    for (session::LocalPool* pool : pools()) {
      if (pool->wanted()) session::feed(*this, *pool);
    }
  }
};

// A server on a port of 127.0.0.1 that lives through `script` once for each connection. It outlives the test's locals
// where a fixture owns it: what a script reads it captures by value.
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
