#include "session/closing.hpp"

namespace pgweir::session {

void ClosingHandler::on_readable(net::Stream& stream) {
  auto& server = *static_cast<Server*>(stream.owner());
  char discard[8192];
  for (int reads = 0; reads < 64; ++reads) {
    net::IoResult got = stream.read(discard, sizeof discard);
    if (got.status == net::IoStatus::kAgain) return;
    if (got.status == net::IoStatus::kOk) {
      if (!stream.maybe_readable()) return;
      continue;
    }
    bury(hub_, server);
    return;
  }
  server.errand = Errand::kRead;
  resume(hub_, server);
}

namespace {

void bury_overdue(Hub& hub, LocalPool& pool) {
  auto& closing = pool.servers(pool::ServerState::kClosing);
  while (auto* entry = closing.front()) {
    auto& server = static_cast<Server&>(*entry);
    if (hub.now() < server.closing_deadline) return;
    bury(hub, server);
  }
}

}  // namespace

void end_overdue(Hub& hub, LocalPool& pool) {
  using enum pool::ServerState;
  bury_overdue(hub, pool);
  for (pool::ServerState busy : {kLogin, kTested, kBeingCanceled}) {
    auto& servers = pool.servers(busy);
    for (auto* entry = servers.front(); entry;) {
      auto& server = static_cast<Server&>(*entry);
      entry = servers.next(server);
      if (hub.now() >= server.overdue_at) close_server(hub, server, Reason::kServerStuck, pool::name_of(busy));
    }
  }
}

}  // namespace pgweir::session
