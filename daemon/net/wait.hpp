// The leaf awaiters on sockets, time and conditions. All try first, all are resumed by the loop after a batch, all
// unlink themselves when they die. A deadline is a point on the monotonic clock (kNever: none), checked about every
// kTick; one that has passed does not wait at all.
//     Waited waited = co_await readable(stream, deadline);
#pragma once

#include "net/loop.hpp"
#include "net/stream.hpp"
#include "net/waiter.hpp"

namespace pgweir::net {

// Ready: bytes, the end or an error may be read (or the stream is not open any more). One waiter a direction.
class [[nodiscard]] ReadableAwaiter {
 public:
  ReadableAwaiter(Stream& stream, Micros deadline) : stream_(&stream) { waiter_.deadline = deadline; }
  ~ReadableAwaiter();
  ReadableAwaiter(const ReadableAwaiter&) = delete;
  ReadableAwaiter& operator=(const ReadableAwaiter&) = delete;
  bool await_ready();
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> task) {
    waiter_.arm(task);
    return enlist();
  }
  Waited await_resume();

 private:
  bool enlist();
  void leave();
  Stream* stream_;
  Waiter waiter_;
};

// Ready: the connect has an outcome and nothing is unsent, or the stream is broken or closed.
class [[nodiscard]] WritableAwaiter {
 public:
  WritableAwaiter(Stream& stream, Micros deadline) : stream_(&stream) { waiter_.deadline = deadline; }
  ~WritableAwaiter();
  WritableAwaiter(const WritableAwaiter&) = delete;
  WritableAwaiter& operator=(const WritableAwaiter&) = delete;
  bool await_ready();
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> task) {
    waiter_.arm(task);
    return enlist();
  }
  Waited await_resume();

 private:
  bool enlist();
  void leave();
  Stream* stream_;
  Waiter waiter_;
};

class [[nodiscard]] SleepAwaiter {
 public:
  SleepAwaiter(Loop& loop, Micros until) : loop_(&loop) { waiter_.deadline = until; }
  SleepAwaiter(const SleepAwaiter&) = delete;
  SleepAwaiter& operator=(const SleepAwaiter&) = delete;
  bool await_ready() { return waiter_.deadline <= loop_->now(); }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> task) {
    waiter_.arm(task);
    loop_->wait_until(waiter_);
    return true;
  }
  void await_resume() {}

 private:
  Loop* loop_;
  Waiter waiter_;
};

// Lets the loop and everybody else have their turn; for a coroutine whose peer may never let it wait.
class [[nodiscard]] NextTurnAwaiter {
 public:
  explicit NextTurnAwaiter(Loop& loop) : loop_(&loop) {}
  NextTurnAwaiter(const NextTurnAwaiter&) = delete;
  NextTurnAwaiter& operator=(const NextTurnAwaiter&) = delete;
  bool await_ready() { return false; }
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> task) {
    waiter_.arm(task);
    loop_->make_due(waiter_, Waited::kReady);
    return true;
  }
  void await_resume() {}

 private:
  Loop* loop_;
  Waiter waiter_;
};

// A condition variable for one thread: wait() always waits for the next open(); check your condition before and after,
// in a loop. open() makes all that wait now due; the loop resumes them after the batch, never inside open().
class Gate {
 public:
  Gate() = default;
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  class [[nodiscard]] Awaiter {
   public:
    Awaiter(Gate& gate, Loop& loop, Micros deadline) : gate_(&gate), loop_(&loop) { waiter_.deadline = deadline; }
    Awaiter(const Awaiter&) = delete;
    Awaiter& operator=(const Awaiter&) = delete;
    bool await_ready();
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> task) {
      waiter_.arm(task);
      gate_->enlist(waiter_, *loop_);
      return true;
    }
    Waited await_resume() { return waiter_.outcome; }

   private:
    Gate* gate_;
    Loop* loop_;
    Waiter waiter_;
  };

  Awaiter wait(Loop& loop, Micros deadline) { return Awaiter(*this, loop, deadline); }
  void open();
  bool waited_for() const { return !waiters_.empty(); }

 private:
  void enlist(Waiter& waiter, Loop& loop);
  Loop* loop_ = nullptr;  // that of the waiters: all on one loop
  List<Waiter, SourceTag> waiters_;
};

inline ReadableAwaiter readable(Stream& stream, Micros deadline) {
  return ReadableAwaiter(stream, deadline);
}
inline WritableAwaiter writable(Stream& stream, Micros deadline) {
  return WritableAwaiter(stream, deadline);
}
inline SleepAwaiter sleep_until(Loop& loop, Micros until) {
  return SleepAwaiter(loop, until);
}
inline NextTurnAwaiter next_turn(Loop& loop) {
  return NextTurnAwaiter(loop);
}

}  // namespace pgweir::net
