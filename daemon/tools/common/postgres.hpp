// libpq with owners: a connection, its results, and a time limit on each answer.
// Promises: no call waits for ever (but for the resolver, which has limits of its own); no error text holds a password.
// Does not promise that libpq wipes what it has read.
#pragma once

#include <libpq-fe.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace pgweir::tools {

struct ConnectOptions {
  std::string conninfo;     // key=value pairs or a URI; empty: libpq's environment and defaults
  std::string program;      // application_name, unless conninfo says another
  int connect_timeout = 0;  // seconds, for each address that is tried; at least 2; beats what conninfo says
  int answer_timeout = 0;   // seconds; the server's statement_timeout, and with a grace the limit of the wait for it
};

// libpq's message as one line: it ends them with line feeds, and several hosts make several lines.
std::string one_line(std::string_view text);

// Whether the text can be read as a connection string, and whether a password stands in it. Error: what is wrong,
// without libpq's words where these might repeat a password.
Result<bool> has_password(const std::string& conninfo);

class Rows {
 public:
  explicit Rows(PGresult* result) : result_(result) {}

  int size() const { return PQntuples(result_.get()); }
  int columns() const { return PQnfields(result_.get()); }
  const char* name(int column) const { return PQfname(result_.get(), column); }
  bool null(int row, int column) const { return PQgetisnull(result_.get(), row, column) == 1; }
  // Valid as long as the Rows are; empty for NULL.
  std::string_view text(int row, int column) const {
    return {PQgetvalue(result_.get(), row, column), static_cast<size_t>(PQgetlength(result_.get(), row, column))};
  }
  bool truth(int row, int column) const { return text(row, column) == "t"; }

 private:
  struct Clear {
    void operator()(PGresult* result) const { PQclear(result); }
  };
  std::unique_ptr<PGresult, Clear> result_;
};

class Connection {
 public:
  // Connected, read only, with search_path = pg_catalog, and text as the server stores it: no encoding is converted.
  static Result<Connection> open(const ConnectOptions& options);

  // One statement with parameters $1 ... as text. Error: the server's message and SQLSTATE, or why there is no answer.
  Result<Rows> query(const std::string& sql, const std::vector<std::string>& parameters = {});

  // False: the connection broke, or an answer did not come in time.
  bool alive() const { return alive_ && PQstatus(connection_.get()) == CONNECTION_OK; }

  std::string user() const { return PQuser(connection_.get()); }
  // "server version 15.20, host, port" for people.
  std::string server() const;
  // What the server and libpq have noted meanwhile; the connection owns it.
  const std::vector<std::string>& notices() const { return *notices_; }

 private:
  struct Finish {
    void operator()(PGconn* connection) const { PQfinish(connection); }
  };

  Connection() = default;
  std::optional<Error> wait_for_answer();

  std::unique_ptr<std::vector<std::string>> notices_ = std::make_unique<std::vector<std::string>>();
  std::unique_ptr<PGconn, Finish> connection_;  // dies before what its notices go to
  int answer_timeout_ = 0;
  bool alive_ = true;
};

// A PostgreSQL array of text: {"a","b \"c\""}.
std::string array_text(const std::vector<std::string>& items);

}  // namespace pgweir::tools
