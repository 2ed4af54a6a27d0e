#include "net/loop.hpp"

#include <event2/event.h>
#include <poll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <utility>

#include "net/gather.hpp"
#include "net/outbox.hpp"
#include "net/stream.hpp"
#include "net/wakeup.hpp"

namespace pgweir::net {

Postbox::Postbox() = default;
Postbox::~Postbox() = default;

void Postbox::post(std::function<void()> action) {
  std::lock_guard lock(mutex_);
  if (!wakeup_) return;
  actions_.push_back(std::move(action));
  wakeup_->notify();
}

void Postbox::drain() {
  std::vector<std::function<void()>> actions;
  {
    std::lock_guard lock(mutex_);
    actions.swap(actions_);
  }
  for (auto& action : actions)
    action();
}

void Postbox::close() {
  std::vector<std::function<void()>> dropped;  // destroyed outside the lock
  std::lock_guard lock(mutex_);
  wakeup_.reset();
  dropped.swap(actions_);
}

void Loop::FreeBase::operator()(event_base* base) const {
  event_base_free(base);
}

void Loop::FreeTick::operator()(event* timer) const {
  const int fd = event_get_fd(timer);
  event_free(timer);
  ::close(fd);
}

Loop::Loop() : chunks_(std::make_unique<ChunkPool>()) {}

Loop::~Loop() {
  if (postbox_) postbox_->close();
}

Result<std::unique_ptr<Loop>> Loop::create() {
  std::unique_ptr<event_config, decltype(&event_config_free)> config(event_config_new(), &event_config_free);
  if (!config) return Error{"out of memory"};
  // Each base is touched by one thread only: no locks. The environment (EVENT_NOEPOLL...) has no say. Edge triggering
  // and the early notice of a peer's end are relied on by Stream.
  event_config_set_flag(config.get(), EVENT_BASE_FLAG_NOLOCK);
  event_config_set_flag(config.get(), EVENT_BASE_FLAG_IGNORE_ENV);
  event_config_set_flag(config.get(), EVENT_BASE_FLAG_NO_CACHE_TIME);
  event_config_require_features(config.get(), EV_FEATURE_ET | EV_FEATURE_EARLY_CLOSE);
  std::unique_ptr<Loop> loop(new Loop);
  loop->base_.reset(event_base_new_with_config(config.get()));
  if (!loop->base_) return Error{"cannot create an event loop (epoll)"};
  // A descriptor, not libevent's timer: with a timer of its own libevent reads the clock four times a turn.
  auto on_tick = [](evutil_socket_t fd, short, void* self) {
    uint64_t expirations = 0;
    (void)!::read(fd, &expirations, sizeof expirations);
    static_cast<Loop*>(self)->tick_due_ = true;
  };
  const int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (fd < 0) return Error{"cannot create a timer"};
  loop->tick_.reset(event_new(loop->base_.get(), fd, EV_READ | EV_PERSIST, on_tick, loop.get()));
  if (!loop->tick_) ::close(fd);
  const timespec every{0, static_cast<long>(kTick) * 1000};
  const itimerspec period{every, every};
  if (!loop->tick_ || event_add(loop->tick_.get(), nullptr) != 0 || timerfd_settime(fd, 0, &period, nullptr) != 0)
    return Error{"cannot create a timer"};
  return loop;
}

void Loop::set_gather(bool on) {
  if (on == bool(gather_)) return;
  if (gather_) gather_->stop_all();
  gather_ = on ? std::make_unique<Gather>(base_.get()) : nullptr;
}

void Loop::refresh_clock() const {
  now_ = monotonic_now();
  stale_ = !turning_;  // outside of a turn nobody would make it stale
}

void Loop::run(Turn& turn) {
  stopped_ = false;
  while (!stopped_)
    run_once(turn);
}

void Loop::run_once(Turn& turn, bool may_block) {
  bool block = may_block && !do_not_block_ && due_.empty() && finished_.empty();
  do_not_block_ = false;
  turning_ = true;
  stale_ = true;
  event_base_loop(base_.get(), EVLOOP_ONCE | (block ? 0 : EVLOOP_NONBLOCK));
  bool ticked = std::exchange(tick_due_, false);
  if (ticked) {
    expire_waiters();
    check_short_reads();
  }
  resume_due();
  run_finished();
  if (ticked) turn.on_tick(now());
  turn.after_batch();
  turning_ = false;
  stale_ = true;
}

void Loop::make_due(Waiter& waiter, Waited outcome) {
  static_cast<Hook<TimedTag>&>(waiter).unlink();
  static_cast<Hook<SourceTag>&>(waiter).unlink();
  waiter.outcome = outcome;
  due_.push_back(waiter);
}

void Loop::expire_waiters() {
  for (Waiter* waiter = timed_.front(); waiter;) {
    Waiter* after = timed_.next(*waiter);
    if (waiter->deadline <= now()) make_due(*waiter, Waited::kTimeout);
    waiter = after;
  }
}

// Only those that are due now: what they wake in turn has its place in the next turn, after the sockets.
void Loop::resume_due() {
  for (size_t count = due_.size(); count > 0; --count) {
    Waiter* waiter = due_.pop_front();
    if (!waiter) return;
    waiter->resume();
  }
}

void Loop::run_finished() {
  for (size_t count = finished_.size(); count > 0; --count) {
    TaskRoot* root = finished_.pop_front();
    if (!root) return;
    root->finish();
  }
}

uint32_t Loop::check_later(Stream& stream) {
  unchecked_.push_back(&stream);
  return static_cast<uint32_t>(unchecked_.size() - 1);
}

// A stream that dies meanwhile takes itself out (forget_check), one that reads short again goes behind the others.
void Loop::check_short_reads() {
  const size_t count = unchecked_.size();
  if (count == 0) return;
  std::vector<pollfd> polled(count);
  for (size_t i = 0; i < count; ++i) {
    Stream* stream = unchecked_[i];
    bool skip = !stream || stream->edge_;  // what has an edge will be read anyway
    polled[i] = {skip ? -1 : stream->fd(), POLLIN | POLLRDHUP, 0};
    if (stream) stream->check_ = Stream::kUnlisted;
    if (skip) unchecked_[i] = nullptr;
  }
  int found = poll(polled.data(), count, 0);
  for (size_t i = 0; i < count && found > 0; ++i) {
    if (!unchecked_[i]) continue;
    unchecked_[i]->check_ = static_cast<uint32_t>(i);
  }
  for (size_t i = 0; i < count && found > 0; ++i) {
    Stream* stream = unchecked_[i];
    if (!stream) continue;
    stream->check_ = Stream::kUnlisted;
    unchecked_[i] = nullptr;
    if (polled[i].revents) stream->on_event(polled[i].revents & (POLLERR | POLLHUP | POLLRDHUP));
  }
  unchecked_.erase(unchecked_.begin(), unchecked_.begin() + static_cast<ptrdiff_t>(count));
  for (size_t i = 0; i < unchecked_.size(); ++i)
    if (unchecked_[i]) unchecked_[i]->check_ = static_cast<uint32_t>(i);
}

std::shared_ptr<Postbox> Loop::postbox() {
  if (postbox_) return postbox_;
  auto box = std::make_shared<Postbox>();
  auto wakeup = Wakeup::create(*this, [raw = box.get()] { raw->drain(); });
  if (!wakeup) return nullptr;
  box->wakeup_ = wakeup.take();
  postbox_ = std::move(box);
  return postbox_;
}

}  // namespace pgweir::net
