// A connection to a PostgreSQL server up to its first message: dial, then TLS as server_tls_sslmode says
// (compat/wire.md, section 17). Used by server logins and by cancel requests.
#pragma once

#include <string>

#include "login/inbox.hpp"
#include "net/dial.hpp"
#include "session/hub.hpp"

namespace pgweir::login {

// Where a host that is a directory, or an abstract name, has its unix socket; empty: it is reached by TCP.
std::string unix_socket_of(const std::string& host, int port);

net::SocketOptions socket_options(const settings::Global& global);

// Opens `stream` on a connection to `to`. Empty: connected; else why not ("connect(): Connection refused", "timeout").
net::Task<std::string> dial(session::Hub& hub, net::Stream& stream, net::Address to, Micros deadline);

enum class Secured : uint8_t {
  kPlain,  // no TLS: the mode does not ask for it, or (prefer) the server has none
  kTls,
  kRefused,  // "server refused SSL" under require and above
  kFailed,   // `why`
};
struct SecuredResult {
  Secured how = Secured::kFailed;
  std::string why;
};

// Asks for TLS when `context` is not null and the peer is not a unix socket. `host`: the name or address that the
// certificate must match when the mode verifies names. Bytes behind the server's answer are refused (CVE-2021-43767).
net::Task<SecuredResult> secure(net::Stream& stream, std::shared_ptr<const net::TlsContext> context, std::string host,
                                Micros deadline);

}  // namespace pgweir::login
