#include "tools/check/score.hpp"

namespace pgweir::tools::check {

namespace {

// correctness, performance, security, operability, completeness
constexpr std::array<double, kDimensions> kWeights = {3, 1, 3, 2, 1};

double worth(Status status) {
  return status == Status::kPass ? 1.0 : status == Status::kWarn ? 0.5 : 0.0;
}

}  // namespace

Score score_of(const std::vector<Done>& done) {
  Score score;
  std::array<double, kDimensions> reached{};
  std::array<double, kDimensions> possible{};
  const auto completeness = static_cast<size_t>(Dimension::kCompleteness);
  for (const Done& one : done) {
    const Status status = one.outcome.status;
    const double weight = one.test->weight;
    ++score.counts[static_cast<size_t>(status)];
    if (status == Status::kSkip) continue;  // it does not apply: it counts nowhere
    possible[completeness] += weight;
    if (status != Status::kUnasked && status != Status::kBlocked) reached[completeness] += weight;
    if (status == Status::kUnasked) continue;
    const auto dimension = static_cast<size_t>(one.test->dimension);
    possible[dimension] += weight;
    reached[dimension] += weight * worth(status);
  }
  double sum = 0;
  double weights = 0;
  for (size_t at = 0; at < kDimensions; ++at) {
    if (possible[at] == 0) continue;
    score.dimensions[at] = 10 * reached[at] / possible[at];
    sum += kWeights[at] * *score.dimensions[at];
    weights += kWeights[at];
  }
  score.quality = weights == 0 ? 0 : sum / weights;
  return score;
}

}  // namespace pgweir::tools::check
