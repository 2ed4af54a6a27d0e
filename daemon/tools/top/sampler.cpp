#include "tools/top/sampler.hpp"

#include <array>
#include <ctime>

#include "base/text.hpp"

namespace pgweir::tools::top {

namespace {

constexpr std::chrono::seconds kPatience(5);  // for a connection, and for each answer

// The order in which they are asked; the counters come together.
constexpr std::array<const char*, 12> kTopics = {"VERSION",   "CONFIG",       "STATE", "LISTS",   "USERS", "DATABASES",
                                                 "LATENCIES", "TRANSACTIONS", "WAITS", "WORKERS", "STATS", "POOLS"};
constexpr std::array<const char*, 2> kSocketTopics = {"SERVERS", "CLIENTS"};

std::string time_of_day() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::localtime_r(&now, &parts);
  std::array<char, 16> text{};
  std::strftime(text.data(), text.size(), "%H:%M:%S", &parts);
  return text.data();
}

int64_t forward_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now().time_since_epoch()).count();
}

}  // namespace

Clock::time_point Sampler::due() const {
  const bool waits = link_.state() == Link::State::kConnecting || link_.state() == Link::State::kAsking;
  return waits ? link_.deadline() : due_;
}

void Sampler::ask_next() {
  link_.ask(cat("SHOW ", left_.back()), Clock::now() + kPatience);
}

std::optional<Sample> Sampler::step() {
  const bool asked = link_.state() == Link::State::kAsking;
  const bool connecting = link_.state() == Link::State::kConnecting;
  link_.step();
  switch (link_.state()) {
    case Link::State::kReady:
      if (asked) return take_answer();
      if (!connecting && Clock::now() < due_) return std::nullopt;
      left_.clear();
      if (sockets_) left_.assign(kSocketTopics.begin(), kSocketTopics.end());
      for (size_t at = kTopics.size(); at-- > 0;)
        if (unknown_.count(kTopics[at]) == 0) left_.emplace_back(kTopics[at]);
      sample_ = Sample();
      ask_next();
      break;
    case Link::State::kFailed:
      if (asked || connecting) return finish(link_.failure());
      [[fallthrough]];
    case Link::State::kClosed:
      if (Clock::now() < due_) return std::nullopt;
      unknown_.clear();
      link_.connect(Clock::now() + kPatience);
      if (link_.state() == Link::State::kFailed) return finish(link_.failure());
      break;
    default: break;
  }
  return std::nullopt;
}

std::optional<Sample> Sampler::take_answer() {
  const std::string topic = left_.back();
  left_.pop_back();
  if (link_.answer()) {
    sample_.tables[topic] = *link_.answer();
    if (topic == "STATS") sample_.at_us = forward_us();
  } else if (topic == "POOLS") {
    refused_ = true;
    const std::string why = link_.answer().error().message;
    link_.close();
    return finish(cat("SHOW POOLS: ", why));
  } else {
    unknown_.insert(topic);
  }
  if (left_.empty()) return finish("");
  ask_next();
  return std::nullopt;
}

Sample Sampler::finish(std::string failure) {
  due_ = Clock::now() + interval_;
  refused_ = refused_ && !failure.empty();
  Sample out = std::move(sample_);
  sample_ = Sample();
  if (!failure.empty()) out = Sample();
  out.failure = std::move(failure);
  out.clock = time_of_day();
  if (out.at_us == 0) out.at_us = forward_us();
  return out;
}

}  // namespace pgweir::tools::top
