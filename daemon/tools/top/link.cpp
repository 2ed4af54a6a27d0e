#include "tools/top/link.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/text.hpp"
#include "tools/common/postgres.hpp"

namespace pgweir::tools::top {

namespace {

constexpr const char* kSocketDirectory = "/run/pgweir";

struct FreeOptions {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};
struct Clear {
  void operator()(PGresult* result) const { PQclear(result); }
};

std::string environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread
  return value ? value : "";
}

bool in_environment(const char* name) {
  return !environment(name).empty();
}

void be_quiet(void* /*unused*/, const char* /*message*/) {}

Table read_table(const PGresult* result) {
  Table out;
  const int columns = PQnfields(result);
  for (int column = 0; column < columns; ++column)
    out.columns.emplace_back(PQfname(result, column));
  for (int row = 0; row < PQntuples(result); ++row) {
    std::vector<std::string> cells;
    cells.reserve(static_cast<size_t>(columns));
    for (int column = 0; column < columns; ++column)
      cells.emplace_back(PQgetvalue(result, row, column), static_cast<size_t>(PQgetlength(result, row, column)));
    out.rows.push_back(std::move(cells));
  }
  return out;
}

const std::string* find(const Target& target, std::string_view key) {
  const auto found = std::find_if(target.parameters.begin(), target.parameters.end(),
                                  [&](const auto& one) { return one.first == key; });
  return found == target.parameters.end() ? nullptr : &found->second;
}

void add_default(Target& target, const char* key, const char* variable, const std::string& value) {
  if (!find(target, key) && !in_environment(variable)) target.parameters.emplace_back(key, value);
}

}  // namespace

Result<Target> find_target(const std::string& conninfo) {
  auto readable = has_password(conninfo);
  if (!readable) return readable.error();
  Target out;
  std::unique_ptr<PQconninfoOption, FreeOptions> options(PQconninfoParse(conninfo.c_str(), nullptr));
  for (const PQconninfoOption* one = options.get(); one && one->keyword; ++one)
    if (one->val) out.parameters.emplace_back(one->keyword, one->val);
  if (!find(out, "service") && !in_environment("PGSERVICE")) {
    add_default(out, "port", "PGPORT", "6432");
    add_default(out, "dbname", "PGDATABASE", "pgweir");
    if (!find(out, "hostaddr") && ::access(kSocketDirectory, X_OK) == 0)
      add_default(out, "host", "PGHOST", kSocketDirectory);
  }
  auto said = [&](const char* key, const char* variable) {
    const std::string* value = find(out, key);
    return value ? *value : in_environment(variable) ? environment(variable) : std::string();
  };
  const std::string address = said("hostaddr", "PGHOSTADDR");
  const std::string host = address.empty() ? said("host", "PGHOST") : address;
  out.local = is_local(host) && !find(out, "service");
  out.where = cat(host.empty() ? "local socket" : host, ":", said("port", "PGPORT"));
  return out;
}

bool is_local(std::string_view host) {
  return host.empty() || host.front() == '/' || host.front() == '@' || host == "localhost" || host == "::1" ||
         host.starts_with("127.");
}

void Link::connect(Clock::time_point deadline) {
  deadline_ = deadline;
  failure_.clear();
  std::vector<const char*> keys = {"fallback_application_name"};
  std::vector<const char*> values = {"pgweir-top"};
  for (const auto& [key, value] : target_.parameters) {
    keys.push_back(key.c_str());
    values.push_back(value.c_str());
  }
  keys.push_back(nullptr);
  values.push_back(nullptr);
  connection_.reset(PQconnectStartParams(keys.data(), values.data(), 0));
  if (!connection_) return fail("no memory for a connection");
  if (PQstatus(connection_.get()) == CONNECTION_BAD) return fail(one_line(PQerrorMessage(connection_.get())));
  if (target_.probe) PQsetErrorVerbosity(connection_.get(), PQERRORS_VERBOSE);
  PQsetNoticeProcessor(connection_.get(), be_quiet, nullptr);
  state_ = State::kConnecting;
  events_ = POLLOUT;
}

void Link::ask(const std::string& command, Clock::time_point deadline) {
  deadline_ = deadline;
  answer_ = Table();
  if (PQsetnonblocking(connection_.get(), 1) != 0 || PQsendQuery(connection_.get(), command.c_str()) != 1)
    return fail(one_line(PQerrorMessage(connection_.get())));
  state_ = State::kAsking;
  events_ = POLLIN;
  if (PQflush(connection_.get()) == 1) events_ |= POLLOUT;
}

void Link::close() {
  connection_.reset();
  state_ = State::kClosed;
}

void Link::fail(std::string why) {
  needs_password_ = connection_ && PQconnectionNeedsPassword(connection_.get()) == 1;
  connection_.reset();
  state_ = State::kFailed;
  failure_ = why.empty() ? "the connection broke" : std::move(why);
}

pollfd Link::wanted() const {
  const bool waits = state_ == State::kConnecting || state_ == State::kAsking;
  return {waits ? PQsocket(connection_.get()) : -1, events_, 0};
}

void Link::step() {
  if (state_ == State::kConnecting) step_connect();
  if (state_ == State::kAsking) step_ask();
  if ((state_ == State::kConnecting || state_ == State::kAsking) && Clock::now() >= deadline_)
    fail(state_ == State::kConnecting ? "no answer to the attempt to connect" : "no answer in time");
}

void Link::step_connect() {
  pollfd ready = wanted();
  if (::poll(&ready, 1, 0) <= 0) return;  // PQconnectPoll must not be called before
  switch (PQconnectPoll(connection_.get())) {
    case PGRES_POLLING_READING: events_ = POLLIN; break;
    case PGRES_POLLING_WRITING: events_ = POLLOUT; break;
    case PGRES_POLLING_OK: state_ = State::kReady; break;
    default: fail(one_line(PQerrorMessage(connection_.get())));
  }
}

void Link::step_ask() {
  PGconn* connection = connection_.get();
  if (PQconsumeInput(connection) != 1) return fail(one_line(PQerrorMessage(connection)));
  events_ = PQflush(connection) == 1 ? POLLIN | POLLOUT : POLLIN;
  while (!PQisBusy(connection)) {
    std::unique_ptr<PGresult, Clear> result(PQgetResult(connection));
    if (!result) {
      if (PQstatus(connection) != CONNECTION_OK) return fail(one_line(PQerrorMessage(connection)));
      state_ = State::kReady;
      return;
    }
    const ExecStatusType status = PQresultStatus(result.get());
    if (status == PGRES_TUPLES_OK) {
      answer_ = read_table(result.get());
    } else if (status != PGRES_COMMAND_OK) {
      const char* message = PQresultErrorField(result.get(), PG_DIAG_MESSAGE_PRIMARY);
      answer_ = Error{one_line(message ? message : PQerrorMessage(connection))};
    }
  }
}

}  // namespace pgweir::tools::top
