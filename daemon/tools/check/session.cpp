#include "tools/check/session.hpp"

#include <poll.h>

#include <chrono>
#include <optional>

#include "base/text.hpp"

namespace pgweir::tools::check {

namespace {

struct FreeOptions {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};
struct FreeCancel {
  void operator()(PGcancel* cancel) const { PQfreeCancel(cancel); }
};

void no_notice(void* /*unused*/, const PGresult* /*unused*/) {}

}  // namespace

Result<Where> parse_where(const std::string& conninfo) {
  auto readable = has_password(conninfo);  // its words never repeat a secret
  if (!readable) return readable.error();
  std::unique_ptr<PQconninfoOption, FreeOptions> options(PQconninfoParse(conninfo.c_str(), nullptr));
  Where out;
  for (const PQconninfoOption* one = options.get(); one && one->keyword; ++one)
    if (one->val) out[one->keyword] = one->val;
  return out;
}

Result<Session> Session::open(const Where& where, int seconds) {
  const std::string timeout = cat(seconds);
  std::vector<const char*> keys;
  std::vector<const char*> values;
  for (const auto& [key, value] : where) {
    keys.push_back(key.c_str());
    values.push_back(value.c_str());
  }
  for (auto [key, value] :
       {std::pair("connect_timeout", timeout.c_str()), std::pair("fallback_application_name", "pgweir-check")}) {
    keys.push_back(key);
    values.push_back(value);
  }
  keys.push_back(nullptr);
  values.push_back(nullptr);
  Session out;
  out.seconds_ = seconds;
  out.connection_.reset(PQconnectdbParams(keys.data(), values.data(), 0));
  if (!out.connection_) return Error{"no memory for a connection"};
  if (PQstatus(out.connection_.get()) != CONNECTION_OK) return out.failure();
  PQsetNoticeReceiver(out.connection_.get(), no_notice, nullptr);
  return out;
}

Error Session::failure() const {
  std::string text = one_line(PQerrorMessage(connection_.get()));
  if (text.find("password=") != std::string::npos) text = "wrong connection string";
  return Error{text.empty() ? "the connection broke" : std::move(text)};
}

bool Session::answered_within(int milliseconds) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::milliseconds(milliseconds);
  PGconn* connection = connection_.get();
  while (PQisBusy(connection)) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    const auto interest = static_cast<short>(PQflush(connection) == 1 ? POLLIN | POLLOUT : POLLIN);
    pollfd socket = {PQsocket(connection), interest, 0};
    if (::poll(&socket, 1, static_cast<int>(left)) < 0) continue;
    if (socket.revents != 0 && PQconsumeInput(connection) != 1) return true;
  }
  return true;
}

Result<Rows> Session::take() {
  std::optional<Rows> rows;
  std::optional<Error> error;
  while (true) {
    if (!answered_within(seconds_ * 1000)) {
      connection_.reset();  // its answer may come later: nobody must take it for another's
      return Error{cat("no answer within ", seconds_, " s")};
    }
    PGresult* result = PQgetResult(connection_.get());
    if (!result) break;
    Rows owned(result);
    const ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY) {
      rows.emplace(std::move(owned));
    } else if (!error) {
      const char* message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
      const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
      error = message ? Error{one_line(message), state ? state : ""} : failure();
      if (status == PGRES_COPY_OUT || status == PGRES_COPY_IN || status == PGRES_COPY_BOTH) break;
    }
  }
  if (error) return *error;
  if (!rows) return failure();
  return std::move(*rows);
}

Result<void> Session::send(const std::string& sql) {
  if (!connection_) return Error{"the connection is gone"};
  if (PQsendQuery(connection_.get(), sql.c_str()) != 1) return failure();
  PQflush(connection_.get());
  return {};
}

Result<Rows> Session::query(const std::string& sql) {
  auto sent = send(sql);
  if (!sent) return sent.error();
  return take();
}

Result<void> Session::prepare(const std::string& name, const std::string& sql) {
  if (!connection_) return Error{"the connection is gone"};
  if (PQsendPrepare(connection_.get(), name.c_str(), sql.c_str(), 0, nullptr) != 1) return failure();
  auto rows = take();
  if (!rows) return rows.error();
  return {};
}

Result<Rows> Session::execute(const std::string& name, const std::string& parameter) {
  if (!connection_) return Error{"the connection is gone"};
  const char* values[] = {parameter.c_str()};
  if (PQsendQueryPrepared(connection_.get(), name.c_str(), 1, values, nullptr, nullptr, 0) != 1) return failure();
  return take();
}

Result<void> Session::cancel() {
  std::unique_ptr<PGcancel, FreeCancel> request(PQgetCancel(connection_.get()));
  char complaint[256] = {};
  if (!request || PQcancel(request.get(), complaint, sizeof complaint) != 1)
    return Error{cat("the cancel request failed: ", one_line(complaint))};
  return {};
}

std::string Session::tls_version() const {
  const char* version = PQsslAttribute(connection_.get(), "protocol");
  return version ? version : "";
}

std::string Session::parameter(const char* name) const {
  const char* value = PQparameterStatus(connection_.get(), name);
  return value ? value : "";
}

}  // namespace pgweir::tools::check
