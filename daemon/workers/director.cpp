#include "workers/director_impl.hpp"

#include <sys/resource.h>

#include "auth/random.hpp"
#include "base/text.hpp"
#include "settings/load.hpp"
#include "workers/tls.hpp"

namespace pgweir::workers {

namespace {

int descriptor_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur > INT32_MAX ? INT32_MAX : static_cast<int>(limit.rlim_cur);
}

net::ResolverOptions resolver_options(const settings::Global& global) {
  net::ResolverOptions options;
  options.ttl = global.dns_max_ttl;
  options.negative_ttl = global.dns_nxdomain_ttl;
  options.zone_check_period = global.dns_zone_check_period;
  options.resolv_conf = global.resolv_conf;
  return options;
}

constexpr unsigned kOffloadThreads = 4;
constexpr size_t kOffloadQueue = 4096;
// Threads of their own, so that name servers that are silent hold up nothing else; a zone whose servers are silent has
// half of them at most. A thread begins when it is needed.
constexpr unsigned kLookupThreads = 16;
constexpr unsigned kLookupLane = 8;

// PAM and directories may take seconds for each login. Every waiting login is a client, so max_client_conn bounds the
// queue first. PAM, and each set of LDAP servers, has at most a third of the threads.
constexpr unsigned kVouchThreads = 48;
constexpr unsigned kVouchLane = 16;
constexpr size_t kVouchQueue = 65'536;

}  // namespace

Result<std::unique_ptr<Director>> Director::create(DirectorOptions options, Logger& log, Hooks hooks) {
  auto loop = net::Loop::create();
  if (!loop) return loop.error();
  auto director = std::make_unique<DirectorImpl>(std::move(options), log, std::move(hooks), loop.take());
  Result<void> made = director->make_workers();
  if (!made) return made.error();
  return std::unique_ptr<Director>(std::move(director));
}

DirectorImpl::DirectorImpl(DirectorOptions options, Logger& log, Hooks hooks, std::unique_ptr<net::Loop> loop)
    : options_(std::move(options)),
      log_(log),
      hooks_(std::move(hooks)),
      loop_(std::move(loop)),
      postbox_(loop_->postbox()),
      fleet_(options_.snapshot->global.worker_count()),
      offload_(kOffloadThreads, kOffloadQueue),
      vouchers_(kVouchThreads, kVouchQueue, kVouchLane),
      lookups_(kLookupThreads, kOffloadQueue, kLookupLane),
      resolver_(lookups_),
      books_(fleet_.size(), options_.snapshot) {
  fleet_.set_books(&books_);
  loop_->set_offload(&offload_);
  resolver_.set_options(resolver_options(options_.snapshot->global));
  watch_names();
}

DirectorImpl::~DirectorImpl() = default;

Result<void> DirectorImpl::make_workers() {
  NewSettings settings;
  settings.snapshot = options_.snapshot;
  settings.client_tls = options_.client_tls;
  settings.server_tls = options_.server_tls;
  auto secret = auth::random_bytes(32);
  if (!secret) return secret.error();
  const WorkerParts parts{fleet_, resolver_,   offload_, vouchers_, log_,
                          books_, statements_, *this,    *secret,   descriptor_limit()};
  for (unsigned number = 0; number < fleet_.size(); ++number) {
    auto worker = Worker::create(number, parts, settings);
    if (!worker) return worker.error();
    workers_.push_back(worker.take());
  }
  Worker& first = *workers_[kAcceptingWorker];
  listeners_ =
      std::make_unique<Listeners>(first.loop, fleet_, log_, [&first](const NewClient& one) { first.adopt(one); });
  beats_.resize(fleet_.size());
  return {};
}

Result<void> DirectorImpl::listen(const std::vector<PassedSocket>& passed) {
  return listeners_->open(options_.snapshot->global, passed);
}

int DirectorImpl::run() {
  for (auto& worker : workers_)
    worker->start();
  make_forced_pools();
  serve_metrics(books_.snapshot()->global.metrics_listen);
  if (hooks_.ready) hooks_.ready();
  last_stats_ = loop_->now();
  loop_->run(*this);
  listeners_->close_all();
  on_every_worker([](Worker& worker) { worker.stop(); });
  for (auto& worker : workers_)
    worker->join();
  stop_offloads();
  return exit_code_;
}

// Each waits a little for those of its threads that are held up.
void DirectorImpl::stop_offloads() {
  for (net::OffloadPool* pool : {&lookups_, &offload_, &vouchers_})
    left_threads_ += pool->stop();
  if (left_threads_ == 0) return;
  log_.log(Event::kShutdownDone,
           cat("not waiting for ", left_threads_, " thread(s) that PAM, a directory or a name server holds up"));
}

// ---- settings ----

Result<void> DirectorImpl::reload() {
  if (hooks_.reloading) hooks_.reloading();
  Result<void> done = load_and_apply();
  if (!done) log_.warning(Event::kReloadFailed, "config file loading failed");
  if (hooks_.ready) hooks_.ready();
  return done;
}

Result<void> DirectorImpl::load_and_apply() {
  pool::SnapshotPtr running = books_.snapshot();
  const std::string& named = running->global.conffile;
  settings::LoadResult loaded = settings::load(named.empty() ? options_.config_path : named, running, options_.verbose);
  for (const auto& problem : loaded.errors)
    log_.error(Event::kSettingsProblem, settings::describe(problem));
  for (const auto& problem : loaded.warnings)
    log_.write(problem.serious ? Level::kError : Level::kWarning, Event::kSettingsProblem, settings::describe(problem));
  if (!loaded.snapshot) {
    return Error{loaded.errors.empty() ? "configuration has errors" : settings::describe(loaded.errors.front()),
                 "F0000"};
  }
  if (loaded.auth_files_broken) {
    return Error{cat("an authentication file cannot be used, the old configuration stays: ",
                     settings::describe(loaded.warnings.front())),
                 "F0000"};
  }
  for (const std::string& name : settings::needs_restart(*running, *loaded.snapshot)) {
    log_.warning(Event::kNeedsRestart,
                 cat("setting ", name, " has changed in the file, but needs a restart to take effect"));
  }
  auto changed = std::make_shared<settings::Snapshot>(*loaded.snapshot);
  settings::keep_restart_settings(running->global, changed->global);
  return apply(changed);
}

