// The states of clients and servers and their legal moves: one enum for each kind, one door (`move_to`) for each.
// Promises: a move that the table does not have is refused and reported; no flag beside these restates a state.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pgweir::pool {

// A client connection. Lists of pool::Pool by state; the words in SHOW CLIENTS in brackets.
enum class ClientState : uint8_t {
  kLogin,    // proving who it is [not listed]
  kAtGate,   // let in, but its pool has no server yet whose welcome it could be told [waiting]
  kIdle,     // logged in, no server attached [idle]
  kWaiting,  // its request is held, in the pool's queue for a server [waiting]
  kActive,   // a server is attached [active]
  kConsole,  // logged in to the console [active]
  kCancel,   // carries a cancel request [active_cancel_req]
  kGone,     // closed; in the graveyard until the batch ends
};
inline constexpr size_t kClientStates = 8;

// A server connection, the words in SHOW SERVERS in brackets.
enum class ServerState : uint8_t {
  kLogin,          // connecting or logging in [new]
  kIdle,           // ready, in the pool [idle]
  kUsed,           // idle for longer than server_check_delay: to be checked before reuse [used]
  kTested,         // the reset, check or clean-up query runs [tested]
  kActive,         // attached to a client [active]
  kBeingCanceled,  // released, but a cancel request against it is still on its way [being_canceled]
  kMoving,         // between two workers, in a mailbox [idle]
  kClosing,        // Terminate sent; keeps its slot until PostgreSQL has closed its side [not listed]
  kGone,           // closed; in the graveyard until the batch ends
};
inline constexpr size_t kServerStates = 9;

const char* name_of(ClientState state);
const char* name_of(ServerState state);

bool may_move(ClientState from, ClientState to);
bool may_move(ServerState from, ServerState to);

}  // namespace pgweir::pool
