// Where log records go: standard error, a file, syslog. Lines are whole, in PgBouncer's layout (compat/config_file.md
// section 11); on a standard error that is the journal they carry a priority instead of time and level.
// Promises: a record costs one write; a full pipe loses it rather than stop the pooler.
#pragma once

#include <memory>
#include <string>

#include "base/log.hpp"
#include "base/result.hpp"

namespace pgweir::service {

// "2026-01-31 12:00:00.123 UTC [4711] LOG text\n", embedded newlines followed by a tab.
std::string log_line(const LogRecord& record);
// "<6>text\n"
std::string journal_line(const LogRecord& record);
// Whether standard error is connected to the journal (JOURNAL_STREAM names its device and inode).
bool stderr_is_journal();

std::unique_ptr<LogSink> stderr_sink(bool to_journal);
// Error: "Cannot open logfile: 'PATH': REASON". `reopen` keeps the old file when the new one cannot be opened.
Result<std::unique_ptr<LogSink>> file_sink(const std::string& path);
std::unique_ptr<LogSink> syslog_sink(const std::string& ident, const std::string& facility);

}  // namespace pgweir::service
