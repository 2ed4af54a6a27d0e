#include "net/listener.hpp"

#include <event2/event.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <iterator>

#include "base/text.hpp"
#include "net/dial.hpp"

namespace pgweir::net {

namespace {

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

Error failed(const char* step) {
  return Error{cat(step, "(): ", errno_text(errno))};
}

bool set(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value) == 0;
}

Result<gid_t> find_group(const std::string& group) {
  gid_t number = 0;
  auto [end, error] = std::from_chars(group.data(), group.data() + group.size(), number);
  if (error == std::errc() && end == group.data() + group.size()) return number;
  std::vector<char> buffer(size_t{16} * 1024);
  struct ::group entry {};
  struct ::group* found = nullptr;
  while (getgrnam_r(group.c_str(), &entry, buffer.data(), buffer.size(), &found) == ERANGE && buffer.size() < (1 << 20))
    buffer.resize(buffer.size() * 2);
  if (!found) return Error{cat("getgrnam(): no group \"", group, '"')};
  return found->gr_gid;
}

// Mode and group before listen(), so that nobody gets in before they hold.
Result<void> set_rights(const std::string& path, const UnixListenOptions& options) {
  if (!options.group.empty()) {
    Result<gid_t> group = find_group(options.group);
    if (!group) return group.error();
    if (chown(path.c_str(), static_cast<uid_t>(-1), *group) != 0) return failed("chown");
  }
  if (chmod(path.c_str(), options.mode & 0777) != 0) return failed("chmod");
  return {};
}

Result<void> remove_stale(const std::string& path) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return {};
    return failed("stat");
  }
  if (!S_ISSOCK(status.st_mode)) return Error{"unlink(): a file that is not a socket is in the way"};
  if (unlink(path.c_str()) != 0 && errno != ENOENT) return failed("unlink");
  return {};
}

// Errors of the connection that was to be accepted, not of the listener: the next one may do (accept(2)).
bool concerns_one_connection(int error) {
  static constexpr int kPassing[] = {ECONNABORTED, EINTR,      EPROTO,       ENETDOWN,    ENOPROTOOPT, EHOSTDOWN,
                                     ENONET,       EOPNOTSUPP, EHOSTUNREACH, ENETUNREACH, EPERM,       ETIMEDOUT};
  return std::find(std::begin(kPassing), std::end(kPassing), error) != std::end(kPassing);
}

}  // namespace

Result<std::unique_ptr<Listener>> Listener::tcp(Loop& loop, const Address& address, const ListenOptions& options,
                                                AcceptHandler& handler) {
  sockaddr_storage raw{};
  socklen_t size = address.to_sockaddr(raw);
  Socket fd(socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return failed("socket");
  if (!set(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1)) return failed("setsockopt(SO_REUSEADDR)");
  if (options.reuseport && !set(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1)) return failed("setsockopt(SO_REUSEPORT)");
  if (address.family() == AF_INET6 && !set(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, options.v6only))
    return failed("setsockopt(IPV6_V6ONLY)");
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&raw), size) != 0) return failed("bind");
  if (listen(fd.get(), options.backlog) != 0) return failed("listen");
  auto listener = start(loop, fd.get(), handler);
  if (!listener) return listener;
  fd.release();
  if (options.defer_accept) (*listener)->set_defer_accept(true);
  return listener;
}

Result<std::unique_ptr<Listener>> Listener::unix_socket(Loop& loop, const std::string& path,
                                                        const UnixListenOptions& options, AcceptHandler& handler) {
  Result<Address> address = Address::unix_path(path);
  if (!address) return address.error();
  const bool is_file = path[0] != '@';
  if (is_file) {
    Result<void> removed = remove_stale(path);
    if (!removed) return removed.error();
  }
  sockaddr_storage raw{};
  socklen_t size = address->to_sockaddr(raw);
  Socket fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return failed("socket");
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&raw), size) != 0) return failed("bind");
  if (is_file) {
    Result<void> rights = set_rights(path, options);
    if (!rights) {
      unlink(path.c_str());
      return rights.error();
    }
  }
  if (listen(fd.get(), options.backlog) != 0) return failed("listen");
  auto listener = start(loop, fd.get(), handler);
  if (!listener) return listener;
  fd.release();
  if (is_file) (*listener)->file_ = path;
  return listener;
}

Result<std::unique_ptr<Listener>> Listener::adopt(Loop& loop, int fd, AcceptHandler& handler) {
  int listening = 0;
  socklen_t size = sizeof listening;
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0) return failed("getsockopt(SO_ACCEPTCONN)");
  if (!listening) return Error{"the socket is not listening"};
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return failed("fcntl");
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return failed("fcntl");
  return start(loop, fd, handler);
}

