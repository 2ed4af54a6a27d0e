// pgweir-top: what a running pgweir does, on a live screen or as text. man/pgweir-top.1 is its manual.
#include <cstdio>
#include <exception>

#include "base/text.hpp"
#include "base/version.hpp"
#include "tools/top/run.hpp"

namespace {

using namespace pgweir;
using namespace pgweir::tools;

int print(const Messages& messages, const std::string& text) {
  const bool written = messages.print(text);
  return static_cast<int>(written ? Exit::kOk : Exit::kFile);
}

int work(int argc, char** argv) {
  const Messages messages("pgweir-top");
  auto options = top::read_options(argc, argv);
  if (!options) {
    messages.error(options.error().message);
    std::fputs("Try \"pgweir-top --help\".\n", stderr);
    return static_cast<int>(Exit::kUsage);
  }
  if (options->help) return print(messages, top::help_text());
  if (options->version) return print(messages, cat("pgweir-top ", kVersion, "\n"));
  return static_cast<int>(top::run(*options, messages));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return work(argc, argv);
  } catch (const std::exception& failure) {  // no memory
    std::fprintf(stderr, "pgweir-top: error: %s\n", failure.what());
    return static_cast<int>(Exit::kFile);
  }
}
