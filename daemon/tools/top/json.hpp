// A picture as one line of JSON, for scripts: the pools that the filter lets through, in the order that was asked for,
// and all of the rest. Pure.
#pragma once

#include <string>

#include "tools/top/control.hpp"

namespace pgweir::tools::top {

std::string as_json(const Ui& ui, const Picture& picture);
const char* level_word(Level level);  // green, yellow, red

}  // namespace pgweir::tools::top
