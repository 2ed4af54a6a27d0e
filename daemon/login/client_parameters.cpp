// What a StartupMessage asks for: user, database, protocol version, parameters (compat/wire.md, section 3). Every
// parameter is accepted: tracked ones are kept as such, ignored ones dropped, all others replayed by SET on whichever
// server works for the client.
#include <unistd.h>

#include "auth/userlist.hpp"
#include "base/text.hpp"
#include "login/client_flow.hpp"
#include "session/say.hpp"
#include "wire/builder.hpp"
#include "wire/options.hpp"

namespace pgweir::login {

namespace {

constexpr size_t kMostParameters = 200;

std::string own_host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "";
}

// A setting of this client, from the packet or from its `options`.
bool take_setting(ClientLogin& login, const std::string& name, const std::string& value, std::string_view where) {
  session::Client& client = login.client;
  if (client.parameters.set(name, value)) return true;
  if (list_contains(login.snapshot->global.ignore_startup_parameters, name)) return true;
  if (!is_parameter_name(name)) return login.refuse(cat("unsupported startup parameter", where, ": ", name));
  client.parameters.set_extra(name, value);
  return true;
}

bool take_options(ClientLogin& login, const std::string& text) {
  if (list_contains(login.snapshot->global.ignore_startup_parameters, "options")) {
    auto some = wire::parse_options(text);
    if (!some) return true;
    for (const auto& [name, value] : *some)
      login.client.parameters.set(name, value);
    return true;
  }
  auto settings = wire::parse_options(text);
  if (!settings) return login.refuse(settings.error().message);
  for (const auto& [name, value] : *settings) {
    if (!take_setting(login, name, value, " in options")) return false;
  }
  return true;
}

// `options` first, as PostgreSQL does: what stands in the packet itself wins.
bool take_settings(ClientLogin& login) {
  for (const auto& [name, value] : login.startup->parameters) {
    if (name == "replication") login.client.replication = replication_of(value);
  }
  for (const auto& [name, value] : login.startup->parameters) {
    if (name != "options") continue;
    if (login.client.replication != session::Replication::kNone) {
      login.client.more().options = value;  // its own server's to read
    } else if (!take_options(login, value)) {
      return false;
    }
  }
  for (const auto& [name, value] : login.startup->parameters) {
    if (name == "user" || name == "database" || name == "options" || name == "replication") continue;
    if (!take_setting(login, name, value, "")) return false;
  }
  return true;
}

void add_host_to_name(ClientLogin& login) {
  session::Client& client = login.client;
  track::Value name = client.parameters.value("application_name");
  const std::string host = client.stream.peer().is_unix() ? own_host_name() : std::string();
  client.parameters.set("application_name",
                        name_with_host(name ? *name : std::string(), client.stream.peer(), client.listen_port, host));
}

// Consoles may always be reached: their users are few, and named. A limit of 0 lets nobody else in, as in PgBouncer.
bool room_for_socket(ClientLogin& login) {
  const pool::Quota& all = login.hub.books.clients();
  if (login.console || all.used() <= all.limit()) return true;
  return login.refuse("no more connections allowed (max_client_conn)");
}

bool settle_protocol(ClientLogin& login) {
  const wire::StartupMessage& startup = *login.startup;
  const Spoken spoken = negotiate(startup.minor, !startup.protocol_options.empty());
  login.client.protocol_minor = spoken.minor;
  if (!spoken.tell) return true;
  std::string message;
  wire::append_negotiate_protocol_version(message, wire::kProtocol30 + spoken.minor, startup.protocol_options);
  return login.send(message);
}

}  // namespace

bool take_parameters(ClientLogin& login) {
  const wire::StartupMessage& startup = *login.startup;
  if (!login.hub.tracked) {
    login.hub.tracked =
        std::make_shared<const track::TrackedNames>(split_names(login.snapshot->global.track_extra_parameters));
  }
  login.client.parameters.init(login.hub.tracked);
  for (const auto& [name, value] : startup.parameters) {
    if (name == "user") login.user = value;
    if (name == "database") login.database = value;
    if (login.hub.log.wants(Level::kDebug))
      say(login.hub, login.client, session::said(Level::kDebug, Event::kLoginAttempt),
          cat("got var: ", name, "=", value));
  }
  if (login.user.empty()) return login.refuse("no username supplied");
  if (login.user.size() > auth::kMaxUserName) return login.refuse("username too long");
  if (startup.parameters.size() > kMostParameters) return login.refuse("too many startup parameters");
  if (login.database.empty()) login.database = login.user;
  login.console = is_console(login.database);
  if (!take_settings(login)) return false;
  if (login.snapshot->global.application_name_add_host) add_host_to_name(login);
  return room_for_socket(login) && settle_protocol(login);
}

}  // namespace pgweir::login
