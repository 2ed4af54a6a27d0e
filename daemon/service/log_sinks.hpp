// Where log records go: standard error, a file, syslog. Lines are whole, in PgBouncer's layout (compat/config_file.md
// section 11); on a standard error that is the journal they carry a priority instead of time and level.
// Promises: a record costs one write; nobody waits long for a reader that has stopped: records are lost instead,
// counted, and told of when the reader is back. Nothing in a record can look like a record of its own.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/log.hpp"
#include "base/result.hpp"

namespace pgweir::service {

// Longest line, in bytes: what a pipe takes in one piece (PIPE_BUF). Longer texts are cut and end in " [cut]".
inline constexpr size_t kLongestLine = 4096;

// "2026-01-31 12:00:00.123 UTC [4711] LOG text\n". Embedded newlines are followed by a tab; other control characters,
// which could rewrite what a terminal shows, become '?'.
std::string log_line(const LogRecord& record);
// "<6>text\n". Embedded newlines repeat the priority, or the journal would give their lines another one.
std::string journal_line(const LogRecord& record);
// A datagram for /dev/log: "<30>Jan 31 12:00:00 IDENT[4711]: text".
std::string syslog_line(const LogRecord& record, std::string_view ident, int facility);
// Of syslog and the journal: LOG_CRIT and so on.
int syslog_priority(Level level);
// As in the lines above: newline and tab, no other control characters; and what is no UTF-8 becomes '?'.
std::string plain_text(std::string_view text);
// Whether standard error is connected to the journal (JOURNAL_STREAM names its device and inode).
bool stderr_is_journal();
// Of a process that checks or asks and then ends: "text\n" to standard error, with the level's priority when that is
// the journal. Not by the journal's own protocol, as the daemon: journald would ask after the unit of a process that is
// gone.
void complain(Level level, std::string_view text);
// LOG_DAEMON and so on; LOG_DAEMON for a name that is none.
int syslog_facility(const std::string& name);

// Writes lines to a descriptor that may be a pipe nobody reads: waits `patience` milliseconds for the first line that
// does not fit, then not at all, until one fits again.
class LineWriter {
 public:
  explicit LineWriter(int patience = 20) : patience_(patience) {}
  // False: lost.
  bool write(int fd, std::string_view line);

 private:
  int patience_;
  bool stuck_ = false;
  bool torn_ = false;  // the reader has got the head of a line that was lost
};

// Does not own `fd`.
std::unique_ptr<LogSink> stream_sink(int fd, bool to_journal);
// Error: "Cannot open logfile: 'PATH': REASON". `reopen` keeps the old file when the new one cannot be opened.
Result<std::unique_ptr<LogSink>> file_sink(const std::string& path);
// Never DEBUG or NOISE. `socket` is where the daemon of syslog listens (datagrams); it may come and go.
std::unique_ptr<LogSink> syslog_sink(const std::string& ident, const std::string& facility,
                                     const std::string& socket = "/dev/log");

}  // namespace pgweir::service
