#include "session/say.hpp"

#include <array>
#include <string>

#include "base/text.hpp"

namespace pgweir::session {

namespace {

// Fields whose values live as long as this does.
class Fields {
 public:
  explicit Fields(const Said& what) {
    add("REASON", std::string(what.reason));
    add("SQLSTATE", std::string(what.sqlstate));
  }

  void client(const Client& client) {
    add("CLIENT_ID", std::to_string(client.id));
    const net::Address& peer = client.stream.peer();
    add("CLIENT_ADDR", peer.is_unix() ? std::string("unix") : peer.host());
    if (peer.is_unix() && peer.unix_pid() > 0) add("CLIENT_PID", std::to_string(peer.unix_pid()));
    if (!peer.is_unix()) add("CLIENT_PORT", std::to_string(peer.port()));
  }
  void login(const Client& client) {
    if (client.database) add("DATABASE", client.database->name);
    if (client.user) add("USER", client.user->name);
    if (client.local_pool) pool(client.local_pool->shared());
  }

  void server(const Server& server) {
    add("SERVER_ID", std::to_string(server.id));
    add("SERVER_ADDR", server.place);
    if (server.backend_pid != 0) add("SERVER_PID", std::to_string(server.backend_pid));
  }
  void pool(const pool::SharedPool& shared) { add("POOL", cat(shared.database->name, "/", shared.user->name)); }

  void add(std::string_view name, std::string value) {
    if (value.empty() || count_ == kMost) return;
    values_[count_] = std::move(value);
    fields_[count_] = {name, values_[count_]};
    ++count_;
  }

  const LogField* begin() const { return fields_.data(); }
  size_t size() const { return count_; }

 private:
  static constexpr size_t kMost = 16;
  std::array<std::string, kMost> values_;
  std::array<LogField, kMost> fields_{};
  size_t count_ = 0;
};

void write(Hub& hub, const Said& what, const std::string& text, const Fields& fields) {
  hub.log.write(LogRecord{what.level, text, fields.begin(), fields.size(), what.kind});
}

}  // namespace

void say(Hub& hub, const Client& client, const Said& what, std::string_view text,
         std::initializer_list<LogField> more) {
  if (!hub.log.wants(what.level)) return;
  const std::string line = cat(log_prefix(client), text);
  if (!hub.log.keeps_fields()) return hub.log.write(LogRecord{what.level, line, nullptr, 0, what.kind});
  Fields fields(what);
  fields.client(client);
  fields.login(client);
  if (client.server) fields.server(*client.server);
  for (const LogField& field : more)
    fields.add(field.name, std::string(field.value));
  write(hub, what, line, fields);
}

void say(Hub& hub, const Server& server, const Said& what, std::string_view text) {
  if (!hub.log.wants(what.level)) return;
  const std::string line = cat(log_prefix(server), text);
  if (!hub.log.keeps_fields()) return hub.log.write(LogRecord{what.level, line, nullptr, 0, what.kind});
  Fields fields(what);
  fields.server(server);
  if (server.shared_pool) {
    fields.add("DATABASE", server.shared_pool->database->name);
    fields.add("USER", server.shared_pool->user->name);
    fields.pool(*server.shared_pool);
  }
  if (server.client) fields.client(*server.client);
  write(hub, what, line, fields);
}

}  // namespace pgweir::session
