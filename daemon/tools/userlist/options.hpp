// What pgweir-userlist is told: one table makes the command line, the configuration file and --help. The command line
// beats the file; a list that is given on the command line replaces the file's.
// Promises: what cannot be meant (unknown words, patterns that do not compile, a password for everybody to see in the
// list of processes) is an error before anything is touched.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "tools/common/arguments.hpp"

namespace pgweir::tools::userlist {

inline constexpr const char* kDefaultConfig = "/etc/pgweir/userlist.conf";
inline constexpr const char* kDefaultOutput = "/etc/pgweir/userlist.txt";

enum class Source { kAuto, kAuthid, kShadow };

// When the roles cannot be had.
enum class OnFailure {
  kFail,   // the old file stays, and the exit status tells
  kKeep,   // the old file stays, a warning, exit 0; without an old file as kFail
  kEmpty,  // as kKeep; without an old file an empty one is written
};

enum class Action { kWrite, kCheck, kDryRun };

struct Settings {
  std::string connection;
  std::string output = kDefaultOutput;
  Source source = Source::kAuto;
  std::vector<std::string> include;  // patterns; see Patterns
  std::vector<std::string> exclude;
  std::vector<std::string> member_of;  // names, exactly
  std::vector<std::string> not_member_of;
  std::vector<std::string> databases;
  bool no_superusers = false;
  bool empty_secrets = false;  // roles without a password come with an empty one
  bool allow_empty = false;
  std::string owner;  // USER, USER:GROUP, numbers too; empty: the old file's
  unsigned mode = 0600;
  std::optional<OnFailure> on_failure;  // load() fills it: kFail, with if_configured kKeep
  int connect_timeout = 5;              // seconds
  int statement_timeout = 10;           // seconds

  // The command line only.
  Action action = Action::kWrite;
  std::string config;
  bool no_config = false;
  bool if_configured = false;
  bool adopt = false;
  bool overwrite = false;
  bool json = false;
  bool quiet = false;
  bool verbose = false;
  bool help = false;
  bool version = false;
};

struct Row {
  OptionShape shape;
  const char* key = nullptr;  // in the configuration file; null: only on the command line
  std::vector<std::string> Settings::*list = nullptr;
  Result<void> (*apply)(Settings& settings, const std::string& value) = nullptr;  // when it is no list; a flag gets "1"
};
std::span<const Row> rows();

struct Loaded {
  Settings settings;
  std::vector<std::string> warnings;
  bool configured = false;  // a configuration file was read and says a connection
};

// The command line and the configuration file that it names, or the default one where there is one. Error: every
// complaint, joined by "; ".
Result<Loaded> load(int argc, char** argv, const std::string& default_config = kDefaultConfig);

std::string help_text();

}  // namespace pgweir::tools::userlist
