// Reading the small text files that auth/ is told to read, and what can be wrong with them.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace pgweir::auth {

// Something to tell the operator about a file.
struct Complaint {
  std::string file;
  int line = 0;          // from 1; 0: the file as a whole
  bool skipped = false;  // true: what stands there has no effect (or, in a userlist, what follows); false: a warning
  std::string text;
};

// "FILE:LINE: text", "FILE: text".
std::string describe(const Complaint& complaint);

inline constexpr size_t kMaxTextFile = 64u << 20;  // bytes; a userlist of half a million users fits

struct TextFile {
  std::string text;
  unsigned mode = 0;  // permission bits
};

// The whole file. Error: the system's reason ("No such file or directory"), or that it is over kMaxTextFile.
Result<TextFile> read_text_file(const std::string& path);

// Calls `line(text, number)` for every line, without LF or CR LF.
template <class Function>
void for_each_line(ByteView text, Function&& line) {
  int number = 0;
  while (!text.empty()) {
    size_t end = text.find('\n');
    ByteView one = text.substr(0, end);
    if (!one.empty() && one.back() == '\r') one.remove_suffix(1);
    line(one, ++number);
    if (end == ByteView::npos) return;
    text.remove_prefix(end + 1);
  }
}

}  // namespace pgweir::auth
