#include "track/deallocate.hpp"

#include <algorithm>

namespace pgweir::track {

namespace {

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

// Of nearly all other statements the first character tells that they are none.
bool may_start(char c) {
  return c == 'd' || c == 'D' || c == '/' || c == '-' || is_space(c);
}

bool starts_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (static_cast<unsigned char>(c) & 0x80) != 0;
}

bool continues_name(char c) {
  return starts_name(c) || (c >= '0' && c <= '9') || c == '$';
}

char folded(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

struct Word {
  std::string text;
  bool quoted = false;
  bool is(std::string_view keyword) const { return !quoted && text == keyword; }
};

class Scanner {
 public:
  explicit Scanner(ByteView sql) : left_(sql) {}

  // White space and comments. False: a comment without an end.
  bool skip() {
    for (;;) {
      while (!left_.empty() && is_space(left_[0]))
        left_.remove_prefix(1);
      if (left_.substr(0, 2) == "--") {
        left_.remove_prefix(std::min(left_.find_first_of("\r\n"), left_.size()));
      } else if (left_.substr(0, 2) == "/*") {
        if (!skip_block()) return false;
      } else {
        return true;
      }
    }
  }

  // An identifier or keyword, folded unless it is quoted.
  std::optional<Word> word() {
    if (!skip() || left_.empty()) return std::nullopt;
    if (left_[0] == '"') return quoted();
    if (!starts_name(left_[0])) return std::nullopt;
    Word word;
    while (!left_.empty() && continues_name(left_[0])) {
      word.text.push_back(folded(left_[0]));
      left_.remove_prefix(1);
    }
    return word;
  }

  // Nothing but semicolons comes any more.
  bool at_end() {
    while (skip()) {
      if (left_.empty()) return true;
      if (left_[0] != ';') return false;
      left_.remove_prefix(1);
    }
    return false;
  }

 private:
  // They nest.
  bool skip_block() {
    int depth = 0;
    while (left_.size() >= 2) {
      ByteView two = left_.substr(0, 2);
      bool mark = two == "/*" || two == "*/";
      depth += two == "/*" ? 1 : two == "*/" ? -1 : 0;
      left_.remove_prefix(mark ? 2 : 1);
      if (depth == 0) return true;
    }
    return false;
  }

  std::optional<Word> quoted() {
    Word word{{}, true};
    left_.remove_prefix(1);
    while (!left_.empty()) {
      char c = left_[0];
      left_.remove_prefix(1);
      if (c == '"' && (left_.empty() || left_[0] != '"')) {
        if (word.text.empty()) return std::nullopt;
        return word;
      }
      if (c == '"') left_.remove_prefix(1);
      word.text.push_back(c);
    }
    return std::nullopt;
  }

  ByteView left_;
};

}  // namespace

std::optional<std::string> deallocated_name(ByteView sql) {
  if (sql.empty() || sql.size() > kMostDeallocate || !may_start(sql[0])) return std::nullopt;
  Scanner scanner(sql);
  std::optional<Word> word = scanner.word();
  if (!word || !word->is("deallocate")) return std::nullopt;
  word = scanner.word();
  if (!word) return std::nullopt;
  if (word->is("prepare") && !scanner.at_end()) {  // else a statement of that name
    word = scanner.word();
    if (!word) return std::nullopt;
  }
  if (word->is("all") || !scanner.at_end()) return std::nullopt;
  return word->text;
}

}  // namespace pgweir::track
