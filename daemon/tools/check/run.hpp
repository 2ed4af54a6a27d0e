// Runs the selected tests, in the order of the table, and sees to what each needs.
#pragma once

#include <functional>
#include <vector>

#include "tools/check/model.hpp"
#include "tools/check/options.hpp"

namespace pgweir::tools::check {

// `told` hears of each test as it ends. All tests of the table are in the answer; what was not asked for as kUnasked.
std::vector<Done> run(const Options& options, const std::function<void(const Done&)>& told);

bool all_passed(const std::vector<Done>& done);  // of those that were asked for and apply

}  // namespace pgweir::tools::check
