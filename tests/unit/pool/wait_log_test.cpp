// The causes of a wait add up to it, whatever changed meanwhile.
#include "pool/wait_log.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <set>

namespace pgweir::pool {
namespace {

Micros of(const WaitLog::Shares& shares, Cause cause) {
  return shares[static_cast<size_t>(cause)];
}

Micros sum(const WaitLog::Shares& shares) {
  return std::accumulate(shares.begin(), shares.end(), Micros{0});
}

TEST(WaitLog, OneCauseForTheWholeWait) {
  WaitLog log;
  log.note(Cause::kPoolFull, 100);
  auto shares = log.shares(250, 400);
  EXPECT_EQ(150, of(shares, Cause::kPoolFull));
  EXPECT_EQ(150, sum(shares));
}

TEST(WaitLog, ChangesDivideIt) {
  WaitLog log;
  log.note(Cause::kConnecting, 100);
  log.note(Cause::kConnecting, 150);
  log.note(Cause::kPoolFull, 200);
  log.note(Cause::kPaused, 260);
  log.note(Cause::kPoolFull, 300);
  auto shares = log.shares(120, 350);
  EXPECT_EQ(80, of(shares, Cause::kConnecting));
  EXPECT_EQ(110, of(shares, Cause::kPoolFull));
  EXPECT_EQ(40, of(shares, Cause::kPaused));
  EXPECT_EQ(230, sum(shares));
}

TEST(WaitLog, AChangeAtTheSameInstantReplaces) {
  WaitLog log;
  log.note(Cause::kHandOver, 100);
  log.note(Cause::kPoolFull, 100);
  EXPECT_EQ(Cause::kPoolFull, log.cause());
  EXPECT_EQ(50, of(log.shares(100, 150), Cause::kPoolFull));
}

TEST(WaitLog, NothingKnownIsOther) {
  WaitLog log;
  EXPECT_EQ(Cause::kOther, log.cause());
  EXPECT_EQ(30, of(log.shares(10, 40), Cause::kOther));
  log.note(Cause::kPoolFull, 50);
  auto shares = log.shares(40, 60);
  EXPECT_EQ(10, of(shares, Cause::kOther));
  EXPECT_EQ(10, of(shares, Cause::kPoolFull));
  EXPECT_EQ(0, sum(log.shares(60, 60)));
  EXPECT_EQ(0, sum(log.shares(60, 50)));
}

TEST(WaitLog, IsBoundedAndStillAddsUp) {
  WaitLog log;
  for (Micros at = 0; at < 2000; ++at)
    log.note(at % 2 ? Cause::kPoolFull : Cause::kConnecting, at);
  auto shares = log.shares(0, 2000);
  EXPECT_EQ(2000, sum(shares));
  EXPECT_EQ(static_cast<Micros>(2000 - WaitLog::kMostChanges), of(shares, Cause::kOther));
}

TEST(WaitLog, EveryCauseHasItsOwnName) {
  std::set<std::string_view> names;
  for (const CauseRow& row : kCauseRows) {
    EXPECT_FALSE(row.text.empty()) << row.name;
    names.insert(row.name);
  }
  EXPECT_EQ(kCauseRows.size(), names.size());
  EXPECT_EQ("other", row_of(Cause::kOther).name);
  EXPECT_EQ("login_retry", row_of(Cause::kLoginRetry).name);
}

}  // namespace
}  // namespace pgweir::pool
