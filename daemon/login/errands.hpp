// What is done with a server that has no client: its reset, its check, and the clean-up after a client that vanished.
// Promises: bounded; whatever a server still owes is matched by its ReplyQueue; ends with session::returned() or with
// the server closed.
#pragma once

#include "net/task.hpp"
#include "session/hub.hpp"

namespace pgweir::login {

// server_reset_query; any outcome that ends in ReadyForQuery(idle) is fine (compat/wire.md, section 8).
net::Task<void> run_reset(session::Hub& hub, session::Server& server);

// server_check_query; an SQL error passes, a lost connection does not.
net::Task<void> run_check(session::Hub& hub, session::Server& server);

// The client left in the middle of work: cancel what runs (unless it said goodbye: Server::let_finish), throw away what
// comes, ROLLBACK, return the server; within client_cleanup_timeout and client_cleanup_bytes, else close it.
net::Task<void> clean_up(session::Hub& hub, session::Server& server);

}  // namespace pgweir::login
