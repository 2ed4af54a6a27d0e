#include "tools/check/ratio.hpp"

#include <algorithm>

namespace pgweir::tools::check {

namespace {

// `part` of the sorted numbers lie before it.
double at_part(const std::vector<double>& sorted, double part) {
  if (sorted.empty()) return 0;
  return sorted[static_cast<size_t>(part * static_cast<double>(sorted.size() - 1) + 0.5)];
}

double fast(std::vector<double> numbers) {
  std::sort(numbers.begin(), numbers.end());
  return at_part(numbers, 0.1);
}

}  // namespace

double median(std::vector<double> numbers) {
  std::sort(numbers.begin(), numbers.end());
  return at_part(numbers, 0.5);
}

Ratio ratio_of(const Times& times) {
  std::vector<double> ratios;
  for (size_t turn = 0; turn < times.turns(); ++turn) {
    if (times.direct[turn] > 0) ratios.push_back(times.pooled[turn] / times.direct[turn]);
  }
  if (ratios.empty()) return {};
  std::sort(ratios.begin(), ratios.end());
  const double low = at_part(ratios, 0.25);
  return {at_part(ratios, 0.5), low > 0 ? at_part(ratios, 0.75) / low : 0, fast(times.pooled) / fast(times.direct)};
}

}  // namespace pgweir::tools::check
