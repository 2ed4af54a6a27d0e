// Logins to servers: every method, and servers that mean harm.
#include <deque>

#include "auth/md5.hpp"
#include "auth/scram.hpp"
#include "login/offloaded.hpp"
#include "support.hpp"

namespace pgweir::login {
namespace {

using settings::AuthType;

std::string error(const std::string& fields) {
  std::string out;
  wire::MessageBuilder message(out, 'E');
  message.bytes(fields).finish();
  return out;
}

class ServerLoginTest : public testing::Test {
 protected:
  void TearDown() override {
    if (HasFailure() && hub) hub->show_lines();
  }
  // A client that trusts its way in and then needs a server that lives through `script`.
  void begin(ScriptedServer::Script script, std::function<void(settings::Snapshot&, settings::Database&)> change = {}) {
    server = std::make_unique<ScriptedServer>(std::move(script));
    auto snapshot = configuration(server->port(), AuthType::kTrust);
    auto database = std::make_shared<settings::Database>(*snapshot->databases["db"]);
    if (change) change(*snapshot, *database);
    snapshot->databases["db"] = database;
    hub = std::make_unique<LoginHub>(snapshot);
    auto [fd, wire] = socket_pair();
    peer = std::move(wire);
    client = &hub->add_client(fd);
    peer.send(startup({{"user", "plain"}, {"database", "db"}}));
  }
  bool logged_in() {
    return hub->run_until([&] { return !hub->ready.empty() || hub->clients.size() == 0; }) && !hub->ready.empty();
  }
  // The client's refusal: "SQLSTATE text".
  std::string refusal() {
    EXPECT_FALSE(logged_in());
    auto [type, body] = peer.receive_message();
    EXPECT_EQ('E', type);
    const size_t code = body.find("\0C", 0, 2);
    const size_t at = body.find("\0M", 0, 2);
    if (code == std::string::npos || at == std::string::npos) return body;
    return body.substr(code + 2, 5) + " " + body.substr(at + 2, body.size() - at - 4);
  }
  session::Server& only() { return hub->servers[0]; }