// On failure the descriptor stays the caller's.
Result<std::unique_ptr<Listener>> Listener::start(Loop& loop, int fd, AcceptHandler& handler) {
  std::unique_ptr<Listener> listener(new Listener);
  listener->loop_ = &loop;
  listener->handler_ = &handler;
  auto ready = [](evutil_socket_t, short, void* self) { static_cast<Listener*>(self)->on_ready(); };
  auto rested = [](evutil_socket_t, short, void* self) { static_cast<Listener*>(self)->listen_again(); };
  listener->ready_ = event_new(loop.base(), fd, EV_READ | EV_PERSIST, ready, listener.get());
  listener->rested_ = event_new(loop.base(), -1, 0, rested, listener.get());
  if (!listener->ready_ || !listener->rested_ || event_add(listener->ready_, nullptr) != 0)
    return Error{"cannot watch the listening socket"};
  listener->fd_ = fd;
  // Inherited by what is accepted, which saves the call on each connection (Stream::open relies on it).
  if (listener->address().is_ip()) set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  return listener;
}

Listener::~Listener() {
  if (ready_) event_free(ready_);
  if (rested_) event_free(rested_);
  if (fd_ >= 0) close(fd_);
}

Address Listener::address() const {
  sockaddr_storage raw{};
  socklen_t size = sizeof raw;
  if (getsockname(fd_, reinterpret_cast<sockaddr*>(&raw), &size) != 0) return {};
  return Address::from_sockaddr(reinterpret_cast<sockaddr*>(&raw), size);
}

void Listener::on_ready() {
  for (int count = 0; count < kAcceptsPerEvent && !paused_ && !resting_; ++count) {
    sockaddr_storage raw{};
    socklen_t size = sizeof raw;
    int fd = accept4(fd_, reinterpret_cast<sockaddr*>(&raw), &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      if (concerns_one_connection(errno)) continue;
      rest(errno);
      return;
    }
    last_peer_ = Address::from_sockaddr(reinterpret_cast<sockaddr*>(&raw), size);
    do_not_pace(fd, last_peer_);
    handler_->on_accept(fd, *this);
  }
}

// No descriptors or no memory: level triggering would spin, so stop listening for a while.
void Listener::rest(int error) {
  resting_ = true;
  event_del(ready_);
  timeval pause{kAcceptRest / kSecond, kAcceptRest % kSecond};
  event_add(rested_, &pause);
  handler_->on_accept_failed(error, *this);
}

void Listener::listen_again() {
  resting_ = false;
  if (!paused_) event_add(ready_, nullptr);
}

void Listener::pause() {
  paused_ = true;
  event_del(ready_);
}

void Listener::resume() {
  paused_ = resting_ = false;
  event_del(rested_);
  event_add(ready_, nullptr);
}

void Listener::set_defer_accept(bool on) {
  if (address().is_ip()) set(fd_, IPPROTO_TCP, TCP_DEFER_ACCEPT, on ? 1 : 0);
}

void Listener::remove_file() {
  if (!file_.empty()) unlink(file_.c_str());
  file_.clear();
}

Result<std::vector<Address>> resolve_listen(const std::string& item, int port) {
  std::vector<Address> out;
  if (item == "*") {
    out.push_back(*Address::parse_ip("0.0.0.0", port));
    out.push_back(*Address::parse_ip("::", port));
    return out;
  }
  if (auto literal = Address::parse_ip(item, port)) {
    out.push_back(*literal);
    return out;
  }
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  std::string service = std::to_string(port);
  int code = getaddrinfo(item.c_str(), service.c_str(), &hints, &found);
  if (code != 0) return Error{cat("getaddrinfo('", item, "', '", port, "') = ", gai_strerror(code), " [", code, ']')};
  for (addrinfo* one = found; one; one = one->ai_next) {
    Address address = Address::from_sockaddr(one->ai_addr, one->ai_addrlen);
    bool known = std::find(out.begin(), out.end(), address) != out.end();
    if (!address.none() && !known) out.push_back(std::move(address));
  }
  freeaddrinfo(found);
  return out;
}

bool unix_socket_in_use(const std::string& path) {
  Result<Address> address = Address::unix_path(path);
  if (!address) return false;
  sockaddr_storage raw{};
  socklen_t size = address->to_sockaddr(raw);
  // Non-blocking: a full queue (EAGAIN) is a queue that somebody has.
  Socket fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return false;
  return connect(fd.get(), reinterpret_cast<sockaddr*>(&raw), size) == 0 || errno == EAGAIN;
}

}  // namespace pgweir::net