Result<void> DirectorImpl::set(const std::string& key, const std::string& value, std::string* notice) {
  auto changed = settings::with_setting(books_.snapshot(), key, value);
  if (!changed) {
    log_.error(Event::kSettingsProblem, changed.error().message);
    return changed.error();
  }
  Result<void> done = apply(changed.take());
  if (!done && key.find("_tls") != std::string::npos) {
    log_.error(Event::kSettingsProblem, "TLS configuration could not be reloaded, keeping old configuration");
    *notice = "TLS settings could not be applied, still using old configuration";
    return {};
  }
  return done;
}

// All that can fail comes first; then the new settings hold everywhere.
Result<void> DirectorImpl::apply(const pool::SnapshotPtr& changed) {
  pool::SnapshotPtr running = books_.snapshot();
  auto client_tls = client_context(changed->global);
  auto server_tls = server_context(changed->global);
  for (const auto* context : {&client_tls, &server_tls}) {
    if (context->ok()) continue;
    log_.error(Event::kSettingsProblem, context->error().message);
    return Error{context->error().message, "F0000"};
  }
  retired_.push_back(running);
  std::vector<std::string> gone = books_.apply(changed);
  if (server_tls_changed(running->global, changed->global)) books_.obsolete(nullptr);
  for (unsigned worker = 0; worker < fleet_.size(); ++worker) {
    fleet_.post(worker, NewSettings{changed, *client_tls, *server_tls});
  }
  dropped(gone);
  make_forced_pools();
  resolver_.set_options(resolver_options(changed->global));
  listeners_->set_defer_accept(changed->global.tcp_defer_accept);
  serve_metrics(changed->global.metrics_listen);
  if (hooks_.settings_changed) hooks_.settings_changed(changed);
  return {};
}

void DirectorImpl::dropped(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    log_.warning(Event::kDatabaseDropped,
                 cat("dropping database '", name, "' as it does not exist anymore or inactive auto-database"));
    on_every_worker([name](Worker& worker) {
      worker.close_clients_of(name, session::Reason::kDatabaseRemoved);
      worker.close_servers_of(name, session::Reason::kDatabaseRemoved);
    });
  }
}

// Pools of entries with a forced user exist without clients, so that min_pool_size can be kept.
void DirectorImpl::make_forced_pools() {
  pool::SnapshotPtr snapshot = books_.snapshot();
  for (const auto& [name, config] : snapshot->databases) {
    if (!config->user || settings::min_pool_size(*snapshot, *config) <= 0) continue;
    auto database = books_.known_database(name);
    if (!database) continue;
    auto shared = books_.pool(database, *config->user);
    fleet_.post(shared->id % fleet_.size(), Order{[shared](Worker& worker) { worker.pool_of(shared); }});
  }
}

// ---- console jobs ----

void DirectorImpl::submit(std::shared_ptr<admin::Job> job) {
  postbox_->post([this, job] { take(job); });
}

void DirectorImpl::take(const std::shared_ptr<admin::Job>& job) {
  if (admin::plan(*job) == admin::Where::kDirector) return finish(job);
  gather(job, [this, job] { finish(job); });
}

// Runs the job's collector on every worker, then `next` here.
void DirectorImpl::gather(const std::shared_ptr<admin::Job>& job, const std::function<void()>& next) {
  job->parts.assign(fleet_.size(), {});
  job->due = static_cast<int>(fleet_.size());
  for (unsigned number = 0; number < fleet_.size(); ++number) {
    fleet_.post(number, Order{[this, job, number, next](Worker& worker) {
                  admin::collect_part(worker, *job, job->parts[number]);
                  if (job->due.fetch_sub(1) == 1) postbox_->post(next);
                }});
  }
}

void DirectorImpl::finish(const std::shared_ptr<admin::Job>& job) {
  admin::Context context = this->context();
  admin::finish(job, context, [this, job] {
    fleet_.post(job->worker, Order{[job](Worker&) {
                  job->finished = true;
                  job->done.open();
                }});
  });
}

admin::Context DirectorImpl::context() {
  return admin::Context{
      .books = books_,
      .snapshot = books_.snapshot(),
      .resolver = resolver_,
      .averages = averages_,
      .operations = *this,
      .version = options_.version_text,
      .log = log_,
      .listeners = [this] {
        admin::Rows rows;
        for (const auto& row : listeners_->rows()) {
          rows.push_back({std::to_string(row.fd), row.address.host(), std::to_string(row.address.port())});
        }
        return rows;
      }};
}

void DirectorImpl::cancel_console() {
  postbox_->post([this] {
    if (books_.stopping() == pool::Stopping::kNo && books_.paused()) resume_all();
  });
}

void DirectorImpl::on_every_worker(const std::function<void(Worker&)>& what) {
  for (unsigned worker = 0; worker < fleet_.size(); ++worker)
    fleet_.post(worker, Order{what});
}

void DirectorImpl::sweep_all() {
  on_every_worker([](Worker& worker) { worker.sweep(); });
}

}  // namespace pgweir::workers
