#include "admin/grammar.hpp"

#include "base/text.hpp"

namespace pgweir::admin {

namespace {

constexpr size_t kMostEchoed = 1000;  // of a refused text in its error

// Bytes as written, quotes included.
constexpr size_t kMostWord = 15;
constexpr size_t kMostArgument = 63;
constexpr size_t kMostValue = 255;

bool is_word_char(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return out;
}

struct Word {
  std::string text;    // unquoted
  size_t written = 0;  // bytes, quotes included; 0: there is none
};

class Scanner {
 public:
  explicit Scanner(ByteView text) : text_(text) {}

  bool blanks() {
    size_t before = at_;
    while (at_ < text_.size() && is_blank(text_[at_]))
      ++at_;
    return at_ > before;
  }
  bool at_end() const { return at_ == text_.size(); }
  bool take(char c) {
    if (at_end() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  // Blanks, at most one semicolon, nothing else.
  bool ends() {
    blanks();
    take(';');
    blanks();
    return at_end();
  }

  Word word() {
    size_t start = at_;
    if (!at_end() && text_[at_] == '"') return quoted('"');
    while (at_ < text_.size() && is_word_char(text_[at_]))
      ++at_;
    return {std::string(text_.substr(start, at_ - start)), at_ - start};
  }
  // A word, or text in single quotes.
  Word value() { return !at_end() && text_[at_] == '\'' ? quoted('\'') : word(); }

 private:
  // A doubled quote stands for itself. Without a closing quote there is no word, and the scanner stays.
  Word quoted(char quote) {
    Word out;
    for (size_t at = at_ + 1; at < text_.size(); ++at) {
      if (text_[at] != quote) {
        out.text.push_back(text_[at]);
      } else if (at + 1 < text_.size() && text_[at + 1] == quote) {
        out.text.push_back(quote);
        ++at;
      } else {
        out.written = at + 1 - at_;
        at_ = at + 1;
        return out;
      }
    }
    return {};
  }

  ByteView text_;
  size_t at_ = 0;
};

Error bad_arguments() {
  return Error{"bad arguments", kConsoleError};
}

// SET key = value, SET key TO value.
Result<Command> parse_set(ByteView text, Scanner scanner) {
  Command command;
  Word key = scanner.word();
  if (key.written == 0) return invalid_command(text);
  scanner.blanks();
  if (!scanner.take('=') && upper(scanner.word().text) != "TO") return invalid_command(text);
  scanner.blanks();
  Word value = scanner.value();
  if (value.written == 0 || !scanner.ends()) return invalid_command(text);
  if (key.written > kMostArgument || value.written > kMostValue) return bad_arguments();
  command.word = "SET";
  command.argument = std::move(key.text);
  command.value = std::move(value.text);
  command.text = std::string(text);
  return command;
}

}  // namespace

Error invalid_command(ByteView text) {
  std::string_view shown = text.substr(0, kMostEchoed);
  return Error{cat("invalid command '", shown, shown.size() < text.size() ? "..." : "", "', use SHOW HELP;"),
               kConsoleError};
}

Result<Command> parse_command(ByteView text) {
  Scanner scanner(text);
  scanner.blanks();
  Word word = scanner.word();
  if (word.written == 0) return invalid_command(text);
  Command command;
  command.word = upper(word.text);
  Word argument;
  const bool more = scanner.blanks();
  if (command.word == "SET") return more ? parse_set(text, scanner) : invalid_command(text);
  if (more) argument = scanner.word();
  if (!scanner.ends()) return invalid_command(text);
  if (word.written > kMostWord || argument.written > kMostArgument) return bad_arguments();
  if (command.word == "SELECT") command.word = "SHOW";
  command.argument = std::move(argument.text);
  command.text = std::string(text);
  return command;
}

}  // namespace pgweir::admin
