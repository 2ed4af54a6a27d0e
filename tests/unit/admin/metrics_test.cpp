// From rows of SHOWs to what a monitor reads: names, labels, bounds, the two formats.
#include "admin/metrics.hpp"

#include <gtest/gtest.h>

#include "base/histogram.hpp"

namespace pgweir::admin {
namespace {

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

RowCells stats(const std::string& database, int queries) {
  RowCells row(13, "0");
  row[0] = database;
  row[3] = std::to_string(queries);
  row[7] = "1500000";
  return row;
}

TEST(Metrics, CountersInBothFormats) {
  const Shown shown = {{"STATS_TOTALS", {stats("app", 7)}}};
  std::string open = metrics_text(shown, Exposition::kOpenMetrics);
  EXPECT_TRUE(has_line(open, "# TYPE pgweir_queries counter")) << open;
  EXPECT_TRUE(has_line(open, "pgweir_queries_total{database=\"app\"} 7"));
  EXPECT_TRUE(has_line(open, "# UNIT pgweir_query_time_seconds seconds"));
  EXPECT_TRUE(has_line(open, "pgweir_query_time_seconds_total{database=\"app\"} 1.500000"));
  EXPECT_TRUE(open.ends_with("# EOF\n"));
  std::string older = metrics_text(shown, Exposition::kPrometheus);
  EXPECT_TRUE(has_line(older, "# TYPE pgweir_queries_total counter")) << older;
  EXPECT_TRUE(has_line(older, "pgweir_queries_total{database=\"app\"} 7"));
  EXPECT_EQ(std::string::npos, older.find("# UNIT"));
  EXPECT_EQ(std::string::npos, older.find("# EOF"));
}

TEST(Metrics, NamesCannotBreakOutOfTheirLabels) {
  std::string text = metrics_text({{"STATS_TOTALS", {stats("a\"} 1\n\\", 7)}}}, Exposition::kOpenMetrics);
  EXPECT_TRUE(has_line(text, "pgweir_queries_total{database=\"a\\\"} 1\\n\\\\\"} 7")) << text;
}

TEST(Metrics, ManyNamesAreSummedUp) {
  Rows rows;
  Rows times;
  Histogram one;
  one.add(200);
  for (size_t number = 0; number < kMostOfAKind + 3; ++number) {
    std::string name = "db" + std::to_string(number);
    rows.push_back(stats(name, 2));
    times.push_back({name, "web", "query", one.text()});
  }
  std::string text = metrics_text({{"STATS_TOTALS", rows}, {"LATENCIES", times}}, Exposition::kOpenMetrics);
  EXPECT_TRUE(has_line(text, "pgweir_queries_total{database=\"(others)\"} 6"));
  EXPECT_TRUE(has_line(text, "pgweir_query_duration_seconds_count{database=\"(others)\",user=\"(others)\"} 3"));
  EXPECT_EQ(std::string::npos, text.find("database=\"db500\""));
}

TEST(Metrics, HistogramsAreCumulative) {
  Histogram times;
  for (Micros time : {50, 300, 300, 2000000})
    times.add(time);
  std::string text =
      metrics_text({{"LATENCIES", {{"app", "web", "wait", times.text()}, {"app", "web", "login", "nonsense"}}}},
                   Exposition::kOpenMetrics);
  const std::string labels = "{database=\"app\",user=\"web\"";
  EXPECT_TRUE(has_line(text, "# TYPE pgweir_wait_duration_seconds histogram"));
  EXPECT_TRUE(has_line(text, "pgweir_wait_duration_seconds_bucket" + labels + ",le=\"0.000100\"} 1"));
  EXPECT_TRUE(has_line(text, "pgweir_wait_duration_seconds_bucket" + labels + ",le=\"0.000500\"} 3"));
  EXPECT_TRUE(has_line(text, "pgweir_wait_duration_seconds_bucket" + labels + ",le=\"+Inf\"} 4"));
  EXPECT_TRUE(has_line(text, "pgweir_wait_duration_seconds_sum" + labels + "} 2.000650"));
  EXPECT_EQ(std::string::npos, text.find("login_duration")) << "what is no histogram is left out";
}

TEST(Metrics, LongestWaitIsOfTwoColumns) {
  RowCells row(17, "0");
  row[0] = "app";
  row[1] = "web";
  row[13] = "2";
  row[14] = "250000";
  std::string text = metrics_text({{"POOLS", {row}}}, Exposition::kOpenMetrics);
  EXPECT_TRUE(has_line(text, "pgweir_pool_longest_wait_seconds{database=\"app\",user=\"web\"} 2.250000")) << text;
}

TEST(Metrics, EveryTopicIsOneOfTheConsoles) {
  for (std::string_view topic : metric_topics())
    EXPECT_NE(nullptr, find_topic(topic)) << topic;
}

TEST(Metrics, FormIsNegotiated) {
  EXPECT_EQ(
      Exposition::kOpenMetrics,
      exposition_for("application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75"));
  EXPECT_EQ(Exposition::kPrometheus, exposition_for("text/plain"));
  EXPECT_EQ(Exposition::kPrometheus, exposition_for(""));
}

}  // namespace
}  // namespace pgweir::admin
