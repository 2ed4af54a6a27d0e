#include "net/offload.hpp"

#include <atomic>
#include <filesystem>
#include <stdexcept>
#include <thread>

#include "net/task.hpp"
#include "unit/net/support.hpp"

namespace pgweir::net {
namespace {

Task<> work_elsewhere(Loop& loop, std::function<void()> work, Offloaded& how) {
  Offloaded got = Offloaded::kRefused;
  got = co_await offload(loop, work);
  how = got;
}

bool ended(Loop& loop, Spawned& root) {
  return run_until(loop, [&] { return !root.active(); });
}

TEST(Offload, RunsInAThreadAndResumesHere) {
  auto loop = make_loop();
  OffloadPool pool(2, 8);
  loop->set_offload(&pool);
  Spawned root;
  Offloaded how = Offloaded::kRefused;
  std::thread::id where;
  root.start(*loop, work_elsewhere(
                        *loop, [&] { where = std::this_thread::get_id(); }, how));
  EXPECT_TRUE(ended(*loop, root));
  EXPECT_EQ(Offloaded::kDone, how);
  EXPECT_NE(std::this_thread::get_id(), where);
}

TEST(Offload, RunsInPlaceWithoutAPool) {
  auto loop = make_loop();
  Spawned root;
  Offloaded how = Offloaded::kRefused;
  bool ran = false;
  root.start(*loop, work_elsewhere(
                        *loop, [&] { ran = true; }, how));
  EXPECT_TRUE(ran);
  EXPECT_EQ(Offloaded::kDone, how);
}

TEST(Offload, ExceptionsAreToldAsFailure) {
  auto loop = make_loop();
  OffloadPool pool(1, 8);
  loop->set_offload(&pool);
  Spawned root;
  Offloaded how = Offloaded::kDone;
  root.start(*loop, work_elsewhere(
                        *loop, [] { throw std::runtime_error("no"); }, how));
  EXPECT_TRUE(ended(*loop, root));
  EXPECT_EQ(Offloaded::kFailed, how);
  root.start(*loop, work_elsewhere(
                        *loop, [] {}, how));
  EXPECT_TRUE(ended(*loop, root));
  EXPECT_EQ(Offloaded::kDone, how);
}

// One directory that hangs holds its share of the threads; others find some free, and its own go on afterwards.
TEST(Offload, ALaneHoldsAPartOfTheThreadsOnly) {
  OffloadPool pool(4, 64, 2);
  auto hold = std::make_shared<std::atomic<bool>>(true);
  auto begun = std::make_shared<std::atomic<int>>(0);
  auto done = std::make_shared<std::atomic<int>>(0);
  auto block = [hold, begun, done] {
    ++*begun;
    EXPECT_TRUE(test::wait_until([&] { return !*hold; }));
    ++*done;
  };
  for (int i = 0; i < 8; ++i)
    ASSERT_TRUE(pool.submit(block, "slow"));
  ASSERT_TRUE(test::wait_until([&] { return begun->load() == 2; }));
  auto others = std::make_shared<std::atomic<int>>(0);
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(pool.submit([others] { ++*others; }, i == 0 ? "" : "quick"));
  EXPECT_TRUE(test::wait_until([&] { return others->load() == 3; }));
  EXPECT_EQ(2, begun->load());
  EXPECT_EQ(6u, pool.waiting());
  *hold = false;
  EXPECT_TRUE(test::wait_until([&] { return done->load() == 8; }));
}

Task<> work_until(OffloadPool& pool, Loop& loop, std::function<void()> work, Micros deadline, Offloaded& how) {
  Offloaded got = Offloaded::kRefused;
  got = co_await offload_to(&pool, loop, work, "lane", deadline);
  how = got;
}

TEST(Offload, TheDeadlineEndsTheWaitAndNotTheWork) {
  auto loop = make_loop();
  OffloadPool pool(1, 8);
  auto hold = std::make_shared<std::atomic<bool>>(true);
  auto done = std::make_shared<std::atomic<bool>>(false);
  auto block = [hold, done] {
    EXPECT_TRUE(test::wait_until([&] { return !*hold; }));
    *done = true;
  };
  Spawned root;
  Offloaded how = Offloaded::kDone;
  root.start(*loop, work_until(pool, *loop, block, loop->now() + kTick, how));
  EXPECT_TRUE(ended(*loop, root));
  EXPECT_EQ(Offloaded::kLate, how);
  EXPECT_FALSE(*done);
  *hold = false;
  EXPECT_TRUE(test::wait_until([&] { return done->load(); }));
  root.start(*loop, work_until(
                        pool, *loop, [] {}, kNever, how));
  EXPECT_TRUE(ended(*loop, root));
  EXPECT_EQ(Offloaded::kDone, how);
}

TEST(Offload, TheQueueIsBounded) {
  auto loop = make_loop();
  OffloadPool pool(1, 2);
  loop->set_offload(&pool);
  auto hold = std::make_shared<std::atomic<bool>>(true);
  auto started = std::make_shared<std::atomic<bool>>(false);
  auto block = [hold, started] {
    *started = true;
    EXPECT_TRUE(test::wait_until([&] { return !*hold; }));
  };
  ASSERT_TRUE(pool.submit(block));
  ASSERT_TRUE(test::wait_until([&] { return started->load(); }));
  ASSERT_TRUE(pool.submit([] {}));
  ASSERT_TRUE(pool.submit([] {}));
  EXPECT_EQ(2u, pool.waiting());
  EXPECT_FALSE(pool.submit([] {}));
  Spawned root;
  Offloaded how = Offloaded::kDone;
  root.start(*loop, work_elsewhere(
                        *loop, [] {}, how));
  EXPECT_EQ(Offloaded::kRefused, how);
  *hold = false;
}

TEST(Offload, AwaitersMayDieBeforeAndWhileTheWorkRuns) {
  auto pool = std::make_unique<OffloadPool>(2, 64);
  auto loop = make_loop();
  loop->set_offload(pool.get());
  auto begun = std::make_shared<std::atomic<int>>(0);
  Offloaded how = Offloaded::kRefused;
  int most = 0;
  for (int i = 0; i < 20; ++i) {
    auto go_on = std::make_shared<std::atomic<bool>>(false);
    Spawned root;
    root.start(*loop, work_elsewhere(
                          *loop,
                          [begun, go_on] {
                            ++*begun;
                            EXPECT_TRUE(test::wait_until([&] { return go_on->load(); }));
                          },
                          how));
    const int before = most;
    if (i % 2) {
      ASSERT_TRUE(test::wait_until([&] { return begun->load() > before; }));
    }
    root.stop();
    *go_on = true;
    most = begun->load();
  }
  loop->set_offload(nullptr);
  pool.reset();  // what had begun has ended, and told the loop
  run_for(*loop, kMillisecond);
  EXPECT_EQ(Offloaded::kRefused, how);
}

TEST(Offload, TheLoopMayDieWhileTheWorkRuns) {
  auto started = std::make_shared<std::atomic<bool>>(false);
  auto loop_gone = std::make_shared<std::atomic<bool>>(false);
  OffloadPool pool(1, 8);
  Offloaded how = Offloaded::kRefused;
  auto loop = make_loop();
  loop->set_offload(&pool);
  Spawned root;
  root.start(*loop, work_elsewhere(
                        *loop,
                        [started, loop_gone] {
                          *started = true;
                          EXPECT_TRUE(test::wait_until([&] { return loop_gone->load(); }));
                        },
                        how));
  ASSERT_TRUE(test::wait_until([&] { return started->load(); }));
  root.stop();
  loop.reset();
  *loop_gone = true;
}

TEST(Offload, ManyLoopsShareAPool) {
  OffloadPool pool(3, 1000);
  std::vector<std::thread> threads;
  std::atomic<int> total{0};
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&] {
      auto loop = make_loop();
      loop->set_offload(&pool);
      std::vector<std::unique_ptr<Spawned>> roots;
      std::vector<Offloaded> hows(50, Offloaded::kRefused);
      for (auto& how : hows) {
        roots.push_back(std::make_unique<Spawned>());
        roots.back()->start(*loop, work_elsewhere(
                                       *loop, [&total] { ++total; }, how));
      }
      EXPECT_TRUE(run_until(
          *loop, [&] { return std::all_of(roots.begin(), roots.end(), [](auto& root) { return !root->active(); }); }));
      for (auto how : hows)
        EXPECT_EQ(Offloaded::kDone, how);
    });
  for (auto& thread : threads)
    thread.join();
  EXPECT_EQ(150, total);
}

