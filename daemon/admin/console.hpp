// The console's driver: what a client of database pgweir (alias pgbouncer) talks to instead of the relay.
#pragma once

#include "admin/job.hpp"
#include "net/task.hpp"
#include "session/hub.hpp"

namespace pgweir::admin {

// Sends the whole welcome (AuthenticationOk included), then answers until the client leaves or is closed. Bytes that
// the login read and did not use are in client.held. The client has been closed when it ends.
net::Task<void> console(session::Hub& hub, session::Client& client, Office& office);

}  // namespace pgweir::admin
