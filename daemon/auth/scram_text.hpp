// Reading SCRAM messages: "x=value" attributes between commas (RFC 5802, section 7). Private to the two provers.
#pragma once

#include <algorithm>
#include <optional>

#include "base/bytes.hpp"

namespace pgweir::auth::detail {

inline bool is_scram_printable(ByteView text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x21 && c <= 0x7e && c != ','; });
}

// Walks over the attributes of one message.
class ScramReader {
 public:
  explicit ScramReader(ByteView text) : rest_(text), done_(text.empty()) {}

  bool done() const { return done_; }
  size_t left() const { return rest_.size(); }
  bool next_is(char name) const { return rest_.size() >= 2 && rest_[0] == name && rest_[1] == '='; }

  // The value of the next attribute when it is called `name`; else nothing, and nothing is consumed.
  std::optional<ByteView> take(char name) {
    if (!next_is(name)) return std::nullopt;
    const size_t comma = rest_.find(',');
    ByteView value = rest_.substr(2, comma == ByteView::npos ? ByteView::npos : comma - 2);
    if (comma == ByteView::npos) {
      rest_ = {};
      done_ = true;
    } else {
      rest_.remove_prefix(comma + 1);  // a comma at the end leaves an empty attribute, which nobody can take
    }
    return value;
  }

  // Skips one attribute of a name that we do not know; false for what is not an attribute, and for "m=", which demands
  // an extension that we do not have.
  bool skip_extension() {
    if (rest_.empty() || rest_[0] == 'm') return false;
    const char name = rest_[0];
    const bool letter = (name >= 'A' && name <= 'Z') || (name >= 'a' && name <= 'z');
    return letter && take(name).has_value();
  }

 private:
  ByteView rest_;
  bool done_;
};

}  // namespace pgweir::auth::detail
