#include "base/text.hpp"

#include <algorithm>
#include <cstring>

namespace pgweir {

namespace {
constexpr std::string_view kBlanks = " \t\r\n";
constexpr std::string_view kSeparators = " \t\r\n,";

char lower_char(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
}  // namespace

std::string_view trim(std::string_view text) {
  size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), lower_char);
  return out;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower_char(x) == lower_char(y); });
}

std::vector<std::string> split_names(std::string_view list) {
  std::vector<std::string> names;
  while (true) {
    size_t first = list.find_first_not_of(kSeparators);
    if (first == std::string_view::npos) return names;
    list.remove_prefix(first);
    size_t end = std::min(list.find_first_of(kSeparators), list.size());
    names.emplace_back(list.substr(0, end));
    list.remove_prefix(end);
  }
}

bool list_contains(std::string_view list, std::string_view name) {
  auto names = split_names(list);
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string errno_text(int code) {
  const char* known = strerrordesc_np(code);
  return known ? std::string(known) : cat("Unknown error ", code);
}

}  // namespace pgweir
