#include "proxy.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace chaos {

namespace {

constexpr size_t kMostHeld = 256 * 1024;  // of one way; beyond it the sender waits
constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kPatience = 30 * kSecond;  // for pgweir to close what was broken
constexpr uint32_t kCancelRequest = 80877102;

int64_t now_micros() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void settle_socket(int fd) {
  int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::fcntl(fd, F_SETFL, O_NONBLOCK);
}

void close_hard(int& fd, bool hard) {
  if (fd < 0) return;
  linger reset{1, 0};
  if (hard) ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  ::close(fd);
  fd = -1;
}

}  // namespace

Proxy::Proxy(const Options& options) : options_(options), random_(options.seed ^ 0x9e3779b97f4a7c15ULL) {
  int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_port = htons(static_cast<uint16_t>(options.proxy_port));
  inet_pton(AF_INET, options.host.c_str(), &here.sin_addr);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&here), sizeof here) == 0 && ::listen(fd, 512) == 0) {
    listener_ = fd;
  } else {
    ::close(fd);
  }
}

Proxy::~Proxy() {
  for (auto& pair : pairs_)
    end(*pair);
  if (listener_ >= 0) ::close(listener_);
}

void Proxy::accept_one() {
  int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (fd < 0) return;
  auto pair = std::make_unique<Pair>();
  pair->pooler = fd;
  settle_socket(fd);
  // A local connect is over at once; what it costs to wait for it does not matter here.
  pair->server = dial(options_.host, options_.direct_port);
  tally_.connections.fetch_add(1);
  if (pair->server < 0) {
    close_hard(pair->pooler, true);
    return;
  }
  settle_socket(pair->server);
  switch (pick(8)) {
    case 0: pair->slice = 1 + pick(4); break;
    case 1: pair->slice = 1 + pick(60); break;
    case 2: pair->delay = static_cast<int64_t>(1 + pick(2000)); break;
    case 3:
      pair->slice = 1 + pick(2000);
      pair->delay = static_cast<int64_t>(1 + pick(1000));
      break;
    default: break;  // a good line
  }
  if (pick(3) == 0) pair->stall_in = 1 + pick(4000);
  if (options_.cuts && pick(2) == 0) pair->cut_in = 1 + pick(pick(4) == 0 ? 60 : 20'000);
  bool corrupt = options_.corrupt && pick(4) != 0;
  pair->corruptor.arm(random_(), corrupt ? 1 + pick(6000) : 0, corrupt && pick(20) == 0);
  pairs_.push_back(std::move(pair));
}

// Reads what there is, as far as it can be held.
void Proxy::take(Pair& pair, Way& way, int from, bool down) {
  char buffer[65536];
  while (!way.ended && way.bytes.size() < kMostHeld) {
    ssize_t got = ::recv(from, buffer, sizeof buffer, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
      way.ended = true;
      return;
    }
    std::string bytes(buffer, static_cast<size_t>(got));
    if (!down && !pair.known) {
      pair.known = true;
      pair.cancel = bytes.size() >= 8 && get32(bytes.data() + 4) == kCancelRequest;
      if (pair.cancel) {
        tally_.cancels.fetch_add(1);
        pair.corruptor.arm(0, 0, false);
        // Cut before PostgreSQL has heard of it, or not at all.
        if (pair.cut_in > 0 && pick(8) == 0) return cut(pair);
        pair.cut_in = 0;
      }
    }
    way.bytes += down ? pair.corruptor.feed(bytes) : bytes;
    if (static_cast<size_t>(got) < sizeof buffer) return;
  }
}

void Proxy::give(Pair& pair, Way& way, int to, bool down, int64_t now) {
  while (!way.bytes.empty() && now >= way.not_before) {
    size_t size = way.bytes.size();
    if (pair.slice > 0) {
      size_t most = pair.slice + size / 16;
      size = std::min(size, 1 + static_cast<size_t>(pick(most)));
    }
    bool last = pair.cut_in > 0 && --pair.cut_in == 0;
    if (last) size = static_cast<size_t>(pick(size + 1));
    ssize_t sent = ::send(to, way.bytes.data(), size, MSG_NOSIGNAL);
    if (last) return cut(pair);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (sent < 0) {
      way.bytes.clear();
      way.ended = way.closed = true;
      // Who cannot be written to has gone; the other shall hear of it.
      (down ? pair.up : pair.down).ended = true;
      return;
    }
    if (static_cast<size_t>(sent) < way.bytes.size()) tally_.slices.fetch_add(1);
    way.bytes.erase(0, static_cast<size_t>(sent));
    if (pair.delay > 0) way.not_before = now + static_cast<int64_t>(pick(static_cast<uint64_t>(pair.delay)));
    if (pair.stall_in > 0 && --pair.stall_in == 0) {
      tally_.stalls.fetch_add(1);
      way.not_before = now + static_cast<int64_t>(20'000 + pick(pick(4) == 0 ? 3'000'000 : 300'000));
      pair.stall_in = 1 + pick(8000);
    }
  }
  if (down && pair.corruptor.done() && !pair.corruptor.what().empty() && pair.corrupted_at == 0 && way.bytes.empty()) {
    pair.corrupted_at = now;
    tally_.corrupted.fetch_add(1);
  }
  if (way.ended && way.bytes.empty() && !way.closed) {
    way.closed = true;
    ::shutdown(to, SHUT_WR);
  }
}