  std::unique_ptr<ScriptedServer> server;
  std::unique_ptr<LoginHub> hub;
  session::Client* client = nullptr;
  Wire peer;
};

TEST_F(ServerLoginTest, TrustAndWhatIsLearnt) {
  std::string seen;
  begin([&seen](Wire& wire) {
    seen = wire.receive_untyped();
    for (char byte : let_in(std::string(32, 'k')))
      wire.send(std::string(1, byte));  // split at every byte
    wire.receive(1);
  });
  ASSERT_TRUE(logged_in());
  std::string expected;
  wire::append_startup(expected, 196608, {{"database", "db"}, {"user", "plain"}});
  EXPECT_EQ(expected, seen);
  EXPECT_EQ(77u, only().backend_pid);
  EXPECT_EQ(std::string(32, 'k'), only().cancel_secret);
  EXPECT_EQ("UTF8", *only().parameters.value("client_encoding"));
  EXPECT_EQ(pool::ServerState::kIdle, only().state());
  EXPECT_EQ(0, only().shared_pool->logins.load());
  EXPECT_FALSE(only().shared_pool->in_trouble());
  EXPECT_EQ(6u, only().shared_pool->welcome()->parameters.size());
}

TEST_F(ServerLoginTest, Cleartext) {
  std::string seen;
  begin([&seen](Wire& wire) {
    wire.receive_untyped();
    std::string request;
    wire::append_authentication_cleartext(request);
    wire.send(request);
    seen = wire.receive_message().second;
    wire.send(let_in());
    wire.receive(1);
  });
  ASSERT_TRUE(logged_in());
  EXPECT_EQ(std::string("secret\0", 7), seen);
}

TEST_F(ServerLoginTest, Md5WithTheEntrysPassword) {
  std::string seen;
  begin(
      [&seen](Wire& wire) {
        wire.receive_untyped();
        std::string request;
        wire::append_authentication_md5(request, "salt");
        wire.send(request);
        seen = wire.receive_message().second;
        wire.send(let_in());
        wire.receive(1);
      },
      [](settings::Snapshot&, settings::Database& database) {
        database.user = "other";
        database.password = auth::Secret("hidden");
      });
  ASSERT_TRUE(logged_in());
  EXPECT_EQ(auth::md5_response(auth::Secret("hidden"), "other", "salt") + '\0', seen);
}

// Plays the server's side of SCRAM; `bend` may change what is sent last.
void play_scram(Wire& wire, const std::string& secret, const std::function<void(std::string&)>& bend = {}) {
  wire.receive_untyped();
  auto verifier = auth::derive_scram_verifier(secret, "0123456789abcdef", 4096);
  auth::ScramServer prover = auth::ScramServer::genuine(verifier.take());
  std::string out;
  wire::append_authentication_sasl(out, {"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"});
  wire.send(out);
  const std::string initial = wire.receive_message().second;
  if (initial.size() < 18) return;
  auto challenge = prover.first(ByteView(initial).substr(18));
  if (!challenge) return;
  out.clear();
  wire::append_authentication_sasl_continue(out, *challenge);
  wire.send(out);
  auto success = prover.final(wire.receive_message().second);
  if (!success) {
    out.clear();
    wire::append_error(out, "FATAL", "28P01", "password authentication failed for user \"plain\"");
    wire.send(out);
    return;
  }
  std::string final = success->server_final;
  if (bend) bend(final);
  out.clear();
  if (!final.empty()) wire::append_authentication_sasl_final(out, final);
  wire.send(out + let_in());
  wire.receive(1);
}

TEST_F(ServerLoginTest, Scram) {
  begin([](Wire& wire) { play_scram(wire, "secret"); });
  ASSERT_TRUE(logged_in());
}

// The notes that a client's SCRAM login leaves, for `user` and the stored verifier.
void leave_keys(LoginHub& hub, const std::string& user, const std::string& stored, const std::string& password) {
  auth::ScramServer ours = auth::ScramServer::genuine(*auth::parse_scram_verifier(stored));
  auth::ScramClient theirs = auth::ScramClient::with_password(password);
  ASSERT_TRUE(theirs.read_server_first(*ours.first(*theirs.first())).ok());
  auto success = ours.final(*theirs.final());
  ASSERT_TRUE(success.ok());
  pool::ScramNote note;
  note.mark = mark_of(*auth::parse_scram_verifier(stored));
  note.first_key = success->keys.client_key.view();
  note.server_key = success->keys.server_key.view();
  hub.books.user(user)->client_keys.keep(note);
}

TEST_F(ServerLoginTest, ScramWithKeysThatAClientLeft) {
  const std::string stored =
      auth::format_scram_verifier(*auth::derive_scram_verifier("secret", "0123456789abcdef", 4096));
  struct Row {
    std::string noted;  // the verifier under which the keys were left
    bool forced;        // the entry forces the user
    bool works;
  };
  const std::string other = auth::format_scram_verifier(*auth::derive_scram_verifier("secret", "another salt", 4096));
  const Row rows[] = {{stored, false, true}, {stored, true, false}, {other, false, false}};
  for (const Row& row : rows) {
    begin([](Wire& wire) { play_scram(wire, "secret"); },
          [&](settings::Snapshot& snapshot, settings::Database& database) {
            std::vector<auth::UserRecord> users;
            users.push_back({"plain", auth::Secret(stored), 1});
            snapshot.userlist = std::make_shared<auth::Userlist>(std::move(users));
            if (row.forced) database.user = "plain";
          });
    leave_keys(*hub, "plain", row.noted, "secret");
    if (row.works) {
      EXPECT_TRUE(logged_in());
    } else {
      EXPECT_EQ("08P01 server login failed: wrong password type", refusal());
    }
  }
}

TEST_F(ServerLoginTest, ScramWithAWrongPassword) {
  begin([](Wire& wire) { play_scram(wire, "changed"); });
  EXPECT_EQ("28P01 password authentication failed for user \"plain\"", refusal());
}

TEST_F(ServerLoginTest, AServerThatDoesNotKnowTheSecretIsNotTrusted) {
  begin([](Wire& wire) { play_scram(wire, "secret", [](std::string& final) { final[3] ^= 1; }); });
  EXPECT_EQ("08P01 server login failed: invalid server signature", refusal());
}

TEST_F(ServerLoginTest, AServerThatSkipsItsSignatureIsNotTrusted) {
  begin([](Wire& wire) { play_scram(wire, "secret", [](std::string& final) { final.clear(); }); });
  EXPECT_EQ("08P01 server login failed: invalid server signature", refusal());
}

TEST_F(ServerLoginTest, NoPasswordOfTheRightKind) {
  const std::string hash = auth::md5_secret("secret", "plain");
  const std::string verifier = auth::format_scram_verifier(*auth::derive_scram_verifier("secret", "salt", 4096));
  struct Row {
    std::string secret;
    std::string request;
  };
  std::vector<Row> rows(4);
  rows[0].secret = hash;
  wire::append_authentication_sasl(rows[0].request, {"SCRAM-SHA-256"});
  rows[1].secret = verifier;
  wire::append_authentication_md5(rows[1].request, "salt");
  rows[2].secret = hash;  // a hash is no password: it is not sent as one
  wire::append_authentication_cleartext(rows[2].request);
  rows[3].secret = verifier;  // no keys: nobody has proved himself by SCRAM
  wire::append_authentication_sasl(rows[3].request, {"SCRAM-SHA-256"});
  for (const Row& row : rows) {
    std::string answer;
    begin(
        [&](Wire& wire) {
          wire.receive_untyped();
          wire.send(row.request);
          answer = wire.receive(1);
        },
        [&](settings::Snapshot&, settings::Database& database) { database.password = auth::Secret(row.secret); });
    EXPECT_EQ("08P01 server login failed: wrong password type", refusal());
    server.reset();
    EXPECT_EQ("", answer);
  }
}

TEST_F(ServerLoginTest, ErrorsWithFieldsMissing) {
  using namespace std::string_literals;
  struct Row {
    std::string fields;
    const char* told;
  };
  const Row rows[] = {{"SFATAL\0C28000\0Mno entry\0\0"s, "28000 no entry"},
                      {"SFATAL\0Mno code\0\0"s, "08P01 no code"},
                      {"C28000\0Mno severity\0\0"s, "28000 no severity"},
                      {"SFATAL\0C3D000\0\0"s, "3D000 login failed"},
                      {"SFATAL\0C\0Mempty code\0\0"s, "08P01 empty code"},
                      {"SFATAL\0C28000\0Mno end"s, "28000 no end"},
                      {""s, "08P01 login failed"},
                      {"\0"s, "08P01 login failed"}};
  for (const Row& row : rows) {
    begin([row](Wire& wire) {
      wire.receive_untyped();
      wire.send(error(row.fields));
    });
    EXPECT_EQ(row.told, refusal());
    EXPECT_TRUE(hub->logged("server login failed: "));
  }
}

TEST_F(ServerLoginTest, LongErrorsArriveWhole) {
  const std::string text(3000, 'x');
  begin([&](Wire& wire) {
    wire.receive_untyped();
    std::string out;
    wire::append_error(out, "FATAL", "28000", text);
    wire.send(out);
  });
  EXPECT_EQ("28000 " + text, refusal());
}

TEST_F(ServerLoginTest, AServerThatStartsUpIsWaitedFor) {
  std::atomic<int> tries{0};
  begin([&](Wire& wire) {
    wire.receive_untyped();
    std::string out;
    if (tries++ < 2) {
      wire::append_error(out, "FATAL", "57P03", "the database system is starting up");
      wire.send(out);
      return;
    }
    wire.send(let_in());
    wire.receive(1);
  });
  EXPECT_TRUE(logged_in());
  EXPECT_EQ(3, tries.load());
}

TEST_F(ServerLoginTest, HostileServersLeaveTheClientWaiting) {
  std::string big;
  wire::append_authentication_ok(big);
  for (int index = 0; index < 40; ++index)
    wire::append_parameter_status(big, "p" + std::to_string(index), std::string(60000, 'v'));
  const std::string rows[] = {std::string("R\xff\xff\xff\xff", 5),
                              std::string("R\0\0\0\x03", 5),
                              std::string("E\x7f\xff\xff\xff", 5),
                              std::string("Z\0\0\0\x05I", 6),
                              let_in() + let_in(),
                              std::string("D\0\0\0\x06\0\0", 7),
                              std::string("R\0\0\0\x09\0\0\0\x05sal", 12),
                              std::string("R\0\0\0\x04", 5),
                              big};
  for (const std::string& row : rows) {
    begin(
        [row](Wire& wire) {
          wire.receive_untyped();
          wire.send(row);
          wire.receive(1);
        },
        [](settings::Snapshot& snapshot, settings::Database&) {
          snapshot.global.client_login_timeout = 400 * kMillisecond;
        });
    EXPECT_EQ("08P01 client_login_timeout (server down)", refusal()) << hex(row);
    EXPECT_EQ(0u, client ? hub->ready.size() : 0);
  }
}

TEST_F(ServerLoginTest, HostileScram) {
  const std::string nonce(64 * 1024, 'n');
  const std::string rows[] = {"r=" + nonce + ",s=c2FsdA==,i=4096", "r=x,s=c2FsdA==,i=2147483648", "garbage", ""};
  for (const std::string& row : rows) {
    begin(
        [row](Wire& wire) {
          wire.receive_untyped();
          std::string out;
          wire::append_authentication_sasl(out, {"SCRAM-SHA-256"});
          wire.send(out);
          wire.receive_message();
          out.clear();
          wire::append_authentication_sasl_continue(out, row);
          wire.send(out);
          wire.receive(1);
        },
        [](settings::Snapshot& snapshot, settings::Database&) {
          snapshot.global.client_login_timeout = 400 * kMillisecond;
        });
    EXPECT_EQ("08P01", refusal().substr(0, 5));
  }
}

TEST_F(ServerLoginTest, TheNextHostIsTriedWithinTheSameLogin) {
  begin(
      [](Wire& wire) {
        wire.receive_untyped();
        wire.send(let_in());
        wire.receive(1);
      },
      [](settings::Snapshot&, settings::Database& database) {
        database.hosts = {"127.0.0.9", "/nowhere", "127.0.0.1"};
      });
  ASSERT_TRUE(logged_in());
  EXPECT_EQ(1, hub->launches);
  EXPECT_EQ(2u, only().host);
  EXPECT_TRUE(hub->logged("closing because: connect failed (host 127.0.0.9, trying the next one)"));
}

TEST_F(ServerLoginTest, ConnectQueryRunsBeforeUse) {
  std::string seen;
  begin(
      [&](Wire& wire) {
        wire.receive_untyped();
        wire.send(let_in());
        seen = wire.receive_message().second;
        std::string out;
        wire::append_parameter_status(out, "TimeZone", "Asia/Tokyo");
        wire::append_error(out, "ERROR", "42601", "syntax error");
        wire::append_ready_for_query(out, 'I');
        wire.send(out);
        wire.receive(1);
      },
      [](settings::Snapshot&, settings::Database& database) { database.connect_query = "SET x; y"; });
  ASSERT_TRUE(logged_in());
  EXPECT_EQ(std::string("SET x; y\0", 9), seen);
  EXPECT_TRUE(hub->logged("connect_query failed: syntax error"));
  EXPECT_EQ("Asia/Tokyo", *client->parameters.value("TimeZone"));
}

TEST_F(ServerLoginTest, EntryParametersGoIntoTheStartupPacket) {
  std::string seen;
  begin(
      [&](Wire& wire) {
        seen = wire.receive_untyped();
        wire.send(let_in());
        wire.receive(1);
      },
      [](settings::Snapshot&, settings::Database& database) {
        database.dbname = "real";
        database.timezone = "UTC";
        database.application_name = "pool";
        database.client_encoding = "LATIN1";
        database.user = "other";
      });
  ASSERT_TRUE(logged_in());
  std::string expected;
  wire::append_startup(expected, 196608,
                       {{"database", "real"},
                        {"client_encoding", "LATIN1"},
                        {"timezone", "UTC"},
                        {"application_name", "pool"},
                        {"user", "other"}});
  EXPECT_EQ(expected, seen);
}

TEST_F(ServerLoginTest, ASilentServerCostsServerConnectTimeout) {
  begin([](Wire& wire) { wire.receive(100000); },
        [](settings::Snapshot& snapshot, settings::Database&) {
          snapshot.global.server_connect_timeout = 200 * kMillisecond;
          snapshot.global.client_login_timeout = 700 * kMillisecond;
        });
  EXPECT_EQ("08P01 client_login_timeout (server down)", refusal());
  EXPECT_TRUE(hub->logged("closing because: connect timeout"));
}

}  // namespace
}  // namespace pgweir::login
