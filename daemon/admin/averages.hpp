// What SHOW STATS calls averages: two older sums of the counters of each database, the older one between one and two
// stats_period old, and the console's own counters. Lives on the Director.
#pragma once

#include <map>
#include <string>

#include "base/clock.hpp"
#include "session/counters.hpp"

namespace pgweir::admin {

// The console's name in every list, as monitors know it; it answers to "pgweir", too.
inline constexpr char kConsoleDatabase[] = "pgbouncer";

using Totals = std::map<std::string, session::Counters>;  // by database entry

class Averages {
 public:
  explicit Averages(Micros started = monotonic_now()) { older_.at = newer_.at = started; }

  // Called about once a second with the sums of now. `period`: stats_period; a change holds from the next sample on.
  void sample(Micros now, const Totals& totals, Micros period);

  // Per second since the older sample (since the start while there is none); the three times are means per transaction,
  // query and server assignment.
  session::Counters average(const std::string& database, const session::Counters& current, Micros now) const;
  // The same of all databases in `current` together (SHOW TOTALS).
  session::Counters average(const Totals& current, Micros now) const;

  // Commands of console clients, which SHOW STATS books under "pgbouncer".
  session::Counters console;

 private:
  struct Sample {
    Micros at = 0;
    Totals totals;
  };
  Sample older_;
  Sample newer_;
};

session::Counters sum_of(const Totals& totals);

// The change from `before` to `after` over `elapsed`, as average() gives it. A counter that went back counts as 0, and
// less than a second as a second: nobody is helped by the rate of a few milliseconds.
session::Counters rate(const session::Counters& before, const session::Counters& after, Micros elapsed);

}  // namespace pgweir::admin
