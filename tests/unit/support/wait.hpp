// The one place of the unit tests that sleeps: a poll of a condition that no event announces, with a deadline.
// Promises: returns as soon as it holds, and false when it has not come to hold in time. Thread safe as the condition
// is.
#pragma once

#include <ctime>

#include "base/clock.hpp"

namespace pgweir::test {

template <class Condition>
bool wait_until(Condition&& holds, Micros patience = 10 * kSecond) {
  const Micros end = monotonic_now() + patience;
  while (!holds()) {
    if (monotonic_now() > end) return false;
    const timespec pause{0, 500'000};
    nanosleep(&pause, nullptr);
  }
  return true;
}

}  // namespace pgweir::test
