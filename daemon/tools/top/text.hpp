// Lines of text with attributes: what views make and a terminal (or a file) shows. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tools/top/thresholds.hpp"

namespace pgweir::tools::top {

enum class Style : uint8_t { kPlain, kDim, kBold, kGreen, kYellow, kRed, kTitle };

struct Span {
  std::string text;
  Style style = Style::kPlain;
};

struct Line {
  std::vector<Span> spans;
  bool selected = false;

  Line() = default;
  explicit Line(std::string text, Style style = Style::kPlain) { spans.push_back({std::move(text), style}); }
  Line& add(std::string text, Style style = Style::kPlain) {
    spans.push_back({std::move(text), style});
    return *this;
  }
  std::string plain() const;
};
using Lines = std::vector<Line>;

// Columns that a text takes on a terminal. Control characters must have been escaped before (shown_text).
size_t width(std::string_view text);
size_t width(const Line& line);

// At most `columns` wide; what is cut off is told by the last one, "…" or "~".
std::string cut(std::string_view text, size_t columns, bool ascii = false);
std::string fit(std::string_view text, size_t columns, bool right, bool ascii);  // cut or padded
Line cut(const Line& line, size_t columns, bool ascii);

Style style_of(Level level);
const char* mark_of(Level level, bool ascii);  // to be told without colours, too

// A table: cells are fitted to the columns, the last one takes the rest.
struct Column {
  const char* title;
  size_t narrow;  // its width below kWide columns; 0: left out
  size_t wide;
  bool right = false;
};
inline constexpr size_t kWide = 110;

struct Cell {
  std::vector<Span> spans;
  explicit Cell(std::string text, Style style = Style::kPlain) { spans.push_back({std::move(text), style}); }
  explicit Cell(std::vector<Span> many) : spans(std::move(many)) {}
};

size_t column_width(const Column& column, size_t screen);
Line table_head(const std::vector<Column>& columns, size_t screen, bool ascii);
Line table_row(const std::vector<Column>& columns, const std::vector<Cell>& cells, size_t screen, bool ascii);

// A bar of `columns`, filled to `percent`.
std::vector<Span> bar(double percent, size_t columns, Style style, bool ascii);

}  // namespace pgweir::tools::top
