// Slow queries and transactions (log_slow_queries, log_slow_transactions, log_slow_texts): how they are noticed and
// what the log says of them. What a query is, and when its time begins, is what SHOW STATS counts. Promises: while they
// are off a query pays three comparisons; of a storm kMostSlowLines in kSlowWindow are told for each pool of a worker,
// the rest in one line.
#pragma once

#include "session/hub.hpp"

namespace pgweir::session {

// It has waited for a server, from `start` on.
void note_wait(Client& client, Micros start, const pool::WaitLog::Shares& shares, Micros took);

// Texts: that a message is at hand (`alone`: nothing is owed yet; `fresh`: or nothing but what was said to
// the server before it), what it says, that it was a query's last.
void note_message(Hub& hub, Client& client, bool alone, bool fresh);
void note_text(Client& client, ByteView sql);
void note_sent(Client& client);
void slow_answer(Hub& hub, Client& client, Micros query_took, Micros transaction_took);  // < 0: there is none

// To be called now and then: the lines that were held back.
void settle_slow(Hub& hub, LocalPool& pool, Micros now);

// At a ReadyForQuery, the only call on the hot path.
inline void answered(Hub& hub, Client& client, Micros query_took, Micros transaction_took) {
  const pool::Rules& rules = client.local_pool->rules();
  if (query_took >= rules.slow_query || transaction_took >= rules.slow_transaction || rules.slow_texts) [[unlikely]]
    slow_answer(hub, client, query_took, transaction_took);
}

}  // namespace pgweir::session
