#include "net/dial.hpp"

#include <netinet/tcp.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string>

#include "base/text.hpp"

namespace pgweir::net {

namespace {
void set(int fd, int level, int name, int value) {
  setsockopt(fd, level, name, &value, sizeof value);
}

Error failed(const char* step, int error) {
  return Error{cat(step, "(): ", errno_text(error))};
}

bool system_paces() {
  std::ifstream file("/proc/sys/net/ipv4/tcp_congestion_control");
  std::string name;
  return std::getline(file, name) && paces(name);
}
}  // namespace

bool paces(std::string_view congestion_control) {
  return congestion_control.substr(0, 3) == "bbr";
}

void do_not_pace(int fd, const Address& peer) {
  static const bool needed = system_paces();
  static constexpr std::string_view kUnpaced = "reno";
  if (needed && peer.is_loopback()) setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, kUnpaced.data(), kUnpaced.size());
}

void apply_socket_options(int fd, int family, const SocketOptions& options) {
  if (options.socket_buffer > 0) {
    set(fd, SOL_SOCKET, SO_SNDBUF, options.socket_buffer);
    set(fd, SOL_SOCKET, SO_RCVBUF, options.socket_buffer);
  }
  if (family != AF_INET && family != AF_INET6) return;
  if (options.user_timeout > 0) set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, options.user_timeout);
  if (!options.tcp_keepalive) return;
  set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  if (options.keepcnt > 0) set(fd, IPPROTO_TCP, TCP_KEEPCNT, options.keepcnt);
  if (options.keepidle > 0) set(fd, IPPROTO_TCP, TCP_KEEPIDLE, options.keepidle);
  if (options.keepintvl > 0) set(fd, IPPROTO_TCP, TCP_KEEPINTVL, options.keepintvl);
}

void apply_socket_options(int fd, const SocketOptions& options) {
  int family = AF_UNSPEC;
  socklen_t size = sizeof family;
  getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size);
  apply_socket_options(fd, family, options);
}

Result<int> begin_connect(const Address& to, const SocketOptions& options) {
  sockaddr_storage address{};
  socklen_t size = to.to_sockaddr(address);
  if (size == 0) return Error{"connect(): no address"};
  int fd = socket(to.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return failed("socket", errno);
  if (to.is_ip()) set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  do_not_pace(fd, to);
  apply_socket_options(fd, to.family(), options);
  int result = 0;
  do {
    result = connect(fd, reinterpret_cast<sockaddr*>(&address), size);
  } while (result < 0 && errno == EINTR);
  // A unix socket whose queue is full says EAGAIN and stays unconnected: a failure, unlike EINPROGRESS.
  if (result == 0 || errno == EINPROGRESS || errno == EALREADY || errno == EISCONN) return fd;
  int error = errno;
  close(fd);
  return failed("connect", error);
}

int connect_error(int fd) {
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return errno;
  return error;
}

}  // namespace pgweir::net
