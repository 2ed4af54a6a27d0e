// How a client proves who it is: nothing, a password, a certificate, its system account (compat/auth.md, sections 3
// and 8). Unknown users take part in the same exchange, at the same cost, and fail at its end.
#include <pwd.h>

#include <array>

#include "auth/ident.hpp"
#include "auth/md5.hpp"
#include "auth/userlist.hpp"
#include "base/text.hpp"
#include "login/client_flow.hpp"
#include "login/offloaded.hpp"
#include "session/say.hpp"
#include "wire/builder.hpp"

namespace pgweir::login {

namespace {

constexpr std::string_view kPasswordFailed = "password authentication failed";

// A PasswordMessage is one string with its NUL.
std::optional<ByteView> password_in(ByteView body) {
  if (body.empty() || body.back() != '\0') return std::nullopt;
  ByteView password = body.substr(0, body.size() - 1);
  if (password.find('\0') != ByteView::npos) return std::nullopt;
  return password;
}

net::Task<bool> prove_by_cleartext(ClientLogin& login) {
  std::optional<auth::SecretBytes> given = co_await ask_password(login, kPasswordFailed);
  if (!given) co_return false;
  const uint32_t mock = login.snapshot->userlist ? login.snapshot->userlist->scram_iterations() : 0;
  bool matches = co_await check_password(login.hub, login.secret, login.user, *given, mock);
  if (login.gone()) co_return false;
  co_return (matches && login.known) || login.refuse(kPasswordFailed);
}

net::Task<bool> prove_by_md5(ClientLogin& login) {
  std::string request;
  std::array<char, auth::kMd5SaltSize> random{};
  login.hub.draw_random(random.data(), random.size());
  const ByteView salt(random.data(), random.size());
  wire::append_authentication_md5(request, salt);
  if (!login.send(request)) co_return false;
  bool answered = co_await read_answer(login);
  if (!answered) co_return false;
  std::optional<ByteView> response = password_in(login.inbox.body());
  const bool matches = response && auth::md5_verify(login.secret, login.user, salt, *response);
  co_return (matches && login.known) || login.refuse(kPasswordFailed);
}

bool name_fits(const ClientLogin& login, const auth::CertificateNames& names) {
  if (login.ident_map.empty()) return auth::certificate_matches(names, login.user);
  return login.snapshot->ident && login.snapshot->ident->matches(login.ident_map, names, login.user);
}

// What speaks against a login by certificate, for the log; empty: nothing.
std::string certificate_fault(const ClientLogin& login) {
  const net::Stream& stream = login.client.stream;
  if (!stream.tls_ready()) return "TLS connection required";
  if (!stream.tls_peer_has_certificate()) return "TLS client certificate required";
  const auth::CertificateNames names{stream.tls_peer_dns_names(), stream.tls_peer_common_name()};
  if (!name_fits(login, names)) {
    if (login.ident_map.empty()) return "TLS certificate name mismatch";
    return cat("ident map: ", login.ident_map, " does not have a match");
  }
  return login.known ? "" : "no such user";
}

bool prove_by_certificate(ClientLogin& login) {
  const std::string fault = certificate_fault(login);
  if (fault.empty()) return true;
  say(login.hub, login.client, session::said(Level::kLog, Event::kLoginFailed),
      cat("certificate login failed: ", fault));
  return login.refuse("certificate authentication failed");
}

std::string account_name(uid_t uid) {
  std::array<char, 4096> room{};
  passwd entry{};
  passwd* found = nullptr;
  if (getpwuid_r(uid, &entry, room.data(), room.size(), &found) != 0 || !found) return {};
  return entry.pw_name;
}

bool prove_by_account(ClientLogin& login) {
  constexpr std::string_view kRejected = "unix socket login rejected";
  const net::Address& peer = login.client.stream.peer();
  if (!peer.is_unix() || peer.unix_uid() == static_cast<uid_t>(-1)) return login.refuse(kRejected);
  const std::string account = account_name(peer.unix_uid());
  bool same = !account.empty() && account == login.user;
  if (!login.ident_map.empty()) {
    same = !account.empty() && login.snapshot->ident &&
           login.snapshot->ident->matches(login.ident_map, account, login.user);
  }
  if (same && login.known) return true;
  const std::string fault = same                      ? "no such user"
                            : login.ident_map.empty() ? cat("the account is ", account.empty() ? "unknown" : account)
                                                      : cat("ident map ", login.ident_map, " cannot be matched");
  say(login.hub, login.client, session::said(Level::kLog, Event::kLoginFailed), cat("peer login failed: ", fault));
  return login.refuse(kRejected);
}

// The proofs that need no answer of the client.
bool prove_at_once(ClientLogin& login) {
  switch (login.method) {
    case Method::kAny: return true;
    case Method::kTrust: return login.known || login.refuse("\"trust\" authentication failed");
    case Method::kCert: return prove_by_certificate(login);
    case Method::kPeer: return prove_by_account(login);
    case Method::kReject: return login.refuse("login rejected");
    default: return login.refuse("no authentication method is found");
  }
}

}  // namespace

net::Task<bool> read_answer(ClientLogin& login) {
  ByteView head;
  login.inbox.drop_shown();
  Got got = co_await fill(login.inbox, 1, login.deadline);
  if (got != Got::kOk) co_return login.stopped(got);
  head = login.inbox.bytes();
  if (head[0] == 0) co_return login.refuse("client re-sent startup pkt");
  if (head[0] == 'X') {
    session::close_client(login.hub, login.client, session::Reason::kClientTerminate);
    co_return false;
  }
  if (head[0] != 'p') co_return login.drop("unexpected packet during authentication");
  got = co_await read_message(login.inbox, kMostPasswordMessage, login.deadline);
  if (got != Got::kOk) co_return login.stopped(got);
  co_return true;
}

net::Task<std::optional<auth::SecretBytes>> ask_password(ClientLogin& login, std::string_view refusal) {
  std::optional<auth::SecretBytes> given;
  std::string request;
  wire::append_authentication_cleartext(request);
  if (!login.send(request)) co_return std::nullopt;
  bool answered = co_await read_answer(login);
  if (!answered) co_return std::nullopt;
  const std::optional<ByteView> password = password_in(login.inbox.body());
  if (!password) {
    login.refuse(refusal);
  } else if (password->empty()) {
    login.refuse("empty password returned by client");
  } else {
    given.emplace(std::string(*password));
  }
  co_return std::move(given);
}

net::Task<bool> prove_identity(ClientLogin& login) {
  bool proved = false;
  if (login.method == Method::kCleartext) {
    proved = co_await prove_by_cleartext(login);
  } else if (login.method == Method::kMd5) {
    proved = co_await prove_by_md5(login);
  } else if (login.method == Method::kScram) {
    proved = co_await prove_by_scram(login);
  } else if (is_vouched(login.method)) {
    proved = co_await prove_by_voucher(login);
  } else {
    proved = prove_at_once(login);
  }
  co_return proved && !login.gone();
}

}  // namespace pgweir::login
