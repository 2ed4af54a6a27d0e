// A listening socket: TCP, unix (path or abstract), or one that systemd passed. Accepts in batches and hands each
// descriptor on. When accepting fails for want of descriptors or memory, it rests for kAcceptRest on its own.
// It closes its socket in the destructor; it never removes a socket file unless told so.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "net/address.hpp"
#include "net/loop.hpp"

namespace pgweir::net {

inline constexpr Micros kAcceptRest = 5 * kSecond;  // compat/config_file.md, "Listening"
inline constexpr int kAcceptsPerEvent = 64;

class Listener;

struct AcceptHandler {
  virtual ~AcceptHandler() = default;
  // `fd`: connected, non-blocking, close-on-exec, the handler's to close. listener.last_peer() says who it is.
  virtual void on_accept(int fd, Listener& listener) = 0;
  // `error`: an errno. Once for each rest.
  virtual void on_accept_failed(int error, Listener& listener) = 0;
};

struct ListenOptions {
  int backlog = 128;
  bool reuseport = false;
  bool defer_accept = false;  // TCP_DEFER_ACCEPT, value 1
  bool v6only = true;
};

struct UnixListenOptions {
  int backlog = 128;
  unsigned mode = 0777;  // of the socket file
  std::string group;     // name or number; empty: unchanged
};

class Listener {
 public:
  // Errors are "STEP(): REASON" ("bind(): Address already in use"). Port 0 lets the kernel choose. SO_REUSEADDR always.
  static Result<std::unique_ptr<Listener>> tcp(Loop& loop, const Address& address, const ListenOptions& options,
                                               AcceptHandler& handler);
  // `path`: absolute, or '@' and an abstract name. A socket file that is there is removed first, another kind of file
  // is an error; mode and group are set before the socket listens.
  static Result<std::unique_ptr<Listener>> unix_socket(Loop& loop, const std::string& path,
                                                       const UnixListenOptions& options, AcceptHandler& handler);
  // A listening socket from elsewhere (socket activation, the old process). Taken over on success only.
  static Result<std::unique_ptr<Listener>> adopt(Loop& loop, int fd, AcceptHandler& handler);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  Address address() const;                                 // as bound
  const Address& last_peer() const { return last_peer_; }  // valid inside on_accept
  int fd() const { return fd_; }

  void pause();   // idempotent; the kernel's queue goes on filling
  void resume();  // ends a rest, too
  bool paused() const { return paused_; }

  void set_defer_accept(bool on);  // TCP only
  void remove_file();              // the socket file that unix_socket made, if any

 private:
  Listener() = default;
  static Result<std::unique_ptr<Listener>> start(Loop& loop, int fd, AcceptHandler& handler);
  void on_ready();
  void rest(int error);
  void listen_again();

  Loop* loop_ = nullptr;
  AcceptHandler* handler_ = nullptr;
  int fd_ = -1;
  event* ready_ = nullptr;
  event* rested_ = nullptr;
  bool paused_ = false;
  bool resting_ = false;
  Address last_peer_;
  std::string file_;
};

// One item of listen_addr to addresses: a literal, "*" (0.0.0.0 and ::), or a name (all its addresses; blocking).
// Error: "getaddrinfo('NAME', 'PORT') = TEXT [CODE]".
Result<std::vector<Address>> resolve_listen(const std::string& item, int port);

// True when something accepts connections on this unix socket (path or '@' name).
bool unix_socket_in_use(const std::string& path);

}  // namespace pgweir::net
