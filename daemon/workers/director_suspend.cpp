// SUSPEND over all workers: first the clients come to rest, on every worker, then the servers; so that a client that
// waits for a server gets it while servers still work. Ended by RESUME, by the last console client's leaving, or by a
// shutdown.
#include "base/text.hpp"
#include "workers/director_impl.hpp"

namespace pgweir::workers {

using admin::Done;
using session::Frozen;

namespace {
constexpr Micros kLookAgain = 20 * kMillisecond;

Result<void> ended_early() {
  return Error{"SUSPEND was ended before all connections came to rest"};
}
}  // namespace

void DirectorImpl::suspend(Done done) {
  const Micros limit = books_.snapshot()->global.suspend_timeout;
  books_.set_mode(pool::Mode::kSuspended);
  listeners_->pause();
  ++suspension_;
  const Rest rest{suspension_, Frozen::kClients, limit > 0 ? loop_->now() + limit : kNever, std::move(done)};
  when_obeyed([this, rest] { suspended(rest.suspension) ? await_rest(rest) : rest.done(ended_early()); });
}

bool DirectorImpl::suspended(uint64_t suspension) const {
  return books_.mode() == pool::Mode::kSuspended && suspension == suspension_;
}

// Asks again and again, until nobody is restless. Beyond the deadline workers close who is.
void DirectorImpl::await_rest(const Rest& rest) {
  const bool late = loop_->now() >= rest.deadline;
  count([who = rest.who, late](Worker& worker) { return worker.freeze(who, late); },
        [this, rest](size_t restless) {
          if (!suspended(rest.suspension)) return rest.done(ended_early());
          if (restless > 0) {
            const Micros again = loop_->now() + kLookAgain;
            wait_for([this, rest, again] { return loop_->now() >= again || !suspended(rest.suspension); },
                     [this, rest] { suspended(rest.suspension) ? await_rest(rest) : rest.done(ended_early()); });
          } else if (rest.who == Frozen::kClients) {
            await_rest({rest.suspension, Frozen::kAll, rest.deadline, rest.done});
          } else {
            rest.done({});
          }
        });
}

void DirectorImpl::lift_suspension() {
  if (books_.mode() != pool::Mode::kSuspended) return;
  books_.set_mode(pool::Mode::kRunning);
  listeners_->resume();
  on_every_worker([](Worker& worker) { worker.thaw(); });
}

// Nobody is accepted while suspended: without a console client nobody could ever resume.
void DirectorImpl::resume_without_console() {
  if (books_.mode() != pool::Mode::kSuspended) return;
  count([](Worker& worker) { return worker.console_clients(); },
        [this, suspension = suspension_](size_t consoles) {
          if (consoles > 0 || !suspended(suspension)) return;
          log_.log(Event::kPauseOrResume, "no console client is left, continuing from SUSPEND");
          resume_all();
        });
}

}  // namespace pgweir::workers
