// The ini file, item by item with file and line, through iniparser but losing nothing: names keep their case, values
// their `;`, `#` and length, %include is followed. Grammar: compat/config_file.md section 1. All errors are collected.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"

namespace pgweir::settings {

struct Problem {
  std::string file;
  int line = 0;  // 0: of the whole file
  std::string text;
  bool serious = false;  // among warnings: logged as an error
};

struct IniItem {
  std::string section;
  std::string name;  // empty: the section's header itself
  std::string value;
  std::string file;
  int line = 0;
};

struct Ini {
  std::vector<IniItem> items;
  std::vector<Problem> errors;
  bool unreadable = false;  // the file itself could not be read: nothing else is worth telling
};

Ini read_ini(const std::string& path);
// `name` stands for the file in items and errors.
Ini parse_ini(const std::string& text, const std::string& name);

}  // namespace pgweir::settings
