// The console's driver on a real socket: welcome, commands, waiting, ends.
#include "support.hpp"
#include "wire/builder.hpp"
#include "wire/error_fields.hpp"

namespace pgweir::admin {

namespace {

struct Message {
  char type;
  std::string body;
};

class ConsoleTest : public testing::Test {
 protected:
  ~ConsoleTest() override {
    EXPECT_FALSE(hub->failed);
    leave();
  }
  session::Client& connect(char rights = 'a') {
    int ends[2];
    EXPECT_EQ(0, ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends));
    fd = ends[1];
    return hub->add_console(ends[0], rights);
  }
  void open(char rights = 'a') {
    hub->start_console(connect(rights));
    until('Z');
  }
  void leave() {
    if (fd >= 0) ::close(std::exchange(fd, -1));
  }
  void send(const std::string& bytes) {
    EXPECT_EQ(static_cast<ssize_t>(bytes.size()), ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL));
  }
  void query(const std::string& text) {
    std::string out;
    wire::append_query(out, text);
    send(out);
  }
  // What has come up to a message of that type, as type bytes.
  std::string until(char last) {
    messages.clear();
    std::string kinds;
    bool done = hub->run_until([&] {
      pump();
      while (take_message()) {
        kinds += messages.back().type;
        if (kinds.back() == last) return true;
      }
      return false;
    });
    EXPECT_TRUE(done) << kinds;
    return kinds;
  }
  bool closed() {
    return hub->run_until([this] {
      pump();
      while (take_message()) {
      }
      return at_end;
    });
  }
  std::string error() const {
    for (const Message& message : messages) {
      if (message.type == 'E') return std::string(wire::parse_error_fields(message.body).message);
    }
    return "";
  }

  std::unique_ptr<ConsoleHub> hub =
      std::make_unique<ConsoleHub>(snapshot_of("db = host=127.0.0.1", "log_pooler_errors = 1"));
  std::vector<Message> messages;
  int fd = -1;
  bool at_end = false;

 private:
  void pump() {
    char bytes[65536];
    for (;;) {
      ssize_t got = ::recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
      if (got == 0 || (got < 0 && errno == ECONNRESET)) at_end = true;
      if (got <= 0) return;
      buffer_.append(bytes, static_cast<size_t>(got));
    }
  }
  bool take_message() {
    if (buffer_.size() < 5) return false;
    size_t length = load_be32(buffer_.data() + 1);
    if (buffer_.size() < 1 + length) return false;
    messages.push_back({buffer_[0], buffer_.substr(5, length - 4)});
    buffer_.erase(0, 1 + length);
    return true;
  }
  std::string buffer_;
};

}  // namespace

TEST_F(ConsoleTest, Welcome) {
  auto names = std::make_shared<const track::TrackedNames>(std::vector<std::string>{});
  session::Client& client = connect();
  client.parameters.init(names);
  client.parameters.set("application_name", "psql");
  client.protocol_minor = 2;
  hub->start_console(client);
  EXPECT_EQ("RSSSSSSSSKZ", until('Z'));
  EXPECT_EQ(std::string("server_version\0"
                        "1.25.2/bouncer\0",
                        30),
            messages[1].body);
  EXPECT_EQ(std::string("application_name\0psql\0", 22), messages[8].body);
  EXPECT_EQ(36u, messages[9].body.size());
}

TEST_F(ConsoleTest, BytesGluedToTheLogin) {
  session::Client& client = connect();
  client.held = std::make_unique<std::string>();
  wire::append_query(*client.held, "SHOW VERSION");
  hub->start_console(client);
  until('Z');
  EXPECT_EQ("TDCZ", until('Z'));
  EXPECT_FALSE(client.held);
}

TEST_F(ConsoleTest, Commands) {
  open();
  query("SHOW STATE");
  EXPECT_EQ("TDDDCZ", until('Z'));
  query("SHOW HELP");
  EXPECT_EQ("NCZ", until('Z'));
  query("NONSENSE\nFORGED");
  EXPECT_EQ("EZ", until('Z'));
  EXPECT_TRUE(hub->logged("ERROR C-"));
  EXPECT_TRUE(hub->logged("pooler error: invalid command 'NONSENSE FORGED', use SHOW HELP;"));
  query("RELOAD");
  EXPECT_EQ("CZ", until('Z'));
  EXPECT_EQ("reload", hub->operations.asked.at(0));
}

