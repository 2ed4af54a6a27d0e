#include "login/connect.hpp"

#include "base/text.hpp"
#include "net/wait.hpp"
#include "wire/builder.hpp"

namespace pgweir::login {

std::string unix_socket_of(const std::string& host, int port) {
  const bool local = !host.empty() && (host[0] == '/' || host[0] == '@');
  return local ? cat(host, "/.s.PGSQL.", port) : std::string();
}

net::SocketOptions socket_options(const settings::Global& global) {
  net::SocketOptions options;
  options.tcp_keepalive = global.tcp_keepalive;
  options.keepcnt = static_cast<int>(global.tcp_keepcnt);
  options.keepidle = static_cast<int>(global.tcp_keepidle);
  options.keepintvl = static_cast<int>(global.tcp_keepintvl);
  options.user_timeout = static_cast<int>(global.tcp_user_timeout);
  options.socket_buffer = static_cast<int>(global.tcp_socket_buffer);
  return options;
}

net::Task<std::string> dial(session::Hub& hub, net::Stream& stream, net::Address to, Micros deadline) {
  const net::SocketOptions options = socket_options(hub.snapshot->global);
  stream.expect_peer(to);
  auto fd = net::begin_connect(to, options);
  if (!fd) co_return fd.error().message;
  if (!stream.open(hub.loop, *fd)) co_return std::string("out of memory");
  if (stream.peer().none()) stream.expect_peer(to);
  net::Waited waited = co_await net::writable(stream, deadline);
  if (!stream.open()) co_return std::string("closed");
  if (waited == net::Waited::kTimeout) {
    stream.close();
    co_return std::string("timeout");
  }
  const int error = net::connect_error(stream.fd());
  if (error == 0) co_return std::string();
  stream.close();
  co_return cat("connect(): ", errno_text(error));
}

namespace {

SecuredResult failed(std::string why) {
  return {Secured::kFailed, std::move(why)};
}

std::string why_of(Got got) {
  switch (got) {
    case Got::kTimeout: return "timeout";
    case Got::kEof: return "server conn crashed?";
    default: return "socket error";
  }
}

net::Task<SecuredResult> handshake(net::Stream& stream, Micros deadline) {
  SecuredResult result;
  Got got = co_await shake_hands(stream, deadline);
  if (got == Got::kOk) co_return SecuredResult{Secured::kTls, {}};
  result.why = got == Got::kError ? cat("TLS handshake error: ", stream.tls_error()) : why_of(got);
  co_return result;
}

}  // namespace

net::Task<SecuredResult> secure(net::Stream& stream, std::shared_ptr<const net::TlsContext> context, std::string host,
                                Micros deadline) {
  Inbox inbox(stream);
  if (!context || stream.peer().is_unix()) co_return SecuredResult{Secured::kPlain, {}};
  std::string request;
  wire::append_ssl_request(request);
  if (!stream.send(request)) co_return failed("socket error");
  Got got = co_await fill(inbox, 1, deadline);
  if (got != Got::kOk) co_return failed(why_of(got));
  const char answer = inbox.bytes()[0];
  if (inbox.bytes().size() > 1) co_return failed("received unencrypted data after SSL response");
  if (answer == 'N') {
    const bool optional = context->mode() < net::TlsMode::kRequire;
    co_return SecuredResult{optional ? Secured::kPlain : Secured::kRefused, "server refused SSL"};
  }
  if (answer != 'S') co_return failed("bad sslreq answer");
  const std::string verify_host = context->verifies_name() ? host : std::string();
  if (!stream.start_tls_client(context, verify_host, host)) co_return failed("out of memory for TLS");
  SecuredResult result = co_await handshake(stream, deadline);
  co_return result;
}

}  // namespace pgweir::login
