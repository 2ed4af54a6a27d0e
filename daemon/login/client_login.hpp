// The login of a client: read_startup > take_parameters > look_up (> look_up_user, by auth_query) > choose_pool >
// choose_method > prove_identity > enter_pool > wait_for_welcome > send_welcome, a coroutine where a step waits.
// Promises: bounded by client_login_timeout; before the proof small messages only; unknown users see what known ones
// see. Does not: serve the client afterwards - its last line hands it to Hub::client_ready. A cancel request branches
// off after read_startup (client_cancel.cpp).
#pragma once

#include "net/task.hpp"
#include "session/hub.hpp"

namespace pgweir::login {

// `client`: accepted, in the hub's registry, its stream open, its seat holding the socket. Ends with the client logged
// in (idle, waiting for nothing), a console client authenticated (the console sends its own welcome, AuthenticationOk
// included), or closed.
net::Task<void> client_login(session::Hub& hub, session::Client& client);

}  // namespace pgweir::login
