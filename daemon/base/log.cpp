#include "base/log.hpp"

#include <utility>

#include "base/mutex.hpp"

namespace pgweir {

const char* level_name(Level level) {
  static constexpr const char* kNames[] = {"FATAL", "ERROR", "WARNING", "LOG", "DEBUG", "NOISE"};
  return kNames[static_cast<int>(level)];
}

struct Logger::Sinks {
  Mutex mutex;
  std::vector<std::unique_ptr<LogSink>> all;
};

Logger::Logger() : sinks_(std::make_unique<Sinks>()) {}
Logger::~Logger() = default;

void Logger::set_sinks(std::vector<std::unique_ptr<LogSink>> sinks) {
  bool keeps = false;
  for (const auto& sink : sinks)
    keeps = keeps || sink->keeps_fields();
  std::vector<std::unique_ptr<LogSink>> old;  // ends outside the lock
  std::lock_guard lock(sinks_->mutex);
  old = std::exchange(sinks_->all, std::move(sinks));
  keeps_fields_.store(keeps, std::memory_order_relaxed);
}

void Logger::reopen() {
  std::lock_guard lock(sinks_->mutex);
  for (auto& sink : sinks_->all)
    sink->reopen();
}

void Logger::tick() {
  std::lock_guard lock(sinks_->mutex);
  for (auto& sink : sinks_->all)
    sink->tick();
}

unsigned long Logger::untold() {
  std::lock_guard lock(sinks_->mutex);
  unsigned long count = 0;
  for (const auto& sink : sinks_->all)
    count += sink->untold();
  return count;
}

void Logger::write(const LogRecord& record) {
  if (!wants(record.level)) return;
  std::lock_guard lock(sinks_->mutex);
  for (auto& sink : sinks_->all)
    sink->write(record);
}

}  // namespace pgweir
