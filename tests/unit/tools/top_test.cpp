// pgweir-top's pure parts: samples to rates and verdicts, pictures to lines, keys to requests.
#include <gtest/gtest.h>

#include "base/text.hpp"
#include "tools/top/json.hpp"
#include "tools/top/prober.hpp"
#include "tools/top/view.hpp"

namespace pgweir::tools::top {
namespace {

// A console with one database, `xacts` transactions since the start; an old one: columns are missing.
Sample sample(int64_t at_us, const std::string& xacts, const std::string& waiting = "0",
              const std::string& live = "5") {
  Sample out;
  out.at_us = at_us;
  out.clock = "12:00:00";
  out.tables["DATABASES"] = {{"name", "host", "port", "pool_size", "paused"}, {{"shop", "db1", "5432", "5", "0"}}};
  out.tables["POOLS"] = {
      {"user", "database", "cl_active", "cl_waiting", "sv_active", "sv_idle", "maxwait", "maxwait_us"},
      {{"app", "shop", "9", waiting, live, "0", "7", "500000"}}};
  out.tables["STATS"] = {{"database", "total_xact_count", "total_query_count", "total_xact_time", "avg_xact_count"},
                         {{"shop", xacts, xacts, xacts + "000", "42"}}};
  return out;
}

TEST(TopModel, TakesAveragesFirstAndDifferencesThen) {
  Model model{Thresholds()};
  model.add(sample(1'000'000, "100"));
  EXPECT_DOUBLE_EQ(model.picture().total.xacts, 42);
  model.add(sample(3'000'000, "300"));
  EXPECT_TRUE(model.picture().measured);
  EXPECT_DOUBLE_EQ(model.picture().total.xacts, 100);
  EXPECT_DOUBLE_EQ(model.picture().databases[0].xact_us, 1000);
}

TEST(TopModel, SaysThatCountersBeganAnew) {
  Model model{Thresholds()};
  model.add(sample(1'000'000, "100"));
  model.add(sample(2'000'000, "3"));
  EXPECT_FALSE(model.picture().measured);
  ASSERT_FALSE(model.picture().problems.empty());
  EXPECT_NE(model.picture().problems.front().text.find("restarted"), std::string::npos);
}

TEST(TopModel, WaitsAreRedWithTheirReasonAndTheirEndIsTold) {
  Model model{Thresholds()};
  model.add(sample(1'000'000, "100", "3"));
  EXPECT_EQ(model.picture().worst(), Level::kRed);
  EXPECT_EQ(model.picture().pools[0].why, "pool full");
  EXPECT_NE(model.picture().health[0].text.find("3 clients wait, the longest 7.5 s: pool full"), std::string::npos);
  model.add(sample(2'000'000, "100", "0", "1"));
  EXPECT_TRUE(model.picture().health.empty());
  EXPECT_EQ(model.picture().problems[0].level, Level::kGreen);
}

TEST(TopModel, ADatabaseWithoutServersIsDownWhenPostgresDoesNotAnswer) {
  Model model{Thresholds()};
  model.add(sample(1'000'000, "100", "0", "0"), {{"shop", false, "Connection refused"}});
  EXPECT_EQ(model.picture().databases[0].reach, Reach::kNo);
  EXPECT_EQ(model.picture().worst(), Level::kRed);
  model.add(sample(2'000'000, "100", "0", "1"), {{"shop", false, "Connection refused"}});
  EXPECT_EQ(model.picture().databases[0].reach, Reach::kYes);
}

TEST(TopModel, ASilentConsoleKeepsWhatWasSeenAndIsRed) {
  Model model{Thresholds()};
  model.add(sample(1'000'000, "100"));
  Sample failed;
  failed.failure = "gone";
  model.add(failed);
  EXPECT_EQ(model.picture().pools.size(), 1U);
  EXPECT_EQ(model.picture().worst(), Level::kRed);
}

TEST(TopThresholds, AFileChangesThemAndMistakesAreNamed) {
  auto read = parse_thresholds("[thresholds]\nwait_seconds = 10 20\nworker_percent = off\n", "f");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->wait_seconds.of(7.5), Level::kGreen);
  EXPECT_EQ(read->worker_percent.of(1e9), Level::kGreen);
  auto wrong = parse_thresholds("[thresholds]\nwait_seconds = 20 10\nno_such = 1 2\n", "f");
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().message.find("f:2"), std::string::npos);
  EXPECT_NE(wrong.error().message.find("no_such"), std::string::npos);
}

TEST(TopView, ScreensFillTheTerminalAndNoMore) {
  Model model{Thresholds()};
  model.add(sample(1'000'000, "100", "3"));
  Ui ui;
  for (auto [columns, height] : {std::pair<size_t, size_t>{80, 24}, {120, 40}, {40, 8}}) {
    for (Page page : {Page::kPools, Page::kDatabases, Page::kWorkers, Page::kProblems, Page::kPool, Page::kHelp}) {
      ui.page = page;
      const Lines lines = screen(ui, model.picture(), columns, height);
      EXPECT_EQ(lines.size(), height);
      for (const Line& line : lines)
        EXPECT_LE(width(line), columns) << line.plain();
    }
  }
}

TEST(TopControl, ACommandNeedsAYes) {
  Model model{Thresholds()};
  model.add(sample(1'000'000, "100"));
  Ui ui;
  EXPECT_EQ(press(ui, "P", model.picture()).kind, Request::Kind::kNone);
  EXPECT_TRUE(ui.question.has_value());
  EXPECT_EQ(press(ui, "n", model.picture()).kind, Request::Kind::kNone);
  press(ui, "K", model.picture());
  const Request request = press(ui, "y", model.picture());
  EXPECT_EQ(request.kind, Request::Kind::kCommand);
  EXPECT_EQ(request.command, "KILL \"shop\"");
  EXPECT_EQ(console_name("a\"b"), "\"a\"\"b\"");
}

TEST(TopProbe, AnyAnswerOfAServerButNotYetIsAnAnswer) {
  EXPECT_FALSE(
      judge_knock("d", false, false, "connection to server at \"x\" failed: Connection refused; Is it").answers);
  EXPECT_FALSE(judge_knock("d", false, false, "failed: FATAL:  57P03: the database system is starting up").answers);
  EXPECT_TRUE(judge_knock("d", false, false, "failed: FATAL:  28000: role does not exist").answers);
  EXPECT_TRUE(judge_knock("d", false, true, "fe_sendauth: no password supplied").answers);
}

}  // namespace
}  // namespace pgweir::tools::top
