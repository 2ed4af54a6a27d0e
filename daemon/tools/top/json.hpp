// A picture as one line of JSON, for scripts. Pure.
#pragma once

#include <string>

#include "tools/top/model.hpp"

namespace pgweir::tools::top {

std::string as_json(const Picture& picture);
const char* level_word(Level level);  // green, yellow, red

}  // namespace pgweir::tools::top
