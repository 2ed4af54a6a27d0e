// The version of the daemon and its tools. CMakeLists.txt says it, too; tests/layers holds them equal.
#pragma once

namespace pgweir {

inline constexpr const char* kVersion = "0.1.0";

}  // namespace pgweir