TEST_F(ConsoleTest, StatsUserStaysOutside) {
  open('s');
  query("RELOAD");
  EXPECT_EQ("EZ", until('Z'));
  EXPECT_EQ("admin access needed", error());
  EXPECT_EQ(0, hub->submitted);
}

TEST_F(ConsoleTest, WaitsForSlowCommands) {
  hub->operations.at_once = false;
  open();
  query("PAUSE");
  query("SHOW VERSION");
  ASSERT_TRUE(hub->run_until([this] { return !hub->operations.waiting.empty(); }));
  hub->operations.waiting.back()({});
  EXPECT_EQ("CZ", until('Z'));
  EXPECT_EQ("TDCZ", until('Z'));
}

TEST_F(ConsoleTest, WhoLeavesWhileWaitingIsLetGo) {
  hub->operations.at_once = false;
  open();
  query("PAUSE");
  ASSERT_TRUE(hub->run_until([this] { return !hub->operations.waiting.empty(); }));
  leave();
  EXPECT_TRUE(hub->run_until([this] { return hub->clients.size() == 0; }));
  hub->operations.waiting.back()({});  // nobody waits any more
}

TEST_F(ConsoleTest, KilledWhileItWaits) {
  hub->operations.at_once = false;
  open();
  query("KILL_CLIENT 1");
  ASSERT_TRUE(hub->run_until([this] { return !hub->operations.waiting.empty(); }));
  close_client(*hub, hub->clients[0], session::Reason::kAdminDisconnect);
  hub->operations.waiting.back()({});
  EXPECT_TRUE(closed());
  EXPECT_EQ("admin forced disconnect", error());
}

TEST_F(ConsoleTest, KilledWhileItListens) {
  open();
  close_client(*hub, hub->clients[0], session::Reason::kAdminDisconnect);
  EXPECT_TRUE(closed());
  EXPECT_EQ("admin forced disconnect", error());
}

TEST_F(ConsoleTest, Terminate) {
  open();
  send(std::string("X\0\0\0\4", 5));
  EXPECT_TRUE(closed());
  EXPECT_TRUE(hub->run_until([this] { return hub->clients.size() == 0; }));
}

TEST_F(ConsoleTest, EndOfFile) {
  open();
  leave();
  EXPECT_TRUE(hub->run_until([this] { return hub->clients.size() == 0; }));
}

TEST_F(ConsoleTest, AnswersAreSentBeforeAHalfClosedClientGoes) {
  open();
  query("SHOW STATE");
  ::shutdown(fd, SHUT_WR);
  EXPECT_EQ("TDDDCZ", until('Z'));
  EXPECT_TRUE(closed());
}

TEST_F(ConsoleTest, HostileMessages) {
  for (const std::string& bytes :
       {std::string("?\0\0\0\4", 5), std::string("Q\0\0\0\0", 5), std::string("Q\xff\xff\xff\xff", 5),
        std::string("F\0\0\0\4", 5), std::string("p\0\0\0\5x", 6)}) {
    leave();
    at_end = false;
    open();
    send(bytes);
    EXPECT_TRUE(closed());
    ASSERT_FALSE(messages.empty());
    EXPECT_EQ('E', messages.back().type);
    EXPECT_EQ("FATAL", wire::parse_error_fields(messages.back().body).severity);
  }
}

TEST_F(ConsoleTest, ImmediateShutdownJustCloses) {
  open();
  messages.clear();
  query("SHUTDOWN");
  EXPECT_TRUE(closed());
  EXPECT_TRUE(messages.empty());
}

// A client that asks and does not read: what it is owed stays bounded, other clients are served.
TEST_F(ConsoleTest, DoesNotReadItsAnswers) {
  open();
  std::string flood;
  for (int at = 0; at < 2000; ++at)
    wire::append_query(flood, "SHOW CONFIG");
  send(flood.substr(0, 20000));
  for (int turn = 0; turn < 50; ++turn)
    hub->run_until([turn = 0]() mutable { return turn++ > 0; });
  EXPECT_LT(hub->submitted, 200);
  EXPECT_LT(hub->clients[0].stream.unsent(), 100'000u);
  for (int at = 0; at < 1000; ++at)
    until('Z');
}

}  // namespace pgweir::admin
