// The life of the link between a client and a server: attach, release, close. Promises: nothing is freed here (the
// graveyard is emptied after the batch) and no other connection is resumed (it goes to the ready list); a server goes
// back to the pool only when every answer it owed has come.
#pragma once

#include <string_view>

#include "session/hub.hpp"

namespace pgweir::session {

// `client` (idle) has a request that needs a server.
enum class Attached : uint8_t {
  kNow,     // client.server is set; its SETs, if any, are queued in front
  kProve,   // attached, but its request must wait until the server has accepted its parameters
  kWait,    // in the queue; hold the request and do not read the client
  kClosed,  // refused: the client is gone
};
Attached attach(Hub& hub, Client& client);

// Links a client and a server that the books have made active; queues the SETs that bring the server's parameters to
// the client's.
void link(Hub& hub, Client& client, Server& server);

// `server` is to log in for `owner` only, a replication client at the gate. They are linked from now on: each ends with
// the other.
void give_own(Client& owner, Server& server);
// They are not any more, and `server`, which still logs in, is to be closed. The owner's login hears of it.
void take_own_back(Hub& hub, Server& server);
// Does a server less in one of these pools make room for the other under that limit?
bool shares_limit(const pool::SharedPool& one, const pool::SharedPool& other, pool::Limit limit);

// `client`, which logs in, has been given a server for auth_query: both leave each other, the client its pool, and the
// server is asked what `ticket` says.
void start_lookup(Hub& hub, Client& client, std::shared_ptr<LookupTicket> ticket);

// The server has answered everything and its client's transaction is over (transaction and statement mode), or its
// client has left it in that state. The client, if any, becomes idle.
void release(Hub& hub, Server& server);

// A server without a client is ready for work: logged in, reset, checked, cleaned up, or arrived from another worker.
// `reset_done`: it need not be reset again.
void returned(Hub& hub, Server& server, bool reset_done);

// A server has come from another worker: to a waiter, after the check that is due where it has rested for long.
void arrived(Hub& hub, Server& server);

// Servers for those who wait in this pool, as far as limits allow. Cheap when nobody waits. `refused`: a client was
// sent away because logins to the server fail, a reason to try again when that is due (compat/wire.md, section 13).
void feed(Hub& hub, LocalPool& pool, bool refused = false);

// Closes a client. `text` replaces the row's text for the client and in the log, `sqlstate` its SQLSTATE. What was
// attached goes the way of the row: released, cleaned up, or closed. No effect on a client that is gone.
void close_client(Hub& hub, Client& client, Reason reason, std::string_view text = {}, std::string_view sqlstate = {});

// Closes a server: Terminate, then its slot is kept until PostgreSQL has closed its side (so that pg_stat_activity
// never shows more than the limit). An attached client is told the row's text, or `detail` in its place,
// and closed. The log has both.
void close_server(Hub& hub, Server& server, Reason reason, std::string_view detail = {});

// The end of the stream has come, or cannot come any more: the slot is given back, the object goes to the graveyard.
void bury(Hub& hub, Server& server);

// Why a server is closed that the books found unfit.
Reason reason_of(pool::Unfit unfit);

// An impossible state: logs it, counts it, closes that pair.
void impossible(Hub& hub, Client* client, Server* server, std::string_view what);

// A server has said what nothing it was asked explains: logs which message (`type`; 0: a header that no message has),
// to whom it was said ("the relay", "a clean-up") and what was owed, and counts it. The caller closes the server, for
// kAnswerMismatch.
void note_mismatch(Hub& hub, const Server& server, char type, std::string_view to);

// Puts them on the ready list.
void resume(Hub& hub, Client& client);
void resume(Hub& hub, Server& server);

}  // namespace pgweir::session
