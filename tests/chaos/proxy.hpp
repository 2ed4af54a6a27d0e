// The bad network between pgweir and PostgreSQL. Each connection gets a character of its own, by the seed: bytes go in
// slices, late, with stalls; it is cut in the middle of a message, politely or not; and, when asked for, one message of
// its server is broken (corrupt.hpp), upon which pgweir must close it. One thread, poll().
// A cancel request keeps its one promise: when pgweir sees its end, PostgreSQL has ended it.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "corrupt.hpp"
#include "harness.hpp"

namespace chaos {

struct ProxyTally {
  std::atomic<uint64_t> connections{0};
  std::atomic<uint64_t> cancels{0};  // cancel requests that came through here
  std::atomic<uint64_t> slices{0};
  std::atomic<uint64_t> stalls{0};
  std::atomic<uint64_t> cuts{0};
  std::atomic<uint64_t> corrupted{0};
  std::atomic<uint64_t> unnoticed{0};  // pgweir went on using a connection whose server had broken the protocol
};

class Proxy {
 public:
  explicit Proxy(const Options& options);
  ~Proxy();
  bool listening() const { return listener_ >= 0; }
  void run(const std::atomic<bool>& stop);
  const ProxyTally& tally() const { return tally_; }

 private:
  struct Way {
    std::string bytes;
    int64_t not_before = 0;  // microseconds; nothing is written earlier
    bool ended = false;      // the sender has said all
    bool closed = false;     // and the receiver knows
  };
  struct Pair {
    int pooler = -1;
    int server = -1;
    bool connecting = true;
    Way up;    // pooler to server
    Way down;  // server to pooler
    // Character.
    size_t slice = 0;       // at most so many bytes a write; 0: no slicing
    int64_t delay = 0;      // at most so many microseconds between two writes
    uint64_t stall_in = 0;  // writes until a stall; 0: never
    uint64_t cut_in = 0;    // writes until the cut; 0: never
    bool known = false;     // its first bytes have been seen
    bool cancel = false;
    Corruptor corruptor;
    int64_t corrupted_at = 0;  // when pgweir had got the broken message
    bool judged = false;
    bool gone = false;
  };

  void accept_one();
  void take(Pair& pair, Way& way, int from, bool down);
  void give(Pair& pair, Way& way, int to, bool down, int64_t now);
  void turn(Pair& pair, short pooler, short server, int64_t now);
  void cut(Pair& pair);
  void judge(Pair& pair, int64_t now);
  void end(Pair& pair);
  uint64_t pick(uint64_t most) { return random_() % most; }

  const Options& options_;
  ProxyTally tally_;
  std::mt19937_64 random_;
  int listener_ = -1;
  std::vector<std::unique_ptr<Pair>> pairs_;
};

}  // namespace chaos
