// A connection that brings a cancel request: never answered, closed when the request has been dealt with or
// cancel_wait_timeout is over (compat/wire.md, sections 2, 6 and 12). Among peers the key says whose client it is
// about; a request that has landed here by mistake is sent on, at most three times from the first.
#include <algorithm>

#include "base/text.hpp"
#include "login/cancel.hpp"
#include "login/client_flow.hpp"
#include "login/connect.hpp"
#include "net/wait.hpp"
#include "wire/builder.hpp"

namespace pgweir::login {

using session::CancelOutcome;
using session::Reason;

namespace {

constexpr Micros kAskAgain = 20 * kMillisecond;  // for a turn at a peer that has as many requests as it may

std::string_view text_of(CancelOutcome outcome) {
  switch (outcome) {
    case CancelOutcome::kNotRunning: return "cancel request for idle client";
    case CancelOutcome::kUnknownKey: return "failed cancel request";
    default: return "successfully sent cancel request";
  }
}

void end(ClientLogin& login, CancelOutcome outcome, std::string_view text) {
  const bool dropped = outcome == CancelOutcome::kNotRunning || outcome == CancelOutcome::kUnknownKey;
  const Reason reason = dropped ? Reason::kCancelDropped : Reason::kCancelDone;
  session::close_client(login.hub, login.client, reason, text);
}

// One more in a count, for as long as this lives.
class Counted {
 public:
  explicit Counted(std::atomic<int>& count) : count_(count) { count_.fetch_add(1); }
  ~Counted() { count_.fetch_sub(1); }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

 private:
  std::atomic<int>& count_;
};

// The right to one connection to a peer.
class Turn {
 public:
  explicit Turn(std::shared_ptr<pool::PeerPool> peer) : peer_(std::move(peer)) {}
  ~Turn() {
    if (taken_) peer_->forwards.release();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  net::Task<bool> take(ClientLogin& login, Micros until) {
    Counted waiting(peer_->waiting);
    taken_ = peer_->forwards.try_acquire();
    while (!taken_ && !login.gone() && login.hub.now() < until) {
      co_await net::sleep_until(login.hub.loop, std::min(until, login.hub.now() + kAskAgain));
      taken_ = peer_->forwards.try_acquire();
    }
    co_return taken_ && !login.gone();
  }

 private:
  std::shared_ptr<pool::PeerPool> peer_;
  bool taken_ = false;
};

net::Task<std::vector<net::Address>> addresses_of(ClientLogin& login, settings::Peer peer, Micros until) {
  std::vector<net::Address> addresses;
  const std::string path = unix_socket_of(peer.host, peer.port);
  if (!path.empty()) {
    auto address = net::Address::unix_path(path);
    if (address) addresses.push_back(address.take());
    co_return std::move(addresses);
  }
  net::Lookup found = co_await login.hub.resolver.lookup(login.hub.loop, peer.host, until);
  if (found) addresses = found.take();
  for (net::Address& address : addresses)
    address.set_port(peer.port);
  co_return std::move(addresses);
}

// Each address in turn. False: none answers.
net::Task<bool> reach(ClientLogin& login, net::Stream& stream, settings::Peer peer, Micros until) {
  std::string error = "its name is not known";
  std::vector<net::Address> addresses = co_await addresses_of(login, peer, until);
  for (const net::Address& address : addresses) {
    const net::Address to = address;
    error = co_await dial(login.hub, stream, to, until);
    if (error.empty()) co_return true;
    stream.close();
  }
  const std::string id = std::to_string(peer.id);
  login.hub.log.write(Level::kWarning, Event::kCancelFailed,
                      cat("peer-", id, "@", peer.host, ":", peer.port, ": cancel request failed: ", error),
                      {{"PEER", id}, {"SERVER_ADDR", peer.host}});
  co_return false;
}

net::Task<void> send_on(ClientLogin& login, settings::Peer peer, std::shared_ptr<pool::PeerPool> pool, Micros until) {
  net::Stream stream;
  Turn turn(pool);
  std::string request;
  wire::append_cancel_request(request, login.cancel->pid, login.cancel->secret);
  bool good = co_await turn.take(login, until);
  if (good) {
    Counted opening(pool->opening);
    good = co_await reach(login, stream, peer, until);
  }
  CancelSent sent = CancelSent::kNo;
  if (good && !login.gone()) {
    Counted carrying(pool->carrying);
    sent = co_await deliver_cancel(stream, request, until);
  }
  if (login.gone()) co_return;
  if (sent == CancelSent::kDelivered) {
    end(login, CancelOutcome::kDelivered, text_of(CancelOutcome::kDelivered));
  } else if (login.hub.now() >= until) {
    session::close_client(login.hub, login.client, Reason::kCancelTimeout);
  } else {
    end(login, CancelOutcome::kUnknownKey, text_of(CancelOutcome::kUnknownKey));
  }
}

// To the client, on whichever worker it is.
net::Task<void> cancel_here(ClientLogin& login, std::string_view unknown, Micros until) {
  session::Hub& hub = login.hub;
  std::shared_ptr<session::CancelTicket> ticket = hub.cancel(login.cancel->pid, login.cancel->secret);
  net::Waited waited = net::Waited::kReady;
  while (ticket && ticket->outcome == CancelOutcome::kPending && waited == net::Waited::kReady) {
    waited = co_await ticket->done.wait(hub.loop, until);
    if (login.gone()) co_return;
  }
  if (!ticket || ticket->outcome == CancelOutcome::kPending) {
    session::close_client(hub, login.client, Reason::kCancelTimeout);
  } else {
    end(login, ticket->outcome, ticket->outcome == CancelOutcome::kUnknownKey ? unknown : text_of(ticket->outcome));
  }
}

}  // namespace

net::Task<void> pass_cancel_on(ClientLogin& login) {
  const auto own = static_cast<int>(login.snapshot->global.peer_id);
  if (!pool::set_state(login.client, pool::ClientState::kCancel)) co_return;
  const Micros until = deadline_after(login.hub.now(), login.snapshot->global.cancel_wait_timeout);
  login.client.login_deadline = until;
  std::string& secret = login.cancel->secret;
  const int maker = own > 0 ? peer_of_key(login.cancel->pid) : own;
  if (maker == own) {
    if (own > 0) set_hops(secret, kMostHops);  // as it was made
    co_await cancel_here(login, text_of(CancelOutcome::kUnknownKey), until);
    co_return;
  }
  auto peer = login.snapshot->peers.find(maker);
  std::shared_ptr<pool::PeerPool> pool = login.hub.books.peer(maker);
  const unsigned hops = hops_left(secret);
  if (peer == login.snapshot->peers.end() || !pool) {
    // A key of before a reload that gave this process its number.
    co_await cancel_here(login, "could not find peer to forward request to", until);
  } else if (hops == 0) {
    end(login, CancelOutcome::kUnknownKey, "failed to forward cancel request because its TTL was exhausted");
  } else {
    set_hops(secret, hops - 1);
    co_await send_on(login, peer->second, pool, until);
  }
}

}  // namespace pgweir::login
