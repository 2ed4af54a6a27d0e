// The command line of a tool: getopt_long driven by a table, and the --help made from the same table.
// Decides nothing about what an option means, and prints nothing. Not thread safe (getopt is not).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace pgweir::tools {

struct OptionShape {
  char letter = 0;              // 0: none
  const char* name = nullptr;   // without the dashes
  const char* value = nullptr;  // what its argument is called in --help; null: it takes none
  const char* help = nullptr;   // one line; null: not in --help
};

struct Given {
  size_t row = 0;  // of the table
  std::string value;
};

struct Arguments {
  std::vector<Given> options;  // in the order given
  std::vector<std::string> operands;
};

// getopt_long's rules: bundled letters, "--" ends the options, unambiguous beginnings of long names. Error: what is
// wrong with the line, in a sentence.
Result<Arguments> parse_arguments(std::span<const OptionShape> table, int argc, char** argv);

// A line an option, for --help.
std::string options_help(std::span<const OptionShape> table);

}  // namespace pgweir::tools
