// The view: a picture as lines of text with attributes. Pure: it knows a width and a height, and no terminal.
#pragma once

#include "tools/top/control.hpp"
#include "tools/top/text.hpp"

namespace pgweir::tools::top {

// Exactly `height` lines of at most `columns`; at least 8 x 40 make sense.
Lines screen(const Ui& ui, const Picture& picture, size_t columns, size_t height);

// Everything at once, as long as it needs to be: for batch mode.
Lines report(const Ui& ui, const Picture& picture, size_t columns);

}  // namespace pgweir::tools::top
