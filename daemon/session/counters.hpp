// Plain counters of one worker, one set a pool; summed by whoever reads them (on the worker's own thread). Names and
// meanings: SHOW STATS in compat/show_columns.tsv. Times in microseconds, since start.
#pragma once

#include <cstdint>

namespace pgweir::session {

struct Counters {
  uint64_t server_assignments = 0;
  uint64_t xacts = 0;
  uint64_t queries = 0;
  uint64_t received = 0;  // bytes from clients
  uint64_t sent = 0;      // bytes to clients
  uint64_t xact_time = 0;
  uint64_t query_time = 0;
  uint64_t wait_time = 0;
  uint64_t client_parses = 0;  // named Parse messages from clients
  uint64_t server_parses = 0;  // named Parse messages to servers
  uint64_t binds = 0;
  uint64_t client_logins = 0;
  uint64_t slow_queries = 0;  // log_slow_queries
  uint64_t slow_xacts = 0;    // log_slow_transactions

  Counters& operator+=(const Counters& other) {
    server_assignments += other.server_assignments;
    xacts += other.xacts;
    queries += other.queries;
    received += other.received;
    sent += other.sent;
    xact_time += other.xact_time;
    query_time += other.query_time;
    wait_time += other.wait_time;
    client_parses += other.client_parses;
    server_parses += other.server_parses;
    binds += other.binds;
    client_logins += other.client_logins;
    slow_queries += other.slow_queries;
    slow_xacts += other.slow_xacts;
    return *this;
  }
};

}  // namespace pgweir::session
