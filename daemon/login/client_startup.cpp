// The first packets of a client: TLS and GSS requests, direct TLS, cancel requests, the StartupMessage
// (compat/wire.md, section 2).
#include "base/text.hpp"
#include "login/client_flow.hpp"
#include "session/reasons.hpp"
#include "session/say.hpp"

namespace pgweir::login {

namespace {

constexpr char kTlsHandshake = 0x16;
constexpr uint32_t kCancelCode = 80877102;
constexpr int kMostRequests = 8;  // of TLS and GSS before the StartupMessage

enum class Next : uint8_t { kStartup, kAgain, kTls, kClosed };

bool may_use_tls(const ClientLogin& login) {
  return login.hub.client_tls && login.client.stream.peer().is_ip() && !login.client.stream.tls();
}

// The first byte of a packet without type is the top byte of its length: 0.
bool begins_packet(ClientLogin& login) {
  const char first = login.inbox.bytes()[0];
  if (first == 0) return true;
  if (first == 'p') return login.refuse("client password pkt before startup packet");
  return login.drop("unexpected packet before startup");
}

// Bytes behind a request for encryption were not encrypted: whoever put them there may not be the client
// (CVE-2021-3935).
bool alone(ClientLogin& login, std::string_view complaint) {
  login.inbox.drop_shown();
  return login.inbox.bytes().empty() || login.refuse(complaint);
}

Next take(ClientLogin& login, const wire::SslRequest&) {
  if (login.client.stream.tls()) return login.drop("TLS request inside TLS"), Next::kClosed;
  if (!alone(login, "received unencrypted data after SSL request")) return Next::kClosed;
  if (!may_use_tls(login)) return login.send("N") ? Next::kAgain : Next::kClosed;
  return login.send("S") ? Next::kTls : Next::kClosed;
}

Next take(ClientLogin& login, const wire::GssEncRequest&) {
  if (!alone(login, "received unencrypted data after GSSAPI encryption request")) return Next::kClosed;
  return login.send("N") ? Next::kAgain : Next::kClosed;
}

Next take(ClientLogin& login, wire::CancelRequest& request) {
  login.cancel = std::move(request);
  return Next::kClosed;
}

Next take(ClientLogin& login, wire::StartupMessage& message) {
  const net::Stream& stream = login.client.stream;
  const bool needs_tls = login.hub.client_tls && login.hub.client_tls->mode() >= net::TlsMode::kRequire;
  if (needs_tls && stream.peer().is_ip() && !stream.tls()) return login.refuse("SSL required"), Next::kClosed;
  login.startup = std::move(message);
  login.inbox.drop_shown();
  return Next::kStartup;
}

Next take_packet(ClientLogin& login) {
  ByteView packet = login.inbox.body();
  auto parsed = wire::parse_startup(packet);
  if (!parsed) {
    if (load_be32(packet.data() + 4) == kCancelCode) return login.drop("malformed cancel request"), Next::kClosed;
    return login.refuse(parsed.error().message), Next::kClosed;
  }
  return std::visit([&login](auto& one) { return take(login, one); }, *parsed);
}

// `early`: bytes of the handshake that have been read already.
net::Task<bool> upgrade_tls(ClientLogin& login, std::string early) {
  net::Stream& stream = login.client.stream;
  if (!stream.start_tls_server(login.hub.client_tls, early)) co_return login.drop("out of memory for TLS");
  Got got = co_await shake_hands(stream, login.deadline);
  if (got == Got::kOk) co_return true;
  if (got == Got::kError && !login.gone()) {
    say(login.hub, login.client, session::said(Level::kWarning, Event::kClientTlsFailed),
        cat("TLS handshake error: ", stream.tls_error()));
  }
  co_return login.stopped(got);
}

}  // namespace

net::Task<bool> read_startup(ClientLogin& login) {
  bool secured = false;
  std::string early;
  for (int requests = 0; requests < kMostRequests; ++requests) {
    Got got = co_await fill(login.inbox, 1, login.deadline);
    if (got != Got::kOk) co_return login.stopped(got);
    Next next = Next::kTls;
    if (login.inbox.bytes()[0] == kTlsHandshake && may_use_tls(login)) {
      early = login.inbox.take_rest();
    } else {
      if (!begins_packet(login)) co_return false;
      got = co_await read_packet(login.inbox, kMostPacket, login.deadline);
      if (got != Got::kOk) co_return login.stopped(got);
      next = take_packet(login);
      early.clear();
    }
    if (next == Next::kStartup) co_return true;
    if (next == Next::kClosed) co_return false;
    if (next == Next::kAgain) continue;
    secured = co_await upgrade_tls(login, early);
    if (!secured) co_return false;
  }
  co_return login.drop("too many encryption requests");
}

}  // namespace pgweir::login
