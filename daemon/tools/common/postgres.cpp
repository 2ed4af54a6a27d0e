#include "tools/common/postgres.hpp"

#include <poll.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>

#include "base/text.hpp"

namespace pgweir::tools {

namespace {

constexpr int kGraceSeconds = 3;  // of the wait beyond statement_timeout, for the error to arrive

// libpq may repeat a piece of a malformed connection string, and with it of a password that was not quoted.
bool may_repeat_password(std::string_view conninfo) {
  return conninfo.find("password") != std::string_view::npos || conninfo.find("://") != std::string_view::npos;
}

struct FreeOptions {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};
struct FreeMemory {
  void operator()(char* text) const { PQfreemem(text); }
};

void keep_notice(void* notices, const PGresult* result) {
  const char* severity = PQresultErrorField(result, PG_DIAG_SEVERITY);
  const char* message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  if (message)
    static_cast<std::vector<std::string>*>(notices)->push_back(cat(severity ? severity : "NOTICE", ": ", message));
}

Error result_error(const PGresult* result, PGconn* connection) {
  const char* message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  return Error{one_line(message ? message : PQerrorMessage(connection)), state ? state : ""};
}

}  // namespace

std::string one_line(std::string_view text) {
  std::string out;
  for (char c : trim(text)) {
    if (c == '\n') {
      out += "; ";
    } else if (c != '\t') {
      out.push_back(c);
    }
  }
  return out;
}

Result<bool> has_password(const std::string& conninfo) {
  char* complaint = nullptr;
  std::unique_ptr<PQconninfoOption, FreeOptions> options(PQconninfoParse(conninfo.c_str(), &complaint));
  std::unique_ptr<char, FreeMemory> owned(complaint);
  if (!options) {
    if (may_repeat_password(conninfo) || !complaint)
      return Error{
          "the connection string cannot be read: neither key=value pairs nor a postgresql:// URI (values with "
          "blanks stand in 'quotes')"};
    return Error{cat("the connection string cannot be read: ", one_line(complaint))};
  }
  for (const PQconninfoOption* option = options.get(); option->keyword; ++option) {
    const std::string_view key = option->keyword;
    if ((key == "password" || key == "sslpassword") && option->val && option->val[0]) return true;
  }
  return false;
}

Result<Connection> Connection::open(const ConnectOptions& options) {
  const std::string timeout = cat(options.connect_timeout);
  // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread
  const bool says_database = !options.conninfo.empty() || std::getenv("PGDATABASE") || std::getenv("PGSERVICE");
  const char* keys[] = {"dbname", "connect_timeout", "fallback_application_name", nullptr};
  const char* values[] = {says_database ? options.conninfo.c_str() : "dbname=postgres", timeout.c_str(),
                          options.program.c_str(), nullptr};
  Connection out;
  out.answer_timeout_ = options.answer_timeout;
  out.connection_.reset(PQconnectdbParams(keys, values, 1));
  PGconn* connection = out.connection_.get();
  if (!connection) return Error{"no memory for a connection"};
  if (PQstatus(connection) != CONNECTION_OK) {
    std::string text = one_line(PQerrorMessage(connection));
    if (text.find("password=") != std::string::npos) text = "wrong connection string";
    return Error{std::move(text)};
  }
  PQsetNoticeReceiver(connection, keep_notice, out.notices_.get());
  // A role's name is compared byte by byte at login: it must arrive as the server stores it.
  auto set = out.query(
      "SELECT pg_catalog.set_config('search_path', 'pg_catalog', false),"
      " pg_catalog.set_config('client_encoding', pg_catalog.current_setting('server_encoding'), false),"
      " pg_catalog.set_config('statement_timeout', $1, false), pg_catalog.set_config('lock_timeout', $1, false),"
      " pg_catalog.set_config('default_transaction_read_only', 'on', false)",
      {cat(options.answer_timeout, "s")});
  if (!set) return set.error();
  return out;
}

// Nothing: an answer is there to be taken.
std::optional<Error> Connection::wait_for_answer() {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::seconds(answer_timeout_ + kGraceSeconds);
  PGconn* connection = connection_.get();
  while (PQisBusy(connection)) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return Error{cat("no answer within ", answer_timeout_ + kGraceSeconds, " s")};
    const auto interest = static_cast<short>(PQflush(connection) == 1 ? POLLIN | POLLOUT : POLLIN);
    pollfd socket = {PQsocket(connection), interest, 0};
    if (::poll(&socket, 1, static_cast<int>(left) + 1) < 0 && errno != EINTR)
      return Error{cat("poll: ", errno_text(errno))};
    if (socket.revents != 0 && PQconsumeInput(connection) != 1) return Error{one_line(PQerrorMessage(connection))};
  }
  return std::nullopt;
}

Result<Rows> Connection::query(const std::string& sql, const std::vector<std::string>& parameters) {
  PGconn* connection = connection_.get();
  std::vector<const char*> values;
  values.reserve(parameters.size());
  for (const std::string& value : parameters)
    values.push_back(value.c_str());
  if (PQsendQueryParams(connection, sql.c_str(), static_cast<int>(values.size()), nullptr, values.data(), nullptr,
                        nullptr, 0) != 1)
    return Error{one_line(PQerrorMessage(connection))};
  std::optional<Rows> rows;
  std::optional<Error> failure;
  while (true) {
    if (auto error = wait_for_answer()) {
      alive_ = false;  // an answer may be on its way still: the connection is of no more use
      return *error;
    }
    PGresult* result = PQgetResult(connection);
    if (!result) break;
    Rows owned(result);
    if (PQresultStatus(result) == PGRES_TUPLES_OK) {
      rows.emplace(std::move(owned));
    } else if (!failure) {
      failure = result_error(result, connection);
    }
  }
  if (failure) return *failure;
  if (!rows) return Error{"the server answered without rows"};
  return std::move(*rows);
}

std::string Connection::server() const {
  const PGconn* connection = connection_.get();
  const char* version = PQparameterStatus(connection, "server_version");
  return cat("PostgreSQL ", version ? version : "?", " at ", PQhost(connection), " port ", PQport(connection));
}

std::string array_text(const std::vector<std::string>& items) {
  std::string out = "{";
  for (const std::string& item : items) {
    out += out.size() > 1 ? ",\"" : "\"";
    for (char c : item) {
      if (c == '"' || c == '\\') out.push_back('\\');
      out.push_back(c);
    }
    out.push_back('"');
  }
  out.push_back('}');
  return out;
}

}  // namespace pgweir::tools
