// Phase 2: every way in. Each test logs in, asks one harmless question and goes.
#include "base/text.hpp"
#include "tools/check/context.hpp"
#include "tools/check/tests.hpp"
#include "tools/common/messages.hpp"

namespace pgweir::tools::check {

Outcome check_direct(Context& context) {
  const Where where = context.direct();
  auto session = context.open(where);
  if (!session) return fail(session.error().message);
  auto rows = session->query("SELECT 1");
  if (!rows) return fail(rows.error().message);
  return pass(cat("PostgreSQL ", session->parameter("server_version"), " at ", place(where)));
}

Outcome check_pooled(Context& context) {
  const Where where = context.pool();
  auto session = context.open(where);
  if (!session) return fail(session.error().message);
  auto rows = session->query("SELECT current_database()");
  if (!rows) return fail(rows.error().message);
  return pass(cat("database ", shown_name(rows->text(0, 0)), " through ", place(where)));
}

Outcome check_console(Context& context) {
  auto session = context.open(context.console());
  if (!session) return fail(session.error().message);
  auto rows = session->query("SHOW VERSION");
  if (!rows) return fail(rows.error().message);
  if (rows->size() < 1) return fail("SHOW VERSION has no answer");
  return pass(std::string(rows->text(0, 0)));
}

Outcome check_databases(Context& context) {
  auto console = context.open(context.console());
  if (!console) return fail(console.error().message);
  auto databases = show(*console, "DATABASES");
  if (!databases) return fail(databases.error().message);
  int good = 0;
  int bad = 0;
  std::string first;
  for (auto& row : *databases) {
    const std::string& name = row["name"];
    if (name == "pgweir" || name == "pgbouncer" || name == "*") continue;
    std::string why;
    if (row["disabled"] == "1" || row["paused"] == "1") {
      why = row["disabled"] == "1" ? "it is disabled" : "it is paused";
    } else {
      auto session = context.open(context.pool(), {{"dbname", name}});
      if (!session) {
        why = session.error().message;
      } else if (auto rows = session->query("SELECT 1"); !rows) {
        why = rows.error().message;
      }
    }
    why.empty() ? ++good : ++bad;
    if (!why.empty() && first.empty()) first = cat(shown_name(name), ": ", why);
  }
  if (bad > 0) return fail(cat(bad, " of ", good + bad, " databases cannot be reached; ", first));
  if (good == 0) return warn("no database is configured", "name one in [databases]");
  return pass(cat("all ", good, " configured databases answer"));
}

Outcome check_client_tls(Context& context) {
  const std::string mode = context.setting("client_tls_sslmode");
  const bool on = !mode.empty() && mode != "disable";
  const Tls wanted = context.policy().tls;
  if (!on && wanted == Tls::kRequired) return fail("the policy requires TLS, and client_tls_sslmode is disable");
  if (wanted == Tls::kOff)
    return on ? fail(cat("the policy wants no TLS, and client_tls_sslmode is ", mode),
                     "set client_tls_sslmode = disable")
              : pass("TLS is off, as the policy wants it");
  if (!on) return skip("TLS for clients is off, and the policy does not require it");
  const Where where = context.pool();
  auto host = where.find("host");
  if (host != where.end() && host->second.starts_with('/'))
    return skip("the test connects by a unix socket, where there is no TLS");
  auto session = context.open(where, {{"sslmode", where.contains("sslrootcert") ? "verify-ca" : "require"}});
  if (!session) return fail(session.error().message);
  const std::string version = session->tls_version();
  if (wanted != Tls::kRequired) return pass(cat("by ", version));
  auto plain = context.open(where, {{"sslmode", "disable"}});
  if (plain)
    return fail("the policy requires TLS, and a client without it is let in", "set client_tls_sslmode = require");
  return pass(cat("by ", version, ", and nobody gets in without it"));
}

Outcome check_server_tls(Context& context) {
  const std::string mode = context.setting("server_tls_sslmode");
  if (mode.empty() || mode == "disable" || mode == "allow" || mode == "prefer")
    return skip(cat("server_tls_sslmode = ", mode.empty() ? "unknown" : mode, " does not require it"));
  auto session = context.open(context.pool());
  if (!session) return fail(session.error().message);
  auto rows =
      session->query("SELECT version FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid() AND ssl");
  if (!rows) return fail(rows.error().message);
  if (rows->size() == 0) return fail(cat("server_tls_sslmode is ", mode, ", and PostgreSQL sees a plain connection"));
  return pass(cat("pgweir reaches PostgreSQL by ", std::string(rows->text(0, 0))));
}

}  // namespace pgweir::tools::check