TEST(Offload, ThreadsAreGoneWithThePool) {
  struct Own {  // as OpenSSL keeps something for each thread
    std::atomic<bool>* gone = nullptr;
    ~Own() {
      std::this_thread::yield();
      if (gone) *gone = true;
    }
  };
  for (int round = 0; round < 50; ++round) {
    std::atomic<bool> gone{false};
    {
      OffloadPool pool(1, 8);
      std::atomic<bool> ran{false};
      ASSERT_TRUE(pool.submit([&] {
        static thread_local Own own;
        own.gone = &gone;
        ran = true;
      }));
      ASSERT_TRUE(test::wait_until([&] { return ran.load(); }));
    }
    ASSERT_TRUE(gone) << "round " << round;
  }
}

size_t threads() {
  const std::filesystem::directory_iterator tasks("/proc/self/task");
  return static_cast<size_t>(std::distance(begin(tasks), end(tasks)));
}

TEST(Offload, StuckWorkDoesNotHoldTheEnd) {
  auto release = std::make_shared<std::atomic<bool>>(false);
  const size_t threads_before = threads();
  const Micros start = monotonic_now();
  {
    OffloadPool pool(1, 8);
    auto started = std::make_shared<std::atomic<bool>>(false);
    ASSERT_TRUE(pool.submit([=] {
      *started = true;
      EXPECT_TRUE(test::wait_until([&] { return release->load(); }, 60 * kSecond));
    }));
    ASSERT_TRUE(test::wait_until([&] { return started->load(); }));
    EXPECT_EQ(1U, pool.stop()) << "the thread that is left behind";
    EXPECT_FALSE(pool.submit([] {}));
    EXPECT_EQ(1U, pool.stop()) << "a second stop does not wait again";
  }
  EXPECT_LT(monotonic_now() - start, 4 * kSecond);
  *release = true;
  EXPECT_TRUE(test::wait_until([&] { return threads() == threads_before; })) << "the thread left behind ends";
}

TEST(Offload, StopLeavesNoThreadWhereNoneIsStuck) {
  OffloadPool pool(2, 8);
  EXPECT_TRUE(pool.submit([] {}));
  EXPECT_EQ(0U, pool.stop());
  OffloadPool never_used(2, 8);
  EXPECT_EQ(0U, never_used.stop());
}

}  // namespace
}  // namespace pgweir::net
