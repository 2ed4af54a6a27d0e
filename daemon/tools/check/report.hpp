// What a person reads, at 80 columns, and what a script reads.
#pragma once

#include <string>
#include <vector>

#include "tools/check/model.hpp"
#include "tools/check/score.hpp"

namespace pgweir::tools::check {

// A test's lines: status, name, reason; the remedy below it. `first`: the phase's heading stands before it.
std::string line_of(const Done& done, bool first, bool colours);
std::string summary(const Score& score, bool passed, bool colours);
std::string list_text();
std::string as_json(const std::vector<Done>& done, const Score& score, int exit);
std::string list_json();

}  // namespace pgweir::tools::check
