// The node that a waiting coroutine hangs on: what wakes it, until when it waits, how it is resumed. Every leaf awaiter
// holds one. Waking only puts it on the loop's due list; the loop resumes it after the batch, never inside a callback.
// A waiter unlinks itself when it dies, so a coroutine may be destroyed while it waits.
#pragma once

#include <coroutine>

#include "base/clock.hpp"
#include "base/list.hpp"

namespace pgweir::net {

class Loop;

// How a wait ended.
enum class Waited : unsigned char { kReady, kTimeout };

struct TimedTag;   // in a loop's list of waiters with a deadline
struct DueTag;     // in a loop's list of waiters to resume
struct SourceTag;  // in the list of what it waits for (a gate)
struct FinishedTag;

// The root of a stack of tasks. It resumes them one after the other from a flat loop (a trampoline), so that neither a
// long chain of tasks nor one that never blocks grows the machine stack, and so that no frame is destroyed while one of
// its own calls is still active.
class TaskRoot : public Hook<FinishedTag> {
 public:
  // Resumes `first`, then whatever it names as next, until the stack of tasks waits or has ended.
  void run(std::coroutine_handle<> first) {
    running_ = true;
    for (next_ = first; next_;) {
      std::coroutine_handle<> now = next_;
      next_ = nullptr;
      now.resume();
    }
    running_ = false;
    if (ended_) on_end();
  }
  void resume_next(std::coroutine_handle<> task) { next_ = task; }
  void end() { ended_ = true; }
  bool ended() const { return ended_; }
  bool running() const { return running_; }  // inside run() at this moment

 protected:
  TaskRoot() = default;
  ~TaskRoot() = default;
  void begin_again() { ended_ = false; }
  virtual void on_end() = 0;  // the outermost task has ended; its frame still stands

 private:
  friend class Loop;
  virtual void finish() = 0;  // called by the loop, outside of every coroutine

  std::coroutine_handle<> next_;
  bool running_ = false;
  bool ended_ = false;
};

class Waiter : public Hook<TimedTag>, public Hook<DueTag>, public Hook<SourceTag> {
 public:
  Waiter() = default;

  // Called from await_suspend: what to resume.
  template <class Promise>
  void arm(std::coroutine_handle<Promise> task) {
    task_ = task;
    root_ = task.promise().root;
  }
  void resume() { root_->run(task_); }

  Micros deadline = kNever;
  Waited outcome = Waited::kReady;
  bool detached = false;  // what it waited for has let go of it, and may be gone

 private:
  std::coroutine_handle<> task_;
  TaskRoot* root_ = nullptr;
};

}  // namespace pgweir::net
