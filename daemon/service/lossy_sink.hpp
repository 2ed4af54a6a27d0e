// What sinks have in common that lose records when nobody takes them: a line about how many were lost, in front of the
// first one that is not.
#pragma once

#include <string>

#include "base/event.hpp"
#include "base/log.hpp"
#include "base/text.hpp"

namespace pgweir::service {

class LossySink : public LogSink {
 public:
  void write(const LogRecord& record) override {
    if (lost_ > 0) {
      std::string text = cat(lost_, " log lines were lost here: nobody took them");
      if (put(LogRecord{Level::kWarning, text, nullptr, 0, name_of(Event::kLogLost)})) lost_ = 0;
    }
    if (lost_ > 0 || !put(record)) ++lost_;
  }

 private:
  virtual bool put(const LogRecord& record) = 0;  // false: lost
  unsigned long lost_ = 0;
};

}  // namespace pgweir::service
