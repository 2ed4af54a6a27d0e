#include "login/lookup.hpp"

#include <utility>

#include "base/text.hpp"
#include "login/end_watch.hpp"
#include "login/errands.hpp"
#include "login/exchange.hpp"
#include "login/greeting.hpp"
#include "net/wait.hpp"
#include "session/say.hpp"
#include "session/waits.hpp"
#include "wire/builder.hpp"
#include "wire/reader.hpp"

namespace pgweir::login {

using session::LookupTicket;
using Outcome = session::LookupTicket::Outcome;

namespace {

constexpr std::string_view kConfigError = "bouncer config error";

// The entry that the client asks for, as it is or would be made; null: there is none.
pool::DatabasePtr config_of(const ClientLogin& login) {
  if (login.entry) return login.entry->config();
  if (login.console || !login.snapshot->fallback) return nullptr;
  return settings::from_fallback(*login.snapshot, login.database);
}

const std::string& own_or_global(const settings::Database* config, std::optional<std::string> settings::Database::*own,
                                 const std::string& global) {
  return config && config->*own ? *(config->*own) : global;
}

bool config_error(ClientLogin& login, std::string_view why) {
  say(login.hub, login.client, session::said(Level::kError, Event::kLoginFailed), why);
  return login.refuse(kConfigError);
}

// Whom PAM or LDAP judges is looked up nowhere. An auth_user for all databases may stand beside that, for the others;
// one of this very entry cannot.
bool contradicts(const ClientLogin& login, const settings::Database* config) {
  return config && config->auth_user && is_vouched(foreseen_method(login));
}

// The entry in which the query runs. Null: the client is closed.
std::shared_ptr<pool::SharedDatabase> choose_database(ClientLogin& login, const settings::Database* config) {
  const settings::Global& global = login.snapshot->global;
  const std::string& named = own_or_global(config, &settings::Database::auth_dbname, global.auth_dbname);
  const std::string& name = named.empty() ? login.database : named;
  if (is_console(name)) {
    config_error(login, cat("cannot use the reserved \"", name, "\" database as an auth_dbname"));
    return nullptr;
  }
  std::shared_ptr<pool::SharedDatabase> entry = open_database(login.hub, name);
  if (!entry || entry->removed) {
    config_error(login, cat("authentication database \"", name, "\" is not configured"));
    return nullptr;
  }
  if (!entry->disabled) return entry;
  login.refuse(cat("authentication database \"", name, "\" is disabled"));
  return nullptr;
}

// The client as a member of the pool that answers, with nothing of its own, for as long as this lives.
class Guest {
 public:
  Guest(ClientLogin& login, session::LocalPool& pool)
      : login_(login), naming_(login.client.naming), parameters_(std::move(login.client.parameters)) {
    session::Client& client = login.client;
    client.parameters = track::ParameterSet();
    client.parameters.init(login.hub.tracked);
    client.more().served = &served_;
    client.extras->guest = true;
    client.local_pool = &pool;
    pool.join(client, pool::ClientState::kIdle);
  }
  ~Guest() {
    session::Client& client = login_.client;
    client.naming = naming_;
    client.parameters = std::move(parameters_);
    client.extras.reset();
    client.query_start = client.xact_start = client.wait_start = 0;
  }
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;

  // Until the pool has given the client a server. False: the client is closed.
  net::Task<bool> get_server() {
    session::Client& client = login_.client;
    if (session::attach(login_.hub, client) == session::Attached::kClosed) co_return false;
    net::Waited waited = net::Waited::kReady;
    while (!login_.gone() && !client.server && waited == net::Waited::kReady) {
      waited = co_await served_.wait(login_.hub.loop, login_.deadline);
    }
    if (login_.gone()) co_return false;
    co_return client.server || login_.stopped(Got::kTimeout);
  }

