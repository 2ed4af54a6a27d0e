#include "tools/check/model.hpp"

#include <array>

namespace pgweir::tools::check {

const char* word_of(Phase phase) {
  static constexpr std::array<const char*, kPhases> kWords = {"prerequisites", "connectivity", "configuration",
                                                              "functionality", "performance",  "security"};
  return kWords[static_cast<size_t>(phase)];
}

const char* word_of(Dimension dimension) {
  static constexpr std::array<const char*, kDimensions> kWords = {"correctness", "performance", "security",
                                                                  "operability", "completeness"};
  return kWords[static_cast<size_t>(dimension)];
}

const char* word_of(Status status) {
  static constexpr std::array<const char*, kStatuses> kWords = {"pass", "warn", "fail", "blocked", "skip", "unasked"};
  return kWords[static_cast<size_t>(status)];
}

Outcome pass(std::string reason) {
  return {Status::kPass, std::move(reason), {}};
}
Outcome warn(std::string reason, std::string remedy) {
  return {Status::kWarn, std::move(reason), std::move(remedy)};
}
Outcome fail(std::string reason, std::string remedy) {
  return {Status::kFail, std::move(reason), std::move(remedy)};
}
Outcome blocked(std::string reason, std::string remedy) {
  return {Status::kBlocked, std::move(reason), std::move(remedy)};
}
Outcome skip(std::string reason) {
  return {Status::kSkip, std::move(reason), {}};
}

}  // namespace pgweir::tools::check
