#include "service/log_setup.hpp"

#include <unistd.h>

#include <utility>
#include <vector>

#include "service/journal.hpp"
#include "service/log_sinks.hpp"

namespace pgweir::service {

namespace {

class SharedSink final : public LogSink {
 public:
  explicit SharedSink(std::shared_ptr<LogSink> sink) : sink_(std::move(sink)) {}
  void write(const LogRecord& record) override { sink_->write(record); }
  void reopen() override { sink_->reopen(); }
  void tick() override { sink_->tick(); }
  bool keeps_fields() const override { return sink_->keeps_fields(); }
  unsigned long untold() const override { return sink_->untold(); }

 private:
  std::shared_ptr<LogSink> sink_;
};

Level limit_of(long verbose) {
  return verbose >= 2 ? Level::kNoise : verbose == 1 ? Level::kDebug : Level::kLog;
}

}  // namespace

Result<void> LogSetup::apply(const settings::Global* global) {
  std::vector<std::unique_ptr<LogSink>> sinks;
  const std::string journal = global ? global->journal : "auto";
  const bool instead = to_stderr_ && journal == "auto" && stderr_is_journal() && ::access(kJournalSocket, W_OK) == 0;
  if (to_stderr_ && !instead) sinks.push_back(stream_sink(STDERR_FILENO, stderr_is_journal()));
  keep_journal(instead ? kJournalSocket : to_stderr_ && journal[0] == '/' ? journal : "");
  if (journal_) sinks.push_back(std::make_unique<SharedSink>(journal_));
  Result<void> opened;
  if (global) {
    if (global->syslog) sinks.push_back(syslog_sink(global->syslog_ident, global->syslog_facility));
    opened = open_file(global->logfile);
    if (file_) sinks.push_back(std::make_unique<SharedSink>(file_));
  }
  log_.set_limit(limit_of(global ? static_cast<long>(global->verbose) : verbose_));
  log_.set_sinks(std::move(sinks));
  return opened;
}

// The same one as long as it goes to the same place: it knows what it has lost and what it has held back.
void LogSetup::keep_journal(const std::string& path) {
  if (path == journal_path_) return;
  journal_path_ = path;
  journal_ = path.empty() ? nullptr : std::shared_ptr<LogSink>(journal_sink(path));
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
