#include "base/clock.hpp"

#include <ctime>

namespace pgweir {

namespace {
Micros read_clock(clockid_t id) {
  timespec now{};
  clock_gettime(id, &now);
  return static_cast<Micros>(now.tv_sec) * kSecond + now.tv_nsec / 1000;
}
}  // namespace

Micros monotonic_now() {
  return read_clock(CLOCK_MONOTONIC);
}

Micros wall_now() {
  return read_clock(CLOCK_REALTIME);
}

}  // namespace pgweir
