// Tokens of one line of an HBA or ident file: words, "quoted words", commas; # starts a comment outside quotes.
// Private to the two parsers.
#pragma once

#include <string>

#include "base/bytes.hpp"

namespace pgweir::auth::detail {

enum class TokenKind { kEnd, kWord, kQuoted, kComma, kBroken };  // kBroken: a quote that is not closed, or a NUL

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;
  bool glued = false;  // no white space before it

  bool is_word(ByteView word) const { return kind == TokenKind::kWord && text == word; }
  bool is_name() const { return kind == TokenKind::kWord || kind == TokenKind::kQuoted; }
};

class LineTokens {
 public:
  explicit LineTokens(ByteView line) : rest_(line) { next(); }

  const Token& now() const { return now_; }
  void next();

  // What follows the current token, raw; for options with a grammar of their own.
  ByteView rest() const { return rest_; }

 private:
  void read_quoted();

  ByteView rest_;
  Token now_;
};

}  // namespace pgweir::auth::detail
