#include "net/task.hpp"

namespace pgweir::net {

void Spawned::start(Loop& loop, Task<void> task, std::function<void()> on_done) {
  assert(!active() && task);
  loop_ = &loop;
  task_ = std::move(task);
  on_done_ = std::move(on_done);
  failure_ = nullptr;
  failed_ = false;
  begin_again();
  task_.handle().promise().root = this;
  run(task_.handle());
}

void Spawned::stop() {
  assert(!running() && "a coroutine must not destroy its own root");
  unlink();
  on_done_ = nullptr;
  task_.reset();
}

void Spawned::on_end() {
  loop_->add_finished(*this);
}

void Spawned::finish() {
  failure_ = task_.handle().promise().failure;
  failed_ = bool(failure_);
  task_.reset();
  std::function<void()> done = std::exchange(on_done_, nullptr);
  if (done) done();  // may destroy this
}

}  // namespace pgweir::net
