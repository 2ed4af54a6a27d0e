#include "base/log.hpp"

#include <mutex>

namespace pgweir {

const char* level_name(Level level) {
  static constexpr const char* kNames[] = {"FATAL", "ERROR", "WARNING", "LOG", "DEBUG", "NOISE"};
  return kNames[static_cast<int>(level)];
}

struct Logger::Sinks {
  std::mutex mutex;
  std::vector<std::unique_ptr<LogSink>> all;
};

Logger::Logger() : sinks_(std::make_unique<Sinks>()) {}
Logger::~Logger() = default;

void Logger::set_sinks(std::vector<std::unique_ptr<LogSink>> sinks) {
  std::lock_guard lock(sinks_->mutex);
  sinks_->all = std::move(sinks);
}

void Logger::reopen() {
  std::lock_guard lock(sinks_->mutex);
  for (auto& sink : sinks_->all)
    sink->reopen();
}

void Logger::write(Level level, std::string_view text, std::initializer_list<LogField> fields) {
  if (!wants(level)) return;
  LogRecord record{level, text, fields.begin(), fields.size()};
  std::lock_guard lock(sinks_->mutex);
  for (auto& sink : sinks_->all)
    sink->write(record);
}

}  // namespace pgweir
