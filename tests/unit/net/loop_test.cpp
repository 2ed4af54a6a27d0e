#include "net/loop.hpp"

#include <sys/eventfd.h>

#include <atomic>
#include <thread>

#include "net/wakeup.hpp"
#include "unit/net/support.hpp"

namespace pgweir::net {
namespace {

TEST(Loop, TicksAndRunsTheTurn) {
  auto loop = make_loop();
  struct Stop : Turn {
    Loop* loop;
    int ticks = 0;
    void after_batch() override {
      if (ticks >= 2) loop->stop();
    }
    void on_tick(Micros now) override {
      EXPECT_EQ(now, loop->now());
      ++ticks;
    }
  } turn;
  turn.loop = loop.get();
  Micros start = monotonic_now();
  loop->run(turn);
  EXPECT_GE(monotonic_now() - start, kTick);
}

// Until the clock has moved.
void pass() {
  const Micros then = monotonic_now();
  EXPECT_TRUE(test::wait_until([&] { return monotonic_now() > then; }));
}

TEST(Loop, TheClockStandsStillWithinABatch) {
  auto loop = make_loop();
  struct Look : Turn {
    Loop* loop;
    void after_batch() override {
      Micros first = loop->now();
      pass();
      EXPECT_EQ(first, loop->now());
    }
    void on_tick(Micros) override {}
  } turn;
  turn.loop = loop.get();
  loop->run_once(turn, false);
  Micros outside = loop->now();
  pass();
  EXPECT_GT(loop->now(), outside);
}

TEST(Loop, DoesNotBlockWhenAsked) {
  auto loop = make_loop();
  QuietTurn turn;
  loop->run_once(turn);  // the first tick's wait is behind us
  Micros start = monotonic_now();
  for (int i = 0; i < 10; ++i) {
    loop->do_not_block();
    loop->run_once(turn);
  }
  EXPECT_LT(monotonic_now() - start, kTick);
}

TEST(Wakeup, RingsOnceForManyNotifies) {
  auto loop = make_loop();
  int woken = 0;
  auto wakeup = Wakeup::create(*loop, [&] { ++woken; });
  ASSERT_TRUE(wakeup.ok());
  for (int i = 0; i < 5; ++i)
    (*wakeup)->notify();
  EXPECT_TRUE(run_until(*loop, [&] { return woken > 0; }));
  run_for(*loop, 10 * kMillisecond);
  EXPECT_EQ(1, woken);
  (*wakeup)->notify();
  EXPECT_TRUE(run_until(*loop, [&] { return woken == 2; }));
}

TEST(Wakeup, LosesNothingBetweenThreads) {
  auto loop = make_loop();
  std::atomic<int> posted{0};
  int seen = 0;
  auto wakeup = Wakeup::create(*loop, [&] { seen = posted.load(std::memory_order_relaxed); });
  ASSERT_TRUE(wakeup.ok());
  constexpr int kThreads = 4, kEach = 5000;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        posted.fetch_add(1, std::memory_order_relaxed);
        (*wakeup)->notify();
      }
    });
  EXPECT_TRUE(run_until(*loop, [&] { return seen == kThreads * kEach; }));
  for (auto& thread : threads)
    thread.join();
}

TEST(Postbox, RunsInTheLoopAndOutlivesIt) {
  auto loop = make_loop();
  auto box = loop->postbox();
  ASSERT_TRUE(box);
  EXPECT_EQ(box, loop->postbox());
  std::thread::id where;
  std::thread other([&] { box->post([&] { where = std::this_thread::get_id(); }); });
  EXPECT_TRUE(run_until(*loop, [&] { return where == std::this_thread::get_id(); }));
  other.join();
  loop.reset();
  bool ran = false;
  box->post([&] { ran = true; });
  EXPECT_FALSE(ran);
}

TEST(Watch, TellsWhileReadable) {
  auto loop = make_loop();
  int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  int calls = 0;
  auto watch = Watch::create(*loop, fd, [&] {
    if (++calls < 3) return;
    uint64_t count;
    EXPECT_EQ(8, read(fd, &count, 8));
  });
  ASSERT_TRUE(watch.ok());
  uint64_t one = 1;
  ASSERT_EQ(8, write(fd, &one, 8));
  EXPECT_TRUE(run_until(*loop, [&] { return calls == 3; }));
  run_for(*loop, 10 * kMillisecond);
  EXPECT_EQ(3, calls);
  close(fd);
}

}  // namespace
}  // namespace pgweir::net
