#include "settings/connstr.hpp"

#include <algorithm>
#include <charconv>
#include <functional>
#include <map>

#include "base/text.hpp"
#include "settings/check.hpp"
#include "settings/table.hpp"

namespace pgweir::settings {

namespace {

bool blank(char c) {
  return c == ' ' || c == '\t';
}

Result<std::string> quoted_value(const std::string& line, size_t& at) {
  std::string value;
  for (++at; at < line.size(); ++at) {
    if (line[at] != '\'') {
      value.push_back(line[at]);
      continue;
    }
    if (at + 1 < line.size() && line[at + 1] == '\'') {
      value.push_back('\'');
      ++at;
      continue;
    }
    ++at;
    return value;
  }
  return Error{"a quoted value lacks its closing quote"};
}

template <class T>
using Setters = std::map<std::string, std::function<Result<void>(T&, const std::string&)>>;

template <class T>
auto text(std::optional<std::string> T::*member) {
  return [member](T& entry, const std::string& value) -> Result<void> {
    entry.*member = value;
    return {};
  };
}

// Numbers of entries are decimal, as atoi reads them: 010 is ten. Junk, which atoi reads as 0, is an error.
Result<int64_t> parse_decimal(const std::string& value) {
  const std::string_view text = trim(value);
  const std::string_view digits = text.substr(!text.empty() && (text[0] == '-' || text[0] == '+') ? 1 : 0);
  int64_t number = 0;
  auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool whole = !digits.empty() && digits[0] != '-' && end == digits.data() + digits.size();
  if (!whole || problem != std::errc()) return Error{"must be a whole number"};
  return text[0] == '-' ? -number : number;
}

// A negative one means "inherit".
template <class T>
auto number(std::optional<int> T::*member) {
  return [member](T& entry, const std::string& value) -> Result<void> {
    auto parsed = parse_decimal(value);
    if (!parsed || *parsed > INT32_MAX) return Error{cat("must be a whole number up to ", INT32_MAX)};
    entry.*member = std::nullopt;
    if (*parsed >= 0) entry.*member = static_cast<int>(*parsed);
    return {};
  };
}

template <class T>
auto time(std::optional<Micros> T::*member) {
  return [member](T& entry, const std::string& value) -> Result<void> {
    auto negative = parse_decimal(value);
    entry.*member = std::nullopt;
    if (negative && *negative < 0) return {};
    auto parsed = parse_time(value);
    if (!parsed) return parsed.error();
    entry.*member = *parsed;
    return {};
  };
}

template <class T>
auto mode(std::optional<PoolMode> T::*member) {
  return [member](T& entry, const std::string& value) -> Result<void> {
    auto parsed = parse_pool_mode(value);
    if (!parsed) return parsed.error();
    entry.*member = *parsed;
    return {};
  };
}

template <class T>
auto port(int T::*member) {
  return [member](T& entry, const std::string& value) -> Result<void> {
    auto parsed = parse_decimal(value);
    if (!parsed || *parsed < 1 || *parsed > 65535) return Error{"must be between 1 and 65535"};
    entry.*member = static_cast<int>(*parsed);
    return {};
  };
}

std::vector<std::string> split_hosts(const std::string& list) {
  std::vector<std::string> hosts;
  size_t start = 0;
  for (;;) {
    size_t end = list.find(',', start);
    std::string host(trim(list.substr(start, end == std::string::npos ? end : end - start)));
    if (!host.empty()) hosts.push_back(std::move(host));
    if (end == std::string::npos) return hosts;
    start = end + 1;
  }
}

const Setters<Database>& database_setters() {
  static const Setters<Database> kSetters = {
      {"host",
       [](Database& d, const std::string& v) -> Result<void> {
         d.host_text = v;
         d.hosts = split_hosts(v);
         if (d.hosts.empty()) return Error{"names no host"};
         for (const std::string& host : d.hosts) {
           Result<void> fine = check_host(host);
           if (!fine) return fine;
         }
         return {};
       }},
      {"port", port(&Database::port)},
      {"dbname",
       [](Database& d, const std::string& v) -> Result<void> {
         d.dbname = v;
         return {};
       }},
      {"user", text(&Database::user)},
      {"password",
       [](Database& d, const std::string& v) -> Result<void> {
         d.password = auth::Secret(v);
         return {};
       }},
      {"auth_user", text(&Database::auth_user)},
      {"auth_query", text(&Database::auth_query)},
      {"auth_dbname", text(&Database::auth_dbname)},
      {"pool_size", number(&Database::pool_size)},
      {"min_pool_size", number(&Database::min_pool_size)},
      {"reserve_pool_size", number(&Database::reserve_pool_size)},
      {"reserve_pool", number(&Database::reserve_pool_size)},
      {"max_db_connections", number(&Database::max_db_connections)},
      {"max_db_client_connections", number(&Database::max_db_client_connections)},
      {"server_lifetime", time(&Database::server_lifetime)},
      {"query_wait_timeout", time(&Database::query_wait_timeout)},
      {"log_slow_queries", time(&Database::log_slow_queries)},
      {"log_slow_transactions", time(&Database::log_slow_transactions)},
      {"pool_mode", mode(&Database::pool_mode)},
      {"load_balance_hosts",
       [](Database& d, const std::string& v) -> Result<void> {
         auto parsed = parse_load_balance(v);
         if (!parsed) return parsed.error();
         d.load_balance_hosts = *parsed;
         return {};
       }},
      {"connect_query",
       [](Database& d, const std::string& v) -> Result<void> {
         d.connect_query = v;
         return {};
       }},
      {"client_encoding", text(&Database::client_encoding)},
      {"datestyle", text(&Database::datestyle)},
      {"timezone", text(&Database::timezone)},
      {"application_name", text(&Database::application_name)},
  };
  return kSetters;
}

const Setters<User>& user_setters() {
  static const Setters<User> kSetters = {
      {"pool_size", number(&User::pool_size)},
      {"reserve_pool_size", number(&User::reserve_pool_size)},
      {"pool_mode", mode(&User::pool_mode)},
      {"max_user_connections", number(&User::max_user_connections)},
      {"max_user_client_connections", number(&User::max_user_client_connections)},
      {"query_timeout", time(&User::query_timeout)},
      {"idle_transaction_timeout", time(&User::idle_transaction_timeout)},
      {"transaction_timeout", time(&User::transaction_timeout)},
      {"client_idle_timeout", time(&User::client_idle_timeout)},
      {"query_wait_timeout", time(&User::query_wait_timeout)},
      {"log_slow_queries", time(&User::log_slow_queries)},
      {"log_slow_transactions", time(&User::log_slow_transactions)},
  };
  return kSetters;
}

const Setters<Peer>& peer_setters() {
  static const Setters<Peer> kSetters = {
      {"host",
       [](Peer& p, const std::string& v) -> Result<void> {
         p.host = v;
         return check_host(v);
       }},
      {"port", port(&Peer::port)},
      {"pool_size", number(&Peer::pool_size)},
  };
  return kSetters;
}

template <class T>
Result<void> apply(T& entry, Scope scope, const std::string& line, const Setters<T>& setters) {
  auto pairs = parse_pairs(line);
  if (!pairs) return pairs.error();
  for (const auto& [key, value] : *pairs) {
    auto setter = setters.find(key);
    if (setter == setters.end()) {
      std::string near = nearest_key(scope, key);
      return Error{cat("unrecognized connection parameter: ", key, near.empty() ? "" : ", did you mean ", near,
                       near.empty() ? "" : "?")};
    }
    Result<void> done = setter->second(entry, value);
    if (!done) return Error{cat(key, " ", done.error().message)};
  }
  return {};
}

// Reads one line of pairs. Its texts never reach a message: they may be parts of a password.
class PairReader {
 public:
  explicit PairReader(const std::string& line) : line_(line) {}

