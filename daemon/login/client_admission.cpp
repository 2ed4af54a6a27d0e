// Which entry, which user, which proof: what is decided before the proof, and what after it (compat/auth.md section 3,
// "Order at login"; compat/console.md section 1).
#include <unistd.h>

#include "auth/userlist.hpp"
#include "base/text.hpp"
#include "login/client_flow.hpp"
#include "session/say.hpp"

namespace pgweir::login {

namespace {

std::string limit_text(pool::Limit limit) {
  return cat("client connections exceeded (",
             limit == pool::Limit::kDatabase ? "max_db_client_connections" : "max_user_client_connections", ")");
}

// Counts this client in its database and user; administrators are let in beyond the limits. Who takes part in a
// console's exchange without a right to it takes nobody's seat there.
bool take_seat(ClientLogin& login) {
  if (login.console && login.client.console_rights == 0) return true;
  pool::Limit refused = pool::Limit::kNone;
  const auto& database = login.console ? login.hub.books.console() : login.entry;
  const auto user = login.known || is_own_account(login) ? login.client.user : nullptr;
  if (login.client.seat.try_take(database, user, &refused)) return true;
  if (!is_own_account(login) && !list_contains(login.snapshot->global.admin_users, login.user))
    return login.refuse(limit_text(refused));
  login.client.seat.take(database, user);
  return true;
}

// The right to be at the console, decided before any proof is asked for.
bool admit_to_console(ClientLogin& login) {
  const settings::Global& global = login.snapshot->global;
  if (is_own_account(login)) {
    login.client.console_rights = 'a';
    login.method = Method::kAny;
    return true;
  }
  const bool any = global.auth_type == settings::AuthType::kAny;
  login.client.console_rights = console_rights(login.user, global.admin_users, global.stats_users, any);
  if (login.client.console_rights != 0) return true;
  // Who is nobody takes part in the exchange, as everywhere, and fails at its end.
  if (!login.known && !is_vouched(foreseen_method(login))) return true;
  return login.refuse("not allowed");
}

auth::HbaAddress hba_address(const net::Address& peer) {
  return auth::HbaAddress::of(ByteView(reinterpret_cast<const char*>(peer.ip_bytes()), peer.ip_size()));
}

const auth::HbaRule* rule_for(const ClientLogin& login) {
  const net::Stream& stream = login.client.stream;
  auth::HbaClient asking;
  asking.unix_socket = stream.peer().is_unix();
  asking.tls = stream.tls();
  asking.address = hba_address(stream.peer());
  asking.database = login.database;
  asking.user = login.user;
  asking.replication = login.client.replication == session::Replication::kPhysical;
  return login.snapshot->hba ? login.snapshot->hba->match(asking) : nullptr;
}

void ask_hba(ClientLogin& login) {
  const auth::HbaRule* rule = rule_for(login);
  login.method = method_of(rule);
  if (!rule) return;
  login.ident_map = rule->map;
  login.ldap = rule->ldap;
}

// What this login leaves for logins to servers as the same user.
void keep_for_servers(ClientLogin& login) {
  pool::SharedPool& shared = login.client.local_pool->shared();
  if (login.vouched) return shared.keep_secret(login.vouched->view(), true);
  if (login.looked_up) return shared.keep_secret(login.secret.text());
  if (!login.secret.empty()) shared.forget_password();
}

void log_attempt(ClientLogin& login) {
  if (!login.snapshot->global.log_connections) return;
  std::string tls = login.client.stream.tls_info();
  if (tls.empty()) tls = "no";
  say(login.hub, login.client, session::said(Level::kLog, Event::kLoginAttempt),
      cat("login attempt: db=", login.database, " user=", login.user, " tls=", tls,
          " replication=", replication_word(login.client.replication)));
}

}  // namespace

bool is_own_account(const ClientLogin& login) {
  const net::Address& peer = login.client.stream.peer();
  return login.console && peer.is_unix() && peer.unix_uid() == geteuid() && is_house_user(login.user);
}

// Who comes without being in the books (unknown users, names of databases that do not exist) has entries of his own:
// nobody without a proof makes the books grow.
void look_up(ClientLogin& login) {
  session::Hub& hub = login.hub;
  login.entry = login.console ? nullptr : hub.books.known_database(login.database);
  login.client.database =
      login.entry ? login.entry : std::make_shared<pool::SharedDatabase>(login.database, nullptr, false);
  const auth::Secret* secret = login.snapshot->userlist ? login.snapshot->userlist->find(login.user) : nullptr;
  login.known = secret != nullptr;
  if (secret) login.secret = *secret;
  const bool in_books = login.known || is_own_account(login);
  login.client.user = in_books ? hub.books.user(login.user) : std::make_shared<pool::SharedUser>(login.user);
}

Method foreseen_method(const ClientLogin& login) {
  const settings::AuthType type = login.snapshot->global.auth_type;
  return type == settings::AuthType::kHba ? method_of(rule_for(login)) : method_of(type);
}

bool choose_pool(ClientLogin& login) {
  if (login.console && !admit_to_console(login)) return false;
  if (!take_seat(login)) return false;
  log_attempt(login);
  return true;
}

bool choose_method(ClientLogin& login) {
  if (login.method == Method::kAny) return true;  // the daemon's own account
  const settings::AuthType type = login.snapshot->global.auth_type;
  login.method = method_of(type);
  login.ldap = login.snapshot->ldap;
  if (type == settings::AuthType::kHba) ask_hba(login);
  login.method = sharpened(login.method, login.secret.kind());
  if (login.method == Method::kLdap && type == settings::AuthType::kLdap &&
      login.snapshot->global.auth_ldap_options.empty())
    return login.refuse("auth_ldap_options is null");
  if (login.method != Method::kAny && !is_vouched(login.method) && !login.known) {
    say(login.hub, login.client, session::said(Level::kLog, Event::kLoginFailed), cat("no such user: ", login.user));
  }
  return true;
}

std::shared_ptr<pool::SharedDatabase> open_database(session::Hub& hub, const std::string& name) {
  bool made = false;
  std::shared_ptr<pool::SharedDatabase> entry = hub.books.database(name, &made);
  if (made)
    hub.log.write(Level::kLog, Event::kDatabaseMade, cat("registered new auto-database: ", name), {{"DATABASE", name}});
  return entry;
}

// Called with the proof given.
bool enter_pool(ClientLogin& login) {
  session::Hub& hub = login.hub;
  session::Client& client = login.client;
  if (login.console) {
    if (hub.books.stopping() != pool::Stopping::kNo && !client.stream.peer().is_unix())
      return login.refuse("pooler is shutting down");
    if (client.console_rights == 0) return login.refuse("not allowed");  // no proof makes up for a missing right
    return pool::set_state(client, pool::ClientState::kConsole) || login.drop("console login in a wrong state");
  }
  if (!login.entry) login.entry = open_database(hub, login.database);
  if (!login.entry || login.entry->removed) {
    say(hub, client, session::said(Level::kLog, Event::kLoginFailed),
        cat("login failed: db=", login.database, " user=", login.user));
    return login.refuse(cat("no such database: ", login.database));
  }
  client.database = login.entry;
  if (login.entry->disabled) return login.refuse(cat("database \"", login.database, "\" is disabled"));
  if (hub.books.stopping() != pool::Stopping::kNo) return login.refuse("pooler is shutting down");
  const pool::DatabasePtr config = login.entry->config();
  const std::string forced = config->user.value_or(std::string());
  if (login.method == Method::kAny) {
    if (forced.empty()) {
      say(hub, client, session::said(Level::kError, Event::kLoginFailed),
          cat("auth_type=any requires forced user: there is no user= in the entry of database ", login.database));
      return login.refuse("bouncer config error");
    }
    client.user = hub.books.user(login.user);
    login.known = true;
  }
  if (!take_seat(login)) return false;
  client.local_pool = &hub.pool_of(hub.books.pool(login.entry, forced.empty() ? login.user : forced));
  if (forced.empty()) keep_for_servers(login);
  return true;
}

}  // namespace pgweir::login
