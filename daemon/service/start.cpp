#include "service/start.hpp"

#include <openssl/crypto.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/text.hpp"
#include "net/dns.hpp"
#include "net/library.hpp"
#include "net/listener.hpp"
#include "service/command_line.hpp"
#include "service/control.hpp"
#include "service/log_setup.hpp"
#include "service/log_sinks.hpp"
#include "service/process.hpp"
#include "service/signals.hpp"
#include "service/systemd.hpp"
#include "service/takeover.hpp"
#include "settings/load.hpp"
#include "workers/director.hpp"
#include "workers/tls.hpp"

namespace pgweir::service {

namespace {

class Start {
 public:
  explicit Start(CommandLine line) : line_(std::move(line)), sinks_(log_, !line_.quiet, line_.verbose) {}

  bool threads_left() const { return threads_left_; }

  int run() {
    settings::LoadResult loaded = settings::load(line_.config, nullptr, line_.verbose);
    if (line_.check_config) return report(loaded);
    (void)sinks_.apply(nullptr).ok();
    for (const auto& problem : loaded.errors)
      log_.error(Event::kSettingsProblem, settings::describe(problem));
    for (const auto& problem : loaded.warnings)
      log_.write(problem.serious ? Level::kError : Level::kWarning, Event::kSettingsProblem,
                 settings::describe(problem));
    if (!loaded.snapshot) return fatal("cannot load config file", EINVAL);
    snapshot_ = loaded.snapshot;
    Result<void> prepared = prepare();
    if (!prepared) return fatal(prepared.error().message);
    return serve();
  }

 private:
  // `code`: of errno, where one says what is wrong.
  int fatal(const std::string& text, int code = 0) {
    log_.fatal(Event::kStartFailed, text);
    notify_failed(cat("cannot start: ", text), code);
    return 1;
  }

  // --check-config: every error and warning, and what only a start would find in the files that TLS needs. Warnings
  // are for people and do not count. An authentication file that cannot be used does: a start goes on without it, as
  // PgBouncer's, but a reload is refused.
  int report(const settings::LoadResult& loaded) {
    bool good = loaded.errors.empty() && !loaded.auth_files_broken;
    for (const auto& problem : loaded.errors)
      complain(Level::kError, cat("ERROR: ", settings::describe(problem)));
    for (const auto& problem : loaded.warnings)
      complain(Level::kWarning, cat("WARNING: ", settings::describe(problem)));
    if (loaded.auth_files_broken) complain(Level::kError, "ERROR: an authentication file cannot be used (see above)");
    if (loaded.snapshot) {
      Result<void> tls = make_tls(*loaded.snapshot);
      if (!tls) complain(Level::kError, cat("ERROR: ", tls.error().message, " (", line_.config, ")"));
      good = good && tls.ok();
    }
    if (good) std::printf("configuration is valid\n");
    return good ? 0 : 1;
  }

  Result<void> make_tls(const settings::Snapshot& snapshot) {
    auto client = workers::client_context(snapshot.global);
    if (!client) return client.error();
    auto server = workers::server_context(snapshot.global);
    if (!server) return server.error();
    client_tls_ = client.take();
    server_tls_ = server.take();
    return {};
  }

  // Root has read what the account that we have become may not: it holds now, but a reload would be refused.
  void warn_of_unreadable_files(const std::string& user) {
    const settings::Global& global = snapshot_->global;
    const bool client_tls = global.client_tls_sslmode != settings::SslMode::kDisable;
    const bool server_tls = global.server_tls_sslmode != settings::SslMode::kDisable;
    const bool hba = global.auth_type == settings::AuthType::kHba;
    const struct {
      const char* setting;
      const std::string& path;
      bool used;
    } files[] = {{"conffile", global.conffile, true},
                 {"auth_file", global.auth_file, true},
                 {"auth_hba_file", global.auth_hba_file, hba},
                 {"auth_ident_file", global.auth_ident_file, hba},
                 {"client_tls_key_file", global.client_tls_key_file, client_tls},
                 {"client_tls_cert_file", global.client_tls_cert_file, client_tls},
                 {"client_tls_ca_file", global.client_tls_ca_file, client_tls},
                 {"server_tls_key_file", global.server_tls_key_file, server_tls},
                 {"server_tls_cert_file", global.server_tls_cert_file, server_tls},
                 {"server_tls_ca_file", global.server_tls_ca_file, server_tls}};
    for (const auto& file : files) {
      if (!file.used || file.path.empty() || ::access(file.path.c_str(), R_OK) == 0) continue;
      if (errno != EACCES) continue;  // missing: told already
      log_.warning(Event::kSettingsProblem, cat(file.setting, " \"", file.path, "\" was read as root, but user ", user,
                                                " cannot read it: a reload will be refused"));
    }
  }

  std::string socket_path() const {
    const settings::Global& global = snapshot_->global;
    return global.unix_socket_dir.empty() ? "" : cat(global.unix_socket_dir, "/.s.PGSQL.", global.listen_port);
  }

