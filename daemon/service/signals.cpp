#include "service/signals.hpp"

#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "base/text.hpp"

namespace pgweir::service {

namespace {

sigset_t handled() {
  sigset_t set;
  sigemptyset(&set);
  for (int number : {SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2})
    sigaddset(&set, number);
  sigaddset(&set, SIGRTMIN);
  return set;
}

}  // namespace

void block_signals() {
  sigset_t set = handled();
  sigaddset(&set, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

void unblock_signals() {
  sigset_t set = handled();
  sigaddset(&set, SIGPIPE);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

Result<std::unique_ptr<Signals>> Signals::create(workers::Director& director, Logger& log) {
  std::unique_ptr<Signals> signals(new Signals(director, log));
  sigset_t set = handled();
  signals->fd_ = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  if (signals->fd_ < 0) return Error{cat("signalfd: ", errno_text(errno))};
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
  if (number == SIGRTMIN) return drain();
  switch (number) {
    case SIGHUP:
      log_.reopen();  // for logrotate, also when the configuration is refused
      log_.log(Event::kReloadAsked, "got SIGHUP, re-reading config");
      (void)director_.reload().ok();
      return;
    case SIGTERM:
      return shut_down(workers::ShutdownKind::kWaitForClients, "SIGTERM", "waiting for all clients disconnect");
    case SIGINT:
      return shut_down(workers::ShutdownKind::kWaitForServers, "SIGINT",
                       "waiting for all servers connections to be released");
    case SIGQUIT: return director_.shutdown(workers::ShutdownKind::kImmediate, "got SIGQUIT, fast exit");
    case SIGUSR1: return pause();
    case SIGUSR2: return resume();
    default: return;
  }
}

// The second one does not wait. In the middle of a SUSPEND nobody could end what is waited for: that is a failure.
void Signals::shut_down(workers::ShutdownKind kind, const char* name, const char* what) {
  using workers::ShutdownKind;
  if (director_.stopping())
    return director_.shutdown(ShutdownKind::kImmediate, cat("got ", name, " while shutting down, fast exit"));
  const std::string why = cat("got ", name, ", shutting down, ", what);
  if (director_.mode() != pool::Mode::kSuspended) return director_.shutdown(kind, why);
  log_.log(Event::kShutdown, why);
  director_.fail("suspend was in progress, going down immediately");
}

// What systemd's stop sends. It may hurry on a shutdown that waits for clients who do not think of going.
void Signals::drain() {
  using workers::ShutdownKind;
  if (draining_) return director_.shutdown(ShutdownKind::kImmediate, "got SIGRTMIN while draining, fast exit");
  draining_ = true;
  director_.shutdown(ShutdownKind::kDrain, "got SIGRTMIN, shutting down, waiting for the transactions that are open");
}

void Signals::pause() {
  if (director_.stopping()) return log_.log(Event::kPauseOrResume, "got SIGUSR1 while shutting down, ignoring");
  if (director_.mode() != pool::Mode::kRunning)
    return log_.log(Event::kPauseOrResume, "got SIGUSR1, but already paused/suspended");
  log_.log(Event::kPauseOrResume, "got SIGUSR1, pausing all activity");
  director_.pause_all();
}

void Signals::resume() {
  if (director_.stopping()) return log_.log(Event::kPauseOrResume, "got SIGUSR2 while shutting down, ignoring");
  const pool::Mode mode = director_.mode();
  if (mode == pool::Mode::kRunning) return log_.log(Event::kPauseOrResume, "got SIGUSR2, but not paused/suspended");
  log_.log(Event::kPauseOrResume,
           cat("got SIGUSR2, continuing from ", mode == pool::Mode::kPaused ? "PAUSE" : "SUSPEND"));
  director_.resume_all();
}

}  // namespace pgweir::service