  Result<ConnectPairs> read() {
    ConnectPairs pairs;
    for (skip(); at_ < line_.size(); skip()) {
      size_t start = at_;
      while (at_ < line_.size() && line_[at_] != '=' && !blank(line_[at_]))
        ++at_;
      std::string key = line_.substr(start, at_ - start);
      skip();
      if (at_ == line_.size() || line_[at_] != '=' || key.empty()) {
        return Error{cat("expected key=value at column ", start + 1, " of the value")};
      }
      ++at_;
      skip();
      auto value = read_value(key);
      if (!value) return value.error();
      pairs.emplace_back(std::move(key), value.take());
    }
    return pairs;
  }

 private:
  void skip() {
    while (at_ < line_.size() && blank(line_[at_]))
      ++at_;
  }

  Result<std::string> read_value(const std::string& key) {
    if (at_ < line_.size() && line_[at_] == '\'') {
      auto quoted = quoted_value(line_, at_);
      if (!quoted) return Error{cat(quoted.error().message, ": ", key)};
      if (quoted->empty()) return Error{cat("empty value for ", key)};
      if (at_ < line_.size() && !blank(line_[at_])) return Error{cat("a blank must follow the quoted value of ", key)};
      return quoted;
    }
    size_t start = at_;
    while (at_ < line_.size() && !blank(line_[at_]))
      ++at_;
    std::string value = line_.substr(start, at_ - start);
    // "host= port=5" is a forgotten value: nobody means the host "port=5" (PgBouncer does).
    bool forgot = start > 0 && blank(line_[start - 1]) && known_key(value.substr(0, value.find('=')));
    if (value.empty() || (forgot && value.find('=') != std::string::npos)) return Error{cat("empty value for ", key)};
    return value;
  }

  static bool known_key(const std::string& name) {
    return std::any_of(entry_rows().begin(), entry_rows().end(), [&](const EntryRow& row) { return row.name == name; });
  }

  const std::string& line_;
  size_t at_ = 0;
};

}  // namespace

Result<ConnectPairs> parse_pairs(const std::string& line) {
  return PairReader(line).read();
}

Result<Database> parse_database(const std::string& name, const std::string& line) {
  Database entry;
  entry.name = name;
  Result<void> applied = apply(entry, Scope::kDatabase, line, database_setters());
  if (!applied) return applied.error();
  if (entry.dbname.empty() && name != "*") entry.dbname = name;
  return entry;
}

Result<User> parse_user(const std::string& name, const std::string& line) {
  User entry;
  entry.name = name;
  Result<void> applied = apply(entry, Scope::kUser, line, user_setters());
  if (!applied) return applied.error();
  return entry;
}

Result<Peer> parse_peer(const std::string& id, const std::string& line) {
  Peer entry;
  auto number = parse_int(id);
  const bool decimal = std::all_of(id.begin(), id.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!number || !decimal || *number < 1 || *number > 65535) return Error{"a peer's id must be between 1 and 65535"};
  entry.id = static_cast<int>(*number);
  Result<void> applied = apply(entry, Scope::kPeer, line, peer_setters());
  if (!applied) return applied.error();
  if (entry.host.empty()) return Error{"a peer needs a host"};
  return entry;
}

}  // namespace pgweir::settings
