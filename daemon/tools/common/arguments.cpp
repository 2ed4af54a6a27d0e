#include "tools/common/arguments.hpp"

#include <getopt.h>

#include <algorithm>

#include "base/text.hpp"

namespace pgweir::tools {

namespace {

constexpr int kFirstRow = 256;  // what getopt_long answers for row 0: beyond every letter

// What getopt_long has just stumbled over.
std::string complaint(bool lacks_value, int argc, char** argv) {
  const std::string_view word = optind > 0 && optind <= argc ? argv[optind - 1] : "";
  const bool is_long = word.starts_with("--");
  if (lacks_value) {
    const bool by_letter = optopt > 0 && optopt < kFirstRow;
    return cat("option '", by_letter ? cat('-', static_cast<char>(optopt)) : std::string(word), "' needs a value");
  }
  if (is_long && optopt >= kFirstRow) return cat("option '", word.substr(0, word.find('=')), "' takes no value");
  // A value may be a secret that was mistyped: of an unknown option only the name is repeated.
  if (is_long) return cat("unknown or ambiguous option '", word.substr(0, word.find('=')), "'");
  return cat("unknown option '-", static_cast<char>(optopt), "'");
}

}  // namespace

Result<Arguments> parse_arguments(std::span<const OptionShape> table, int argc, char** argv) {
  std::string letters = ":";
  std::vector<option> names;
  for (size_t row = 0; row < table.size(); ++row) {
    const OptionShape& shape = table[row];
    if (shape.letter) letters += cat(shape.letter, shape.value ? ":" : "");
    names.push_back(
        {shape.name, shape.value ? required_argument : no_argument, nullptr, kFirstRow + static_cast<int>(row)});
  }
  names.push_back({nullptr, 0, nullptr, 0});
  Arguments out;
  optind = 0;
  opterr = 0;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): before there are threads
  for (int flag = 0; (flag = getopt_long(argc, argv, letters.c_str(), names.data(), nullptr)) != -1;) {
    if (flag == '?' || flag == ':') return Error{complaint(flag == ':', argc, argv)};
    auto row = flag >= kFirstRow ? table.begin() + (flag - kFirstRow)
                                 : std::find_if(table.begin(), table.end(),
                                                [&](const OptionShape& shape) { return shape.letter == flag; });
    out.options.push_back({static_cast<size_t>(row - table.begin()), row->value ? optarg : ""});
  }
  for (; optind < argc; ++optind)
    out.operands.emplace_back(argv[optind]);
  return out;
}

std::string options_help(std::span<const OptionShape> table) {
  constexpr size_t kColumn = 34;
  std::string out;
  for (const OptionShape& shape : table) {
    if (!shape.help) continue;
    std::string line = shape.letter ? cat("  -", shape.letter, ", --", shape.name) : cat("      --", shape.name);
    if (shape.value) line += cat('=', shape.value);
    line.resize(std::max(line.size() + 2, kColumn), ' ');
    out += cat(line, shape.help, "\n");
  }
  return out;
}

}  // namespace pgweir::tools
