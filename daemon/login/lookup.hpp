// auth_query (compat/auth.md, section 5): a user whom the userlist does not know is asked for in PostgreSQL, by
// auth_user, on a server of the pool that the settings name. The login waits for that server like any client, under the
// same limits; once it has it the question is the server's errand, so that a client that leaves costs no server.
// Promises: nothing of the client but its name reaches that server; a NULL secret never matches anything.
#pragma once

#include "login/client_flow.hpp"

namespace pgweir::login {

// Is the user of this login to be looked up? To be called when database and userlist have been looked at.
bool needs_lookup(const ClientLogin& login);

// Puts what PostgreSQL says into login.user, .known and .secret. False: the client is closed.
net::Task<bool> look_up_user(ClientLogin& login);

// The errand: `server` (tested) is asked what server.lookup says, then returned or closed.
net::Task<void> run_lookup(session::Hub& hub, session::Server& server);

}  // namespace pgweir::login
