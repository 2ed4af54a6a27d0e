// Starting a connection, and the options of a socket. A connect never blocks: begin it, open a Stream on the
// descriptor, wait until the stream is writable, then ask connect_error.
#pragma once

#include <string_view>

#include "base/result.hpp"
#include "net/address.hpp"

namespace pgweir::net {

// compat/settings.tsv, tcp_*; 0 leaves the system's default. TCP only, except socket_buffer.
struct SocketOptions {
  bool tcp_keepalive = true;
  int keepcnt = 0;
  int keepidle = 0;       // seconds
  int keepintvl = 0;      // seconds
  int user_timeout = 0;   // milliseconds
  int socket_buffer = 0;  // bytes, both directions

  bool operator==(const SocketOptions&) const = default;
};

// Options that the kernel refuses are skipped. `family`: that of the socket.
void apply_socket_options(int fd, int family, const SocketOptions& options);
// The same, asking the kernel for the family.
void apply_socket_options(int fd, const SocketOptions& options);

// Takes a TCP connection that does not leave this machine out of the system's pacing: `congestion_control` bbr starts a
// timer for the bytes that it sends, a quarter of what a large result costs, and there is no network to be gentle to.
// By the choice of reno, which every process may make (tcp(7), TCP_CONGESTION). Others, and other systems, stay as they
// are. Before a connect, or behind an accept.
void do_not_pace(int fd, const Address& peer);
// The rule by itself: where `congestion_control` (net.ipv4.tcp_congestion_control) paces.
bool paces(std::string_view congestion_control);

// A non-blocking, close-on-exec socket that is connected or connecting to `to` (IP or unix path). Error: the system's
// text, "connect(): Connection refused", when it failed at once.
Result<int> begin_connect(const Address& to, const SocketOptions& options);

// How the connect ended: 0 or an errno (and clears it: SO_ERROR).
int connect_error(int fd);

}  // namespace pgweir::net
