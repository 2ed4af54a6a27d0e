// The Books: who is in them, and what a new snapshot changes.
#include <algorithm>

#include "pool/shared.hpp"

namespace pgweir::pool {

namespace {

template <class Map>
auto values_of(const Map& map) {
  std::vector<typename Map::mapped_type> all;
  all.reserve(map.size());
  for (const auto& item : map)
    all.push_back(item.second);
  return all;
}

}  // namespace

Books::Books(unsigned workers, SnapshotPtr snapshot)
    : workers_(workers), console_(std::make_shared<SharedDatabase>("pgbouncer", nullptr, false)) {
  apply(std::move(snapshot));
}

SnapshotPtr Books::snapshot() const {
  std::lock_guard lock(mutex_);
  return snapshot_;
}

std::shared_ptr<PeerPool> Books::peer(int id) const {
  std::lock_guard lock(mutex_);
  auto found = peers_.find(id);
  return found == peers_.end() ? nullptr : found->second;
}

// Requests that are on their way to one that has gone keep what they need of it.
void Books::apply_peers() {
  std::erase_if(peers_, [this](const auto& item) { return !snapshot_->peers.contains(item.first); });
  for (const auto& [id, config] : snapshot_->peers) {
    std::shared_ptr<PeerPool>& peer = peers_[id];
    if (!peer) peer = std::make_shared<PeerPool>(id);
    peer->forwards.set_limit(settings::pool_size(*snapshot_, config));
  }
}

void Books::set_limits(SharedDatabase& db) const {
  DatabasePtr config = db.config();
  db.servers.set_limit(settings::max_db_connections(*snapshot_, *config));
  db.clients.set_limit(settings::max_db_client_connections(*snapshot_, *config));
}

void Books::set_limits(SharedUser& user) const {
  user.servers.set_limit(settings::max_user_connections(*snapshot_, user.name));
  user.clients.set_limit(settings::max_user_client_connections(*snapshot_, user.name));
}

void Books::set_limits(SharedPool& pool) const {
  DatabasePtr config = pool.database->config();
  pool.superseded = pool.forced && config->user && *config->user != pool.user->name;
  pool.servers.set_limit(settings::pool_size(*snapshot_, *config, pool.user->name));
  pool.reserve = settings::reserve_pool_size(*snapshot_, *config, pool.user->name);
  pool.minimum = std::min<int>(settings::min_pool_size(*snapshot_, *config),
                               pool.servers.limit() > 0 ? pool.servers.limit() : INT32_MAX);
}

std::shared_ptr<SharedDatabase> Books::known_database(const std::string& name) const {
  std::lock_guard lock(mutex_);
  auto found = databases_.find(name);
  return found == databases_.end() ? nullptr : found->second;
}

std::shared_ptr<SharedDatabase> Books::database(const std::string& name, bool* made) {
  std::lock_guard lock(mutex_);
  auto found = databases_.find(name);
  if (found != databases_.end()) return found->second;
  if (!snapshot_->fallback) return nullptr;
  auto entry = std::make_shared<SharedDatabase>(name, settings::from_fallback(*snapshot_, name), true);
  set_limits(*entry);
  databases_[name] = entry;
  if (made) *made = true;
  return entry;
}

std::shared_ptr<SharedUser> Books::user(const std::string& name) {
  std::lock_guard lock(mutex_);
  auto& place = users_[name];
  if (!place) {
    place = std::make_shared<SharedUser>(name);
    set_limits(*place);
  }
  return place;
}

std::shared_ptr<SharedPool> Books::pool(const std::shared_ptr<SharedDatabase>& database, const std::string& user) {
  std::shared_ptr<SharedUser> owner = this->user(user);
  std::lock_guard lock(mutex_);
  auto& place = pools_[{database->name, user}];
  if (place && place->database == database) return place;
  place = std::make_shared<SharedPool>(next_pool_id_++, database, owner, workers_);
  by_id_[place->id] = place;
  place->forced = database->config()->user == user;
  set_limits(*place);
  return place;
}

std::shared_ptr<SharedPool> Books::pool_by_id(unsigned id) const {
  std::lock_guard lock(mutex_);
  auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second.lock();
}

std::vector<std::shared_ptr<SharedDatabase>> Books::databases() const {
  std::lock_guard lock(mutex_);
  return values_of(databases_);
}

std::vector<std::shared_ptr<SharedDatabase>> Books::databases_with_pools() const {
  std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<SharedDatabase>> all;
  for (const auto& [key, pool] : pools_) {
    if (all.empty() || all.back() != pool->database) all.push_back(pool->database);
  }
  return all;
}

std::vector<std::shared_ptr<SharedUser>> Books::users() const {
  std::lock_guard lock(mutex_);
  return values_of(users_);
}

std::vector<std::shared_ptr<SharedPool>> Books::pools() const {
  std::lock_guard lock(mutex_);
  return values_of(pools_);
}

std::vector<std::string> Books::apply(SnapshotPtr snapshot) {
  std::lock_guard lock(mutex_);
  snapshot_ = std::move(snapshot);
  clients_.set_limit(static_cast<int>(snapshot_->global.max_client_conn));
  console_->clients.set_limit(static_cast<int>(snapshot_->global.max_db_client_connections));
  std::vector<std::string> gone;
  for (auto& [name, entry] : databases_) {
    auto found = snapshot_->databases.find(name);
    DatabasePtr config;
    if (found != snapshot_->databases.end()) {
      config = found->second;
    } else if (entry->automatic && snapshot_->fallback) {
      config = settings::from_fallback(*snapshot_, name);
    } else {
      gone.push_back(name);
      continue;
    }
    if (settings::needs_recycling(*entry->config(), *config)) entry->generation.fetch_add(1);
    entry->set_config(config);
    set_limits(*entry);
  }
  for (const std::string& name : gone) {
    databases_[name]->removed = true;
    databases_.erase(name);
    std::erase_if(pools_, [&](const auto& item) { return item.first.first == name; });
  }
  for (const auto& [name, config] : snapshot_->databases) {
    if (databases_.contains(name)) continue;
    auto entry = std::make_shared<SharedDatabase>(name, config, false);
    set_limits(*entry);
    databases_[name] = entry;
  }
  for (auto& [name, user] : users_)
    set_limits(*user);
  for (auto& [key, pool] : pools_)
    set_limits(*pool);
  apply_peers();
  std::erase_if(by_id_, [](const auto& item) { return item.second.expired(); });
  return gone;
}

void Books::obsolete(SharedDatabase* database) {
  if (database) {
    database->generation.fetch_add(1);
    return;
  }
  for (const auto& entry : databases())
    entry->generation.fetch_add(1);
}

std::vector<std::string> Books::drop_idle_automatic(Micros now, Micros idle_timeout) {
  std::vector<std::string> gone;
  if (idle_timeout <= 0) return gone;
  std::lock_guard lock(mutex_);
  for (auto& [name, entry] : databases_) {
    if (!entry->automatic) continue;
    if (entry->clients.used() > 0 || entry->servers.used() > 0) {
      entry->empty_since = 0;
    } else if (entry->empty_since == 0) {
      entry->empty_since = now;
    } else if (now - entry->empty_since.load() > idle_timeout) {
      gone.push_back(name);
    }
  }
  for (const std::string& name : gone) {
    databases_[name]->removed = true;
    databases_.erase(name);
    std::erase_if(pools_, [&](const auto& item) { return item.first.first == name; });
  }
  return gone;
}

std::vector<unsigned> Books::idle_pools(Micros now, Micros idle_timeout) {
  std::vector<unsigned> idle;
  if (idle_timeout <= 0) return idle;
  std::lock_guard lock(mutex_);
  for (auto& [key, pool] : pools_) {
    const bool kept = pool->minimum.load() > 0 && pool->database->config()->user;
    Micros last = pool->last_used.load();
    if (last == 0) pool->last_used.compare_exchange_strong(last, now);
    if (last == 0 || kept || pool->servers.used() > 0 || now - last <= idle_timeout) continue;
    idle.push_back(pool->id);
  }
  return idle;
}

// Whoever takes part in a pool holds a pointer to it, and new ones come from the map, under the mutex: when the map's
// is the only one, nobody can be using it, and nobody can begin to.
bool Books::forget_unused(unsigned id) {
  std::lock_guard lock(mutex_);
  auto place = std::find_if(pools_.begin(), pools_.end(), [id](const auto& item) { return item.second->id == id; });
  if (place == pools_.end() || place->second.use_count() != 1) return false;
  pools_.erase(place);
  by_id_.erase(id);
  return true;
}

void Books::forget_pools(const SharedDatabase& database) {
  std::lock_guard lock(mutex_);
  std::erase_if(pools_, [&](const auto& item) { return item.second->database.get() == &database; });
}

}  // namespace pgweir::pool
