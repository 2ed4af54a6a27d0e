// The books of waiting: a wait for a server that has ended is counted, divided by its causes, and logged when it was
// long. Promises: the causes of a pool add up to its part of total_wait_time. Does not: decide why anybody waits
// (pool/pool.cpp).
#pragma once

#include "session/hub.hpp"

namespace pgweir::session {

// The client's wait for a server of that pool is over.
void book_wait(Hub& hub, Client& client, LocalPool& pool);

// The login has its answer from auth_query. All of its wait, for a server of `pool` to ask and for the answer, has the
// cause auth_query: what stood in the way of that server stands in the log's line. Returns how long it was.
Micros book_lookup(Hub& hub, Client& client, LocalPool& pool, const PendingLookup& lookup);

// The pool's only while its user is looked up: it has not logged in.
inline bool is_guest(const Client& client) {
  return client.extras && client.extras->guest;
}

// Of the pool's waiting client: why it waits now.
pool::Cause cause_of(const Client& client);

// Longer than query_wait_notify says, which may be 0: never.
bool is_long_wait(const LocalPool& pool, Micros took);

}  // namespace pgweir::session
