// SHOW of what the books, the snapshot and the resolver know.
#include "admin/present.hpp"

#include <cstdio>
#include <map>
#include <set>

#include "base/text.hpp"
#include "settings/load.hpp"

namespace pgweir::admin {

namespace {

constexpr char kYes[] = "yes";
constexpr char kNo[] = "no";

template <class Value>
Cell word_or_null(const std::optional<Value>& value) {
  return value ? Cell(settings::word_of(*value)) : Cell();
}

// As PgBouncer pads them.
std::string padded_or_empty(const std::optional<int>& value) {
  char text[32];
  if (!value) return "";
  std::snprintf(text, sizeof text, "%9d", *value);
  return text;
}

RowCells database_row(const pool::SharedDatabase& entry, const settings::Snapshot& snapshot) {
  const pool::DatabasePtr config = entry.config();
  const std::string user = config->user.value_or(std::string());
  const bool many = config->hosts.size() > 1;
  return {entry.name,
          text_or_null(config->host_text),
          int4(config->port),
          config->dbname.empty() ? entry.name : config->dbname,
          config->user ? Cell(*config->user) : Cell(),
          int4(settings::pool_size(snapshot, *config, user)),
          int4(settings::min_pool_size(snapshot, *config)),
          int4(settings::reserve_pool_size(snapshot, *config, user)),
          int4(settings::server_lifetime(snapshot, *config) / kSecond),
          word_or_null(config->pool_mode),
          many ? Cell(settings::word_of(config->load_balance_hosts)) : Cell(),
          int4(settings::max_db_connections(snapshot, *config)),
          int4(entry.servers.used()),
          int4(settings::max_db_client_connections(snapshot, *config)),
          int4(entry.clients.used()),
          entry.paused ? "1" : "0",
          entry.disabled ? "1" : "0"};
}

RowCells console_row(const settings::Global& global, int clients) {
  return {kConsoleDatabase,
          Cell(),
          int4(global.listen_port),
          kConsoleDatabase,
          kConsoleDatabase,
          "2",
          "0",
          "0",
          int4(global.server_lifetime / kSecond),
          "statement",
          Cell(),
          int4(global.max_db_connections),
          "0",
          int4(global.max_db_client_connections),
          int4(clients),
          "0",
          "0"};
}

// Everybody who is known by name: from the userlist, [users], entries of databases, and those who logged in.
std::set<std::string> known_users(const Context& context) {
  std::set<std::string> names = {kConsoleDatabase};
  const settings::Snapshot& snapshot = *context.snapshot;
  if (snapshot.userlist) snapshot.userlist->for_each([&](const std::string& name, const auto&) { names.insert(name); });
  for (const auto& [name, user] : snapshot.users)
    names.insert(name);
  for (const auto& [name, config] : snapshot.databases) {
    if (config->user) names.insert(*config->user);
    if (config->auth_user) names.insert(*config->auth_user);
  }
  if (!snapshot.global.auth_user.empty()) names.insert(snapshot.global.auth_user);
  for (const auto& user : context.books.users())
    names.insert(user->name);
  return names;
}

bool shown_in_lists(const pool::SharedDatabase& entry) {
  return !entry.automatic || entry.clients.used() > 0 || entry.servers.used() > 0 || entry.paused || entry.disabled;
}

}  // namespace

// NOLINTBEGIN(performance-unnecessary-value-param): one signature for all (Present); those that can, move from it
Rows show_databases(Rows, const Context& context) {
  Rows rows;
  for (const auto& entry : context.books.databases()) {
    if (shown_in_lists(*entry)) rows.push_back(database_row(*entry, *context.snapshot));
  }
  rows.push_back(console_row(context.snapshot->global, context.books.console()->clients.used()));
  sort_rows(rows, 1);
  return rows;
}

Rows show_users(Rows, const Context& context) {
  const settings::Snapshot& snapshot = *context.snapshot;
  std::map<std::string, std::shared_ptr<pool::SharedUser>> counted;
  for (const auto& user : context.books.users())
    counted[user->name] = user;
  static const settings::User kUnset;
  Rows rows;
  for (const std::string& name : known_users(context)) {
    auto own = snapshot.users.find(name);
    const settings::User& user = own == snapshot.users.end() ? kUnset : own->second;
    auto counts = counted.find(name);
    const bool known = counts != counted.end();
    rows.push_back({name, padded_or_empty(user.pool_size), padded_or_empty(user.reserve_pool_size),
                    word_or_null(user.pool_mode), int4(settings::max_user_connections(snapshot, name)),
                    int4(known ? counts->second->servers.used() : 0),
                    int4(settings::max_user_client_connections(snapshot, name)),
                    int4(known ? counts->second->clients.used() : 0)});
  }
  return rows;
}

Rows show_config(Rows, const Context& context) {
  Rows rows;
  for (auto& row : settings::show_config(*context.snapshot))
    rows.push_back({row.key, row.value, row.preset, row.changeable ? kYes : kNo});
  sort_rows(rows, 1);
  return rows;
}

Rows show_state(Rows, const Context& context) {
  const pool::Mode mode = context.books.mode();
  return {{"active", mode == pool::Mode::kRunning ? kYes : kNo},
          {"paused", mode == pool::Mode::kPaused ? kYes : kNo},
          {"suspended", mode == pool::Mode::kSuspended ? kYes : kNo}};
}

Rows show_version(Rows, const Context& context) {
  return {{context.version}};
}

Rows show_peers(Rows, const Context& context) {
  Rows rows;
  for (const auto& [id, peer] : context.snapshot->peers) {
    rows.push_back(
        {int4(id), text_or_null(peer.host), int4(peer.port), int4(settings::pool_size(*context.snapshot, peer))});
  }
  return rows;
}

Rows show_peer_pools(Rows, const Context& context) {
  Rows rows;
  for (const auto& [id, peer] : context.snapshot->peers) {
    const auto pool = context.books.peer(id);
    if (!pool) continue;
    const int opening = pool->opening.load();
    const int carrying = pool->carrying.load();
    rows.push_back({int4(id), int4(opening + carrying), int4(pool->waiting.load()), int4(carrying), int4(opening)});
  }
  return rows;
}

Rows show_dns_hosts(Rows, const Context& context) {
  Rows rows;
  for (const auto& host : context.resolver.snapshot()) {
    std::string addresses;
    for (const net::Address& address : host.addresses)
      addresses += cat(addresses.empty() ? "" : ",", address.text());
    rows.push_back({host.name, std::to_string(host.ttl / kSecond), addresses});
  }
  return rows;
}

Rows show_dns_zones(Rows, const Context& context) {
  Rows rows;
  for (const auto& zone : context.resolver.zones())
    rows.push_back({zone.name, std::to_string(zone.serial), int4(static_cast<int64_t>(zone.names))});
  return rows;
}

Rows present_lists(Rows merged, const Context& context) {
  std::map<std::string, int64_t> counts;
  for (const RowCells& row : merged)
    counts[row[0].value_or("")] = number_of(row[1]);
  const auto peers = static_cast<int64_t>(context.snapshot->peers.size());
  const auto hosts = context.resolver.snapshot();
  counts["databases"] = static_cast<int64_t>(show_databases({}, context).size());
  counts["users"] = static_cast<int64_t>(known_users(context).size());
  counts["peers"] = peers;
  counts["pools"] = static_cast<int64_t>(context.books.pools().size()) + 1;  // the console's
  counts["peer_pools"] = peers;
  counts["dns_names"] = static_cast<int64_t>(hosts.size());
  counts["dns_zones"] = static_cast<int64_t>(context.resolver.zones().size());
  counts["dns_queries"] = static_cast<int64_t>(context.resolver.pending());
  static constexpr const char* kOrder[] = {
      "databases",     "users",        "peers",        "pools",     "peer_pools", "free_clients", "used_clients",
      "login_clients", "free_servers", "used_servers", "dns_names", "dns_zones",  "dns_queries",  "dns_pending"};
  Rows rows;
  for (const char* name : kOrder)
    rows.push_back({name, int4(counts[name])});
  return rows;
}

Rows present_memory(Rows merged, const Context& context) {
  std::map<std::string, RowCells> found;
  for (RowCells& row : merged)
    found[row[0].value_or("")] = row;
  auto add = [&](const char* name, size_t size, size_t used) {
    found[name] = {name, std::to_string(size), std::to_string(used), "0", std::to_string(size * used)};
  };
  const size_t users = context.books.users().size();
  const size_t secrets = context.snapshot->userlist ? context.snapshot->userlist->size() : 0;
  add("user_cache", sizeof(pool::SharedUser), users);
  add("credentials_cache", sizeof(auth::Secret), secrets);
  add("db_cache", sizeof(pool::SharedDatabase), context.books.databases().size());
  add("peer_cache", sizeof(settings::Peer), context.snapshot->peers.size());
  static constexpr const char* kOrder[] = {"user_cache",
                                           "credentials_cache",
                                           "db_cache",
                                           "peer_cache",
                                           "peer_pool_cache",
                                           "pool_cache",
                                           "outstanding_request_cache",
                                           "server_cache",
                                           "client_cache",
                                           "iobuf_cache",
                                           "var_list_cache",
                                           "server_prepared_statement_cache"};
  Rows rows;
  for (const char* name : kOrder) {
    RowCells row = found.contains(name) ? found[name] : RowCells{name, "0", "0", "0", "0"};
    for (size_t at = 1; at < row.size(); ++at)
      row[at] = int4(number_of(row[at]));
    rows.push_back(std::move(row));
  }
  return rows;
}

// NOLINTEND(performance-unnecessary-value-param)

}  // namespace pgweir::admin
