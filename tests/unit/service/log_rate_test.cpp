// A storm of like records: the first thousand of ten seconds pass, the rest is summed up, and nothing is lost count of.
#include "service/log_rate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

namespace pgweir::service {
namespace {

using testing::ElementsAre;
using testing::FieldsAre;
using testing::IsEmpty;

class LogRateTest : public testing::Test {
 protected:
  // How many of `count` records at `now` pass.
  unsigned long offer(std::string_view kind, Level level, unsigned long count, Micros now) {
    unsigned long passed = 0;
    for (unsigned long at = 0; at < count; ++at)
      passed += rate_.admit(LogRecord{level, "text", nullptr, 0, kind}, now);
    return passed;
  }

  std::vector<std::tuple<std::string, Level, unsigned long>> sums_;
  LogRate rate_{
      [this](std::string_view kind, Level level, unsigned long count) { sums_.emplace_back(kind, level, count); }};
  static constexpr Micros kStart = 1000 * kSecond;
};

TEST_F(LogRateTest, WhatFitsPassesAndIsNotSummedUp) {
  EXPECT_EQ(offer("a", Level::kLog, kMostInWindow, kStart), kMostInWindow);
  rate_.settle(kStart + kWindow);
  EXPECT_THAT(sums_, IsEmpty());
}

TEST_F(LogRateTest, TheRestIsSummedUpWhenTheWindowIsOver) {
  EXPECT_EQ(offer("a", Level::kLog, kMostInWindow + 7, kStart), kMostInWindow);
  EXPECT_EQ(offer("a", Level::kWarning, 1, kStart + kWindow - 1), 0U);
  rate_.settle(kStart + kWindow - 1);
  EXPECT_THAT(sums_, IsEmpty());
  rate_.settle(kStart + kWindow);
  EXPECT_THAT(sums_, ElementsAre(FieldsAre("a", Level::kWarning, 8UL)));
  rate_.settle(kStart + 2 * kWindow);
  EXPECT_EQ(sums_.size(), 1U);
}

TEST_F(LogRateTest, TheNextWindowBeginsAnew) {
  offer("a", Level::kLog, kMostInWindow + 1, kStart);
  EXPECT_EQ(offer("a", Level::kLog, kMostInWindow + 2, kStart + kWindow), kMostInWindow);
  EXPECT_THAT(sums_, ElementsAre(FieldsAre("a", Level::kLog, 1UL)));
  rate_.settle(kStart + kWindow, true);
  EXPECT_THAT(sums_, ElementsAre(FieldsAre("a", Level::kLog, 1UL), FieldsAre("a", Level::kLog, 2UL)));
}

TEST_F(LogRateTest, KindsDoNotCrowdEachOtherOut) {
  offer("a", Level::kLog, kMostInWindow * 3, kStart);
  EXPECT_EQ(offer("b", Level::kLog, 5, kStart), 5U);
}

TEST_F(LogRateTest, FatalAndKindlessRecordsAlwaysPass) {
  offer("a", Level::kLog, kMostInWindow * 2, kStart);
  EXPECT_EQ(offer("a", Level::kFatal, 3, kStart), 3U);
  EXPECT_EQ(offer("", Level::kDebug, kMostInWindow * 2, kStart), kMostInWindow * 2UL);
}

}  // namespace
}  // namespace pgweir::service
