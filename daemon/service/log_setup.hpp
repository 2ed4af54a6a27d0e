// Which sinks and which verbosity hold, from the command line and the settings; applied at start, at every reload and
// after SET. Promises: a log file that cannot be opened costs nobody the log that is there.
#pragma once

#include <memory>
#include <string>

#include "base/log.hpp"
#include "base/result.hpp"
#include "settings/snapshot.hpp"

namespace pgweir::service {

class LogSetup {
 public:
  // `to_stderr`: without -q. `verbose`: how many -v.
  LogSetup(Logger& log, bool to_stderr, int verbose) : log_(log), to_stderr_(to_stderr), verbose_(verbose) {}
  // Makes the sinks anew, which also reopens the log file. `global` may be null: before the settings are read.
  // Error: the log file; the file that was open before stays in use, and everything else is as `global` wants it.
  Result<void> apply(const settings::Global* global);
  // A daemon has no standard error.
  void leave_stderr() { to_stderr_ = false; }

 private:
  Result<void> open_file(const std::string& path);
  void keep_journal(const std::string& path);  // empty: none

  Logger& log_;
  bool to_stderr_;
  int verbose_;
  std::string journal_path_;
  std::shared_ptr<LogSink> journal_;
  std::shared_ptr<LogSink> file_;  // shared with the logger, so that it survives a failure to open another one
};

}  // namespace pgweir::service
