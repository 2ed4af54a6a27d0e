// The Director's and the workers' part in a console command. The Director asks plan(); for kWorkers it has
// collect_part() run on every worker (job.parts[worker]); then it calls finish(), which checks, acts through
// Operations or makes the rows, and calls `done` once, now or later, when job.outcome is complete.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "admin/averages.hpp"
#include "admin/job.hpp"
#include "admin/operations.hpp"
#include "base/log.hpp"
#include "net/resolver.hpp"
#include "pool/shared.hpp"
#include "session/hub.hpp"

namespace pgweir::admin {

// Where a command runs before finish().
enum class Where : uint8_t { kDirector, kWorkers };

// What finish() works with. References outlive the job.
struct Context {
  pool::Books& books;
  pool::SnapshotPtr snapshot;
  net::Resolver& resolver;
  Averages& averages;
  Operations& operations;
  std::string version;  // SHOW VERSION
  Logger& log;
  std::function<Rows()> listeners;  // fd, address, port of each listening socket (SHOW FDS)
};

// On any thread.
Where plan(const Job& job);
// On a worker's thread: this worker's rows of the job's SHOW.
void collect_part(session::Hub& hub, const Job& job, Rows& rows);
// On the Director's. Rights have been checked by the console; they are checked here again.
void finish(const std::shared_ptr<Job>& job, const Context& context, std::function<void()> done);

// For the Director's own sampling: a job whose parts hold every worker's counters, and their sums by database.
std::shared_ptr<Job> make_stats_job();
Totals totals_of(const Job& job);

}  // namespace pgweir::admin
