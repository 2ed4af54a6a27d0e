// How connections are called in log lines (compat/config_file.md, section 11).
#include <cstdio>

#include "base/text.hpp"
#include "session/hub.hpp"

namespace pgweir::session {

namespace {

std::string pointer_text(const void* at) {
  char text[32];
  std::snprintf(text, sizeof text, "%p", at);
  return text;
}

// "1.2.3.4:5", "[::1]:5", "unix(PID):PORT"
std::string place_of(const net::Address& address, int unix_port) {
  if (!address.is_unix()) return address.text();
  std::string pid = address.unix_pid() > 0 ? cat("(", address.unix_pid(), ")") : std::string();
  return cat("unix", pid, ":", unix_port);
}

}  // namespace

std::string log_prefix(const Client& client) {
  std::string_view database = client.database ? std::string_view(client.database->name) : "(nodb)";
  std::string_view user = client.user ? std::string_view(client.user->name) : "(nouser)";
  int port = client.listen_port;
  return cat("C-", pointer_text(&client), ": ", database, "/", user, "@", place_of(client.stream.peer(), port), " ");
}

std::string log_prefix(const Server& server) {
  std::string_view database = "(nodb)";
  std::string_view user = "(nouser)";
  int port = 5432;
  if (server.local_pool) {
    pool::SharedPool& shared = server.local_pool->shared();
    database = shared.database->name;
    user = shared.user->name;
    if (auto config = shared.database->config()) port = config->port;
  }
  return cat("S-", pointer_text(&server), ": ", database, "/", user, "@", place_of(server.stream.peer(), port), " ");
}

}  // namespace pgweir::session
