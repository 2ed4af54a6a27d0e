// The command line: PgBouncer's flags (compat/config_file.md section 6), --check-config, --control, --reload. Pure:
// decides, prints nothing.
#pragma once

#include <string>

#include "base/version.hpp"

namespace pgweir::service {

inline constexpr const char* kPeerVersion = "PgBouncer 1.25.2";  // whose interface this is

struct CommandLine {
  bool daemon = false;
  bool quiet = false;
  bool reboot = false;
  bool check_config = false;
  int verbose = 0;
  std::string user;
  std::string config;
  std::string control;  // --control: where the daemon takes orders (service/control.hpp); empty: nowhere
  std::string reload;   // --reload: ask the daemon with that control socket to reload; there is no config then
  // `exit_code` of 0 or more: print this and exit with it (0: to standard output, else to standard error).
  std::string message;
  int exit_code = -1;
};

// getopt_long's rules: bundled flags, options behind the file, "--" ends them, unambiguous beginnings of long names.
// Not thread safe (getopt is not).
CommandLine parse_command_line(int argc, char** argv);
// "PgBouncer 1.25.2 (pgweir 0.1.0)", in SHOW VERSION and as the first line of -V: scripts compare the two, and read the
// second word of either.
std::string version_line();
// The lines of -V: that one, and the libraries that it runs with.
std::string version_text();
std::string usage_text(const std::string& program);

}  // namespace pgweir::service
