// Values as text: integers as C writes them, times and sizes as plain numbers or with a unit. No locale plays a part.
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "base/text.hpp"
#include "settings/table.hpp"

namespace pgweir::settings {

namespace {

struct Unit {
  const char* name;
  double factor;  // of a bare number's unit
};

constexpr Unit kTimeUnits[] = {
    {"us", 1e-6}, {"ms", 1e-3},   {"s", 1},          {"sec", 1},          {"min", 60},
    {"m", 60},    {"h", 60 * 60}, {"hour", 60 * 60}, {"d", 24 * 60 * 60}, {"day", 24 * 60 * 60}};
constexpr Unit kSizeUnits[] = {{"B", 1}, {"kB", 1 << 10}, {"KB", 1 << 10}, {"MB", 1 << 20}, {"GB", 1 << 30}};

constexpr double kLongestTime = 1e11;  // seconds, three thousand years; in microseconds it is far from overflow
constexpr double kLargestSize = 1e15;  // bytes

enum class Fractions : uint8_t { kAlways, kWithUnit };  // half a byte is none, half a kB is

// A number of 0 or more and an optional unit, blanks between them allowed.
template <size_t count>
Result<double> parse_with_unit(const std::string& text, const Unit (&units)[count], const char* what,
                               Fractions fractions) {
  const char* start = text.data();
  const char* end = start + text.size();
  if (start != end && *start == '+') ++start;
  double number = 0;
  auto parsed = std::from_chars(start, end, number, std::chars_format::general);
  if (parsed.ec != std::errc() || !std::isfinite(number) || number < 0) return Error{what};
  std::string_view unit = trim(std::string_view(parsed.ptr, static_cast<size_t>(end - parsed.ptr)));
  if (unit.empty() && fractions == Fractions::kWithUnit && number != std::floor(number)) return Error{what};
  if (unit.empty()) return number;
  for (const Unit& known : units) {
    if (unit == known.name) return number * known.factor;
  }
  return Error{what};
}

}  // namespace

Result<int64_t> parse_int(const std::string& text) {
  const bool starts_well =
      !text.empty() && (std::isdigit(static_cast<unsigned char>(text[0])) != 0 || text[0] == '-' || text[0] == '+');
  char* end = nullptr;
  errno = 0;
  long long value = starts_well ? std::strtoll(text.c_str(), &end, 0) : 0;
  if (!starts_well || end != text.c_str() + text.size() || errno != 0) return Error{"must be a whole number"};
  return static_cast<int64_t>(value);
}

Result<bool> parse_bool(const std::string& text) {
  for (const char* word : {"on", "yes", "true"}) {
    if (equal_ignoring_case(text, word)) return true;
  }
  for (const char* word : {"off", "no", "false"}) {
    if (equal_ignoring_case(text, word)) return false;
  }
  auto number = parse_int(text);
  if (!number) return Error{"must be 0 or 1, on or off, yes or no, true or false"};
  return *number != 0;
}

Result<Micros> parse_time(const std::string& text) {
  auto seconds = parse_with_unit(text, kTimeUnits, "must be a time: seconds, or a number with us, ms, s, min, h, d",
                                 Fractions::kAlways);
  if (!seconds) return seconds.error();
  if (*seconds > kLongestTime) return Error{"is too long a time"};
  return static_cast<Micros>(std::llround(*seconds * static_cast<double>(kSecond)));
}

Result<int64_t> parse_size(const std::string& text) {
  auto plain = parse_int(text);  // octal and hexadecimal as everywhere else
  if (plain && *plain >= 0 && static_cast<double>(*plain) <= kLargestSize) return plain;
  auto bytes =
      parse_with_unit(text, kSizeUnits, "must be a size: bytes, or a number with kB, MB, GB", Fractions::kWithUnit);
  if (!bytes) return bytes.error();
  if (*bytes > kLargestSize) return Error{"is too large"};
  return static_cast<int64_t>(*bytes);
}

}  // namespace pgweir::settings
