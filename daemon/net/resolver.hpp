// Names to addresses: getaddrinfo in offload threads (so nsswitch and /etc/hosts count), or c-ares where another
// resolv.conf is wanted; one cache for all loops.
//     Result<std::vector<Address>> found = co_await resolver.lookup(loop, name, deadline);
// A lookup always ends: at the deadline, with the last good answer if there is one (stale-while-error), else an error.
// Literal addresses are answered at once. Knows no ports: set them on the addresses. An address to which no connection
// could be made comes last in the answers for a while. Zones (a name's text behind its first dot) are asked for their
// serial numbers when their time has come; one that has grown has the zone's names looked up again.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "net/address.hpp"
#include "net/loop.hpp"
#include "net/offload.hpp"
#include "net/waiter.hpp"

namespace pgweir::net {

struct ResolverOptions {
  Micros ttl = 15 * kSecond;           // dns_max_ttl: how long a good answer is fresh
  Micros negative_ttl = 15 * kSecond;  // dns_nxdomain_ttl: how long a failure is
  Micros zone_check_period = 0;        // dns_zone_check_period; 0: zones are not asked
  std::string resolv_conf;             // a file to use instead of the system's; empty: the system's resolver
  Micros patience = 1 * kSecond;       // how long a lookup waits for news when it has an old answer
};

struct ResolvedName {
  std::string name;
  Micros ttl = 0;                  // until a new lookup is allowed; 0 if overdue
  std::vector<Address> addresses;  // empty if failed
  std::string error;               // of the last lookup, "" if it succeeded
};

struct ResolvedZone {
  std::string name;
  uint32_t serial = 0;  // 0: not known yet
  size_t names = 0;     // of the cache in this zone
};

using Lookup = Result<std::vector<Address>>;

class LookupAwaiter;

class Resolver {
 public:
  // A zone is a lane of `pool`.
  // `ask`: what really looks a name up, and `ask_zone` a zone's serial number, in a thread of `pool`; the defaults are
  // getaddrinfo and c-ares. Injected by tests.
  using Ask = std::function<Lookup(const std::string& name)>;
  using AskZone = std::function<Result<uint32_t>(const std::string& zone)>;
  explicit Resolver(OffloadPool& pool, Ask ask = {}, AskZone ask_zone = {});
  ~Resolver();  // lookups still running are left alone; awaiters must be gone
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // All thread safe.
  void set_options(const ResolverOptions& options);
  // Called, in a pool thread, when a new answer for a name lacks addresses that the old one had.
  void set_on_change(std::function<void(const std::string& name, const std::vector<Address>& vanished)> action);
  // Called, in a pool thread, when a zone's serial number has grown (`error` empty), or when the zone begins to fail.
  void set_on_zone(std::function<void(const ResolvedZone& zone, const std::string& error)> action);
  // Asks zones whose time has come. To be called about every second.
  void check_zones();
  // No connection to that address could be made: it comes last until then. A connection was made: not any more.
  void avoid(const Address& address, Micros until);
  void trust(const Address& address);
  // The addresses rotate: each answer begins one further.
  LookupAwaiter lookup(Loop& loop, std::string name, Micros deadline);
  std::vector<ResolvedName> snapshot() const;  // for SHOW DNS_HOSTS, by name
  std::vector<ResolvedZone> zones() const;     // for SHOW DNS_ZONES, by name
  size_t pending() const;                      // lookups running

 private:
  friend class LookupAwaiter;
  struct State;
  std::shared_ptr<State> state_;
};

class [[nodiscard]] LookupAwaiter {
 public:
  ~LookupAwaiter();
  LookupAwaiter(const LookupAwaiter&) = delete;
  LookupAwaiter& operator=(const LookupAwaiter&) = delete;
  bool await_ready();
  template <class Promise>
  bool await_suspend(std::coroutine_handle<Promise> task) {
    waiter_.arm(task);
    return enlist();
  }
  Lookup await_resume();

 private:
  friend class Resolver;
  struct Wish;
  LookupAwaiter(std::shared_ptr<Resolver::State> state, Loop& loop, std::string name, Micros deadline);
  bool enlist();
  std::shared_ptr<Resolver::State> state_;
  Loop* loop_;
  std::string name_;
  Micros deadline_;
  std::shared_ptr<Wish> wish_;
  Waiter waiter_;
};

// The default Ask: getaddrinfo, blocking, TCP, addresses of both families without doubles.
Lookup ask_system(const std::string& name);

}  // namespace pgweir::net
