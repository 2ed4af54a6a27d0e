// The log as the rooms see it: a Logger that takes records and hands them to sinks. Where records go (standard error,
// file, syslog, journal) is service/'s business. Thread safe; a record costs nothing when its level is off.
#pragma once

#include <atomic>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/event.hpp"

namespace pgweir {

// In the order of urgency; the names are PgBouncer's (compat/config_file.md, section 11).
enum class Level : int { kFatal, kError, kWarning, kLog, kDebug, kNoise };
const char* level_name(Level level);

// A fact about the record for sinks that keep fields (the journal): names are upper case, "CLIENT_ADDR".
struct LogField {
  std::string_view name;
  std::string_view value;
};

struct LogRecord {
  Level level;
  std::string_view text;   // one message, prefix "C-0x...: db/user@host:port " included
  const LogField* fields;  // may be null
  size_t field_count;
  std::string_view kind = {};  // name_of(Event) or a close reason's name; empty: none. Lives for ever
};

class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual void write(const LogRecord& record) = 0;  // called by any thread, one at a time
  virtual void reopen() {}
  virtual void tick() {}  // about once a second
  virtual bool keeps_fields() const { return false; }
  virtual unsigned long untold() const { return 0; }  // records that were lost and that no record tells of yet
};

class Logger {
 public:
  Logger();
  ~Logger();
  Logger(const Logger&) = delete;
  Logger& operator=(const Logger&) = delete;

  bool wants(Level level) const { return static_cast<int>(level) <= limit_.load(std::memory_order_relaxed); }
  void set_limit(Level least_urgent) { limit_.store(static_cast<int>(least_urgent), std::memory_order_relaxed); }

  // Replaces the sinks; until the first call records go nowhere.
  void set_sinks(std::vector<std::unique_ptr<LogSink>> sinks);
  void reopen();
  void tick();
  unsigned long untold();  // of all sinks
  // Whether a sink wants the fields of a record: who has none to keep them need not make any.
  bool keeps_fields() const { return keeps_fields_.load(std::memory_order_relaxed); }

  void write(const LogRecord& record);
  void write(Level level, Event event, std::string_view text, std::initializer_list<LogField> fields = {}) {
    write({level, text, fields.begin(), fields.size(), name_of(event)});
  }

  void fatal(Event event, std::string_view text) { write(Level::kFatal, event, text); }
  void error(Event event, std::string_view text) { write(Level::kError, event, text); }
  void warning(Event event, std::string_view text) { write(Level::kWarning, event, text); }
  void log(Event event, std::string_view text) { write(Level::kLog, event, text); }
  void debug(std::string_view text) { write({Level::kDebug, text, nullptr, 0}); }  // of no kind

 private:
  struct Sinks;
  std::unique_ptr<Sinks> sinks_;
  std::atomic<bool> keeps_fields_{false};
  std::atomic<int> limit_{static_cast<int>(Level::kLog)};
};

}  // namespace pgweir
