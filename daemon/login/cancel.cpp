#include "login/cancel.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "login/connect.hpp"
#include "login/inbox.hpp"
#include "net/wait.hpp"
#include "session/attach.hpp"
#include "session/patience.hpp"
#include "wire/builder.hpp"

namespace pgweir::login {

namespace {

constexpr size_t kMostNoise = size_t{64} * 1024;  // that a server may say to a cancel request, to which nothing is said

// The server may be closed, and its memory reused, while the request is under way; its id is not.
session::Server* find_server(session::Hub& hub, uint32_t id) {
  for (const auto& server : hub.servers) {
    if (server->id == id) return server.get();
  }
  return nullptr;
}

// One request under way to a server, for as long as this lives.
class BeingCancelled {
 public:
  BeingCancelled(session::Hub& hub, session::Server& server) : hub_(hub), id_(server.id) { ++server.cancels; }
  ~BeingCancelled() {
    session::Server* server = find_server(hub_, id_);
    if (server && server->cancels > 0) --server->cancels;
  }
  BeingCancelled(const BeingCancelled&) = delete;
  BeingCancelled& operator=(const BeingCancelled&) = delete;

 private:
  session::Hub& hub_;
  uint32_t id_;
};

void warn(session::Hub& hub, const CancelTarget& target, std::string_view what) {
  hub.log.write(Level::kWarning, Event::kCancelFailed, cat("cancel request to ", target.address.text(), what),
                {{"SERVER_ADDR", target.host}, {"SERVER_PID", std::to_string(target.pid)}});
}

}  // namespace

CancelTarget cancel_target(const session::Hub& hub, const session::Server& server) {
  CancelTarget target;
  target.address = server.stream.peer();
  if (target.address.is_unix()) {
    auto path = net::Address::unix_path(server.place);
    if (path) target.address = path.take();
  }
  target.host = server.place;
  if (server.stream.tls()) target.tls = hub.server_tls;
  target.pid = server.backend_pid;
  target.secret = server.cancel_secret;
  return target;
}

net::Task<CancelSent> deliver_cancel(net::Stream& stream, std::string request, Micros deadline) {
  Inbox inbox(stream);
  if (!stream.send(request)) co_return CancelSent::kNo;
  Got got = Got::kOk;
  size_t noise = 0;
  while (got == Got::kOk && noise <= kMostNoise) {
    got = co_await fill(inbox, 1, deadline);
    noise += inbox.take_rest().size();
  }
  co_return got == Got::kEof ? CancelSent::kDelivered : CancelSent::kInDoubt;
}

net::Task<CancelSent> send_cancel(session::Hub& hub, CancelTarget target, Micros deadline) {
  net::Stream stream;
  std::string error = co_await dial(hub, stream, target.address, deadline);
  if (!error.empty()) {
    warn(hub, target, cat(" failed: ", error));
    co_return CancelSent::kNo;
  }
  SecuredResult secured = co_await secure(stream, target.tls, target.host, deadline);
  if (secured.how == Secured::kRefused || secured.how == Secured::kFailed) {
    warn(hub, target, cat(" failed: ", secured.why));
    co_return CancelSent::kNo;
  }
  std::string request;
  wire::append_cancel_request(request, target.pid, target.secret);
  CancelSent sent = co_await deliver_cancel(stream, request, deadline);
  if (sent == CancelSent::kInDoubt)
    warn(hub, target, " may still arrive: the server has not closed its connection in time");
  co_return sent;
}

net::Task<void> forward_cancel(session::Hub& hub, session::Server& server, Micros until) {
  const uint32_t id = server.id;
  const CancelTarget target = cancel_target(hub, server);
  const Micros limit = session::cancel_limit(hub.snapshot->global);
  const Micros deadline = std::min(until, deadline_after(hub.now(), limit));
  CancelSent sent = CancelSent::kNo;
  {
    BeingCancelled counted(hub, server);
    if (target.pid != 0) {
      sent = co_await send_cancel(hub, target, deadline);
      if (sent == CancelSent::kDelivered) hub.log.debug("closing because: successfully sent cancel request");
    }
  }
  session::Server* held = find_server(hub, id);
  if (held && sent == CancelSent::kInDoubt) held->cancel_in_doubt = true;
  if (held && held->cancels == 0 && held->state() == pool::ServerState::kBeingCanceled)
    session::returned(hub, *held, false);
}

}  // namespace pgweir::login
