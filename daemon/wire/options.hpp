// The "options" startup parameter: -c k=v, -ck=v, --k=v, with backslash escapes (compat/wire.md, section 3).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace pgweir::wire {

Result<std::vector<std::pair<std::string, std::string>>> parse_options(ByteView text);

}  // namespace pgweir::wire
