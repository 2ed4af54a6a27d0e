// The model: samples of the console in, rates and verdicts out. Pure: no clock, no socket, no terminal.
// Rates are differences between two samples; of the first one, and after a restart of pgweir, they are the console's
// own averages over its last stats_period. Problems are what changed in the verdicts: the console has no log to read.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "tools/top/sample.hpp"
#include "tools/top/thresholds.hpp"

namespace pgweir::tools::top {

struct Latency {
  std::string kind;  // query, transaction, wait ...
  int64_t count = 0;
  int64_t mean_us = 0;
  int64_t p50_us = 0;
  int64_t p90_us = 0;
  int64_t p99_us = 0;
  int64_t p999_us = 0;
  int64_t max_us = 0;
};

struct Pool {
  std::string database;
  std::string user;
  std::string mode;
  int64_t clients = 0;  // at work and waiting
  int64_t clients_active = 0;
  int64_t waiting = 0;
  int64_t longest_us = 0;
  std::string why;  // they wait; empty when nobody does, or nobody can tell
  int64_t open_transactions = 0;
  int64_t idle_transactions = 0;  // of these, in which nothing runs
  int64_t longest_idle_us = 0;
  int64_t active = 0;
  int64_t idle = 0;
  int64_t used = 0;  // rested, to be checked before use
  int64_t tested = 0;
  int64_t login = 0;
  int64_t cancels = 0;
  int64_t size = 0;     // pool_size; 0: without limit
  int64_t reserve = 0;  // reserve_pool_size
  std::vector<Latency> latencies;
  Level level = Level::kGreen;

  int64_t live() const { return active + idle + used + tested; }  // that have logged in
  int64_t total() const { return live() + login; }
  double percent() const;  // of pool_size at work; 0 without limit
  const Latency* latency(std::string_view kind) const;
};

enum class Reach { kUnknown, kYes, kNo };

struct Database {
  std::string name;
  std::string host;
  std::string port;
  std::string force_user;
  bool paused = false;
  bool disabled = false;
  int64_t connections = 0;
  int64_t max_connections = 0;
  int64_t clients = 0;
  int64_t max_clients = 0;
  double xacts = 0;  // a second
  double queries = 0;
  double in = 0;  // bytes a second from clients
  double out = 0;
  double xact_us = 0;  // mean
  double query_us = 0;
  double wait_us = 0;
  Reach reach = Reach::kUnknown;
  std::string reach_text;  // why not
  int64_t live = 0;        // servers
  Level level = Level::kGreen;
};

struct Worker {
  std::string id;
  int64_t clients = 0;
  int64_t servers = 0;
  int64_t waiting = 0;
  double percent = 0;  // of a core
  double queries = 0;
  double loops = 0;
  Level level = Level::kGreen;
};

struct Verdict {
  Level level = Level::kGreen;
  std::string key;  // what it is about: the same in the next sample
  std::string text;
};

struct Problem {
  std::string clock;
  Level level = Level::kGreen;  // green: it is over
  std::string text;
};

// All that a view shows.
struct Picture {
  std::string clock;
  std::string failure;  // of the console; the rest is what was seen last
  std::string version;
  bool paused = false;
  bool suspended = false;
  bool measured = false;     // rates are between two samples, not the console's averages
  bool has_workers = false;  // and their processor time was measured
  int64_t clients = 0;
  int64_t max_clients = 0;
  Database total;
  std::vector<Pool> pools;
  std::vector<Database> databases;
  std::vector<Worker> workers;
  std::vector<Verdict> health;   // worst first; empty: all is well
  std::deque<Problem> problems;  // latest first
  Table client_rows;             // SHOW CLIENTS and SHOW SERVERS where they were asked for
  Table server_rows;

  Level worst() const { return health.empty() ? Level::kGreen : health.front().level; }
  const Database* database(std::string_view name) const;
  const Pool* pool(std::string_view database, std::string_view user) const;
};

// Whether PostgreSQL answered when it was asked without pgweir.
struct Probe {
  std::string database;
  bool answers = false;
  std::string reason;
};

class Model {
 public:
  explicit Model(const Thresholds& thresholds) : thresholds_(thresholds) {}

  void add(const Sample& sample, const std::vector<Probe>& probes = {});
  // News of PostgreSQL between two samples; `last` is the sample that was added last.
  void reach(const Sample& last, const std::vector<Probe>& probes);
  // Something to remember that no sample shows: a command that was given.
  void note(const std::string& clock, Level level, const std::string& text);

  const Picture& picture() const { return picture_; }

 private:
  struct Lasting {
    Verdict verdict;
    int64_t since_us = 0;
  };

  void see_problems(const Sample& sample);

  Thresholds thresholds_;
  Picture picture_;
  std::optional<Sample> before_;  // the last one with tables
  std::vector<Lasting> lasting_;
};

// The console's own database, which has no servers.
bool is_console(std::string_view database);

}  // namespace pgweir::tools::top
