#include "service/start.hpp"

#include <openssl/crypto.h>
#include <unistd.h>

#include <cstdio>

#include "base/text.hpp"
#include "net/listener.hpp"
#include "service/command_line.hpp"
#include "service/log_sinks.hpp"
#include "service/process.hpp"
#include "service/signals.hpp"
#include "service/systemd.hpp"
#include "settings/load.hpp"
#include "workers/director.hpp"

namespace pgweir::service {

namespace {

class Start {
 public:
  explicit Start(CommandLine line) : line_(std::move(line)) {}

  int run() {
    set_sinks(nullptr);
    settings::LoadResult loaded = settings::load(line_.config, nullptr);
    if (line_.check_config) return report(loaded);
    for (const auto& problem : loaded.errors)
      log_.error(settings::describe(problem));
    for (const auto& problem : loaded.warnings)
      log_.warning(settings::describe(problem));
    if (!loaded.snapshot) return fatal("cannot load config file");
    snapshot_ = loaded.snapshot;
    Result<void> prepared = prepare();
    if (!prepared) return fatal(prepared.error().message);
    return serve();
  }

 private:
  int fatal(const std::string& text) {
    log_.fatal(text);
    return 1;
  }

  // --check-config: every error and warning; a warning about an authentication file counts as an error here.
  int report(const settings::LoadResult& loaded) {
    for (const auto& problem : loaded.errors)
      std::fprintf(stderr, "ERROR: %s\n", settings::describe(problem).c_str());
    for (const auto& problem : loaded.warnings) {
      std::fprintf(stderr, "WARNING: %s\n", settings::describe(problem).c_str());
    }
    bool good = loaded.errors.empty() && loaded.warnings.empty();
    if (good) std::printf("configuration is valid\n");
    return good ? 0 : 1;
  }

  void set_sinks(const pool::SnapshotPtr& snapshot) {
    std::vector<std::unique_ptr<LogSink>> sinks;
    if (!line_.quiet && !line_.daemon) sinks.push_back(stderr_sink(stderr_is_journal()));
    int verbose = line_.verbose;
    if (snapshot) {
      const settings::Global& global = snapshot->global;
      if (global.verbose > 0) verbose = static_cast<int>(global.verbose);
      if (global.syslog) sinks.push_back(syslog_sink(global.syslog_ident, global.syslog_facility));
      if (!global.logfile.empty()) {
        auto file = file_sink(global.logfile);
        if (file)
          sinks.push_back(file.take());
        else
          logfile_error_ = file.error().message;
      }
    }
    log_.set_limit(verbose >= 2 ? Level::kNoise : verbose == 1 ? Level::kDebug : Level::kLog);
    log_.set_sinks(std::move(sinks));
  }

  std::string socket_path() const {
    const settings::Global& global = snapshot_->global;
    return global.unix_socket_dir.empty() ? "" : cat(global.unix_socket_dir, "/.s.PGSQL.", global.listen_port);
  }

  Result<void> prepare() {
    const settings::Global& global = snapshot_->global;
    if (line_.daemon && global.pidfile.empty()) return Error{"daemon needs pidfile configured"};
    passed_ = passed_sockets();
    if (line_.reboot && under_service_manager()) return Error{"cannot reboot under service manager"};
    const std::string& user = line_.user.empty() ? global.user : line_.user;
    if (!user.empty()) {
      Result<void> changed = become(user);
      if (!changed) return changed;
    }
    if (geteuid() == 0)
      return Error{"pgweir should not run as root; name the account to run as in \"user\" or with -u"};
    set_sinks(snapshot_);
    if (!logfile_error_.empty()) return Error{logfile_error_};
    Result<void> free = make_room();
    if (!free) return free;
    Result<void> alone = PidFile::check(global.pidfile, log_);
    if (!alone) return alone;
    return line_.daemon ? daemonize() : Result<void>();
  }

  // Somebody serves on our unix socket: the old process. -R takes its place by draining it.
  Result<void> make_room() {
    if (!passed_.empty()) return {};
    std::string path = socket_path();
    bool in_use = !path.empty() && net::unix_socket_in_use(path);
    if (!in_use) {
      if (line_.reboot) log_.log("old process not found, try to continue normally");
      return {};
    }
    return Error{
        line_.reboot
            ? "unix socket is in use, cannot continue: stop the old process first (SHUTDOWN WAIT_FOR_CLIENTS on its "
              "console lets its clients finish)"
            : "unix socket is in use, cannot continue"};
  }

  long expected_descriptors() const {
    long servers = 0;
    for (const auto& [name, entry] : snapshot_->databases) {
      servers += settings::pool_size(*snapshot_, *entry, entry->user.value_or(""));
    }
    return static_cast<long>(snapshot_->global.max_client_conn) + servers + 10;
  }

  workers::Hooks hooks() {
    workers::Hooks hooks;
    hooks.settings_changed = [this](const pool::SnapshotPtr& snapshot) { set_sinks(snapshot); };
    hooks.reloading = notify_reloading;
    hooks.ready = notify_ready;
    hooks.stopping = notify_stopping;
    hooks.status = notify_status;
    hooks.alive = notify_alive;
    return hooks;
  }

  int serve() {
    const settings::Global& global = snapshot_->global;
    block_signals();
    long expected = expected_descriptors();
    log_.log(raise_descriptor_limit(static_cast<long>(global.max_client_conn), expected));
    workers::DirectorOptions options;
    options.snapshot = snapshot_;
    options.config_path = line_.config;
    options.watchdog = watchdog_interval();
    options.version_text = cat(kPeerVersion, " (pgweir ", kVersion, ")");
    auto director = workers::Director::create(std::move(options), log_, hooks());
    if (!director) return fatal(director.error().message);
    auto signals = Signals::create(**director, log_);
    if (!signals) return fatal(signals.error().message);
    Result<void> listening = (*director)->listen(passed_);
    if (!listening) return fatal(listening.error().message);
    PidFile pid_file;
    Result<void> written = pid_file.write(global.pidfile);
    if (!written) return fatal(written.error().message);
    log_.log(cat("process up: pgweir ", kVersion, " (", kPeerVersion, " compatible), workers: ", global.worker_count(),
                 ", tls: ", OpenSSL_version(OPENSSL_VERSION)));
    return (*director)->run();
  }

  CommandLine line_;
  Logger log_;
  pool::SnapshotPtr snapshot_;
  std::vector<int> passed_;
  std::string logfile_error_;
};

}  // namespace

int run(int argc, char** argv) {
  CommandLine line = parse_command_line(argc, argv);
  if (line.exit_code >= 0) {
    std::fputs(line.message.c_str(), line.exit_code == 0 ? stdout : stderr);
    return line.exit_code;
  }
  return Start(std::move(line)).run();
}

}  // namespace pgweir::service
