// Pooled against direct: what is typical, whether it can be believed, and what is left of it on a busy machine.
#include "tools/check/ratio.hpp"

#include <gtest/gtest.h>

namespace pgweir::tools::check {
namespace {

// Turns in which direct takes 1 and pooled `quick`; in every `nth` one somebody else has run meanwhile.
Times turns(double quick, double held_up, int nth) {
  Times times;
  for (int turn = 0; turn < 100; ++turn) {
    times.pooled.push_back(nth > 0 && turn % nth == 0 ? held_up : quick);
    times.direct.push_back(1);
  }
  return times;
}

TEST(Ratio, OfSteadyTurns) {
  const Ratio ratio = ratio_of(turns(2.5, 0, 0));
  EXPECT_DOUBLE_EQ(ratio.typical, 2.5);
  EXPECT_DOUBLE_EQ(ratio.spread, 1);
  EXPECT_DOUBLE_EQ(ratio.undisturbed, 2.5);
}

TEST(Ratio, AFewOutliersDoNotCount) {
  const Ratio ratio = ratio_of(turns(2, 500, 6));
  EXPECT_DOUBLE_EQ(ratio.typical, 2);
  EXPECT_LT(ratio.spread, kWide);
}

TEST(Ratio, OnABusyMachineTheQuickTurnsAreLeft) {
  Times times = turns(2, 0, 0);
  for (int turn = 0; turn < 100; ++turn) {
    if (turn % 5 != 0)
      times.pooled[static_cast<size_t>(turn)] = 10 + turn % 7;  // four of five had to wait for a processor
  }
  const Ratio ratio = ratio_of(times);
  EXPECT_GT(ratio.typical, 9);
  EXPECT_DOUBLE_EQ(ratio.undisturbed, 2);
  times.pooled = turns(2, 40, 2).pooled;
  EXPECT_GT(ratio_of(times).spread, kWide);
}

TEST(Ratio, APoolerThatIsSlowIsSlowUndisturbed) {
  EXPECT_DOUBLE_EQ(ratio_of(turns(40, 90, 3)).undisturbed, 40);
}

TEST(Ratio, OfNothing) {
  EXPECT_DOUBLE_EQ(ratio_of({}).typical, 0);
  EXPECT_DOUBLE_EQ(median({}), 0);
  EXPECT_DOUBLE_EQ(median({3, 1, 2}), 2);
}

}  // namespace
}  // namespace pgweir::tools::check
