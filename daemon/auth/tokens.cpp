// The tokenizer of HBA and ident lines.
#include "auth/tokens.hpp"

#include <algorithm>

namespace pgweir::auth::detail {

namespace {
constexpr ByteView kBlanks = " \t\r\n\v\f";
constexpr ByteView kWordEnds = " \t\r\n\v\f,\"#";
}  // namespace

void LineTokens::next() {
  const size_t blanks = std::min(rest_.find_first_not_of(kBlanks), rest_.size());
  rest_.remove_prefix(blanks);
  now_ = {TokenKind::kEnd, {}, blanks == 0};
  if (rest_.empty() || rest_[0] == '#') {
    rest_ = {};
  } else if (rest_[0] == ',') {
    now_.kind = TokenKind::kComma;
    rest_.remove_prefix(1);
  } else if (rest_[0] == '"') {
    read_quoted();
  } else {
    const size_t end = std::min(rest_.find_first_of(kWordEnds), rest_.size());
    now_.kind = TokenKind::kWord;
    now_.text = rest_.substr(0, end);
    rest_.remove_prefix(end);
  }
  if (now_.text.find('\0') != std::string::npos) now_.kind = TokenKind::kBroken;
}

void LineTokens::read_quoted() {
  now_.kind = TokenKind::kQuoted;
  rest_.remove_prefix(1);
  while (true) {
    const size_t close = rest_.find('"');
    if (close == ByteView::npos) {
      now_.kind = TokenKind::kBroken;
      rest_ = {};
      return;
    }
    now_.text.append(rest_.substr(0, close));
    rest_.remove_prefix(close + 1);
    if (!rest_.starts_with('"')) return;
    now_.text.push_back('"');
    rest_.remove_prefix(1);
  }
}

}  // namespace pgweir::auth::detail
