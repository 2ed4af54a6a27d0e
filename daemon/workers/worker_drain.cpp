// A drain on one worker: clients go as soon as they have no transaction open, then all servers get their Terminate.
#include "session/attach.hpp"
#include "workers/worker.hpp"

namespace pgweir::workers {

using pool::ClientState;
using pool::ServerState;
using session::Client;
using session::LocalPool;
using session::Reason;
using session::Server;

namespace {

// A transaction that is open, an answer that is owed, a request that is half sent: to be waited for. A cancel request
// on its way is, too: it ends by itself. A replication stream has no end to wait for.
bool in_the_middle(const Client& client) {
  if (client.state() == ClientState::kCancel) return true;
  const Server* server = client.server;
  if (!server || client.replication != session::Replication::kNone) return false;
  return !server->replies.all_answered() || server->replies.ambiguous() || server->transaction != 'I' ||
         client.body_left > 0 || server->body_left > 0;
}

}  // namespace

size_t Worker::newcomers() const {
  size_t count = 0;
  for (size_t at = 0; at < clients.size(); ++at) {
    const Client& client = clients[at];
    const ClientState state = client.state();
    const bool logs_in = state == ClientState::kLogin || state == ClientState::kAtGate;
    const bool apart = state == ClientState::kConsole || state == ClientState::kCancel;
    if (logs_in || (!apart && now() - client.connected_at < kSecond)) ++count;
  }
  return count;
}

size_t Worker::drain(bool everybody) {
  for (size_t at = clients.size(); at-- > 0;) {
    if (at >= clients.size()) continue;  // one close may have taken others with it
    Client& client = clients[at];
    if (everybody || !in_the_middle(client)) close_client(*this, client, Reason::kDraining);
  }
  return clients.size();
}

void Worker::dismiss_servers() {
  for (size_t at = servers.size(); at-- > 0;) {
    if (at < servers.size() && servers[at].state() != ServerState::kClosing)
      close_server(*this, servers[at], Reason::kShuttingDown);
  }
}

size_t Worker::waiting_clients() {
  size_t count = 0;
  for (LocalPool* pool : pools())
    count += pool->clients(ClientState::kWaiting).size();
  return count;
}

}  // namespace pgweir::workers
