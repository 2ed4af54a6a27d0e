// Signals as events of the Director's loop. They are blocked before any thread is made, so none is lost and none
// interrupts anything. Meanings: compat/config_file.md section 8.
#pragma once

#include <memory>

#include "base/log.hpp"
#include "base/result.hpp"
#include "net/wakeup.hpp"
#include "workers/director.hpp"

namespace pgweir::service {

// Those that Signals handles, and SIGPIPE. To be called before there are threads; they inherit it.
void block_signals();
// Undoes it, for a run that is no daemon.
void unblock_signals();

class Signals {
 public:
  static Result<std::unique_ptr<Signals>> create(workers::Director& director, Logger& log);
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

 private:
  Signals(workers::Director& director, Logger& log) : director_(director), log_(log) {}
  void read();
  void handle(int number);
  void shut_down(workers::ShutdownKind kind, const char* name, const char* what);
  void pause();
  void resume();

  workers::Director& director_;
  Logger& log_;
  void drain();

  bool draining_ = false;
  int fd_ = -1;
  std::unique_ptr<net::Watch> watch_;
};

}  // namespace pgweir::service
