#include "net/offload.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace pgweir::net {

// Owned by the pool and by each of its threads, so that a thread that is stuck can be left behind.
struct OffloadPool::State {
  std::mutex mutex;
  std::condition_variable work_came;
  std::condition_variable thread_left;
  struct Piece {
    std::function<void()> work;
    std::string lane;
  };
  std::deque<Piece> queue;
  std::map<std::string, unsigned> running;  // of each lane
  unsigned lane_threads = 0;
  unsigned wanted = 1;  // threads
  unsigned alive = 0;
  std::vector<std::thread> threads;
  std::vector<bool> left;  // those that have ended, or are about to
  unsigned idle = 0;
  size_t most = 0;
  bool stopping = false;

  // The first piece whose lane is not full; queue.end(): none.
  std::deque<Piece>::iterator next() {
    auto piece = queue.begin();
    for (; piece != queue.end(); ++piece) {
      auto lane = running.find(piece->lane);
      if (lane_threads == 0 || piece->lane.empty() || lane == running.end() || lane->second < lane_threads) break;
    }
    return piece;
  }
  void leave(const std::string& lane) {
    auto found = running.find(lane);
    if (found != running.end() && --found->second == 0) running.erase(found);
  }
  static void serve(const std::shared_ptr<State>& state, size_t index);
};

void OffloadPool::State::serve(const std::shared_ptr<State>& state, size_t index) {
  std::unique_lock lock(state->mutex);
  for (;;) {
    ++state->idle;
    state->work_came.wait(lock, [&] { return state->stopping || state->next() != state->queue.end(); });
    --state->idle;
    if (state->stopping) break;
    auto chosen = state->next();
    const std::string lane = chosen->lane;
    {
      std::function<void()> work = std::move(chosen->work);
      state->queue.erase(chosen);
      if (!lane.empty()) ++state->running[lane];
      lock.unlock();
      try {
        work();
      } catch (...) {  // what it had to say it has told by other means
      }
    }  // what the work owned dies outside the lock
    lock.lock();
    if (!lane.empty()) state->leave(lane);
  }
  --state->alive;
  state->left[index] = true;
  state->thread_left.notify_all();
}

OffloadPool::OffloadPool(unsigned threads, size_t queue, unsigned lane_threads) : state_(std::make_shared<State>()) {
  state_->wanted = threads > 0 ? threads : 1;
  state_->most = queue;
  state_->lane_threads = lane_threads;
}

// Joins, so that what a thread keeps for itself (OpenSSL's error queue) is gone before the process cleans up.
unsigned OffloadPool::stop() {
  std::deque<State::Piece> dropped;  // destroyed after the lock
  std::vector<std::thread> ended;
  std::unique_lock lock(state_->mutex);
  if (state_->stopping) return state_->alive;
  state_->stopping = true;
  dropped.swap(state_->queue);
  state_->work_came.notify_all();
  state_->thread_left.wait_for(lock, std::chrono::seconds(2), [&] { return state_->alive == 0; });
  for (size_t index = 0; index < state_->threads.size(); ++index) {
    std::thread& thread = state_->threads[index];
    if (state_->left[index]) {
      ended.push_back(std::move(thread));
    } else {
      thread.detach();
    }
  }
  state_->threads.clear();
  const unsigned left_behind = state_->alive;
  lock.unlock();
  for (std::thread& thread : ended)
    thread.join();
  return left_behind;
}

bool OffloadPool::submit(std::function<void()> work, std::string lane) {
  std::lock_guard lock(state_->mutex);
  if (state_->stopping || state_->queue.size() >= state_->most + state_->idle) return false;
  if (state_->queue.size() >= state_->idle && state_->alive < state_->wanted) {
    try {
      state_->left.push_back(false);
      state_->threads.emplace_back(State::serve, state_, state_->threads.size());
      ++state_->alive;
    } catch (const std::system_error&) {
      state_->left.pop_back();
      if (state_->alive == 0) return false;
    }
  }
  state_->queue.push_back({std::move(work), std::move(lane)});
  state_->work_came.notify_one();
  return true;
}

size_t OffloadPool::waiting() const {
  std::lock_guard lock(state_->mutex);
  return state_->queue.size();
}

// Shared by the awaiter and the thread. `waiter` is touched by the loop's thread only.
struct OffloadAwaiter::Job {
  std::function<void()> work;
  Loop* loop = nullptr;
  Waiter* waiter = nullptr;
  std::atomic<bool> unwanted{false};
  std::atomic<Offloaded> how{Offloaded::kRefused};

  void run() {
    if (unwanted) return;
    try {
      work();
      how = Offloaded::kDone;
    } catch (...) {
      how = Offloaded::kFailed;
    }
  }
};

OffloadAwaiter::OffloadAwaiter(OffloadPool* pool, Loop& loop, std::function<void()> work, std::string lane,
                               Micros deadline)
    : pool_(pool), loop_(&loop), lane_(std::move(lane)), job_(std::make_shared<Job>()) {
  waiter_.deadline = deadline;
  job_->work = std::move(work);
  job_->loop = &loop;
}

OffloadAwaiter::~OffloadAwaiter() {
  job_->waiter = nullptr;
  job_->unwanted = true;
}

bool OffloadAwaiter::await_ready() {
  if (pool_) return false;
  job_->run();
  return true;
}

bool OffloadAwaiter::enlist() {
  std::shared_ptr<Postbox> box = loop_->postbox();
  if (!box) return false;
  job_->waiter = &waiter_;
  auto tell = [job = job_] {
    if (job->waiter) job->loop->make_due(*job->waiter, Waited::kReady);
  };
  auto run = [job = job_, box, tell] {
    job->run();
    box->post(tell);
  };
  if (pool_->submit(run, lane_)) {
    if (waiter_.deadline != kNever) loop_->wait_until(waiter_);
    return true;
  }
  job_->waiter = nullptr;
  return false;
}

Offloaded OffloadAwaiter::await_resume() {
  job_->waiter = nullptr;
  return waiter_.outcome == Waited::kTimeout ? Offloaded::kLate : job_->how.load();
}

}  // namespace pgweir::net
