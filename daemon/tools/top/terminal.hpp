// The terminal, by ncurses: shows lines, reads keys, and gives the terminal back as it was.
#pragma once

#include <string>

#include "base/result.hpp"
#include "tools/top/text.hpp"

namespace pgweir::tools::top {

class Terminal {
 public:
  explicit Terminal(bool colours);
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  bool works() const { return works_; }
  size_t columns() const;
  size_t height() const;
  void show(const Lines& lines);
  std::string read_key();  // as control.hpp names them; empty: none is there. A change of size is "<size>"

 private:
  bool works_ = false;
  int errors_ = -1;  // the real standard error: what libpq writes there must not go over the screen
  bool colours_ = false;
};

}  // namespace pgweir::tools::top
