#include "service/control.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include "base/text.hpp"
#include "service/log_sinks.hpp"

namespace pgweir::service {

namespace {

constexpr size_t kMostPeers = 16;
constexpr size_t kLongest = 4096;  // of an order or an answer
constexpr int kPatience = 60;      // seconds

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return Error{"its path is too long"};
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// A connected socket, or -1 and errno.
int dial(const sockaddr_un& address) {
  int fd = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  int error = errno;
  ::close(fd);
  errno = error;
  return -1;
}

bool may_order(int fd) {
  ucred who{};
  socklen_t size = sizeof who;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0) return false;
  return who.uid == 0 || who.uid == geteuid();
}

}  // namespace

Result<std::unique_ptr<Control>> Control::create(const std::string& path, workers::Director& director, Logger& log) {
  if (path.empty()) return std::unique_ptr<Control>();
  std::unique_ptr<Control> control(new Control(director, log, path));
  Result<void> opened = control->open();
  if (!opened) return Error{cat("cannot take orders on ", path, ": ", opened.error().message)};
  return control;
}

Result<void> Control::open() {
  auto address = address_of(path_);
  if (!address) return address.error();
  int other = dial(*address);
  if (other >= 0) {
    ::close(other);
    path_.clear();  // not ours to remove
    return Error{"another pgweir does"};
  }
  struct stat info {};
  if (::lstat(path_.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) ::unlink(path_.c_str());
  fd_ = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  bool good = fd_ >= 0 && ::bind(fd_, reinterpret_cast<const sockaddr*>(&*address), sizeof *address) == 0;
  if (!good) {
    int error = errno;
    path_.clear();
    return Error{errno_text(error)};
  }
  if (::chmod(path_.c_str(), 0600) != 0 || ::listen(fd_, static_cast<int>(kMostPeers)) != 0)
    return Error{errno_text(errno)};
  auto watch = net::Watch::create(director_.loop(), fd_, [this] { accept(); });
  if (!watch) return watch.error();
  watch_ = watch.take();
  // For tests of the watchdog against the program as it is shipped; asked for by whoever starts it, and told.
  const char* wish = std::getenv("PGWEIR_TEST_ORDERS");  // NOLINT(concurrency-mt-unsafe): nobody sets any
  test_orders_ = wish && std::string_view(wish) == "1";
  if (test_orders_)
    log_.warning(Event::kTestOrders,
                 "PGWEIR_TEST_ORDERS is set: the control socket takes orders that make workers hang");
  return {};
}

Control::~Control() {
  watch_.reset();
  for (Peer& peer : peers_) {
    peer.watch.reset();
    ::close(peer.fd);
  }
  if (fd_ >= 0) ::close(fd_);
  if (!path_.empty()) ::unlink(path_.c_str());
}

void Control::accept() {
  int fd = ::accept4(fd_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return;
  sweep();
  if (!may_order(fd)) {
    ::close(fd);
    return;
  }
  if (peers_.size() >= kMostPeers) {  // who has been silent for longest makes room
    peers_.front().over = true;
    sweep();
  }
  Peer& peer = peers_.emplace_back();
  peer.fd = fd;
  auto watch = net::Watch::create(director_.loop(), fd, [this, &peer] { read(peer); });
  if (watch) {
    peer.watch = watch.take();
  } else {
    peer.over = true;
    sweep();
  }
}

// The callback may not end its own Watch: that is left to the loop's next turn.
void Control::read(Peer& peer) {
  if (peer.over) return;
  char order[kLongest];
  ssize_t size = ::recv(peer.fd, order, sizeof order, MSG_DONTWAIT);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size > 0) {
    std::string answer = obey({order, static_cast<size_t>(size)});
    answer.resize(std::min(answer.size(), kLongest));
    (void)!::send(peer.fd, answer.data(), answer.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  }
  peer.over = true;
  auto postbox = director_.loop().postbox();
  if (postbox) postbox->post([this] { sweep(); });
}

void Control::sweep() {
  peers_.remove_if([](Peer& peer) {
    if (!peer.over) return false;
    peer.watch.reset();
    ::close(peer.fd);
    return true;
  });
}

std::string Control::obey(std::string_view order) {
  if (order == "reload") {
    log_.log(Event::kReloadAsked, "asked to reload by the control socket, re-reading config");
    Result<void> done = director_.reload();
    return done ? std::string("ok") : cat("error ", done.error().message);
  }
  constexpr std::string_view kHang = "hang worker ";
  if (test_orders_ && order.starts_with(kHang)) {
    unsigned number = 0;
    const auto* end = order.data() + order.size();
    auto parsed = std::from_chars(order.data() + kHang.size(), end, number);
    bool good = parsed.ec == std::errc() && parsed.ptr == end && director_.hang_worker(number);
    return good ? "ok" : "error there is no such worker";
  }
  return "error unknown order";
}

int ask_to_reload(const std::string& path) {
  auto fail = [&path](const std::string& why) {
    complain(Level::kError, cat("pgweir: reload by ", path, " failed: ", why));
    return 1;
  };
  auto address = address_of(path);
  if (!address) return fail(address.error().message);
  int fd = dial(*address);
  if (fd < 0) return fail(cat("no daemon takes orders there: ", errno_text(errno)));
  timeval limit{kPatience, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  constexpr std::string_view kOrder = "reload";
  char answer[kLongest];
  ssize_t size = -1;
  if (::send(fd, kOrder.data(), kOrder.size(), MSG_NOSIGNAL) > 0) size = ::recv(fd, answer, sizeof answer, 0);
  int error = errno;
  ::close(fd);
  const bool hung_up = size == 0 || (size < 0 && (error == EPIPE || error == ECONNRESET));
  if (hung_up) return fail("the daemon takes no orders from this account, or has just ended");
  if (size < 0) return fail(error == EAGAIN ? cat("no answer within ", kPatience, " seconds") : errno_text(error));
  std::string_view text(answer, static_cast<size_t>(size));
  if (text == "ok") return 0;
  return fail(std::string(text.substr(text.starts_with("error ") ? 6 : 0)));
}

}  // namespace pgweir::service
