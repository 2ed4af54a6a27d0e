// Signals through a real signalfd on a real loop, into a Director that only notes what it is told.
#include "service/signals.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>

#include "log_capture.hpp"

namespace pgweir::service {
namespace {

using testing::_;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::StrictMock;
using workers::ShutdownKind;

class MockDirector : public workers::Director {
 public:
  MockDirector() : loop_(net::Loop::create().take()) {
    ON_CALL(*this, shutdown).WillByDefault([this](ShutdownKind, const std::string&) { stopping_ = true; });
    ON_CALL(*this, reload).WillByDefault([] { return Result<void>(); });
  }
  net::Loop& loop() override { return *loop_; }
  Result<void> listen(const std::vector<workers::PassedSocket>&) override { return {}; }
  int run() override { return 0; }
  bool left_threads() const override { return false; }
  MOCK_METHOD(Result<void>, reload, (), (override));
  MOCK_METHOD(void, pause_all, (), (override));
  MOCK_METHOD(void, resume_all, (), (override));
  MOCK_METHOD(void, shutdown, (ShutdownKind kind, const std::string& why), (override));
  MOCK_METHOD(void, fail, (const std::string& why), (override));
  bool stopping() const override { return stopping_; }
  bool hang_worker(unsigned) override { return false; }
  pool::Mode mode() const override { return mode_; }

  pool::Mode mode_ = pool::Mode::kRunning;

 private:
  std::unique_ptr<net::Loop> loop_;
  bool stopping_ = false;
};

class SignalsTest : public testing::Test, private net::Turn {
 protected:
  SignalsTest() {
    block_signals();
    records_ = Capture::attach(log_);
    auto made = Signals::create(director_, log_);
    EXPECT_TRUE(made);
    signals_ = made.take();
  }
  ~SignalsTest() override {
    // What is still pending must not end the test program later.
    sigset_t pending;
    while (sigpending(&pending) == 0 && (sigismember(&pending, SIGTERM) || sigismember(&pending, SIGINT))) {
      int number = 0;
      sigwait(&pending, &number);
    }
  }

  void deliver(int number) {
    ASSERT_EQ(kill(getpid(), number), 0);
    for (int turn = 0; turn < 3; ++turn)
      director_.loop().run_once(*this, false);
  }

  void after_batch() override {}
  void on_tick(Micros) override {}

