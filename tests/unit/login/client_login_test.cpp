// Clients log in over socket pairs, against a scripted server; good ones and hostile ones.
#include <deque>

#include "auth/md5.hpp"
#include "auth/scram.hpp"
#include "support.hpp"

namespace pgweir::login {
namespace {

void run_trusting(Wire& wire) {
  if (wire.receive_untyped().empty()) return;
  wire.send(let_in());
  wire.receive(1);
}

class ClientLogin : public testing::Test {
 protected:
  void TearDown() override {
    if (HasFailure() && hub) hub->show_lines();
  }
  void begin(settings::AuthType type, std::function<void(settings::Snapshot&)> change = {}) {
    server = std::make_unique<ScriptedServer>(run_trusting);
    auto snapshot = configuration(server->port(), type);
    if (change) change(*snapshot);
    hub = std::make_unique<LoginHub>(snapshot);
  }
  Wire& connect() {
    auto [fd, wire] = socket_pair();
    wires.push_back(std::move(wire));
    client = &hub->add_client(fd);
    return wires.back();
  }
  // Turns the loop until the client can be answered: something arrives at `wire`, or its end.
  std::pair<char, std::string> next(Wire& wire) {
    char byte;
    hub->run_until([&] { return ::recv(wire.fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0; });
    return wire.receive_message();
  }
  std::vector<char> types_until_ready(Wire& wire) {
    std::vector<char> types;
    for (;;) {
      auto [type, body] = next(wire);
      types.push_back(type);
      last = body;
      if (type == 'Z' || type == 'E' || type == 0) return types;
    }
  }
  std::string refusal(Wire& wire) {
    auto [type, body] = next(wire);
    if (type == 0) return "closed";
    EXPECT_EQ('E', type);
    EXPECT_EQ(0, next(wire).first);
    const size_t at = body.find("\0M", 0, 2);
    return at == std::string::npos ? body : body.substr(at + 2, body.size() - at - 4);
  }
  static std::string password(ByteView text) {
    std::string out;
    wire::append_password(out, text);
    return out;
  }

  std::unique_ptr<ScriptedServer> server;
  std::unique_ptr<LoginHub> hub;
  session::Client* client = nullptr;
  std::deque<Wire> wires;
  std::string last;
};

TEST_F(ClientLogin, TrustGetsTheWholeWelcome) {
  begin(settings::AuthType::kTrust);
  Wire& wire = connect();
  wire.send(startup({{"user", "plain"}, {"database", "db"}, {"application_name", "me"}}));
  const std::vector<char> types = types_until_ready(wire);
  EXPECT_EQ('R', types.front());
  EXPECT_EQ('Z', types.back());
  EXPECT_EQ('K', types[types.size() - 2]);
  ASSERT_EQ(1u, hub->ready.size());
  EXPECT_EQ(pool::ClientState::kIdle, client->state());
  EXPECT_EQ("me", *client->parameters.value("application_name"));
  EXPECT_EQ("UTC", *client->parameters.value("TimeZone"));
  EXPECT_TRUE(client->parameters_unproven);
  EXPECT_EQ(4u, client->cancel_key.view().size());
  EXPECT_TRUE(hub->logged("login attempt: db=db user=plain tls=no replication=no"));
  EXPECT_TRUE(hub->logged("new connection to server (from 127.0.0.1:"));
  EXPECT_EQ(1u, client->local_pool->counters.client_logins);
}

TEST_F(ClientLogin, BytesBehindTheLoginAreHandedOn) {
  begin(settings::AuthType::kTrust);
  Wire& wire = connect();
  std::string query;
  wire::append_query(query, "SELECT 1");
  wire.send(startup({{"user", "plain"}, {"database", "db"}}) + query);
  ASSERT_TRUE(hub->run_until([&] { return !hub->ready.empty(); }));
  ASSERT_TRUE(client->held);
  EXPECT_EQ(query, *client->held);
}

TEST_F(ClientLogin, ASecondClientNeedsNoServer) {
  begin(settings::AuthType::kTrust);
  for (int round = 0; round < 2; ++round) {
    Wire& wire = connect();
    wire.send(startup({{"user", "plain"}, {"database", "db"}}));
    EXPECT_EQ('Z', types_until_ready(wire).back());
  }
  EXPECT_EQ(1, hub->launches);
}

TEST_F(ClientLogin, ProtocolThreeTwoAndNegotiation) {
  begin(settings::AuthType::kTrust);
  Wire& native = connect();
  native.send(startup({{"user", "plain"}, {"database", "db"}}, wire::kProtocol32));
  EXPECT_EQ('R', next(native).first);
  hub->run_until([&] { return hub->ready.size() == 1; });
  EXPECT_EQ(32u, client->cancel_key.view().size());
  Wire& grease = connect();
  grease.send(startup({{"user", "plain"}, {"database", "db"}, {"_pq_.grease", "1"}}, 196608 + 9999));
  auto [type, body] = next(grease);
  EXPECT_EQ('v', type);
  EXPECT_EQ(wire::kProtocol32, load_be32(body.data()));
  EXPECT_EQ(1u, load_be32(body.data() + 4));
  EXPECT_EQ(std::string("_pq_.grease\0", 12), body.substr(8));
  EXPECT_EQ('Z', types_until_ready(grease).back());
}

TEST_F(ClientLogin, Cleartext) {
  begin(settings::AuthType::kPlain);
  struct Row {
    const char* user;
    const char* password;
    const char* text;
  };
  const Row rows[] = {{"plain", "secret", nullptr},
                      {"plain", "wrong", "password authentication failed"},
                      {"plain", "", "empty password returned by client"},
                      {"empty", "x", "password authentication failed"},
                      {"ghost", "secret", "password authentication failed"}};
  for (const Row& row : rows) {
    Wire& wire = connect();
    wire.send(startup({{"user", row.user}, {"database", "db"}}));
    EXPECT_EQ('R', next(wire).first);
    wire.send(password(row.password));
    if (row.text) {
      EXPECT_EQ(row.text, refusal(wire)) << row.user;
    } else {
      EXPECT_EQ('Z', types_until_ready(wire).back());
    }
  }
  EXPECT_TRUE(hub->logged("no such user: ghost"));
  EXPECT_EQ(2u, hub->books.users().size());  // plain and empty: whoever proves nothing makes no entry
}

TEST_F(ClientLogin, Md5) {
  begin(settings::AuthType::kMd5);
  for (const char* attempt : {"secret", "wrong"}) {
    Wire& wire = connect();
    wire.send(startup({{"user", "plain"}, {"database", "db"}}));
    auto [type, body] = next(wire);
    ASSERT_EQ(8u, body.size());
    wire.send(password(auth::md5_response(auth::Secret(attempt), "plain", body.substr(4))));
    if (std::string(attempt) == "secret") {
      EXPECT_EQ('Z', types_until_ready(wire).back());
    } else {
      EXPECT_EQ("password authentication failed", refusal(wire));
    }
  }
}

class ScramLogin : public ClientLogin {
 protected:
  // Returns whether the server let us in; a refusal's text in `last`.
  bool log_in(const std::string& user, const std::string& secret) {
    Wire& wire = connect();
    wire.send(startup({{"user", user}, {"database", "db"}}));
    auto [type, body] = next(wire);
    EXPECT_EQ('R', type);
    EXPECT_EQ(10u, load_be32(body.data()));
    auth::ScramClient prover = auth::ScramClient::with_password(secret);
    std::string out;
    wire::append_sasl_initial(out, auth::kScramMechanism, *prover.first());
    wire.send(out);
    auto challenge = next(wire);
    if (challenge.first != 'R') return false;
    EXPECT_TRUE(prover.read_server_first(ByteView(challenge.second).substr(4)).ok());
    out.clear();
    wire::append_sasl_response(out, *prover.final());
    wire.send(out);
    auto final = next(wire);
    if (final.first == 'E') {
      last = final.second;
      return false;
    }
    EXPECT_TRUE(prover.verify(ByteView(final.second).substr(4)).ok());
    return types_until_ready(wire).back() == 'Z';
  }
};

TEST_F(ScramLogin, PlainSecretStoredSecretUnknownUser) {
  auto verifier = auth::derive_scram_verifier("secret", "0123456789abcdef", 4096);
  begin(settings::AuthType::kScramSha256, [&](settings::Snapshot& snapshot) {
    std::vector<auth::UserRecord> users;
    users.push_back({"plain", auth::Secret("secret"), 1});
    users.push_back({"stored", auth::Secret(auth::format_scram_verifier(*verifier)), 2});
    users.push_back({"hashed", auth::Secret(auth::md5_secret("secret", "hashed")), 3});
    users.push_back({"empty", auth::Secret(""), 4});
    snapshot.userlist = std::make_shared<auth::Userlist>(std::move(users));
  });
  EXPECT_TRUE(log_in("plain", "secret"));
  EXPECT_TRUE(log_in("plain", "secret"));  // from the note
  EXPECT_FALSE(log_in("plain", "wrong"));
  EXPECT_NE(std::string::npos, last.find("SASL authentication failed"));
  EXPECT_TRUE(log_in("stored", "secret"));
  EXPECT_FALSE(log_in("stored", "wrong"));
  for (const char* user : {"hashed", "empty", "ghost"}) {
    EXPECT_FALSE(log_in(user, "secret")) << user;
    EXPECT_FALSE(log_in(user, "")) << user;
    EXPECT_NE(std::string::npos, last.find("SASL authentication failed")) << user;
  }
}

TEST_F(ClientLogin, HostileBeginnings) {
  struct Row {
    std::string bytes;
    const char* text;  // "closed": without a word
  };
  std::string ssl;
  wire::append_ssl_request(ssl);
  const std::string gss = std::string("\0\0\0\x08\x04\xd2\x16\x30", 8);
  const std::string good = startup({{"user", "plain"}, {"database", "db"}});
  const Row rows[] = {
      {password("x"), "client password pkt before startup packet"},
      {std::string("Q\0\0\0\x0dSELECT 1\0", 14), "closed"},
      {ssl + good, "received unencrypted data after SSL request"},
      {gss + "x", "received unencrypted data after GSSAPI encryption request"},
      {std::string("\0\0\0\0", 4), "bad packet header: '00000000'"},
      {std::string("\0\0\0\x07\0\x03\0", 7), "bad packet header: '00000007000300'"},
      {std::string("\0\x01\0\0\0\x03\0\0", 8), "bad packet header: '0001000000030000'"},
      {startup({{"user", "plain"}}, 131072), "old V2 protocol not supported"},
      {startup({{"database", "db"}}), "no username supplied"},
      {startup({{"user", ""}, {"database", "db"}}), "no username supplied"},
      {startup({{"user", std::string(128, 'u')}}), "username too long"},
      {startup({{"user", "plain"}, {"database", "db"}, {"bad name", "1"}}), "unsupported startup parameter: bad name"},
      {startup({{"user", "plain"}, {"database", "db"}, {"options", "-c bad;name=1"}}),
       "unsupported startup parameter in options: bad;name"},
      {startup({{"user", "plain"}, {"database", "nowhere"}}), "no such database: nowhere"},
      {startup({{"user", "ghost"}, {"database", "db"}}), "\"trust\" authentication failed"},
      {startup({{"user", "plain"}, {"database", "pgweir"}}), "not allowed"},
      {std::string("\0\0\0\x0c\x04\xd2\x16\x2e\0\0\0\x01", 12), "closed"},  // a cancel request without a key
  };
  begin(settings::AuthType::kTrust);
  for (const Row& row : rows) {
    Wire& wire = connect();
    wire.send(row.bytes);
    EXPECT_EQ(row.text, refusal(wire)) << row.text;
  }
  EXPECT_EQ(0, hub->launches);
  EXPECT_EQ(0u, hub->clients.size());
  EXPECT_EQ(0, hub->books.clients().used());
}

TEST_F(ClientLogin, RefusedEncryptionGoesOnInPlain) {
  begin(settings::AuthType::kTrust);
  Wire& wire = connect();
  std::string ssl;
  wire::append_ssl_request(ssl);
  for (const std::string& request : {std::string("\0\0\0\x08\x04\xd2\x16\x30", 8), ssl, ssl}) {
    wire.send(request);
    char answer = 0;
    hub->run_until([&] { return ::recv(wire.fd(), &answer, 1, MSG_DONTWAIT) == 1; });
    EXPECT_EQ('N', answer);
  }
  wire.send(startup({{"user", "plain"}, {"database", "db"}}));
  EXPECT_EQ('Z', types_until_ready(wire).back());
}

TEST_F(ClientLogin, HostileDuringAuthentication) {
  begin(settings::AuthType::kPlain);
  const std::string good = startup({{"user", "plain"}, {"database", "db"}});
  struct Row {
    std::string bytes;
    const char* text;
  };
  const Row rows[] = {{good, "client re-sent startup pkt"},
                      {std::string("Q\0\0\0\x0dSELECT 1\0", 14), "closed"},
                      {std::string("p\x7f\xff\xff\xff", 5), "bad packet header: '707fffffff'"},
                      {std::string("p\0\0\0\0", 5), "bad packet header: '7000000000'"},
                      {std::string("p\0\0\0\x06xy", 7), "password authentication failed"},
                      {std::string("p\0\0\0\x0csecret\0\0", 13), "password authentication failed"},
                      {std::string("X\0\0\0\x04", 5), "closed"}};
  for (const Row& row : rows) {
    Wire& wire = connect();
    wire.send(good);
    EXPECT_EQ('R', next(wire).first);
    wire.send(row.bytes);
    EXPECT_EQ(row.text, refusal(wire)) << hex(row.bytes);
  }
}

TEST_F(ClientLogin, CancelRequestIsPassedOnAndClosed) {
  begin(settings::AuthType::kTrust);
  for (size_t size : {size_t{4}, size_t{32}}) {
    Wire& wire = connect();
    std::string request;
    wire::append_cancel_request(request, 5, std::string(size, 'k'));
    wire.send(request);
    EXPECT_EQ("closed", refusal(wire));
    ASSERT_FALSE(hub->cancelled.empty());
    EXPECT_EQ(5u, hub->cancelled.back().first);
    EXPECT_EQ(size, hub->cancelled.back().second.size());
  }
}

TEST_F(ClientLogin, ConsoleClientsAreHandedOverWithoutAWelcome) {
  begin(settings::AuthType::kPlain);
  Wire& wire = connect();
  wire.send(startup({{"user", "admin"}, {"database", "pgbouncer"}}));
  EXPECT_EQ('R', next(wire).first);
  wire.send(password("secret"));
  ASSERT_TRUE(hub->run_until([&] { return !hub->ready.empty(); }));
  EXPECT_EQ(pool::ClientState::kConsole, client->state());
  EXPECT_EQ('a', client->console_rights);
  EXPECT_EQ(0, hub->launches);
}

TEST_F(ClientLogin, OwnAccountIsAdministratorByUnixSocket) {
  begin(settings::AuthType::kScramSha256);
  Wire& wire = connect();
  wire.send(startup({{"user", "pgweir"}, {"database", "pgweir"}}));
  ASSERT_TRUE(hub->run_until([&] { return !hub->ready.empty(); }));
  EXPECT_EQ('a', client->console_rights);
}

TEST_F(ClientLogin, LimitsOfClients) {
  begin(settings::AuthType::kTrust, [](settings::Snapshot& snapshot) {
    snapshot.global.max_db_client_connections = 1;
    snapshot.global.max_client_conn = 3;
  });
  Wire& first = connect();
  first.send(startup({{"user", "plain"}, {"database", "db"}}));
  EXPECT_EQ('Z', types_until_ready(first).back());
  Wire& second = connect();
  second.send(startup({{"user", "plain"}, {"database", "db"}}));
  EXPECT_EQ("client connections exceeded (max_db_client_connections)", refusal(second));
  Wire& administrator = connect();
  administrator.send(startup({{"user", "admin"}, {"database", "db"}}));
  EXPECT_EQ('Z', types_until_ready(administrator).back());
  connect();  // the third socket
  Wire& fourth = connect();
  fourth.send(startup({{"user", "plain"}, {"database", "db"}}));
  EXPECT_EQ("no more connections allowed (max_client_conn)", refusal(fourth));
}

TEST_F(ClientLogin, TimeoutBeforeAndDuringTheWaitForAServer) {
  begin(settings::AuthType::kTrust, [](settings::Snapshot& snapshot) {
    snapshot.global.client_login_timeout = 300 * kMillisecond;
    auto dead = std::make_shared<settings::Database>(*snapshot.databases["db"]);
    dead->name = "dead";
    dead->port = 1;
    snapshot.databases["dead"] = dead;
  });
  Wire& silent = connect();
  silent.send("\0");
  EXPECT_EQ("client_login_timeout", refusal(silent));
  Wire& waiting = connect();
  waiting.send(startup({{"user", "plain"}, {"database", "dead"}}));
  EXPECT_EQ("client_login_timeout (server down)", refusal(waiting));
  EXPECT_GE(hub->launches, 1);
  EXPECT_TRUE(hub->logged("closing because: connect failed"));
}

TEST_F(ClientLogin, AClientThatLeavesWhileItWaits) {
  begin(settings::AuthType::kTrust);
  Wire& wire = connect();
  wire.send(startup({{"user", "plain"}, {"database", "db"}}));
  close_client(*hub, *client, session::Reason::kAdminDisconnect);
  EXPECT_TRUE(hub->run_until([&] { return hub->dead_clients.empty(); }));
  EXPECT_EQ(0u, hub->clients.size());
}

}  // namespace
}  // namespace pgweir::login
