// Threads for what may block (getaddrinfo, PAM, LDAP, SCRAM's many hashes): a fixed number, a bounded queue.
//     Offloaded how = co_await offload(loop, work);
//     Offloaded how = co_await offload_to(pool, loop, work, lane, deadline);
// `work` owns what it touches (captures by value or shared pointers): the coroutine may be destroyed while it runs.
// Work of one lane (of one directory, say) holds a part of the threads at most, so that others find some free.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "net/loop.hpp"
#include "net/waiter.hpp"

namespace pgweir::net {

class OffloadPool {
 public:
  // `threads` >= 1 are started at the first submit; at most `queue` pieces of work wait, and of one lane at most
  // `lane_threads` run (0: no limit).
  OffloadPool(unsigned threads, size_t queue, unsigned lane_threads = 0);
  ~OffloadPool() { stop(); }
  OffloadPool(const OffloadPool&) = delete;
  OffloadPool& operator=(const OffloadPool&) = delete;

  // Work that has not begun is dropped, and none is taken any more. Waits at most two seconds for work that has;
  // threads that are stuck longer (in a directory that does not answer) are left behind, with everything they need.
  // Returns how many: as long as they run, no library that they may be in must be cleaned up. More than one stop does
  // no harm.
  unsigned stop();

  // Thread safe. False: the queue is full (or no thread could be started), nothing will run.
  // An exception out of `work` is swallowed. An empty lane is none.
  bool submit(std::function<void()> work, std::string lane = {});
  size_t waiting() const;  // pieces of work not begun

 private:
  struct State;
  std::shared_ptr<State> state_;
};

enum class Offloaded : unsigned char {
  kDone,
  kRefused,  // the queue was full
  kFailed,   // it threw
  kLate,     // not done at the deadline; it may still be running
};

class [[nodiscard]] OffloadAwaiter {
 public:
  // `pool` null: in place. Lane and deadline as said above.
  OffloadAwaiter(OffloadPool* pool, Loop& loop, std::function<void()> work, std::string lane, Micros deadline);
  ~OffloadAwaiter();
  OffloadAwaiter(const OffloadAwaiter&) = delete;
  OffloadAwaiter& operator=(const OffloadAwaiter&) = delete;
  bool await_ready();
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> task) {
    waiter_.arm(task);
    return enlist();
  }
  Offloaded await_resume();

 private:
  struct Job;
  bool enlist();
  OffloadPool* pool_;
  Loop* loop_;
  std::string lane_;
  std::shared_ptr<Job> job_;
  Waiter waiter_;
};

inline OffloadAwaiter offload(Loop& loop, std::function<void()> work) {
  return OffloadAwaiter(loop.offload(), loop, std::move(work), {}, kNever);
}
inline OffloadAwaiter offload_to(OffloadPool* pool, Loop& loop, std::function<void()> work, std::string lane,
                                 Micros deadline) {
  return OffloadAwaiter(pool, loop, std::move(work), std::move(lane), deadline);
}

}  // namespace pgweir::net
