// A connection to the console that never makes its user wait: each step is taken when the descriptor is ready.
// Simple queries, one after the other, because the console takes no others. libpq looks up host names, and waits for
// that.
#pragma once

#include <libpq-fe.h>
#include <poll.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "tools/top/sample.hpp"

namespace pgweir::tools::top {

using Clock = std::chrono::steady_clock;

// A connection string of the user with what the console needs where he says nothing: port 6432, database pgweir, the
// directory of pgweir's socket.
struct Target {
  std::vector<std::pair<std::string, std::string>> parameters;
  std::string where;   // for people
  bool local = false;  // the same machine
  bool probe = false;  // only whether anybody answers is of interest: failures tell their SQLSTATE, too
};
Result<Target> find_target(const std::string& conninfo);

class Link {
 public:
  enum class State { kClosed, kConnecting, kReady, kAsking, kFailed };

  explicit Link(Target target) : target_(std::move(target)) {}

  // From kClosed or kFailed; the outcome is kReady or kFailed.
  void connect(Clock::time_point deadline);
  // From kReady; back to kReady with an answer, or to kFailed.
  void ask(const std::string& command, Clock::time_point deadline);
  void close();

  pollfd wanted() const;  // fd -1: nothing is waited for
  void step();            // something happened, or time has passed

  State state() const { return state_; }
  const std::string& failure() const { return failure_; }
  bool needs_password() const { return needs_password_; }  // that is why it failed
  Clock::time_point deadline() const { return deadline_; }
  // The answer to the last command: a table, or why there is none.
  const Result<Table>& answer() const { return answer_; }

 private:
  struct Finish {
    void operator()(PGconn* connection) const { PQfinish(connection); }
  };

  void fail(std::string why);
  void step_connect();
  void step_ask();

  Target target_;
  std::unique_ptr<PGconn, Finish> connection_;
  State state_ = State::kClosed;
  short events_ = 0;
  Clock::time_point deadline_;
  std::string failure_;
  bool needs_password_ = false;
  Result<Table> answer_ = Table();
};

// A host of this machine, as it is written in a connection string.
bool is_local(std::string_view host);

}  // namespace pgweir::tools::top
