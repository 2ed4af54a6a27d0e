// What a tool says: colours only on a terminal and never with NO_COLOR, priorities when standard error is the journal,
// and no byte of a name or a server's text that could steer a terminal.
#pragma once

#include <string>
#include <string_view>

namespace pgweir::tools {

enum class Colour { kNone, kRed, kGreen, kYellow, kBold };

// Whether to colour what is written to `fd`: a terminal that is not "dumb", and no NO_COLOR in the environment
// (no-color.org: set and not empty).
bool wants_colours(int fd);

// `text` in a colour, when `on`.
std::string painted(std::string_view text, Colour colour, bool on);

// `text` without what steers a terminal: control characters (line feeds too) and bytes that are no UTF-8 as \n, \t,
// \x1b ...
std::string shown_text(std::string_view text);

// A name for people: as it is when nothing about it can be misread, else in double quotes with escapes.
std::string shown_name(std::string_view name);

// The position behind the character of UTF-8 at `at`; `at` itself when no character is there (overlong forms,
// surrogates and what is cut off are none).
size_t next_character(std::string_view text, size_t at);

// Lines to standard error, "PROGRAM: warning: text".
class Messages {
 public:
  explicit Messages(std::string program);

  void error(std::string_view text) const;
  void warning(std::string_view text) const;
  // `text` as it is to standard output. False, and the reason told, when it cannot be written.
  bool print(std::string_view text) const;

 private:
  void put(const char* word, Colour colour, char priority, std::string_view text) const;

  std::string program_;
  bool journal_ = false;
  bool colours_ = false;
};

}  // namespace pgweir::tools
