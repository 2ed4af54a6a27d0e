// Phase 5: pooled against direct, in turn and as ratios, so that a busy machine slows both. About three seconds in all,
// on one connection: no load to speak of.
#include <chrono>
#include <cstdio>

#include "base/text.hpp"
#include "tools/check/context.hpp"
#include "tools/check/tests.hpp"

namespace pgweir::tools::check {

namespace {

using Clock = std::chrono::steady_clock;
constexpr int kConnects = 20;
constexpr int kSlices = 5;
constexpr auto kSlice = std::chrono::milliseconds(100);

double seconds_since(Clock::time_point begun) {
  return std::chrono::duration<double>(Clock::now() - begun).count();
}

std::string digits(double number, const char* format) {
  char text[64] = {};
  std::snprintf(text, sizeof text, format, number);
  return text;
}

Result<double> time_connect(Context& context, const Where& where) {
  const auto begun = Clock::now();
  auto session = context.open(where);
  if (!session) return session.error();
  auto rows = session->query("SELECT 1");
  if (!rows) return rows.error();
  return seconds_since(begun);
}

Result<double> rate(Session& session) {
  const auto begun = Clock::now();
  int count = 0;
  for (; Clock::now() - begun < kSlice; ++count) {
    auto rows = session.query("SELECT 1");
    if (!rows) return rows.error();
  }
  return count / seconds_since(begun);
}

}  // namespace

Outcome check_connect_ratio(Context& context) {
  double pooled = 0;
  double direct = 0;
  for (int turn = 0; turn < kConnects; ++turn) {
    auto one = time_connect(context, context.pool());
    auto two = time_connect(context, context.direct());
    if (!one) return fail(one.error().message);
    if (!two) return fail(two.error().message);
    pooled += *one;
    direct += *two;
  }
  const double ratio = pooled / direct;
  const std::string told =
      cat("pooled ", digits(pooled * 1000 / kConnects, "%.1f"), " ms, direct ",
          digits(direct * 1000 / kConnects, "%.1f"), " ms: ", digits(ratio, "%.2f"), " times as long");
  const double limit = context.policy().connect_ratio;
  return ratio <= limit ? pass(told) : fail(cat(told, ", policy at most ", digits(limit, "%.2f")));
}

Outcome check_throughput_ratio(Context& context) {
  auto pooled = context.open(context.pool());
  auto direct = context.open(context.direct());
  if (!pooled) return fail(pooled.error().message);
  if (!direct) return fail(direct.error().message);
  double by_pool = 0;
  double by_direct = 0;
  for (int slice = 0; slice < kSlices; ++slice) {
    auto one = rate(*pooled);
    auto two = rate(*direct);
    if (!one) return fail(one.error().message);
    if (!two) return fail(two.error().message);
    by_pool += *one / kSlices;
    by_direct += *two / kSlices;
  }
  const double ratio = by_pool / by_direct;
  const std::string told = cat("one client: pooled ", digits(by_pool, "%.0f"), "/s, direct ", digits(by_direct, "%.0f"),
                               "/s: ratio ", digits(ratio, "%.2f"));
  const double limit = context.policy().throughput_ratio;
  return ratio >= limit ? pass(told) : fail(cat(told, ", policy at least ", digits(limit, "%.2f")));
}

Outcome check_waiting(Context& context) {
  auto console = context.open(context.console());
  if (!console) return fail(console.error().message);
  auto pools = show(*console, "POOLS");
  if (!pools) return fail(pools.error().message);
  long waiting = 0;
  double longest = 0;
  std::string where;
  for (auto& row : *pools) {
    waiting += std::strtol(row["cl_waiting"].c_str(), nullptr, 10);
    const double wait =
        std::strtod(row["maxwait"].c_str(), nullptr) + std::strtod(row["maxwait_us"].c_str(), nullptr) / 1e6;
    if (wait < longest || wait == 0) continue;
    longest = wait;
    where = cat(row["database"], "/", row["user"]);
  }
  const double limit = context.policy().longest_wait;
  if (longest > limit)
    return fail(cat(waiting, " clients wait for a server, one in ", where, " for ", digits(longest, "%.1f"),
                    " s, policy ", digits(limit, "%.1f"), " s"));
  return pass(cat(waiting, " clients wait for a server, the longest ", digits(longest, "%.1f"), " s"));
}

}  // namespace pgweir::tools::check
