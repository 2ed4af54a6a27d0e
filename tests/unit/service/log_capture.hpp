// Test helper: a log sink that keeps what it gets.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/log.hpp"

namespace pgweir::service {

class Capture final : public LogSink {
 public:
  using Records = std::vector<std::pair<Level, std::string>>;
  explicit Capture(std::shared_ptr<Records> records) : records_(std::move(records)) {}
  void write(const LogRecord& record) override { records_->emplace_back(record.level, record.text); }

  static std::shared_ptr<Records> attach(Logger& log) {
    auto records = std::make_shared<Records>();
    std::vector<std::unique_ptr<LogSink>> sinks;
    sinks.push_back(std::make_unique<Capture>(records));
    log.set_sinks(std::move(sinks));
    return records;
  }

 private:
  std::shared_ptr<Records> records_;
};

}  // namespace pgweir::service
