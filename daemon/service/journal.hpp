// The journal as a sink of its own: entries with fields, as datagrams in journald's native protocol. Promises: a write
// never waits (a journal that stands still costs records, counted and told of later); no text can bring a field of its
// own; a storm of like records is summed up (service/log_rate.hpp).
// Each entry has MESSAGE, PRIORITY, SYSLOG_FACILITY, SYSLOG_IDENTIFIER, PGWEIR_KIND and MESSAGE_ID where its kind has
// one, and the record's fields with PGWEIR_ in front.
#pragma once

#include <memory>
#include <string>

#include "base/log.hpp"

namespace pgweir::service {

inline constexpr const char* kJournalSocket = "/run/systemd/journal/socket";

// The bytes of one entry.
std::string journal_entry(const LogRecord& record);
// `socket`: where journald listens; it may come and go. At its end the sink writes the sums that are still due.
std::unique_ptr<LogSink> journal_sink(const std::string& socket = kJournalSocket);

}  // namespace pgweir::service
