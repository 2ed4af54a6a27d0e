// The Director's inside; see director.hpp for what it promises. Private to workers/.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "admin/director_side.hpp"
#include "admin/operations.hpp"
#include "net/http.hpp"
#include "net/offload.hpp"
#include "net/resolver.hpp"
#include "workers/director.hpp"
#include "workers/fleet.hpp"
#include "workers/listeners.hpp"
#include "workers/worker.hpp"

namespace pgweir::workers {

class DirectorImpl final : public Director, private net::Turn, private admin::Operations, private admin::Office {
 public:
  DirectorImpl(DirectorOptions options, Logger& log, Hooks hooks, std::unique_ptr<net::Loop> loop);
  ~DirectorImpl() override;
  DirectorImpl(const DirectorImpl&) = delete;
  DirectorImpl& operator=(const DirectorImpl&) = delete;

  Result<void> make_workers();

  // -- Director --
  net::Loop& loop() override { return *loop_; }
  Result<void> listen(const std::vector<PassedSocket>& passed) override;
  int run() override;
  bool left_threads() const override { return left_threads_ > 0; }
  Result<void> reload() override;  // of admin::Operations, too
  void pause_all() override;
  void resume_all() override;
  void shutdown(ShutdownKind kind, const std::string& why) override;
  void fail(const std::string& why) override;
  pool::Mode mode() const override { return books_.mode(); }
  bool stopping() const override { return draining_ || books_.stopping() != pool::Stopping::kNo; }
  bool hang_worker(unsigned number) override;

 private:
  // Something that is over when a condition holds; looked at after every turn.
  struct Wait {
    std::function<bool()> over;
    std::function<void()> then;
  };

  // -- net::Turn --
  void after_batch() override { settle_waits(); }
  void on_tick(Micros now) override;

  // -- admin::Office, called on workers' threads --
  void submit(std::shared_ptr<admin::Job> job) override;
  void cancel_console() override;

  // -- admin::Operations --
  Result<void> set(const std::string& key, const std::string& value, std::string* notice) override;
  void pause(admin::DatabasePtr database, admin::Done done) override;
  void suspend(admin::Done done) override;
  void resume(admin::DatabasePtr database) override;
  void kill(admin::DatabasePtr database, admin::Done done) override;
  void kill_client(uint32_t id, admin::Done done) override;
  void reconnect(admin::DatabasePtr database) override;
  void wait_close(admin::DatabasePtr database, admin::Done done) override;
  void disable(admin::DatabasePtr database, bool disabled) override;
  void shutdown(admin::Shutdown kind) override;

  // settings
  Result<void> load_and_apply();
  Result<void> apply(const pool::SnapshotPtr& changed);
  void dropped(const std::vector<std::string>& names);
  void make_forced_pools();
  void watch_names();

  // jobs
  void take(const std::shared_ptr<admin::Job>& job);
  void gather(const std::shared_ptr<admin::Job>& job, const std::function<void()>& next);
  void finish(const std::shared_ptr<admin::Job>& job);
  admin::Context context();
  void on_every_worker(const std::function<void(Worker&)>& what);
  void sweep_all();
  // Asks every worker, adds up what they say, then calls `then` here.
  void count(const std::function<size_t(Worker&)>& ask, const std::function<void(size_t)>& then);
  // When every worker has done what was posted to it until now. Behind an order to the listeners: whoever was accepted
  // is known to his worker, or in its mailbox before what is posted next.
  void when_obeyed(const std::function<void()>& then);

  // SUSPEND (director_suspend.cpp)
  struct Rest {
    uint64_t suspension;
    session::Frozen who;
    Micros deadline;
    admin::Done done;
  };
  void await_rest(const Rest& rest);
  bool suspended(uint64_t suspension) const;  // this one still holds
  void lift_suspension();
  void resume_without_console();

  // shutdown (director_shutdown.cpp)
  void wait_for_servers();
  void wait_for_clients();
  void drain();
  void drain_newcomers(Micros deadline);
  void drain_clients();
  void drain_servers(Micros deadline);
  void again_soon(const std::function<void()>& what);
  void stop_offloads();

  // metrics (director_metrics.cpp)
  void serve_metrics(const std::string& where);
  void tell_metrics(const std::shared_ptr<net::HttpRequest>& request);

  // upkeep (director_upkeep.cpp)
  void settle_waits();
  void wait_for(std::function<bool()> over, std::function<void()> then);
  void drop_idle_pools(Micros now);
  void sample_stats();
  void log_stats(Micros now, const session::Counters& totals);
  void tell_status(Micros now, const session::Counters& totals);
  void check_workers(Micros now);
  void poll_obsolete(const std::string& database, const admin::Done& done);
  bool no_servers(const admin::DatabasePtr& database) const;

  DirectorOptions options_;
  Logger& log_;
  Hooks hooks_;
  std::unique_ptr<net::Loop> loop_;
  std::shared_ptr<net::Postbox> postbox_;
  track::StatementRegistry statements_;  // outlives every connection
  Fleet fleet_;
  net::OffloadPool offload_;
  net::OffloadPool vouchers_;  // apart, so that names and proofs do not wait for a directory
  net::OffloadPool lookups_;   // the resolver's
  net::Resolver resolver_;
  pool::Books books_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<Listeners> listeners_;  // in the loop of the first worker, so they end before it
  admin::Averages averages_;
  std::string metrics_at_;  // the setting that metrics_ was made, or tried, by
  std::unique_ptr<net::HttpServer> metrics_;
  std::vector<Wait> waits_;
  // Settings that were replaced, kept until nobody else has them: to free those of 10,000 databases takes milliseconds,
  // which no worker is to spend.
  std::vector<pool::SnapshotPtr> retired_;
  uint64_t suspension_ = 0;  // number of the last SUSPEND
  uint64_t shutdown_ = 0;    // number of the last shutdown that waits
  bool draining_ = false;
  int exit_code_ = 0;
  unsigned left_threads_ = 0;

  struct Beat {
    uint64_t count = 0;
    Micros at = 0;
    bool silent = false;  // told of in the log
  };
  std::vector<Beat> beats_;
  Micros last_alive_ = 0;
  Micros last_second_ = 0;
  Micros last_stats_ = 0;
  session::Counters stats_before_;
  Micros last_status_ = 0;
  uint64_t queries_before_ = 0;
  std::string status_;  // as told last
  Micros drain_deadline_ = kNever;
  Micros last_extend_ = 0;
};

}  // namespace pgweir::workers
