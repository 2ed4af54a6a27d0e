// How many times as long something takes by the pool as directly, from times that were taken in turn. Promises: a
// machine that is busy with other things makes neither a good pooler bad nor a bad one good. Pure.
#pragma once

#include <cstddef>
#include <vector>

namespace pgweir::tools::check {

struct Times {
  std::vector<double> pooled, direct;  // in seconds; both of a turn have the same place
  size_t turns() const { return pooled.size() < direct.size() ? pooled.size() : direct.size(); }
};

struct Ratio {
  double typical = 0;      // the median of the turns
  double spread = 0;       // the third quartile of these, in first ones; 1: all the same
  double undisturbed = 0;  // of the fastest tenth of each: what is left when nobody else wants the processors
};
Ratio ratio_of(const Times& times);

// So wide a spread tells that others have run in between, and the ratio of them.
inline constexpr double kWide = 1.5;

double median(std::vector<double> numbers);  // 0: of none

}  // namespace pgweir::tools::check
