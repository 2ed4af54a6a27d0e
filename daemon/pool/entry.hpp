// What the books know of one client and of one server connection: state, list place, times, slot. Plain data, so
// that it can be written down for a restart (DESIGN, section 7). session::Client and session::Server derive from these.
#pragma once

#include <cstdint>

#include "base/clock.hpp"
#include "base/list.hpp"
#include "pool/shared.hpp"
#include "pool/state.hpp"

namespace pgweir::pool {

class Pool;

// A place in exactly one list of its pool, the one that its state names.
class ClientEntry : public Hook<> {
 public:
  ClientState state() const { return state_; }

  uint32_t id = 0;  // shared sequence of clients and servers, SHOW CLIENTS "id"
  Micros connected_at = 0;
  Micros last_request = 0;  // its last packet
  Micros wait_start = 0;    // when it began to wait; its place in the whole pool's queue
  Pool* pool = nullptr;     // null until the login knows it, and for console and cancel clients

 private:
  friend class Pool;
  friend bool set_state(ClientEntry& client, ClientState to);
  ClientState state_ = ClientState::kLogin;
};

class ServerEntry : public Hook<> {
 public:
  ServerState state() const { return state_; }

  uint32_t id = 0;
  Micros connected_at = 0;
  Micros last_activity = 0;      // its last packet
  uint32_t generation = 0;       // SharedDatabase::generation at birth; another one now: obsolete
  uint32_t cancels = 0;          // cancel requests against it that are on their way
  Passage passage;               // to another worker
  bool counted_closing = false;  // it is in SharedPool::closing: closing, or about to be
  bool counted_tested = false;   // it is in SharedPool::tested
  bool cancel_in_doubt = false;  // one was given up and may still arrive: nobody else may get this server
  bool resolving = false;        // logging in: the name of its host is being looked up
  bool own = false;              // made for one client, with which it ends: never pooled
  bool answering = false;        // tested, because it answers an auth_query: nobody can count on it
  bool served = false;           // it has been attached to a client
  bool dirty_session = false;    // its session may differ from a fresh one in ways a reset query must undo
  Slot slot;
  Pool* pool = nullptr;

 private:
  friend class Pool;
  friend bool set_state(ServerEntry& server, ServerState to);
  ServerState state_ = ServerState::kLogin;
};

// The one door for entries that are in no pool's list (console, cancel, moving, gone). False and unchanged when the
// table of moves forbids it: the caller closes that pair of connections with a logged reason.
bool set_state(ClientEntry& client, ClientState to);
bool set_state(ServerEntry& server, ServerState to);

}  // namespace pgweir::pool
