#include "tools/top/json.hpp"

#include <array>

#include "tools/common/json.hpp"

namespace pgweir::tools::top {

namespace {

void put_rates(Json& json, const Database& one) {
  json.put("transactions_per_second", one.xacts);
  json.put("queries_per_second", one.queries);
  json.put("received_bytes_per_second", one.in);
  json.put("sent_bytes_per_second", one.out);
  json.put("mean_transaction_us", one.xact_us);
  json.put("mean_query_us", one.query_us);
  json.put("mean_wait_us", one.wait_us);
}

void put_pool(Json& json, const Pool& one) {
  json.begin_object().put("database", one.database).put("user", one.user).put("mode", one.mode);
  json.put("level", level_word(one.level)).put("clients", one.clients).put("waiting", one.waiting);
  json.put("longest_wait_us", one.longest_us).put("why", one.why);
  json.put("transactions_open", one.open_transactions).put("transactions_idle", one.idle_transactions);
  json.put("longest_idle_transaction_us", one.longest_idle_us);
  json.put("servers_active", one.active).put("servers_idle", one.idle).put("servers_used", one.used);
  json.put("servers_tested", one.tested).put("servers_login", one.login).put("servers_cancel", one.cancels);
  json.put("pool_size", one.size).put("reserve_pool_size", one.reserve);
  json.key("latencies").begin_array();
  for (const Latency& latency : one.latencies) {
    json.begin_object().put("kind", latency.kind).put("count", latency.count).put("mean_us", latency.mean_us);
    json.put("p50_us", latency.p50_us).put("p90_us", latency.p90_us).put("p99_us", latency.p99_us);
    json.put("p999_us", latency.p999_us).put("max_us", latency.max_us).end_object();
  }
  json.end_array().end_object();
}

void put_database(Json& json, const Database& one) {
  static constexpr std::array<const char*, 3> kReach = {"unknown", "yes", "no"};
  json.begin_object().put("database", one.name).put("host", one.host).put("port", one.port);
  json.put("level", level_word(one.level)).put("reached", kReach[static_cast<size_t>(one.reach)]);
  json.put("reason", one.reach_text).put("paused", one.paused).put("disabled", one.disabled);
  json.put("server_connections", one.connections).put("max_db_connections", one.max_connections);
  json.put("client_connections", one.clients).put("max_db_client_connections", one.max_clients);
  put_rates(json, one);
  json.end_object();
}

void put_worker(Json& json, const Picture& picture, const Worker& one) {
  json.begin_object().put("worker", one.id).put("level", level_word(one.level)).put("clients", one.clients);
  json.put("servers", one.servers).put("waiting", one.waiting);
  if (picture.has_workers) json.put("cpu_percent", one.percent);
  json.end_object();
}

}  // namespace

const char* level_word(Level level) {
  static constexpr std::array<const char*, 3> kWords = {"green", "yellow", "red"};
  return kWords[static_cast<size_t>(level)];
}

std::string as_json(const Ui& ui, const Picture& picture) {
  Json json;
  json.begin_object().put("time", picture.clock).put("level", level_word(picture.worst()));
  json.put("version", picture.version).put("failure", picture.failure);
  json.put("rates", picture.measured ? "measured" : "averages");
  json.put("paused", picture.paused).put("suspended", picture.suspended);
  json.put("clients", picture.clients).put("max_client_conn", picture.max_clients);
  json.key("health").begin_array();
  for (const Verdict& one : picture.health)
    json.begin_object().put("level", level_word(one.level)).put("about", one.key).put("text", one.text).end_object();
  json.end_array();
  json.key("total").begin_object();
  put_rates(json, picture.total);
  json.end_object();
  json.key("pools").begin_array();
  for (const Pool* one : shown_pools(ui, picture))
    put_pool(json, *one);
  json.end_array().key("databases").begin_array();
  for (const Database& one : picture.databases)
    put_database(json, one);
  json.end_array().key("workers").begin_array();
  for (const Worker& one : picture.workers)
    put_worker(json, picture, one);
  json.end_array().key("problems").begin_array();
  for (const Problem& one : picture.problems)
    json.begin_object().put("time", one.clock).put("level", level_word(one.level)).put("text", one.text).end_object();
  json.end_array().end_object();
  return json.text() + "\n";
}

}  // namespace pgweir::tools::top
