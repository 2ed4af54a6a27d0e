// Time as plain values: microseconds of the monotonic clock, and deadlines made from them.
// A deadline is a value that somebody compares with now; it is never a timer of its own (DESIGN, section 5).
#pragma once

#include <cstdint>
#include <limits>

namespace pgweir {

using Micros = int64_t;  // a duration, or a point on the monotonic clock

inline constexpr Micros kSecond = 1'000'000;
inline constexpr Micros kMillisecond = 1'000;
inline constexpr Micros kNever = std::numeric_limits<Micros>::max();

Micros monotonic_now();  // CLOCK_MONOTONIC
Micros wall_now();       // microseconds since 1970-01-01 UTC

// `limit` after `start`; a limit of 0 (off in every pgweir setting) or less is never.
constexpr Micros deadline_after(Micros start, Micros limit) {
  if (limit <= 0 || limit >= kNever - start) return kNever;
  return start + limit;
}

}  // namespace pgweir
