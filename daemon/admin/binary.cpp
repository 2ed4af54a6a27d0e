#include "admin/binary.hpp"

#include <algorithm>

namespace pgweir::admin {

namespace {

constexpr size_t kDigitsInGroup = 4;
constexpr uint16_t kNegative = 0x4000;

std::string binary_int4(const std::string& text) {
  std::string out;
  append_be32(out, static_cast<uint32_t>(static_cast<int32_t>(number_of(text))));
  return out;
}

std::string binary_int8(const std::string& text) {
  std::string out;
  const auto number = static_cast<uint64_t>(number_of(text));
  append_be32(out, static_cast<uint32_t>(number >> 32));
  append_be32(out, static_cast<uint32_t>(number));
  return out;
}

// Groups of four decimal digits, the highest first (src/backend/utils/adt/numeric.c, numeric_send).
std::string binary_numeric(const std::string& text) {
  const bool negative = !text.empty() && text[0] == '-';
  std::string digits = negative ? text.substr(1) : text;
  const bool whole = std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!whole) digits.clear();
  digits.erase(0, digits.find_first_not_of('0'));
  const size_t missing = (kDigitsInGroup - digits.size() % kDigitsInGroup) % kDigitsInGroup;
  digits.insert(0, missing, '0');
  std::string groups;
  for (size_t at = 0; at < digits.size(); at += kDigitsInGroup)
    append_be16(groups, static_cast<uint16_t>(number_of(digits.substr(at, kDigitsInGroup))));
  const size_t count = groups.size() / 2;
  std::string out;
  append_be16(out, static_cast<uint16_t>(count));
  append_be16(out, static_cast<uint16_t>(count > 0 ? count - 1 : 0));  // weight of the first group
  append_be16(out, negative && count > 0 ? kNegative : 0);
  append_be16(out, 0);  // digits behind the point
  return out + groups;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

std::string binary_bytea(const std::string& text) {
  std::string out;
  if (text.substr(0, 2) != "\\x" || text.size() % 2 != 0) return out;
  for (size_t at = 2; at < text.size(); at += 2) {
    const int high = hex_digit(text[at]);
    const int low = hex_digit(text[at + 1]);
    if (high < 0 || low < 0) return {};
    out.push_back(static_cast<char>(high << 4 | low));
  }
  return out;
}

}  // namespace

Cell to_binary(Type type, const Cell& cell) {
  if (!cell) return {};
  switch (type) {
    case Type::kInt4: return binary_int4(*cell);
    case Type::kInt8: return binary_int8(*cell);
    case Type::kNumeric: return binary_numeric(*cell);
    case Type::kBytea: return binary_bytea(*cell);
    case Type::kText: return *cell;
  }
  return *cell;
}

}  // namespace pgweir::admin
