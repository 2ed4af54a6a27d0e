#include "tools/top/format.hpp"

#include <array>
#include <cmath>
#include <cstdio>

#include "base/text.hpp"

namespace pgweir::tools::top {

namespace {

std::string printed(double value, int digits) {
  std::array<char, 64> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%.*f", digits, value);
  return buffer.data();
}

// Two figures that mean something: 1.2, 34.
std::string short_number(double value) {
  return printed(value, value > 0 && value < 9.95 ? 1 : 0);
}

}  // namespace

std::string duration(int64_t us) {
  const auto value = static_cast<double>(us);
  if (us < 1000) return cat(us, us == 0 ? "" : " us");
  if (value < 999.5e3) return cat(short_number(value / 1e3), " ms");
  if (value < 119.5e6) return cat(short_number(value / 1e6), " s");
  if (value < 119.5 * 60e6) return cat(printed(value / 60e6, 0), " min");
  return cat(printed(value / 3600e6, 0), " h");
}

std::string rate(double per_second) {
  if (per_second <= 0) return "0";
  if (per_second < 0.05) return "<0.1";
  if (per_second < 99999.5) return short_number(per_second);
  if (per_second < 999.5e3) return cat(printed(per_second / 1e3, 0), "k");
  return cat(short_number(per_second / 1e6), "M");
}

std::string amount(double bytes) {
  static constexpr std::array<const char*, 6> kUnits = {" B", " kB", " MB", " GB", " TB", " PB"};
  size_t unit = 0;
  double value = bytes > 0 ? bytes : 0;
  for (; value >= 999.5 && unit + 1 < kUnits.size(); ++unit)
    value /= 1000;
  return cat(unit == 0 ? printed(value, 0) : short_number(value), kUnits[unit]);
}

std::string percent(double value) {
  return cat(printed(value, 0), "%");
}

std::string counted(int64_t n, const char* one, const char* many) {
  return cat(n, " ", n == 1 ? one : many);
}

}  // namespace pgweir::tools::top
