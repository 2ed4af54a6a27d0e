#include "tools/top/text.hpp"

#include <algorithm>
#include <array>
#include <cwchar>

#include "base/text.hpp"
#include "tools/common/messages.hpp"

namespace pgweir::tools::top {

namespace {

// The character of UTF-8 at `at`, known to be whole.
wchar_t decode(std::string_view character) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(character[i]); };
  static constexpr std::array<unsigned, 5> kFirstBits = {0, 0x7F, 0x1F, 0x0F, 0x07};
  unsigned value = byte(0) & kFirstBits[std::min<size_t>(character.size(), 4)];
  for (size_t i = 1; i < character.size(); ++i)
    value = (value << 6) | (byte(i) & 0x3F);
  return static_cast<wchar_t>(value);
}

size_t character_width(std::string_view character) {
  if (character.size() == 1) return 1;
  const int columns = ::wcwidth(decode(character));
  return columns < 0 ? 1 : static_cast<size_t>(columns);
}

// Calls f(character, width) for each; a byte that is no UTF-8 counts as one.
template <class F>
void each_character(std::string_view text, F f) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::max(next_character(text, at), at + 1);
    const std::string_view character = text.substr(at, end - at);
    if (!f(character, character_width(character))) return;
    at = end;
  }
}

}  // namespace

std::string Line::plain() const {
  std::string out;
  for (const Span& span : spans)
    out += span.text;
  out.resize(out.find_last_not_of(' ') + 1);
  return out;
}

size_t width(std::string_view text) {
  size_t out = 0;
  each_character(text, [&](std::string_view, size_t columns) {
    out += columns;
    return true;
  });
  return out;
}

size_t width(const Line& line) {
  size_t out = 0;
  for (const Span& span : line.spans)
    out += width(span.text);
  return out;
}

std::string cut(std::string_view text, size_t columns, bool ascii) {
  if (width(text) <= columns) return std::string(text);
  if (columns == 0) return "";
  std::string out;
  size_t used = 0;
  each_character(text, [&](std::string_view character, size_t needs) {
    if (used + needs > columns - 1) return false;
    out += character;
    used += needs;
    return true;
  });
  return out + (ascii ? "~" : "…");
}

std::string fit(std::string_view text, size_t columns, bool right, bool ascii) {
  std::string out = cut(text, columns, ascii);
  const std::string blanks(columns - std::min(width(out), columns), ' ');
  return right ? blanks + out : out + blanks;
}

Line cut(const Line& line, size_t columns, bool ascii) {
  Line out;
  out.selected = line.selected;
  size_t left = columns;
  for (const Span& span : line.spans) {
    if (left == 0) break;
    out.spans.push_back({cut(span.text, left, ascii), span.style});
    left -= std::min(left, width(out.spans.back().text));
  }
  return out;
}

Style style_of(Level level) {
  static constexpr std::array<Style, 3> kStyles = {Style::kGreen, Style::kYellow, Style::kRed};
  return kStyles[static_cast<size_t>(level)];
}

const char* mark_of(Level level, bool ascii) {
  static constexpr std::array<const char*, 3> kSigns = {"●", "▲", "✖"};
  static constexpr std::array<const char*, 3> kLetters = {".", "!", "X"};
  return (ascii ? kLetters : kSigns)[static_cast<size_t>(level)];
}

size_t column_width(const Column& column, size_t screen) {
  return screen >= kWide ? column.wide : column.narrow;
}

Line table_head(const std::vector<Column>& columns, size_t screen, bool ascii) {
  std::vector<Cell> titles;
  titles.reserve(columns.size());
  for (const Column& column : columns)
    titles.emplace_back(column.title, Style::kDim);
  return table_row(columns, titles, screen, ascii);
}

Line table_row(const std::vector<Column>& columns, const std::vector<Cell>& cells, size_t screen, bool ascii) {
  Line out;
  size_t used = 0;
  for (size_t at = 0; at < columns.size() && at < cells.size(); ++at) {
    const bool last = at + 1 == columns.size();
    size_t room = column_width(columns[at], screen);
    if (room == 0) continue;
    if (used > 0) {
      out.add(" ");
      ++used;
    }
    if (last) room = screen > used ? screen - used : 0;
    const std::vector<Span>& spans = cells[at].spans;
    if (spans.size() == 1) {
      out.add(fit(spans[0].text, room, columns[at].right, ascii), spans[0].style);
    } else {
      Line cell;
      cell.spans = spans;
      cell = cut(cell, room, ascii);
      out.spans.insert(out.spans.end(), cell.spans.begin(), cell.spans.end());
      out.add(std::string(room - std::min(room, width(cell)), ' '));
    }
    used += room;
  }
  return out;
}

std::vector<Span> bar(double percent, size_t columns, Style style, bool ascii) {
  const double part = std::clamp(percent, 0.0, 100.0) / 100 * static_cast<double>(columns);
  auto full = static_cast<size_t>(part + 0.5);
  if (full == 0 && percent >= 1) full = 1;  // something is not nothing
  std::string filled;
  std::string empty;
  for (size_t i = 0; i < columns; ++i)
    (i < full ? filled : empty) += ascii ? (i < full ? "#" : "-") : (i < full ? "█" : "░");
  return {{filled, style}, {empty, Style::kDim}};
}

}  // namespace pgweir::tools::top
