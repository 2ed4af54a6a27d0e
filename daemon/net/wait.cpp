#include "net/wait.hpp"

namespace pgweir::net {

// A deadline that has passed is answered without waiting; await_resume then finds kTimeout in the waiter.

bool ReadableAwaiter::await_ready() {
  if (!stream_->open() || stream_->maybe_readable()) return true;
  if (waiter_.deadline > stream_->loop()->now()) return false;
  waiter_.outcome = Waited::kTimeout;
  return true;
}

bool ReadableAwaiter::enlist() {
  assert(!stream_->read_waiter_ && "one coroutine a direction");
  stream_->read_waiter_ = &waiter_;
  if (waiter_.deadline != kNever) stream_->loop()->wait_until(waiter_);
  return true;
}

void ReadableAwaiter::leave() {
  if (!waiter_.detached && stream_->read_waiter_ == &waiter_) stream_->read_waiter_ = nullptr;
}

Waited ReadableAwaiter::await_resume() {
  leave();
  return waiter_.outcome;
}

ReadableAwaiter::~ReadableAwaiter() {
  leave();
}

bool WritableAwaiter::await_ready() {
  if (!stream_->open() || stream_->broken()) return true;
  if (!stream_->connecting() && stream_->unsent() == 0) return true;
  if (waiter_.deadline > stream_->loop()->now()) return false;
  waiter_.outcome = Waited::kTimeout;
  return true;
}

bool WritableAwaiter::enlist() {
  assert(!stream_->write_waiter_ && "one coroutine a direction");
  stream_->write_waiter_ = &waiter_;
  if (waiter_.deadline != kNever) stream_->loop()->wait_until(waiter_);
  return true;
}

void WritableAwaiter::leave() {
  if (!waiter_.detached && stream_->write_waiter_ == &waiter_) stream_->write_waiter_ = nullptr;
}

Waited WritableAwaiter::await_resume() {
  leave();
  return waiter_.outcome;
}

WritableAwaiter::~WritableAwaiter() {
  leave();
}

bool Gate::Awaiter::await_ready() {
  if (waiter_.deadline > loop_->now()) return false;
  waiter_.outcome = Waited::kTimeout;
  return true;
}

void Gate::enlist(Waiter& waiter, Loop& loop) {
  assert(waiters_.empty() || loop_ == &loop);
  loop_ = &loop;
  waiters_.push_back(waiter);
  if (waiter.deadline != kNever) loop.wait_until(waiter);
}

void Gate::open() {
  while (Waiter* waiter = waiters_.front())
    loop_->make_due(*waiter, Waited::kReady);
}

}  // namespace pgweir::net
