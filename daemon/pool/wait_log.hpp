// Why the clients of one worker's part of a pool wait: what stood in the way, and since when; kAuthQuery never does,
// but is the cause of waits that are booked beside this log. Promises: the causes of a wait add up to it. Bounded: of a
// wait in which the cause changed more than kMostChanges times the oldest part is told as kOther.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <string_view>

#include "base/clock.hpp"

namespace pgweir::pool {

enum class Cause : uint8_t {
  kPoolFull,       // every server that pool_size allows works for others
  kDatabaseLimit,  // max_db_connections
  kUserLimit,      // max_user_connections
  kConnecting,     // servers log in
  kDns,            // ... and their hosts' names are being looked up
  kLoginRetry,     // the last login failed, and the next try is not due
  kChecking,       // servers are checked or reset
  kHandOver,       // another worker has been asked for an idle one
  kAuthQuery,      // a login: its user is looked up (session/waits.cpp)
  kPaused,         // PAUSE or SUSPEND
  kOther,
};

struct CauseRow {
  std::string_view name;  // SHOW WAITS, metrics, log
  std::string_view text;  // for the client that waits
};
inline constexpr std::array<CauseRow, 11> kCauseRows = {{
    {"pool_full", "Every server that pool_size allows works for other clients."},
    {"database_limit", "The database has as many servers as max_db_connections allows."},
    {"user_limit", "The user has as many servers as max_user_connections allows."},
    {"connecting", "A server is being connected."},
    {"dns", "The name of the server's host is being looked up."},
    {"login_retry", "Logging in to the server has failed; the next try comes soon."},
    {"checking", "A server is being checked before it is given out."},
    {"hand_over", "A server is on its way from another worker."},
    {"auth_query", "PostgreSQL is being asked about the user (auth_query)."},
    {"paused", "The database is paused."},
    {"other", "A server is not free."},
}};
constexpr const CauseRow& row_of(Cause cause) {
  return kCauseRows[static_cast<size_t>(cause)];
}

class WaitLog {
 public:
  static constexpr size_t kMostChanges = 256;

  // From now on this is why they wait; the same again changes nothing.
  void note(Cause cause, Micros now);
  Cause cause() const { return changes_.empty() ? Cause::kOther : changes_.back().cause; }

  // How much of the time from `start` to `end` had which cause.
  using Shares = std::array<Micros, kCauseRows.size()>;
  Shares shares(Micros start, Micros end) const;

 private:
  struct Change {
    Micros at;
    Cause cause;
  };
  std::deque<Change> changes_;  // the newest at the back
};

}  // namespace pgweir::pool
