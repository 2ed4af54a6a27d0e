// What the tests of session/ share: a hub whose closing servers are really read to their end, clients and servers on
// socket pairs, the peers' ends in the test's hands.
#pragma once

#include <algorithm>
#include <deque>
#include <string>
#include <vector>

#include "session/closing.hpp"
#include "unit/net/support.hpp"
#include "unit/support/hub.hpp"
#include "wire/builder.hpp"

namespace pgweir::session {

class SessionHub final : public test::TestHub {
 public:
  explicit SessionHub(pool::SnapshotPtr snapshot, unsigned workers = 1) : TestHub(std::move(snapshot), workers) {}
  ~SessionHub() override { close_all(); }
  net::StreamHandler& closing_handler() override { return closing_; }

 private:
  ClosingHandler closing_{*this};
};

class SessionTest : public testing::Test {
 protected:
  static constexpr const char* kMore =
      "pool_mode = transaction\ndefault_pool_size = 2\nlog_disconnections = 1\n"
      "log_pooler_errors = 1\nserver_login_retry = 15";

  void begin(const std::string& more = {}, unsigned workers = 1) {
    hub = std::make_unique<SessionHub>(test::snapshot_of("db = host=127.0.0.1 port=5433", cat(kMore, "\n", more)),
                                       workers);
    pool = &hub->pool_of(hub->books.pool(hub->books.database("db"), "u"));
    hub->tracked = std::make_shared<track::TrackedNames>(std::vector<std::string>{"IntervalStyle"});
  }
  void SetUp() override { begin(); }
  void TearDown() override {
    if (HasFailure()) hub->show_lines();
  }

  Client& client() {
    auto [fd, peer] = net::unix_pair();
    peers.push_back(std::move(peer));
    Client& made = hub->add_pool_client("db", "u", fd);
    made.parameters.init(hub->tracked);
    return made;
  }
  // Logged in and idle.
  Server& server() {
    auto [fd, peer] = net::unix_pair();
    peers.push_back(std::move(peer));
    Server& made = hub->add_pool_server("db", "u", fd);
    made.parameters.init(hub->tracked);
    returned(*hub, made, true);
    return made;
  }
  // A client with a server attached to it; peers[0] is the client's other end, peers[1] the server's.
  void pair() {
    the_client = &client();
    the_server = &server();
    ASSERT_EQ(Attached::kNow, attach(*hub, *the_client));
    ASSERT_EQ(the_server, the_client->server);
  }
  // A query of that client is on its way to its server.
  void ask() {
    the_server->replies.expect(track::Kind::kQuery, track::Action::kForward);
    the_client->query_start = hub->now();
  }
  // What the other end has got by now.
  std::string got(size_t peer) {
    hub->outbox.flush();
    return peers.at(peer).read_now();
  }
  static std::string fatal(const std::string& sqlstate, const std::string& text) {
    std::string out;
    wire::append_error(out, "FATAL", sqlstate, text);
    return out;
  }
  static const std::string& terminate() {
    static const std::string bytes("X\0\0\0\4", 5);
    return bytes;
  }
  bool has(const std::string& effect) const {
    return std::find(hub->effects.begin(), hub->effects.end(), effect) != hub->effects.end();
  }
  uint64_t closes(Reason reason) const { return hub->tally.closes[static_cast<size_t>(reason)]; }
  size_t count(pool::ServerState state) const { return pool->servers(state).size(); }
  size_t count(pool::ClientState state) const { return pool->clients(state).size(); }

  std::deque<net::Peer> peers;
  std::unique_ptr<SessionHub> hub;
  LocalPool* pool = nullptr;
  Client* the_client = nullptr;
  Server* the_server = nullptr;
};

}  // namespace pgweir::session
