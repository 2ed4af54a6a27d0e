#include "tools/top/options.hpp"

#include <charconv>

#include "base/text.hpp"
#include "tools/common/arguments.hpp"
#include "tools/common/postgres.hpp"

namespace pgweir::tools::top {

namespace {

constexpr double kShortest = 0.1;
constexpr double kLongest = 3600;

Result<void> set_connection(Options& options, const std::string& value) {
  auto secret = has_password(value);
  if (!secret) return secret.error();
  if (*secret)
    return Error{
        "a password on the command line is seen by every user of this machine: put it into a pgpass file, or name a "
        "service"};
  options.connection = value;
  return {};
}

Result<void> set_interval(Options& options, const std::string& value) {
  const auto done = std::from_chars(value.data(), value.data() + value.size(), options.interval);
  const bool whole = done.ec == std::errc() && done.ptr == value.data() + value.size();
  if (!whole || !(options.interval >= kShortest && options.interval <= kLongest))
    return Error{cat("\"", value, "\" is no number of seconds from 0.1 to 3600")};
  return {};
}

Result<void> set_samples(Options& options, const std::string& value) {
  const auto done = std::from_chars(value.data(), value.data() + value.size(), options.samples);
  if (done.ec != std::errc() || done.ptr != value.data() + value.size() || options.samples < 1)
    return Error{cat("\"", value, "\" is no number of looks")};
  return {};
}

Result<void> set_sort(Options& options, const std::string& value) {
  const auto sort = sort_of(value);
  if (!sort) return Error{cat("\"", value, "\" is none of worst, name, servers, clients, waiting, longest")};
  options.sort = *sort;
  return {};
}

template <bool Options::*flag, bool to = true>
Result<void> set(Options& options, const std::string& /*value*/) {
  options.*flag = to;
  return {};
}
template <std::string Options::*text>
Result<void> set(Options& options, const std::string& value) {
  options.*text = value;
  return {};
}

struct OptionRow {
  OptionShape shape;
  Result<void> (*apply)(Options& options, const std::string& value);
};
using O = Options;
const OptionRow kOptionRows[] = {
    {{'d', "connection", "CONNINFO", "where the console is (without a password)"}, set_connection},
    {{'i', "interval", "SECONDS", "between two looks (2)"}, set_interval},
    {{'b', "batch", nullptr, "print to standard output; no screen, no keys"}, set<&O::batch>},
    {{'n', "iterations", "N", "end after N looks"}, set_samples},
    {{0, "json", nullptr, "batch mode as JSON, a line each look"}, set<&O::json>},
    {{'c', "config", "FILE", "limits of green, yellow, red (/etc/pgweir/top.conf if it is there)"}, set<&O::config>},
    {{'f', "filter", "TEXT", "only pools with this in their name"}, set<&O::filter>},
    {{'s', "sort", "BY", "worst, name, servers, clients, waiting or longest"}, set_sort},
    {{0, "no-probe", nullptr, "never ask PostgreSQL itself whether it is there"}, set<&O::probe, false>},
    {{0, "ascii", nullptr, "draw with letters only"}, set<&O::ascii>},
    {{'V', "version", nullptr, "print the version"}, set<&O::version>},
    {{'h', "help", nullptr, "print this"}, set<&O::help>},
};

std::vector<OptionShape> shapes() {
  std::vector<OptionShape> out;
  for (const OptionRow& row : kOptionRows)
    out.push_back(row.shape);
  return out;
}

}  // namespace

Result<Options> read_options(int argc, char** argv) {
  auto arguments = parse_arguments(shapes(), argc, argv);
  if (!arguments) return arguments.error();
  Options out;
  for (const Given& given : arguments->options) {
    auto done = kOptionRows[given.row].apply(out, given.value);
    if (!done) return Error{cat("--", kOptionRows[given.row].shape.name, ": ", done.error().message)};
  }
  if (!arguments->operands.empty())
    return Error{cat("\"", arguments->operands.front(), "\" is no option (-d says where the console is)")};
  if (out.json) out.batch = true;
  return out;
}

std::string help_text() {
  return cat(
      "Usage: pgweir-top [OPTION]...\n"
      "Shows what a running pgweir does: pools, waits, rates, problems. Keys: ? in the screen.\n\n",
      options_help(shapes()),
      "\nExit status: 0 well; 1 batch mode: the last look was red; 2 wrong options or limits; 3 no connection;\n"
      "4 the console does not give what is needed; 5 nothing can be written. See pgweir-top(1).\n");
}

}  // namespace pgweir::tools::top