void Proxy::cut(Pair& pair) {
  tally_.cuts.fetch_add(1);
  uint64_t how = pick(3);
  if (how == 0) {  // politely, and then nothing is heard any more
    ::shutdown(pair.pooler, SHUT_WR);
    close_hard(pair.pooler, false);
    close_hard(pair.server, false);
  } else {
    close_hard(pair.pooler, true);
    close_hard(pair.server, how == 1);
  }
  pair.gone = true;
}

void Proxy::end(Pair& pair) {
  close_hard(pair.pooler, false);
  close_hard(pair.server, false);
  pair.gone = true;
}

// Has pgweir closed what was broken?
void Proxy::judge(Pair& pair, int64_t now) {
  if (pair.corrupted_at == 0 || pair.judged || pair.up.ended || pair.gone) return;
  if (now - pair.corrupted_at < kPatience) return;
  pair.judged = true;
  tally_.unnoticed.fetch_add(1);
  std::fprintf(stderr, "UNNOTICED: %s\n", pair.corruptor.what().c_str());
}

void Proxy::turn(Pair& pair, short pooler, short server, int64_t now) {
  constexpr short kReadable = POLLIN | POLLHUP | POLLERR;
  if (pooler & kReadable) take(pair, pair.up, pair.pooler, false);
  if (!pair.gone && (server & kReadable)) take(pair, pair.down, pair.server, true);
  if (!pair.gone) give(pair, pair.up, pair.server, false, now);
  if (!pair.gone) give(pair, pair.down, pair.pooler, true, now);
  judge(pair, now);
  if (!pair.gone && pair.up.closed && pair.down.closed) end(pair);
}

void Proxy::run(const std::atomic<bool>& stop) {
  std::vector<pollfd> wait;
  while (!stop.load(std::memory_order_relaxed)) {
    int64_t now = now_micros();
    int64_t next = now + kSecond / 10;
    wait.assign(1, {listener_, POLLIN, 0});
    for (auto& pair : pairs_) {
      for (bool down : {false, true}) {
        Way& in = down ? pair->down : pair->up;
        Way& out = down ? pair->up : pair->down;
        bool reads = !in.ended && in.bytes.size() < kMostHeld;
        bool writes = !out.bytes.empty() && out.not_before <= now;
        if (!out.bytes.empty() && !writes) next = std::min(next, out.not_before);
        int fd = down ? pair->server : pair->pooler;
        short events = static_cast<short>((reads ? POLLIN : 0) | (writes ? POLLOUT : 0));
        wait.push_back({events ? fd : -1, events, 0});
      }
    }
    timespec patience{0, std::max<int64_t>(next - now, 0) * 1000};
    if (::ppoll(wait.data(), wait.size(), &patience, nullptr) < 0) continue;
    now = now_micros();
    for (size_t at = 0; at < pairs_.size(); ++at)
      turn(*pairs_[at], wait[1 + 2 * at].revents, wait[2 + 2 * at].revents, now);
    if (wait[0].revents) accept_one();
    std::erase_if(pairs_, [](const auto& pair) { return pair->gone; });
  }
}

}  // namespace chaos
