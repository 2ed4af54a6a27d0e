#include "net/resolver.hpp"

#include <netdb.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <mutex>
#include <optional>

#include "base/text.hpp"
#include "net/dns.hpp"

namespace pgweir::net {

namespace {
constexpr Micros kGiveUpAsking = 30 * kSecond;  // an answer that takes longer is not waited for by new lookups
constexpr size_t kManyNames = 1000;             // beyond it, names that are not fresh are forgotten
constexpr size_t kManyAvoided = 1000;           // addresses

// "db.example.org" lies in "example.org"; "" for a name without a dot.
std::string zone_of(const std::string& name) {
  const size_t dot = name.find('.');
  return dot == std::string::npos ? std::string() : name.substr(dot + 1);
}

// Serial numbers wrap around: RFC 1982, section 3.2.
bool grown(uint32_t from, uint32_t to) {
  return static_cast<int32_t>(to - from) > 0;
}
}  // namespace

// One lookup that waits. `answer` is guarded by the resolver's mutex, `waiter` belongs to the loop's thread.
struct LookupAwaiter::Wish {
  Loop* loop = nullptr;
  std::shared_ptr<Postbox> box;
  Waiter* waiter = nullptr;
  std::optional<Lookup> answer;
};

struct Resolver::State {
  struct Entry {
    std::vector<Address> addresses;  // the last good answer
    std::string error;               // of the last lookup
    Micros fresh_until = 0;
    Micros asked_at = 0;
    uint64_t question = 0;  // number of the running lookup, 0: none
    uint64_t answered = 0;  // number of the lookup whose answer this is
    size_t turn = 0;
    std::vector<std::shared_ptr<LookupAwaiter::Wish>> wishes;
  };
  struct Zone {
    std::optional<uint32_t> serial;
    std::string error;  // of the last question
    Micros asked_at = 0;
    bool asking = false;
  };
  using Change = std::function<void(const std::string&, const std::vector<Address>&)>;
  using ZoneNews = std::function<void(const ResolvedZone&, const std::string&)>;

  mutable std::mutex mutex;
  OffloadPool* pool = nullptr;
  Ask ask;
  AskZone ask_zone;
  Change on_change;
  ZoneNews on_zone;
  ResolverOptions options;
  std::map<std::string, Entry> entries;
  std::map<std::string, Zone> zones;
  std::map<std::string, Micros> avoided;  // hosts, until when
  uint64_t questions = 0;
  size_t pending = 0;
  bool closed = false;

