// A connection that brings a cancel request: never answered, closed when the request has been dealt with or
// cancel_wait_timeout is over (compat/wire.md, sections 2, 6 and 12).
#include <array>

#include "login/client_flow.hpp"
#include "net/wait.hpp"

namespace pgweir::login {

namespace {

std::string_view text_of(session::CancelOutcome outcome) {
  switch (outcome) {
    case session::CancelOutcome::kNotRunning: return "cancel request for idle client";
    case session::CancelOutcome::kUnknownKey: return "failed cancel request";
    default: return "successfully sent cancel request";
  }
}

}  // namespace

net::Task<void> pass_cancel_on(ClientLogin& login) {
  session::Hub& hub = login.hub;
  session::Client& client = login.client;
  if (!pool::set_state(client, pool::ClientState::kCancel)) co_return;
  const Micros until = deadline_after(hub.now(), login.snapshot->global.cancel_wait_timeout);
  client.login_deadline = until;
  std::shared_ptr<session::CancelTicket> ticket = hub.cancel(login.cancel->pid, login.cancel->secret);
  net::Waited waited = net::Waited::kReady;
  while (ticket && ticket->outcome == session::CancelOutcome::kPending && waited == net::Waited::kReady) {
    waited = co_await ticket->done.wait(hub.loop, until);
    if (login.gone()) co_return;
  }
  if (!ticket || ticket->outcome == session::CancelOutcome::kPending) {
    session::close_client(hub, client, session::Reason::kCancelTimeout);
  } else {
    session::close_client(hub, client, session::Reason::kCancelDone, text_of(ticket->outcome));
  }
}

}  // namespace pgweir::login
