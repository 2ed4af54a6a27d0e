// What the steps of a server's login share. Private to login/.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "auth/scram.hpp"
#include "auth/secret.hpp"
#include "login/inbox.hpp"
#include "session/attach.hpp"
#include "session/hub.hpp"

namespace pgweir::login {

inline constexpr uint32_t kMostLoginMessage = 64 * 1024;  // bytes of one message of a server before it has let us in
inline constexpr size_t kMostLoginBytes = size_t{1024} * 1024;  // of all of them

// Why a login to a server failed.
struct LoginFailure {
  session::Reason reason = session::Reason::kServerConnectFailed;
  std::string text = "connect failed";  // for the log, "cached error: ..." and, with `tell`, the clients that wait
  std::string sqlstate;                 // the server's own
  bool tell = false;                    // the clients that wait are told; else they go on waiting
  bool elsewhere = true;                // the host's own trouble: another host may do
};

class ServerLogin {
 public:
  ServerLogin(session::Hub& hub, session::Server& server);
  ~ServerLogin() { stop_counting(); }
  ServerLogin(const ServerLogin&) = delete;
  ServerLogin& operator=(const ServerLogin&) = delete;

  session::Hub& hub;
  session::Server& server;
  const std::shared_ptr<pool::SharedPool> shared;
  const pool::SnapshotPtr snapshot;
  const pool::DatabasePtr config;
  Inbox inbox;
  const Micros deadline;  // of the login
  Micros attempt_end;     // of the attempt at this host
  LoginFailure failure;

  // Authentication, of the attempt at this host.
  auth::Secret secret;
  bool forced_user = false;
  std::optional<auth::ScramClient> scram;
  std::string scram_mark;       // of the password that `scram` proves; empty for keys
  bool scram_verified = false;  // the server has proved that it knows the secret
  bool authenticated = false;   // it has let us in
  size_t bytes_seen = 0;
  std::shared_ptr<pool::Welcome> welcome;

  bool gone() const { return server.state() != pool::ServerState::kLogin; }
  void stop_counting();
  void start_attempt();
  // Notes the failure; false, so that a step can end with it.
  bool fail(session::Reason reason, std::string text);
  bool fail(Got got);
  // The server cannot be logged in to with what we have: the clients are told "server login failed: TEXT".
  bool cannot(std::string_view text);

 private:
  bool counted_ = true;
};

// What a message of the server calls for.
enum class ServerStep : uint8_t {
  kGoOn,
  kProve,   // SCRAM: make the final message (many hashes)
  kReady,   // ReadyForQuery
  kFailed,  // `failure` says why
};

// The secret to log in with: `password=` of the entry, else the password that PAM or LDAP has vouched for, else the
// pool user's record in auth_file, else what auth_query has said of him.
void choose_secret(ServerLogin& login);
// One message while logging in; its answer is sent.
ServerStep on_login_message(ServerLogin& login, char type, ByteView body);
// One AuthenticationXXX message.
ServerStep on_authentication(ServerLogin& login, ByteView body);
net::Task<bool> send_final_proof(ServerLogin& login);
// The startup packet: the entry's own settings, and what the owner of an own server has asked for.
std::string startup_packet(const ServerLogin& login);

// Connected and secured; the peer is in server.stream.
net::Task<bool> reach_host(ServerLogin& login);

}  // namespace pgweir::login
