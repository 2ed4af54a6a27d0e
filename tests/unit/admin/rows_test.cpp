// Columns against the reference's table, merges, averages, binary formats.
#include "admin/rows.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>

#include "admin/averages.hpp"
#include "admin/binary.hpp"
#include "admin/columns.hpp"
#include "admin/commands.hpp"

namespace pgweir::admin {

namespace {

struct TsvColumn {
  std::string name;
  uint32_t oid;
  int typlen;
};

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> fields;
  std::stringstream stream(line);
  for (std::string field; std::getline(stream, field, '\t');)
    fields.push_back(field);
  return fields;
}

std::map<std::string, std::vector<TsvColumn>> reference() {
  std::ifstream file(PGWEIR_SOURCE_DIR "/tests/compat/show_columns.tsv");
  std::map<std::string, std::vector<TsvColumn>> table;
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    auto fields = split(line);
    std::string topic = fields.at(0).substr(5);
    auto& columns = table[topic];
    if (fields.at(1) != "0")
      columns.push_back({fields[2], static_cast<uint32_t>(std::stoul(fields[3])), std::stoi(fields[5])});
  }
  return table;
}

}  // namespace

TEST(Columns, AreTheReferences) {
  auto table = reference();
  ASSERT_GT(table.size(), 25u);
  for (const auto& [topic, expected] : table) {
    const Columns* columns = columns_of(topic);
    ASSERT_NE(nullptr, columns) << topic;
    ASSERT_EQ(expected.size(), columns->size()) << topic;
    for (size_t at = 0; at < expected.size(); ++at) {
      EXPECT_EQ(expected[at].name, (*columns)[at].name) << topic;
      EXPECT_EQ(expected[at].oid, static_cast<uint32_t>((*columns)[at].type)) << topic << " " << expected[at].name;
      EXPECT_EQ(expected[at].typlen, typlen_of((*columns)[at].type)) << topic << " " << expected[at].name;
    }
  }
}

TEST(Columns, EveryTopicHasThem) {
  auto table = reference();
  for (const TopicRow& row : topic_rows()) {
    EXPECT_NE(nullptr, columns_of(row.topic)) << row.topic;
    EXPECT_TRUE(row.topic == "WORKERS" || row.topic == "LATENCIES" || row.topic == "WAITS" ||
                row.topic == "TRANSACTIONS" || table.contains(std::string(row.topic)))
        << row.topic;
  }
  for (const auto& [topic, columns] : table)
    EXPECT_TRUE(find_topic(topic) || find_fake(topic)) << topic;
}

TEST(Rows, SumByKey) {
  const MergeRule rule{Merge::kSum, 2, {3}};
  std::vector<Rows> parts = {{{"b", "u", "1", "70", "word"}, {"a", "u", "2", "5", {}}},
                             {{"b", "u", "10", "30", "other"}, {"b", "t", "4", "4", "x"}}};
  Rows expected = {{"a", "u", "2", "5", {}}, {"b", "t", "4", "4", "x"}, {"b", "u", "11", "70", "word"}};
  EXPECT_EQ(expected, merge(parts, rule));
}

TEST(Rows, Concat) {
  Rows expected = {{"1"}, {"2"}, {"3"}};
  EXPECT_EQ(expected, merge({{{"1"}, {"2"}}, {}, {{"3"}}}, MergeRule{Merge::kConcat, 0, {}}));
}

TEST(Rows, SortByLeadingCells) {
  Rows rows = {{"b", "1"}, {"a", "2"}, {{}, "3"}, {"a", "1"}, {"B", "0"}};
  sort_rows(rows, 1);
  Rows expected = {{{}, "3"}, {"B", "0"}, {"a", "2"}, {"a", "1"}, {"b", "1"}};
  EXPECT_EQ(expected, rows);
}

TEST(Rows, Int4IsHeldInRange) {
  EXPECT_EQ("2147483647", int4(INT64_MAX));
  EXPECT_EQ("-2147483648", int4(INT64_MIN));
  EXPECT_EQ("7", int4(7));
}

