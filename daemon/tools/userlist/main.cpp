// pgweir-userlist: writes the userlist of pgweir from the roles of PostgreSQL. man/pgweir-userlist.1 is its manual.
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <exception>

#include "base/text.hpp"
#include "base/version.hpp"
#include "tools/common/messages.hpp"
#include "tools/userlist/run.hpp"

namespace {

using namespace pgweir;
using namespace pgweir::tools;

int leave(Exit exit, const std::string& text) {
  const bool written = Messages("pgweir-userlist").print(text);
  return static_cast<int>(written || exit != Exit::kOk ? exit : Exit::kFile);
}

int work(int argc, char** argv) {
  const rlimit none = {0, 0};
  ::setrlimit(RLIMIT_CORE, &none);  // a core would hold every secret
  const Messages messages("pgweir-userlist");
  auto loaded = userlist::load(argc, argv);
  if (!loaded) {
    messages.error(loaded.error().message);
    std::fputs("Try \"pgweir-userlist --help\".\n", stderr);
    return static_cast<int>(Exit::kUsage);
  }
  const userlist::Settings& settings = loaded->settings;
  if (settings.help) return leave(Exit::kOk, userlist::help_text());
  if (settings.version) return leave(Exit::kOk, cat("pgweir-userlist ", kVersion, "\n"));
  const userlist::Report report = userlist::run(*loaded, messages);
  if (settings.json) return leave(report.exit, userlist::as_json(report));
  if (settings.quiet) return static_cast<int>(report.exit);
  return leave(report.exit, userlist::as_text(report, wants_colours(STDOUT_FILENO), settings.verbose));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return work(argc, argv);
  } catch (const std::exception& failure) {  // no memory
    std::fprintf(stderr, "pgweir-userlist: error: %s\n", failure.what());
    return static_cast<int>(Exit::kFile);
  }
}
