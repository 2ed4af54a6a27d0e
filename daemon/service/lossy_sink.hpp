// What sinks have in common that lose records when nobody takes them: a record about how many were lost, in front of
// the first one that is not, or by itself within a second when none comes.
#pragma once

#include <string>

#include "base/event.hpp"
#include "base/log.hpp"
#include "base/text.hpp"

namespace pgweir::service {

class LossySink : public LogSink {
 public:
  void write(const LogRecord& record) override {
    confess();
    if (lost_ > 0 || !put(record)) ++lost_;
  }
  void tick() override { confess(); }
  unsigned long untold() const override { return lost_; }

 private:
  virtual bool put(const LogRecord& record) = 0;  // false: lost

  void confess() {
    if (lost_ == 0) return;
    const std::string text = cat(lost_, " log lines were lost here: nobody took them");
    const std::string number = std::to_string(lost_);
    const LogField field{"LOST", number};
    if (put(LogRecord{Level::kWarning, text, &field, 1, name_of(Event::kLogLost)})) lost_ = 0;
  }

  unsigned long lost_ = 0;
};

}  // namespace pgweir::service
