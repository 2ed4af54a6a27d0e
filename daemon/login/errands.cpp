#include "login/errands.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "login/cancel.hpp"
#include "login/exchange.hpp"
#include "session/patience.hpp"

namespace pgweir::login {

using session::Reason;

namespace {

bool resets_all_settings(const Exchange& exchange, std::string_view sql) {
  return exchange.discarded_all || (exchange.error.empty() && lower(sql).find("reset all") != std::string::npos);
}

// Where a query was running, its answer may be long in coming.
bool work_is_running(const session::Server& server) {
  return !server.replies.empty() || server.body_left > 0;
}

}  // namespace

void finish_errand(Exchange& exchange, Drained drained, bool reset_done, Reason unfit) {
  session::Hub& hub = exchange.hub;
  session::Server& server = exchange.server;
  if (exchange.over()) return let_go(hub, server);
  if (drained == Drained::kMismatch) return session::close_server(hub, server, Reason::kAnswerMismatch);
  if (drained == Drained::kLost) return session::close_server(hub, server, Reason::kServerLostIdle);
  if (drained != Drained::kDone || server.transaction != 'I' || server.replies.ambiguous() || exchange.settings_unknown)
    return session::close_server(hub, server, unfit);
  server.last_activity = hub.now();
  session::returned(hub, server, reset_done);
}

net::Task<void> run_reset(session::Hub& hub, session::Server& server) {
  Exchange exchange(hub, server, "a reset");
  const std::string query = server.local_pool->rules().reset_query;
  exchange.deadline = hub.now() + session::kErrandPatience;
  exchange.ask(query);
  Drained drained = co_await drain(exchange);
  if (drained == Drained::kDone && resets_all_settings(exchange, query)) server.parameters.set_extras(nullptr);
  finish_errand(exchange, drained, true, Reason::kServerReset);
}

net::Task<void> run_check(session::Hub& hub, session::Server& server) {
  Exchange exchange(hub, server, "a check");
  const std::string query = server.local_pool->rules().check_query;
  exchange.deadline = hub.now() + session::kErrandPatience;
  exchange.ask(query);
  Drained drained = co_await drain(exchange);
  finish_errand(exchange, drained, true, Reason::kServerReset);
}

net::Task<void> clean_up(session::Hub& hub, session::Server& server) {
  Exchange exchange(hub, server, "a clean-up");
  const settings::Global& global = hub.snapshot->global;
  exchange.deadline = deadline_after(hub.now(), global.client_cleanup_timeout);
  if (global.client_cleanup_bytes > 0) exchange.budget = static_cast<uint64_t>(global.client_cleanup_bytes);
  Drained drained = Drained::kDone;
  exchange.end_open_work();
  if (!server.let_finish && work_is_running(server) && server.cancels == 0) {
    co_await forward_cancel(hub, server, exchange.deadline);
  }
  if (!exchange.over()) {
    drained = co_await drain(exchange);
  }
  if (drained == Drained::kDone && !exchange.over() && server.transaction != 'I') {
    exchange.ask("ROLLBACK");
    drained = co_await drain(exchange);
  }
  finish_errand(exchange, drained, false, Reason::kServerNotReady);
}

}  // namespace pgweir::login
