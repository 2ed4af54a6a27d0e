#include "tools/check/options.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>

#include "base/text.hpp"
#include "settings/ini.hpp"
#include "tools/check/model.hpp"
#include "tools/common/arguments.hpp"
#include "tools/common/postgres.hpp"

namespace pgweir::tools::check {

namespace {

constexpr int kLongestTimeout = 600;
constexpr const char* kInSight =
    "a password on the command line is seen by every user of this machine: put it into a pgpass file, or the "
    "connection "
    "into the policy file";

template <bool Options::*flag>
Result<void> set(Options& options, const std::string& /*value*/) {
  options.*flag = true;
  return {};
}
template <std::string Options::*text>
Result<void> set(Options& options, const std::string& value) {
  if (value.empty()) return Error{"it is empty"};
  options.*text = value;
  return {};
}
template <std::string Options::*text>
Result<void> set_connection(Options& options, const std::string& value) {
  auto secret = has_password(value);
  if (!secret) return secret.error();
  if (*secret) return Error{kInSight};
  options.*text = value;
  return {};
}

Result<void> add_phase(Options& options, const std::string& value) {
  for (const std::string& name : split_names(value)) {
    bool known = false;
    for (int phase = 0; phase < kPhases; ++phase)
      known = known || name == word_of(static_cast<Phase>(phase));
    if (!known) return Error{cat("there is no phase \"", name, "\"; --list tells them")};
    options.phases.push_back(name);
  }
  return {};
}

Result<void> add_test(Options& options, const std::string& value) {
  for (const std::string& name : split_names(value)) {
    if (std::none_of(tests().begin(), tests().end(), [&](const Test& test) { return name == test.id; }))
      return Error{cat("there is no test \"", name, "\"; --list tells them")};
    options.tests.push_back(name);
  }
  return {};
}

Result<void> set_timeout(Options& options, const std::string& value) {
  int seconds = 0;
  auto [end, failure] = std::from_chars(value.data(), value.data() + value.size(), seconds);
  if (failure != std::errc() || end != value.data() + value.size() || seconds < 2 || seconds > kLongestTimeout)
    return Error{cat("\"", value, "\" is no number of seconds from 2 to ", kLongestTimeout)};
  options.timeout = seconds;
  return {};
}

struct Row {
  OptionShape shape;
  Result<void> (*apply)(Options& options, const std::string& value);
};
using O = Options;
const Row kRows[] = {
    {{'c', "config", "FILE", "pgweir's ini (/etc/pgweir/pgweir.ini)"}, set<&O::ini>},
    {{'f', "policy", "FILE", "policy file (/etc/pgweir/check.conf if it is there)"}, set<&O::policy_file>},
    {{0, "no-policy", nullptr, "read no policy file"}, set<&O::no_policy>},
    {{'d', "pool", "CONNINFO", "through pgweir (else as the ini says)"}, set_connection<&O::pool>},
    {{0, "direct", "CONNINFO", "past it, to PostgreSQL"}, set_connection<&O::direct>},
    {{0, "console", "CONNINFO", "to the console"}, set_connection<&O::console>},
    {{'p', "phase", "PHASE[,...]", "only the tests of these phases"}, add_phase},
    {{'t', "test", "TEST[,...]", "only these tests"}, add_test},
    {{0, "disturb", nullptr, "also tests that clients may feel: PAUSE, RELOAD"}, set<&O::disturb>},
    {{0, "timeout", "SECONDS", "of a connection and of an answer (5)"}, set_timeout},
    {{'l', "list", nullptr, "list the tests and run none"}, set<&O::list>},
    {{0, "json", nullptr, "tell the results as JSON"}, set<&O::json>},
    {{'q', "quiet", nullptr, "only what did not pass"}, set<&O::quiet>},
    {{'V', "version", nullptr, "print the version"}, set<&O::version>},
    {{'h', "help", nullptr, "print this"}, set<&O::help>},
};

class Complaints {
 public:
  void add(const std::string& where, const std::string& what) {
    text_ += cat(text_.empty() ? "" : "; ", where, where.empty() ? "" : ": ", what);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

std::vector<OptionShape> shapes() {
  std::vector<OptionShape> out;
  for (const Row& row : kRows)
    out.push_back(row.shape);
  return out;
}

std::string Options::*connection_of(const std::string& key) {
  for (auto [name, member] :
       {std::pair("pool", &O::pool), std::pair("direct", &O::direct), std::pair("console", &O::console)})
    if (key == name) return member;
  return nullptr;
}

// A line of the policy file. Connections of the command line are there already, and beat it.
Result<void> apply_item(Options& options, const settings::IniItem& item, bool& secret) {
  if (item.section == "policy") return options.policy.set(item.name, item.value);
  const auto member = item.section == "connections" ? connection_of(item.name) : nullptr;
  if (!member)
    return Error{
        cat("unknown in [", item.section, "]; there are [policy] and [connections] with pool, direct, console")};
  auto holds = has_password(item.value);
  if (!holds) return holds.error();
  secret = secret || *holds;
  if ((options.*member).empty()) options.*member = item.value;
  return {};
}

void read_policy(const std::string& path, Options& options, Complaints& complaints) {
  const settings::Ini ini = settings::read_ini(path);
  for (const settings::Problem& problem : ini.errors)
    complaints.add(ini.unreadable ? "" : problem.file, problem.text);
  bool secret = false;
  for (const settings::IniItem& item : ini.items) {
    if (item.name.empty()) continue;
    auto done = apply_item(options, item, secret);
    if (!done) complaints.add(cat(item.file, ":", item.line, ": ", item.name), done.error().message);
  }
  struct stat facts {};
  if (secret && ::stat(path.c_str(), &facts) == 0 && (facts.st_mode & S_IROTH))
    options.warnings.push_back(
        cat(path, " holds a password and may be read by every user of this machine: chmod 600 ", path));
}

}  // namespace

Result<Options> load(int argc, char** argv, const std::string& default_policy) {
  auto arguments = parse_arguments(shapes(), argc, argv);
  if (!arguments) return arguments.error();
  Options options;
  Complaints complaints;
  if (!arguments->operands.empty()) complaints.add("", cat("\"", arguments->operands.front(), "\" is no option"));
  for (const Given& given : arguments->options) {
    const Row& row = kRows[given.row];
    auto done = row.apply(options, given.value);
    if (!done) complaints.add(cat("--", row.shape.name), done.error().message);
  }
  if (options.help || options.version || options.list) {
    if (!complaints.text().empty()) return Error{complaints.text()};
    return options;
  }
  if (options.no_policy && !options.policy_file.empty()) complaints.add("", "--policy or --no-policy, not both");
  struct stat facts {};
  if (!options.policy_file.empty()) {
    read_policy(options.policy_file, options, complaints);
  } else if (!options.no_policy && ::stat(default_policy.c_str(), &facts) == 0) {
    read_policy(default_policy, options, complaints);
  }
  if (!complaints.text().empty()) return Error{complaints.text()};
  return options;
}

std::string help_text() {
  return cat(
      "Usage: pgweir-check [OPTION]...\n"
      "Tests an installation of pgweir: prerequisites, connectivity, configuration, functionality,\n"
      "performance, security. Changes nothing, and disturbs no client without --disturb.\n\n",
      options_help(shapes()),
      "\nExit status: 0 all passed; 1 something did not, or could not be tested; 2 wrong options or policy.\n"
      "See pgweir-check(1).\n");
}

}  // namespace pgweir::tools::check
