#include "tools/top/terminal.hpp"

#include "tools/top/control.hpp"

// ncurses last: its macros (timeout, move ...) are short words.
#define NCURSES_NOMACROS 1
#include <ncurses.h>

#include <fcntl.h>
#include <unistd.h>
#include <array>
#include <cstdio>
#include <cwchar>

namespace pgweir::tools::top {

namespace {

struct KeyRow {
  wint_t code;
  const char* key;
};
constexpr KeyRow kKeys[] = {
    {KEY_UP, key::kUp},       {KEY_DOWN, key::kDown},   {KEY_PPAGE, key::kPageUp}, {KEY_NPAGE, key::kPageDown},
    {KEY_HOME, key::kHome},   {KEY_END, key::kEnd},     {KEY_ENTER, key::kEnter},  {KEY_BACKSPACE, key::kBackspace},
    {KEY_RIGHT, key::kEnter}, {KEY_LEFT, key::kEscape}, {KEY_RESIZE, "<size>"},
};

enum Pair : short { kGreenPair = 1, kYellowPair, kRedPair };

attr_t attributes(Style style, bool colours) {
  switch (style) {
    case Style::kDim: return A_DIM;
    case Style::kBold: return A_BOLD;
    case Style::kTitle: return A_REVERSE;
    case Style::kGreen: return colours ? COLOR_PAIR(kGreenPair) : A_NORMAL;
    case Style::kYellow: return colours ? COLOR_PAIR(kYellowPair) : A_BOLD;
    case Style::kRed: return colours ? COLOR_PAIR(kRedPair) | A_BOLD : A_BOLD;
    default: return A_NORMAL;
  }
}

}  // namespace

Terminal::Terminal(bool colours) {
  if (!::newterm(nullptr, stdout, stdin)) return;
  works_ = true;
  errors_ = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
  if (const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC); nowhere >= 0) {
    ::dup2(nowhere, STDERR_FILENO);
    ::close(nowhere);
  }
  ::cbreak();
  ::noecho();
  ::nonl();
  ::intrflush(stdscr, FALSE);
  ::keypad(stdscr, TRUE);
  ::nodelay(stdscr, TRUE);
  ::set_escdelay(50);
  ::curs_set(0);
  colours_ = colours && ::has_colors();
  if (!colours_) return;
  ::start_color();
  ::use_default_colors();
  ::init_pair(kGreenPair, COLOR_GREEN, -1);
  ::init_pair(kYellowPair, COLOR_YELLOW, -1);
  ::init_pair(kRedPair, COLOR_RED, -1);
}

Terminal::~Terminal() {
  if (!works_) return;
  ::endwin();
  if (errors_ < 0) return;
  ::dup2(errors_, STDERR_FILENO);
  ::close(errors_);
}

size_t Terminal::columns() const {
  return static_cast<size_t>(::getmaxx(stdscr));
}
size_t Terminal::height() const {
  return static_cast<size_t>(::getmaxy(stdscr));
}

void Terminal::show(const Lines& lines) {
  ::werase(stdscr);
  const size_t room = height();
  for (size_t y = 0; y < lines.size() && y < room; ++y) {
    ::wmove(stdscr, static_cast<int>(y), 0);
    const attr_t chosen = lines[y].selected ? A_REVERSE : A_NORMAL;
    for (const Span& span : lines[y].spans) {
      // What is dim cannot be read when it is turned round.
      const attr_t own = lines[y].selected && span.style == Style::kDim ? A_NORMAL : attributes(span.style, colours_);
      ::wattrset(stdscr, static_cast<int>(own | chosen));
      ::waddnstr(stdscr, span.text.data(), static_cast<int>(span.text.size()));
    }
  }
  ::wattrset(stdscr, A_NORMAL);
  ::wrefresh(stdscr);
}

std::string Terminal::read_key() {
  wint_t code = 0;
  const int kind = ::wget_wch(stdscr, &code);
  if (kind == ERR) return "";
  if (kind == KEY_CODE_YES) {
    for (const KeyRow& row : kKeys)
      if (row.code == code) return row.key;
    return "<other>";
  }
  if (code == '\r' || code == '\n') return key::kEnter;
  if (code == 27) return key::kEscape;
  if (code == 8 || code == 127) return key::kBackspace;
  if (code == 12) return "<size>";  // ^L: draw anew
  if (code < 32) return "<other>";
  std::array<char, 16> bytes{};
  std::mbstate_t state{};
  const size_t size = std::wcrtomb(bytes.data(), static_cast<wchar_t>(code), &state);
  return size == static_cast<size_t>(-1) ? "<other>" : std::string(bytes.data(), size);
}

}  // namespace pgweir::tools::top