  Entry& entry(const std::string& name);
  Lookup answer(Entry& entry);
  Ask asking() const;
  // Starts a lookup unless one is under way. False: the pool takes no more.
  static bool begin(const std::shared_ptr<State>& state, const std::string& name, Entry& entry);
  static void finish(State& state, const std::string& name, uint64_t question, Lookup found);
  static void begin_zone(const std::shared_ptr<State>& state, const std::string& name, Zone& zone);
  static void finish_zone(const std::shared_ptr<State>& state, const std::string& name, const Result<uint32_t>& serial);
};

// The addresses, one further than last time, those to be avoided behind the others.
Lookup Resolver::State::answer(Entry& entry) {
  if (entry.addresses.empty()) return Error{entry.error};
  std::vector<Address> all = entry.addresses;
  auto first = all.begin() + static_cast<ptrdiff_t>(entry.turn++ % all.size());
  std::rotate(all.begin(), first, all.end());
  if (avoided.empty() || all.size() == 1) return all;
  const Micros now = monotonic_now();
  std::stable_partition(all.begin(), all.end(), [&](const Address& one) {
    auto known = avoided.find(one.host());
    return known == avoided.end() || known->second <= now;
  });
  return all;
}

Resolver::Ask Resolver::State::asking() const {
  if (ask) return ask;
  if (options.resolv_conf.empty()) return &ask_system;
  return [file = options.resolv_conf](const std::string& name) { return ask_dns(name, file); };
}

Resolver::State::Entry& Resolver::State::entry(const std::string& name) {
  auto at = entries.find(name);
  if (at != entries.end()) return at->second;
  if (entries.size() >= kManyNames) {
    Micros now = monotonic_now();
    std::erase_if(entries, [&](const auto& one) {
      return one.second.question == 0 && one.second.wishes.empty() && one.second.fresh_until <= now;
    });
  }
  return entries[name];
}

bool Resolver::State::begin(const std::shared_ptr<State>& state, const std::string& name, Entry& entry) {
  Micros now = monotonic_now();
  if (entry.question != 0 && now - entry.asked_at < kGiveUpAsking) return true;
  uint64_t question = ++state->questions;
  auto work = [state, name, question, ask = state->asking()] {
    Lookup found = Error{"lookup failed"};
    try {
      found = ask(name);
    } catch (const std::exception& problem) {
      found = Error{problem.what()};
    }
    finish(*state, name, question, std::move(found));
  };
  if (!state->pool->submit(work, zone_of(name))) return false;
  ++state->pending;
  entry.question = question;
  entry.asked_at = now;
  return true;
}

void Resolver::State::finish(State& state, const std::string& name, uint64_t question, Lookup found) {
  std::vector<std::shared_ptr<LookupAwaiter::Wish>> wishes;
  std::vector<Address> vanished;
  Change on_change;
  {
    std::lock_guard lock(state.mutex);
    --state.pending;
    Entry& entry = state.entry(name);
    const bool current = entry.question == question;
    if (current) entry.question = 0;
    if (question < entry.answered || (!found && !current)) return;  // a newer lookup knows better
    entry.answered = question;
    Micros now = monotonic_now();
    if (found && found->empty()) found = Error{"no address"};
    if (found) {
      for (const Address& old : entry.addresses)
        if (std::find(found->begin(), found->end(), old) == found->end()) vanished.push_back(old);
      entry.addresses = found.take();
      entry.error.clear();
      entry.fresh_until = now + state.options.ttl;
    } else {
      entry.error = found.error().message;  // the old addresses stay: stale while in error
      entry.fresh_until = now + state.options.negative_ttl;
    }
    wishes.swap(entry.wishes);
    for (auto& wish : wishes)
      wish->answer = state.answer(entry);
    if (!vanished.empty() && !state.closed) on_change = state.on_change;
  }
  for (auto& wish : wishes) {
    std::shared_ptr<Postbox> box = wish->box;
    box->post([wish] {
      if (wish->waiter) wish->loop->make_due(*wish->waiter, Waited::kReady);
    });
  }
  if (on_change) on_change(name, vanished);
}

// ---- zones ----

void Resolver::State::begin_zone(const std::shared_ptr<State>& state, const std::string& name, Zone& zone) {
  AskZone ask = state->ask_zone;
  if (!ask) ask = [file = state->options.resolv_conf](const std::string& of) { return ask_serial(of, file); };
  auto work = [state, name, ask] {
    Result<uint32_t> serial = Error{"lookup failed"};
    try {
      serial = ask(name);
    } catch (const std::exception& problem) {
      serial = Error{problem.what()};
    }
    finish_zone(state, name, serial);
  };
  zone.asking = state->pool->submit(work, name);
}

void Resolver::State::finish_zone(const std::shared_ptr<State>& state, const std::string& name,
                                  const Result<uint32_t>& serial) {
  ResolvedZone news{name, 0, 0};
  ZoneNews on_zone;
  {
    std::lock_guard lock(state->mutex);
    Zone& zone = state->zones[name];
    const std::string error = serial ? std::string() : serial.error().message;
    const bool fails_now = !error.empty() && zone.error.empty();
    const bool has_grown = serial && zone.serial && grown(*zone.serial, *serial);
    zone.asking = false;
    zone.error = error;
    if (serial && (has_grown || !zone.serial)) zone.serial = *serial;
    if (state->closed) return;
    if (has_grown) {
      for (auto& [host, entry] : state->entries) {
        if (zone_of(host) != name) continue;
        ++news.names;
        entry.asked_at = 0;  // an answer that is under way may be an old one
        entry.fresh_until = 0;
        begin(state, host, entry);
      }
    }
    news.serial = zone.serial.value_or(0);
    if (has_grown || fails_now) on_zone = state->on_zone;
  }
  if (on_zone) on_zone(news, serial ? std::string() : serial.error().message);
}

void Resolver::check_zones() {
  std::lock_guard lock(state_->mutex);
  const Micros period = state_->options.zone_check_period;
  if (period <= 0) return;
  std::map<std::string, State::Zone> kept;
  for (const auto& [host, entry] : state_->entries) {
    const std::string name = zone_of(host);
    if (!name.empty()) kept.emplace(name, State::Zone{});
  }
  const Micros now = monotonic_now();
  for (auto& [name, zone] : kept) {
    if (auto known = state_->zones.find(name); known != state_->zones.end()) zone = known->second;
    if (zone.asking || (zone.asked_at != 0 && now - zone.asked_at < period)) continue;
    zone.asked_at = now;
    State::begin_zone(state_, name, zone);
  }
  state_->zones.swap(kept);
}

std::vector<ResolvedZone> Resolver::zones() const {
  std::lock_guard lock(state_->mutex);
  std::map<std::string, size_t> counts;
  for (const auto& [host, entry] : state_->entries) {
    const std::string name = zone_of(host);
    if (!name.empty()) ++counts[name];
  }
  std::vector<ResolvedZone> out;
  for (const auto& [name, count] : counts) {
    auto known = state_->zones.find(name);
    out.push_back({name, known == state_->zones.end() ? 0 : known->second.serial.value_or(0), count});
  }
  return out;
}

void Resolver::set_on_zone(std::function<void(const ResolvedZone&, const std::string&)> action) {
  std::lock_guard lock(state_->mutex);
  state_->on_zone = std::move(action);
}

// ---- addresses that fail ----

void Resolver::avoid(const Address& address, Micros until) {
  std::lock_guard lock(state_->mutex);
  const Micros now = monotonic_now();
  std::erase_if(state_->avoided, [now](const auto& one) { return one.second <= now; });
  if (state_->avoided.size() < kManyAvoided) state_->avoided[address.host()] = until;
}

void Resolver::trust(const Address& address) {
  std::lock_guard lock(state_->mutex);
  if (!state_->avoided.empty()) state_->avoided.erase(address.host());
}

// ---- the rest ----

Resolver::Resolver(OffloadPool& pool, Ask ask, AskZone ask_zone) : state_(std::make_shared<State>()) {
  state_->pool = &pool;
  state_->ask = std::move(ask);
  state_->ask_zone = std::move(ask_zone);
}

Resolver::~Resolver() {
  std::lock_guard lock(state_->mutex);
  state_->closed = true;
}

void Resolver::set_options(const ResolverOptions& options) {
  std::lock_guard lock(state_->mutex);
  state_->options = options;
}

void Resolver::set_on_change(std::function<void(const std::string&, const std::vector<Address>&)> action) {
  std::lock_guard lock(state_->mutex);
  state_->on_change = std::move(action);
}

LookupAwaiter Resolver::lookup(Loop& loop, std::string name, Micros deadline) {
  return LookupAwaiter(state_, loop, std::move(name), deadline);
}

std::vector<ResolvedName> Resolver::snapshot() const {
  std::lock_guard lock(state_->mutex);
  Micros now = monotonic_now();
  std::vector<ResolvedName> out;
  for (const auto& [name, entry] : state_->entries)
    out.push_back({name, std::max<Micros>(entry.fresh_until - now, 0), entry.addresses, entry.error});
  return out;
}

size_t Resolver::pending() const {
  std::lock_guard lock(state_->mutex);
  return state_->pending;
}

LookupAwaiter::LookupAwaiter(std::shared_ptr<Resolver::State> state, Loop& loop, std::string name, Micros deadline)
    : state_(std::move(state)),
      loop_(&loop),
      name_(std::move(name)),
      deadline_(deadline),
      wish_(std::make_shared<Wish>()) {
  wish_->loop = &loop;
}

LookupAwaiter::~LookupAwaiter() {
  wish_->waiter = nullptr;
}

bool LookupAwaiter::await_ready() {
  if (auto literal = Address::parse_ip(name_, 0)) {
    wish_->answer = Lookup(std::vector<Address>{*literal});
    return true;
  }
  std::lock_guard lock(state_->mutex);
  auto known = state_->entries.find(name_);
  if (known != state_->entries.end() && known->second.fresh_until > monotonic_now())
    wish_->answer = state_->answer(known->second);
  return wish_->answer.has_value() || deadline_ <= loop_->now();
}

bool LookupAwaiter::enlist() {
  std::lock_guard lock(state_->mutex);
  Resolver::State::Entry& entry = state_->entry(name_);
  if (entry.fresh_until > monotonic_now()) {  // it came since await_ready
    wish_->answer = state_->answer(entry);
    return false;
  }
  wish_->box = loop_->postbox();
  if (!wish_->box || !Resolver::State::begin(state_, name_, entry)) {
    wish_->answer =
        entry.addresses.empty() ? Lookup(Error{"too many name lookups are waiting"}) : state_->answer(entry);
    return false;
  }
  entry.wishes.push_back(wish_);
  wish_->waiter = &waiter_;
  waiter_.deadline = deadline_;
  if (!entry.addresses.empty())
    waiter_.deadline = std::min(deadline_, deadline_after(loop_->now(), std::max<Micros>(state_->options.patience, 1)));
  if (waiter_.deadline != kNever) loop_->wait_until(waiter_);
  return true;
}

Lookup LookupAwaiter::await_resume() {
  wish_->waiter = nullptr;
  std::lock_guard lock(state_->mutex);
  if (wish_->answer) return std::move(*wish_->answer);
  auto known = state_->entries.find(name_);
  if (known == state_->entries.end()) return Error{"name lookup timed out"};
  std::erase(known->second.wishes, wish_);
  if (!known->second.addresses.empty()) return state_->answer(known->second);
  return Error{"name lookup timed out"};
}

Lookup ask_system(const std::string& name) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  int code = getaddrinfo(name.c_str(), nullptr, &hints, &found);
  if (code != 0) return Error{code == EAI_SYSTEM ? errno_text(errno) : std::string(gai_strerror(code))};
  std::vector<Address> out;
  for (addrinfo* one = found; one; one = one->ai_next) {
    Address address = Address::from_sockaddr(one->ai_addr, one->ai_addrlen);
    bool known = std::find(out.begin(), out.end(), address) != out.end();
    if (address.is_ip() && !known) out.push_back(std::move(address));
  }
  freeaddrinfo(found);
  if (out.empty()) return Error{"the name has no address"};
  return out;
}

}  // namespace pgweir::net
