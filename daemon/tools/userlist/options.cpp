#include "tools/userlist/options.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include "base/text.hpp"
#include "settings/ini.hpp"
#include "tools/common/messages.hpp"
#include "tools/common/postgres.hpp"
#include "tools/userlist/roles.hpp"

namespace pgweir::tools::userlist {

namespace {

constexpr const char* kSection = "userlist";
constexpr int kLongestTimeout = 3600;

Result<void> set_flag(bool& flag, const std::string& value) {
  static constexpr std::array<const char*, 4> kTrue = {"1", "yes", "on", "true"};
  static constexpr std::array<const char*, 4> kFalse = {"0", "no", "off", "false"};
  auto is = [&](const char* word) { return equal_ignoring_case(word, value); };
  if (std::any_of(kTrue.begin(), kTrue.end(), is)) {
    flag = true;
  } else if (std::any_of(kFalse.begin(), kFalse.end(), is)) {
    flag = false;
  } else {
    return Error{cat("\"", value, "\" is neither 1 nor 0")};
  }
  return {};
}

Result<void> set_seconds(int& seconds, const std::string& value) {
  int number = 0;
  auto [end, failure] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (failure != std::errc() || end != value.data() + value.size() || number < 1 || number > kLongestTimeout)
    return Error{cat("\"", value, "\" is no number of seconds from 1 to ", kLongestTimeout)};
  seconds = number;
  return {};
}

Result<void> set_text(std::string& text, const std::string& value) {
  if (value.empty()) return Error{"it is empty"};
  text = value;
  return {};
}

template <class Choice, size_t N>
Result<void> choose(Choice& choice, const std::string& value, const std::pair<const char*, Choice> (&words)[N]) {
  std::string known;
  for (const auto& [word, meaning] : words) {
    if (value == word) {
      choice = meaning;
      return {};
    }
    known += cat(known.empty() ? "" : ", ", word);
  }
  return Error{cat("\"", value, "\" is none of ", known)};
}

Result<void> set_connection(Settings& settings, const std::string& value) {
  settings.connection = value;
  auto readable = has_password(value);
  if (!readable) return readable.error();
  return {};
}

// On the command line: everybody on this machine can read it there.
Result<void> set_connection_in_sight(Settings& settings, const std::string& value) {
  auto secret = has_password(value);
  if (!secret) return secret.error();
  if (*secret)
    return Error{
        "a password on the command line is seen by every user of this machine: put the connection into the "
        "configuration file, or the password into a pgpass file"};
  settings.connection = value;
  return {};
}

Result<void> set_mode(Settings& settings, const std::string& value) {
  unsigned mode = 0;
  auto [end, failure] = std::from_chars(value.data(), value.data() + value.size(), mode, 8);
  static constexpr std::array<unsigned, 4> kModes = {0600, 0640, 0400, 0440};
  if (failure != std::errc() || end != value.data() + value.size() ||
      std::find(kModes.begin(), kModes.end(), mode) == kModes.end())
    return Error{cat("\"", value, "\" is none of 0600, 0640, 0400, 0440")};
  settings.mode = mode;
  return {};
}

Result<void> set_source(Settings& settings, const std::string& value) {
  return choose(settings.source, value,
                {{"auto", Source::kAuto}, {"pg_authid", Source::kAuthid}, {"pg_shadow", Source::kShadow}});
}

Result<void> set_on_failure(Settings& settings, const std::string& value) {
  OnFailure what = OnFailure::kFail;
  auto done =
      choose(what, value, {{"fail", OnFailure::kFail}, {"keep", OnFailure::kKeep}, {"empty", OnFailure::kEmpty}});
  settings.on_failure = what;
  return done;
}

template <bool Settings::*flag>
Result<void> set(Settings& settings, const std::string& value) {
  return set_flag(settings.*flag, value);
}
template <int Settings::*seconds>
Result<void> set(Settings& settings, const std::string& value) {
  return set_seconds(settings.*seconds, value);
}
template <std::string Settings::*text>
Result<void> set(Settings& settings, const std::string& value) {
  return set_text(settings.*text, value);
}
template <Action action>
Result<void> act(Settings& settings, const std::string& /*value*/) {
  if (settings.action != Action::kWrite && settings.action != action) return Error{"--check or --dry-run, not both"};
  settings.action = action;
  return {};
}
Result<void> keep_old(Settings& settings, const std::string& /*value*/) {
  settings.on_failure = OnFailure::kKeep;
  return {};
}

using S = Settings;
const Row kRows[] = {
    {{'c', "config", "FILE", "configuration file (/etc/pgweir/userlist.conf if it is there)"},
     nullptr,
     nullptr,
     set<&S::config>},
    {{0, "no-config", nullptr, "read no configuration file"}, nullptr, nullptr, set<&S::no_config>},
    {{0, "if-configured", nullptr, "do nothing, successfully, unless the file says a connection"},
     nullptr,
     nullptr,
     set<&S::if_configured>},
    {{'d', "connection", "CONNINFO", "how to connect to PostgreSQL (without a password)"},
     "connection",
     nullptr,
     set_connection},
    {{'o', "output", "FILE", "the userlist to write (/etc/pgweir/userlist.txt)"}, "output", nullptr, set<&S::output>},
    {{0, "source", "WHICH", "auto, pg_authid or pg_shadow"}, "source", nullptr, set_source},
    {{'i', "include", "PATTERN", "only roles whose name fits one of these (glob, or /regex/)"},
     "include",
     &S::include,
     nullptr},
    {{'x', "exclude", "PATTERN", "no roles whose name fits"}, "exclude", &S::exclude, nullptr},
    {{'m', "member-of", "ROLE", "only members of one of these roles, direct or not"},
     "member_of",
     &S::member_of,
     nullptr},
    {{0, "not-member-of", "ROLE", "no members of these roles"}, "not_member_of", &S::not_member_of, nullptr},
    {{'D', "database", "NAME", "only roles that may connect to one of these databases"},
     "database",
     &S::databases,
     nullptr},
    {{0, "no-superusers", nullptr, "no superusers"}, "no_superusers", nullptr, set<&S::no_superusers>},
    {{0, "empty-secrets", nullptr, "roles without a password too, with an empty secret"},
     "empty_secrets",
     nullptr,
     set<&S::empty_secrets>},
    {{0, "allow-empty", nullptr, "write a list without any role if none fits"},
     "allow_empty",
     nullptr,
     set<&S::allow_empty>},
    {{0, "owner", "USER[:GROUP]", "whose the file is (else as before)"}, "owner", nullptr, set<&S::owner>},
    {{0, "mode", "MODE", "0600 (the default), 0640, 0400 or 0440"}, "mode", nullptr, set_mode},
    {{0, "on-failure", "WHAT", "without PostgreSQL: fail, keep or empty"}, "on_failure", nullptr, set_on_failure},
    {{'k', "keep-old-on-failure", nullptr, "the same as --on-failure=keep"}, nullptr, nullptr, keep_old},
    {{0, "connect-timeout", "SECONDS", "for each address that is tried (5)"},
     "connect_timeout",
     nullptr,
     set<&S::connect_timeout>},
    {{0, "statement-timeout", "SECONDS", "for each query (10)"},
     "statement_timeout",
     nullptr,
     set<&S::statement_timeout>},
    {{0, "check", nullptr, "change nothing; exit 1 unless the file is up to date"},
     nullptr,
     nullptr,
     act<Action::kCheck>},
    {{'n', "dry-run", nullptr, "change nothing; say what would be changed"}, nullptr, nullptr, act<Action::kDryRun>},
    {{0, "adopt", nullptr, "take over a file that was written by hand"}, nullptr, nullptr, set<&S::adopt>},
    {{0, "overwrite", nullptr, "drop the old file with all that was kept in it"}, nullptr, nullptr, set<&S::overwrite>},
    {{0, "json", nullptr, "tell the outcome as JSON"}, nullptr, nullptr, set<&S::json>},
    {{'q', "quiet", nullptr, "say only what is wrong"}, nullptr, nullptr, set<&S::quiet>},
    {{'v', "verbose", nullptr, "say who was left out and why, too"}, nullptr, nullptr, set<&S::verbose>},
    {{'V', "version", nullptr, "print the version"}, nullptr, nullptr, set<&S::version>},
    {{'h', "help", nullptr, "print this"}, nullptr, nullptr, set<&S::help>},
};

// The complaints of a load, with where they arose.
class Complaints {
 public:
  void add(const std::string& where, const std::string& what) {
    text_ += cat(text_.empty() ? "" : "; ", where, where.empty() ? "" : ": ", what);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

void apply(const Row& row, Settings& settings, const std::string& value, const std::string& where,
           Complaints& complaints) {
  if (row.list) {
    if (value.empty()) return complaints.add(where, "it is empty");
    (settings.*row.list).push_back(value);
    return;
  }
  auto done = row.apply(settings, value);
  if (!done) complaints.add(where, done.error().message);
}

void read_file(const std::string& path, Loaded& loaded, Complaints& complaints) {
  const settings::Ini ini = settings::read_ini(path);
  for (const settings::Problem& problem : ini.errors)
    complaints.add(ini.unreadable ? "" : problem.file, problem.text);
  for (const settings::IniItem& item : ini.items) {
    const std::string where = cat(item.file, ":", item.line);
    if (item.section != kSection) {
      complaints.add(where, cat("unknown section [", item.section, "], only [", kSection, "] is known"));
    } else if (!item.name.empty()) {
      const auto* row = std::find_if(std::begin(kRows), std::end(kRows),
                                     [&](const Row& one) { return one.key && item.name == one.key; });
      if (row == std::end(kRows)) {
        complaints.add(where, cat("unknown setting ", item.name));
      } else {
        apply(*row, loaded.settings, item.value, cat(where, ": ", item.name), complaints);
      }
    }
  }
  loaded.configured = !loaded.settings.connection.empty();
  struct stat facts {};
  auto secret = has_password(loaded.settings.connection);
  if (secret && *secret && ::stat(path.c_str(), &facts) == 0 && (facts.st_mode & S_IROTH))
    loaded.warnings.push_back(
        cat(path, " holds a password and may be read by every user of this machine: run chmod 600 ", path));
}

void apply_command_line(const Arguments& arguments, Settings& settings, Complaints& complaints) {
  std::vector<const Row*> replaced;
  for (const Given& given : arguments.options) {
    const Row& row = kRows[given.row];
    if (row.list && std::find(replaced.begin(), replaced.end(), &row) == replaced.end()) {
      replaced.push_back(&row);
      (settings.*row.list).clear();
    }
    Row seen = row;
    if (row.apply == set_connection) seen.apply = set_connection_in_sight;
    apply(seen, settings, row.shape.value ? given.value : "1", cat("--", row.shape.name), complaints);
  }
}

std::vector<OptionShape> shapes() {
  std::vector<OptionShape> out;
  for (const Row& row : kRows)
    out.push_back(row.shape);
  return out;
}

}  // namespace

std::span<const Row> rows() {
  return kRows;
}

Result<Loaded> load(int argc, char** argv, const std::string& default_config) {
  auto arguments = parse_arguments(shapes(), argc, argv);
  if (!arguments) return arguments.error();
  Complaints complaints;
  if (!arguments->operands.empty())
    complaints.add("", cat("\"", arguments->operands.front(), "\" is no option (-o names the file to write)"));
  Loaded loaded;
  Settings told;  // the first look at the command line: which file?
  Complaints unused;
  apply_command_line(*arguments, told, unused);
  struct stat facts {};
  if (told.help || told.version) {
    loaded.settings = told;
    return loaded;
  }
  if (!told.config.empty() && told.no_config) complaints.add("", "--config or --no-config, not both");
  const std::string& path = told.config.empty() ? default_config : told.config;
  const bool may_be_missing = told.config.empty() || told.if_configured;
  const bool missing = ::stat(path.c_str(), &facts) != 0 && errno == ENOENT;
  if (!told.no_config && !(missing && may_be_missing)) read_file(path, loaded, complaints);
  apply_command_line(*arguments, loaded.settings, complaints);
  for (const auto* patterns : {&loaded.settings.include, &loaded.settings.exclude}) {
    auto compiled = Patterns::compile(*patterns);
    if (!compiled) complaints.add("", compiled.error().message);
  }
  if (!complaints.text().empty()) return Error{complaints.text()};
  // Before a service: an old list is better than none at all.
  if (!loaded.settings.on_failure)
    loaded.settings.on_failure = loaded.settings.if_configured ? OnFailure::kKeep : OnFailure::kFail;
  return loaded;
}

std::string help_text() {
  return cat(
      "Usage: pgweir-userlist [OPTION]...\n"
      "Writes the userlist of pgweir (auth_file) from the roles of PostgreSQL.\n\n",
      options_help(shapes()),
      "\nExit status: 0 done, or up to date; 1 --check: not up to date; 2 wrong options or configuration;\n"
      "3 no connection; 4 PostgreSQL does not give what is needed; 5 trouble with a file.\n"
      "See pgweir-userlist(1).\n");
}

}  // namespace pgweir::tools::userlist
