// The Director: the main thread's loop. It owns books, workers, listeners and reload, runs console jobs over all
// workers and merges their rows. Promises: a reload is all or nothing; workers are told by mail, never touched.
// Does not: see a query, parse a command line, know signals or systemd (service/ calls in, and is called by Hooks).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "base/result.hpp"
#include "net/loop.hpp"
#include "net/tls.hpp"
#include "pool/shared.hpp"

namespace pgweir::workers {

// How service/ hears of what concerns the process. Called on the Director's loop.
struct Hooks {
  // New settings hold (after a reload or SET): log sinks, verbosity, syslog.
  std::function<void(const pool::SnapshotPtr&)> settings_changed;
  std::function<void()> reloading;  // sd_notify RELOADING=1
  std::function<void()> ready;      // sd_notify READY=1: started, or reload ended
  std::function<void()> stopping;   // sd_notify STOPPING=1
  std::function<void(const std::string& line)>
      status;                          // STATUS= text: live figures, every few seconds when they differ
  std::function<void()> alive;         // all workers answered within half the watchdog interval
  std::function<void(Micros)> extend;  // EXTEND_TIMEOUT_USEC=: the drain goes on
};

struct DirectorOptions {
  pool::SnapshotPtr snapshot;
  // Made from the snapshot's files, by whoever may read them (root, before it becomes somebody else); null: TLS is off.
  std::shared_ptr<const net::TlsContext> client_tls;
  std::shared_ptr<const net::TlsContext> server_tls;
  std::string config_path;
  int verbose = 0;           // how many -v: the setting's value where the file has none
  Micros watchdog = 0;       // WATCHDOG_USEC; 0: none
  std::string version_text;  // SHOW VERSION: "PgBouncer 1.25.2 (pgweir 0.1.0)"
};

// kDrain: clients end the transaction they are in, for shutdown_timeout at most, all others are told to go (57P01).
enum class ShutdownKind : uint8_t { kImmediate, kWaitForServers, kWaitForClients, kDrain };

// A listening socket of socket activation. `name`: the FileDescriptorName= of its unit, for people.
struct PassedSocket {
  int fd;
  std::string name;
};

class Director {
 public:
  static Result<std::unique_ptr<Director>> create(DirectorOptions options, Logger& log, Hooks hooks);
  virtual ~Director() = default;

  virtual net::Loop& loop() = 0;
  // Opens the listeners of the snapshot, or takes over those that the service manager passed. Logs each
  // ("listening on ADDR:PORT"); error texts as in compat/config_file.md, "Listening".
  virtual Result<void> listen(const std::vector<PassedSocket>& passed) = 0;
  // Starts the worker threads and runs until a shutdown has ended. Returns the exit code.
  virtual int run() = 0;
  // After run(): threads that PAM, a directory or a resolver holds up are still there. The process must then not clean
  // up its libraries while it ends.
  virtual bool left_threads() const = 0;

  // The rest is called on the loop (signal handlers of service/, console jobs).
  virtual Result<void> reload() = 0;
  virtual void pause_all() = 0;   // SIGUSR1
  virtual void resume_all() = 0;  // SIGUSR2
  virtual void shutdown(ShutdownKind kind, const std::string& why) = 0;
  virtual void fail(const std::string& why) = 0;  // ends at once with exit code 1; `why` is logged as FATAL
  virtual pool::Mode mode() const = 0;
  virtual bool stopping() const = 0;
  // For tests of the watchdog: this worker never answers again. False: there is no such worker.
  virtual bool hang_worker(unsigned number) = 0;
};

}  // namespace pgweir::workers