  // Everything that can be refused before there are sockets, threads and a daemon that nobody sees.
  Result<void> prepare() {
    const settings::Global& global = snapshot_->global;
    if (line_.daemon && global.pidfile.empty()) return Error{"daemon needs pidfile configured"};
    std::vector<std::string> unusable;
    passed_ = passed_sockets(&unusable);
    for (const std::string& text : unusable)
      log_.warning(Event::kListenIgnored, text);
    if (line_.reboot && (under_service_manager() || !passed_.empty()))
      return Error{"cannot reboot under service manager"};
    const std::string& user = line_.user.empty() ? global.user : line_.user;
    Result<void> tls = make_tls(*snapshot_);  // as root, if that is who we are: a key may be root's alone
    const bool was_root = geteuid() == 0;
    if (!user.empty()) {
      Result<void> changed = become(user);
      if (!changed) return changed;
    }
    if (geteuid() == 0)
      return Error{"pgweir should not run as root; name the account to run as in \"user\" or with -u"};
    Result<void> sinks = sinks_.apply(&global);
    if (!sinks) return sinks;
    if (!tls) return tls;
    if (was_root) warn_of_unreadable_files(user);
    Result<void> room = make_room();
    if (!room) return room;
    Result<void> alone = PidFile::check(global.pidfile, log_);
    if (!alone || !line_.daemon) return alone;
    Result<void> gone = daemonize();
    if (!gone) return gone;
    sinks_.leave_stderr();
    return sinks_.apply(&global);
  }

  // Somebody serves on our unix socket: another instance. -R takes its place, not its connections.
  Result<void> make_room() {
    if (line_.reboot) {
      log_.warning(Event::kSettingsProblem, "-R is deprecated: let the service manager restart pgweir");
      if (snapshot_->global.unix_socket_dir.empty()) return Error{"cannot reboot if unix dir not configured"};
      if (snapshot_->global.unix_socket_dir[0] == '@') return Error{"cannot reboot with abstract Unix socket"};
    }
    if (!passed_.empty()) return {};
    std::string path = socket_path();
    if (path.empty() || !net::unix_socket_in_use(path)) {
      if (line_.reboot) log_.log(Event::kProcessUp, "old process not found, try to continue normally");
      return {};
    }
    if (!line_.reboot) return Error{"unix socket is in use, cannot continue"};
    return take_place(path, snapshot_->global.shutdown_timeout, log_);
  }

  // As if every database had one user: what is certain to be asked for, not the worst case.
  long expected_descriptors() const {
    long servers = snapshot_->fallback ? settings::pool_size(*snapshot_, *snapshot_->fallback, "") : 0;
    for (const auto& [name, entry] : snapshot_->databases) {
      servers += settings::pool_size(*snapshot_, *entry, entry->user.value_or(""));
    }
    return static_cast<long>(snapshot_->global.max_client_conn) + servers + 10;
  }

  workers::Hooks hooks() {
    workers::Hooks hooks;
    hooks.settings_changed = [this](const pool::SnapshotPtr& snapshot) {
      Result<void> applied = sinks_.apply(&snapshot->global);
      if (!applied) log_.error(Event::kSettingsProblem, cat(applied.error().message, "; the log goes on as before"));
    };
    hooks.reloading = notify_reloading;
    hooks.ready = notify_ready;
    hooks.stopping = notify_stopping;
    if (under_service_manager()) hooks.status = notify_status;
    hooks.alive = notify_alive;
    hooks.extend = notify_extend;
    return hooks;
  }

  int serve() {
    const settings::Global& global = snapshot_->global;
    raise_descriptor_limit(static_cast<long>(global.max_client_conn), expected_descriptors(), log_);
    workers::DirectorOptions options;
    options.snapshot = snapshot_;
    options.client_tls = client_tls_;
    options.server_tls = server_tls_;
    options.config_path = line_.config;
    options.verbose = line_.verbose;
    options.watchdog = watchdog_interval();
    options.version_text = version_line();
    auto director = workers::Director::create(std::move(options), log_, hooks());
    if (!director) return fatal(director.error().message);
    auto signals = Signals::create(**director, log_);
    if (!signals) return fatal(signals.error().message);
    auto control = Control::create(line_.control, **director, log_);
    if (!control) return fatal(control.error().message);
    Result<void> listening = (*director)->listen(passed_);
    if (!listening) return fatal(listening.error().message);
    PidFile pid_file;
    Result<void> written = pid_file.write(global.pidfile);
    if (!written) return fatal(written.error().message);
    log_.log(Event::kProcessUp, cat("process up: pgweir ", kVersion, " (", kPeerVersion, " compatible), libevent ",
                                    net::libevent_version(), ", adns: ", net::dns_library_version(),
                                    ", tls: ", OpenSSL_version(OPENSSL_VERSION), ", workers: ", global.worker_count()));
    const int status = (*director)->run();
    threads_left_ = (*director)->left_threads();
    return status;
  }

  CommandLine line_;
  Logger log_;
  LogSetup sinks_;
  pool::SnapshotPtr snapshot_;
  std::shared_ptr<const net::TlsContext> client_tls_;  // read before the change of account
  std::shared_ptr<const net::TlsContext> server_tls_;
  std::vector<workers::PassedSocket> passed_;
  bool threads_left_ = false;
};

// Returns when everything but the process's own end is done: pid file and sockets removed, the log told.
int start(CommandLine line, bool& threads_left) {
  Start start(std::move(line));
  const int status = start.run();
  threads_left = start.threads_left();
  return status;
}

}  // namespace

int run(int argc, char** argv) {
  block_signals();  // one that comes from here on waits until there is somebody to handle it
  CommandLine line = parse_command_line(argc, argv);
  if (line.exit_code >= 0) {
    if (line.exit_code == 0) {
      std::fputs(line.message.c_str(), stdout);
    } else {
      complain(Level::kError, trim(line.message));
    }
    return line.exit_code;
  }
  if (line.check_config || !line.reload.empty()) unblock_signals();
  if (!line.reload.empty()) return ask_to_reload(line.reload);
  bool threads_left = false;
  const int status = start(std::move(line), threads_left);
  return leave(status, threads_left);
}

}  // namespace pgweir::service
