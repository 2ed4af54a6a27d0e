// JSON for scripts: a writer that cannot produce anything but JSON. Bytes that are no UTF-8 become U+FFFD.
#pragma once

#include <concepts>
#include <string>
#include <string_view>

#include "base/text.hpp"

namespace pgweir::tools {

// A string of JSON, with its quotes.
std::string json_string(std::string_view text);

// Json("name", "x") inside begin_object() ... end_object(), put("x") inside begin_array() ... end_array(). What is
// begun must be ended before text() is asked; the writer sees to the commas.
class Json {
 public:
  Json& begin_object() { return open('{'); }
  Json& end_object() { return close('}'); }
  Json& begin_array() { return open('['); }
  Json& end_array() { return close(']'); }

  Json& key(std::string_view name);

  Json& put(std::string_view text) { return raw(json_string(text)); }
  Json& put(const char* text) { return put(std::string_view(text)); }
  Json& put(bool truth) { return raw(truth ? "true" : "false"); }
  template <std::integral Number>
  requires(!std::same_as<Number, bool> && !std::same_as<Number, char>) Json& put(Number number) {
    return raw(cat(number));
  }
  Json& put(double number);  // three decimals; null for what is no number
  Json& put_null() { return raw("null"); }

  template <class Value>
  Json& put(std::string_view name, const Value& value) {
    return key(name).put(value);
  }

  const std::string& text() const { return text_; }

 private:
  Json& open(char brace);
  Json& close(char brace);
  Json& raw(std::string_view value);

  std::string text_;
  bool first_ = true;  // nothing stands yet in what was opened last, or a key was just written
};

}  // namespace pgweir::tools
