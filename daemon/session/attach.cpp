#include "session/attach.hpp"

#include <unistd.h>

#include "base/text.hpp"
#include "session/patience.hpp"
#include "session/say.hpp"
#include "session/waits.hpp"
#include "wire/builder.hpp"

namespace pgweir::session {

namespace {

// What is said to a client before it is closed. Nothing in the middle of a message: it would be taken for its body.
void say_goodbye(Hub& hub, Client& client, bool mid_message, std::string_view sqlstate, std::string_view text) {
  hub.outbox.flush_end(client);
  if (text.empty() || mid_message || client.stream.broken()) return;
  std::string message;
  wire::append_error(message, "FATAL", sqlstate, text);
  client.stream.send(message);
  // Bytes left unread would make the kernel send a reset, and the text could be lost to the client.
  char discard[4096];
  for (int reads = 0; reads < 16; ++reads) {
    if (client.stream.read(discard, sizeof discard).status != net::IoStatus::kOk) return;
  }
}

bool logs_close(const Hub& hub, const ReasonRow& row) {
  return hub.snapshot->global.log_disconnections && hub.log.wants(row.level);
}

template <class Connection>
void log_close(Hub& hub, const Connection& connection, const ReasonRow& row, std::string_view text,
               std::string_view sqlstate) {
  long age = static_cast<long>((hub.now() - connection.connected_at) / kSecond);
  say(hub, connection, {row.level, row.name, row.name, sqlstate}, cat("closing because: ", text, " (age=", age, "s)"));
}

bool in_sync(const Client* client, const Server& server) {
  bool half_sent = client && client->body_left > 0 && !client->body_dropped;
  return !half_sent && server.replies.all_answered() && !server.replies.ambiguous() && server.body_left == 0 &&
         !server.held;
}

// The client has gone or is about to; what becomes of the server it had?
void part(Hub& hub, Client& client, Reason reason, Fate fate) {
  Server* server = client.server;
  if (!server) return;
  bool half_sent = client.body_left > 0 && !client.body_dropped;
  bool clean = in_sync(&client, *server);
  client.server = nullptr;
  server->client = nullptr;
  server->half_told = server->half_told || half_sent;
  if (server->retry) server->retry->stop();
  const bool goodbye = reason == Reason::kClientTerminate;
  if (goodbye && !clean) hub.outbox.flush_end(*server);  // a server that is closed forgets what is queued for it
  if (fate == Fate::kClose || client.replication != Replication::kNone) {
    // What still runs there would go on without anybody to read it, unless it was asked for by who said goodbye in
    // order. A replication stream reads of its end itself.
    if (!goodbye && !server->replies.empty() && !server->replies.in_copy_both()) hub.cancel_abandoned(*server);
    const bool left = client.replication != Replication::kNone && fate != Fate::kClose;
    close_server(hub, *server, left ? Reason::kReplicationClientClosed : reason);
    return;
  }
  if (clean && server->transaction == 'I') {
    returned(hub, *server, false);
    return;
  }
  bool hopeless = half_sent || server->stream.broken() || !server->stream.open();
  if (hopeless || hub.snapshot->global.client_cleanup_timeout <= 0) {
    // It cannot be saved, but it can be told to stop: it reads of the end only when it has answered.
    if (half_sent && hub.snapshot->global.client_cleanup_timeout > 0) hub.cancel_abandoned(*server);
    close_server(hub, *server, Reason::kServerNotReady);
    return;
  }
  if (!server->local_pool->move(*server, pool::ServerState::kTested))
    return impossible(hub, nullptr, server, "clean-up");
  server->errand = Errand::kCleanUp;
  // PostgreSQL reads a Terminate only behind what came before it, and does all of that; so it must be here.
  server->let_finish = goodbye;
  expect_end(hub, *server, hub.snapshot->global.client_cleanup_timeout);
  server->stream.set_handler(nullptr, nullptr);  // what it says from now on is the clean-up's to read
  resume(hub, *server);
}

// After a reload that forces another user on the entry: the next server is that one's, as in PgBouncer.
void follow_forced_user(Hub& hub, Client& client) {
  LocalPool& old = *client.local_pool;
  if (client.state() != pool::ClientState::kIdle || is_guest(client)) return;
  const pool::DatabasePtr config = old.shared().database->config();
  if (!config->user || *config->user == old.shared().user->name) return;
  LocalPool& now = hub.pool_of(hub.books.pool(old.shared().database, *config->user));
  old.leave(client, pool::ClientState::kIdle);
  client.local_pool = &now;
  now.join(client, pool::ClientState::kIdle);
}

}  // namespace

Reason reason_of(pool::Unfit unfit) {
  switch (unfit) {
    case pool::Unfit::kDisconnected: return Reason::kServerLostIdle;
    case pool::Unfit::kNotInSync:
    case pool::Unfit::kInTransaction: return Reason::kServerNotReady;
    case pool::Unfit::kCancelInDoubt: return Reason::kServerCancelInDoubt;
    case pool::Unfit::kObsolete: return Reason::kServerObsolete;
    case pool::Unfit::kPaused: return Reason::kPauseMode;
    case pool::Unfit::kLifetime: return Reason::kServerLifetime;
    case pool::Unfit::kSurplus: return Reason::kServerSurplus;
    case pool::Unfit::kEvicted: return Reason::kServerEvicted;
    case pool::Unfit::kIdleTooLong: return Reason::kServerIdleTimeout;
  }
  return Reason::kServerNotReady;
}

void resume(Hub& hub, Client& client) {
  if (!static_cast<Hook<ReadyTag>&>(client).linked()) hub.ready_clients.push_back(client);
}

void resume(Hub& hub, Server& server) {
  if (!static_cast<Hook<ReadyTag>&>(server).linked()) hub.ready_servers.push_back(server);
}

Attached attach(Hub& hub, Client& client) {
  if (client.local_pool->shared().superseded.load(std::memory_order_relaxed)) follow_forced_user(hub, client);
  LocalPool& pool = *client.local_pool;
  const pool::Stopping mode = hub.books.stopping();
  bool stopping = mode == pool::Stopping::kWaitForServers || mode == pool::Stopping::kDrain;
  pool::Checkout answer = pool.checkout(client, hub.now(), hub.paused(pool), stopping);
  if (answer.verdict == pool::Checkout::Verdict::kTake) {
    auto& server = static_cast<Server&>(*answer.server);
    link(hub, client, server);
    return server.held_until_proven ? Attached::kProve : Attached::kNow;
  }
  if (answer.verdict == pool::Checkout::Verdict::kWait) {
    if (client.query_start == 0) client.query_start = hub.now();
    feed(hub, pool);
    return client.state() == pool::ClientState::kGone ? Attached::kClosed : Attached::kWait;
  }
  if (answer.refusal == pool::Refusal::kShuttingDown) {
    close_client(hub, client, mode == pool::Stopping::kDrain ? Reason::kDraining : Reason::kServerShuttingDown);
    return Attached::kClosed;
  }
  auto trouble = pool.shared().trouble();
  feed(hub, pool, true);  // nobody may be waiting, and without a new try the trouble would last for ever
  std::string reason = trouble ? trouble->reason : "connect failed";
  close_client(hub, client, Reason::kLoginFailing,
               cat("server login has been failing, cached error: ", reason, " (server_login_retry)"),
               trouble && trouble->from_server ? trouble->sqlstate : "");
  return Attached::kClosed;
}

void link(Hub& hub, Client& client, Server& server) {
  Micros now = hub.now();
  client.server = &server;
  server.client = &client;
  server.attached_at = now;
  server.served = true;
  server.dirty_session = true;
  const pool::Rules& rules = server.local_pool->rules();
  if (client.naming == Naming::kOwnServer && rules.mode != settings::PoolMode::kSession)
    client.naming = rules.max_prepared_statements > 0 ? Naming::kMapped : Naming::kUnmapped;
  // A client that vanished may have left these behind: its SETs were answered to a clean-up.
  server.hidden_set = server.held_until_proven = server.held_for_answers = server.checking = false;
  server.bound = server.told_parameters = 0;
  server.proving.clear();
  Counters& counters = server.local_pool->counters;
  ++counters.server_assignments;
  if (client.wait_start > 0 && !is_guest(client)) book_wait(hub, client, *server.local_pool);
  if (client.xact_start == 0) client.xact_start = now;
  server.parameters.begin_for(client.id);
  if (client.parameters.satisfied_by(server.parameters)) return;  // nearly always
  std::string sets = track::replay(client.parameters, server.parameters);
  if (sets.empty()) return;
  std::string message;
  wire::append_query(message, sets);
  hub.outbox.add_copy(server, message);
  server.replies.expect(track::Kind::kQuery, track::Action::kHide);
  server.unnamed = 0;  // a simple query destroys the unnamed statement
  server.hidden_set = true;
  server.set_error.clear();
  server.held_until_proven = client.parameters_unproven;
  if (client.parameters_unproven) server.proving = track::settings_of(client.parameters);
}

void give_own(Client& owner, Server& server) {
  server.own = true;
  server.client = &owner;
  server.replies.allow_copy_both();
  owner.server = &server;
  ++server.local_pool->own_servers;
}

void take_own_back(Hub& hub, Server& server) {
  if (!server.client) return;
  server.client->server = nullptr;
  resume(hub, *server.client);
  server.client = nullptr;
}

bool shares_limit(const pool::SharedPool& one, const pool::SharedPool& other, pool::Limit limit) {
  if (limit == pool::Limit::kPool) return &one == &other;
  return &one != &other && (limit == pool::Limit::kDatabase ? one.database == other.database : one.user == other.user);
}

void start_lookup(Hub& hub, Client& client, std::shared_ptr<LookupTicket> ticket) {
  Server& server = *client.server;
  LocalPool& pool = *client.local_pool;
  server.client = nullptr;
  client.server = nullptr;
  client.local_pool = nullptr;
  pool.leave(client, pool::ClientState::kLogin);
  const Micros deadline = ticket->deadline;
  server.lookup = LookupPromise(std::move(ticket));
  server.answering = true;  // before the move: it is not one of those that come soon
  if (!pool.move(server, pool::ServerState::kTested)) return impossible(hub, nullptr, &server, "auth_query");
  server.errand = Errand::kLookup;
  expect_end(hub, server, deadline == kNever ? 0 : deadline - hub.now());
  server.stream.set_handler(nullptr, nullptr);
  resume(hub, server);
}

void release(Hub& hub, Server& server) {
  Client* client = server.client;
  server.client = nullptr;
  if (server.retry) server.retry->stop();
  if (client) {
    client->server = nullptr;
    client->xact_start = 0;
    if (!client->local_pool->move(*client, pool::ClientState::kIdle))
      return impossible(hub, client, &server, "release");
    if (!client->held && client->stream.maybe_readable()) resume(hub, *client);
    if (client->held) resume(hub, *client);
  }
  returned(hub, server, false);
}

namespace {

// A waiter has been given `server`; both are active.
void serve(Hub& hub, Client& waiter, Server& server) {
  server.stream.set_handler(&hub.server_handler(), &server);
  link(hub, waiter, server);
  if (!server.held_until_proven) resume(hub, waiter);
}

}  // namespace

void returned(Hub& hub, Server& server, bool reset_done) {
  LocalPool& pool = *server.local_pool;
  // A coroutine need not have read to the end what came while it had the server, and that edge is not repeated.
  const bool unread = server.flow && server.stream.maybe_readable();
  const bool gone = !server.stream.open() || server.stream.broken() || (unread && server.stream.peer_gone());
  if (unread) resume(hub, server);
  const pool::Condition condition{.in_sync = in_sync(nullptr, server),
                                  .in_transaction = server.transaction != 'I',
                                  .connected = !gone,
                                  .reset_done = reset_done};
  if (reset_done) server.dirty_session = false;
  server.answering = false;
  if (server.checking) server.generation = 0;  // its client left before it was known what it has: obsolete
  server.overdue_at = kNever;
  pool::Checkin answer = pool.checkin(server, condition, hub.now(), hub.paused(pool));
  using Verdict = pool::Checkin::Verdict;
  switch (answer.verdict) {
    case Verdict::kHold:
      expect_end(hub, server, cancel_limit(hub.snapshot->global));
      server.stream.set_handler(&hub.server_handler(), &server);
      return;
    case Verdict::kOffer: hub.offering.push_back(pool); [[fallthrough]];
    case Verdict::kIdle: server.stream.set_handler(&hub.server_handler(), &server); return;
    case Verdict::kGive: return serve(hub, static_cast<Client&>(*answer.waiter), server);
    case Verdict::kSend:
      server.errand = Errand::kMove;
      server.moving_to = static_cast<uint16_t>(answer.worker);
      resume(hub, server);
      return;
    case Verdict::kReset:
      server.errand = Errand::kReset;
      expect_end(hub, server, kErrandPatience);
      server.stream.set_handler(nullptr, nullptr);
      resume(hub, server);
      return;
    case Verdict::kClose: close_server(hub, server, reason_of(answer.unfit)); return;
  }
}

namespace {

// `server` (tested): the check query first; run_check returns it to its pool.
void begin_check(Hub& hub, Server& server) {
  server.errand = Errand::kCheck;
  expect_end(hub, server, kErrandPatience);
  server.stream.set_handler(nullptr, nullptr);
  resume(hub, server);
}

}  // namespace

void arrived(Hub& hub, Server& server) {
  LocalPool& pool = *server.local_pool;
  if (!pool.check_due(server, hub.now()) || !pool.move(server, pool::ServerState::kTested))
    return returned(hub, server, true);
  begin_check(hub, server);
}

void feed(Hub& hub, LocalPool& pool, bool refused) {
  for (;;) {
    // Logins that wait need a server only as long as there is no welcome; they are resumed a little later.
    const auto& at_gate = pool.clients(pool::ClientState::kAtGate);
    const size_t at_the_pools = at_gate.size() - pool.wanting_own;
    size_t greetings = at_the_pools == 0 || pool.shared().welcome() ? 0 : at_the_pools;  // welcome() takes a lock
    if (refused) greetings = std::max<size_t>(greetings, 1);
    pool::Supply step = pool.supply(greetings, hub.now(), hub.paused(pool), hub.bell());
    using Step = pool::Supply::Step;
    switch (step.step) {
      case Step::kNothing: return;
      case Step::kGive: serve(hub, static_cast<Client&>(*step.waiter), static_cast<Server&>(*step.server)); break;
      case Step::kCheck: begin_check(hub, static_cast<Server&>(*step.server)); break;
      case Step::kLaunch: {
        const pool::Quota& size = pool.shared().servers;
        if (size.limit() > 0 && size.used() > size.limit()) {
          const std::string name = cat(pool.shared().database->name, "/", pool.shared().user->name);
          hub.log.write(
              Level::kWarning, Event::kReservePool, cat(name, ": taking connection from reserve_pool"),
              {{"POOL", name}, {"DATABASE", pool.shared().database->name}, {"USER", pool.shared().user->name}});
        }
        hub.launch(pool, std::move(step.slot));
        break;
      }
      case Step::kAsk: hub.ask_for_server(step.worker, pool.shared()); return;
      case Step::kEvict: hub.evict_for(pool, step.limit); return;
    }
  }
}

void close_client(Hub& hub, Client& client, Reason reason, std::string_view text, std::string_view sqlstate) {
  if (client.state() == pool::ClientState::kGone) return;
  const ReasonRow& row = row_of(reason);
  std::string_view told = !text.empty() && !row.client_text.empty() ? text : row.client_text;
  std::string_view code = sqlstate.empty() ? row.sqlstate : sqlstate;
  Server* server = client.server;
  bool mid_message = server && server->body_left > 0 && !server->body_dropped;
  say_goodbye(hub, client, mid_message, code, told);
  if (!told.empty() && hub.snapshot->global.log_pooler_errors) {
    say(hub, client, {Level::kWarning, name_of(Event::kPoolerError), row.name, code}, cat("pooler error: ", told));
  }
  if (logs_close(hub, row)) log_close(hub, client, row, text.empty() ? row.log_text : text, code);
  ++hub.tally.closes[static_cast<size_t>(reason)];

  part(hub, client, reason, row.fate);
  if (client.pool) {
    client.pool->leave(client, pool::ClientState::kGone);
  } else {
    set_state(client, pool::ClientState::kGone);
  }
  hub.forget_cancel_key(client);
  hub.outbox.forget(client);
  static_cast<Hook<ReadyTag>&>(client).unlink();
  client.seat.give_back();
  client.stream.close();
  hub.dead_clients.push_back(hub.clients.remove(client));
}

void close_server(Hub& hub, Server& server, Reason reason, std::string_view detail) {
  using pool::ServerState;
  if (server.state() == ServerState::kGone || server.state() == ServerState::kClosing) return;
  const ReasonRow& row = row_of(reason);
  if (logs_close(hub, row))
    log_close(hub, server, row, detail.empty() ? std::string(row.log_text) : cat(row.log_text, ": ", detail),
              row.sqlstate);
  ++hub.tally.closes[static_cast<size_t>(reason)];
  // Behind half a message a Terminate would be its other half: PostgreSQL would do what nobody has asked for.
  bool half_told = server.half_told || hub.outbox.pending(server);  // what is queued is dropped below
  if (Client* client = server.client) {
    half_told = half_told || (client->body_left > 0 && !client->body_dropped);
    bool mid_message = server.body_left > 0 && !server.body_dropped;
    server.client = nullptr;
    client->server = nullptr;
    if (mid_message) {
      hub.outbox.flush_end(*client);
      close_client(hub, *client, Reason::kServerFatal);
    } else {
      close_client(hub, *client, reason, detail);
    }
  }
  hub.outbox.forget(server);
  server.errand = Errand::kNone;
  server.lookup = {};
  static_cast<Hook<ReadyTag>&>(server).unlink();
  bool alive = server.stream.open() && !server.stream.broken() && !server.stream.connecting();
  if (!alive || reason == Reason::kServerLost || reason == Reason::kServerLostIdle ||
      !server.local_pool->move(server, ServerState::kClosing)) {
    bury(hub, server);
    return;
  }
  if (!half_told) server.stream.send(ByteView("X\0\0\0\4", 5));
  server.stream.shutdown_write();
  server.closing_deadline = hub.now() + kClosingPatience;
  server.stream.set_handler(&hub.closing_handler(), &server);
  server.errand = Errand::kRead;  // the end may have come already
  resume(hub, server);
}

void bury(Hub& hub, Server& server) {
  if (server.state() == pool::ServerState::kGone) return;
  hub.outbox.forget(server);
  static_cast<Hook<ReadyTag>&>(server).unlink();
  server.stream.close();
  // The slot first, then the count of those that close: nobody may see one live server more than there is.
  server.slot.give_back();
  server.local_pool->leave(server, pool::ServerState::kGone);
  if (server.own) --server.local_pool->own_servers;
  hub.dead_servers.push_back(hub.servers.remove(server));
}

void impossible(Hub& hub, Client* client, Server* server, std::string_view what) {
  ++hub.tally.impossible;
  const Said said_of = said(Level::kError, Event::kImpossible);
  const std::string text = cat("impossible state: ", what, ", closing this pair of connections");
  if (client) {
    say(hub, *client, said_of, text);
  } else if (server) {
    say(hub, *server, said_of, text);
  } else {
    hub.log.error(Event::kImpossible, text);
  }
  if (server) close_server(hub, *server, Reason::kImpossibleState);
  if (client) close_client(hub, *client, Reason::kImpossibleState);
}

void note_mismatch(Hub& hub, const Server& server, char type, std::string_view to) {
  ++hub.tally.mismatches;
  std::string what = type == 0 ? std::string("a header that no message has") : cat("'", type, "'");
  say(hub, server, said(Level::kError, Event::kUnexplainedAnswer),
      cat("server sent ", what, " to ", to, ", which nothing it was asked explains (", server.replies.owed_text(),
          "): connection closed, not reused"));
}

}  // namespace pgweir::session
