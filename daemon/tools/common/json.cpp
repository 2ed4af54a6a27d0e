#include "tools/common/json.hpp"

#include <array>
#include <cmath>
#include <cstdio>

#include "tools/common/messages.hpp"

namespace pgweir::tools {

std::string json_string(std::string_view text) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out = "\"";
  for (size_t at = 0; at < text.size();) {
    const size_t end = next_character(text, at);
    const char c = text[at];
    if (end == at) {
      out += "\\ufffd";
      ++at;
      continue;
    }
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      out += {'\\', 'u', '0', '0', kDigits[c >> 4], kDigits[c & 15]};
    } else {
      out += text.substr(at, end - at);
    }
    at = end;
  }
  out.push_back('"');
  return out;
}

Json& Json::key(std::string_view name) {
  raw(json_string(name));
  text_.push_back(':');
  first_ = true;
  return *this;
}

Json& Json::put(double number) {
  if (!std::isfinite(number)) return put_null();
  std::array<char, 512> text{};
  std::snprintf(text.data(), text.size(), "%.3f", number);
  return raw(text.data());
}

Json& Json::open(char brace) {
  if (!first_) text_.push_back(',');
  text_.push_back(brace);
  first_ = true;
  return *this;
}

Json& Json::close(char brace) {
  text_.push_back(brace);
  first_ = false;
  return *this;
}

Json& Json::raw(std::string_view value) {
  if (!first_) text_.push_back(',');
  text_ += value;
  first_ = false;
  return *this;
}

}  // namespace pgweir::tools
