// The quality score; its formula is in pgweir-check(1), and nowhere else but here.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "tools/check/model.hpp"

namespace pgweir::tools::check {

struct Score {
  std::array<std::optional<double>, kDimensions> dimensions;  // 0 to 10; nothing: no test of it ran
  double quality = 0;                                         // 0 to 10
  std::array<int, kStatuses> counts{};
};

Score score_of(const std::vector<Done>& done);

}  // namespace pgweir::tools::check
