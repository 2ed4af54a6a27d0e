#include "admin/director_side.hpp"

#include "admin/actions.hpp"
#include "admin/metrics.hpp"
#include "admin/present.hpp"
#include "base/text.hpp"

namespace pgweir::admin {

namespace {

const TopicRow* topic_of(const Job& job) {
  return job.command.word == "SHOW" ? find_topic(job.command.argument) : nullptr;
}

// Console commands count as queries and transactions of their database (compat/console.md, section 6); nothing of them
// is passed on to or from a server, so there are no bytes.
void book(Averages& averages) {
  ++averages.console.xacts;
  ++averages.console.queries;
}

}  // namespace

Where plan(const Job& job) {
  const TopicRow* topic = topic_of(job);
  return topic && topic->collect ? Where::kWorkers : Where::kDirector;
}

void collect_part(session::Hub& hub, const Job& job, Rows& rows) {
  const TopicRow* topic = topic_of(job);
  if (topic && topic->collect) topic->collect(hub, rows);
}

void finish(const std::shared_ptr<Job>& job, const Context& context, std::function<void()> done) {
  const CommandRow* row = find_command(job->command.word);
  Result<void> allowed = check(job->command, job->rights);
  if (!row || !row->handle || !allowed.ok()) {
    fail(*job, allowed.ok() ? invalid_command(job->command.text) : allowed.error());
    return done();
  }
  Averages& averages = context.averages;
  row->handle(Call{job, context, [&averages, done = std::move(done)] {
                     book(averages);
                     done();
                   }});
}

std::shared_ptr<Job> make_stats_job() {
  return make_show_job("STATS");
}

Totals totals_of(const Job& job) {
  Totals totals;
  for (const Rows& part : job.parts) {
    for (const auto& [database, counters] : totals_from(part))
      totals[database] += counters;
  }
  return totals;
}

}  // namespace pgweir::admin
