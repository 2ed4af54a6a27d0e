// What is kept of a client so that a slow query or transaction can be told of: its last wait, and the texts of what
// runs, when they are wanted. Plain data; made only while log_slow_queries or log_slow_transactions is set. Promises: a
// text is cut, and that of a statement that may hold a secret is not kept at all.
#pragma once

#include <deque>
#include <string>

#include "base/bytes.hpp"
#include "pool/wait_log.hpp"

namespace pgweir::session {

inline constexpr size_t kMostQueryText = 1024;

// As it may be logged: cut, or what stands for a text that may hold a secret.
std::string query_text(ByteView sql);

struct SlowNotes {
  struct Wait {
    Micros from = 0;
    Micros until = 0;
    pool::WaitLog::Shares shares{};
  } wait;

  const void* since = nullptr;      // the settings that texts are noted under
  bool in_step = false;             // each of `running` belongs to an answer that is owed
  std::string open;                 // text of the query that is being sent: the first of its statements
  std::deque<std::string> running;  // ... of those that have been sent whole, the oldest in front
  std::string slowest;              // of the open transaction
  Micros slowest_took = -1;
};

}  // namespace pgweir::session
