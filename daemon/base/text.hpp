// Small text helpers that the standard library of g++ 12 lacks (no std::format there).
#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace pgweir {

namespace detail {
inline void append_piece(std::string& out, std::string_view piece) {
  out.append(piece);
}
inline void append_piece(std::string& out, char piece) {
  out.push_back(piece);
}
template <class N>
requires(std::is_arithmetic_v<N> && !std::is_same_v<N, char>) void append_piece(std::string& out, N piece) {
  out.append(std::to_string(piece));
}
}  // namespace detail

// cat("port ", 6432, ' ', name): the pieces, one behind the other.
template <class... Pieces>
std::string cat(const Pieces&... pieces) {
  std::string out;
  (detail::append_piece(out, pieces), ...);
  return out;
}

std::string_view trim(std::string_view text);                      // without spaces, tabs, CR and LF at both ends
std::string lower(std::string_view text);                          // ASCII only
bool equal_ignoring_case(std::string_view a, std::string_view b);  // ASCII only

// "a, b c" -> {a, b, c}: items separated by commas and/or white space, empty ones dropped.
std::vector<std::string> split_names(std::string_view list);

// Exact match of `name` against such a list.
bool list_contains(std::string_view list, std::string_view name);

// What errno value `code` means; unlike strerror() never in a buffer that threads share.
std::string errno_text(int code);

}  // namespace pgweir
