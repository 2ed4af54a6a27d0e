#include "pool/state.hpp"

#include <array>
#include <initializer_list>

namespace pgweir::pool {

namespace {

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

constexpr auto kClientMoves = [] {
  using enum ClientState;
  Moves<ClientState, kClientStates> moves;
  moves.add(kLogin, {kAtGate, kIdle, kConsole, kCancel, kGone});
  moves.add(kAtGate, {kIdle, kGone});
  moves.add(kIdle, {kActive, kWaiting, kGone});
  moves.add(kWaiting, {kActive, kIdle, kGone});
  moves.add(kActive, {kIdle, kGone});
  moves.add(kConsole, {kGone});
  moves.add(kCancel, {kGone});
  moves.add(kGone, {});
  return moves;
}();

constexpr auto kServerMoves = [] {
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

}  // namespace

const char* name_of(ClientState state) {
  static constexpr const char* kNames[kClientStates] = {"login",  "waiting",           "idle", "waiting", "active",
                                                        "active", "active_cancel_req", "gone"};
  return kNames[static_cast<size_t>(state)];
}

const char* name_of(ServerState state) {
  static constexpr const char* kNames[kServerStates] = {"new",  "idle",    "used", "tested", "active", "being_canceled",
                                                        "idle", "closing", "gone"};
  return kNames[static_cast<size_t>(state)];
}

bool may_move(ClientState from, ClientState to) {
  return kClientMoves.has(from, to);
}

bool may_move(ServerState from, ServerState to) {
  return kServerMoves.has(from, to);
}

}  // namespace pgweir::pool
