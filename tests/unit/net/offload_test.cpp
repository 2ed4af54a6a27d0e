#include "net/offload.hpp"

#include <atomic>
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

TEST(Offload, TheQueueIsBounded) {
  auto loop = make_loop();
  OffloadPool pool(1, 2);
  loop->set_offload(&pool);
  auto hold = std::make_shared<std::atomic<bool>>(true);
  auto started = std::make_shared<std::atomic<bool>>(false);
  auto block = [hold, started] {
    *started = true;
    while (*hold)
      usleep(1000);
  };
  ASSERT_TRUE(pool.submit(block));
  while (!*started)
    usleep(1000);
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

TEST(Offload, AwaitersMayDieWhileTheWorkRuns) {
  OffloadPool pool(2, 64);
  auto loop = make_loop();
  loop->set_offload(&pool);
  auto count = std::make_shared<std::atomic<int>>(0);
  Offloaded how = Offloaded::kRefused;
  for (int i = 0; i < 20; ++i) {
    Spawned root;
    root.start(*loop, work_elsewhere(
                          *loop,
                          [count] {
                            usleep(500);
                            ++*count;
                          },
                          how));
    if (i % 2) usleep(700);
    root.stop();
  }
  run_for(*loop, 20 * kMillisecond);
  EXPECT_EQ(Offloaded::kRefused, how);
}

TEST(Offload, TheLoopMayDieWhileTheWorkRuns) {
  OffloadPool pool(1, 8);
  auto started = std::make_shared<std::atomic<bool>>(false);
  Offloaded how = Offloaded::kRefused;
  auto loop = make_loop();
  loop->set_offload(&pool);
  Spawned root;
  root.start(*loop, work_elsewhere(
                        *loop,
                        [started] {
                          *started = true;
                          usleep(20'000);
                        },
                        how));
  while (!*started)
    usleep(100);
  root.stop();
  loop.reset();
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

TEST(Offload, StuckWorkDoesNotHoldTheEnd) {
  auto release = std::make_shared<std::atomic<bool>>(false);
  auto gone = std::make_shared<std::atomic<bool>>(false);
  Micros start = monotonic_now();
  {
    OffloadPool pool(1, 8);
    auto started = std::make_shared<std::atomic<bool>>(false);
    ASSERT_TRUE(pool.submit([=] {
      *started = true;
      while (!*release)
        usleep(1000);
      *gone = true;
    }));
    while (!*started)
      usleep(100);
  }
  EXPECT_LT(monotonic_now() - start, 4 * kSecond);
  *release = true;
  while (!*gone)
    usleep(1000);
  usleep(10'000);
}

}  // namespace
}  // namespace pgweir::net
