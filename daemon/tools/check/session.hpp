// One libpq connection as a test uses it: through the pool, past it, or to the console. Sends nothing that was not
// asked for (a pooled server would keep it), and no call waits without end. Promises: error texts hold no password.
#pragma once

#include <libpq-fe.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "tools/common/postgres.hpp"

namespace pgweir::tools::check {

using Where = std::map<std::string, std::string>;  // libpq's keywords

// A connection string or URI taken apart. Error: as has_password() words it.
Result<Where> parse_where(const std::string& conninfo);

class Session {
 public:
  // `seconds`: the limit of connecting and of each answer.
  static Result<Session> open(const Where& where, int seconds);

  Result<Rows> query(const std::string& sql);  // simple protocol; the last result of several
  Result<void> prepare(const std::string& name, const std::string& sql);
  Result<Rows> execute(const std::string& name, const std::string& parameter);

  Result<void> send(const std::string& sql);
  bool answered_within(int milliseconds);  // to what was sent; an end of the connection counts
  Result<Rows> take();                     // the answer to what was sent
  Result<void> cancel();                   // asks for the end of what was sent, on a connection of its own

  bool tls() const { return PQsslInUse(connection_.get()) == 1; }
  std::string tls_version() const;
  std::string parameter(const char* name) const;

 private:
  struct Finish {
    void operator()(PGconn* connection) const { PQfinish(connection); }
  };
  Session() = default;
  Error failure() const;

  std::unique_ptr<PGconn, Finish> connection_;
  int seconds_ = 0;
};

}  // namespace pgweir::tools::check
