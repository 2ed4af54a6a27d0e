#include "service/signals.hpp"

#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/text.hpp"

namespace pgweir::service {

namespace {

sigset_t handled() {
  sigset_t set;
  sigemptyset(&set);
  for (int number : {SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2})
    sigaddset(&set, number);
  return set;
}

}  // namespace

void block_signals() {
  sigset_t set = handled();
  sigaddset(&set, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

Result<std::unique_ptr<Signals>> Signals::create(workers::Director& director, Logger& log) {
  std::unique_ptr<Signals> signals(new Signals(director, log));
  sigset_t set = handled();
  signals->fd_ = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  if (signals->fd_ < 0) return Error{cat("signalfd: ", std::strerror(errno))};
  Signals* self = signals.get();
  auto watch = net::Watch::create(director.loop(), signals->fd_, [self] { self->read(); });
  if (!watch) return watch.error();
  signals->watch_ = watch.take();
  return signals;
}

Signals::~Signals() {
  watch_.reset();
  if (fd_ >= 0) ::close(fd_);
}

void Signals::read() {
  signalfd_siginfo info{};
  while (::read(fd_, &info, sizeof info) == static_cast<ssize_t>(sizeof info))
    handle(static_cast<int>(info.ssi_signo));
}

void Signals::handle(int number) {
  using workers::ShutdownKind;
  bool again = director_.stopping();
  switch (number) {
    case SIGHUP:
      log_.log("got SIGHUP, re-reading config");
      (void)director_.reload().ok();
      return;
    case SIGTERM:
      if (again) return director_.shutdown(ShutdownKind::kImmediate, "got SIGTERM while shutting down, fast exit");
      return director_.shutdown(ShutdownKind::kWaitForClients,
                                "got SIGTERM, shutting down, waiting for all clients disconnect");
    case SIGINT:
      if (again) return director_.shutdown(ShutdownKind::kImmediate, "got SIGINT while shutting down, fast exit");
      return director_.shutdown(ShutdownKind::kWaitForServers,
                                "got SIGINT, shutting down, waiting for all servers connections to be released");
    case SIGQUIT: return director_.shutdown(ShutdownKind::kImmediate, "got SIGQUIT, fast exit");
    case SIGUSR1: log_.log("got SIGUSR1, pausing all activity"); return director_.pause_all();
    case SIGUSR2:
      if (again) return log_.log("got SIGUSR2, ignored while shutting down");
      log_.log("got SIGUSR2, continuing from PAUSE");
      return director_.resume_all();
    default: return;
  }
}

}  // namespace pgweir::service
