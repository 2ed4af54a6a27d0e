// Two ways of hearing from outside the sockets: a Wakeup (an eventfd that any thread may ring) and a Watch (somebody
// else's descriptor, such as a signalfd). Both live and die in their loop's thread; callbacks run inside the batch.
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "base/result.hpp"
#include "net/loop.hpp"

namespace pgweir::net {

// Level triggered: `on_readable` runs as long as the descriptor is readable. Does not own the descriptor.
// The callback must not destroy the Watch.
class Watch {
 public:
  static Result<std::unique_ptr<Watch>> create(Loop& loop, int fd, std::function<void()> on_readable);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

 private:
  Watch() = default;
  friend class Wakeup;
  static Result<std::unique_ptr<Watch>> create(Loop& loop, int fd, short how, std::function<void()> on_readable);
  std::function<void()> on_readable_;
  event* event_ = nullptr;
};

class Wakeup {
 public:
  static Result<std::unique_ptr<Wakeup>> create(Loop& loop, std::function<void()> on_wake);
  ~Wakeup();
  Wakeup(const Wakeup&) = delete;
  Wakeup& operator=(const Wakeup&) = delete;

  // Thread safe. Many calls before the loop gets to it cost one system call and give one on_wake. What the caller wrote
  // before notify() is seen by on_wake.
  void notify();

 private:
  Wakeup() = default;
  std::atomic<bool> rung_{false};
  int fd_ = -1;
  std::unique_ptr<Watch> watch_;
};

}  // namespace pgweir::net
