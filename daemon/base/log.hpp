// The log as the rooms see it: a Logger that takes records and hands them to sinks. Where records go (standard error,
// file, syslog, journal) is service/'s business. Thread safe; a record costs nothing when its level is off.
#pragma once

#include <atomic>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

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
};

class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual void write(const LogRecord& record) = 0;  // called by any thread, one at a time
  virtual void reopen() {}
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

  void write(Level level, std::string_view text, std::initializer_list<LogField> fields = {});

  void fatal(std::string_view text) { write(Level::kFatal, text); }
  void error(std::string_view text) { write(Level::kError, text); }
  void warning(std::string_view text) { write(Level::kWarning, text); }
  void log(std::string_view text) { write(Level::kLog, text); }
  void debug(std::string_view text) { write(Level::kDebug, text); }

 private:
  struct Sinks;
  std::unique_ptr<Sinks> sinks_;
  std::atomic<int> limit_{static_cast<int>(Level::kLog)};
};

}  // namespace pgweir
