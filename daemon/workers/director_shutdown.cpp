// How the daemon ends: at once, when all servers have been released, when all clients have gone (PgBouncer's three,
// compat/config_file.md section 8), or by a drain, which is what a service manager's stop asks for: nobody waits for
// idle clients, transactions end, and PostgreSQL has closed its side of every connection before the process ends.
#include "base/text.hpp"
#include "workers/director_impl.hpp"

namespace pgweir::workers {

namespace {
constexpr Micros kLookAgain = 100 * kMillisecond;
constexpr Micros kExtendEvery = kSecond;
constexpr Micros kExtension = 10 * kSecond;  // what systemd is asked for each time
constexpr Micros kNewcomersPatience = kSecond;
constexpr Micros kServersPatience = 3 * kSecond;  // for PostgreSQL to close its side
}  // namespace

void DirectorImpl::shutdown(ShutdownKind kind, const std::string& why) {
  if (!why.empty()) log_.log(Event::kShutdown, why);
  if (hooks_.stopping) hooks_.stopping();
  if (kind == ShutdownKind::kImmediate) return loop_->stop();
  ++shutdown_;        // what an earlier one waits for counts no more
  lift_suspension();  // clients could not end what they have begun
  switch (kind) {
    case ShutdownKind::kWaitForServers: return wait_for_servers();
    case ShutdownKind::kWaitForClients: return wait_for_clients();
    default: return drain();
  }
}

void DirectorImpl::wait_for_servers() {
  listeners_->close_tcp();
  books_.set_stopping(pool::Stopping::kWaitForServers);
  books_.set_mode(pool::Mode::kPaused);
  on_every_worker([](Worker& worker) { worker.refuse_waiting(); });
  wait_for([this, number = shutdown_] { return number != shutdown_ || no_servers(nullptr); },
           [this, number = shutdown_] {
             if (number != shutdown_) return;
             log_.log(Event::kShutdownDone, "server connections dropped, exiting");
             loop_->stop();
           });
}

void DirectorImpl::wait_for_clients() {
  listeners_->close_tcp();
  books_.set_stopping(pool::Stopping::kWaitForClients);
  wait_for([this, number = shutdown_] { return number != shutdown_ || books_.clients().used() == 0; },
           [this, number = shutdown_] {
             if (number != shutdown_) return;
             log_.log(Event::kShutdownDone, "client connections dropped, exiting");
             loop_->stop();
           });
}

// Whoever comes from now on waits in the queue of systemd's socket, or is refused by the kernel where the socket was
// ours.
void DirectorImpl::drain() {
  const Micros limit = books_.snapshot()->global.shutdown_timeout;
  drain_deadline_ = limit > 0 ? loop_->now() + limit : kNever;
  draining_ = true;
  listeners_->close_all();
  when_obeyed([this] { drain_newcomers(loop_->now() + kNewcomersPatience); });
}

// Who was let in by the kernel a moment too early is no worse off than who came a moment later: a login that is on its
// way ends, and the first query behind it is served, within a second. A program that connects for each of its queries
// does not notice a restart.
void DirectorImpl::drain_newcomers(Micros deadline) {
  count([](Worker& worker) { return worker.newcomers(); },
        [this, deadline](size_t left) {
          if (left > 0 && loop_->now() < deadline) return again_soon([this, deadline] { drain_newcomers(deadline); });
          books_.set_stopping(pool::Stopping::kDrain);
          books_.set_mode(pool::Mode::kPaused);
          sweep_all();
          drain_clients();
        });
}

void DirectorImpl::again_soon(const std::function<void()>& what) {
  const Micros now = loop_->now();
  if (hooks_.extend && now - last_extend_ >= kExtendEvery) {
    last_extend_ = now;
    hooks_.extend(kExtension);
  }
  wait_for([this, again = now + kLookAgain] { return loop_->now() >= again; }, what);
}

void DirectorImpl::drain_clients() {
  count([](Worker& worker) { return worker.drain(false); },
        [this](size_t left) {
          if (left == 0) return drain_servers(loop_->now() + kServersPatience);
          if (loop_->now() < drain_deadline_) return again_soon([this] { drain_clients(); });
          log_.warning(Event::kShutdownTimeout,
                       cat("shutdown_timeout is over, ", left, " clients are closed in the middle of their work"));
          count([](Worker& worker) { return worker.drain(true); },
                [this](size_t) { drain_servers(loop_->now() + kServersPatience); });
        });
}

void DirectorImpl::drain_servers(Micros deadline) {
  count(
      [](Worker& worker) -> size_t {
        worker.dismiss_servers();
        return 0;
      },
      [this, deadline](size_t) {
        if (!no_servers(nullptr) && loop_->now() < deadline)
          return again_soon([this, deadline] { drain_servers(deadline); });
        log_.log(Event::kShutdownDone, "all connections are closed, exiting");
        loop_->stop();
      });
}

void DirectorImpl::fail(const std::string& why) {
  log_.fatal(Event::kShutdown, why);
  exit_code_ = 1;
  if (hooks_.stopping) hooks_.stopping();
  loop_->stop();
}

}  // namespace pgweir::workers
