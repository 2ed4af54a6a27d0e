// The settings that one pool goes by, worked out once per snapshot (user beats database beats global), so that no hot
// path looks anything up.
#pragma once

#include <string>

#include "base/clock.hpp"
#include "pool/shared.hpp"
#include "settings/snapshot.hpp"

namespace pgweir::pool {

struct Rules {
  settings::PoolMode mode = settings::PoolMode::kSession;
  bool round_robin = false;
  bool fast_close = false;
  std::string reset_query;     // run on release; empty: none (mode and server_reset_query_always are worked in)
  std::string check_query;     // empty: no check
  bool checks = false;         // check_query counts
  Micros check_delay = 0;      // 0: always check
  Micros server_lifetime = 0;  // 0: used once
  Micros server_idle_timeout = 0;
  Micros query_timeout = 0;
  Micros query_wait_timeout = 0;
  int64_t query_wait_notify = 0;  // whole seconds
  Micros idle_transaction_timeout = 0;
  Micros transaction_timeout = 0;
  Micros slow_query = kNever;  // from then on it is logged; kNever: not
  Micros slow_transaction = kNever;
  bool slow_texts = false;  // ... with texts
  Micros reserve_timeout = 0;
  Micros login_retry = 0;
  int max_prepared_statements = 0;  // 0: messages are not touched
};

Rules rules_for(const settings::Snapshot& snapshot, const settings::Database& database, const std::string& user);

}  // namespace pgweir::pool
