#include "net/wakeup.hpp"

#include <event2/event.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>

namespace pgweir::net {

Result<std::unique_ptr<Watch>> Watch::create(Loop& loop, int fd, std::function<void()> on_readable) {
  return create(loop, fd, EV_READ | EV_PERSIST, std::move(on_readable));
}

Result<std::unique_ptr<Watch>> Watch::create(Loop& loop, int fd, short how, std::function<void()> on_readable) {
  std::unique_ptr<Watch> watch(new Watch);
  watch->on_readable_ = std::move(on_readable);
  auto call = [](evutil_socket_t, short, void* self) { static_cast<Watch*>(self)->on_readable_(); };
  watch->event_ = event_new(loop.base(), fd, how, call, watch.get());
  if (!watch->event_ || event_add(watch->event_, nullptr) != 0) return Error{"cannot watch a descriptor"};
  return watch;
}

Watch::~Watch() {
  if (event_) event_free(event_);
}

Result<std::unique_ptr<Wakeup>> Wakeup::create(Loop& loop, std::function<void()> on_wake) {
  std::unique_ptr<Wakeup> wakeup(new Wakeup);
  wakeup->fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wakeup->fd_ < 0) return Error{"eventfd(): no descriptor left"};
  // Edge triggered, so the counter need not be read: every write is an edge. Clearing rung_ before on_wake lets a
  // notify that comes meanwhile ring again; the exchanges order what was written before notify() ahead of on_wake.
  auto call = [self = wakeup.get(), on_wake = std::move(on_wake)] {
    self->rung_.exchange(false, std::memory_order_acq_rel);
    on_wake();
  };
  auto watch = Watch::create(loop, wakeup->fd_, EV_READ | EV_PERSIST | EV_ET, std::move(call));
  if (!watch) return watch.error();
  wakeup->watch_ = watch.take();
  return wakeup;
}

Wakeup::~Wakeup() {
  watch_.reset();
  if (fd_ >= 0) close(fd_);
}

void Wakeup::notify() {
  if (rung_.exchange(true, std::memory_order_acq_rel)) return;
  uint64_t one = 1;
  // The counter cannot overflow in practice, and a failed write can only be that: the edge is then on its way.
  [[maybe_unused]] ssize_t written = write(fd_, &one, sizeof one);
}

}  // namespace pgweir::net