  StrictMock<MockDirector> director_;
  Logger log_;
  std::shared_ptr<Capture::Records> records_;
  std::unique_ptr<Signals> signals_;
};

TEST_F(SignalsTest, HangupReloads) {
  EXPECT_CALL(director_, reload);
  deliver(SIGHUP);
  EXPECT_THAT(*records_, ElementsAre(Pair(Level::kLog, "got SIGHUP, re-reading config")));
}

TEST_F(SignalsTest, AReloadThatFailsEndsNothing) {
  EXPECT_CALL(director_, reload).Times(2).WillRepeatedly([] { return Result<void>(Error{"bad file"}); });
  deliver(SIGHUP);
  deliver(SIGHUP);
}

TEST_F(SignalsTest, TermWaitsForClientsAndTheSecondDoesNot) {
  testing::InSequence order;
  EXPECT_CALL(director_, shutdown(ShutdownKind::kWaitForClients,
                                  "got SIGTERM, shutting down, waiting for all clients disconnect"));
  EXPECT_CALL(director_, shutdown(ShutdownKind::kImmediate, _));
  deliver(SIGTERM);
  deliver(SIGTERM);
}

TEST_F(SignalsTest, IntWaitsForServersAndTheSecondDoesNot) {
  testing::InSequence order;
  EXPECT_CALL(director_, shutdown(ShutdownKind::kWaitForServers,
                                  "got SIGINT, shutting down, waiting for all servers connections to be released"));
  EXPECT_CALL(director_, shutdown(ShutdownKind::kImmediate, _));
  deliver(SIGINT);
  deliver(SIGINT);
}

TEST_F(SignalsTest, TheSecondSignalMayBeTheOther) {
  testing::InSequence order;
  EXPECT_CALL(director_, shutdown(ShutdownKind::kWaitForClients, _));
  EXPECT_CALL(director_, shutdown(ShutdownKind::kImmediate, _));
  deliver(SIGTERM);
  deliver(SIGINT);
}

TEST_F(SignalsTest, QuitIsImmediate) {
  EXPECT_CALL(director_, shutdown(ShutdownKind::kImmediate, "got SIGQUIT, fast exit"));
  deliver(SIGQUIT);
}

TEST_F(SignalsTest, TheServiceManagersStopDrainsAndTheSecondDoesNotWait) {
  testing::InSequence order;
  EXPECT_CALL(director_, shutdown(ShutdownKind::kDrain,
                                  "got SIGRTMIN, shutting down, waiting for the transactions that are open"));
  EXPECT_CALL(director_, shutdown(ShutdownKind::kImmediate, "got SIGRTMIN while draining, fast exit"));
  deliver(SIGRTMIN);
  deliver(SIGRTMIN);
}

TEST_F(SignalsTest, ADrainHurriesOnAShutdownThatWaits) {
  testing::InSequence order;
  EXPECT_CALL(director_, shutdown(ShutdownKind::kWaitForClients, _));
  EXPECT_CALL(director_, shutdown(ShutdownKind::kDrain, _));
  EXPECT_CALL(director_, shutdown(ShutdownKind::kImmediate, _));
  deliver(SIGTERM);
  deliver(SIGRTMIN);
  deliver(SIGTERM);
}

TEST_F(SignalsTest, ADrainLiftsASuspension) {
  director_.mode_ = pool::Mode::kSuspended;
  EXPECT_CALL(director_, shutdown(ShutdownKind::kDrain, _));
  deliver(SIGRTMIN);
}

TEST_F(SignalsTest, UserSignalsPauseAndResume) {
  testing::InSequence order;
  EXPECT_CALL(director_, pause_all).WillOnce([this] { director_.mode_ = pool::Mode::kPaused; });
  EXPECT_CALL(director_, resume_all);
  deliver(SIGUSR1);
  deliver(SIGUSR1);
  deliver(SIGUSR2);
  EXPECT_THAT(*records_, ElementsAre(Pair(Level::kLog, "got SIGUSR1, pausing all activity"),
                                     Pair(Level::kLog, "got SIGUSR1, but already paused/suspended"),
                                     Pair(Level::kLog, "got SIGUSR2, continuing from PAUSE")));
}

TEST_F(SignalsTest, ResumeEndsASuspensionAndOtherwiseIsOnlyTold) {
  EXPECT_CALL(director_, resume_all);
  deliver(SIGUSR2);
  director_.mode_ = pool::Mode::kSuspended;
  deliver(SIGUSR1);
  deliver(SIGUSR2);
  EXPECT_THAT(*records_, ElementsAre(Pair(Level::kLog, "got SIGUSR2, but not paused/suspended"),
                                     Pair(Level::kLog, "got SIGUSR1, but already paused/suspended"),
                                     Pair(Level::kLog, "got SIGUSR2, continuing from SUSPEND")));
}

TEST_F(SignalsTest, NeitherPauseNorResumeWhileShuttingDown) {
  EXPECT_CALL(director_, shutdown(ShutdownKind::kWaitForServers, _));
  deliver(SIGINT);
  deliver(SIGUSR2);
  deliver(SIGUSR1);
  EXPECT_THAT(*records_, ElementsAre(Pair(Level::kLog, "got SIGUSR2 while shutting down, ignoring"),
                                     Pair(Level::kLog, "got SIGUSR1 while shutting down, ignoring")));
}

TEST_F(SignalsTest, TermAndIntFailInTheMiddleOfASuspend) {
  director_.mode_ = pool::Mode::kSuspended;
  EXPECT_CALL(director_, fail("suspend was in progress, going down immediately")).Times(2);
  EXPECT_CALL(director_, shutdown(ShutdownKind::kImmediate, "got SIGQUIT, fast exit"));
  deliver(SIGTERM);
  deliver(SIGINT);
  deliver(SIGQUIT);
  EXPECT_THAT(
      *records_,
      ElementsAre(Pair(Level::kLog, "got SIGTERM, shutting down, waiting for all clients disconnect"),
                  Pair(Level::kLog, "got SIGINT, shutting down, waiting for all servers connections to be released")));
}

TEST_F(SignalsTest, TermWhilePausedIsAShutdown) {
  director_.mode_ = pool::Mode::kPaused;
  EXPECT_CALL(director_, shutdown(ShutdownKind::kWaitForClients, _));
  deliver(SIGTERM);
}

TEST_F(SignalsTest, BrokenPipesAreNothing) {
  deliver(SIGPIPE);
  EXPECT_THAT(*records_, IsEmpty());
}

}  // namespace
}  // namespace pgweir::service
