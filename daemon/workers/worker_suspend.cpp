// SUSPEND on one worker (compat/console.md, section 4): whoever is between two messages with nothing of his left to
// deliver is not read any more, clients first, then servers. Who reads is the relay; it asks Hub::frozen.
#include "session/attach.hpp"
#include "workers/worker.hpp"

namespace pgweir::workers {

using pool::ClientState;
using pool::ServerState;
using session::Client;
using session::End;
using session::Frozen;
using session::Reason;
using session::Server;

namespace {

// Nothing half read, and all of it with its receiver: `to`, or for want of one nobody but `from` has anything to get.
bool delivered(const session::Outbox& outbox, const End& from, const End* to) {
  const End& receiver = to ? *to : from;
  return !from.held && from.body_left == 0 && receiver.stream.unsent() == 0 && !outbox.pending(receiver);
}

bool at_rest(const session::Hub& hub, const Client& client) {
  switch (client.state()) {
    case ClientState::kIdle:
    case ClientState::kActive: return delivered(hub.outbox, client, client.server);
    case ClientState::kLogin:
    case ClientState::kAtGate:
    case ClientState::kWaiting: return false;
    default: return true;
  }
}

bool at_rest(const session::Hub& hub, const Server& server) {
  switch (server.state()) {
    case ServerState::kIdle:
    case ServerState::kActive:
    case ServerState::kBeingCanceled: return delivered(hub.outbox, server, server.client);
    case ServerState::kMoving: return false;
    default: return true;
  }
}

// Counts those of `all` that are not at rest; or closes them.
template <class Connection, class Close>
size_t count_restless(const session::Hub& hub, session::Registry<Connection>& all, bool close_them, Close close) {
  size_t restless = 0;
  for (size_t at = all.size(); at-- > 0;) {
    if (at >= all.size() || at_rest(hub, all[at])) continue;
    if (close_them) {
      close(all[at]);
    } else {
      ++restless;
    }
  }
  return restless;
}

}  // namespace

size_t Worker::freeze(Frozen who, bool close_restless) {
  if (who == Frozen::kAll && frozen != Frozen::kAll) close_unfit_for_suspend();
  frozen = who;
  size_t restless = count_restless(*this, clients, close_restless,
                                   [this](Client& client) { close_client(*this, client, Reason::kSuspendTimeout); });
  if (who != Frozen::kAll) return restless;
  return restless + count_restless(*this, servers, close_restless, [this](Server& server) {
           if (server.client) return close_client(*this, *server.client, Reason::kSuspendTimeout);
           close_server(*this, server, Reason::kSuspendTimeout);
         });
}

// Nobody waits for these any more, and they are in the middle of something.
void Worker::close_unfit_for_suspend() {
  for (session::LocalPool* pool : pools()) {
    for (ServerState state : {ServerState::kLogin, ServerState::kTested, ServerState::kUsed}) {
      while (auto* entry = pool->servers(state).front())
        close_server(*this, static_cast<Server&>(*entry), Reason::kSuspendUnfit);
    }
  }
}

// What came meanwhile lies in the sockets, and no event will tell of it again.
void Worker::thaw() {
  frozen = Frozen::kNobody;
  for (const auto& client : clients) {
    const ClientState state = client->state();
    const bool of_relay =
        state == ClientState::kIdle || state == ClientState::kActive || state == ClientState::kWaiting;
    if (of_relay) session::resume(*this, *client);
  }
  for (const auto& server : servers) {
    const ServerState state = server->state();
    const bool of_relay =
        state == ServerState::kIdle || state == ServerState::kActive || state == ServerState::kBeingCanceled;
    if (of_relay) session::resume(*this, *server);
  }
}

}  // namespace pgweir::workers
