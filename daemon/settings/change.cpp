// What changes while the daemon runs: SET on the console, and the difference that a reload makes. And SHOW CONFIG.
#include <tuple>

#include "base/text.hpp"
#include "settings/check.hpp"
#include "settings/load.hpp"
#include "settings/table.hpp"

namespace pgweir::settings {

namespace {

bool names_auth_file(const std::string& setting) {
  return setting == "auth_type" || setting == "auth_file" || setting == "auth_hba_file" ||
         setting == "auth_ident_file" || setting == "auth_ldap_options";
}

// Why the settings do not go together after one of them was set; TLS contexts are tried by whoever applies them.
Result<void> checked(const Global& global, bool about_tls) {
  Result<void> fine;
  check_together(global, [&](const char* setting, std::string text) {
    const bool tls = std::string(setting).find("_tls_") != std::string::npos;
    if (fine && !(tls && about_tls)) fine = Error{std::move(text)};
  });
  return fine;
}

auto compared(const Database& d) {
  return std::tie(d.name, d.hosts, d.host_text, d.port, d.dbname, d.user, d.auth_user, d.auth_query, d.auth_dbname,
                  d.pool_size, d.min_pool_size, d.reserve_pool_size, d.max_db_connections, d.max_db_client_connections,
                  d.server_lifetime, d.query_wait_timeout, d.log_slow_queries, d.log_slow_transactions, d.pool_mode,
                  d.load_balance_hosts, d.connect_query, d.client_encoding, d.datestyle, d.timezone,
                  d.application_name);
}

auto compared(const User& u) {
  return std::tie(u.name, u.pool_size, u.reserve_pool_size, u.pool_mode, u.max_user_connections,
                  u.max_user_client_connections, u.query_timeout, u.idle_transaction_timeout, u.transaction_timeout,
                  u.client_idle_timeout, u.query_wait_timeout, u.log_slow_queries, u.log_slow_transactions);
}

auto compared(const Peer& p) {
  return std::tie(p.id, p.host, p.port, p.pool_size);
}

template <class Map>
bool same_entries(const Map& before, const Map& after) {
  if (before.size() != after.size()) return false;
  for (const auto& [key, entry] : before) {
    auto found = after.find(key);
    if (found == after.end() || !(found->second == entry)) return false;
  }
  return true;
}

void compare_databases(const std::shared_ptr<const Database>& before, const std::shared_ptr<const Database>& after,
                       Difference& difference) {
  if (!before && after) difference.added.push_back(after->name);
  if (before && !after) difference.removed.push_back(before->name);
  if (!before || !after || *before == *after) return;
  difference.changed.push_back(after->name);
  if (needs_recycling(*before, *after)) difference.recycled.push_back(after->name);
}

}  // namespace

bool operator==(const Database& one, const Database& other) {
  const bool same_password = one.password && other.password ? one.password->same_as(*other.password)
                                                            : one.password.has_value() == other.password.has_value();
  return same_password && compared(one) == compared(other);
}

bool operator==(const User& one, const User& other) {
  return compared(one) == compared(other);
}

bool operator==(const Peer& one, const Peer& other) {
  return compared(one) == compared(other);
}

Result<SnapshotPtr> with_setting(const SnapshotPtr& current, const std::string& name, const std::string& value) {
  const Row* row = find_row(name);
  if (!row) return Error{cat("unknown parameter: pgbouncer/", name)};
  auto changed = std::make_shared<Snapshot>(*current);
  Result<void> done = assign(changed->global, *row, value);
  if (!done) return Error{cat("invalid value \"", value, "\" for parameter ", name, ": ", done.error().message)};
  if (!row->reloadable()) return current;
  done = checked(changed->global, row->group == Group::kClientTls || row->group == Group::kServerTls);
  if (!done) return done.error();
  if (names_auth_file(row->name)) {
    LoadResult files;
    load_auth_files(*changed, current, files);
    if (files.auth_files_broken) return Error{describe(files.warnings.front())};
  }
  return SnapshotPtr(changed);
}

std::vector<ConfigRow> show_config(const Snapshot& snapshot) {
  std::vector<ConfigRow> rows;
  for (const Row& row : global_rows())
    rows.push_back({row.name, show(snapshot.global, row), row.preset, row.reloadable()});
  return rows;
}

std::vector<std::string> needs_restart(const Snapshot& before, const Snapshot& after) {
  return diff(before, after).restart;
}

void keep_restart_settings(const Global& running, Global& loaded) {
  for (const Row& row : global_rows()) {
    if (row.reloadable()) continue;
    std::visit([&](auto member) { loaded.*member = running.*member; }, row.member);
  }
}

Difference diff(const Snapshot& before, const Snapshot& after) {
  Difference difference;
  for (const Row& row : global_rows()) {
    const bool same =
        std::visit([&](auto member) { return before.global.*member == after.global.*member; }, row.member);
    if (same) continue;
    difference.settings.push_back(row.name);
    if (!row.reloadable()) difference.restart.push_back(row.name);
    difference.client_tls = difference.client_tls || row.group == Group::kClientTls;
    difference.server_tls = difference.server_tls || row.group == Group::kServerTls;
  }
  for (const auto& [name, entry] : before.databases) {
    auto found = after.databases.find(name);
    compare_databases(entry, found == after.databases.end() ? nullptr : found->second, difference);
  }
  for (const auto& [name, entry] : after.databases) {
    if (before.databases.find(name) == before.databases.end()) difference.added.push_back(name);
  }
  compare_databases(before.fallback, after.fallback, difference);
  difference.users = before.userlist != after.userlist || !same_entries(before.users, after.users);
  difference.peers = !same_entries(before.peers, after.peers);
  return difference;
}

}  // namespace pgweir::settings
