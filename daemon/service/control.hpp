// The control socket: how `systemctl reload` asks the daemon and waits for its answer, whatever auth_type says and
// without a password. A unix socket of packets, one order a packet, one answer a packet: "ok" or "error TEXT".
// Promises: only root and the daemon's own account are heard; an order costs the Director what it costs by signal.
// Does not: offer more than what systemd needs; people have the console.
#pragma once

#include <list>
#include <memory>
#include <string>

#include "base/log.hpp"
#include "base/result.hpp"
#include "net/wakeup.hpp"
#include "workers/director.hpp"

namespace pgweir::service {

class Control {
 public:
  // An empty path: none (a null pointer). A socket file that nobody serves is replaced. Error: somebody serves it, or
  // the kernel refuses. The Director outlives it.
  static Result<std::unique_ptr<Control>> create(const std::string& path, workers::Director& director, Logger& log);
  ~Control();
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

 private:
  struct Peer {
    int fd = -1;
    std::unique_ptr<net::Watch> watch;
    bool over = false;
  };
  Control(workers::Director& director, Logger& log, std::string path)
      : director_(director), log_(log), path_(std::move(path)) {}
  Result<void> open();
  void accept();
  void read(Peer& peer);
  std::string obey(std::string_view order);
  void sweep();

  workers::Director& director_;
  Logger& log_;
  std::string path_;
  int fd_ = -1;
  bool test_orders_ = false;
  std::unique_ptr<net::Watch> watch_;
  std::list<Peer> peers_;
};

// The other side: sends "reload" and prints what is wrong to standard error. Gives the exit code: 0 reloaded, 1 refused
// or no answer within a minute.
int ask_to_reload(const std::string& path);

}  // namespace pgweir::service
