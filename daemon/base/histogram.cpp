#include "base/histogram.hpp"

#include <charconv>
#include <optional>

#include "base/text.hpp"

namespace pgweir {

void Histogram::add(const Histogram& other) {
  for (unsigned bucket = 0; bucket < kBuckets; ++bucket)
    buckets_[bucket] += other.buckets_[bucket];
  count_ += other.count_;
  sum_ += other.sum_;
  most_ = std::max(most_, other.most_);
}

uint64_t Histogram::percentile(double part) const {
  if (count_ == 0) return 0;
  const double rank = std::clamp(part, 0.0, 1.0) * static_cast<double>(count_);
  uint64_t below = 0;
  for (unsigned bucket = 0; bucket < kBuckets; ++bucket) {
    const uint64_t here = buckets_[bucket];
    if (here == 0 || static_cast<double>(below + here) < rank) {
      below += here;
      continue;
    }
    const uint64_t begin = bucket ? end_of(bucket - 1) : 0;
    const double width = static_cast<double>(end_of(bucket) - 1 - begin);
    const double place = (rank - static_cast<double>(below)) / static_cast<double>(here);
    return std::min(most_, begin + static_cast<uint64_t>(width * std::max(place, 0.0)));
  }
  return most_;
}

uint64_t Histogram::up_to(uint64_t limit) const {
  uint64_t found = 0;
  for (unsigned bucket = 0; bucket + 1 < kBuckets && end_of(bucket) - 1 <= limit; ++bucket)
    found += buckets_[bucket];
  return found;
}

std::string Histogram::text() const {
  std::string out = cat(sum_, ' ', most_);
  for (unsigned bucket = 0; bucket < kBuckets; ++bucket) {
    if (buckets_[bucket]) out += cat(' ', bucket, ':', buckets_[bucket]);
  }
  return out;
}

namespace {

// The number at the front of `text`, which loses it and the sign behind it.
std::optional<uint64_t> take_number(std::string_view& text, char sign) {
  uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  if (text.empty()) return number;
  if (text.front() != sign) return std::nullopt;
  text.remove_prefix(1);
  return number;
}

}  // namespace

bool Histogram::add_text(std::string_view text) {
  Histogram other;
  auto sum = take_number(text, ' ');
  auto most = sum ? take_number(text, ' ') : std::nullopt;
  if (!most) return false;
  other.sum_ = *sum;
  other.most_ = *most;
  while (!text.empty()) {
    auto bucket = take_number(text, ':');
    auto count = bucket && !text.empty() ? take_number(text, ' ') : std::nullopt;
    if (!count || *bucket >= kBuckets) return false;
    other.buckets_[*bucket] += *count;
    other.count_ += *count;
  }
  add(other);
  return true;
}

}  // namespace pgweir
