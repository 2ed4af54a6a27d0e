#include "admin/averages.hpp"

#include <algorithm>
#include <utility>

namespace pgweir::admin {

namespace {

using session::Counters;

uint64_t grown(uint64_t before, uint64_t after) {
  return after > before ? after - before : 0;
}

uint64_t per_second(uint64_t before, uint64_t after, Micros elapsed) {
  long double grown_by = static_cast<long double>(grown(before, after));
  return static_cast<uint64_t>(grown_by * kSecond / static_cast<long double>(elapsed));
}

uint64_t mean(uint64_t time, uint64_t number) {
  return number > 0 ? time / number : 0;
}

}  // namespace

Counters rate(const Counters& before, const Counters& after, Micros elapsed) {
  // The counters that are shown per second. The rest are means of times.
  static constexpr uint64_t Counters::*kPerSecond[] = {
      &Counters::server_assignments, &Counters::xacts, &Counters::queries,
      &Counters::received,           &Counters::sent,  &Counters::client_parses,
      &Counters::server_parses,      &Counters::binds, &Counters::client_logins,
  };
  Counters out;
  elapsed = std::max(elapsed, kSecond);
  for (auto member : kPerSecond)
    out.*member = per_second(before.*member, after.*member, elapsed);
  out.xact_time = mean(grown(before.xact_time, after.xact_time), grown(before.xacts, after.xacts));
  out.query_time = mean(grown(before.query_time, after.query_time), grown(before.queries, after.queries));
  out.wait_time =
      mean(grown(before.wait_time, after.wait_time), grown(before.server_assignments, after.server_assignments));
  return out;
}

Counters sum_of(const Totals& totals) {
  Counters sum;
  for (const auto& [database, counters] : totals)
    sum += counters;
  return sum;
}

void Averages::sample(Micros now, const Totals& totals, Micros period) {
  if (now - newer_.at < period) return;
  Sample fresh{now, totals};
  fresh.totals[kConsoleDatabase] += console;
  older_ = std::exchange(newer_, std::move(fresh));
}

Counters Averages::average(const std::string& database, const Counters& current, Micros now) const {
  return average(Totals{{database, current}}, now);
}

Counters Averages::average(const Totals& current, Micros now) const {
  Counters before;
  for (const auto& [database, counters] : current) {
    auto found = older_.totals.find(database);
    if (found != older_.totals.end()) before += found->second;
  }
  return rate(before, sum_of(current), now - older_.at);
}

}  // namespace pgweir::admin