 private:
  ClientLogin& login_;
  session::Naming naming_;
  track::ParameterSet parameters_;
  net::Gate served_;
};

// Waits for the answer, which comes also when the server is lost. False: the client is closed.
net::Task<bool> wait_for_answer(ClientLogin& login, std::shared_ptr<LookupTicket> ticket) {
  net::Waited waited = net::Waited::kReady;
  while (!login.gone() && ticket->outcome == Outcome::kPending && waited == net::Waited::kReady) {
    waited = co_await ticket->done.wait(login.hub.loop, login.deadline);
  }
  if (login.gone()) co_return false;
  co_return ticket->outcome != Outcome::kPending || login.stopped(Got::kTimeout);
}

bool take_answer(ClientLogin& login, const LookupTicket& ticket) {
  switch (ticket.outcome) {
    case Outcome::kNoRow: return login.refuse("no such user");
    case Outcome::kUseless: return config_error(login, ticket.fault);
    case Outcome::kFound: break;
    default: return login.refuse(ticket.fault.empty() ? "server conn crashed?" : ticket.fault);
  }
  login.user = ticket.user;
  login.known = true;
  login.looked_up = true;
  login.secret = ticket.secret ? auth::Secret(*ticket.secret) : auth::Secret();
  login.client.user = login.hub.books.user(login.user);
  return true;
}

void judge(LookupTicket& ticket, const Exchange& exchange, const Answer& answer) {
  wire::Reader reader(answer.row);
  auto fault = [&ticket](std::string text) {
    ticket.outcome = Outcome::kUseless;
    ticket.fault = std::move(text);
  };
  if (!exchange.error.empty())
    return fault(cat("error in auth_query: ERROR: ", exchange.error, " (error response from auth_query)"));
  if (answer.columns != 2)
    return fault(cat("expected 2 columns from auth_query, not ", std::max<int>(answer.columns, 0)));
  if (answer.rows == 0) {
    ticket.outcome = Outcome::kNoRow;
    return;
  }
  if (answer.rows > 1) return fault(cat("expected one row from auth_query, not ", answer.rows));
  if (answer.cut) return fault("row of auth_query is too large");
  auto value = [&reader]() -> std::optional<ByteView> {
    const int32_t size = reader.i32();
    if (size < 0) return std::nullopt;
    return reader.bytes(static_cast<uint64_t>(size));
  };
  const uint16_t count = reader.u16();
  const std::optional<ByteView> user = value();
  const std::optional<ByteView> secret = value();
  if (count != 2 || !reader.ok()) return fault("broken row from auth_query");
  if (!user) return fault("auth_query response contained null user name");
  ticket.user = *user;
  if (secret) ticket.secret = std::string(*secret);
  ticket.outcome = Outcome::kFound;
}

// As everybody gets it who sets nothing: what others have set on this server is taken back.
std::string plain_settings(session::Server& server) {
  track::ParameterSet wanted;
  wanted.init(server.parameters.shared_names());
  if (auto welcome = server.local_pool->shared().welcome()) fill_unset(wanted, welcome->tracked);
  return track::replay(wanted, server.parameters);
}

}  // namespace

bool needs_lookup(const ClientLogin& login) {
  const settings::Global& global = login.snapshot->global;
  if (global.auth_type == settings::AuthType::kAny) return false;
  const pool::DatabasePtr config = config_of(login);
  if (contradicts(login, config.get())) return true;
  if (login.known && !login.secret.empty()) return false;
  if ((!config && !login.console) || is_vouched(foreseen_method(login))) return false;
  return !own_or_global(config.get(), &settings::Database::auth_user, global.auth_user).empty();
}

net::Task<bool> look_up_user(ClientLogin& login) {
  const pool::DatabasePtr config = config_of(login);
  const settings::Global& global = login.snapshot->global;
  if (contradicts(login, config.get())) {
    config_error(login, cat(foreseen_method(login) == Method::kPam ? "PAM" : "LDAP",
                            " can't be used together with database authentication (auth_user of the entry)"));
    co_return false;
  }
  std::shared_ptr<pool::SharedDatabase> entry = choose_database(login, config.get());
  if (!entry) co_return false;
  const std::string asking = own_or_global(config.get(), &settings::Database::auth_user, global.auth_user);
  auto ticket = std::make_shared<LookupTicket>();
  ticket->query = own_or_global(config.get(), &settings::Database::auth_query, global.auth_query);
  ticket->name = login.user;
  ticket->deadline = login.deadline;
  session::LocalPool& pool = login.hub.pool_of(login.hub.books.pool(entry, asking));
  session::PendingLookup pending(login.hub.now());
  pool.lookups.push_back(pending);
  EndWatch watch(login.hub, login.client);
  if (login.gone()) co_return false;
  {
    Guest guest(login, pool);
    bool served = co_await guest.get_server();
    if (!served) co_return false;
    pending.served = login.hub.now();
    session::start_lookup(login.hub, login.client, ticket);
  }
  if (login.gone()) co_return false;
  bool answered = co_await wait_for_answer(login, ticket);
  if (!answered) co_return false;
  const Micros took = session::book_lookup(login.hub, login.client, pool, pending);
  if (session::is_long_wait(pool, took)) login.long_lookup = took;
  co_return take_answer(login, *ticket);
}

net::Task<void> run_lookup(session::Hub& hub, session::Server& server) {
  const session::LookupPromise promise = std::move(server.lookup);
  LookupTicket& ticket = promise.ticket();
  Exchange exchange(hub, server, "an auth_query");
  Answer answer;
  exchange.deadline = ticket.deadline;
  const std::string settings = plain_settings(server);
  if (!settings.empty()) exchange.ask(settings);
  exchange.ask(ticket.query, ticket.name, answer);
  Drained drained = co_await drain(exchange);
  if (drained == Drained::kDone) {
    judge(ticket, exchange, answer);
  } else if (exchange.farewell) {
    ticket.fault = exchange.error;
  } else if (drained == Drained::kTimeout && !exchange.over()) {
    hub.cancel_abandoned(server);
  }
  finish_errand(exchange, drained, false, session::Reason::kServerNotReady);
}

}  // namespace pgweir::login
