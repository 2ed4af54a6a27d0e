#include "net/task.hpp"

#include <stdexcept>

#include "net/dial.hpp"
#include "net/wait.hpp"
#include "unit/net/support.hpp"

namespace pgweir::net {
namespace {

// Counts its living copies: shows that frames, their locals and their temporaries die once.
struct Token {
  explicit Token(int& alive) : alive_(&alive) { ++*alive_; }
  Token(const Token& other) : alive_(other.alive_) { ++*alive_; }
  Token(Token&& other) noexcept : alive_(other.alive_) { ++*alive_; }
  Token& operator=(const Token&) = default;
  ~Token() { --*alive_; }
  int* alive_;
};

Task<int> plus_one(int value, Token token) {
  int result = value + 1;
  (void)token;
  co_return result;
}

Task<> add_many(int& alive, int rounds, int64_t& sum) {
  Token token(alive);
  for (int i = 0; i < rounds; ++i) {
    int got = co_await plus_one(i, token);
    sum += got;
  }
}

TEST(Task, RunsAtOnceAndTellsFromTheLoop) {
  auto loop = make_loop();
  int alive = 0, done = 0;
  int64_t sum = 0;
  Spawned root;
  // Deep enough to overflow the stack if resumption nested.
  root.start(*loop, add_many(alive, 300'000, sum), [&] { ++done; });
  EXPECT_EQ(0, done);
  EXPECT_TRUE(root.active());
  EXPECT_TRUE(run_until(*loop, [&] { return done == 1; }));
  EXPECT_FALSE(root.active());
  EXPECT_FALSE(root.failed());
  EXPECT_EQ(0, alive);
  EXPECT_EQ(300'000LL * 300'001 / 2, sum);
}

Task<int> depth(int left) {
  int below = 0;
  if (left > 0) {
    int got = co_await depth(left - 1);
    below = got;
  }
  co_return below + 1;
}

Task<> go_deep(int levels, int& result) {
  int got = 0;
  got = co_await depth(levels);
  result = got;
}

TEST(Task, ReturnsThroughManyFramesFlat) {
  auto loop = make_loop();
  int result = 0;
  Spawned root;
  root.start(*loop, go_deep(20'000, result));
  EXPECT_EQ(20'001, result);
}

Task<int> thrower(Loop& loop, int& alive) {
  Token token(alive);
  co_await sleep_until(loop, loop.now() + kMillisecond);
  throw std::runtime_error("broken");
}

Task<> careless(Loop& loop, int& alive) {
  Token token(alive);
  int got = co_await thrower(loop, alive);
  (void)got;
}

Task<> careful(Loop& loop, int& alive, std::string& what) {
  Token token(alive);
  try {
    int got = co_await thrower(loop, alive);
    (void)got;
  } catch (const std::exception& problem) {
    what = problem.what();
  }
}

TEST(Task, ExceptionsEndTheRootAsFailed) {
  auto loop = make_loop();
  int alive = 0;
  bool done = false;
  Spawned root;
  root.start(*loop, careless(*loop, alive), [&] { done = true; });
  EXPECT_TRUE(run_until(*loop, [&] { return done; }));
  EXPECT_TRUE(root.failed());
  EXPECT_TRUE(root.failure());
  EXPECT_EQ(0, alive);
  std::string what;
  done = false;
  root.start(*loop, careful(*loop, alive, what), [&] { done = true; });
  EXPECT_TRUE(run_until(*loop, [&] { return done; }));
  EXPECT_FALSE(root.failed());
  EXPECT_EQ("broken", what);
  EXPECT_EQ(0, alive);
}

TEST(Task, OnDoneMayDestroyTheRootOrStartAnother) {
  auto loop = make_loop();
  int alive = 0;
  int64_t sum = 0;
  auto root = std::make_unique<Spawned>();
  bool done = false;
  root->start(*loop, add_many(alive, 1, sum), [&] {
    root->start(*loop, add_many(alive, 2, sum), [&] {
      root.reset();
      done = true;
    });
  });
  EXPECT_TRUE(run_until(*loop, [&] { return done; }));
  EXPECT_EQ(1 + 1 + 2, sum);
  EXPECT_EQ(0, alive);
}

TEST(Task, AnEndedRootMayBeDestroyedBeforeOnDone) {
  auto loop = make_loop();
  int alive = 0;
  int64_t sum = 0;
  bool done = false;
  {
    Spawned root;
    root.start(*loop, add_many(alive, 1, sum), [&] { done = true; });
  }
  run_for(*loop, 5 * kMillisecond);
  EXPECT_FALSE(done);
  EXPECT_EQ(0, alive);
}

TEST(Task, UnstartedTasksAreFreed) {
  int alive = 0;
  int64_t sum = 0;
  {
    Task<> never = add_many(alive, 3, sum);
    Task<int> one = plus_one(1, Token(alive));
    Task<int> two = std::move(one);
    EXPECT_FALSE(bool(one));  // NOLINT(bugprone-use-after-move): that is the question
    EXPECT_TRUE(bool(two));
  }
  EXPECT_EQ(0, alive);
  EXPECT_EQ(0, sum);
}

Task<> wait_readable(Stream& stream, Micros deadline, int& alive, int& outcome) {
  Token token(alive);
  Waited waited = co_await readable(stream, deadline);
  outcome = waited == Waited::kReady ? 1 : 2;
}

Task<> wait_writable(Stream& stream, Micros deadline, int& alive, int& outcome) {
  Token token(alive);
  Waited waited = co_await writable(stream, deadline);
  outcome = waited == Waited::kReady ? 1 : 2;
}

Task<> wait_gate(Gate& gate, Loop& loop, Micros deadline, int& alive, int& outcome) {
  Token token(alive);
  Waited waited = co_await gate.wait(loop, deadline);
  outcome = waited == Waited::kReady ? 1 : 2;
}

Task<> wait_time(Loop& loop, Micros until, int& alive, int& outcome) {
  Token token(alive);
  co_await sleep_until(loop, until);
  outcome = 1;
}

struct WaitTest : testing::Test {
  std::unique_ptr<Loop> loop = make_loop();
  Stream stream;
  Peer peer;
  int alive = 0;
  int outcome = 0;
  Spawned root;

  void SetUp() override {
    auto [fd, other] = tcp_pair();
    peer = std::move(other);
    ASSERT_TRUE(stream.open(*loop, fd));
  }
  Micros soon() { return loop->now() + 50 * kMillisecond; }
  bool ends() {
    return run_until(*loop, [&] { return !root.active(); });
  }
};

TEST_F(WaitTest, ReadableWaitsForAnEdge) {
  root.start(*loop, wait_readable(stream, kNever, alive, outcome));
  run_for(*loop, 5 * kMillisecond);
  EXPECT_EQ(0, outcome);
  peer.write("x");
  EXPECT_TRUE(ends());
  EXPECT_EQ(1, outcome);
  EXPECT_TRUE(stream.maybe_readable());
}

TEST_F(WaitTest, ReadableDoesNotWaitWhenAnEdgeIsThere) {
  peer.write("x");
  EXPECT_TRUE(run_until(*loop, [&] { return stream.maybe_readable(); }));
  root.start(*loop, wait_readable(stream, 1, alive, outcome));
  EXPECT_EQ(1, outcome);
}

TEST_F(WaitTest, DeadlinesEndTheWaiting) {
  root.start(*loop, wait_readable(stream, soon(), alive, outcome));
  EXPECT_TRUE(ends());
  EXPECT_EQ(2, outcome);
  outcome = 0;
  root.start(*loop, wait_readable(stream, loop->now() - 1, alive, outcome));
  EXPECT_EQ(2, outcome);
  EXPECT_TRUE(ends());
  outcome = 0;
  root.start(*loop, wait_readable(stream, kNever, alive, outcome));
  peer.write("x");  // the waiter of before has gone without a trace
  EXPECT_TRUE(ends());
  EXPECT_EQ(1, outcome);
}

TEST_F(WaitTest, ClosingWakesWhoWaits) {
  root.start(*loop, wait_readable(stream, kNever, alive, outcome));
  Spawned other;
  int second = 0;
  ASSERT_TRUE(stream.send(std::string(8 << 20, 'w')));
  other.start(*loop, wait_writable(stream, kNever, alive, second));
  stream.close();
  EXPECT_EQ(0, outcome);  // not from inside close
  EXPECT_TRUE(ends());
  EXPECT_EQ(1, outcome);
  EXPECT_EQ(1, second);
}

TEST_F(WaitTest, AStreamMayDieUnderItsWaiter) {
  auto own = std::make_unique<Stream>();
  auto [fd, other] = unix_pair();
  ASSERT_TRUE(own->open(*loop, fd));
  root.start(*loop, wait_readable(*own, kNever, alive, outcome));
  own.reset();
  EXPECT_TRUE(ends());
  EXPECT_EQ(1, outcome);
}

TEST_F(WaitTest, WritableWaitsForTheDrain) {
  const std::string big(8 << 20, 'w');
  ASSERT_TRUE(stream.send(big));
  root.start(*loop, wait_writable(stream, kNever, alive, outcome));
  EXPECT_EQ(0, outcome);
  size_t got = 0;
  EXPECT_TRUE(run_until(*loop, [&] {
    got += peer.read_now().size();
    return !root.active();
  }));
  EXPECT_EQ(1, outcome);
  EXPECT_EQ(0u, stream.unsent());
}

TEST_F(WaitTest, WritableDoesNotWaitWithNothingUnsent) {
  root.start(*loop, wait_writable(stream, kNever, alive, outcome));
  EXPECT_EQ(1, outcome);
}

TEST_F(WaitTest, WritableTimesOutAndBreaks) {
  ASSERT_TRUE(stream.send(std::string(8 << 20, 'w')));
  root.start(*loop, wait_writable(stream, soon(), alive, outcome));
  EXPECT_TRUE(ends());
  EXPECT_EQ(2, outcome);
  outcome = 0;
  root.start(*loop, wait_writable(stream, kNever, alive, outcome));
  peer.reset();
  EXPECT_TRUE(ends());
  EXPECT_EQ(1, outcome);
  EXPECT_TRUE(stream.broken());
}

TEST_F(WaitTest, SleepsUntilItsTime) {
  Micros until = soon();
  root.start(*loop, wait_time(*loop, until, alive, outcome));
  EXPECT_TRUE(ends());
  EXPECT_GE(monotonic_now(), until);
  root.start(*loop, wait_time(*loop, until, alive, outcome));
  EXPECT_TRUE(ends());
}

TEST_F(WaitTest, GatesWakeAllThatWaitNow) {
  Gate gate;
  Spawned second;
  int other = 0;
  root.start(*loop, wait_gate(gate, *loop, kNever, alive, outcome));
  second.start(*loop, wait_gate(gate, *loop, soon() + kSecond, alive, other));
  EXPECT_TRUE(gate.waited_for());
  gate.open();
  EXPECT_FALSE(gate.waited_for());
  EXPECT_EQ(0, outcome);
  EXPECT_TRUE(run_until(*loop, [&] { return !root.active() && !second.active(); }));
  EXPECT_EQ(1, outcome);
  EXPECT_EQ(1, other);
  outcome = 0;
  root.start(*loop, wait_gate(gate, *loop, soon(), alive, outcome));
  EXPECT_TRUE(ends());
  EXPECT_EQ(2, outcome);
  EXPECT_FALSE(gate.waited_for());
}

TEST_F(WaitTest, EveryAwaiterMayDieWhileWaiting) {
  ASSERT_TRUE(stream.send(std::string(8 << 20, 'w')));
  for (Micros deadline : {kNever, loop->now() + kSecond}) {
    Gate gate;
    Spawned roots[4];
    roots[0].start(*loop, wait_readable(stream, deadline, alive, outcome));
    roots[1].start(*loop, wait_writable(stream, deadline, alive, outcome));
    roots[2].start(*loop, wait_gate(gate, *loop, deadline, alive, outcome));
    roots[3].start(*loop, wait_time(*loop, deadline, alive, outcome));
    EXPECT_EQ(4, alive);
    for (Spawned& one : roots)
      one.stop();
    EXPECT_EQ(0, alive);
    EXPECT_FALSE(gate.waited_for());
  }
  peer.write("x");
  peer.read_now();
  run_for(*loop, 2 * kTick);
  EXPECT_EQ(0, outcome);
}

TEST_F(WaitTest, ADueCoroutineMayStillBeStopped) {
  Gate gate;
  root.start(*loop, wait_gate(gate, *loop, kNever, alive, outcome));
  gate.open();
  root.stop();
  run_for(*loop, 5 * kMillisecond);
  EXPECT_EQ(0, outcome);
  EXPECT_EQ(0, alive);
}

Task<> stopper(Gate& gate, Loop& loop, Spawned& victim) {
  Waited waited = co_await gate.wait(loop, kNever);
  (void)waited;
  victim.stop();
}

TEST_F(WaitTest, OneDueCoroutineMayStopAnother) {
  Gate gate;
  Spawned killer;
  killer.start(*loop, stopper(gate, *loop, root));
  root.start(*loop, wait_gate(gate, *loop, kNever, alive, outcome));
  gate.open();
  EXPECT_TRUE(run_until(*loop, [&] { return !killer.active(); }));
  EXPECT_EQ(0, outcome);
  EXPECT_EQ(0, alive);
}

Task<> closer(Stream& stream, Loop& loop, Micros when) {
  Stream& victim = stream;
  co_await sleep_until(loop, when);
  victim.close();
}

// Its deadline has passed and it is to be resumed; then its stream wakes it, too. It slept for ever once.
TEST_F(WaitTest, AWaiterWhoseTimeIsOverMayStillBeWoken) {
  Spawned before;
  const Micros when = soon();
  before.start(*loop, closer(stream, *loop, when));
  root.start(*loop, wait_readable(stream, when, alive, outcome));
  EXPECT_TRUE(ends());
  EXPECT_NE(0, outcome);
}

struct WriterElsewhere : StreamHandler {
  Peer* to = nullptr;
  void on_readable(Stream&) override { to->write("y"); }
  void on_writable(Stream&) override {}
};

// The same at the tick's look at short reads: the bytes come behind the batch's events, in the turn of the deadline.
TEST_F(WaitTest, BytesMayComeInTheTurnOfTheDeadline) {
  auto [fd, other] = unix_pair();
  Stream trigger;
  WriterElsewhere writer;
  ASSERT_TRUE(trigger.open(*loop, fd));
  writer.to = &peer;
  QuietTurn turn;
  // Each try begins with a turn that ticks, so that the next tick is a whole one away.
  for (int tries = 0; tries < 3; ++tries) {
    trigger.set_handler(nullptr, nullptr);
    outcome = 0;
    const int ticks = turn.ticks;
    while (turn.ticks == ticks)
      loop->run_once(turn);
    peer.write("x");
    ASSERT_TRUE(run_until(*loop, [&] { return stream.maybe_readable(); }));
    char bytes[16];
    ASSERT_EQ(IoStatus::kOk, stream.read(bytes, sizeof bytes).status);  // short: to be looked at again
    root.start(*loop, wait_readable(stream, loop->now() + kMillisecond, alive, outcome));
    trigger.set_handler(&writer, nullptr);
    other.write("x");
    const Micros next_tick = monotonic_now() + kTick + kMillisecond;
    ASSERT_TRUE(test::wait_until([&] { return monotonic_now() >= next_tick; }));
    ASSERT_TRUE(ends());
    EXPECT_NE(0, outcome);
    (void)trigger.read(bytes, sizeof bytes);
    (void)stream.read(bytes, sizeof bytes);
  }
}

Task<> take_turns(Loop& loop, int& turns) {
  int count = 0;
  while (count++ < 1000) {
    co_await next_turn(loop);
    ++turns;
  }
}

TEST_F(WaitTest, TheNextTurnIsNotThisOneAndDoesNotWaitForAnEvent) {
  int turns = 0;
  QuietTurn turn;
  root.start(*loop, take_turns(*loop, turns));
  EXPECT_EQ(0, turns);
  for (int i = 1; i <= 10; ++i) {
    loop->run_once(turn);
    EXPECT_EQ(i, turns);
  }
  EXPECT_LE(turn.ticks, 5) << "it waited for the tick";
  root.stop();
  loop->run_once(turn, false);
  EXPECT_EQ(10, turns);
}

Task<> ping(Gate& mine, Gate& yours, Loop& loop, int& rounds) {
  int count = 0;
  while (count++ < 1000) {
    yours.open();
    Waited waited = co_await mine.wait(loop, kNever);
    (void)waited;
    ++rounds;
  }
}

TEST_F(WaitTest, CoroutinesThatWakeEachOtherDoNotStarveTheLoop) {
  Gate one, two;
  Spawned second;
  int rounds = 0;
  QuietTurn turn;
  root.start(*loop, ping(one, two, *loop, rounds));
  second.start(*loop, ping(two, one, *loop, rounds));
  for (int i = 0; i < 100; ++i)
    loop->run_once(turn);
  EXPECT_LE(rounds, 300);
  EXPECT_GE(rounds, 50);
}

}  // namespace
}  // namespace pgweir::net
