#include "session/waits.hpp"

#include <algorithm>
#include <utility>

#include "base/text.hpp"
#include "session/say.hpp"
#include "session/slow.hpp"

namespace pgweir::session {

namespace {

using pool::Cause;
using Shares = pool::WaitLog::Shares;

void count(LocalPool& pool, Micros took, const Shares& shares) {
  pool.counters.wait_time += static_cast<uint64_t>(took);
  pool.latencies.add(Took::kWait, took);
  for (size_t cause = 0; cause < shares.size(); ++cause)
    pool.waited[cause] += shares[cause];
}

// "pool_full 1204 ms, connecting 13 ms"; what took less than a millisecond is left out.
std::string in_words(const Shares& shares) {
  std::string causes;
  for (size_t cause = 0; cause < shares.size(); ++cause) {
    if (shares[cause] < kMillisecond) continue;
    causes += cat(causes.empty() ? "" : ", ", pool::kCauseRows[cause].name, ' ', shares[cause] / kMillisecond, " ms");
  }
  return causes;
}

void log_long(Hub& hub, Client& client, Micros took, std::string_view causes) {
  say(hub, client, said(Level::kLog, Event::kLongWait),
      cat("waited ", took / kMillisecond, " ms for a server: ", causes));
}

}  // namespace

bool is_long_wait(const LocalPool& pool, Micros took) {
  const int64_t notify = pool.rules().query_wait_notify;
  return notify > 0 && took > notify * kSecond;
}

void book_wait(Hub& hub, Client& client, LocalPool& pool) {
  const Micros start = std::exchange(client.wait_start, 0);
  const Micros took = std::max<Micros>(hub.now() - start, 0);
  const Shares shares = pool.waits().shares(start, start + took);
  count(pool, took, shares);
  const pool::Rules& rules = pool.rules();
  if (rules.slow_query != kNever || rules.slow_transaction != kNever) note_wait(client, start, shares, took);
  if (is_long_wait(pool, took)) log_long(hub, client, took, in_words(shares));
}

Micros book_lookup(Hub& hub, Client& client, LocalPool& pool, const PendingLookup& lookup) {
  const Micros took = std::max<Micros>(hub.now() - lookup.since, 0);
  Shares shares{};
  shares[static_cast<size_t>(Cause::kAuthQuery)] = took;
  count(pool, took, shares);
  if (!is_long_wait(pool, took)) return took;
  const std::string queue = in_words(pool.waits().shares(lookup.since, lookup.served));
  log_long(hub, client, took, cat(in_words(shares), queue.empty() ? "" : ", of which for a server to ask: ", queue));
  return took;
}

Cause cause_of(const Client& client) {
  return is_guest(client) ? Cause::kAuthQuery : client.local_pool->waits().cause();
}

}  // namespace pgweir::session
