#include "pool/rules.hpp"

namespace pgweir::pool {

Rules rules_for(const settings::Snapshot& snapshot, const settings::Database& database, const std::string& user) {
  const settings::Global& global = snapshot.global;
  Rules rules;
  rules.mode = settings::pool_mode(snapshot, database, user);
  bool session_mode = rules.mode == settings::PoolMode::kSession;
  rules.round_robin = global.server_round_robin;
  rules.fast_close = global.server_fast_close && session_mode;
  if (session_mode || global.server_reset_query_always) rules.reset_query = global.server_reset_query;
  rules.checks = !global.server_check_query.empty();
  rules.check_query = global.server_check_query == "<empty>" ? "" : global.server_check_query;
  rules.check_delay = global.server_check_delay;
  rules.server_lifetime = settings::server_lifetime(snapshot, database);
  rules.server_idle_timeout = global.server_idle_timeout;
  rules.query_timeout = settings::query_timeout(snapshot, user);
  rules.query_wait_timeout = settings::query_wait_timeout(snapshot, database, user);
  rules.query_wait_notify = global.query_wait_notify;
  rules.idle_transaction_timeout = settings::idle_transaction_timeout(snapshot, user);
  rules.transaction_timeout = settings::transaction_timeout(snapshot, user);
  const Micros slow_query = settings::log_slow_queries(snapshot, database, user);
  const Micros slow_transaction = settings::log_slow_transactions(snapshot, database, user);
  if (slow_query > 0) rules.slow_query = slow_query;
  if (slow_transaction > 0) rules.slow_transaction = slow_transaction;
  rules.slow_texts = global.log_slow_texts && (slow_query > 0 || slow_transaction > 0);
  rules.reserve_timeout = global.reserve_pool_timeout;
  rules.login_retry = global.server_login_retry;
  rules.max_prepared_statements = session_mode ? 0 : static_cast<int>(global.max_prepared_statements);
  return rules;
}

}  // namespace pgweir::pool
