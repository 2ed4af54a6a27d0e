#include "tools/top/judge.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "tools/common/messages.hpp"
#include "tools/top/format.hpp"

namespace pgweir::tools::top {

namespace {

class Bench {
 public:
  explicit Bench(Picture& picture) : picture_(picture) {}

  // A verdict on something that has a level of its own.
  void say(Level level, Level& of, const std::string& key, const std::string& text) {
    of = std::max(of, level);
    say(level, key, text);
  }
  void say(Level level, const std::string& key, const std::string& text) {
    if (level != Level::kGreen) picture_.health.push_back({level, key, text});
  }

 private:
  Picture& picture_;
};

double share(int64_t part, int64_t whole) {
  return whole > 0 ? 100.0 * static_cast<double>(part) / static_cast<double>(whole) : 0;
}

std::string because(const std::string& why) {
  return why.empty() ? std::string() : cat(": ", why);
}

void judge_pool(Bench& bench, Pool& pool, const Thresholds& limits) {
  const std::string name = cat(shown_name(pool.database), "/", shown_name(pool.user));
  if (pool.waiting > 0) {
    const double seconds = static_cast<double>(pool.longest_us) / 1e6;
    const Level level =
        std::max(limits.wait_seconds.of(seconds), limits.waiting_clients.of(static_cast<double>(pool.waiting)));
    bench.say(level, pool.level, cat("wait ", name),
              cat(name, ": ", counted(pool.waiting, "client waits", "clients wait"), ", the longest ",
                  duration(pool.longest_us), because(pool.why)));
  }
  bench.say(limits.idle_transaction_seconds.of(static_cast<double>(pool.longest_idle_us) / 1e6), pool.level,
            cat("idle transaction ", name),
            cat(name, ": ", counted(pool.idle_transactions, "transaction is idle", "transactions are idle"),
                ", the longest ", duration(pool.longest_idle_us)));
  const Level full = limits.pool_percent.of(pool.percent());
  if (pool.size > 0 && full != Level::kGreen)
    bench.say(full == Level::kRed && pool.waiting == 0 ? Level::kYellow : full, pool.level, cat("full ", name),
              cat(name, ": ", pool.active, " of ", pool.size, " servers at work (pool_size)"));
}

void judge_database(Bench& bench, Database& database, const Thresholds& limits) {
  const std::string name = shown_name(database.name);
  if (database.reach == Reach::kNo)
    bench.say(Level::kRed, database.level, cat("reach ", name),
              cat(name, ": PostgreSQL is not reached", because(shown_text(database.reach_text))));
  if (database.paused)
    bench.say(Level::kYellow, database.level, cat("paused ", name), cat(name, ": paused; RESUME lets clients go on"));
  if (database.disabled)
    bench.say(Level::kYellow, database.level, cat("disabled ", name), cat(name, ": disabled, new clients are refused"));
  bench.say(limits.database_percent.of(share(database.connections, database.max_connections)), database.level,
            cat("connections ", name),
            cat(name, ": ", database.connections, " of ", database.max_connections,
                " server connections (max_db_connections)"));
  bench.say(limits.client_percent.of(share(database.clients, database.max_clients)), database.level,
            cat("clients ", name),
            cat(name, ": ", database.clients, " of ", database.max_clients, " clients (max_db_client_connections)"));
  bench.say(limits.query_ms.of(database.query_us / 1000), database.level, cat("query ", name),
            cat(name, ": a query takes ", duration(static_cast<int64_t>(database.query_us)), " on average"));
  bench.say(limits.transaction_ms.of(database.xact_us / 1000), database.level, cat("transaction ", name),
            cat(name, ": a transaction takes ", duration(static_cast<int64_t>(database.xact_us)), " on average"));
}

}  // namespace

std::string guess_why(const Pool& pool, const Database& database, bool user_limit, bool all_paused) {
  if (pool.waiting == 0) return "";
  if (all_paused || database.paused) return "paused";
  if (database.reach == Reach::kNo) return "no server";
  if (pool.size > 0 && pool.total() >= pool.size && pool.active > 0) return "pool full";
  if (database.max_connections > 0 && database.connections >= database.max_connections) return "database limit";
  if (user_limit) return "user limit";
  if (pool.login > 0) return "connecting";
  if (pool.tested > 0) return "checking";
  return pool.live() == 0 ? "no server" : "";
}

void judge(Picture& picture, const Thresholds& limits) {
  Bench bench(picture);
  picture.health.clear();
  if (!picture.failure.empty()) {
    bench.say(Level::kRed, "console", cat("the console does not answer: ", shown_text(picture.failure)));
    return;
  }
  if (picture.paused) bench.say(Level::kYellow, "paused", "everything is paused; RESUME lets clients go on");
  if (picture.suspended) bench.say(Level::kYellow, "suspended", "suspended; RESUME lets clients go on");
  for (Database& database : picture.databases)
    database.level = Level::kGreen;
  for (Pool& pool : picture.pools)
    pool.level = Level::kGreen;
  for (Worker& worker : picture.workers)
    worker.level = Level::kGreen;
  for (Database& database : picture.databases)
    judge_database(bench, database, limits);
  for (Pool& pool : picture.pools) {
    judge_pool(bench, pool, limits);
    const Database* database = picture.database(pool.database);
    if (database && database->reach == Reach::kNo) pool.level = Level::kRed;
  }
  bench.say(limits.client_percent.of(share(picture.clients, picture.max_clients)), "clients",
            cat(picture.clients, " of ", picture.max_clients, " client connections (max_client_conn)"));
  for (Worker& worker : picture.workers)
    bench.say(limits.worker_percent.of(worker.percent), worker.level, cat("worker ", worker.id),
              cat("worker ", worker.id, ": ", percent(worker.percent), " of a core"));
  std::stable_sort(picture.health.begin(), picture.health.end(),
                   [](const Verdict& a, const Verdict& b) { return a.level > b.level; });
}

}  // namespace pgweir::tools::top
