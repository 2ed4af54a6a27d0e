#include "admin/columns.hpp"

#include <algorithm>
#include <map>
#include <string>

#include "base/text.hpp"
#include "pool/wait_log.hpp"

namespace pgweir::admin {

namespace {

using enum Type;

// SHOW CLIENTS and SHOW SERVERS; SHOW SOCKETS begins with them.
const Columns kConnection = {{"type", kText},
                             {"user", kText},
                             {"database", kText},
                             {"replication", kText},
                             {"state", kText},
                             {"addr", kText},
                             {"port", kInt4},
                             {"local_addr", kText},
                             {"local_port", kInt4},
                             {"connect_time", kText},
                             {"request_time", kText},
                             {"wait", kInt4},
                             {"wait_us", kInt4},
                             {"close_needed", kInt4},
                             {"ptr", kText},
                             {"link", kText},
                             {"remote_pid", kInt4},
                             {"tls", kText},
                             {"application_name", kText},
                             {"prepared_statements", kInt4},
                             {"id", kInt4}};

Columns with(Columns columns, const Columns& more) {
  columns.insert(columns.end(), more.begin(), more.end());
  return columns;
}

const Columns kSocket = with(kConnection, {{"recv_pos", kInt4},
                                           {"pkt_pos", kInt4},
                                           {"pkt_remain", kInt4},
                                           {"send_pos", kInt4},
                                           {"send_remain", kInt4},
                                           {"pkt_avail", kInt4},
                                           {"send_avail", kInt4}});

const Columns kConfig = {{"key", kText}, {"value", kText}, {"default", kText}, {"changeable", kText}};

const Columns kDatabases = {{"name", kText},
                            {"host", kText},
                            {"port", kInt4},
                            {"database", kText},
                            {"force_user", kText},
                            {"pool_size", kInt4},
                            {"min_pool_size", kInt4},
                            {"reserve_pool_size", kInt4},
                            {"server_lifetime", kInt4},
                            {"pool_mode", kText},
                            {"load_balance_hosts", kText},
                            {"max_connections", kInt4},
                            {"current_connections", kInt4},
                            {"max_client_connections", kInt4},
                            {"current_client_connections", kInt4},
                            {"paused", kInt4},
                            {"disabled", kInt4}};

const Columns kDnsHosts = {{"hostname", kText}, {"ttl", kInt8}, {"addrs", kText}};

const Columns kDnsZones = {{"zonename", kText}, {"serial", kInt8}, {"count", kInt4}};

const Columns kFds = {{"fd", kInt4},
                      {"task", kText},
                      {"user", kText},
                      {"database", kText},
                      {"addr", kText},
                      {"port", kInt4},
                      {"cancel", kInt8},
                      {"link", kInt4},
                      {"client_encoding", kText},
                      {"std_strings", kText},
                      {"datestyle", kText},
                      {"timezone", kText},
                      {"password", kText},
                      {"scram_client_key", kBytea},
                      {"scram_server_key", kBytea}};

const Columns kLists = {{"list", kText}, {"items", kInt4}};

const Columns kMem = {{"name", kText}, {"size", kInt4}, {"used", kInt4}, {"free", kInt4}, {"memtotal", kInt4}};

const Columns kPeers = {{"peer_id", kInt4}, {"host", kText}, {"port", kInt4}, {"pool_size", kInt4}};

const Columns kPeerPools = {{"peer_id", kInt4},
                            {"cl_active_cancel_req", kInt4},
                            {"cl_waiting_cancel_req", kInt4},
                            {"sv_active_cancel", kInt4},
                            {"sv_login", kInt4}};

const Columns kPools = {{"database", kText},
                        {"user", kText},
                        {"cl_active", kInt4},
                        {"cl_waiting", kInt4},
                        {"cl_active_cancel_req", kInt4},
                        {"cl_waiting_cancel_req", kInt4},
                        {"sv_active", kInt4},
                        {"sv_active_cancel", kInt4},
                        {"sv_being_canceled", kInt4},
                        {"sv_idle", kInt4},
                        {"sv_used", kInt4},
                        {"sv_tested", kInt4},
                        {"sv_login", kInt4},
                        {"maxwait", kInt4},
                        {"maxwait_us", kInt4},
                        {"pool_mode", kText},
                        {"load_balance_hosts", kText}};

const Columns kState = {{"key", kText}, {"value", kText}};

const Columns kStats = {{"database", kText},
                        {"total_server_assignment_count", kNumeric},
                        {"total_xact_count", kNumeric},
                        {"total_query_count", kNumeric},
                        {"total_received", kNumeric},
                        {"total_sent", kNumeric},
                        {"total_xact_time", kNumeric},
                        {"total_query_time", kNumeric},
                        {"total_wait_time", kNumeric},
                        {"total_client_parse_count", kNumeric},
                        {"total_server_parse_count", kNumeric},
                        {"total_bind_count", kNumeric},
                        {"total_client_login_count", kNumeric},
                        {"avg_server_assignment_count", kNumeric},
                        {"avg_xact_count", kNumeric},
                        {"avg_query_count", kNumeric},
                        {"avg_recv", kNumeric},
                        {"avg_sent", kNumeric},
                        {"avg_xact_time", kNumeric},
                        {"avg_query_time", kNumeric},
                        {"avg_wait_time", kNumeric},
                        {"avg_client_parse_count", kNumeric},
                        {"avg_server_parse_count", kNumeric},
                        {"avg_bind_count", kNumeric},
                        {"avg_client_login_count", kNumeric}};

const Columns kStatsTotals = {{"database", kText},
                              {"server_assignment_count", kNumeric},
                              {"xact_count", kNumeric},
                              {"query_count", kNumeric},
                              {"bytes_received", kNumeric},
                              {"bytes_sent", kNumeric},
                              {"xact_time", kNumeric},
                              {"query_time", kNumeric},
                              {"wait_time", kNumeric},
                              {"client_parse_count", kNumeric},
                              {"server_parse_count", kNumeric},
                              {"bind_count", kNumeric},
                              {"client_login_count", kNumeric}};

const Columns kStatsAverages = {{"database", kText},
                                {"server_assignment_count", kNumeric},
                                {"xact_count", kNumeric},
                                {"query_count", kNumeric},
                                {"bytes_received", kNumeric},
                                {"bytes_sent", kNumeric},
                                {"xact_time", kNumeric},
                                {"query_time", kNumeric},
                                {"wait_time", kNumeric},
                                {"avg_client_parse_count", kNumeric},
                                {"avg_server_parse_count", kNumeric},
                                {"avg_bind_count", kNumeric},
                                {"avg_client_login_count", kNumeric}};

const Columns kTotals = {{"name", kText}, {"value", kNumeric}};

const Columns kUsers = {{"name", kText},
                        {"pool_size", kText},
                        {"reserve_pool_size", kText},
                        {"pool_mode", kText},
                        {"max_user_connections", kInt4},
                        {"current_connections", kInt4},
                        {"max_user_client_connections", kInt4},
                        {"current_client_connections", kInt4}};

const Columns kVersion = {{"version", kText}};

// Ours: one row a worker. cpu_us is the time that its thread has run; locks is how often it took a lock, and lock_waits
// how often another thread held that: none is taken on the path of a query.
const Columns kWorkers = {
    {"worker", kInt4},        {"clients", kInt4},      {"cl_active", kInt4},
    {"cl_idle", kInt4},       {"cl_waiting", kInt4},   {"cl_login", kInt4},
    {"servers", kInt4},       {"sv_active", kInt4},    {"sv_idle", kInt4},
    {"sv_login", kInt4},      {"pools", kInt4},        {"loops", kInt8},
    {"queries", kInt8},       {"sent_servers", kInt8}, {"received_servers", kInt8},
    {"cancels", kInt8},       {"retries", kInt8},      {"mismatches", kInt8},
    {"impossible", kInt8},    {"sends", kInt8},        {"cpu_us", kInt8},
    {"batched_sends", kText}, {"batches", kInt8},      {"locks", kInt8},
    {"lock_waits", kInt8},
};

// Ours: a row for each pool and kind of time (query, transaction, wait, connect, login) that has happened since the
// start.
const Columns kLatencies = {
    {"database", kText}, {"user", kText},   {"kind", kText},   {"count", kInt8},   {"mean_us", kInt8},
    {"p50_us", kInt8},   {"p90_us", kInt8}, {"p99_us", kInt8}, {"p999_us", kInt8}, {"max_us", kInt8},
};

// Ours: why clients wait for a server of a pool (pool/wait_log.hpp), how many do so now, and how long all have since
// the start; the times of a pool add up to its part of total_wait_time.
const Columns kWaits = {
    {"database", kText}, {"user", kText}, {"cause", kText}, {"waiting", kInt4}, {"wait_time_us", kInt8},
};

// Ours: the transactions that are open on a pool's servers, how many of them are idle (nothing runs, it is the client's
// turn), how long the oldest of either has lasted, and how many slow ones have been noticed since the start.
const Columns kTransactions = {
    {"database", kText},     {"user", kText},
    {"open", kInt4},         {"idle", kInt4},
    {"longest_us", kInt8},   {"longest_idle_us", kInt8},
    {"slow_queries", kInt8}, {"slow_transactions", kInt8},
};

const Columns kHelp;

const Columns kClientEncoding = {{"client_encoding", kText}};

const Columns kDefaultTransactionIsolation = {{"default_transaction_isolation", kText}};

const Columns kStandardConformingStrings = {{"standard_conforming_strings", kText}};

const Columns kDatestyle = {{"datestyle", kText}};

const Columns kTimezone = {{"timezone", kText}};

const std::map<std::string_view, const Columns*>& table() {
  static const std::map<std::string_view, const Columns*> kTable = {
      {"ACTIVE_SOCKETS", &kSocket},
      {"CLIENTS", &kConnection},
      {"CONFIG", &kConfig},
      {"DATABASES", &kDatabases},
      {"DNS_HOSTS", &kDnsHosts},
      {"DNS_ZONES", &kDnsZones},
      {"FDS", &kFds},
      {"HELP", &kHelp},
      {"LISTS", &kLists},
      {"MEM", &kMem},
      {"PEERS", &kPeers},
      {"PEER_POOLS", &kPeerPools},
      {"POOLS", &kPools},
      {"SERVERS", &kConnection},
      {"SOCKETS", &kSocket},
      {"STATE", &kState},
      {"STATS", &kStats},
      {"STATS_AVERAGES", &kStatsAverages},
      {"STATS_TOTALS", &kStatsTotals},
      {"TOTALS", &kTotals},
      {"USERS", &kUsers},
      {"VERSION", &kVersion},
      {"WORKERS", &kWorkers},
      {"LATENCIES", &kLatencies},
      {"WAITS", &kWaits},
      {"TRANSACTIONS", &kTransactions},
      {"client_encoding", &kClientEncoding},
      {"datestyle", &kDatestyle},
      {"default_transaction_isolation", &kDefaultTransactionIsolation},
      {"standard_conforming_strings", &kStandardConformingStrings},
      {"timezone", &kTimezone},
  };
  return kTable;
}

}  // namespace

int16_t typlen_of(Type type) {
  switch (type) {
    case Type::kInt4: return 4;
    case Type::kInt8: return 8;
    default: return -1;
  }
}

const Columns* columns_of(std::string_view topic) {
  auto found = table().find(topic);
  return found == table().end() ? nullptr : found->second;
}

const std::vector<OldColumn>& old_columns() {
  static const std::vector<OldColumn> kRows = {
      {"STATS", "total_requests", "total_query_count"},
      {"DATABASES", "reserve_pool", "reserve_pool_size"},
  };
  return kRows;
}

const Columns* columns_with_old(std::string_view topic) {
  static const std::map<std::string_view, Columns> kTopics = [] {
    std::map<std::string_view, Columns> topics;
    for (const OldColumn& old : old_columns()) {
      Columns& columns = topics.try_emplace(old.topic, *columns_of(old.topic)).first->second;
      columns.push_back({old.name, columns[place_of(columns, old.now)].type});
    }
    return topics;
  }();
  auto found = kTopics.find(topic);
  return found == kTopics.end() ? nullptr : &found->second;
}

const Columns* columns_with_extra(std::string_view topic) {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> names;
    for (const pool::CauseRow& cause : pool::kCauseRows)
      names.push_back(cat("wait_", cause.name));
    return names;
  }();
  static const Columns kPoolsAndWaits = [] {
    Columns columns = with(kPools, {{"wait_cause", kText}});
    for (const std::string& name : kNames)
      columns.push_back({name, kInt8});
    return columns;
  }();
  return topic == "POOLS" ? &kPoolsAndWaits : nullptr;
}

size_t place_of(const Columns& columns, std::string_view name) {
  auto found = std::find_if(columns.begin(), columns.end(), [&](const Column& one) { return one.name == name; });
  return static_cast<size_t>(found - columns.begin());
}

std::vector<std::string_view> topics_with_columns() {
  std::vector<std::string_view> topics;
  for (const auto& [topic, columns] : table()) {
    if (!columns->empty()) topics.push_back(topic);
  }
  return topics;
}

}  // namespace pgweir::admin
