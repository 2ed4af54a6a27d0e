// From the entry's host to a connection that is as safe as server_tls_sslmode asks: name lookup, dial (every address in
// turn), TLS.
#include <algorithm>

#include "base/text.hpp"
#include "login/connect.hpp"
#include "login/server_flow.hpp"
#include "net/resolver.hpp"
#include "session/say.hpp"

namespace pgweir::login {

using session::Reason;

namespace {

// The path, or abstract name, of a unix socket; empty when the host is reached by TCP.
std::string unix_path_of(const ServerLogin& login) {
  const settings::Database& config = *login.config;
  if (config.hosts.empty()) return unix_socket_of(login.snapshot->global.unix_socket_dir, config.port);
  const std::string& host = config.hosts[std::min(login.server.host, config.hosts.size() - 1)];
  if (host.empty()) return unix_socket_of(login.snapshot->global.unix_socket_dir, config.port);
  return unix_socket_of(host, config.port);
}

net::Task<std::vector<net::Address>> find_addresses(ServerLogin& login) {
  std::vector<net::Address> addresses;
  const std::string path = unix_path_of(login);
  if (!path.empty()) {
    login.server.place = path;
    auto address = net::Address::unix_path(path);
    if (address) addresses.push_back(address.take());
    co_return std::move(addresses);
  }
  login.server.place = login.config->hosts[std::min(login.server.host, login.config->hosts.size() - 1)];
  login.server.resolving = true;
  net::Lookup found = co_await login.hub.resolver.lookup(login.hub.loop, login.server.place, login.attempt_end);
  login.server.resolving = false;
  if (!found) {
    login.fail(Reason::kServerDnsFailed, "server DNS lookup failed");
    say(login.hub, login.server, session::said(Level::kWarning, Event::kServerUnreachable),
        cat("DNS lookup failed: ", login.server.place, ": ", found.error().message));
    co_return std::move(addresses);
  }
  addresses = found.take();
  for (net::Address& address : addresses)
    address.set_port(login.config->port);
  co_return std::move(addresses);
}

net::Task<bool> dial_one(ServerLogin& login, net::Address address, Micros until) {
  const std::string where = address.text();
  std::string error = co_await dial(login.hub, login.server.stream, address, until);
  if (login.gone()) co_return false;
  if (error.empty()) co_return true;
  if (error == "timeout") {
    login.fail(Reason::kServerConnectTimeout, "connect timeout");
  } else {
    login.fail(Reason::kServerConnectFailed, "connect failed");
  }
  say(login.hub, login.server, session::said(Level::kWarning, Event::kServerUnreachable), cat(where, ": ", error));
  co_return false;
}

void log_secured(ServerLogin& login) {
  const net::Stream& stream = login.server.stream;
  if (!login.snapshot->global.log_connections) return;
  say(login.hub, login.server, session::said(Level::kLog, Event::kServerTls),
      cat("SSL established: ", stream.tls_info()));
}

net::Task<bool> secure_host(ServerLogin& login) {
  session::Hub& hub = login.hub;
  SecuredResult result = co_await secure(login.server.stream, hub.server_tls, login.server.place, login.attempt_end);
  if (login.gone()) co_return false;
  if (result.how == Secured::kPlain) co_return true;
  if (result.how == Secured::kTls) {
    log_secured(login);
    co_return true;
  }
  say(hub, login.server, session::said(Level::kWarning, Event::kServerRefused), result.why);
  if (result.how == Secured::kRefused) co_return login.fail(Reason::kServerTlsRefused, result.why);
  if (result.why == "timeout") co_return login.fail(Got::kTimeout);
  co_return login.fail(Reason::kServerLost, "server conn crashed?");
}

// Of a name's addresses, one that cannot be reached comes last for a while: who comes next need not wait for it.
void remember(ServerLogin& login, const std::vector<net::Address>& addresses, const net::Address& address,
              bool reached) {
  if (addresses.size() < 2) return;
  if (reached) return login.hub.resolver.trust(address);
  login.hub.resolver.avoid(address, deadline_after(monotonic_now(), login.snapshot->global.server_login_retry));
}

}  // namespace

net::Task<bool> reach_host(ServerLogin& login) {
  bool reached = false;
  std::vector<net::Address> addresses = co_await find_addresses(login);
  if (login.gone()) co_return false;
  for (size_t index = 0; index < addresses.size() && !reached; ++index) {
    const Micros now = login.hub.now();
    const auto left = static_cast<Micros>(addresses.size() - index);
    const Micros until = login.attempt_end == kNever ? kNever : now + (login.attempt_end - now) / left;
    const net::Address address = addresses[index];
    reached = co_await dial_one(login, address, until);
    if (login.gone()) co_return false;
    remember(login, addresses, address, reached);
  }
  if (!reached) co_return false;
  login.server.last_activity = login.hub.now();
  if (login.snapshot->global.log_connections) {
    say(login.hub, login.server, session::said(Level::kLog, Event::kServerConnected),
        cat("new connection to server (from ", login.server.stream.local().text(), ")"));
  }
  reached = co_await secure_host(login);
  co_return reached;
}

}  // namespace pgweir::login
