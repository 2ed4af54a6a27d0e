#include "settings/table.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>

#include "base/text.hpp"

namespace pgweir::settings {

namespace {

template <class Enum>
Result<Enum> parse_word(const std::string& text, int count) {
  std::string allowed;
  for (int at = 0; at < count; ++at) {
    const char* word = word_of(static_cast<Enum>(at));
    if (equal_ignoring_case(text, word)) return static_cast<Enum>(at);
    allowed += cat(at ? ", " : "", word);
  }
  return Error{cat("must be one of ", allowed)};
}

struct Unit {
  const char* name;
  double factor;
};

// A number with an optional unit; the unit of a bare number is the factor 1 row's.
Result<double> parse_with_unit(const std::string& text, const Unit* units, size_t count, const char* what) {
  const char* start = text.c_str();
  char* end = nullptr;
  errno = 0;
  double number = std::strtod(start, &end);
  if (text.empty() || end == start || errno != 0 || !std::isfinite(number) || number < 0) return Error{what};
  std::string_view unit = trim(end);
  if (unit.empty()) return number;
  for (size_t at = 0; at < count; ++at) {
    if (unit == units[at].name) return number * units[at].factor;
  }
  return Error{what};
}

template <class T, class V>
Result<void> store(Global& global, const Row& row, Result<V> value) {
  if (!value) return value.error();
  global.*std::get<T Global::*>(row.member) = static_cast<T>(*value);
  return {};
}

Result<int64_t> in_range(const Row& row, Result<int64_t> value) {
  if (!value || row.least == row.most) return value;
  if (*value < row.least || *value > row.most) {
    return Error{cat("must be between ", row.least, " and ", row.most)};
  }
  return value;
}

Result<void> check_text(const Row& row, const std::string& text) {
  if (row.name == "workers" && text != "auto") {
    auto number = parse_int(text);
    if (!number || *number < 1 || *number > 64) return Error{"must be auto or a number between 1 and 64"};
  }
  return {};
}

std::string number_text(double number) {
  char text[64];
  std::snprintf(text, sizeof text, "%g", number);
  return text;
}

}  // namespace

Result<int64_t> parse_int(const std::string& text) {
  char* end = nullptr;
  errno = 0;
  long long value = std::strtoll(text.c_str(), &end, 0);
  bool blank = text.empty() || text[0] == ' ';
  if (blank || *end != '\0' || errno != 0) return Error{"must be an integer"};
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
  if (!number) return Error{"must be a boolean: 0 or 1, on or off, yes or no, true or false"};
  return *number != 0;
}

Result<Micros> parse_time(const std::string& text) {
  static constexpr Unit kUnits[] = {{"us", 1e-6}, {"ms", 1e-3}, {"s", 1},    {"sec", 1},
                                    {"m", 60},    {"min", 60},  {"h", 3600}, {"d", 86400}};
  auto seconds = parse_with_unit(text, kUnits, std::size(kUnits), "must be a time: seconds, or with ms, s, min, h, d");
  if (!seconds) return seconds.error();
  if (*seconds > 1e12) return Error{"is too long a time"};
  return static_cast<Micros>(std::llround(*seconds * 1e6));
}

Result<int64_t> parse_size(const std::string& text) {
  static constexpr Unit kUnits[] = {{"B", 1}, {"kB", 1024}, {"MB", 1048576}, {"GB", 1073741824}};
  auto bytes = parse_with_unit(text, kUnits, std::size(kUnits), "must be a size: bytes, or with kB, MB, GB");
  if (!bytes) return bytes.error();
  if (*bytes > 9e15) return Error{"is too large"};
  return static_cast<int64_t>(*bytes);
}

Result<PoolMode> parse_pool_mode(const std::string& text) {
  return parse_word<PoolMode>(text, 3);
}

Result<LoadBalance> parse_load_balance(const std::string& text) {
  return parse_word<LoadBalance>(text, 2);
}

const Row* find_row(const std::string& name) {
  const auto& rows = global_rows();
  const std::string& known = name == "service_name" ? std::string("job_name") : name;
  auto found =
      std::lower_bound(rows.begin(), rows.end(), known, [](const Row& r, const std::string& n) { return r.name < n; });
  return found != rows.end() && found->name == known ? &*found : nullptr;
}

Result<void> assign(Global& global, const Row& row, const std::string& text) {
  switch (row.kind) {
    case Kind::kBool: return store<bool>(global, row, parse_bool(text));
    case Kind::kInt: return store<int64_t>(global, row, in_range(row, parse_int(text)));
    case Kind::kSize: return store<int64_t>(global, row, in_range(row, parse_size(text)));
    case Kind::kUint: {
      auto value = parse_size(text);
      if (value && *value > UINT32_MAX) return Error{cat("must be at most ", UINT32_MAX)};
      return store<uint32_t>(global, row, value);
    }
    case Kind::kTime: return store<Micros>(global, row, parse_time(text));
    case Kind::kAuthType: return store<AuthType>(global, row, parse_word<AuthType>(text, 9));
    case Kind::kPoolMode: return store<PoolMode>(global, row, parse_pool_mode(text));
    case Kind::kSslMode: return store<SslMode>(global, row, parse_word<SslMode>(text, 6));
    case Kind::kLoadBalance: return Error{"is not a global setting"};
    case Kind::kText: break;
  }
  Result<void> fine = check_text(row, text);
  if (fine) global.*std::get<std::string Global::*>(row.member) = text;
  return fine;
}

std::optional<std::string> show(const Global& global, const Row& row) {
  switch (row.kind) {
    case Kind::kBool: return std::to_string(global.*std::get<bool Global::*>(row.member) ? 1 : 0);
    case Kind::kInt:
    case Kind::kSize: return std::to_string(global.*std::get<int64_t Global::*>(row.member));
    case Kind::kUint: return std::to_string(global.*std::get<uint32_t Global::*>(row.member));
    case Kind::kTime: return number_text(static_cast<double>(global.*std::get<int64_t Global::*>(row.member)) / 1e6);
    case Kind::kAuthType: return word_of(global.*std::get<AuthType Global::*>(row.member));
    case Kind::kPoolMode: return word_of(global.*std::get<PoolMode Global::*>(row.member));
    case Kind::kSslMode: return word_of(global.*std::get<SslMode Global::*>(row.member));
    default: break;
  }
  const std::string& text = global.*std::get<std::string Global::*>(row.member);
  if (text.empty() && !row.preset) return std::nullopt;
  return text;
}

Global default_global() {
  Global global;
  for (const Row& row : global_rows()) {
    if (row.preset) (void)assign(global, row, *row.preset).ok();
  }
  return global;
}

}  // namespace pgweir::settings
