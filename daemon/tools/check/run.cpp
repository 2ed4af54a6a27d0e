#include "tools/check/run.hpp"

#include <algorithm>
#include <chrono>

#include "base/text.hpp"
#include "tools/check/context.hpp"

namespace pgweir::tools::check {

namespace {

bool names(const std::vector<std::string>& list, const char* name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

// Why the test is not to run; empty: it is.
std::string unasked(const Options& options, const Test& test) {
  const bool everything = options.phases.empty() && options.tests.empty();
  if (!everything && !names(options.phases, word_of(test.phase)) && !names(options.tests, test.id))
    return "not selected";
  return test.disturbs && !options.disturb ? "clients may feel it: --disturb allows it" : "";
}

// Troubles that have little to do with what the test is for; their remedy goes before the test's own.
struct Trouble {
  std::string_view end;  // of the reason: the server's words
  const char* remedy;
};
constexpr Trouble kTroubles[] = {
    {"query_wait_timeout",
     "no server came free in time: SHOW WAITS tells why, SHOW POOLS and SHOW SERVERS who has them"},
};

const char* remedy_of(const Test& test, const std::string& reason) {
  for (const Trouble& trouble : kTroubles)
    if (reason.ends_with(trouble.end)) return trouble.remedy;
  return test.remedy;
}

Outcome run_one(Context& context, const Test& test) {
  std::string reason = unasked(context.options(), test);
  if (!reason.empty()) return {Status::kUnasked, std::move(reason), {}};
  reason = context.missing(test.needs);
  Outcome outcome = reason.empty() ? test.run(context) : blocked(std::move(reason), "mend that first");
  const bool mended = outcome.status == Status::kPass || outcome.status == Status::kSkip;
  const char* remedy = mended || !outcome.remedy.empty() ? nullptr : remedy_of(test, outcome.reason);
  if (remedy) outcome.remedy = remedy;
  return outcome;
}

}  // namespace

std::vector<Done> run(const Options& options, const std::function<void(const Done&)>& told) {
  using Clock = std::chrono::steady_clock;
  Context context(options);
  std::vector<Done> out;
  for (const Test& test : tests()) {
    const auto begun = Clock::now();
    Done done{&test, run_one(context, test), 0};
    done.milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begun).count();
    told(done);
    out.push_back(std::move(done));
  }
  return out;
}

bool all_passed(const std::vector<Done>& done) {
  return std::all_of(done.begin(), done.end(),
                     [](const Done& one) {
                       const Status status = one.outcome.status;
                       return status == Status::kPass || status == Status::kSkip || status == Status::kUnasked;
                     }) &&
         std::any_of(done.begin(), done.end(), [](const Done& one) { return one.outcome.status == Status::kPass; });
}

}  // namespace pgweir::tools::check
