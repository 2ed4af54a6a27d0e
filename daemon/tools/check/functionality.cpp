// Phase 4: that a pooled connection behaves as its pool mode promises. Reads only; what clients may feel is marked in
// the table. A test that needs a second server of the pool says so when there is none.
#include <algorithm>

#include "base/text.hpp"
#include "tools/check/context.hpp"
#include "tools/check/tests.hpp"
#include "tools/common/messages.hpp"

namespace pgweir::tools::check {

namespace {

constexpr int kStatements = 20;
constexpr int kBigLength = 4000000;
constexpr int kHeldMillis = 300;  // that a paused query has no answer for

Outcome broke(const Error& error) {
  return fail(error.message);
}

// The client whose application_name is `name`, as the console sees it.
Result<std::map<std::string, std::string>> find_client(Session& console, const std::string& name) {
  auto rows = show(console, "CLIENTS");
  if (!rows) return rows.error();
  for (auto& row : *rows)
    if (row["application_name"] == name) return row;
  return Error{"SHOW CLIENTS does not show the test's own client"};
}

std::string quoted(const std::string& name) {
  std::string out = "\"";
  for (char c : name)
    out += c == '"' ? "\"\"" : std::string(1, c);
  return out + "\"";
}

}  // namespace

// A client that has ended a transaction holds a server in session mode only; within one it does in both.
Outcome check_pool_mode(Context& context) {
  const std::string mode = context.pool_mode();
  const std::string mark = cat("pgweir-check-", random_word());
  auto console = context.open(context.console());
  if (!console) return broke(console.error());
  auto client = context.open(context.pool(), {{"application_name", mark}});
  if (!client) return broke(client.error());
  if (mode == "statement") {
    auto begun = client->query("BEGIN");  // the server takes it; pgweir closes the client then
    if (begun) begun = client->query("SELECT 1");
    return begun ? fail("pool_mode is statement, and a transaction could be begun")
                 : pass("statement: BEGIN is refused");
  }
  for (const char* sql : {"BEGIN", "SELECT 1"})
    if (auto rows = client->query(sql); !rows) return broke(rows.error());
  auto within = find_client(*console, mark);
  if (!within) return broke(within.error());
  if (auto rows = client->query("COMMIT"); !rows) return broke(rows.error());
  auto after = find_client(*console, mark);
  if (!after) return broke(after.error());
  if ((*within)["link"].empty()) return fail("a client within a transaction has no server");
  const bool holds = !(*after)["link"].empty();
  if (holds != (mode == "session"))
    return fail(
        cat("pool_mode is ", mode, ", and a client ", holds ? "keeps" : "loses", " its server behind a transaction"));
  return pass(cat(mode, ": a client ", holds ? "keeps" : "gives back", " its server behind a transaction"));
}

// A statement that is prepared once is executed on whatever server comes: another client takes away the one it was
// prepared on.
Outcome check_prepared(Context& context) {
  auto client = context.open(context.pool());
  if (!client) return broke(client.error());
  auto prepared = client->prepare("pgweir_check", "SELECT $1::int + 1, pg_catalog.pg_backend_pid()");
  if (!prepared) return broke(prepared.error());
  auto first = client->execute("pgweir_check", "41");
  if (!first) return broke(first.error());
  if (first->text(0, 0) != "42") return fail("a prepared statement gave a wrong answer");
  if (context.pool_mode() != "transaction") return pass("prepared and executed on one server");
  auto holder = context.open(context.pool());
  if (!holder) return broke(holder.error());
  for (const char* sql : {"BEGIN", "SELECT 1"})
    if (auto rows = holder->query(sql); !rows) return broke(rows.error());
  auto second = client->execute("pgweir_check", "41");
  if (!second) return fail(cat("prepared on one server, on another: ", second.error().message));
  if (second->text(0, 0) != "42") return fail("a prepared statement gave a wrong answer on another server");
  return pass(first->text(0, 1) == second->text(0, 1) ? "prepared once, executed twice (the pool gave the same server)"
                                                      : "prepared on one server, executed on another");
}

Outcome check_cancel(Context& context) {
  auto client = context.open(context.pool());
  if (!client) return broke(client.error());
  if (auto sent = client->send(cat("SELECT pg_catalog.pg_sleep(", context.options().timeout * 10, ")")); !sent)
    return broke(sent.error());
  if (client->answered_within(200)) {
    auto early = client->take();
    return early ? fail("a query that sleeps was answered at once") : broke(early.error());
  }
  if (auto cancelled = client->cancel(); !cancelled) return broke(cancelled.error());
  auto rows = client->take();
  if (rows) return fail("a cancelled query was answered");
  if (rows.error().sqlstate != "57014") return fail(cat("a cancelled query ended otherwise: ", rows.error().message));
  auto next = client->query("SELECT 1");
  if (!next) return fail(cat("behind a cancelled query: ", next.error().message));
  return pass("a sleeping query ended by its cancel request, and the client went on");
}

// Two clients in turn: each transaction stays on one server and sees one moment; an error ends it as a whole.
Outcome check_transactions(Context& context) {
  if (context.pool_mode() == "statement") return skip("pool_mode is statement: there are no transactions");
  auto one = context.open(context.pool());
  auto two = context.open(context.pool());
  if (!one) return broke(one.error());
  if (!two) return broke(two.error());
  if (auto rows = one->query("BEGIN"); !rows) return broke(rows.error());
  std::string mark;
  for (int turn = 0; turn < kStatements; ++turn) {
    auto rows = one->query("SELECT pg_catalog.pg_backend_pid() || ' ' || pg_catalog.now()");
    if (!rows) return broke(rows.error());
    if (mark.empty()) mark = rows->text(0, 0);
    if (mark != rows->text(0, 0)) return fail("statements of one transaction ran in two");
    if (context.setting("default_pool_size") == "1") continue;  // the other would wait for this one
    auto other = two->query("SELECT pg_catalog.pg_backend_pid() || ' ' || pg_catalog.now()");
    if (!other) return broke(other.error());
    if (mark == other->text(0, 0)) return fail("another client's statement ran within the transaction");
  }
  if (auto rows = one->query("SELECT 1/0"); rows) return fail("a division by zero was answered");
  auto behind = one->query("SELECT 1");
  if (behind || behind.error().sqlstate != "25P02") return fail("a failed transaction took another statement");
  if (auto rows = one->query("ROLLBACK"); !rows) return broke(rows.error());
  if (auto rows = one->query("SELECT 1"); !rows) return broke(rows.error());
  return pass(cat(kStatements, " statements stayed in one transaction, and an error ended it"));
}

Outcome check_big_answer(Context& context) {
  auto client = context.open(context.pool());
  if (!client) return broke(client.error());
  auto rows = client->query(
      cat("SELECT pg_catalog.repeat('0123456789', ", kBigLength / 10, "), n FROM pg_catalog.generate_series(1, 3) n"));
  if (!rows) return broke(rows.error());
  if (rows->size() != 3) return fail(cat(rows->size(), " rows came of 3"));
  for (int row = 0; row < 3; ++row) {
    const std::string_view text = rows->text(row, 0);
    bool whole = text.size() == kBigLength && rows->text(row, 1) == cat(row + 1);
    for (size_t at = 0; whole && at < text.size(); ++at)
      whole = text[at] == static_cast<char>('0' + at % 10);
    if (!whole) return fail("a large answer was damaged on its way");
  }
  return pass("12 MB in three rows came whole");
}

Outcome check_pause(Context& context) {
  auto console = context.open(context.console());
  if (!console) return broke(console.error());
  const std::string name = quoted(context.pool().at("dbname"));
  auto client = context.open(context.pool());
  if (!client) return broke(client.error());
  if (auto rows = client->query("SELECT 1"); !rows) return broke(rows.error());
  auto paused = console->query(cat("PAUSE ", name));
  if (!paused) {
    // It may hold all the same from when the last transaction ends.
    if (auto again = context.open(context.console()); again) {
      auto undone = again->query(cat("RESUME ", name));
      (void)undone;
    }
    return fail(cat("PAUSE: ", paused.error().message),
                "a long transaction or session mode keeps PAUSE waiting; was RESUMEd");
  }
  auto sent = client->send("SELECT 2");
  const bool held = sent && !client->answered_within(kHeldMillis);
  auto resumed = console->query(cat("RESUME ", name));
  if (!resumed) return fail(cat("RESUME: ", resumed.error().message), cat("run at the console: RESUME ", name));
  if (!sent) return broke(sent.error());
  auto rows = client->take();
  if (!rows) return broke(rows.error());
  return held ? pass("a query waited for RESUME and was answered then")
              : fail("a query was answered while its database was paused");
}

Outcome check_reload(Context& context) {
  auto console = context.open(context.console());
  if (!console) return broke(console.error());
  auto client = context.open(context.pool());
  if (!client) return broke(client.error());
  if (auto rows = client->query("SELECT 1"); !rows) return broke(rows.error());
  if (auto rows = console->query("RELOAD"); !rows) return fail(cat("RELOAD: ", rows.error().message));
  if (auto rows = client->query("SELECT 1"); !rows) return fail(cat("behind a RELOAD: ", rows.error().message));
  return pass("RELOAD was taken, and a connected client went on");
}

}  // namespace pgweir::tools::check
