#include "net/gather.hpp"

#include <event2/event.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cassert>

#include "net/stream.hpp"

namespace pgweir::net {

namespace {
bool set_low_water(int fd, int bytes) {
  return setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes) == 0;
}
}  // namespace

void Gather::FreeTimer::operator()(event* timer) const {
  const int fd = event_get_fd(timer);
  event_free(timer);
  ::close(fd);
}

Gather::~Gather() {
  assert(active_ == 0);
}

bool Gather::have_timer() {
  if (timer_) return true;
  auto expired = [](evutil_socket_t fd, short, void* self) {
    uint64_t expirations = 0;
    (void)!::read(fd, &expirations, sizeof expirations);
    static_cast<Gather*>(self)->on_timer();
  };
  const int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (fd < 0) return false;
  event* timer = event_new(base_, fd, EV_READ | EV_PERSIST, expired, this);
  if (!timer) {
    ::close(fd);
    return false;
  }
  timer_.reset(timer);
  if (event_add(timer, nullptr) == 0) return true;
  timer_.reset();
  return false;
}

void Gather::arm(bool on) {
  const timespec every{0, on ? static_cast<long>(kLate) * 1000 : 0};
  const itimerspec period{every, every};
  timerfd_settime(event_get_fd(timer_.get()), 0, &period, nullptr);
}

bool Gather::start(Stream& stream) {
  if (!have_timer()) return false;
  entries_.push_back({&stream, stream.flowed_});  // first: it may throw
  if (!set_low_water(stream.fd(), kEnough)) {
    entries_.pop_back();
    return false;
  }
  stream.gather_ = static_cast<uint32_t>(entries_.size() - 1);
  if (++active_ == 1) arm(true);
  return true;
}

void Gather::stop(Stream& stream) {
  entries_[stream.gather_].stream = nullptr;
  stream.gather_ = Stream::kUnlisted;
  set_low_water(stream.fd(), 1);
  if (--active_ > 0) return;
  arm(false);
  if (!looking_) entries_.clear();
}

void Gather::stop_all() {
  for (const Entry& entry : std::vector<Entry>(entries_))
    if (entry.stream) entry.stream->end_flow();
}

// A handler that is called here may stop and start streams: those that start are behind, and were just read.
void Gather::on_timer() {
  looking_ = true;
  const size_t count = entries_.size();
  for (size_t i = 0; i < count; ++i) {
    Stream* stream = entries_[i].stream;
    if (!stream) continue;
    const bool flows = stream->flowed_ != entries_[i].checked;
    entries_[i].checked = stream->flowed_;
    if (!flows) stream->end_flow();
    if (!stream->edge_) stream->on_event(false);
  }
  looking_ = false;
  size_t kept = 0;
  for (const Entry& entry : entries_) {
    if (!entry.stream) continue;
    entry.stream->gather_ = static_cast<uint32_t>(kept);
    entries_[kept++] = entry;
  }
  entries_.resize(kept);
}

}  // namespace pgweir::net
