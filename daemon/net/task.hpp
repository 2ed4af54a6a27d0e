// Coroutines: Task<T>, a lazy, move-only stack of frames, and Spawned, which owns and starts the outermost one.
// Written and used in one form only (DESIGN, section 8), because g++ 12 miscompiles others:
//     Task<int> f(Stream& stream) { Waited waited; waited = co_await readable(stream, deadline); co_return 1; }
//     int got = co_await f(stream);
// Destroying an unfinished Task destroys its frame and all frames below, which unlinks their awaiters.
// An exception ends the task and travels up to the Spawned, whose owner asks failed(): a dead connection, not a
// process.
#pragma once

#include <cassert>
#include <coroutine>
#include <exception>
#include <functional>
#include <optional>
#include <utility>

#include "net/loop.hpp"
#include "net/waiter.hpp"

namespace pgweir::net {

namespace detail {

struct PromiseBase {
  TaskRoot* root = nullptr;
  std::coroutine_handle<> parent;
  std::exception_ptr failure;

  struct FinalAwaiter {
    bool await_ready() noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> task) noexcept {
      PromiseBase& promise = task.promise();
      if (promise.parent) {
        promise.root->resume_next(promise.parent);
      } else {
        promise.root->end();
      }
      return true;
    }
    void await_resume() noexcept {}
  };

  std::suspend_always initial_suspend() noexcept { return {}; }
  FinalAwaiter final_suspend() noexcept { return {}; }
  void unhandled_exception() noexcept { failure = std::current_exception(); }
  void check() {
    if (failure) std::rethrow_exception(failure);
  }
};

template <class T>
struct Promise : PromiseBase {
  std::optional<T> value;
  std::coroutine_handle<Promise> get_return_object() { return std::coroutine_handle<Promise>::from_promise(*this); }
  void return_value(T result) { value.emplace(std::move(result)); }
  T take() {
    check();
    return std::move(*value);
  }
};

template <>
struct Promise<void> : PromiseBase {
  std::coroutine_handle<Promise> get_return_object() { return std::coroutine_handle<Promise>::from_promise(*this); }
  void return_void() noexcept {}
  void take() { check(); }
};

}  // namespace detail

template <class T = void>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::Promise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  Task() = default;
  Task(Handle handle) : handle_(handle) {}  // NOLINT: get_return_object converts
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      reset();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;
  ~Task() { reset(); }

  explicit operator bool() const { return bool(handle_); }
  Handle handle() const { return handle_; }
  void reset() {
    if (handle_) std::exchange(handle_, nullptr).destroy();
  }

  struct Awaiter {
    Handle child;
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> caller) noexcept {
      child.promise().root = caller.promise().root;
      child.promise().parent = caller;
      child.promise().root->resume_next(child);
      return true;
    }
    T await_resume() { return child.promise().take(); }
  };
  Awaiter operator co_await() const noexcept {
    assert(handle_ && "awaiting an empty task");
    return Awaiter{handle_};
  }

 private:
  Handle handle_;
};

// A running root coroutine. Not movable; lives in what the coroutine works for. Destroying it stops the coroutine.
class Spawned final : private TaskRoot {  // NOLINT(*-virtual-class-destructor): final
 public:
  Spawned() = default;
  ~Spawned() { stop(); }
  Spawned(const Spawned&) = delete;
  Spawned& operator=(const Spawned&) = delete;

  // Runs `task` now, up to its first wait. When it has ended, its frame is freed and then `on_done` is called, from the
  // loop after a batch, never from inside start() or the coroutine; on_done may destroy this object or start the next.
  // Nothing may be running yet.
  void start(Loop& loop, Task<void> task, std::function<void()> on_done = {});
  // Destroys the frames; on_done is not called. Not from inside the coroutine itself.
  void stop();
  bool active() const { return bool(task_); }  // started, and on_done not yet called
  bool failed() const { return failed_; }      // the last one ended by an exception
  std::exception_ptr failure() const { return failure_; }

 private:
  void on_end() override;
  void finish() override;

  Loop* loop_ = nullptr;
  Task<void> task_;
  std::function<void()> on_done_;
  std::exception_ptr failure_;
  bool failed_ = false;
};

}  // namespace pgweir::net
