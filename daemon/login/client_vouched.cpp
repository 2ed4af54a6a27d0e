// A password that somebody else judges: PAM or a directory (compat/auth.md, sections 9 and 10), in threads of their
// own. The wait ends with the login's time or with the client, whatever those threads are held up by. Whom they accept
// need not be known here; the password is kept for logins to servers.
#include "login/client_flow.hpp"
#include "login/end_watch.hpp"
#include "net/offload.hpp"
#include "net/wait.hpp"
#include "session/say.hpp"
#include "vouch/vouch.hpp"

namespace pgweir::login {

namespace {

// PgBouncer bounds nothing here; without client_login_timeout there is still an end.
constexpr Micros kMostPatience = 60 * kSecond;
constexpr Micros kMostPause = 10 * kSecond;

struct Case {
  vouch::Verdict (*judge)(const vouch::Question&) = nullptr;
  vouch::Question question;
  vouch::Verdict verdict;
  void run() { verdict = judge(question); }
};

struct VoucherRow {
  vouch::Verdict (*judge)(const vouch::Question&);
  std::string_view refusal;
};
constexpr VoucherRow kPamRow{vouch::ask_pam, "PAM authentication failed"};
constexpr VoucherRow kLdapRow{vouch::ask_ldap, "LDAP authentication failed"};

std::shared_ptr<Case> make_case(const ClientLogin& login, const VoucherRow& row, const auth::SecretBytes& password,
                                Micros until) {
  auto made = std::make_shared<Case>();
  made->judge = row.judge;
  made->question.user = login.user;
  made->question.password = password;
  made->question.remote_host = login.client.stream.peer().host();
  made->question.ldap = login.ldap;
  made->question.until =
      std::chrono::steady_clock::now() + std::chrono::microseconds(std::max<Micros>(until - login.hub.now(), 0));
  return made;
}

// One lane for each set of servers, so that one directory that hangs leaves threads for the others.
std::string lane_of(const ClientLogin& login) {
  if (login.method == Method::kPam || !login.ldap) return "pam";
  return "ldap " + login.ldap->servers + ' ' + login.ldap->base_dn;
}

bool refuse(ClientLogin& login, const VoucherRow& row, std::string_view why) {
  say(login.hub, login.client, session::said(Level::kWarning, Event::kLoginFailed), why);
  return login.refuse(row.refusal);
}

// In a thread; the verdict is in `asked`. False: the client is closed.
net::Task<bool> judged(ClientLogin& login, std::shared_ptr<Case> asked, const VoucherRow& row, Micros until) {
  const std::string lane = lane_of(login);
  std::function<void()> work = [asked] { asked->run(); };
  EndWatch watch(login.hub, login.client);
  if (login.gone()) co_return false;
  net::Offloaded how = co_await net::offload_to(login.hub.vouchers, login.hub.loop, work, lane, until);
  if (login.gone()) co_return false;
  if (how == net::Offloaded::kDone) co_return true;
  if (how == net::Offloaded::kLate && until == login.deadline) co_return login.stopped(Got::kTimeout);
  co_return refuse(login, row, how == net::Offloaded::kLate ? "no answer in time" : "too many logins wait already");
}

}  // namespace

net::Task<bool> prove_by_voucher(ClientLogin& login) {
  const VoucherRow& row = login.method == Method::kPam ? kPamRow : kLdapRow;
  const Micros until = std::min(login.deadline, login.hub.now() + kMostPatience);
  std::optional<auth::SecretBytes> password = co_await ask_password(login, row.refusal);
  if (!password) co_return false;
  std::shared_ptr<Case> asked = make_case(login, row, *password, until);
  bool done = co_await judged(login, asked, row, until);
  if (!done) co_return false;
  if (asked->verdict.accepted) {
    login.vouched = std::move(password);
    login.known = true;
    login.client.user = login.hub.books.user(login.user);
    co_return true;
  }
  if (asked->verdict.pause.count() > 0) {
    const Micros end = login.hub.now() + std::min<Micros>(asked->verdict.pause.count(), kMostPause);
    EndWatch watch(login.hub, login.client);
    co_await net::sleep_until(login.hub.loop, end);
    if (login.gone()) co_return false;
  }
  co_return refuse(login, row, asked->verdict.why);
}

}  // namespace pgweir::login
