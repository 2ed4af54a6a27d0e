#include "net/resolver.hpp"

#include <netdb.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <mutex>
#include <optional>

#include "base/text.hpp"

namespace pgweir::net {

namespace {
constexpr Micros kGiveUpAsking = 30 * kSecond;  // an answer that takes longer is not waited for by new lookups
constexpr size_t kManyNames = 1000;             // beyond it, names that are not fresh are forgotten
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
    size_t turn = 0;
    std::vector<std::shared_ptr<LookupAwaiter::Wish>> wishes;

    Lookup answer() {
      if (addresses.empty()) return Error{error};
      std::vector<Address> rotated = addresses;
      auto first = rotated.begin() + static_cast<ptrdiff_t>(turn++ % rotated.size());
      std::rotate(rotated.begin(), first, rotated.end());
      return rotated;
    }
  };
  using Change = std::function<void(const std::string&, const std::vector<Address>&)>;

  mutable std::mutex mutex;
  OffloadPool* pool = nullptr;
  Ask ask;
  Change on_change;
  ResolverOptions options;
  std::map<std::string, Entry> entries;
  uint64_t questions = 0;
  size_t pending = 0;
  bool closed = false;

  Entry& entry(const std::string& name);
  // Starts a lookup unless one is under way. False: the pool takes no more.
  static bool begin(const std::shared_ptr<State>& state, const std::string& name, Entry& entry);
  static void finish(State& state, const std::string& name, uint64_t question, Lookup found);
};

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
  auto work = [state, name, question] {
    Lookup found = Error{"lookup failed"};
    try {
      found = state->ask(name);
    } catch (const std::exception& problem) {
      found = Error{problem.what()};
    }
    finish(*state, name, question, std::move(found));
  };
  if (!state->pool->submit(work)) return false;
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
    if (!found && !current) return;  // a newer lookup knows better
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
      wish->answer = entry.answer();
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

Resolver::Resolver(OffloadPool& pool, Ask ask) : state_(std::make_shared<State>()) {
  state_->pool = &pool;
  state_->ask = ask ? std::move(ask) : Ask(&ask_system);
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
    wish_->answer = known->second.answer();
  return wish_->answer.has_value() || deadline_ <= loop_->now();
}

bool LookupAwaiter::enlist() {
  std::lock_guard lock(state_->mutex);
  Resolver::State::Entry& entry = state_->entry(name_);
  if (entry.fresh_until > monotonic_now()) {  // it came since await_ready
    wish_->answer = entry.answer();
    return false;
  }
  wish_->box = loop_->postbox();
  if (!wish_->box || !Resolver::State::begin(state_, name_, entry)) {
    wish_->answer = entry.addresses.empty() ? Lookup(Error{"too many name lookups are waiting"}) : entry.answer();
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
  if (!known->second.addresses.empty()) return known->second.answer();
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
