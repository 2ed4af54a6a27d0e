// Takes samples: connects, asks the console topic by topic, and connects anew when the connection is lost.
// It never waits; whoever owns it polls for it. A topic that this console does not know is asked for once a connection.
#pragma once

#include <optional>
#include <set>

#include "tools/top/link.hpp"
#include "tools/top/sample.hpp"

namespace pgweir::tools::top {

class Sampler {
 public:
  Sampler(const Target& target, int64_t interval_ms) : link_(target), interval_(interval_ms) {}

  // SHOW CLIENTS and SHOW SERVERS from now on, too.
  void want_sockets(bool want) { sockets_ = want; }
  void hurry() { due_ = Clock::now(); }  // do not wait for the interval to pass

  // A finished sample, once; a failure is one, too.
  std::optional<Sample> step();

  pollfd wanted() const { return link_.wanted(); }
  Clock::time_point due() const;             // when step() must be called though nothing is ready
  bool refused() const { return refused_; }  // connected, but the console does not answer SHOW POOLS

 private:
  std::optional<Sample> take_answer();
  Sample finish(std::string failure);
  void ask_next();

  Link link_;
  std::chrono::milliseconds interval_;
  bool sockets_ = false;
  bool refused_ = false;
  Clock::time_point due_ = Clock::now();
  std::vector<std::string> left_;  // topics to ask, the next one last
  std::set<std::string> unknown_;
  Sample sample_;
};

}  // namespace pgweir::tools::top
