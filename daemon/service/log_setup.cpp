#include "service/log_setup.hpp"

#include <unistd.h>

#include <utility>
#include <vector>

#include "service/log_sinks.hpp"

namespace pgweir::service {

namespace {

class SharedSink final : public LogSink {
 public:
  explicit SharedSink(std::shared_ptr<LogSink> sink) : sink_(std::move(sink)) {}
  void write(const LogRecord& record) override { sink_->write(record); }
  void reopen() override { sink_->reopen(); }

 private:
  std::shared_ptr<LogSink> sink_;
};

// `verbose` of the file beats -v (compat/config_file.md, section 6).
Level limit_of(long verbose) {
  return verbose >= 2 ? Level::kNoise : verbose == 1 ? Level::kDebug : Level::kLog;
}

}  // namespace

Result<void> LogSetup::apply(const settings::Global* global) {
  std::vector<std::unique_ptr<LogSink>> sinks;
  if (to_stderr_) sinks.push_back(stream_sink(STDERR_FILENO, stderr_is_journal()));
  long verbose = verbose_;
  Result<void> opened;
  if (global) {
    if (global->verbose > 0) verbose = static_cast<long>(global->verbose);
    if (global->syslog) sinks.push_back(syslog_sink(global->syslog_ident, global->syslog_facility));
    opened = open_file(global->logfile);
    if (file_) sinks.push_back(std::make_unique<SharedSink>(file_));
  }
  log_.set_limit(limit_of(verbose));
  log_.set_sinks(std::move(sinks));
  return opened;
}

Result<void> LogSetup::open_file(const std::string& path) {
  if (path.empty()) {
    file_.reset();
  } else {
    auto opened = file_sink(path);
    if (!opened) return opened.error();
    file_ = opened.take();
  }
  return {};
}

}  // namespace pgweir::service
