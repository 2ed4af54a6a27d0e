// Threads for what may block (getaddrinfo, PAM, SCRAM's many hashes): a fixed number, a bounded queue.
//     Offloaded how = co_await offload(loop, work);
// `work` owns what it touches (captures by value or shared pointers): the coroutine may be destroyed while it runs.
#pragma once

#include <functional>
#include <memory>

#include "net/loop.hpp"
#include "net/waiter.hpp"

namespace pgweir::net {

class OffloadPool {
 public:
  // `threads` >= 1 are started at the first submit; at most `queue` pieces of work wait.
  OffloadPool(unsigned threads, size_t queue);
  // Work that has not begun is dropped. Waits at most two seconds for work that has; a thread that is stuck longer (a
  // resolver that does not answer) is left behind, with everything it needs.
  ~OffloadPool();
  OffloadPool(const OffloadPool&) = delete;
  OffloadPool& operator=(const OffloadPool&) = delete;

  // Thread safe. False: the queue is full (or no thread could be started), nothing will run.
  // An exception out of `work` is swallowed.
  bool submit(std::function<void()> work);
  size_t waiting() const;  // pieces of work not begun

 private:
  struct State;
  std::shared_ptr<State> state_;
};

enum class Offloaded : unsigned char { kDone, kRefused, kFailed };  // kRefused: the queue was full; kFailed: it threw

class [[nodiscard]] OffloadAwaiter {
 public:
  OffloadAwaiter(Loop& loop, std::function<void()> work);
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
  Loop* loop_;
  std::shared_ptr<Job> job_;
  Waiter waiter_;
};

inline OffloadAwaiter offload(Loop& loop, std::function<void()> work) {
  return OffloadAwaiter(loop, std::move(work));
}

}  // namespace pgweir::net
