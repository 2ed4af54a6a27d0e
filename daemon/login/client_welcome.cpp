// The greeting: what the pool's servers said when they let us in, with the client's own values for what it asked for
// (compat/wire.md, section 4). A pool that has no server yet gets its first one here.
#include "base/text.hpp"
#include "login/client_flow.hpp"
#include "login/end_watch.hpp"
#include "login/greeting.hpp"
#include "net/wait.hpp"
#include "session/say.hpp"
#include "session/waits.hpp"
#include "wire/builder.hpp"

namespace pgweir::login {

using session::Reason;

namespace {

int failures_of(const pool::SharedPool& shared) {
  auto trouble = shared.trouble();
  return trouble ? trouble->failures : 0;
}

// A server has said no since this login began to wait: its words go to the client. Trouble of other kinds (no
// connection, a server that starts up) is waited out.
bool told_of_trouble(ClientLogin& login, const pool::SharedPool& shared, int failures_before) {
  auto trouble = shared.trouble();
  if (!trouble || trouble->failures == failures_before) return false;
  if (!trouble->from_server || trouble->sqlstate == "57P03") return false;
  login.refuse(trouble->reason, trouble->sqlstate);
  return true;
}

// Settings that a server of this pool has taken before are not proved again.
bool all_verified(const ClientLogin& login) {
  const track::ParameterSet& parameters = login.client.parameters;
  const pool::SharedPool& shared = login.client.local_pool->shared();
  for (const auto& setting : track::settings_of(parameters)) {
    if (!shared.verified(setting)) return false;
  }
  return true;
}

// Before the welcome a client takes no NOTICE, so it hears of this wait when it is over.
void append_lookup_notice(std::string& message, Micros took) {
  wire::append_notice(message, "NOTICE", "00000",
                      cat("Login has waited ", took / kMillisecond, " ms for a server to look the user up"),
                      pool::row_of(pool::Cause::kAuthQuery).text);
}

}  // namespace

// What else ends the wait. False: the client is closed.
bool may_go_on_waiting(ClientLogin& login) {
  session::Client& client = login.client;
  if (login.gone()) return false;
  if (client.database->removed) {
    session::close_client(login.hub, client, Reason::kDatabaseRemoved);
    return false;
  }
  if (login.hub.books.stopping() != pool::Stopping::kNo) return login.refuse("pooler is shutting down");
  return true;
}

net::Task<bool> wait_for_welcome(ClientLogin& login) {
  session::LocalPool& pool = *login.client.local_pool;
  login.welcome = pool.shared().welcome();
  if (login.welcome) co_return true;
  login.client.wait_start = login.hub.now();
  pool.join(login.client, pool::ClientState::kAtGate);
  EndWatch watch(login.hub, login.client);
  if (login.gone()) co_return false;
  const Micros queue_end = deadline_after(login.hub.now(), pool.rules().query_wait_timeout);
  const Micros until = std::min(login.deadline, queue_end);
  const int failures = failures_of(pool.shared());
  net::Waited waited = net::Waited::kReady;
  while (waited == net::Waited::kReady) {
    session::feed(login.hub, pool);  // a server that is near may be logged in, or have said no, when this returns
    if (!may_go_on_waiting(login)) co_return false;
    login.welcome = pool.shared().welcome();
    if (login.welcome) co_return true;
    if (told_of_trouble(login, pool.shared(), failures)) co_return false;
    waited = co_await pool.welcome_gate.wait(login.hub.loop, until);
  }
  if (!may_go_on_waiting(login)) co_return false;
  login.welcome = pool.shared().welcome();
  if (login.welcome) co_return true;
  const Reason reason = queue_end < login.deadline ? Reason::kQueryWaitTimeout : Reason::kLoginTimeoutServerDown;
  session::close_client(login.hub, login.client, reason);
  co_return false;
}

void send_welcome(ClientLogin& login) {
  session::Hub& hub = login.hub;
  session::Client& client = login.client;
  session::LocalPool& pool = *client.local_pool;
  client.parameters_unproven = !client.server && !all_verified(login);
  fill_unset(client.parameters, login.welcome->tracked);
  hub.draw_cancel_key(client, cancel_secret_size(client.protocol_minor, login.snapshot->global.peer_id > 0));
  std::string message;
  append_greeting(message, *login.welcome, client.parameters);
  untrack_unreported(client.parameters, login.welcome->tracked);
  pool.parameters.share(client.parameters);
  wire::append_backend_key_data(message, client.cancel_key.pid, client.cancel_key.view());
  const std::string& notice = login.snapshot->global.login_notify_message;
  if (!notice.empty()) wire::append_notice(message, "NOTICE", "00000", notice);
  if (login.long_lookup > 0) append_lookup_notice(message, login.long_lookup);
  wire::append_ready_for_query(message, 'I');
  if (client.state() == pool::ClientState::kAtGate) {
    session::book_wait(hub, client, pool);
    pool.move(client, client.server ? pool::ClientState::kActive : pool::ClientState::kIdle);
  } else {
    pool.join(client, pool::ClientState::kIdle);
  }
  ++pool.counters.client_logins;
  pool.latencies.add(session::Took::kLogin, hub.now() - client.connected_at);
  if (login.send(message)) say(hub, client, session::said(Level::kDebug, Event::kLoginAttempt), "logged in");
}

}  // namespace pgweir::login
