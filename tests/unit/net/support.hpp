// What the tests of net/ share: driving a loop until something holds, pairs of connected sockets, raw reads and writes
// on the other end, a handler that records its calls.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <utility>

#include "net/loop.hpp"
#include "net/stream.hpp"
#include "unit/support/wait.hpp"

namespace pgweir::net {

struct QuietTurn : Turn {
  void after_batch() override { ++batches; }
  void on_tick(Micros) override { ++ticks; }
  int batches = 0;
  int ticks = 0;
};

inline std::unique_ptr<Loop> make_loop() {
  auto loop = Loop::create();
  EXPECT_TRUE(loop.ok());
  return loop.take();
}

// Turns the loop until `holds`, at most `limit`. Returns whether it came to hold.
inline bool run_until(Loop& loop, const std::function<bool()>& holds, Micros limit = 10 * kSecond) {
  QuietTurn turn;
  Micros end = monotonic_now() + limit;
  while (!holds()) {
    if (monotonic_now() > end) return false;
    loop.run_once(turn);
  }
  return true;
}

inline void run_for(Loop& loop, Micros time) {
  Micros end = monotonic_now() + time;
  run_until(loop, [&] { return monotonic_now() >= end; });
}

// A descriptor that closes itself, with blocking raw calls: the peer of a stream under test.
class Peer {
 public:
  Peer() = default;
  explicit Peer(int fd) : fd_(fd) {}
  Peer(Peer&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Peer& operator=(Peer&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Peer() { close(); }
  int fd() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  void reset() {  // RST instead of FIN
    linger hard{1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close();
  }
  void write(const std::string& bytes) {
    ASSERT_EQ(static_cast<ssize_t>(bytes.size()), ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL));
  }
  std::string read(size_t most = 65536) {
    std::string out(most, '\0');
    ssize_t got = ::recv(fd_, out.data(), most, 0);
    out.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return out;
  }
  std::string read_now(size_t most = 1 << 20) {  // what is there, without blocking
    std::string out(most, '\0');
    ssize_t got = ::recv(fd_, out.data(), most, MSG_DONTWAIT);
    out.resize(got > 0 ? static_cast<size_t>(got) : 0);
    return out;
  }

 private:
  int fd_ = -1;
};

inline std::pair<int, Peer> unix_pair() {
  int fds[2];
  EXPECT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
  return {fds[0], Peer(fds[1])};
}

inline std::pair<int, Peer> tcp_pair() {
  Peer listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* raw = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(0, bind(listener.fd(), raw, size));
  EXPECT_EQ(0, listen(listener.fd(), 8));
  EXPECT_EQ(0, getsockname(listener.fd(), raw, &size));
  Peer client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(0, connect(client.fd(), raw, size));
  int accepted = accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC);
  EXPECT_GE(accepted, 0);
  return {accepted, std::move(client)};
}

// Reads as the edge rule asks and remembers.
struct Recorder : StreamHandler {
  void on_readable(Stream& stream) override {
    ++readable;
    if (!reads) return;
    char buffer[65536];
    while (stream.maybe_readable()) {
      IoResult got = stream.read(buffer, sizeof buffer);
      if (got.status == IoStatus::kOk) bytes.append(buffer, got.bytes);
      if (got.status == IoStatus::kAgain) return;
      if (got.status == IoStatus::kEof || got.status == IoStatus::kError) {
        ended = true;
        last = got;
        return;
      }
    }
  }
  void on_writable(Stream&) override { ++writable; }
  bool reads = true;
  int readable = 0;
  int writable = 0;
  std::string bytes;
  bool ended = false;
  IoResult last;
};

}  // namespace pgweir::net
