// Where a socket is or goes: IPv4, IPv6, a unix socket (a path, an abstract name, or a peer that has neither).
// Small (40 bytes) because every connection keeps one. Knows no names: the resolver turns names into addresses.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>

#include "base/result.hpp"

namespace pgweir::net {

class Address {
 public:
  Address();  // none: family() is AF_UNSPEC
  Address(const Address& other);
  Address(Address&& other) noexcept = default;
  Address& operator=(const Address& other);
  Address& operator=(Address&& other) noexcept = default;
  ~Address() = default;

  // "1.2.3.4", "::1", "fe80::1%eth0"; nullopt for anything else (names among it). No brackets.
  static std::optional<Address> parse_ip(const std::string& text, int port);
  // A file system path, or an abstract name with a leading '@'. Too long (over 107 bytes), empty or holding a NUL:
  // error.
  static Result<Address> unix_path(const std::string& path);
  // A connected unix peer as SO_PEERCRED tells it.
  static Address unix_peer(pid_t pid, uid_t uid);
  // From what accept, getpeername or getaddrinfo filled in. An unknown family gives none. An IPv4 peer of a socket that
  // takes both families (a socket unit's) comes as ::ffff:1.2.3.4; it is 1.2.3.4 wherever it is shown or compared.
  static Address from_sockaddr(const sockaddr* address, socklen_t size);

  int family() const { return ip_.any.sa_family; }  // AF_INET, AF_INET6, AF_UNIX or AF_UNSPEC
  bool is_unix() const { return family() == AF_UNIX; }
  bool is_ip() const { return family() == AF_INET || family() == AF_INET6; }
  bool none() const { return family() == AF_UNSPEC; }

  bool is_loopback() const;  // 127.0.0.0/8, ::1, and 127.0.0.0/8 mapped into IPv6

  std::string host() const;  // "1.2.3.4", "::1", "unix"; "" for none
  int port() const;          // 0 for unix
  void set_port(int port);   // nothing for unix
  std::string text() const;  // "1.2.3.4:5", "[::1]:5", "unix(PID)", "unix:/path", "unix:@name", "unix", "none"

  const std::string& path() const;  // "" unless made by unix_path (or from_sockaddr of a bound socket); '@' leads
  pid_t unix_pid() const;           // 0 unless a unix peer
  uid_t unix_uid() const;           // (uid_t)-1 unless a unix peer

  // The raw address bytes in network order: 4, 16 or 0 of them (for HBA rules).
  const unsigned char* ip_bytes() const;
  size_t ip_size() const;

  // Fills `to`; returns its size, 0 for none.
  socklen_t to_sockaddr(sockaddr_storage& to) const;

  // Same family, host (or path) and port.
  bool operator==(const Address& other) const;
  bool same_host(const Address& other) const;

 private:
  void unmap();  // ::ffff:1.2.3.4 becomes 1.2.3.4

  struct UnixPeer {
    sa_family_t family;
    pid_t pid;
    uid_t uid;
  };
  union {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
    UnixPeer peer;
  } ip_;
  std::unique_ptr<std::string> path_;
};

}  // namespace pgweir::net
