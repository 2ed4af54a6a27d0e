// How many lines about slow queries a pool may write: kMostSlowLines in kSlowWindow, and then one that says how many
// more there were. Pure: it is told the time.
#pragma once

#include <utility>

#include "base/clock.hpp"

namespace pgweir::session {

inline constexpr unsigned kMostSlowLines = 20;
inline constexpr Micros kSlowWindow = 10 * kSecond;

class SlowRate {
 public:
  // Whether one more may be written; asked when untold() has been told.
  bool admit(Micros now) {
    if (now - start_ >= kSlowWindow) {
      start_ = now;
      told_ = 0;
    }
    if (told_ < kMostSlowLines) return ++told_, true;
    ++held_;
    return false;
  }
  // How many were held back, once their time is over; 0: none, or not yet.
  unsigned long untold(Micros now) { return held_ == 0 || now - start_ < kSlowWindow ? 0 : std::exchange(held_, 0); }

 private:
  Micros start_ = 0;
  unsigned told_ = 0;
  unsigned long held_ = 0;
};

}  // namespace pgweir::session
