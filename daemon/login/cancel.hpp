// Cancel requests to servers (compat/wire.md, section 6; PostgreSQL's protocol chapter, "Canceling Requests in
// Progress"). Promises: a request goes to the address its server is at, over TLS when that server's connection has TLS;
// while it is under way the server is counted as being cancelled, and so is given to nobody else; one that may still
// arrive when it is given up marks the server, which then ends with the work that it has.
#pragma once

#include <memory>
#include <string>

#include "net/address.hpp"
#include "net/task.hpp"
#include "net/tls.hpp"
#include "session/hub.hpp"

namespace pgweir::login {

// What a cancel request needs to know of its server; the server may be closed meanwhile.
struct CancelTarget {
  net::Address address;
  std::string host;  // for the certificate
  std::shared_ptr<const net::TlsContext> tls;
  uint32_t pid = 0;
  std::string secret;
};
CancelTarget cancel_target(const session::Hub& hub, const session::Server& server);

enum class CancelSent : uint8_t {
  kNo,         // the request has not left
  kDelivered,  // PostgreSQL has closed the connection, which it does when the signal has been sent
  kInDoubt,    // it has left, but that end was not seen before `deadline`: it may still arrive
};
net::Task<CancelSent> send_cancel(session::Hub& hub, CancelTarget target, Micros deadline);
// The last step of it: `request` on `stream`, which is connected, and then its end.
net::Task<CancelSent> deliver_cancel(net::Stream& stream, std::string request, Micros deadline);

// send_cancel for `server`, bounded by cancel_wait_timeout and `until`, with the count of cancels kept. A server that
// was held because of it is returned to its pool afterwards, and closed where the request may still arrive. One at a
// time for a server: later ones join it (the caller sees server.cancels > 0).
net::Task<void> forward_cancel(session::Hub& hub, session::Server& server, Micros until = kNever);

}  // namespace pgweir::login
