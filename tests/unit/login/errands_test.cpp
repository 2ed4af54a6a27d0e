// Reset, check, and the clean-up after a client that vanished, with a scripted server.
#include <sys/ioctl.h>

#include <atomic>
#include <deque>

#include "login/cancel.hpp"
#include "support.hpp"

namespace pgweir::login {
namespace {

using track::Action;
using track::Kind;

net::Task<void> deliver(session::Hub& hub, CancelTarget target, Micros deadline) {
  CancelSent sent = CancelSent::kNo;
  sent = co_await send_cancel(hub, target, deadline);
  (void)sent;
}

class Errands : public testing::Test {
 protected:
  void TearDown() override {
    if (HasFailure() && hub) hub->show_lines();
  }
  // A server that has logged in and then lives through `script`; cancel requests are counted.
  void begin(ScriptedServer::Script script, std::function<void(settings::Snapshot&)> change = {}) {
    go = false;
    scripted = std::make_unique<ScriptedServer>([this, script](Wire& wire) {
      const std::string first = wire.receive_untyped();
      if (first.size() == 16) {
        EXPECT_TRUE(test::wait_until([this] { return !hold_cancels; }));
        ++cancels;
        return;
      }
      wire.send(let_in());
      EXPECT_TRUE(test::wait_until([this] { return go.load(); }));
      script(wire);
    });
    auto snapshot = configuration(scripted->port(), settings::AuthType::kTrust);
    if (change) change(*snapshot);
    hub = std::make_unique<LoginHub>(snapshot);
    shared = hub->books.pool(hub->books.database("db"), "plain");
    pool = &hub->pool_of(shared);
    pool::Limit refused{};
    hub->launch(*pool, pool::Slot::acquire(shared, nullptr, 0, &refused));
    ASSERT_TRUE(hub->run_until([&] { return only().state() == pool::ServerState::kIdle && !only().flow; }));
    go = true;  // who speaks earlier would be thrown out
  }
  session::Server& only() { return hub->servers[0]; }
  // The state that `part` leaves: no client, in the tested list.
  void vanish() {
    ASSERT_TRUE(pool->move(only(), pool::ServerState::kActive));
    ASSERT_TRUE(pool->move(only(), pool::ServerState::kTested));
    hub->start_clean_up(only());
  }
  bool idle_again() {
    return hub->run_until([&] { return hub->servers.size() == 0 || !only().flow; }) && hub->servers.size() == 1 &&
           only().state() == pool::ServerState::kIdle;
  }
  static std::string answer(char status, const std::string& tag) {
    std::string out;
    wire::append_command_complete(out, tag);
    wire::append_ready_for_query(out, status);
    return out;
  }

  ~Errands() override {
    hold_cancels = false;
    go = true;
  }