TEST(Averages, PerSecondAndMeans) {
  session::Counters before, after;
  before.xacts = 10;
  after.xacts = 30;
  after.queries = 40;
  after.xact_time = 2000;
  after.query_time = 1000;
  after.wait_time = 500;
  after.received = 10'000'000'000ull;
  before.binds = 5;  // went back: the database was dropped and came again
  session::Counters average = rate(before, after, 4 * kSecond);
  EXPECT_EQ(5u, average.xacts);
  EXPECT_EQ(10u, average.queries);
  EXPECT_EQ(100u, average.xact_time);
  EXPECT_EQ(25u, average.query_time);
  EXPECT_EQ(0u, average.wait_time) << "nobody was assigned a server";
  EXPECT_EQ(2'500'000'000u, average.received);
  EXPECT_EQ(0u, average.binds);
  EXPECT_EQ(20u, rate(before, after, 0).xacts) << "less than a second counts as one";
}

TEST(Averages, OlderSampleIsOneToTwoPeriodsOld) {
  Averages averages(0);
  Totals totals;
  for (int second = 0; second <= 25; ++second) {
    totals["db"].queries = static_cast<uint64_t>(second) * 100;
    averages.sample(second * kSecond, totals, 10 * kSecond);
  }
  // Samples were kept at 0, 10 and 20 s.
  totals["db"].queries += 10'000;
  EXPECT_EQ((2500u - 1000u + 10'000u) / 15u, averages.average("db", totals["db"], 25 * kSecond).queries);
  EXPECT_EQ(0u, averages.average("other", {}, 25 * kSecond).queries);
  totals["new"].queries = 150;  // came after the older sample
  EXPECT_EQ(10u, averages.average("new", totals["new"], 25 * kSecond).queries);
  EXPECT_EQ((2500u - 1000u + 10'000u + 150u) / 15u, averages.average(totals, 25 * kSecond).queries);
}

TEST(Averages, SinceTheStartBeforeTheFirstSample) {
  session::Counters counters;
  counters.queries = 50;
  EXPECT_EQ(5u, Averages(10 * kSecond).average("db", counters, 20 * kSecond).queries);
}

TEST(Averages, ConsoleIsSampled) {
  Averages averages(0);
  averages.console.queries = 10;
  averages.sample(kSecond, {}, kSecond);
  averages.sample(2 * kSecond, {}, kSecond);
  averages.console.queries = 30;
  EXPECT_EQ(10u, averages.average(kConsoleDatabase, averages.console, 3 * kSecond).queries);
}

TEST(Binary, Integers) {
  EXPECT_EQ(std::string("\0\0\1\2", 4), to_binary(Type::kInt4, "258"));
  EXPECT_EQ("\xff\xff\xff\xff", to_binary(Type::kInt4, "-1"));
  EXPECT_EQ(std::string("\0\0\0\2\0\0\0\1", 8), to_binary(Type::kInt8, "8589934593"));
  EXPECT_EQ("\xff\xff\xff\xff\xff\xff\xff\xfe", to_binary(Type::kInt8, "-2"));
  EXPECT_EQ(Cell(), to_binary(Type::kInt8, Cell()));
}

TEST(Binary, Numeric) {
  // digits, weight, sign, dscale, groups of four
  EXPECT_EQ(std::string("\0\0\0\0\0\0\0\0", 8), to_binary(Type::kNumeric, "0"));
  EXPECT_EQ(std::string("\0\1\0\0\0\0\0\0\0\7", 10), to_binary(Type::kNumeric, "7"));
  EXPECT_EQ(std::string("\0\2\0\1\0\0\0\0\0\1\x09\x29", 12), to_binary(Type::kNumeric, "12345"));
  EXPECT_EQ(std::string("\0\2\0\1\0\0\0\0\0\1\0\0", 12), to_binary(Type::kNumeric, "10000"));
  EXPECT_EQ(std::string("\0\1\0\0\x40\0\0\0\0\5", 10), to_binary(Type::kNumeric, "-5"));
  EXPECT_EQ(std::string("\0\5\0\4\0\0\0\0\x07\x34\x1a\x50\x1c\xe1\x03\xbb\x06\x4f", 18),
            to_binary(Type::kNumeric, "18446736739309551615"));
  EXPECT_EQ(std::string("\0\0\0\0\0\0\0\0", 8), to_binary(Type::kNumeric, "nonsense"));
}

TEST(Binary, TextAndBytes) {
  EXPECT_EQ("abc", to_binary(Type::kText, "abc"));
  EXPECT_EQ(std::string("\x00\xff", 2), to_binary(Type::kBytea, "\\x00fF"));
  EXPECT_EQ("", to_binary(Type::kBytea, "\\x0"));
  EXPECT_EQ("", to_binary(Type::kBytea, "\\xzz"));
}

}  // namespace pgweir::admin
