#include "login/client_login.hpp"

#include "base/text.hpp"
#include "login/client_flow.hpp"
#include "login/lookup.hpp"

namespace pgweir::login {

using session::Reason;

ClientLogin::ClientLogin(session::Hub& hub, session::Client& client)
    : hub(hub),
      client(client),
      snapshot(hub.snapshot),
      inbox(client.stream),
      deadline(deadline_after(client.connected_at, hub.snapshot->global.client_login_timeout)) {
  client.login_deadline = deadline;
}

bool ClientLogin::refuse(std::string_view text, std::string_view sqlstate) {
  session::close_client(hub, client, Reason::kLoginRefused, text, sqlstate);
  return false;
}

bool ClientLogin::drop(std::string_view why) {
  session::close_client(hub, client, Reason::kClientSocketError, why);
  return false;
}

bool ClientLogin::stopped(Got got) {
  if ((got == Got::kEof || got == Got::kError) && user.empty()) {
    session::close_client(hub, client, Reason::kClientProbe);
    return false;
  }
  switch (got) {
    case Got::kTimeout: session::close_client(hub, client, Reason::kLoginTimeout); return false;
    case Got::kEof: session::close_client(hub, client, Reason::kClientEof); return false;
    case Got::kBadSize: return refuse(cat("bad packet header: '", hex(inbox.bytes().substr(0, 8), 8), "'"));
    default: session::close_client(hub, client, Reason::kClientSocketError); return false;
  }
}

bool ClientLogin::send(std::string_view message) {
  if (client.stream.send(message)) return true;
  session::close_client(hub, client, Reason::kClientSocketError);
  return false;
}

net::Task<void> client_login(session::Hub& hub, session::Client& client) {
  ClientLogin login(hub, client);
  bool good = co_await read_startup(login);
  if (login.cancel && !login.gone()) {
    co_await pass_cancel_on(login);
    co_return;
  }
  good = good && take_parameters(login);
  if (!good) co_return;
  look_up(login);
  if (!is_own_account(login) && needs_lookup(login)) {
    good = co_await look_up_user(login);
    if (!good) co_return;
  }
  good = choose_pool(login) && choose_method(login);
  if (!good) co_return;
  good = co_await prove_identity(login);
  good = good && enter_pool(login);
  if (!good) co_return;
  if (client.replication != session::Replication::kNone && !login.console) {
    good = co_await get_own_server(login);
    if (!good) co_return;
    send_welcome(login);
  } else if (!login.console) {
    good = co_await wait_for_welcome(login);
    if (!good) co_return;
    send_welcome(login);
  }
  if (login.gone()) co_return;
  std::string rest = login.inbox.take_rest();
  if (!rest.empty()) client.held = std::make_unique<std::string>(std::move(rest));
  client.login_deadline = kNever;
  client.last_request = hub.now();
  hub.client_ready(client);
}

}  // namespace pgweir::login
