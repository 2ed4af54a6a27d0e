// The login of a server connection: choose_host > dial > secure > introduce > authenticate > connect_query. Promises:
// bounded by server_connect_timeout; a hostile server is bounded in every byte; a host that fails is passed over within
// the same attempt; the server's own error reaches the clients that wait. Does not: decide when to log in (pool/).
#pragma once

#include "net/task.hpp"
#include "session/hub.hpp"

namespace pgweir::login {

// `server`: in its pool's login list, with its slot. Ends with session::returned(), or with the server closed, the
// trouble booked and those who wait told.
net::Task<void> server_login(session::Hub& hub, session::Server& server);

}  // namespace pgweir::login
