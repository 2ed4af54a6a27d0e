// Keeps a storm of like records in hand. Of each kind the first kMostInWindow in ten seconds pass; of the rest there is
// one record, when the ten seconds are over, that says how many they were: so the log stays short and true.
// Pure: it is told the time. Records without a kind, and FATAL ones, always pass.
#pragma once

#include <functional>
#include <map>
#include <string_view>

#include "base/clock.hpp"
#include "base/log.hpp"

namespace pgweir::service {

inline constexpr unsigned kMostInWindow = 1000;  // of a kind
inline constexpr Micros kWindow = 10 * kSecond;

class LogRate {
 public:
  // How the sum of what did not pass is written: kind, the level of its most urgent record, how many.
  using Sum = std::function<void(std::string_view kind, Level level, unsigned long count)>;
  explicit LogRate(Sum sum) : sum_(std::move(sum)) {}

  // Whether this record may be written. `record.kind` must live for ever: a name of a table.
  bool admit(const LogRecord& record, Micros now);
  // To be called now and then: sums up the windows that are over. With `all` the others, too.
  void settle(Micros now, bool all = false);

 private:
  struct Window {
    Micros start = 0;
    unsigned passed = 0;
    unsigned long held = 0;
    Level level = Level::kNoise;
  };
  void close(std::string_view kind, Window& window);

  Sum sum_;
  std::map<std::string_view, Window> windows_;
};

}  // namespace pgweir::service
