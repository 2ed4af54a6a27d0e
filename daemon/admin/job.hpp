// A console command on its way: asked on the console client's worker, planned and finished by the Director, its rows
// gathered from every worker. Plain data; whoever has it last opens the gate.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "admin/columns.hpp"
#include "admin/grammar.hpp"
#include "admin/rows.hpp"
#include "net/wait.hpp"

namespace pgweir::admin {

// How a command ended.
struct Outcome {
  bool ok = true;
  bool silent = false;               // SHUTDOWN: the connection just closes
  std::string tag;                   // CommandTag
  std::string sqlstate;              // of an error
  std::string text;                  // of an error
  std::vector<std::string> notices;  // NoticeResponse texts, sent before the tag
  std::string detail;                // of a notice (HELP)
  const Columns* columns = nullptr;  // set: a result set
  Rows rows;
};

struct Job {
  Command command;
  char rights = 0;      // 'a' admin, 's' stats
  unsigned worker = 0;  // where the asking client lives
  uint32_t client_id = 0;
  std::vector<Rows> parts;  // one a worker
  std::atomic<int> due{0};  // workers that have not answered
  Outcome outcome;
  bool finished = false;  // outcome is complete; written before the gate opens, on the asking worker
  net::Gate done;         // of the asking worker's loop
};

// Where console clients hand their commands in. Implemented by workers/; called on a worker's thread.
class Office {
 public:
  virtual ~Office() = default;
  virtual void submit(std::shared_ptr<Job> job) = 0;  // job->finished and job->done follow, on this worker
  virtual void cancel_console() = 0;  // a cancel request with a console client's key: ends a global PAUSE
};

}  // namespace pgweir::admin
