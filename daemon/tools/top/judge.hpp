// Verdicts: a picture's figures held against the thresholds. Pure.
#pragma once

#include "tools/top/model.hpp"

namespace pgweir::tools::top {

// Fills `health` (worst first) and the levels of pools, databases and workers.
void judge(Picture& picture, const Thresholds& thresholds);

// Why clients of that pool wait, as far as the numbers of the console tell; `user_limit`: max_user_connections is
// reached. SHOW WAITS, where there is one, knows better.
std::string guess_why(const Pool& pool, const Database& database, bool user_limit, bool all_paused);

}  // namespace pgweir::tools::top
