// A worker's connections, one row each: SHOW CLIENTS, SERVERS, SOCKETS, ACTIVE_SOCKETS, FDS.

#include <cstdio>

#include "admin/averages.hpp"
#include "admin/collect.hpp"
#include "base/text.hpp"

namespace pgweir::admin {

namespace {

using pool::ClientState;
using pool::ServerState;
using session::Client;
using session::Server;

constexpr char kLast[] = "\xff";  // sorts behind every name: connections that are in no pool

std::string padded(uint64_t number, int width) {
  char text[32];
  std::snprintf(text, sizeof text, "%0*llu", width, static_cast<unsigned long long>(number));
  return text;
}

std::string pointer_text(const void* at) {
  char text[32];
  std::snprintf(text, sizeof text, "%p", at);
  return at ? text : "";
}

// "YYYY-MM-DD HH:MM:SS ZONE" of a point on the monotonic clock.
std::string time_text(Micros at, Micros now) {
  time_t seconds = static_cast<time_t>((wall_now() - (now - at)) / kSecond);
  tm local{};
  localtime_r(&seconds, &local);
  char text[80];
  return std::string(text, strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %Z", &local));
}

std::string_view replication_word(session::Replication replication) {
  switch (replication) {
    case session::Replication::kPhysical: return "physical";
    case session::Replication::kLogical: return "logical";
    default: return "none";
  }
}

// -- what a connection is called, and where it stands --

struct Place {
  std::string database;
  std::string user;        // whom it logged in as
  std::string pool_user;   // for sorting
  unsigned rank = 0;       // of its list in its pool
  std::string_view state;  // in CLIENTS and SERVERS
  std::string_view list;   // in SOCKETS; empty: not shown there
};

bool locate(const Client& client, Place& place) {
  struct Row {
    unsigned rank;
    std::string_view list;
  };
  const Row row = [&]() -> Row {
    switch (client.state()) {
      case ClientState::kActive:
      case ClientState::kIdle:
      case ClientState::kConsole: return {0, "cl_active"};
      case ClientState::kAtGate:
      case ClientState::kWaiting: return {1, "cl_waiting"};
      case ClientState::kCancel: return {2, ""};
      default: return {3, "cl_login"};
    }
  }();
  if (client.state() == ClientState::kGone) return false;
  place.rank = row.rank;
  place.list = row.list;
  place.state = pool::name_of(client.state());
  place.user = client.user ? client.user->name : "(nouser)";
  place.database = client.database ? client.database->name : "(nodb)";
  if (client.state() == ClientState::kConsole) place.database = place.pool_user = kConsoleDatabase;
  if (client.local_pool) place.pool_user = client.local_pool->shared().user->name;
  return true;
}

bool locate(const Server& server, Place& place) {
  static constexpr struct {
    unsigned rank;
    std::string_view list;
  } kRows[pool::kServerStates] = {{8, "sv_login"},  {5, "sv_idle"}, {6, "sv_used"}, {7, "sv_tested"}, {4, "sv_active"},
                                  {9, "sv_active"}, {5, "sv_idle"}, {0, ""},        {0, ""}};
  if (server.state() == ServerState::kClosing || server.state() == ServerState::kGone || !server.shared_pool)
    return false;
  const auto& row = kRows[static_cast<size_t>(server.state())];
  place.rank = row.rank;
  place.list = row.list;
  place.state = pool::name_of(server.state());
  place.database = server.shared_pool->database->name;
  place.user = place.pool_user = server.shared_pool->user->name;
  return true;
}

RowCells sort_cells(const Place& place, uint32_t id) {
  const bool nowhere = place.pool_user.empty();
  return {nowhere ? kLast : place.database, place.pool_user, padded(place.rank, 2), padded(id, 10)};
}

void append(RowCells& row, std::initializer_list<Cell> cells) {
  row.insert(row.end(), cells);
}

// -- the columns --

int server_port(const Server& server) {
  auto config = server.shared_pool->database->config();
  return config ? config->port : 0;
}

void append_addresses(RowCells& row, const net::Stream& stream, int unix_port, int local_port) {
  const net::Address local = stream.open() ? stream.local() : net::Address();
  append(row, {stream.peer().host(), int4(stream.peer().is_unix() ? unix_port : stream.peer().port()), local.host(),
               int4(local.is_unix() ? local_port : local.port())});
}

std::string application_name(const track::ParameterSet& parameters) {
  track::Value value = parameters.value("application_name");
  return value ? *value : std::string();
}

void append_common(RowCells& row, const Client& client, const Place& place, std::string_view state, Micros now) {
  append(row, {"C", place.user, place.database, std::string(replication_word(client.replication)), std::string(state)});
  append_addresses(row, client.stream, client.listen_port, client.listen_port);
  const Micros since = client.query_start > 0 ? client.query_start : client.wait_start;
  const Micros wait = since > 0 ? std::max<Micros>(now - since, 0) : 0;
  const pid_t pid = client.stream.peer().unix_pid();
  append(row, {time_text(client.connected_at, now),
               time_text(client.last_request > 0 ? client.last_request : client.connected_at, now),
               int4(wait / kSecond), int4(wait % kSecond), "0", pointer_text(&client), pointer_text(client.server),
               int4(pid), client.stream.tls_info(), application_name(client.parameters),
               int4(static_cast<int64_t>(client.statements.size())), int4(client.id)});
}

void append_common(RowCells& row, const Server& server, const Place& place, std::string_view state, Micros now) {
  const auto replication = server.client ? server.client->replication : session::Replication::kNone;
  append(row, {"S", place.user, place.database, std::string(replication_word(replication)), std::string(state)});
  append_addresses(row, server.stream, server_port(server), server_port(server));
  const bool obsolete = server.generation != server.shared_pool->database->generation.load();
  const int64_t pid = server.backend_pid > 0 ? static_cast<int64_t>(server.backend_pid)
                                             : static_cast<int64_t>(server.stream.peer().unix_pid());
  append(row,
         {time_text(server.connected_at, now), time_text(server.last_activity, now), "0", "0", obsolete ? "1" : "0",
          pointer_text(&server), pointer_text(server.client), int4(pid), server.stream.tls_info(),
          application_name(server.parameters), int4(static_cast<int64_t>(server.statements.size())), int4(server.id)});
}

void append_buffers(RowCells& row, const session::End& end) {
  const int64_t held = end.held ? static_cast<int64_t>(end.held->size()) : 0;
  append(row,
         {int4(held), "0", int4(end.body_left), "0", "0", int4(held), int4(static_cast<int64_t>(end.stream.unsent()))});
}

bool busy(const session::End& end) {
  return end.held || end.body_left > 0 || end.stream.unsent() > 0;
}

template <class Connection>
void add_socket(Rows& rows, const Connection& connection, Micros now, bool only_busy) {
  Place place;
  if (!locate(connection, place) || place.list.empty() || (only_busy && !busy(connection))) return;
  RowCells row = sort_cells(place, connection.id);
  append_common(row, connection, place, place.list, now);
  append_buffers(row, connection);
  rows.push_back(std::move(row));
}

void collect_all_sockets(session::Hub& hub, Rows& rows, bool only_busy) {
  for (const auto& client : hub.clients)
    add_socket(rows, *client, hub.now(), only_busy);
  for (const auto& server : hub.servers)
    add_socket(rows, *server, hub.now(), only_busy);
}

// -- FDS --

Cell parameter(const track::ParameterSet& parameters, std::string_view name) {
  track::Value value = parameters.value(name);
  return value ? Cell(*value) : Cell();
}

// No secrets here, although PgBouncer shows them: neither keys of cancel requests nor of SCRAM, nor passwords. They
// served its way of restarting, which pgweir does not have.
void add_fd(Rows& rows, std::string_view task, const Place& place, uint32_t id, const session::End& end, int port,
            int link, const track::ParameterSet& parameters) {
  if (!end.stream.open() || end.stream.tls()) return;
  RowCells row = sort_cells(place, id);
  append(row, {int4(end.stream.fd()), std::string(task), place.user, place.database, end.stream.peer().host(),
               int4(end.stream.peer().is_unix() ? port : end.stream.peer().port()), "0", int4(link),
               parameter(parameters, "client_encoding"), parameter(parameters, "standard_conforming_strings"),
               parameter(parameters, "DateStyle"), parameter(parameters, "TimeZone"), Cell(), Cell(), Cell()});
  rows.push_back(std::move(row));
}

}  // namespace

void collect_clients(session::Hub& hub, Rows& rows) {
  for (const auto& client : hub.clients) {
    Place place;
    if (client->state() == ClientState::kLogin || !locate(*client, place)) continue;
    RowCells row = sort_cells(place, client->id);
    append_common(row, *client, place, place.state, hub.now());
    rows.push_back(std::move(row));
  }
}

void collect_servers(session::Hub& hub, Rows& rows) {
  for (const auto& server : hub.servers) {
    Place place;
    if (!locate(*server, place)) continue;
    RowCells row = sort_cells(place, server->id);
    append_common(row, *server, place, place.state, hub.now());
    rows.push_back(std::move(row));
  }
}

void collect_sockets(session::Hub& hub, Rows& rows) {
  collect_all_sockets(hub, rows, false);
}

void collect_active_sockets(session::Hub& hub, Rows& rows) {
  collect_all_sockets(hub, rows, true);
}

void collect_fds(session::Hub& hub, Rows& rows) {
  for (const auto& client : hub.clients) {
    Place place;
    if (client->state() == ClientState::kConsole || !locate(*client, place)) continue;
    const Server* server = client->server;
    if (server && server->stream.tls()) continue;
    add_fd(rows, "client", place, client->id, *client, client->listen_port, server ? server->stream.fd() : 0,
           client->parameters);
  }
  for (const auto& server : hub.servers) {
    Place place;
    if (!locate(*server, place)) continue;
    const Client* client = server->client;
    if (client && client->stream.tls()) continue;
    add_fd(rows, "server", place, server->id, *server, server_port(*server), client ? client->stream.fd() : 0,
           server->parameters);
  }
}

}  // namespace pgweir::admin
