#include "admin/metrics.hpp"

#include <array>
#include <cstdio>
#include <optional>

#include "base/histogram.hpp"
#include "base/text.hpp"
#include "session/latencies.hpp"

namespace pgweir::admin {

namespace {

enum class FigureType : uint8_t { kCounter, kGauge };
using enum FigureType;

// A family of figures: a column of a SHOW, one sample a row. `name` without prefix and without _total.
struct MetricRow {
  std::string_view topic;
  std::string_view column;
  std::string_view name;
  FigureType type;
  std::string_view unit;  // "seconds": the column is in microseconds unless `whole`; "bytes"; none
  std::string_view help;
  bool whole = false;            // the column is in seconds
  std::string_view micros = {};  // a second column, with the microseconds
};

// The leading columns of a topic that name what a row is about, and what they are called as labels.
struct LabelRow {
  std::string_view topic;
  std::vector<std::string_view> labels;
};

const std::vector<LabelRow>& label_rows() {
  static const std::vector<LabelRow> kRows = {
      {"STATS_TOTALS", {"database"}},
      {"POOLS", {"database", "user"}},
      {"DATABASES", {"database"}},
      {"USERS", {"user"}},
      {"LISTS", {"list"}},
      {"MEM", {"cache"}},
      {"WORKERS", {"worker"}},
      {"PEER_POOLS", {"peer"}},
      {"WAITS", {"database", "user", "cause"}},
      {"TRANSACTIONS", {"database", "user"}},
  };
  return kRows;
}

constexpr MetricRow kMetrics[] = {
    {"STATS_TOTALS", "server_assignment_count", "server_assignments", kCounter, "",
     "Times that a client was given a server."},
    {"STATS_TOTALS", "xact_count", "transactions", kCounter, "", "Transactions that have ended."},
    {"STATS_TOTALS", "query_count", "queries", kCounter, "", "Queries that have been answered."},
    {"STATS_TOTALS", "bytes_received", "received_bytes", kCounter, "bytes", "Bytes from clients."},
    {"STATS_TOTALS", "bytes_sent", "sent_bytes", kCounter, "bytes", "Bytes to clients."},
    {"STATS_TOTALS", "xact_time", "transaction_time_seconds", kCounter, "seconds",
     "Time that clients spent in transactions."},
    {"STATS_TOTALS", "query_time", "query_time_seconds", kCounter, "seconds", "Time that queries took."},
    {"STATS_TOTALS", "wait_time", "wait_time_seconds", kCounter, "seconds", "Time that clients waited for a server."},
    {"STATS_TOTALS", "client_parse_count", "client_parses", kCounter, "", "Prepared statements made by clients."},
    {"STATS_TOTALS", "server_parse_count", "server_parses", kCounter, "", "Prepared statements made on servers."},
    {"STATS_TOTALS", "bind_count", "binds", kCounter, "", "Prepared statements bound."},
    {"STATS_TOTALS", "client_login_count", "client_logins", kCounter, "", "Clients that have logged in."},

    {"POOLS", "cl_active", "pool_clients_active", kGauge, "", "Clients that have a server or are idle."},
    {"POOLS", "cl_waiting", "pool_clients_waiting", kGauge, "", "Clients that wait for a server."},
    {"POOLS", "cl_active_cancel_req", "pool_cancel_requests_active", kGauge, "",
     "Cancel requests that are with a server."},
    {"POOLS", "cl_waiting_cancel_req", "pool_cancel_requests_waiting", kGauge, "", "Cancel requests that wait."},
    {"POOLS", "sv_active", "pool_servers_active", kGauge, "", "Servers that work for a client."},
    {"POOLS", "sv_active_cancel", "pool_servers_cancelling", kGauge, "",
     "Server connections that carry a cancel request."},
    {"POOLS", "sv_being_canceled", "pool_servers_being_canceled", kGauge, "",
     "Servers kept back until their cancel requests are done."},
    {"POOLS", "sv_idle", "pool_servers_idle", kGauge, "", "Servers that are free."},
    {"POOLS", "sv_used", "pool_servers_used", kGauge, "", "Servers that are checked before they are given out."},
    {"POOLS", "sv_tested", "pool_servers_tested", kGauge, "", "Servers that are reset or checked now."},
    {"POOLS", "sv_login", "pool_servers_login", kGauge, "", "Servers that log in now."},
    {"POOLS", "maxwait", "pool_longest_wait_seconds", kGauge, "seconds", "How long the first in the queue has waited.",
     true, "maxwait_us"},

    {"WAITS", "waiting", "wait_cause_clients", kGauge, "",
     "Clients that wait for a server now, by what stands in the way."},
    {"WAITS", "wait_time_us", "wait_cause_time_seconds", kCounter, "seconds",
     "Time that clients waited for a server, by cause."},

    {"TRANSACTIONS", "open", "pool_transactions_open", kGauge, "", "Transactions that are open on a server now."},
    {"TRANSACTIONS", "idle", "pool_transactions_idle", kGauge, "",
     "Of these, in which nothing runs: idle in transaction."},
    {"TRANSACTIONS", "longest_us", "pool_longest_transaction_seconds", kGauge, "seconds",
     "How long the oldest open transaction has had its server."},
    {"TRANSACTIONS", "longest_idle_us", "pool_longest_idle_transaction_seconds", kGauge, "seconds",
     "How long nothing has run in the transaction that rests longest."},
    {"TRANSACTIONS", "slow_queries", "slow_queries", kCounter, "", "Queries that took log_slow_queries or longer."},
    {"TRANSACTIONS", "slow_transactions", "slow_transactions", kCounter, "",
     "Transactions that took log_slow_transactions or longer."},

    {"DATABASES", "pool_size", "database_pool_size", kGauge, "", "Most servers of one pool."},
    {"DATABASES", "min_pool_size", "database_min_pool_size", kGauge, "", "Servers that a pool keeps."},
    {"DATABASES", "reserve_pool_size", "database_reserve_pool_size", kGauge, "",
     "Servers beyond pool_size for clients that have waited long."},
    {"DATABASES", "max_connections", "database_max_connections", kGauge, "",
     "Most servers of the database, 0 for no limit."},
    {"DATABASES", "current_connections", "database_connections", kGauge, "", "Servers of the database."},
    {"DATABASES", "max_client_connections", "database_max_client_connections", kGauge, "",
     "Most clients of the database, 0 for no limit."},
    {"DATABASES", "current_client_connections", "database_client_connections", kGauge, "", "Clients of the database."},
    {"DATABASES", "server_lifetime", "database_server_lifetime_seconds", kGauge, "seconds",
     "Age at which a server is closed.", true},
    {"DATABASES", "paused", "database_paused", kGauge, "", "1 while the database is paused."},
    {"DATABASES", "disabled", "database_disabled", kGauge, "", "1 while the database is disabled."},

    {"USERS", "max_user_connections", "user_max_connections", kGauge, "", "Most servers of the user, 0 for no limit."},
    {"USERS", "current_connections", "user_connections", kGauge, "", "Servers of the user."},
    {"USERS", "max_user_client_connections", "user_max_client_connections", kGauge, "",
     "Most clients of the user, 0 for no limit."},
    {"USERS", "current_client_connections", "user_client_connections", kGauge, "", "Clients of the user."},

    {"LISTS", "items", "list_items", kGauge, "", "Items in a list of the console's SHOW LISTS."},
    {"MEM", "memtotal", "memory_bytes", kGauge, "bytes", "Memory of objects of a kind."},
    {"PEER_POOLS", "cl_active_cancel_req", "peer_cancel_requests_active", kGauge, "",
     "Cancel requests that are on their way to a peer."},
    {"PEER_POOLS", "cl_waiting_cancel_req", "peer_cancel_requests_waiting", kGauge, "",
     "Cancel requests that wait for a peer."},

    {"WORKERS", "clients", "worker_clients", kGauge, "", "Clients of a worker."},
    {"WORKERS", "servers", "worker_servers", kGauge, "", "Servers of a worker."},
    {"WORKERS", "loops", "worker_loops", kCounter, "", "Turns of a worker's event loop."},
    {"WORKERS", "queries", "worker_queries", kCounter, "", "Queries that a worker has carried."},
    {"WORKERS", "sent_servers", "worker_servers_handed_over", kCounter, "",
     "Servers that a worker has given to another."},
    {"WORKERS", "cancels", "worker_cancel_requests", kCounter, "",
     "Cancel requests that a worker has sent to servers."},
    {"WORKERS", "retries", "worker_retries", kCounter, "",
     "Statements that were prepared anew after a change of their result."},
    {"WORKERS", "mismatches", "worker_mismatches", kCounter, "",
     "Answers of servers that nothing explained; each has cost its connection."},
    {"WORKERS", "impossible", "worker_impossible_states", kCounter, "",
     "States that must not be; each has cost its connection."},
    {"WORKERS", "sends", "worker_sends", kCounter, "", "Messages that were handed to the kernel."},
    {"WORKERS", "batches", "worker_send_batches", kCounter, "", "System calls that carried several of them."},
    {"WORKERS", "cpu_us", "worker_cpu_seconds", kCounter, "seconds", "Processor time of a worker."},
    {"WORKERS", "locks", "worker_locks", kCounter, "", "Locks that a worker has taken."},
    {"WORKERS", "lock_waits", "worker_lock_waits", kCounter, "", "Of these, that it had to wait for."},
};

constexpr std::string_view kPrefix = "pgweir_";
constexpr const char* kOthers = "(others)";

// Upper bounds of the histograms' buckets, microseconds.
constexpr std::array<uint64_t, 18> kBounds = {100,     250,     500,       1000,       2500,       5000,
                                              10000,   25000,   50000,     100000,     250000,     500000,
                                              1000000, 2500000, 5'000'000, 10'000'000, 30'000'000, 60'000'000};

std::string escaped(std::string_view value) {
  std::string out;
  for (char c : value) {
    if (c == '\\' || c == '"') out.push_back('\\');
    if (c == '\n') {
      out += "\\n";
    } else {
      out.push_back(c);
    }
  }
  return out;
}

std::string seconds(uint64_t micros) {
  char text[40];
  std::snprintf(text, sizeof text, "%llu.%06llu", static_cast<unsigned long long>(micros / kSecond),
                static_cast<unsigned long long>(micros % kSecond));
  return text;
}

void append_head(std::string& out, Exposition form, std::string_view name, std::string_view type, std::string_view unit,
                 std::string_view help) {
  const bool open = form == Exposition::kOpenMetrics;
  const std::string family = cat(kPrefix, name, !open && type == "counter" ? "_total" : "");
  out += cat("# TYPE ", family, ' ', type, '\n');
  if (open && !unit.empty()) out += cat("# UNIT ", family, ' ', unit, '\n');
  out += cat("# HELP ", family, ' ', help, '\n');
}

std::string labels_of(const std::vector<std::string_view>& labels, const RowCells& row, bool others) {
  std::string out;
  for (size_t at = 0; at < labels.size(); ++at) {
    out += cat(at ? "," : "", labels[at], "=\"", others ? std::string(kOthers) : escaped(row[at].value_or("")), '"');
  }
  return out;
}

// A cell's value in microseconds where the unit is seconds, else as it is.
int64_t value_of(const MetricRow& metric, const Columns& columns, const RowCells& row) {
  const size_t at = place_of(columns, metric.column);
  int64_t value = at < row.size() ? number_of(row[at]) : 0;
  if (metric.whole) value *= kSecond;
  const size_t more = metric.micros.empty() ? SIZE_MAX : place_of(columns, metric.micros);
  if (more < row.size()) value += number_of(row[more]);
  return std::max<int64_t>(value, 0);
}

void append_sample(std::string& out, const MetricRow& metric, const std::string& labels, int64_t value) {
  out += cat(kPrefix, metric.name, metric.type == kCounter ? "_total" : "", '{', labels, "} ",
             metric.unit == "seconds" ? seconds(static_cast<uint64_t>(value)) : std::to_string(value), '\n');
}

void append_family(std::string& out, Exposition form, const MetricRow& metric, const LabelRow& about,
                   const Rows& rows) {
  const Columns* columns = columns_of(metric.topic);
  if (!columns || rows.empty()) return;
  append_head(out, form, metric.name, metric.type == kCounter ? "counter" : "gauge", metric.unit, metric.help);
  int64_t others = 0;
  for (size_t at = 0; at < rows.size(); ++at) {
    const int64_t value = value_of(metric, *columns, rows[at]);
    if (at < kMostOfAKind) {
      append_sample(out, metric, labels_of(about.labels, rows[at], false), value);
    } else {
      others += value;
    }
  }
  if (rows.size() > kMostOfAKind) append_sample(out, metric, labels_of(about.labels, rows.back(), true), others);
}

void append_histogram(std::string& out, const std::string& name, const std::string& labels, const Histogram& times) {
  for (uint64_t bound : kBounds)
    out += cat(name, "_bucket{", labels, ",le=\"", seconds(bound), "\"} ", times.up_to(bound), '\n');
  out += cat(name, "_bucket{", labels, ",le=\"+Inf\"} ", times.count(), '\n');
  out += cat(name, "_sum{", labels, "} ", seconds(times.sum()), '\n');
  out += cat(name, "_count{", labels, "} ", times.count(), '\n');
}

constexpr std::array<const char*, session::kTookNames.size()> kTookHelp = {
    "How long queries took.", "How long transactions took.", "How long clients waited for a server.",
    "How long connecting and logging in to a server took.", "How long clients' logins took."};

void append_latencies(std::string& out, Exposition form, const Rows& rows) {
  static const std::vector<std::string_view> kLabels = {"database", "user"};
  for (size_t kind = 0; kind < session::kTookNames.size(); ++kind) {
    const std::string name = cat(session::kTookNames[kind], "_duration_seconds");
    std::string samples;
    Histogram others;
    size_t count = 0;
    for (const RowCells& row : rows) {
      Histogram times;
      if (row.size() < 4 || row[2] != session::kTookNames[kind] || !times.add_text(row[3].value_or(""))) continue;
      if (++count > kMostOfAKind) {
        others.add(times);
      } else {
        append_histogram(samples, cat(kPrefix, name), labels_of(kLabels, row, false), times);
      }
    }
    if (count == 0) continue;
    if (count > kMostOfAKind)
      append_histogram(samples, cat(kPrefix, name), labels_of(kLabels, rows.back(), true), others);
    append_head(out, form, name, "histogram", "seconds", kTookHelp[kind]);
    out += samples;
  }
}

// SHOW STATE: a word a row.
void append_states(std::string& out, Exposition form, const Rows& rows) {
  for (const RowCells& row : rows) {
    if (row.size() < 2) continue;
    const std::string name = row[0].value_or("");
    append_head(out, form, name, "gauge", "", cat("1 while pgweir is ", name, '.'));
    out += cat(kPrefix, name, ' ', row[1] == "yes" ? 1 : 0, '\n');
  }
}

}  // namespace

const std::vector<std::string_view>& metric_topics() {
  static const std::vector<std::string_view> kTopics = [] {
    std::vector<std::string_view> topics = {"VERSION", "STATE", "LATENCIES"};
    for (const LabelRow& row : label_rows())
      topics.push_back(row.topic);
    return topics;
  }();
  return kTopics;
}

Exposition exposition_for(std::string_view accept) {
  return accept.find("application/openmetrics-text") != std::string_view::npos ? Exposition::kOpenMetrics
                                                                               : Exposition::kPrometheus;
}

std::string content_type(Exposition form) {
  return form == Exposition::kOpenMetrics ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                          : "text/plain; version=0.0.4; charset=utf-8";
}

std::string metrics_text(const Shown& shown, Exposition form) {
  std::string out;
  auto rows_of = [&](std::string_view topic) -> const Rows& {
    static const Rows kNone;
    auto found = shown.find(topic);
    return found == shown.end() ? kNone : found->second;
  };
  if (const Rows& version = rows_of("VERSION"); !version.empty() && !version[0].empty()) {
    append_head(out, form, form == Exposition::kOpenMetrics ? "build" : "build_info",
                form == Exposition::kOpenMetrics ? "info" : "gauge", "", "What is running.");
    out += cat(kPrefix, "build_info{version=\"", escaped(version[0][0].value_or("")), "\"} 1\n");
  }
  append_states(out, form, rows_of("STATE"));
  for (const MetricRow& metric : kMetrics) {
    for (const LabelRow& about : label_rows()) {
      if (about.topic == metric.topic) append_family(out, form, metric, about, rows_of(metric.topic));
    }
  }
  append_latencies(out, form, rows_of("LATENCIES"));
  if (form == Exposition::kOpenMetrics) out += "# EOF\n";
  return out;
}

std::shared_ptr<Job> make_show_job(std::string_view topic) {
  auto job = std::make_shared<Job>();
  job->command.word = "SHOW";
  job->command.argument = topic;
  job->command.text = cat("SHOW ", topic);
  job->rights = 'a';
  return job;
}

Rows rows_for_metrics(const Job& job, const Context& context) {
  const TopicRow* topic = find_topic(job.command.argument);
  if (!topic) return {};
  Rows merged = merge(job.parts, topic->merge);
  return topic->present && topic->topic != "LATENCIES" ? topic->present(std::move(merged), context) : merged;
}

}  // namespace pgweir::admin
