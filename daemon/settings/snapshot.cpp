#include "settings/snapshot.hpp"

#include <algorithm>
#include <cstdlib>
#include <thread>

namespace pgweir::settings {

namespace {

constexpr int kLargestPool = 1'000'000'000;  // a pool's size and its reserve can be added without overflow

template <class T>
T first_of(const std::optional<T>& first, const std::optional<T>& second, T otherwise) {
  if (first) return *first;
  return second.value_or(otherwise);
}

template <class T>
std::optional<T> of_user(const Snapshot& snapshot, const std::string& user, std::optional<T> User::*member) {
  auto found = snapshot.users.find(user);
  if (found == snapshot.users.end()) return std::nullopt;
  return found->second.*member;
}

// Limits and timeouts of 0 in an entry mean "inherit" (compat/settings.tsv).
template <class T>
T positive_or(const std::optional<T>& value, T otherwise) {
  return value && *value > 0 ? *value : otherwise;
}

}  // namespace

unsigned Global::worker_count() const {
  if (workers != "auto") return static_cast<unsigned>(std::clamp(std::atoi(workers.c_str()), 1, 64));
  // One thread serves until a core is full: a full batch on one is cheaper than two half ones (notes/floor.md).
  return std::clamp(std::thread::hardware_concurrency() / 2, 1u, 4u);
}

PoolMode pool_mode(const Snapshot& snapshot, const Database& database, const std::string& user) {
  return first_of(of_user(snapshot, user, &User::pool_mode), database.pool_mode, snapshot.global.pool_mode);
}

int pool_size(const Snapshot& snapshot, const Peer& peer) {
  return peer.pool_size.value_or(static_cast<int>(snapshot.global.default_pool_size));
}

int pool_size(const Snapshot& snapshot, const Database& database, const std::string& user) {
  return std::min(kLargestPool, first_of(of_user(snapshot, user, &User::pool_size), database.pool_size,
                                         static_cast<int>(snapshot.global.default_pool_size)));
}

int reserve_pool_size(const Snapshot& snapshot, const Database& database, const std::string& user) {
  return std::min(kLargestPool, first_of(of_user(snapshot, user, &User::reserve_pool_size), database.reserve_pool_size,
                                         static_cast<int>(snapshot.global.reserve_pool_size)));
}

int min_pool_size(const Snapshot& snapshot, const Database& database) {
  return database.min_pool_size.value_or(static_cast<int>(snapshot.global.min_pool_size));
}

int max_db_connections(const Snapshot& snapshot, const Database& database) {
  return positive_or(database.max_db_connections, static_cast<int>(snapshot.global.max_db_connections));
}

int max_db_client_connections(const Snapshot& snapshot, const Database& database) {
  return positive_or(database.max_db_client_connections, static_cast<int>(snapshot.global.max_db_client_connections));
}

int max_user_connections(const Snapshot& snapshot, const std::string& user) {
  return positive_or(of_user(snapshot, user, &User::max_user_connections),
                     static_cast<int>(snapshot.global.max_user_connections));
}

int max_user_client_connections(const Snapshot& snapshot, const std::string& user) {
  return positive_or(of_user(snapshot, user, &User::max_user_client_connections),
                     static_cast<int>(snapshot.global.max_user_client_connections));
}

Micros server_lifetime(const Snapshot& snapshot, const Database& database) {
  return positive_or(database.server_lifetime, snapshot.global.server_lifetime);
}

Micros query_timeout(const Snapshot& snapshot, const std::string& user) {
  return positive_or(of_user(snapshot, user, &User::query_timeout), snapshot.global.query_timeout);
}

Micros idle_transaction_timeout(const Snapshot& snapshot, const std::string& user) {
  return positive_or(of_user(snapshot, user, &User::idle_transaction_timeout),
                     snapshot.global.idle_transaction_timeout);
}

Micros transaction_timeout(const Snapshot& snapshot, const std::string& user) {
  return positive_or(of_user(snapshot, user, &User::transaction_timeout), snapshot.global.transaction_timeout);
}

Micros client_idle_timeout(const Snapshot& snapshot, const std::string& user) {
  return positive_or(of_user(snapshot, user, &User::client_idle_timeout), snapshot.global.client_idle_timeout);
}

Micros query_wait_timeout(const Snapshot& snapshot, const Database& database, const std::string& user) {
  return first_of(of_user(snapshot, user, &User::query_wait_timeout), database.query_wait_timeout,
                  snapshot.global.query_wait_timeout);
}

Micros log_slow_queries(const Snapshot& snapshot, const Database& database, const std::string& user) {
  return first_of(of_user(snapshot, user, &User::log_slow_queries), database.log_slow_queries,
                  snapshot.global.log_slow_queries);
}

Micros log_slow_transactions(const Snapshot& snapshot, const Database& database, const std::string& user) {
  return first_of(of_user(snapshot, user, &User::log_slow_transactions), database.log_slow_transactions,
                  snapshot.global.log_slow_transactions);
}

std::shared_ptr<const Database> from_fallback(const Snapshot& snapshot, const std::string& name) {
  auto entry = std::make_shared<Database>(*snapshot.fallback);
  entry->name = name;
  if (entry->dbname.empty()) entry->dbname = name;
  return entry;
}

bool needs_recycling(const Database& before, const Database& after) {
  auto key = [](const Database& d) {
    return std::tie(d.dbname, d.hosts, d.port, d.user, d.connect_query, d.auth_dbname, d.auth_query,
                    d.load_balance_hosts);
  };
  return key(before) != key(after);
}

namespace {
constexpr const char* kAuthTypes[] = {"any", "trust", "plain", "md5", "cert", "hba", "ldap", "pam", "scram-sha-256"};
constexpr const char* kPoolModes[] = {"session", "transaction", "statement"};
constexpr const char* kSslModes[] = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"};
constexpr const char* kLoadBalances[] = {"round-robin", "disable"};
}  // namespace

const char* word_of(AuthType value) {
  return kAuthTypes[static_cast<size_t>(value)];
}
const char* word_of(PoolMode value) {
  return kPoolModes[static_cast<size_t>(value)];
}
const char* word_of(SslMode value) {
  return kSslModes[static_cast<size_t>(value)];
}
const char* word_of(LoadBalance value) {
  return kLoadBalances[static_cast<size_t>(value)];
}

}  // namespace pgweir::settings
