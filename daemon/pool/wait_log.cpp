#include "pool/wait_log.hpp"

#include <algorithm>

namespace pgweir::pool {

void WaitLog::note(Cause cause, Micros now) {
  if (!changes_.empty() && changes_.back().cause == cause) return;
  if (!changes_.empty() && changes_.back().at >= now) {  // nobody has waited for the one before
    changes_.back().cause = cause;
    return;
  }
  if (changes_.size() == kMostChanges) changes_.pop_front();
  changes_.push_back({now, cause});
}

WaitLog::Shares WaitLog::shares(Micros start, Micros end) const {
  Shares all{};
  for (auto change = changes_.rbegin(); change != changes_.rend() && end > start; ++change) {
    const Micros begin = std::max(change->at, start);
    if (begin >= end) continue;
    all[static_cast<size_t>(change->cause)] += end - begin;
    end = begin;
  }
  if (end > start) all[static_cast<size_t>(Cause::kOther)] += end - start;
  return all;
}

}  // namespace pgweir::pool
