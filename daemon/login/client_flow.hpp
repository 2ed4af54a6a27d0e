// What the steps of a client's login share. Private to login/.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "auth/secret.hpp"
#include "login/decide.hpp"
#include "login/inbox.hpp"
#include "session/attach.hpp"
#include "session/hub.hpp"
#include "wire/startup.hpp"

namespace pgweir::login {

// Bounds before the client has proved anything, in bytes of one message.
inline constexpr uint32_t kMostPacket = 65'535;           // as PgBouncer: its first two length bytes must be 0
inline constexpr uint32_t kMostPasswordMessage = 65'535;  // PostgreSQL's PG_MAX_AUTH_TOKEN_LENGTH

class ClientLogin {
 public:
  ClientLogin(session::Hub& hub, session::Client& client);

  session::Hub& hub;
  session::Client& client;
  pool::SnapshotPtr snapshot;  // one for the whole login, whatever is reloaded meanwhile
  Inbox inbox;
  Micros deadline;

  // read_startup
  std::optional<wire::StartupMessage> startup;
  std::optional<wire::CancelRequest> cancel;

  // take_parameters
  std::string user;
  std::string database;
  bool console = false;
  std::shared_ptr<pool::SharedDatabase> entry;  // null: no such database (or an automatic one not made yet)

  // fetch_secret
  Method method = Method::kNoRule;
  std::string ident_map;
  bool known = false;
  bool looked_up = false;  // by auth_query, not in the userlist
  Micros long_lookup = 0;  // how long that took, if it is worth telling the client
  auth::Secret secret;
  std::shared_ptr<const auth::LdapOptions> ldap;  // of kLdap; null: they cannot be used
  std::optional<auth::SecretBytes> vouched;       // the password that PAM or LDAP has accepted

  // wait_for_welcome
  std::shared_ptr<const pool::Welcome> welcome;

  bool gone() const { return client.state() == pool::ClientState::kGone; }

  // Closes the client with that FATAL; false, so that a step can end with it.
  bool refuse(std::string_view text, std::string_view sqlstate = {});
  // Closes it without a word; the text is for the log.
  bool drop(std::string_view why);
  // Closes it because a read ended so.
  bool stopped(Got got);
  bool send(std::string_view message);
};

// The steps. False: the client is closed (or, after read_startup, has left a cancel request).
net::Task<bool> read_startup(ClientLogin& login);
bool take_parameters(ClientLogin& login);
void look_up(ClientLogin& login);
bool is_own_account(const ClientLogin& login);
bool choose_pool(ClientLogin& login);
bool choose_method(ClientLogin& login);
// The method for the name that the client says; auth_query may give another one.
Method foreseen_method(const ClientLogin& login);
net::Task<bool> prove_identity(ClientLogin& login);
bool enter_pool(ClientLogin& login);
// An entry by its name, made from `*` where there is no other (and that is told); null: there is none.
std::shared_ptr<pool::SharedDatabase> open_database(session::Hub& hub, const std::string& name);
net::Task<bool> wait_for_welcome(ClientLogin& login);
// A server that logs in with this client's own settings, for a replication connection (own_server.cpp).
net::Task<bool> get_own_server(ClientLogin& login);
bool may_go_on_waiting(ClientLogin& login);  // False: the client is closed
void send_welcome(ClientLogin& login);
net::Task<void> pass_cancel_on(ClientLogin& login);

// client_proof.cpp, client_scram.cpp and client_vouched.cpp: the exchanges.
net::Task<bool> prove_by_scram(ClientLogin& login);
net::Task<bool> prove_by_voucher(ClientLogin& login);
// Asks for a password in clear text. Nothing: the client is closed. Never an empty one.
net::Task<std::optional<auth::SecretBytes>> ask_password(ClientLogin& login, std::string_view refusal);
// The next password message's body is in inbox.body(). False: the client is closed.
net::Task<bool> read_answer(ClientLogin& login);

}  // namespace pgweir::login
