#include "pool/state.hpp"

namespace pgweir::pool {

const char* name_of(ClientState state) {
  static constexpr const char* kNames[kClientStates] = {"login", "waiting",           "idle", "waiting", "active",
                                                        "idle",  "active_cancel_req", "gone"};
  return kNames[static_cast<size_t>(state)];
}

const char* name_of(ServerState state) {
  static constexpr const char* kNames[kServerStates] = {"new",  "idle",    "used", "tested", "active", "being_canceled",
                                                        "idle", "closing", "gone"};
  return kNames[static_cast<size_t>(state)];
}

}  // namespace pgweir::pool
