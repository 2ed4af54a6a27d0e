#include "tools/top/model.hpp"

#include <algorithm>
#include <array>

#include "base/text.hpp"
#include "tools/common/messages.hpp"
#include "tools/top/format.hpp"
#include "tools/top/judge.hpp"

namespace pgweir::tools::top {

namespace {

constexpr size_t kMostProblems = 200;

// "*" and "0" of a limit mean that there is none.
int64_t setting(const Sample& sample, std::string_view key) {
  for (const Row& row : rows(sample.table("CONFIG")))
    if (row.text("key") == key) return row.number("value");
  return 0;
}

int64_t list_item(const Sample& sample, std::string_view key) {
  for (const Row& row : rows(sample.table("LISTS")))
    if (row.text("list") == key) return row.number("items");
  return 0;
}

bool state(const Sample& sample, std::string_view key) {
  for (const Row& row : rows(sample.table("STATE")))
    if (row.text("key") == key) return row.text("value") == "yes";
  return false;
}

struct UserLimits {
  int64_t pool_size = 0;
  int64_t reserve = -1;
  bool full = false;  // max_user_connections is reached
};

UserLimits user_limits(const Sample& sample, std::string_view user) {
  UserLimits out;
  for (const Row& row : rows(sample.table("USERS"))) {
    if (row.text("name") != user) continue;
    out.pool_size = row.number("pool_size");
    if (!trim(row.text("reserve_pool_size")).empty()) out.reserve = row.number("reserve_pool_size");
    const int64_t most = row.number("max_user_connections");
    out.full = most > 0 && row.number("current_connections") >= most;
  }
  return out;
}

void read_databases(const Sample& sample, Picture& picture) {
  for (const Row& row : rows(sample.table("DATABASES"))) {
    if (is_console(row.text("name"))) continue;
    Database one;
    one.name = row.text("name");
    one.host = row.text("host");
    one.port = row.text("port");
    one.force_user = row.text("force_user");
    one.paused = row.number("paused") != 0;
    one.disabled = row.number("disabled") != 0;
    one.connections = row.number("current_connections");
    one.max_connections = row.number("max_connections");
    one.clients = row.number("current_client_connections");
    one.max_clients = row.number("max_client_connections");
    picture.databases.push_back(std::move(one));
  }
}

std::vector<Latency> read_latencies(const Sample& sample, std::string_view database, std::string_view user) {
  std::vector<Latency> out;
  for (const Row& row : rows(sample.table("LATENCIES"))) {
    if (row.text("database") != database || row.text("user") != user) continue;
    out.push_back({std::string(row.text("kind")), row.number("count"), row.number("mean_us"), row.number("p50_us"),
                   row.number("p90_us"), row.number("p99_us"), row.number("p999_us"), row.number("max_us")});
  }
  return out;
}

// SHOW TRANSACTIONS, where there is one.
void read_transactions(const Sample& sample, std::vector<Pool>& pools) {
  for (const Row& row : rows(sample.table("TRANSACTIONS"))) {
    for (Pool& pool : pools) {
      if (row.text("database") != pool.database || row.text("user") != pool.user) continue;
      pool.open_transactions = row.number("open");
      pool.idle_transactions = row.number("idle");
      pool.longest_idle_us = row.number("longest_idle_us");
    }
  }
}

// SHOW WAITS: the cause that most of the pool's waiting clients have now; "" where it does not tell.
std::string told_why(const Sample& sample, const Pool& pool) {
  std::string why;
  int64_t most = 0;
  for (const Row& row : rows(sample.table("WAITS"))) {
    if (row.text("database") != pool.database || row.text("user") != pool.user || row.number("waiting") <= most)
      continue;
    most = row.number("waiting");
    why = row.text("cause");
  }
  std::replace(why.begin(), why.end(), '_', ' ');
  return why;
}

Pool read_pool(const Sample& sample, const Row& row, const std::map<std::string, Row>& sizes) {
  Pool one;
  one.database = row.text("database");
  one.user = row.text("user");
  one.mode = row.text("pool_mode");
  one.clients_active = row.number("cl_active");
  one.waiting = row.number("cl_waiting");
  one.clients = one.clients_active + one.waiting;
  one.longest_us = one.waiting > 0 ? row.number("maxwait") * 1'000'000 + row.number("maxwait_us") : 0;
  one.active = row.number("sv_active");
  one.idle = row.number("sv_idle");
  one.used = row.number("sv_used");
  one.tested = row.number("sv_tested");
  one.login = row.number("sv_login");
  one.cancels = row.number("sv_active_cancel") + row.number("sv_being_canceled");
  const UserLimits limits = user_limits(sample, one.user);
  if (auto found = sizes.find(one.database); found != sizes.end()) {
    one.size = found->second.number("pool_size");
    one.reserve =
        found->second.number(found->second.text("reserve_pool_size").empty() ? "reserve_pool" : "reserve_pool_size");
  }
  if (limits.pool_size > 0) one.size = limits.pool_size;
  if (limits.reserve >= 0) one.reserve = limits.reserve;
  one.latencies = read_latencies(sample, one.database, one.user);
  return one;
}

void read_pools(const Sample& sample, Picture& picture) {
  std::map<std::string, Row> sizes;
  for (const Row& row : rows(sample.table("DATABASES")))
    sizes.emplace(row.text("name"), row);
  for (const Row& row : rows(sample.table("POOLS"))) {
    if (is_console(row.text("database"))) continue;
    picture.pools.push_back(read_pool(sample, row, sizes));
  }
}

// What SHOW STATS counts, and what it calls its averages.
struct StatsRow {
  const char* total;
  const char* average;
  double Database::*per_second;
};
constexpr StatsRow kStats[] = {
    {"total_xact_count", "avg_xact_count", &Database::xacts},
    {"total_query_count", "avg_query_count", &Database::queries},
    {"total_received", "avg_recv", &Database::in},
    {"total_sent", "avg_sent", &Database::out},
};
struct MeanRow {
  const char* time;
  const char* count;
  const char* average;
  double Database::*mean;
};
constexpr MeanRow kMeans[] = {
    {"total_xact_time", "total_xact_count", "avg_xact_time", &Database::xact_us},
    {"total_query_time", "total_query_count", "avg_query_time", &Database::query_us},
    {"total_wait_time", "total_server_assignment_count", "avg_wait_time", &Database::wait_us},
};

// Differences of one database's counters between two samples. False: they went backwards, it was made anew.
bool measure(const Row& now, const Row& before, double seconds, Database& out) {
  for (const StatsRow& row : kStats)
    if (now.number(row.total) < before.number(row.total)) return false;
  for (const StatsRow& row : kStats)
    out.*row.per_second = static_cast<double>(now.number(row.total) - before.number(row.total)) / seconds;
  for (const MeanRow& row : kMeans) {
    const int64_t count = now.number(row.count) - before.number(row.count);
    const int64_t time = now.number(row.time) - before.number(row.time);
    out.*row.mean = count > 0 && time >= 0 ? static_cast<double>(time) / static_cast<double>(count) : 0;
  }
  return true;
}

void take_averages(const Row& now, Database& out) {
  for (const StatsRow& row : kStats)
    out.*row.per_second = static_cast<double>(now.number(row.average));
  for (const MeanRow& row : kMeans)
    out.*row.mean = static_cast<double>(now.number(row.average));
}

const Row* find_row(const std::vector<Row>& list, std::string_view column, std::string_view value) {
  const auto found = std::find_if(list.begin(), list.end(), [&](const Row& row) { return row.text(column) == value; });
  return found == list.end() ? nullptr : &*found;
}

void read_rates(const Sample& sample, const Sample* before, Picture& picture) {
  const std::vector<Row> now = rows(sample.table("STATS"));
  const std::vector<Row> then = before ? rows(before->table("STATS")) : std::vector<Row>();
  const double seconds = before ? static_cast<double>(sample.at_us - before->at_us) / 1e6 : 0;
  picture.measured = before != nullptr && seconds > 0;
  Database& total = picture.total;
  double xact_time = 0;
  double query_time = 0;
  double waits = 0;
  double wait_time = 0;
  for (Database& database : picture.databases) {
    const Row* row = find_row(now, "database", database.name);
    if (!row) continue;
    const Row* old = find_row(then, "database", database.name);
    if (!picture.measured || !old || !measure(*row, *old, seconds, database)) take_averages(*row, database);
    for (const StatsRow& one : kStats)
      total.*one.per_second += database.*one.per_second;
    xact_time += database.xact_us * database.xacts;
    query_time += database.query_us * database.queries;
    // Assignments a second are not kept; a transaction has one, but in session mode.
    wait_time += database.wait_us * database.xacts;
    waits += database.xacts;
  }
  total.xact_us = total.xacts > 0 ? xact_time / total.xacts : 0;
  total.query_us = total.queries > 0 ? query_time / total.queries : 0;
  total.wait_us = waits > 0 ? wait_time / waits : 0;
}

void read_workers(const Sample& sample, const Sample* before, Picture& picture) {
  const std::vector<Row> then = before ? rows(before->table("WORKERS")) : std::vector<Row>();
  const double us = before ? static_cast<double>(sample.at_us - before->at_us) : 0;
  for (const Row& row : rows(sample.table("WORKERS"))) {
    Worker one;
    one.id = row.text("worker");
    one.clients = row.number("clients");
    one.servers = row.number("servers");
    one.waiting = row.number("cl_waiting");
    if (const Row* old = find_row(then, "worker", one.id); old && us > 0) {
      auto grown = [&](const char* column) {
        return static_cast<double>(std::max<int64_t>(0, row.number(column) - old->number(column)));
      };
      one.percent = 100 * grown("cpu_us") / us;
      one.queries = grown("queries") * 1e6 / us;
      one.loops = grown("loops") * 1e6 / us;
      picture.has_workers = true;
    }
    picture.workers.push_back(std::move(one));
  }
}

// Servers that have logged in prove that PostgreSQL is there; otherwise what it said when it was asked directly; and if
// nobody asked, clients that wait with no server for a second.
void read_reach(const Sample& sample, const std::vector<Probe>& probes, Picture& picture) {
  for (Database& database : picture.databases) {
    bool starving = false;
    database.live = 0;
    database.reach = Reach::kUnknown;
    database.reach_text.clear();
    for (const Pool& pool : picture.pools) {
      if (pool.database != database.name) continue;
      database.live += pool.live();
      starving = starving || (pool.waiting > 0 && pool.live() == 0 && pool.longest_us >= 1'000'000);
    }
    const auto probe =
        std::find_if(probes.begin(), probes.end(), [&](const Probe& one) { return one.database == database.name; });
    if (database.live > 0) {
      database.reach = Reach::kYes;
    } else if (probe != probes.end()) {
      database.reach = probe->answers ? Reach::kYes : Reach::kNo;
      database.reach_text = probe->reason;
    } else if (starving && !database.paused && !state(sample, "paused")) {
      database.reach = Reach::kNo;
      database.reach_text = "clients wait and no server could be logged in";
    }
  }
}

// pgweir was started anew: its counters are behind those of the last sample.
bool restarted(const Sample& now, const Sample& before) {
  const std::vector<Row> then = rows(before.table("STATS"));
  for (const Row& row : rows(now.table("STATS")))
    if (const Row* old = find_row(then, "database", row.text("database")))
      if (row.number("total_query_count") < old->number("total_query_count")) return true;
  return false;
}

}  // namespace

bool is_console(std::string_view database) {
  return database == "pgweir" || database == "pgbouncer";
}

double Pool::percent() const {
  return size > 0 ? 100.0 * static_cast<double>(active) / static_cast<double>(size) : 0;
}

const Latency* Pool::latency(std::string_view kind) const {
  const auto found =
      std::find_if(latencies.begin(), latencies.end(), [&](const Latency& one) { return one.kind == kind; });
  return found == latencies.end() ? nullptr : &*found;
}

const Database* Picture::database(std::string_view name) const {
  const auto found =
      std::find_if(databases.begin(), databases.end(), [&](const Database& one) { return one.name == name; });
  return found == databases.end() ? nullptr : &*found;
}

const Pool* Picture::pool(std::string_view database, std::string_view user) const {
  const auto found = std::find_if(pools.begin(), pools.end(),
                                  [&](const Pool& one) { return one.database == database && one.user == user; });
  return found == pools.end() ? nullptr : &*found;
}

void Model::note(const std::string& clock, Level level, const std::string& text) {
  picture_.problems.push_front({clock, level, text});
  if (picture_.problems.size() > kMostProblems) picture_.problems.pop_back();
}

void Model::add(const Sample& sample, const std::vector<Probe>& probes) {
  if (!sample.failure.empty()) {
    picture_.clock = sample.clock;
    picture_.failure = sample.failure;
    judge(picture_, thresholds_);
    see_problems(sample);
    return;
  }
  const bool anew = before_ && restarted(sample, *before_);
  if (anew) {
    before_.reset();
    note(sample.clock, Level::kYellow, "pgweir has been restarted: its counters begin anew");
  }
  const Sample* before = before_ ? &*before_ : nullptr;
  Picture next;
  next.problems = std::move(picture_.problems);
  next.clock = sample.clock;
  for (const Row& row : rows(sample.table("VERSION")))
    next.version = row.text("version");
  next.paused = state(sample, "paused");
  next.suspended = state(sample, "suspended");
  next.clients = list_item(sample, "used_clients") + list_item(sample, "login_clients");
  next.max_clients = setting(sample, "max_client_conn");
  read_databases(sample, next);
  read_pools(sample, next);
  read_rates(sample, before, next);
  read_workers(sample, before, next);
  read_reach(sample, probes, next);
  read_transactions(sample, next.pools);
  for (Pool& pool : next.pools) {
    const Database* database = next.database(pool.database);
    if (pool.waiting == 0) continue;
    pool.why = told_why(sample, pool);
    if (pool.why.empty())
      pool.why = guess_why(pool, database ? *database : Database(), user_limits(sample, pool.user).full, next.paused);
  }
  next.client_rows = sample.table("CLIENTS");
  next.server_rows = sample.table("SERVERS");
  picture_ = std::move(next);
  judge(picture_, thresholds_);
  see_problems(sample);
  before_ = sample;
}

void Model::reach(const Sample& last, const std::vector<Probe>& probes) {
  if (!last.failure.empty()) return;
  read_reach(last, probes, picture_);
  judge(picture_, thresholds_);
  see_problems(last);
}

// What was not so a sample ago, or got worse, is a problem; what is no more, too, with how long it lasted.
void Model::see_problems(const Sample& sample) {
  std::vector<Lasting> lasting;
  for (const Verdict& verdict : picture_.health) {
    const auto old = std::find_if(lasting_.begin(), lasting_.end(),
                                  [&](const Lasting& one) { return one.verdict.key == verdict.key; });
    const bool known = old != lasting_.end();
    if (!known || old->verdict.level < verdict.level) note(sample.clock, verdict.level, verdict.text);
    lasting.push_back({verdict, known ? old->since_us : sample.at_us});
    if (known) lasting.back().verdict.level = std::max(verdict.level, old->verdict.level);
  }
  for (const Lasting& old : lasting_) {
    const bool still = std::any_of(lasting.begin(), lasting.end(),
                                   [&](const Lasting& one) { return one.verdict.key == old.verdict.key; });
    if (!still)
      note(sample.clock, Level::kGreen,
           cat("over after ", duration(sample.at_us - old.since_us), ": ", old.verdict.text));
  }
  lasting_ = std::move(lasting);
}

}  // namespace pgweir::tools::top
