// Numbers as people read them on a narrow screen. Pure.
#pragma once

#include <cstdint>
#include <string>

namespace pgweir::tools::top {

std::string duration(int64_t us);     // 850 us, 1.2 ms, 34 ms, 5.1 s, 3 min
std::string rate(double per_second);  // 0, 0.4, 12, 1234, 56.7k
std::string amount(double bytes);     // 0 B, 12 kB, 3.4 MB
std::string percent(double value);    // 42%
std::string counted(int64_t n, const char* one, const char* many);

}  // namespace pgweir::tools::top
