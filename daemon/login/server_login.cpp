#include "login/server_login.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "login/exchange.hpp"
#include "login/greeting.hpp"
#include "login/server_flow.hpp"
#include "net/wait.hpp"
#include "session/say.hpp"

namespace pgweir::login {

using session::Reason;

ServerLogin::ServerLogin(session::Hub& hub, session::Server& server)
    : hub(hub),
      server(server),
      shared(server.shared_pool),
      snapshot(hub.snapshot),
      config(shared->database->config()),
      inbox(server.stream),
      deadline(deadline_after(server.connected_at, hub.snapshot->global.server_connect_timeout)),
      attempt_end(deadline) {
  shared->logins.fetch_add(1);
  if (!hub.tracked) {
    hub.tracked = std::make_shared<const track::TrackedNames>(split_names(snapshot->global.track_extra_parameters));
  }
  choose_secret(*this);
}

void ServerLogin::stop_counting() {
  if (counted_) shared->logins.fetch_sub(1);
  counted_ = false;
}

void ServerLogin::start_attempt() {
  server.stream.close();
  (void)inbox.take_rest();
  server.parameters = track::ParameterSet();
  server.parameters.init(hub.tracked);
  server.backend_pid = 0;
  server.cancel_secret.clear();
  scram.reset();
  scram_verified = authenticated = false;
  bytes_seen = 0;
  failure = LoginFailure();
  welcome = std::make_shared<pool::Welcome>();
  welcome->tracked.init(hub.tracked);
}

bool ServerLogin::fail(Reason reason, std::string text) {
  failure.reason = reason;
  failure.text = std::move(text);
  return false;
}

bool ServerLogin::fail(Got got) {
  switch (got) {
    case Got::kTimeout: return fail(Reason::kServerConnectTimeout, "connect timeout");
    case Got::kBadSize: return fail(Reason::kServerBadHeader, "bad pkt header");
    default: return fail(Reason::kServerLost, "server conn crashed?");
  }
}

bool ServerLogin::cannot(std::string_view text) {
  failure.tell = true;
  failure.elsewhere = false;
  return fail(Reason::kServerLoginFailed, cat("server login failed: ", text));
}

namespace {

// The packets from our own to the server's ReadyForQuery.
net::Task<bool> introduce(ServerLogin& login) {
  ServerStep step = ServerStep::kGoOn;
  const std::string packet = startup_packet(login);
  if (!login.server.stream.send(packet)) co_return login.fail(Reason::kServerLost, "server conn crashed?");
  while (step != ServerStep::kReady) {
    Got got = co_await read_message(login.inbox, kMostLoginMessage, login.attempt_end);
    if (login.gone()) co_return false;
    if (got != Got::kOk) co_return login.fail(got);
    step = on_login_message(login, login.inbox.type(), login.inbox.body());
    if (step == ServerStep::kFailed) co_return false;
    if (step == ServerStep::kProve) {
      bool proved = co_await send_final_proof(login);
      if (!proved || login.gone()) co_return false;
    }
  }
  co_return true;
}

net::Task<bool> attempt(ServerLogin& login) {
  bool good = false;
  login.start_attempt();
  good = co_await reach_host(login);
  if (good && !login.gone()) {
    good = co_await introduce(login);
  }
  co_return good && !login.gone();
}

// The host of the next attempt; waits for the end of a back-off when all hosts are in theirs.
net::Task<std::optional<size_t>> next_host(ServerLogin& login) {
  const size_t count = std::max<size_t>(login.config->hosts.size(), 1);
  const bool round_robin = login.config->load_balance_hosts == settings::LoadBalance::kRoundRobin;
  for (;;) {
    Micros until = kNever;
    if (count == 1) co_return std::optional<size_t>(0);
    std::optional<size_t> host = login.shared->database->choose_host(count, round_robin, login.hub.now(), &until);
    if (host) co_return host;
    if (until >= login.deadline) co_return std::nullopt;
    co_await net::sleep_until(login.hub.loop, until);
    if (login.gone()) co_return std::nullopt;
  }
}

// Hosts one after the other, each once, each with its share of the time that is left.
net::Task<bool> log_in_somewhere(ServerLogin& login) {
  size_t left = std::max<size_t>(login.config->hosts.size(), 1);
  for (; left > 0; --left) {
    std::optional<size_t> host = co_await next_host(login);
    if (!host || login.gone()) co_return false;
    const Micros now = login.hub.now();
    login.server.host = *host;
    login.attempt_end = login.deadline == kNever ? kNever : now + (login.deadline - now) / static_cast<Micros>(left);
    bool good = co_await attempt(login);
    if (login.gone()) co_return false;
    if (good) {
      login.shared->database->host_works(*host);
      co_return true;
    }
    if (!login.failure.elsewhere) co_return false;
    login.shared->database->host_failed(*host, login.hub.now(), login.snapshot->global.server_login_retry);
    if (left > 1) {
      say(login.hub, login.server, session::said(Level::kLog, Event::kServerUnreachable),
          cat("closing because: ", login.failure.text, " (host ", login.server.place, ", trying the next one)"));
    }
  }
  co_return false;
}

// What the server still said behind its ReadyForQuery: notices and the like are taken, anything else is refused.
net::Task<bool> settle(ServerLogin& login) {
  Exchange exchange(login.hub, login.server, "a login");
  exchange.inbox.give(login.inbox.take_rest());
  exchange.deadline = login.deadline;
  if (!login.config->connect_query.empty() && !login.server.own) exchange.ask(login.config->connect_query);
  Drained drained = co_await drain(exchange);
  if (login.gone()) co_return false;
  if (!exchange.error.empty()) {
    say(login.hub, login.server, session::said(Level::kWarning, Event::kConnectQueryFailed),
        cat("connect_query failed: ", exchange.error));
  }
  if (drained == Drained::kDone) co_return true;
  co_return login.fail(drained == Drained::kTimeout ? Got::kTimeout : Got::kEof);
}

// Where a server says what the one before it said, it takes that one's texts: then clients and servers of a pool share
// them from the start, and attach has only pointers to compare.
void share_texts(track::ParameterSet& server, const pool::Welcome* before) {
  for (size_t index = 0; before && index < server.names()->size(); ++index) {
    const track::Value& known = before->tracked.value(index);
    const track::Value& value = server.value(index);
    if (known && value && *known == *value) server.set_value(index, known);
  }
}

// To its owner, whose login goes on. The pool's welcome and its troubles are those of pooled servers.
void succeed_for_owner(ServerLogin& login) {
  session::Hub& hub = login.hub;
  session::Server& server = login.server;
  session::Client& owner = *server.client;
  server.last_activity = server.answered_at = server.attached_at = hub.now();
  server.served = true;
  server.overdue_at = kNever;
  for (size_t index = 0; index < hub.tracked->size(); ++index) {
    const track::Value& value = server.parameters.value(index);
    if (!value) continue;
    login.welcome->tracked.set_value(index, value);
    owner.parameters.set_value(index, value);
  }
  prepare_greeting(*login.welcome);
  owner.more().welcome = std::move(login.welcome);
  login.stop_counting();
  if (!server.local_pool->move(server, pool::ServerState::kActive))
    return impossible(hub, &owner, &server, "login of a replication client's server");
  server.stream.set_handler(&hub.server_handler(), &server);
  resume(hub, owner);
}

// Whom the server has said no to hears it; others may try again (own_server.cpp).
void fail_owner(ServerLogin& login) {
  session::Hub& hub = login.hub;
  const LoginFailure& failure = login.failure;
  session::Client* owner = login.server.client;
  session::take_own_back(hub, login.server);
  login.server.stream.close();
  session::close_server(hub, login.server, failure.reason, failure.text);
  login.stop_counting();
  if (!owner || !failure.tell) return;
  // PgBouncer's words, which is all that its clients hear, and the server's behind them.
  const std::string_view words = session::row_of(Reason::kServerLoginFailed).log_text;
  const std::string text = failure.text == words ? failure.text : cat(words, ": ", failure.text);
  session::close_client(hub, *owner, Reason::kLoginRefused, text, failure.sqlstate);
}

void succeed(ServerLogin& login) {
  session::Hub& hub = login.hub;
  session::Server& server = login.server;
  pool::SharedPool& shared = *login.shared;
  server.last_activity = server.answered_at = hub.now();
  server.local_pool->latencies.add(session::Took::kConnect, hub.now() - server.connected_at);
  const bool news = !shared.welcome() || shared.in_trouble();
  shared.login_works();
  if (server.generation == shared.database->generation.load()) {
    share_texts(server.parameters, shared.welcome().get());
    for (size_t index = 0; index < hub.tracked->size(); ++index) {
      if (server.parameters.value(index)) login.welcome->tracked.set_value(index, server.parameters.value(index));
    }
    prepare_greeting(*login.welcome);
    shared.set_welcome(std::move(login.welcome));
  }
  login.stop_counting();
  if (news) hub.welcome_news(shared);
  session::returned(hub, server, true);
}

void give_up(ServerLogin& login) {
  session::Hub& hub = login.hub;
  const LoginFailure& failure = login.failure;
  const std::shared_ptr<pool::SharedPool> shared = login.shared;
  shared->login_failed(failure.text, failure.sqlstate, failure.tell, hub.now(),
                       login.snapshot->global.server_login_retry);
  login.server.stream.close();
  const bool known = failure.text == session::row_of(failure.reason).log_text;
  session::close_server(hub, login.server, failure.reason, known ? std::string_view() : failure.text);
  login.stop_counting();
  hub.login_trouble(*shared, failure.tell);
}

}  // namespace

net::Task<void> server_login(session::Hub& hub, session::Server& server) {
  ServerLogin login(hub, server);
  bool good = co_await log_in_somewhere(login);
  if (good) {
    good = co_await settle(login);
  }
  if (login.gone()) {
    let_go(hub, server);
  } else if (login.server.own) {
    good ? succeed_for_owner(login) : fail_owner(login);
  } else if (good) {
    succeed(login);
  } else {
    give_up(login);
  }
}

}  // namespace pgweir::login
