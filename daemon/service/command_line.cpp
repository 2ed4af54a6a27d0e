#include "service/command_line.hpp"

#include <getopt.h>

#include "base/text.hpp"

namespace pgweir::service {

namespace {

CommandLine refuse(CommandLine line, const std::string& text, const char* program) {
  line.message = cat(text, text.empty() ? "" : "\n", "Try \"", program, " --help\" for more information.\n");
  line.exit_code = 1;
  return line;
}

CommandLine say(CommandLine line, std::string text) {
  line.message = std::move(text);
  line.exit_code = 0;
  return line;
}

}  // namespace

std::string version_text() {
  return cat("pgweir ", kVersion, "\ncompatible with ", kPeerVersion, "\n");
}

std::string usage_text(const std::string& program) {
  return cat("Usage: ", program,
             " [OPTION]... CONFIG_FILE\n"
             "pgweir is a connection pooler for PostgreSQL.\n\n"
             "  -d, --daemon           run in background (as a daemon)\n"
             "  -q, --quiet            run quietly: nothing to standard error\n"
             "  -R, --reboot           take the place of a running instance\n"
             "  -u, --user=USERNAME    assume identity of USERNAME\n"
             "  -v, --verbose          increase verbosity\n"
             "      --check-config     check CONFIG_FILE and what it names, and exit\n"
             "  -V, --version          show version, then exit\n"
             "  -h, --help             show this help, then exit\n");
}

CommandLine parse_command_line(int argc, char** argv) {
  static const option kOptions[] = {{"daemon", no_argument, nullptr, 'd'},
                                    {"quiet", no_argument, nullptr, 'q'},
                                    {"reboot", no_argument, nullptr, 'R'},
                                    {"user", required_argument, nullptr, 'u'},
                                    {"verbose", no_argument, nullptr, 'v'},
                                    {"version", no_argument, nullptr, 'V'},
                                    {"help", no_argument, nullptr, 'h'},
                                    {"check-config", no_argument, nullptr, 'C'},
                                    {nullptr, 0, nullptr, 0}};
  CommandLine line;
  const char* program = argv[0];
  optind = 0;
  opterr = 0;
  for (int flag; (flag = getopt_long(argc, argv, "dqRu:vVh", kOptions, nullptr)) != -1;) {
    switch (flag) {
      case 'd': line.daemon = true; break;
      case 'q': line.quiet = true; break;
      case 'R': line.reboot = true; break;
      case 'u': line.user = optarg; break;
      case 'v': ++line.verbose; break;
      case 'C': line.check_config = true; break;
      case 'V': return say(line, version_text());
      case 'h': return say(line, usage_text(program));
      default: return refuse(line, "", program);
    }
  }
  if (optind + 1 != argc) {
    return refuse(line, optind == argc ? "no configuration file specified" : "more than one configuration file",
                  program);
  }
  line.config = argv[optind];
  return line;
}

}  // namespace pgweir::service
