// pgweir-check: an acceptance test of an installation. man/pgweir-check.1 is its manual.
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>

#include "base/text.hpp"
#include "base/version.hpp"
#include "tools/check/report.hpp"
#include "tools/check/run.hpp"
#include "tools/common/exit_codes.hpp"
#include "tools/common/messages.hpp"

namespace {

using namespace pgweir;
using namespace pgweir::tools;

int leave(Exit exit, const std::string& text) {
  const bool written = Messages("pgweir-check").print(text);
  return static_cast<int>(written || exit != Exit::kOk ? exit : Exit::kFile);
}

bool good(check::Status status) {
  return status != check::Status::kWarn && status != check::Status::kFail && status != check::Status::kBlocked;
}

int examine(const check::Options& options) {
  const bool colours = wants_colours(STDOUT_FILENO);
  const check::Test* before = nullptr;
  auto tell = [&](const check::Done& done) {
    if (options.json || done.outcome.reason == "not selected") return;
    if (options.quiet && good(done.outcome.status)) return;
    const bool first = !before || before->phase != done.test->phase;
    std::fputs(check::line_of(done, first, colours).c_str(), stdout);
    std::fflush(stdout);
    before = done.test;
  };
  const auto done = check::run(options, tell);
  const bool passed = check::all_passed(done);
  const Exit exit = passed ? Exit::kOk : Exit::kDiffers;
  const check::Score score = check::score_of(done);
  if (options.json) return leave(exit, check::as_json(done, score, static_cast<int>(exit)));
  if (options.quiet) return leave(exit, "");
  return leave(exit, check::summary(score, passed, colours));
}

int work(int argc, char** argv) {
  const rlimit none = {0, 0};
  ::setrlimit(RLIMIT_CORE, &none);  // a core would hold every secret
  ::signal(SIGPIPE, SIG_IGN);
  const Messages messages("pgweir-check");
  auto options = check::load(argc, argv);
  if (!options) {
    messages.error(options.error().message);
    std::fputs("Try \"pgweir-check --help\".\n", stderr);
    return static_cast<int>(Exit::kUsage);
  }
  for (const std::string& warning : options->warnings)
    messages.warning(warning);
  if (options->help) return leave(Exit::kOk, check::help_text());
  if (options->version) return leave(Exit::kOk, cat("pgweir-check ", kVersion, "\n"));
  if (options->list) return leave(Exit::kOk, options->json ? check::list_json() : check::list_text());
  return examine(*options);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return work(argc, argv);
  } catch (const std::exception& failure) {  // no memory
    std::fprintf(stderr, "pgweir-check: error: %s\n", failure.what());
    return static_cast<int>(Exit::kFile);
  }
}
