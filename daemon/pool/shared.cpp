#include "pool/shared.hpp"

#include <algorithm>
#include <random>

#include "pool/rules.hpp"
#include "settings/snapshot.hpp"

namespace pgweir::pool {

namespace {

constexpr Micros kFirstRetry = 100 * kMillisecond;
constexpr size_t kMostVerified = 1000;

// 100 ms, 200 ms, 400 ms, ... up to `limit`, each between 75 % and 125 % of that, so that many pools that lost the
// same server do not come back in step.
Micros back_off(int failures, Micros limit) {
  Micros pause = kFirstRetry << std::min(failures, 20);
  thread_local std::minstd_rand random{std::random_device{}()};
  pause = pause * static_cast<Micros>(75 + random() % 51) / 100;
  return std::min(pause, std::max<Micros>(limit, 0));
}

}  // namespace

bool Quota::try_acquire(int allowance) {
  int used = used_.load();
  do {
    int most = limit();
    if (most > 0 && used >= most + allowance) return false;
  } while (!used_.compare_exchange_weak(used, used + 1));
  return true;
}

DatabasePtr SharedDatabase::config() const {
  std::lock_guard lock(mutex_);
  return config_;
}

void SharedDatabase::set_config(DatabasePtr config) {
  std::lock_guard lock(mutex_);
  config_ = std::move(config);
  hosts_.clear();
}

std::optional<size_t> SharedDatabase::choose_host(size_t count, bool round_robin, Micros now, Micros* wait_until) {
  std::lock_guard lock(mutex_);
  hosts_.resize(count);
  Micros first_due = kNever;
  for (size_t step = 0; step < count; ++step) {
    size_t host = (next_host_ + step) % count;
    if (hosts_[host].retry_at > now) {
      first_due = std::min(first_due, hosts_[host].retry_at);
      continue;
    }
    next_host_ = round_robin ? (host + 1) % count : host;
    return host;
  }
  *wait_until = first_due;
  return std::nullopt;
}

void SharedDatabase::host_failed(size_t host, Micros now, Micros retry_limit) {
  std::lock_guard lock(mutex_);
  if (host >= hosts_.size()) return;
  hosts_[host].retry_at = now + back_off(hosts_[host].failures++, retry_limit);
  if (next_host_ == host) next_host_ = (host + 1) % hosts_.size();
}

void SharedDatabase::host_works(size_t host) {
  std::lock_guard lock(mutex_);
  if (host < hosts_.size()) hosts_[host] = HostState{};
}

SharedPool::SharedPool(unsigned id, std::shared_ptr<SharedDatabase> database, std::shared_ptr<SharedUser> user,
                       unsigned workers)
    : id(id),
      database(std::move(database)),
      user(std::move(user)),
      workers(workers),
      published_(std::make_unique<Published[]>(workers)) {}

Micros SharedPool::oldest_elsewhere(unsigned me) const {
  Micros oldest = kNever;
  for (unsigned worker = 0; worker < workers; ++worker) {
    if (worker != me) oldest = std::min(oldest, published_[worker].oldest_wait.load());
  }
  return oldest;
}

std::optional<unsigned> SharedPool::neediest_elsewhere(unsigned me, Micros* since) const {
  std::optional<unsigned> neediest;
  Micros oldest = kNever;
  for (unsigned worker = 0; worker < workers; ++worker) {
    const Published& line = published_[worker];
    const Micros waits = worker == me ? kNever : line.oldest_wait.load();
    if (waits >= oldest || line.incoming.load() >= line.waiting.load()) continue;
    oldest = waits;
    neediest = worker;
  }
  if (since) *since = oldest;
  return neediest;
}

std::optional<unsigned> SharedPool::idle_elsewhere(unsigned me) const {
  for (unsigned worker = 0; worker < workers; ++worker) {
    if (worker != me && published_[worker].idle.load() > 0) return worker;
  }
  return std::nullopt;
}

std::shared_ptr<const Welcome> SharedPool::welcome() const {
  std::lock_guard lock(mutex_);
  return welcome_;
}

void SharedPool::set_welcome(std::shared_ptr<const Welcome> welcome) {
  std::lock_guard lock(mutex_);
  welcome_ = std::move(welcome);
}

std::optional<LoginTrouble> SharedPool::trouble() const {
  if (!in_trouble()) return std::nullopt;
  std::lock_guard lock(mutex_);
  return trouble_;
}

Micros SharedPool::login_failed(std::string reason, std::string sqlstate, bool from_server, Micros now,
                                Micros retry_limit) {
  std::lock_guard lock(mutex_);
  int failures = trouble_ ? trouble_->failures : 0;
  Micros retry_at = now + back_off(failures, retry_limit);
  trouble_ = LoginTrouble{std::move(reason), std::move(sqlstate), from_server, retry_at, failures + 1};
  in_trouble_ = true;
  return retry_at;
}

void SharedPool::login_works() {
  if (!in_trouble()) return;
  std::lock_guard lock(mutex_);
  trouble_.reset();
  in_trouble_ = false;
}

void SharedPool::keep_secret(ByteView secret, bool password) {
  std::lock_guard lock(mutex_);
  secret_is_password_ = password;
  if (secret_ == secret) return;
  wipe(secret_);
  secret_ = secret;
}

void SharedPool::forget_password() {
  std::lock_guard lock(mutex_);
  if (!secret_is_password_) return;
  wipe(secret_);
  secret_is_password_ = false;
}

SharedPool::KeptSecret SharedPool::kept_secret() const {
  std::lock_guard lock(mutex_);
  return {secret_, secret_is_password_};
}

bool SharedPool::verified(const std::string& setting) const {
  std::lock_guard lock(mutex_);
  return verified_.contains(setting);
}

void SharedPool::set_verified(const std::string& setting) {
  std::lock_guard lock(mutex_);
  if (verified_.size() >= kMostVerified) verified_.clear();
  verified_[setting] = true;
}

Slot& Slot::operator=(Slot&& other) noexcept {
  if (this == &other) return *this;
  give_back();
  pool_ = std::move(other.pool_);
  bell_ = other.bell_;
  return *this;
}

Slot Slot::acquire(std::shared_ptr<SharedPool> pool, Bell* bell, int allowance, Limit* refused_by) {
  Slot slot;
  *refused_by = Limit::kNone;
  if (!pool->servers.try_acquire(allowance)) {
    *refused_by = Limit::kPool;
    return slot;
  }
  if (!pool->database->servers.try_acquire()) {
    pool->servers.release();
    *refused_by = Limit::kDatabase;
    return slot;
  }
  if (!pool->user->servers.try_acquire()) {
    pool->database->servers.release();
    pool->servers.release();
    *refused_by = Limit::kUser;
    return slot;
  }
  slot.pool_ = std::move(pool);
  slot.bell_ = bell;
  return slot;
}

void Slot::give_back() {
  if (!pool_) return;
  pool_->user->servers.release();
  pool_->database->servers.release();
  pool_->servers.release();
  auto pool = std::move(pool_);
  if (bell_) bell_->slot_freed(*pool);
}

ClientSeat::ClientSeat(ClientSeat&& other) noexcept
    : all_(std::exchange(other.all_, nullptr)), database_(std::move(other.database_)), user_(std::move(other.user_)) {}

ClientSeat& ClientSeat::operator=(ClientSeat&& other) noexcept {
  if (this == &other) return *this;
  give_back();
  all_ = std::exchange(other.all_, nullptr);
  database_ = std::move(other.database_);
  user_ = std::move(other.user_);
  return *this;
}

void ClientSeat::take_socket(Quota& all) {
  if (all_) return;
  all.acquire();
  all_ = &all;
}

bool ClientSeat::try_take(std::shared_ptr<SharedDatabase> database, std::shared_ptr<SharedUser> user,
                          Limit* refused_by) {
  *refused_by = Limit::kNone;
  if (database && !database_) {
    if (!database->clients.try_acquire()) {
      *refused_by = Limit::kDatabase;
      return false;
    }
    database_ = std::move(database);
  }
  if (user && !user_) {
    if (!user->clients.try_acquire()) {
      *refused_by = Limit::kUser;
      return false;
    }
    user_ = std::move(user);
  }
  return true;
}

void ClientSeat::take(std::shared_ptr<SharedDatabase> database, std::shared_ptr<SharedUser> user) {
  if (database && !database_) {
    database->clients.acquire();
    database_ = std::move(database);
  }
  if (user && !user_) {
    user->clients.acquire();
    user_ = std::move(user);
  }
}

void ClientSeat::give_back() {
  if (user_) user_->clients.release();
  if (database_) database_->clients.release();
  if (all_) all_->release();
  user_.reset();
  database_.reset();
  all_ = nullptr;
}

}  // namespace pgweir::pool
