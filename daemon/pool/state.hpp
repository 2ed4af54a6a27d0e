// The states of clients and servers and their legal moves: one enum for each kind, one door (`move_to`) for each.
// Promises: a move that the table does not have is refused and reported; no flag beside these restates a state.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace pgweir::pool {

// A client connection. Lists of pool::Pool by state; the words in SHOW CLIENTS in brackets.
enum class ClientState : uint8_t {
  kLogin,    // proving who it is [not listed]
  kAtGate,   // let in, but its pool has no server yet whose welcome it could be told [waiting]
  kIdle,     // logged in, no server attached [idle]
  kWaiting,  // its request is held, in the pool's queue for a server [waiting]
  kActive,   // a server is attached [active]
  kConsole,  // logged in to the console [idle]: no server is attached
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

// For each state the ones that may follow it, as bits.
template <class State, size_t kCount>
struct Moves {
  std::array<uint16_t, kCount> to{};
  constexpr void add(State from, std::initializer_list<State> targets) {
    for (State target : targets)
      to[static_cast<size_t>(from)] |= static_cast<uint16_t>(1u << static_cast<unsigned>(target));
  }
  constexpr bool has(State from, State target) const {
    return (to[static_cast<size_t>(from)] >> static_cast<unsigned>(target)) & 1u;
  }
};

inline constexpr auto kClientMoves = [] {
  using enum ClientState;
  Moves<ClientState, kClientStates> moves;
  moves.add(kLogin, {kAtGate, kIdle, kConsole, kCancel, kGone});
  moves.add(kAtGate, {kIdle, kActive, kGone});  // kActive: has got a server of its own
  moves.add(kIdle, {kActive, kWaiting, kGone});
  moves.add(kWaiting, {kActive, kIdle, kGone});
  moves.add(kActive, {kIdle, kLogin, kGone});  // kLogin: has been given a server for auth_query, and goes on
  moves.add(kConsole, {kGone});
  moves.add(kCancel, {kGone});
  moves.add(kGone, {});
  return moves;
}();

inline constexpr auto kServerMoves = [] {
  using enum ServerState;
  Moves<ServerState, kServerStates> moves;
  moves.add(kLogin, {kIdle, kActive, kTested, kMoving, kClosing, kGone});
  moves.add(kIdle, {kActive, kUsed, kTested, kMoving, kClosing, kGone});
  moves.add(kUsed, {kActive, kIdle, kTested, kMoving, kClosing, kGone});
  moves.add(kTested, {kIdle, kUsed, kActive, kMoving, kBeingCanceled, kClosing, kGone});
  moves.add(kActive, {kIdle, kUsed, kTested, kActive, kMoving, kBeingCanceled, kClosing, kGone});
  moves.add(kBeingCanceled, {kIdle, kUsed, kTested, kActive, kMoving, kClosing, kGone});
  moves.add(kMoving, {kIdle, kActive, kTested, kUsed, kClosing, kGone});
  moves.add(kClosing, {kGone});
  moves.add(kGone, {});
  return moves;
}();

inline bool may_move(ClientState from, ClientState to) {
  return kClientMoves.has(from, to);
}
inline bool may_move(ServerState from, ServerState to) {
  return kServerMoves.has(from, to);
}

}  // namespace pgweir::pool
