// How long a server may be busy without a client, by what keeps it busy. The coroutines end by themselves at these
// limits; upkeep (closing.hpp, end_overdue) closes a server that is still busy kGrace later, so that no mistake of ours
// holds a slot for ever.
#pragma once

#include <algorithm>

#include "session/hub.hpp"

namespace pgweir::session {

inline constexpr Micros kErrandPatience = 60 * kSecond;  // a reset or check query
inline constexpr Micros kLongestCancel = 10 * kSecond;   // a cancel request, where cancel_wait_timeout is off
inline constexpr Micros kClosingPatience = 2 * kSecond;  // Terminate sent; PostgreSQL's end of the stream is awaited
inline constexpr Micros kGrace = 5 * kSecond;

inline Micros cancel_limit(const settings::Global& global) {
  return global.cancel_wait_timeout > 0 ? global.cancel_wait_timeout : kLongestCancel;
}

// `server` is busy from now on, for at most `limit` (0 or less: for as long as it takes).
inline void expect_end(Hub& hub, Server& server, Micros limit) {
  server.overdue_at = limit > 0 ? deadline_after(hub.now(), deadline_after(limit, kGrace)) : kNever;
}

}  // namespace pgweir::session