  std::atomic<int> cancels{0};
  std::atomic<bool> go{false};
  std::atomic<bool> hold_cancels{false};
  std::unique_ptr<ScriptedServer> scripted;
  std::unique_ptr<LoginHub> hub;
  std::shared_ptr<pool::SharedPool> shared;
  session::LocalPool* pool = nullptr;
};

TEST_F(Errands, IdleInTransactionIsRolledBackWithoutACancel) {
  std::string seen;
  begin([&](Wire& wire) {
    seen = wire.receive_message().second;
    wire.send(answer('I', "ROLLBACK"));
    wire.receive(1);
  });
  only().transaction = 'T';
  vanish();
  EXPECT_TRUE(idle_again());
  EXPECT_EQ(std::string("ROLLBACK\0", 9), seen);
  EXPECT_EQ(0, cancels.load());
}

TEST_F(Errands, ARunningQueryIsCancelled) {
  begin([&](Wire& wire) {
    EXPECT_TRUE(test::wait_until([this] { return cancels > 0; }));
    std::string out;
    wire::append_error(out, "ERROR", "57014", "canceling statement due to user request");
    wire::append_ready_for_query(out, 'E');
    wire.send(out);
    wire.receive_message();
    wire.send(answer('I', "ROLLBACK"));
    wire.receive(1);
  });
  only().replies.expect(Kind::kQuery, Action::kForward);
  only().transaction = 'T';
  vanish();
  EXPECT_TRUE(idle_again());
  EXPECT_EQ(1, cancels.load());
  EXPECT_EQ(0u, only().cancels);
}

TEST_F(Errands, TheRestOfALongMessageAndAnOpenBatch) {
  begin([&](Wire& wire) {
    std::string out(1000, 'x');  // the rest of a DataRow
    wire::append_command_complete(out, "SELECT 1");
    wire.send(out);
    for (char type : {'P', 'B', 'E', 'S'})  // a ROLLBACK: the Sync alone would commit
      EXPECT_EQ(type, wire.receive_message().first);
    out.clear();
    for (char type : {'1', '2'})
      wire::append_empty(out, type);
    wire::append_command_complete(out, "ROLLBACK");
    wire::append_ready_for_query(out, 'I');
    wire.send(out);
    wire.receive(1);
  });
  only().replies.expect(Kind::kExecute, Action::kForward);
  only().body_left = 1000;
  vanish();
  EXPECT_TRUE(idle_again());
}

// `extended`: begun by Execute with its Sync behind it, as libpq does.
void play_copy(Wire& wire, bool extended) {
  std::string out;
  wire::MessageBuilder(out, 'G').u8(0).u16(0).finish();
  wire.send(out);
  EXPECT_EQ('f', wire.receive_message().first);
  if (extended) {
    EXPECT_EQ('S', wire.receive_message().first);
  }
  out.clear();
  wire::append_error(out, "ERROR", "57014", "COPY from stdin failed");
  wire::append_ready_for_query(out, 'I');
  wire.send(out);
  wire.receive(1);
}

TEST_F(Errands, ACopyInIsFailed) {
  begin([](Wire& wire) { play_copy(wire, false); });
  only().replies.expect(Kind::kQuery, Action::kForward);
  vanish();
  EXPECT_TRUE(idle_again());
}

TEST_F(Errands, ACopyInWithASyncInsideIsFailedButNotTrusted) {
  begin([](Wire& wire) { play_copy(wire, true); });
  only().replies.expect(Kind::kExecute, Action::kForward);
  only().replies.expect(Kind::kSync, Action::kForward);
  vanish();
  EXPECT_FALSE(idle_again());  // whether the first Sync will be answered cannot be known
  EXPECT_TRUE(hub->logged("client disconnect while server was not ready"));
}

TEST_F(Errands, BeyondTheBudgetTheServerIsClosed) {
  begin(
      [&](Wire& wire) {
        std::string row;
        wire::append_data_row(row, {std::string(50000, 'x')});
        for (int index = 0; index < 100; ++index)
          wire.send(row);
        wire.receive(1);
      },
      [](settings::Snapshot& snapshot) { snapshot.global.client_cleanup_bytes = 100000; });
  only().replies.expect(Kind::kQuery, Action::kForward);
  vanish();
  EXPECT_FALSE(idle_again());
  EXPECT_TRUE(hub->logged("client disconnect while server was not ready"));
}

TEST_F(Errands, BeyondTheTimeTheServerIsClosed) {
  begin([&](Wire& wire) { wire.receive(100); },
        [](settings::Snapshot& snapshot) { snapshot.global.client_cleanup_timeout = 300 * kMillisecond; });
  only().replies.expect(Kind::kQuery, Action::kForward);
  vanish();
  EXPECT_FALSE(idle_again());
  EXPECT_TRUE(hub->logged("client disconnect while server was not ready"));
}

// Bytes that come faster than they are read leave neither the clock nor anybody else a turn, unless they are given one.
TEST_F(Errands, MuchThatIsThereIsReadInSeveralTurns) {
  constexpr int kMuch = 128 * 1024;
  begin(
      [](Wire& wire) {
        std::string row;
        wire::append_data_row(row, {std::string(1000, 'x')});
        while (wire.sent(row)) {
        }
      },
      [](settings::Snapshot& snapshot) {
        snapshot.global.client_cleanup_timeout = 300 * kMillisecond;
        snapshot.global.client_cleanup_bytes = 0;  // no bound but the time
      });
  const int room = 1 << 20;
  ASSERT_EQ(0, setsockopt(only().stream.fd(), SOL_SOCKET, SO_RCVBUF, &room, sizeof room));
  const int fd = only().stream.fd();
  int waiting = 0;
  EXPECT_TRUE(test::wait_until([&] { return ioctl(fd, FIONREAD, &waiting) == 0 && waiting >= kMuch; }));
  only().cancels = 1;  // one is on its way already, so that reading is the first thing to be done
  only().replies.expect(Kind::kQuery, Action::kForward);
  vanish();
  EXPECT_EQ(0, ioctl(fd, FIONREAD, &waiting));
  EXPECT_GE(waiting, kMuch / 4) << "read without giving anybody a turn";
  EXPECT_FALSE(idle_again());
  EXPECT_TRUE(hub->logged("client disconnect while server was not ready"));
}

TEST_F(Errands, AServerThatAnswersACancelWithoutEndIsNotListenedTo) {
  ScriptedServer talker([](Wire& wire) {
    const std::string noise(100'000, 'x');
    wire.receive_untyped();
    while (wire.sent(noise)) {
    }
  });
  begin([](Wire& wire) { wire.receive(1); });
  CancelTarget target = cancel_target(*hub, only());
  target.address = *net::Address::parse_ip("127.0.0.1", static_cast<uint16_t>(talker.port()));
  net::Spawned flow;
  const Micros began = monotonic_now();
  flow.start(hub->loop, deliver(*hub, target, hub->now() + 4 * kSecond));
  EXPECT_TRUE(hub->run_until([&] { return !flow.active(); }));
  EXPECT_LT(monotonic_now() - began, 3 * kSecond) << "it waited for the deadline";
}

TEST_F(Errands, AnAnswerThatNothingOwedClosesTheServer) {
  begin([&](Wire& wire) {
    wire.send(answer('I', "SELECT 1") + answer('I', "SELECT 2"));
    wire.receive(100);
  });
  only().replies.expect(Kind::kSync, Action::kForward);
  vanish();
  EXPECT_FALSE(idle_again());
  EXPECT_TRUE(hub->logged("server answered what nobody had asked"));
  EXPECT_TRUE(
      hub->logged("server sent 'C' to a clean-up, which nothing it was asked explains (owed first: Sync; 1 in all)"));
  EXPECT_EQ(1u, hub->tally.mismatches);
}

// A server that is shut down says so at any time; that is no answer to anything, and no mismatch.
TEST_F(Errands, LastWordsAreNoMismatch) {
  begin([&](Wire& wire) {
    wire.receive_message();
    std::string out = answer('I', "ROLLBACK");
    wire::append_error(out, "FATAL", "57P01", "terminating connection due to administrator command");
    wire.send(out);
  });
  only().transaction = 'T';
  vanish();
  EXPECT_TRUE(hub->run_until([&] { return hub->servers.size() == 0; }));
  EXPECT_EQ(0U, hub->tally.mismatches);
}

// In the extended protocol everything behind an error is skipped until a Sync, which the client never sent: the FATAL
// that ends such a wait (idle_in_transaction_session_timeout, a shutdown) is the second error in a row.
TEST_F(Errands, LastWordsBehindAnErrorWithoutASyncAreNoMismatch) {
  begin([&](Wire& wire) {
    EXPECT_TRUE(test::wait_until([this] { return cancels > 0; }));
    std::string out;
    wire::append_error(out, "ERROR", "22012", "division by zero");
    wire::append_error(out, "FATAL", "25P03", "terminating connection due to idle-in-transaction timeout");
    wire.send(out);
  });
  only().replies.expect(Kind::kParse, Action::kForward);
  only().replies.expect(Kind::kBind, Action::kForward);
  only().replies.expect(Kind::kExecute, Action::kForward);
  only().transaction = 'T';
  vanish();
  EXPECT_TRUE(hub->run_until([&] { return hub->servers.size() == 0; }));
  EXPECT_EQ(0U, hub->tally.mismatches);
}

// The SETs of a client that vanished are hit by the cancel request: nobody knows what is in force there.
TEST_F(Errands, SetsThatWereCancelledAreNotTakenForApplied) {
  for (bool hit : {true, false}) {
    cancels = 0;
    begin([this, hit](Wire& wire) {
      EXPECT_TRUE(test::wait_until([this] { return cancels > 0; }));
      std::string out;
      if (hit) {
        wire::append_error(out, "ERROR", "57014", "canceling statement due to user request");
        wire::append_ready_for_query(out, 'I');
      }
      wire.send(hit ? out : answer('I', "SET"));
      wire.receive(1);
    });
    only().replies.expect(Kind::kQuery, Action::kHide);
    only().hidden_set = true;
    vanish();
    EXPECT_EQ(!hit, idle_again());
    EXPECT_TRUE(hit || !only().hidden_set);
  }
}

TEST_F(Errands, ResetClearsWhatTheSessionHeld) {
  begin(
      [&](Wire& wire) {
        EXPECT_EQ(std::string("DISCARD ALL\0", 12), wire.receive_message().second);
        std::string out;
        wire::append_parameter_status(out, "TimeZone", "Europe/Berlin");
        wire.send(out + answer('I', "DISCARD ALL"));
        wire.receive(1);
      },
      [](settings::Snapshot& snapshot) {
        snapshot.global.server_reset_query = "DISCARD ALL";
        snapshot.global.server_reset_query_always = true;
      });
  only().parameters.set_extra("work_mem", "1MB");
  only().statements.sent(hub->statements.find_or_make(ByteView("SELECT 1\0\0\0", 11)), 1);
  only().unnamed = 5;
  ASSERT_TRUE(pool->move(only(), pool::ServerState::kActive));
  ASSERT_TRUE(pool->move(only(), pool::ServerState::kTested));
  hub->start_reset(only());
  EXPECT_TRUE(idle_again());
  EXPECT_EQ("Europe/Berlin", *only().parameters.value("TimeZone"));
  EXPECT_EQ(nullptr, only().parameters.extras());
  EXPECT_EQ(0u, only().statements.size());
  EXPECT_EQ(0u, only().unnamed);
}

TEST_F(Errands, AResetThatFailsIsFineALostServerIsNot) {
  for (bool lost : {false, true}) {
    begin([lost](Wire& wire) {
      wire.receive_message();
      std::string out;
      wire::append_error(out, "ERROR", "42601", "syntax error");
      wire::append_ready_for_query(out, 'I');
      if (!lost) {
        wire.send(out);
        wire.receive(1);
      }
    });
    ASSERT_TRUE(pool->move(only(), pool::ServerState::kActive));
    ASSERT_TRUE(pool->move(only(), pool::ServerState::kTested));
    hub->start_check(only());
    EXPECT_EQ(!lost, idle_again());
  }
}

TEST_F(Errands, ACancelHoldsItsServerUntilItHasBeenDelivered) {
  begin([&](Wire& wire) { wire.receive(1); });
  hold_cancels = true;
  net::Spawned flow;
  flow.start(hub->loop, forward_cancel(*hub, only()));
  EXPECT_EQ(1u, only().cancels);
  ASSERT_TRUE(pool->move(only(), pool::ServerState::kActive));
  session::returned(*hub, only(), true);
  EXPECT_EQ(pool::ServerState::kBeingCanceled, only().state());
  hold_cancels = false;
  EXPECT_TRUE(hub->run_until([&] { return only().state() == pool::ServerState::kIdle; }));
  EXPECT_EQ(0u, only().cancels);
  EXPECT_EQ(1, cancels.load());
}

TEST_F(Errands, ACancelOutlivesItsServer) {
  begin([&](Wire& wire) { wire.receive(1); });
  net::Spawned flow;
  flow.start(hub->loop, forward_cancel(*hub, only()));
  session::bury(*hub, only());
  EXPECT_TRUE(hub->run_until([&] { return !flow.active(); }));
  EXPECT_EQ(1, cancels.load());
}

}  // namespace
}  // namespace pgweir::login
