// Asks PostgreSQL itself whether it answers, where pgweir has no server that would prove it. It only knocks: without a
// password, and it leaves as soon as it has got any answer. It never waits.
#pragma once

#include <poll.h>
#include <map>
#include <optional>
#include <vector>

#include "tools/top/link.hpp"
#include "tools/top/model.hpp"

namespace pgweir::tools::top {

class Prober {
 public:
  // `local`: the console is on this machine, so its local addresses are ours.
  explicit Prober(bool local) : local_(local) {}

  void look_at(const Picture& picture);  // knocks where that is of use, at most every two seconds each
  bool step();                           // true: something new is known

  std::vector<Probe> results() const;
  std::vector<pollfd> wanted() const;
  std::optional<Clock::time_point> due() const;
  bool busy() const { return due().has_value(); }

 private:
  struct Door {
    std::unique_ptr<Link> link;  // while somebody knocks
    std::optional<Probe> result;
    Clock::time_point last;
  };

  bool local_;
  std::map<std::string, Door> doors_;  // by database
};

// What the outcome of a knock means: SQLSTATE 57P03 (starting, stopping) is no, every other answer of a server is yes.
Probe judge_knock(const std::string& database, bool connected, bool needs_password, const std::string& failure);

}  // namespace pgweir::tools::top
