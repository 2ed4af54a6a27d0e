#include "net/address.hpp"

#include <arpa/inet.h>
#include <net/if.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>

#include "base/text.hpp"

namespace pgweir::net {

namespace {
constexpr size_t kPathOffset = offsetof(sockaddr_un, sun_path);
}

Address::Address() {  // NOLINT(*-member-init): memset reaches all of the union
  std::memset(&ip_, 0, sizeof ip_);
  ip_.any.sa_family = AF_UNSPEC;
}

Address::Address(const Address& other) : ip_(other.ip_) {
  if (other.path_) path_ = std::make_unique<std::string>(*other.path_);
}

Address& Address::operator=(const Address& other) {
  if (this == &other) return *this;
  ip_ = other.ip_;
  path_ = other.path_ ? std::make_unique<std::string>(*other.path_) : nullptr;
  return *this;
}

std::optional<Address> Address::parse_ip(const std::string& text, int port) {
  Address out;
  if (inet_pton(AF_INET, text.c_str(), &out.ip_.v4.sin_addr) == 1) {
    out.ip_.any.sa_family = AF_INET;
    out.set_port(port);
    return out;
  }
  std::string bare = text;
  unsigned scope = 0;
  if (size_t percent = text.find('%'); percent != std::string::npos) {
    bare = text.substr(0, percent);
    scope = if_nametoindex(text.c_str() + percent + 1);
    if (scope == 0) return std::nullopt;
  }
  if (inet_pton(AF_INET6, bare.c_str(), &out.ip_.v6.sin6_addr) != 1) return std::nullopt;
  out.ip_.any.sa_family = AF_INET6;
  out.ip_.v6.sin6_scope_id = scope;
  out.set_port(port);
  return out;
}

Result<Address> Address::unix_path(const std::string& path) {
  if (path.empty() || path == "@") return Error{"the unix socket has no name"};
  if (path.size() >= sizeof(sockaddr_un::sun_path))
    return Error{cat("the unix socket path \"", path, "\" is too long")};
  if (path.find('\0') != std::string::npos) return Error{"the unix socket path holds a NUL"};
  Address out;
  out.ip_.peer = {AF_UNIX, 0, static_cast<uid_t>(-1)};
  out.path_ = std::make_unique<std::string>(path);
  return out;
}

Address Address::unix_peer(pid_t pid, uid_t uid) {
  Address out;
  out.ip_.peer = {AF_UNIX, pid, uid};
  return out;
}

Address Address::from_sockaddr(const sockaddr* address, socklen_t size) {
  Address out;
  if (!address || size < sizeof(sa_family_t)) return out;
  if (address->sa_family == AF_INET && size >= sizeof(sockaddr_in)) {
    std::memcpy(&out.ip_.v4, address, sizeof(sockaddr_in));
  } else if (address->sa_family == AF_INET6 && size >= sizeof(sockaddr_in6)) {
    std::memcpy(&out.ip_.v6, address, sizeof(sockaddr_in6));
    if (IN6_IS_ADDR_V4MAPPED(&out.ip_.v6.sin6_addr)) out.unmap();
  } else if (address->sa_family == AF_UNIX) {
    out.ip_.peer = {AF_UNIX, 0, static_cast<uid_t>(-1)};
    if (size <= kPathOffset) return out;
    const char* name = reinterpret_cast<const sockaddr_un*>(address)->sun_path;
    size_t length = size - kPathOffset;
    bool abstract = name[0] == '\0';
    std::string path(name, abstract ? length : strnlen(name, length));
    if (abstract) path[0] = '@';
    if (!path.empty()) out.path_ = std::make_unique<std::string>(std::move(path));
  }
  return out;
}

void Address::unmap() {
  in_addr bare{};
  std::memcpy(&bare, ip_.v6.sin6_addr.s6_addr + 12, sizeof bare);
  const in_port_t port = ip_.v6.sin6_port;
  std::memset(&ip_, 0, sizeof ip_);
  ip_.v4.sin_family = AF_INET;
  ip_.v4.sin_port = port;
  ip_.v4.sin_addr = bare;
}

std::string Address::host() const {
  char buffer[INET6_ADDRSTRLEN] = "";
  switch (family()) {
    case AF_INET: return inet_ntop(AF_INET, &ip_.v4.sin_addr, buffer, sizeof buffer);
    case AF_INET6: {
      std::string text = inet_ntop(AF_INET6, &ip_.v6.sin6_addr, buffer, sizeof buffer);
      char name[IF_NAMESIZE];
      if (ip_.v6.sin6_scope_id && if_indextoname(ip_.v6.sin6_scope_id, name)) text += cat('%', name);
      return text;
    }
    case AF_UNIX: return "unix";
    default: return "";
  }
}

int Address::port() const {
  if (family() == AF_INET) return ntohs(ip_.v4.sin_port);
  if (family() == AF_INET6) return ntohs(ip_.v6.sin6_port);
  return 0;
}

void Address::set_port(int port) {
  if (family() == AF_INET) ip_.v4.sin_port = htons(static_cast<uint16_t>(port));
  if (family() == AF_INET6) ip_.v6.sin6_port = htons(static_cast<uint16_t>(port));
}

std::string Address::text() const {
  switch (family()) {
    case AF_INET: return cat(host(), ':', port());
    case AF_INET6: return cat('[', host(), "]:", port());
    case AF_UNIX:
      if (path_) return "unix:" + *path_;
      return unix_pid() ? cat("unix(", unix_pid(), ')') : "unix";
    default: return "none";
  }
}

const std::string& Address::path() const {
  static const std::string kNoPath;
  return path_ ? *path_ : kNoPath;
}

pid_t Address::unix_pid() const {
  return is_unix() ? ip_.peer.pid : 0;
}

uid_t Address::unix_uid() const {
  return is_unix() ? ip_.peer.uid : static_cast<uid_t>(-1);
}

const unsigned char* Address::ip_bytes() const {
  if (family() == AF_INET) return reinterpret_cast<const unsigned char*>(&ip_.v4.sin_addr);
  return reinterpret_cast<const unsigned char*>(&ip_.v6.sin6_addr);
}

size_t Address::ip_size() const {
  if (family() == AF_INET) return 4;
  return family() == AF_INET6 ? 16 : 0;
}

socklen_t Address::to_sockaddr(sockaddr_storage& to) const {
  std::memset(&to, 0, sizeof to);
  if (family() == AF_INET) {
    std::memcpy(&to, &ip_.v4, sizeof ip_.v4);
    return sizeof ip_.v4;
  }
  if (family() == AF_INET6) {
    std::memcpy(&to, &ip_.v6, sizeof ip_.v6);
    return sizeof ip_.v6;
  }
  if (!is_unix() || !path_) return 0;
  auto* out = reinterpret_cast<sockaddr_un*>(&to);
  out->sun_family = AF_UNIX;
  std::memcpy(out->sun_path, path_->data(), path_->size());
  if ((*path_)[0] != '@') return static_cast<socklen_t>(kPathOffset + path_->size() + 1);
  out->sun_path[0] = '\0';
  return static_cast<socklen_t>(kPathOffset + path_->size());
}

bool Address::same_host(const Address& other) const {
  if (family() != other.family()) return false;
  if (is_ip()) {
    if (family() == AF_INET6 && ip_.v6.sin6_scope_id != other.ip_.v6.sin6_scope_id) return false;
    return std::memcmp(ip_bytes(), other.ip_bytes(), ip_size()) == 0;
  }
  return path() == other.path() && unix_pid() == other.unix_pid();
}

bool Address::is_loopback() const {
  if (family() == AF_INET) return ip_bytes()[0] == 127;
  if (family() != AF_INET6) return false;
  const in6_addr& address = ip_.v6.sin6_addr;
  return IN6_IS_ADDR_LOOPBACK(&address) || (IN6_IS_ADDR_V4MAPPED(&address) && address.s6_addr[12] == 127);
}

bool Address::operator==(const Address& other) const {
  return same_host(other) && port() == other.port();
}

}  // namespace pgweir::net
