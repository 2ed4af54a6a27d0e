#include "service/log_rate.hpp"

#include <algorithm>

namespace pgweir::service {

bool LogRate::admit(const LogRecord& record, Micros now) {
  if (record.kind.empty() || record.level == Level::kFatal) return true;
  Window& window = windows_[record.kind];
  if (now - window.start >= kWindow) {
    close(record.kind, window);
    window.start = now;
  }
  if (window.passed < kMostInWindow) {
    ++window.passed;
    return true;
  }
  ++window.held;
  window.level = std::min(window.level, record.level);
  return false;
}

void LogRate::settle(Micros now, bool all) {
  for (auto& [kind, window] : windows_) {
    if (all || now - window.start >= kWindow) close(kind, window);
  }
}

void LogRate::close(std::string_view kind, Window& window) {
  if (window.held > 0) sum_(kind, window.level, window.held);
  window = Window{};  // the next record begins another one
}

}  // namespace pgweir::service
