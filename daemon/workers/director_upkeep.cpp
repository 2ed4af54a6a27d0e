// What the Director does for the operator and by the clock: PAUSE and its kin, statistics, heart beats.
#include <future>

#include "base/text.hpp"
#include "workers/director_impl.hpp"

namespace pgweir::workers {

using admin::DatabasePtr;
using admin::Done;
using session::Reason;

namespace {
constexpr Micros kTenth = 100 * kMillisecond;
constexpr Micros kStatusEvery = 5 * kSecond;
}  // namespace

// ---- waiting ----

void DirectorImpl::wait_for(std::function<bool()> over, std::function<void()> then) {
  waits_.push_back({std::move(over), std::move(then)});
  settle_waits();
}

void DirectorImpl::settle_waits() {
  for (size_t at = 0; at < waits_.size();) {
    if (!waits_[at].over()) {
      ++at;
      continue;
    }
    auto then = std::move(waits_[at].then);
    waits_.erase(waits_.begin() + static_cast<ptrdiff_t>(at));
    then();
  }
}

bool DirectorImpl::no_servers(const DatabasePtr& database) const {
  if (database) return database->servers.used() == 0;
  for (const auto& entry : books_.databases()) {
    if (entry->servers.used() > 0) return false;
  }
  return true;
}

void DirectorImpl::count(const std::function<size_t(Worker&)>& ask, const std::function<void(size_t)>& then) {
  struct Sum {
    std::atomic<size_t> total{0};
    std::atomic<unsigned> due;
  };
  auto sum = std::make_shared<Sum>();
  sum->due = fleet_.size();
  on_every_worker([this, sum, ask, then](Worker& worker) {
    sum->total += ask(worker);
    if (sum->due.fetch_sub(1) == 1) postbox_->post([sum, then] { then(sum->total.load()); });
  });
}

void DirectorImpl::when_obeyed(const std::function<void()>& then) {
  count([](Worker&) -> size_t { return 0; }, [then](size_t) { then(); });
}

// ---- the operator's commands ----

void DirectorImpl::pause(DatabasePtr database, Done done) {
  if (database) {
    database->paused = true;
  } else {
    books_.set_mode(pool::Mode::kPaused);
  }
  sweep_all();
  // Whoever waits for it is about to do something that needs the pause: if it was ended meanwhile (RESUME, a signal, a
  // cancel request), that is a failure.
  auto resumed = [this, database] {
    return database ? !database->paused.load() : books_.mode() != pool::Mode::kPaused;
  };
  wait_for([this, database, resumed] { return resumed() || no_servers(database); },
           [done, resumed] { resumed() ? done(Error{"PAUSE was ended before all servers were released"}) : done({}); });
}

void DirectorImpl::resume(DatabasePtr database) {
  if (database) {
    database->paused = false;
  } else {
    lift_suspension();
    books_.set_mode(pool::Mode::kRunning);
  }
  for (unsigned worker = 0; worker < fleet_.size(); ++worker)
    fleet_.post(worker, SupplyChanged{nullptr});
}

void DirectorImpl::kill(DatabasePtr database, Done done) {
  auto entries = database ? std::vector<DatabasePtr>{database} : books_.databases_with_pools();
  for (const auto& entry : entries) {
    entry->paused = true;
    books_.forget_pools(*entry);
  }
  count(
      [entries](Worker& worker) -> size_t {
        for (const auto& entry : entries) {
          worker.close_clients_of(entry->name, Reason::kDatabaseRemoved);
          worker.close_servers_of(entry->name, Reason::kDatabaseRemoved);
        }
        return 0;
      },
      [done](size_t) { done({}); });
}

void DirectorImpl::kill_client(uint32_t id, Done done) {
  count([id](Worker& worker) -> size_t { return worker.kill_client(id) ? 1 : 0; },
        [done](size_t found) { found > 0 ? done({}) : done(Error{"client not found"}); });
}

void DirectorImpl::reconnect(DatabasePtr database) {
  books_.obsolete(database.get());
  sweep_all();
}

void DirectorImpl::wait_close(DatabasePtr database, Done done) {
  poll_obsolete(database ? database->name : std::string(), done);
}

void DirectorImpl::poll_obsolete(const std::string& database, const Done& done) {
  count([database](Worker& worker) { return worker.obsolete_servers(database); },
        [this, database, done](size_t left) {
          if (left == 0) return done({});
          Micros again = loop_->now() + kTenth;
          wait_for([this, again] { return loop_->now() >= again; },
                   [this, database, done] { poll_obsolete(database, done); });
        });
}

void DirectorImpl::disable(DatabasePtr database, bool disabled) {
  database->disabled = disabled;
}

void DirectorImpl::shutdown(admin::Shutdown kind) {
  shutdown(static_cast<ShutdownKind>(kind), "");
}

void DirectorImpl::pause_all() {
  if (books_.paused() || stopping()) return;
  pause(nullptr, [](const Result<void>&) {});
}

void DirectorImpl::resume_all() {
  resume(nullptr);
}

// ---- names ----

// The resolver calls in its own threads, at worst while the Director ends: what is to be done goes through the loop,
// which does nothing any more then.
void DirectorImpl::watch_names() {
  resolver_.set_on_change([this, box = postbox_](const std::string& name, const std::vector<net::Address>& vanished) {
    box->post([this, name, vanished] {
      on_every_worker([name, vanished](Worker& worker) { worker.leave_addresses(name, vanished); });
    });
  });
  resolver_.set_on_zone([this, box = postbox_](const net::ResolvedZone& zone, const std::string& error) {
    box->post([this, zone, error] {
      if (error.empty()) {
        log_.log(Event::kZoneChecked, cat("DNS zone ", zone.name, " has changed (serial ", zone.serial,
                                          "), looking up its ", zone.names, " names again"));
      } else {
        log_.warning(Event::kZoneChecked,
                     cat("DNS zone ", zone.name, ": no serial number: ", error,
                         "; dns_zone_check_period has no effect for its names until there is one"));
      }
    });
  });
}

// ---- by the clock ----

void DirectorImpl::on_tick(Micros now) {
  check_workers(now);
  resume_without_console();
  if (now - last_second_ < kSecond) return;
  last_second_ = now;
  log_.tick();
  resolver_.check_zones();
  std::erase_if(retired_, [](const pool::SnapshotPtr& settings) { return settings.use_count() == 1; });
  sample_stats();
  dropped(books_.drop_idle_automatic(now, books_.snapshot()->global.autodb_idle_timeout));
  drop_idle_pools(now);
}

// The books forget a pool when every worker has given up its part. Who comes meanwhile keeps it.
void DirectorImpl::drop_idle_pools(Micros now) {
  for (unsigned id : books_.idle_pools(now, books_.snapshot()->global.pool_idle_timeout)) {
    count([id](Worker& worker) -> size_t { return worker.leave_pool(id) ? 0 : 1; },
          [this, id](size_t busy) {
            if (busy == 0) books_.forget_unused(id);
          });
  }
}

// systemd is fed only while every worker's heart beats: one that has been silent for half the watchdog's interval
// means that something hangs.
void DirectorImpl::check_workers(Micros now) {
  if (options_.watchdog <= 0 || !hooks_.alive) return;
  bool all = true;
  for (unsigned worker = 0; worker < fleet_.size(); ++worker) {
    Beat& beat = beats_[worker];
    uint64_t count = fleet_.beats(worker).load(std::memory_order_relaxed);
    if (count != beat.count || beat.at == 0) {
      if (beat.silent) {
        log_.write(Level::kWarning, Event::kWorkerBack, cat("worker ", worker, " answers again"),
                   {{"WORKER", std::to_string(worker)}});
      }
      beat = {count, now, false};
    }
    if (now - beat.at <= options_.watchdog / 2) continue;
    all = false;
    if (!beat.silent) {
      log_.write(Level::kError, Event::kWorkerSilent,
                 cat("worker ", worker, " has not answered for ", (now - beat.at) / kMillisecond,
                     " ms: no sign of life to the service manager until it does"),
                 {{"WORKER", std::to_string(worker)}});
    }
    beat.silent = true;
  }
  if (!all || now - last_alive_ < options_.watchdog / 4) return;
  last_alive_ = now;
  hooks_.alive();
}

bool DirectorImpl::hang_worker(unsigned number) {
  if (number >= fleet_.size()) return false;
  fleet_.post(number, Order{[](Worker&) {
                std::promise<void> never;
                never.get_future().wait();
              }});
  return true;
}

void DirectorImpl::sample_stats() {
  auto job = admin::make_stats_job();
  gather(job, [this, job] {
    auto totals = admin::totals_of(*job);
    totals[admin::kConsoleDatabase] += averages_.console;  // as SHOW STATS does, so that the two can be compared
    Micros now = loop_->now();
    averages_.sample(now, totals, books_.snapshot()->global.stats_period * kSecond);
    session::Counters sum;
    for (const auto& [database, counters] : totals)
      sum += counters;
    if (now - last_stats_ >= books_.snapshot()->global.stats_period * kSecond) log_stats(now, sum);
    if (hooks_.status && (last_status_ == 0 || now - last_status_ >= kStatusEvery)) tell_status(now, sum);
  });
}

// "running: 120 clients, 3 waiting, 15 servers, 5230 queries/s"
void DirectorImpl::tell_status(Micros now, const session::Counters& totals) {
  const Micros since = last_status_ == 0 ? last_stats_ : last_status_;
  auto period = static_cast<uint64_t>(std::max<Micros>(now - since, 1));
  const uint64_t rate = (totals.queries - std::min(totals.queries, queries_before_)) * kSecond / period;
  last_status_ = now;
  queries_before_ = totals.queries;
  count([](Worker& worker) { return worker.waiting_clients(); },
        [this, rate](size_t waiting) {
          static constexpr const char* kModes[] = {"running", "paused", "suspended"};
          const char* mode = stopping() ? "stopping" : kModes[static_cast<size_t>(books_.mode())];
          int servers = 0;
          for (const auto& entry : books_.databases())
            servers += entry->servers.used();
          std::string text = cat(mode, ": ", books_.clients().used(), " clients, ", waiting, " waiting, ", servers,
                                 " servers, ", rate, " queries/s");
          if (unsigned long lost = log_.untold(); lost > 0) text += cat(", ", lost, " log records lost");
          if (text == status_) return;
          status_ = text;
          hooks_.status(text);
        });
}

void DirectorImpl::log_stats(Micros now, const session::Counters& totals) {
  const session::Counters& before = stats_before_;
  auto period = static_cast<uint64_t>(std::max<Micros>(now - last_stats_, 1));
  auto rate = [period](uint64_t after, uint64_t was) { return (after - std::min(after, was)) * kSecond / period; };
  auto mean = [](uint64_t time, uint64_t was, uint64_t number, uint64_t number_was) {
    return number > number_was && time >= was ? (time - was) / (number - number_was) : 0;
  };
  std::string line =
      cat("stats: ", rate(totals.xacts, before.xacts), " xacts/s, ", rate(totals.queries, before.queries),
          " queries/s, ", rate(totals.client_parses, before.client_parses), " client parses/s, ",
          rate(totals.server_parses, before.server_parses), " server parses/s, ", rate(totals.binds, before.binds),
          " binds/s, ", rate(totals.client_logins, before.client_logins), " client logins/s, in ",
          rate(totals.received, before.received), " B/s, out ", rate(totals.sent, before.sent), " B/s, xact ",
          mean(totals.xact_time, before.xact_time, totals.xacts, before.xacts), " us, query ",
          mean(totals.query_time, before.query_time, totals.queries, before.queries), " us, wait ",
          mean(totals.wait_time, before.wait_time, totals.server_assignments, before.server_assignments), " us");
  stats_before_ = totals;
  last_stats_ = now;
  if (books_.snapshot()->global.log_stats) log_.log(Event::kStats, line);
}

}  // namespace pgweir::workers
