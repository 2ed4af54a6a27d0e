#include "service/command_line.hpp"

#include <getopt.h>
#include <openssl/crypto.h>

#include "base/text.hpp"
#include "net/dns.hpp"
#include "net/library.hpp"

namespace pgweir::service {

namespace {

// As getopt's own messages and PgBouncer's: what is wrong, then where help is.
CommandLine refuse(CommandLine line, const std::string& text, const std::string& program) {
  line.message = cat(text, "\nTry \"", program, " --help\" for more information.\n");
  line.exit_code = 1;
  return line;
}

// What getopt_long has just stumbled over.
std::string bad_option(const std::string& program, int argc, char** argv) {
  std::string_view word = optind > 0 && optind <= argc ? argv[optind - 1] : "";
  static constexpr std::pair<int, const char*> kWithArgument[] = {
      {'u', "--user"}, {'S', "--control"}, {'L', "--reload"}};
  for (const auto& [letter, name] : kWithArgument) {
    if (optopt == letter)
      return cat(program, ": option '", word.starts_with("--") ? name : "-u", "' requires an argument");
  }
  if (word.starts_with("--")) {
    std::string_view name = word.substr(0, word.find('='));
    if (optopt != 0) return cat(program, ": option '", name, "' doesn't allow an argument");
    return cat(program, ": unrecognized option '", word, "'");
  }
  return cat(program, ": invalid option -- '", static_cast<char>(optopt), "'");
}

CommandLine say(CommandLine line, std::string text) {
  line.message = std::move(text);
  line.exit_code = 0;
  return line;
}

}  // namespace

std::string version_line() {
  return cat(kPeerVersion, " (pgweir ", kVersion, ")");
}

std::string version_text() {
  return cat(version_line(), "\nlibevent ", net::libevent_version(), "\nadns: ", net::dns_library_version(),
             "\ntls: ", OpenSSL_version(OPENSSL_VERSION), "\nsystemd: yes\n");
}

std::string usage_text(const std::string& program) {
  return cat("Usage: ", program,
             " [OPTION]... CONFIG_FILE\n"
             "pgweir is a connection pooler for PostgreSQL.\n\n"
             "  -d, --daemon           run in background (as a daemon)\n"
             "  -q, --quiet            run quietly: nothing to standard error\n"
             "  -R, --reboot           deprecated: take the place of a running instance, which is drained\n"
             "  -u, --user=USERNAME    assume identity of USERNAME\n"
             "  -v, --verbose          increase verbosity\n"
             "      --check-config     check CONFIG_FILE and what it names, and exit\n"
             "      --control=SOCKET   take orders of --reload on this unix socket\n"
             "      --reload=SOCKET    make the daemon with that --control reload; fails if it refuses\n"
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
                                    {"control", required_argument, nullptr, 'S'},
                                    {"reload", required_argument, nullptr, 'L'},
                                    {nullptr, 0, nullptr, 0}};
  CommandLine line;
  const std::string program = argc > 0 ? argv[0] : "pgweir";
  optind = 0;
  opterr = 0;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): before there are threads
  for (int flag = 0; (flag = getopt_long(argc, argv, ":dqRu:vVh", kOptions, nullptr)) != -1;) {
    switch (flag) {
      case 'd': line.daemon = true; break;
      case 'q': line.quiet = true; break;
      case 'R': line.reboot = true; break;
      case 'u': line.user = optarg; break;
      case 'v': ++line.verbose; break;
      case 'C': line.check_config = true; break;
      case 'S': line.control = optarg; break;
      case 'L': line.reload = optarg; break;
      case 'V': return say(line, version_text());
      case 'h': return say(line, usage_text(program));
      default: return refuse(line, bad_option(program, argc, argv), program);
    }
  }
  if (!line.reload.empty()) {
    if (optind == argc) return line;
    return refuse(line, "--reload takes no configuration file: the daemon knows its own", program);
  }
  if (optind + 1 != argc) {
    return refuse(line, optind == argc ? "no configuration file specified" : "more than one configuration file",
                  program);
  }
  line.config = argv[optind];
  return line;
}

}  // namespace pgweir::service
