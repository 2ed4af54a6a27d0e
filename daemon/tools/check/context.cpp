#include "tools/check/context.hpp"

#include <sys/random.h>

#include "base/text.hpp"
#include "tools/common/messages.hpp"

namespace pgweir::tools::check {

namespace {

void put_if_missing(Where& where, const char* key, const std::string& value) {
  if (!value.empty()) where.emplace(key, value);
}

Where parsed(const std::string& conninfo) {
  if (conninfo.empty()) return {};
  auto where = parse_where(conninfo);
  return where ? where.take() : Where{};  // load() has seen to it that it can be read
}

std::string reachable(const std::string& address) {
  if (address == "*" || address == "0.0.0.0") return "127.0.0.1";
  return address == "::" ? "::1" : address;
}

}  // namespace

Context::Context(const Options& options) : options_(options) {}

const settings::LoadResult& Context::ini() {
  if (!ini_) ini_ = settings::load(options_.ini, nullptr);
  return *ini_;
}

std::vector<std::string> Context::addresses() {
  std::vector<std::string> out;
  if (!ini().snapshot) return out;
  const settings::Global& global = ini().snapshot->global;
  for (const std::string& address : split_names(global.listen_addr))
    out.push_back(reachable(address));
  if (!global.unix_socket_dir.empty()) out.push_back(global.unix_socket_dir);
  return out;
}

Where Context::pool() {
  Where where = parsed(options_.pool);
  if (!ini().snapshot) return where;
  const settings::Snapshot& snapshot = *ini().snapshot;
  if (!where.contains("service")) {
    const auto known = addresses();
    if (!known.empty() && !where.contains("hostaddr")) put_if_missing(where, "host", known.front());
    put_if_missing(where, "port", cat(snapshot.global.listen_port));
    if (!snapshot.databases.empty()) put_if_missing(where, "dbname", snapshot.databases.begin()->first);
  }
  return where;
}

Where Context::direct() {
  Where where = parsed(options_.direct);
  const Where by_pool = pool();
  auto name = by_pool.find("dbname");
  if (ini().snapshot && name != by_pool.end() && !where.contains("service")) {
    const auto& databases = ini().snapshot->databases;
    auto entry = databases.find(name->second);
    if (entry != databases.end()) {
      const settings::Database& database = *entry->second;
      if (!where.contains("hostaddr"))
        put_if_missing(where, "host",
                       database.host_text.empty() ? ini().snapshot->global.unix_socket_dir : database.host_text);
      put_if_missing(where, "port", cat(database.port));
      put_if_missing(where, "dbname", database.dbname);
      if (database.user) put_if_missing(where, "user", *database.user);
      if (database.password && where["user"] == database.user.value_or(""))
        put_if_missing(where, "password", std::string(database.password->text()));
    }
  }
  for (const char* key : {"user", "password", "passfile", "dbname"}) {
    auto found = by_pool.find(key);
    if (found != by_pool.end()) put_if_missing(where, key, found->second);
  }
  return where;
}

Where Context::console() {
  Where where = parsed(options_.console);
  const Where by_pool = pool();
  for (const char* key : {"host", "hostaddr", "port", "passfile", "sslmode", "sslrootcert", "sslcert", "sslkey"}) {
    auto found = by_pool.find(key);
    if (found != by_pool.end()) put_if_missing(where, key, found->second);
  }
  put_if_missing(where, "dbname", "pgweir");
  if (ini().snapshot) {
    const auto admins = split_names(ini().snapshot->global.admin_users);
    if (!admins.empty()) put_if_missing(where, "user", admins.front());
  }
  auto user = by_pool.find("user");
  auto password = by_pool.find("password");
  if (user != by_pool.end() && password != by_pool.end() && where["user"] == user->second)
    put_if_missing(where, "password", password->second);
  return where;
}

Result<Session> Context::open(Where where, const Where& changes) const {
  for (const auto& [key, value] : changes)
    where[key] = value;
  return Session::open(where, options_.timeout);
}

std::string Context::try_open(const Where& where) const {
  auto session = open(where);
  return session ? "" : session.error().message;
}

std::string Context::missing(unsigned needs) {
  struct Need {
    unsigned bit;
    const char* test;
  };
  static constexpr Need kNeeds[] = {
      {kIni, "config-valid"}, {kPool, "pooled"}, {kDirect, "direct"}, {kConsole, "console"}};
  for (const Need& need : kNeeds) {
    if (!(needs & need.bit)) continue;
    auto known = missing_.find(need.bit);
    if (known == missing_.end()) {
      std::string why;
      if (need.bit == kIni && !ini().snapshot)
        why = ini().errors.empty() ? "it cannot be read" : settings::describe(ini().errors.front());
      if (need.bit == kPool) why = try_open(pool());
      if (need.bit == kDirect) why = try_open(direct());
      if (need.bit == kConsole) why = try_open(console());
      known = missing_.emplace(need.bit, why).first;
    }
    if (!known->second.empty()) return cat("it needs what the test ", need.test, " did not find: ", known->second);
  }
  return {};
}

const std::map<std::string, std::string>& Context::live() {
  if (live_) return *live_;
  live_.emplace();
  auto session = open(console());
  if (!session) return *live_;
  auto rows = show(*session, "CONFIG");
  if (!rows) return *live_;
  for (auto& row : *rows)
    (*live_)[row["key"]] = row["value"];
  return *live_;
}

std::string Context::setting(const std::string& name) {
  auto found = live().find(name);
  if (found != live().end()) return found->second;
  const settings::Row* row = settings::find_row(name);
  if (!row || !ini().snapshot) return {};
  return settings::show(ini().snapshot->global, *row).value_or("");
}

std::string Context::pool_mode() {
  const Where where = pool();
  auto session = open(console());
  if (session) {
    auto rows = show(*session, "DATABASES");
    if (rows)
      for (auto& row : *rows)
        if (row["name"] == where.at("dbname") && !row["pool_mode"].empty()) return row["pool_mode"];
  }
  return setting("pool_mode");
}

Result<std::vector<std::map<std::string, std::string>>> show(Session& console, const std::string& topic) {
  auto rows = console.query(cat("SHOW ", topic));
  if (!rows) return rows.error();
  std::vector<std::map<std::string, std::string>> out(static_cast<size_t>(rows->size()));
  for (int row = 0; row < rows->size(); ++row)
    for (int column = 0; column < rows->columns(); ++column)
      out[static_cast<size_t>(row)][rows->name(column)] = rows->text(row, column);
  return out;
}

std::string octal(unsigned mode) {
  std::string out = "0";
  for (int shift = 6; shift >= 0; shift -= 3)
    out.push_back(static_cast<char>('0' + ((mode >> shift) & 7)));
  return out;
}

std::string place(const Where& where) {
  auto part = [&](const char* key, const char* otherwise) {
    auto found = where.find(key);
    return found == where.end() ? std::string(otherwise) : found->second;
  };
  return cat(part("host", part("hostaddr", "libpq's default host").c_str()), " port ", part("port", "5432"));
}

std::string random_word() {
  unsigned char bytes[16] = {};
  const auto got = ::getrandom(bytes, sizeof bytes, 0);
  (void)got;  // up to 256 bytes always come
  std::string out;
  for (unsigned char byte : bytes)
    out.push_back(static_cast<char>('a' + byte % 26));
  return out;
}

}  // namespace pgweir::tools::check
