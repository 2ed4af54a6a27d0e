#include "relay/relay.hpp"

#include <cstring>
#include <new>
#include <utility>

#include "base/text.hpp"
#include "session/say.hpp"

namespace pgweir::relay {

using pool::ClientState;
using session::Client;
using session::End;
using session::Outbox;
using session::Reason;
using session::RetryCopy;
using session::Server;

namespace {

bool between_messages(const End& end) {
  return end.body_left == 0 && !end.held;
}

constexpr int64_t kMostReads = 1000;  // in one turn, when sbuf_loopcnt sets no limit: then others have theirs
constexpr size_t kHeaderSize = 5;
constexpr size_t kSmall = size_t{4} * 1024;
constexpr size_t kMostHeld = size_t{64} * 1024;  // of a server's message that we would like to see whole but need not
}  // namespace

// ---- memory ----

template <class Act>
void Relay::within_memory(Client& client, Act act) {
  try {
    act();
  } catch (const std::bad_alloc&) {
    client.held.reset();  // first, for the goodbye needs a little
    close_client(hub_, client, Reason::kOutOfMemory);
  }
}

template <class Act>
void Relay::within_memory(Server& server, Act act) {
  try {
    act();
  } catch (const std::bad_alloc&) {
    server.held.reset();
    close_server(hub_, server, Reason::kOutOfMemory);
  }
}

// ---- events ----

void Relay::ClientEvents::on_readable(net::Stream& stream) {
  auto& client = *static_cast<Client*>(stream.owner());
  relay.within_memory(client, [&] { relay.read_client(client); });
}

// The client has taken what its server had sent: the server may be read again.
void Relay::ClientEvents::on_writable(net::Stream& stream) {
  auto& client = *static_cast<Client*>(stream.owner());
  if (client.server) session::resume(relay.hub_, *client.server);
}

void Relay::ServerEvents::on_readable(net::Stream& stream) {
  auto& server = *static_cast<Server*>(stream.owner());
  relay.within_memory(server, [&] { relay.read_server(server); });
}

void Relay::ServerEvents::on_writable(net::Stream& stream) {
  auto& server = *static_cast<Server*>(stream.owner());
  if (server.client) session::resume(relay.hub_, *server.client);
}

void Relay::open(Client& client) {
  client.stream.set_handler(&client_events_, &client);
  session::resume(hub_, client);
}

// ---- from a client ----

// The rule of back-pressure: a side is not read while its peer has unsent bytes, nor while its request waits. Its next
// bytes are for later then, but its end is not: nobody would read the answers. Each news of the client comes here, and
// its end is news, so that it is noticed when it comes.
bool Relay::may_read(Client& client) {
  if (has_to_wait(client)) {
    if (client.stream.peer_gone()) close_client(hub_, client, Reason::kClientEof);
    return false;
  }
  return hub_.frozen == session::Frozen::kNobody || !between_messages(client);
}

bool Relay::has_to_wait(const Client& client) {
  if (client.state() == ClientState::kWaiting) return true;
  const Server* server = client.server;
  if (!server) return false;
  bool repeating = server->retry && server->retry->phase == session::RetryCopy::Phase::kFailed;
  return server->held_until_proven || server->held_for_answers || server->checking || repeating ||
         server->stream.unsent() > 0;
}

int64_t Relay::reads_a_turn() const {
  const int64_t wanted = hub_.snapshot->global.sbuf_loopcnt;
  return wanted > 0 ? std::min(wanted, kMostReads) : kMostReads;
}

void Relay::read_client(Client& client) {
  size_t room = client.stream.flows() ? Outbox::kLargeSlot : Outbox::kSlot;
  for (int64_t reads = reads_a_turn(); reads > 0; --reads) {
    if (client.state() == ClientState::kGone || !may_read(client)) return;
    ByteView bytes;
    net::IoResult got = read_behind_held(client, room, bytes);
    if (got.status == net::IoStatus::kAgain) return;
    if (got.status != net::IoStatus::kOk) return lost(client, got);
    client.last_request = hub_.now();
    client.local_pool->counters.received += got.bytes;
    Scan scan = scan_client(client, bytes);
    if (scan == Scan::kClosed || !client.stream.maybe_readable()) return;
    if (got.bytes == room) {  // a stream of bytes: straight on, in large pieces
      hub_.outbox.flush();
      room = Outbox::kLargeSlot;
    }
  }
  session::resume(hub_, client);
}

void Relay::resume(Client& client) {
  within_memory(client, [&] { go_on(client); });
}

void Relay::go_on(Client& client) {
  if (client.state() == ClientState::kGone || !may_read(client)) return;
  if (client.held && enough_held(client)) {
    std::unique_ptr<std::string> held = std::move(client.held);
    const ByteView bytes = hub_.outbox.scribble(*held);
    recycle(std::move(held));
    if (scan_client(client, bytes) == Scan::kClosed) return;
  }
  if (client.stream.maybe_readable()) read_client(client);
}

Relay::Scan Relay::scan_client(Client& client, ByteView bytes) {
  Piece piece{bytes};
  uint32_t most = hub_.snapshot->global.max_packet_size;
  bool late = false;  // COPY data behind an error, perhaps: its server may have been kept for that only
  while (piece.at < bytes.size()) {
    late = late || client.body_left > 0;
    if (client.body_left > 0 && !pass_body(client, client.server, piece)) break;
    if (piece.at == bytes.size()) break;
    wire::Header header;
    wire::Frame frame = wire::parse_header(piece.rest(), most, header);
    if (frame == wire::Frame::kNeedMore) {
      if (client.server) send_run(*client.server, piece);
      until(piece, kHeaderSize);
      return hold(client, piece);
    }
    if (frame == wire::Frame::kBad) {
      return refuse(client, piece, Reason::kClientBadHeader, cat("bad packet header: '", hex(piece.rest(), 8), "'"));
    }
    const ClientRule& rule = client_rule(header.type);
    Scan scan = client.skip_until_sync ? skipping(client, piece, header.length + size_t{1}, header.type)
                                       : on_client_message(client, piece, header, rule);
    late = late || (!rule.needs_server && client.server);
    if (scan == Scan::kDone) continue;
    if (scan == Scan::kHeld && client.server) {
      send_run(*client.server, piece);
      RetryCopy* copy = client.server->retry.get();
      if (copy && copy->alive()) copy->phase = RetryCopy::Phase::kOff;  // the message will be seen once more
    }
    return scan == Scan::kHeld ? hold(client, piece) : scan;
  }
  if (!client.server) return Scan::kDone;
  send_run(*client.server, piece);
  if (late) release_if_over(*client.server);
  return Scan::kDone;
}

// The end of a client in the middle of a scan. What stands before the message at piece.at is owed its answers, so it
// goes to the server first: else the clean-up would wait for answers to what was never asked, or get others.
Relay::Scan Relay::refuse(Client& client, Piece& piece, Reason reason, std::string_view text) {
  if (client.server) send_run(*client.server, piece);
  close_client(hub_, client, reason, text);
  return Scan::kClosed;
}

void Relay::lost(Client& client, const net::IoResult& got) {
  close_client(hub_, client, got.status == net::IoStatus::kEof ? Reason::kClientEof : Reason::kClientSocketError);
}

// ---- from a server ----

void Relay::read_server(Server& server) {
  size_t room = server.stream.flows() ? Outbox::kLargeSlot : Outbox::kSlot;
  for (int64_t reads = reads_a_turn(); reads > 0; --reads) {
    if (server.state() != pool::ServerState::kActive && server.state() != pool::ServerState::kIdle &&
        server.state() != pool::ServerState::kUsed && server.state() != pool::ServerState::kBeingCanceled) {
      return;  // closing, gone, moving, or a coroutine reads it
    }
    if (server.client && server.client->stream.unsent() > 0) return;
    if (hub_.frozen == session::Frozen::kAll && between_messages(server)) return;
    ByteView bytes;
    net::IoResult got = read_behind_held(server, room, bytes);
    if (got.status == net::IoStatus::kAgain) return;
    if (got.status != net::IoStatus::kOk) return lost(server, got);
    server.last_activity = hub_.now();
    server.local_pool->counters.sent += got.bytes;
    Scan scan = scan_server(server, bytes);
    if (scan == Scan::kClosed || !server.stream.maybe_readable()) return;
    if (got.bytes == room) {
      hub_.outbox.flush();
      room = Outbox::kLargeSlot;
    }
  }
  session::resume(hub_, server);
}

void Relay::resume(Server& server) {
  if (server.state() == pool::ServerState::kGone) return;
  if (server.stream.maybe_readable()) within_memory(server, [&] { read_server(server); });
}

Relay::Scan Relay::scan_server(Server& server, ByteView bytes) {
  Piece piece{bytes};
  uint32_t most = hub_.snapshot->global.max_packet_size;
  while (piece.at < bytes.size()) {
    if (server.body_left > 0 && !pass_body(server, server.client, piece)) break;
    if (piece.at == bytes.size()) break;
    wire::Header header;
    wire::Frame frame = wire::parse_header(piece.rest(), most, header);
    bool bad_ready = frame == wire::Frame::kOk && header.type == 'Z' && header.length != 5;
    if (frame == wire::Frame::kBad || bad_ready) {
      close_server(hub_, server, Reason::kServerBadHeader);
      return Scan::kClosed;
    }
    size_t size = frame == wire::Frame::kOk ? header.length + size_t{1} : 0;
    bool wait = frame == wire::Frame::kNeedMore;
    if (!wait && size > piece.rest().size()) {
      // Small messages are passed on whole, so that a server that is lost leaves none of them half told.
      const ServerRule& rule = server_rule(header.type);
      bool whole = rule.whole || server.replies.describing();
      wait = rule.must || size <= (whole ? kMostHeld : kSmall);
    }
    if (wait) {
      if (server.client) send_run(*server.client, piece);
      until(piece, size > 0 ? size : kHeaderSize);
      return hold(server, piece);
    }
    Scan scan = on_server_message(server, piece, header);
    if (scan == Scan::kClosed) return scan;
    // Its client has gone, or it is to be reset: the rest is for the coroutine that takes over.
    bool taken_over = server.errand == session::Errand::kCleanUp || server.errand == session::Errand::kReset;
    if (taken_over) return hold(server, piece);
  }
  if (server.client) send_run(*server.client, piece);
  return Scan::kDone;
}

void Relay::lost(Server& server, const net::IoResult& got) {
  std::string detail = got.status == net::IoStatus::kError ? cat("errno ", got.error) : std::string();
  if (!server.client) return close_server(hub_, server, Reason::kServerLostIdle, detail);
  // Its own last words have gone to the client already; then there is nothing to add.
  bool told = !server.last_error.empty();
  hub_.outbox.flush_end(*server.client);
  // The number of an error is for the log; the client is told in words.
  if (!told && !detail.empty())
    say(hub_, server, session::said(Level::kLog, Event::kServerNews), cat("cannot read: ", detail));
  close_server(hub_, server, told ? Reason::kServerFatal : Reason::kServerLost, server.last_error);
}

// ---- pieces ----

// One read. What is held of an earlier one is put in front, so that the two are one piece. A message that must be whole
// grows in place until it is (`bytes` is empty so long): each byte is copied and looked at once, however it comes.
net::IoResult Relay::read_behind_held(End& end, size_t room, ByteView& bytes) {
  if (hub_.frozen != session::Frozen::kNobody) room = std::min(room, rest_of_message(end));
  size_t kept = end.held ? end.held->size() : 0;
  bool large = kept + room > Outbox::kArena;
  char* at = hub_.outbox.slot(large ? room : kept + room);
  net::IoResult got = end.stream.read(large ? at : at + kept, room);
  if (got.status != net::IoStatus::kOk) return got;
  const bool enough = kept + got.bytes >= (end.held ? end.held_wants : 0);
  if (large || !enough) end.held->append(large ? at : at + kept, got.bytes);
  if (!enough) return got;
  if (large) {
    bytes = hub_.outbox.scribble(*end.held);
  } else {
    if (kept > 0) std::memcpy(at, end.held->data(), kept);
    hub_.outbox.keep(kept + got.bytes);
    bytes = ByteView(at, kept + got.bytes);
  }
  recycle(std::move(end.held));
  return got;
}

// How much must be read until the message that has begun is whole; while SUSPEND freezes who has come to its end. No
// bound where that cannot be said.
size_t Relay::rest_of_message(const End& end) const {
  if (end.body_left > 0) return end.body_left;
  if (!end.held) return SIZE_MAX;
  wire::Header header;
  const size_t have = end.held->size();
  wire::Frame frame = wire::parse_header(*end.held, hub_.snapshot->global.max_packet_size, header);
  const size_t size = frame == wire::Frame::kOk ? header.length + size_t{1} : kHeaderSize;
  return size > have ? size - have : SIZE_MAX;
}

// The message at piece.at is to be looked at again when `bytes` of it are there.
Relay::Scan Relay::until(Piece& piece, size_t bytes) {
  piece.wants = bytes;
  return Scan::kHeld;
}

// Keeps what cannot be handled yet. An end without such bytes owns no buffer.
Relay::Scan Relay::hold(End& end, const Piece& piece) {
  if (piece.rest().empty()) return Scan::kHeld;
  if (spare_buffers_.empty()) {
    end.held = std::make_unique<std::string>(piece.rest());
  } else {
    spare_buffers_.back()->assign(piece.rest());
    end.held = std::move(spare_buffers_.back());
    spare_buffers_.pop_back();
  }
  end.held_wants = static_cast<uint32_t>(piece.wants);
  return Scan::kHeld;
}

// Who waits for a server holds its request: with more clients than servers that is every transaction.
void Relay::recycle(std::unique_ptr<std::string> held) {
  if (!held || held->capacity() > kSmall || spare_buffers_.size() >= kSpareBuffers) return;
  held->clear();
  spare_buffers_.push_back(std::move(held));
}

// Queues the bytes that go on as they are, up to where the scan stands.
void Relay::send_run(End& to, Piece& piece) {
  if (piece.at > piece.run) hub_.outbox.add(to, piece.bytes.substr(piece.run, piece.at - piece.run));
  piece.run = piece.at;
}

// The message at `piece.at` goes to the other side as it is; of its body so much as has come, the rest when it comes.
void Relay::pass(End& from, Piece& piece, size_t message_size) {
  size_t here = std::min(message_size, piece.bytes.size() - piece.at);
  piece.at += here;
  from.body_left = static_cast<uint32_t>(message_size - here);
  from.body_dropped = false;
}

// The message at `piece.at` goes nowhere.
void Relay::drop(End& from, End* to, Piece& piece, size_t message_size) {
  if (to) send_run(*to, piece);
  size_t here = std::min(message_size, piece.bytes.size() - piece.at);
  piece.at += here;
  piece.run = piece.at;
  from.body_left = static_cast<uint32_t>(message_size - here);
  from.body_dropped = from.body_left > 0;
}

// The rest of a message whose header came before. False: more of it is still to come.
bool Relay::pass_body(End& from, End* to, Piece& piece) {
  size_t here = std::min<size_t>(from.body_left, piece.bytes.size() - piece.at);
  from.body_left -= static_cast<uint32_t>(here);
  if (from.body_dropped || !to) {
    if (to) send_run(*to, piece);
    piece.at += here;
    piece.run = piece.at;
  } else {
    piece.at += here;
  }
  return from.body_left == 0;
}

}  // namespace pgweir::relay
