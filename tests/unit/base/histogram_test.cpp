// Buckets, percentiles, and the text by which workers' histograms are added up.
#include "base/histogram.hpp"

#include <gtest/gtest.h>

namespace pgweir {
namespace {

TEST(Histogram, BucketsFollowEachOther) {
  for (unsigned bucket = 1; bucket + 1 < Histogram::kBuckets; ++bucket) {
    const uint64_t begin = Histogram::end_of(bucket - 1);
    const uint64_t end = Histogram::end_of(bucket);
    EXPECT_EQ(bucket, Histogram::bucket_of(begin)) << begin;
    EXPECT_EQ(bucket, Histogram::bucket_of(end - 1)) << end;
    EXPECT_LE(end - begin, begin / 8 + 1) << "an eighth of the value";
  }
  EXPECT_EQ(0u, Histogram::bucket_of(0));
  EXPECT_EQ(Histogram::kBuckets - 1, Histogram::bucket_of(UINT64_MAX));
  EXPECT_GT(Histogram::end_of(Histogram::kBuckets - 2), 3600u * 1000 * 1000) << "more than an hour";
}

TEST(Histogram, TellsCountSumMeanMost) {
  Histogram times;
  EXPECT_EQ(0u, times.mean());
  EXPECT_EQ(0u, times.percentile(0.99));
  for (Micros time : {10, 20, 30, -5})
    times.add(time);
  EXPECT_EQ(4u, times.count());
  EXPECT_EQ(60u, times.sum());
  EXPECT_EQ(15u, times.mean());
  EXPECT_EQ(30u, times.most());
}

TEST(Histogram, PercentilesAreWithinAnEighth) {
  Histogram times;
  for (Micros time = 1; time <= 100000; ++time)
    times.add(time);
  for (double part : {0.01, 0.5, 0.9, 0.99, 0.999}) {
    const double exact = part * 100000;
    EXPECT_NEAR(exact, static_cast<double>(times.percentile(part)), exact / 8) << part;
  }
  EXPECT_EQ(100000u, times.percentile(1));
}

TEST(Histogram, AFewValuesAreToldAsTheyAre) {
  Histogram times;
  times.add(7);
  times.add(1000000);
  EXPECT_EQ(7u, times.percentile(0.5));
  EXPECT_EQ(1000000u, times.percentile(1)) << "never more than the longest";
}

TEST(Histogram, UpToCountsWholeBuckets) {
  Histogram times;
  for (Micros time : {1, 100, 1000, 5000000})
    times.add(time);
  EXPECT_EQ(1u, times.up_to(50));
  EXPECT_EQ(3u, times.up_to(2000));
  EXPECT_EQ(4u, times.up_to(60000000));
}

TEST(Histogram, TextIsAddedUp) {
  Histogram one;
  Histogram other;
  for (Micros time : {1, 50, 50, 7000})
    one.add(time);
  for (Micros time : {50, 90000})
    other.add(time);
  Histogram sum;
  ASSERT_TRUE(sum.add_text(one.text()));
  ASSERT_TRUE(sum.add_text(other.text()));
  one.add(other);
  EXPECT_EQ(one.text(), sum.text());
  EXPECT_EQ(6u, sum.count());
  EXPECT_EQ(90000u, sum.most());
  ASSERT_TRUE(sum.add_text(Histogram().text()));
  EXPECT_EQ(6u, sum.count());
}

TEST(Histogram, OtherTextIsRefusedAndChangesNothing) {
  Histogram times;
  times.add(5);
  for (const char* text : {"", "1", "x y", "1 2 3", "1 2 3:", "1 2 :4", "1 2 240:1", "1 2 3:4:5", "-1 2", "1 2 3:4 x"})
    EXPECT_FALSE(times.add_text(text)) << text;
  EXPECT_EQ(1u, times.count());
  EXPECT_EQ(5u, times.sum());
}

}  // namespace
}  // namespace pgweir
