// How long things took, in a fixed number of counters: eight buckets for each power of two, so a value is known to an
// eighth of itself, from a microsecond to more than an hour (what is longer counts as that). One thread writes and
// reads; others get its text, or a copy.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.hpp"

namespace pgweir {

class Histogram {
 public:
  static constexpr unsigned kSteps = 8;      // buckets for each power of two
  static constexpr unsigned kBuckets = 240;  // up to 2^32 microseconds

  // A negative time (a clock that is not ours) counts as none.
  void add(Micros time) {
    const auto value = static_cast<uint64_t>(std::max<Micros>(time, 0));
    ++buckets_[bucket_of(value)];
    ++count_;
    sum_ += value;
    most_ = std::max(most_, value);
  }
  void add(const Histogram& other);

  uint64_t count() const { return count_; }
  uint64_t sum() const { return sum_; }
  uint64_t most() const { return most_; }
  uint64_t mean() const { return count_ ? sum_ / count_ : 0; }
  // The time that `part` (0 to 1) of all do not exceed; between the ends of its bucket by its rank, and never more than
  // most(). 0 of nothing.
  uint64_t percentile(double part) const;
  // How many are not over `limit`; exact where that is the end of a bucket, else those of whole buckets.
  uint64_t up_to(uint64_t limit) const;

  // "SUM MOST BUCKET:COUNT BUCKET:COUNT ...", and back; false, and unchanged, when it is no such text.
  std::string text() const;
  bool add_text(std::string_view text);

  // The bucket of a value, and the smallest value that is beyond a bucket.
  static unsigned bucket_of(uint64_t value) {
    if (value < kSteps) return static_cast<unsigned>(value);
    const auto power = static_cast<unsigned>(std::bit_width(value)) - 4;  // its top four bits are 8 to 15
    const unsigned bucket = power * kSteps + static_cast<unsigned>(value >> power);
    return std::min(bucket, kBuckets - 1);
  }
  static uint64_t end_of(unsigned bucket) {
    if (bucket < kSteps) return bucket + 1;
    const unsigned power = bucket / kSteps - 1;
    return uint64_t{bucket % kSteps + kSteps + 1} << power;
  }

 private:
  std::array<uint64_t, kBuckets> buckets_{};
  uint64_t count_ = 0;
  uint64_t sum_ = 0;
  uint64_t most_ = 0;
};

}  // namespace pgweir
