// How long things took in one worker's part of a pool; read in the worker's own thread. A kind that has not happened
// has no memory.
#pragma once

#include <array>
#include <memory>

#include "base/histogram.hpp"

namespace pgweir::session {

enum class Took : uint8_t {
  kQuery,        // from a request's first message to its ReadyForQuery
  kTransaction,  // from its first request to the ReadyForQuery that ends it
  kWait,         // of a client for a server, or for a pool's first
  kConnect,      // of a server: connecting and logging in
  kLogin,        // of a client: from its connection to its greeting
};
inline constexpr std::array<const char*, 5> kTookNames = {"query", "transaction", "wait", "connect", "login"};

class Latencies {
 public:
  void add(Took what, Micros time) {
    auto& histogram = all_[static_cast<size_t>(what)];
    if (!histogram) histogram = std::make_unique<Histogram>();
    histogram->add(time);
  }
  // Null: it has not happened.
  const Histogram* of(Took what) const { return all_[static_cast<size_t>(what)].get(); }

 private:
  std::array<std::unique_ptr<Histogram>, kTookNames.size()> all_;
};

}  // namespace pgweir::session
