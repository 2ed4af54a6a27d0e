#include "admin/actions.hpp"

#include <charconv>

#include "base/text.hpp"

namespace pgweir::admin {

namespace {

Error error(std::string text) {
  return Error{std::move(text), kConsoleError};
}

void refuse(const Call& call, std::string text) {
  fail(*call.job, error(std::move(text)));
  call.done();
}

void accept(const Call& call) {
  succeed(*call.job, call.job->command.word);
  call.done();
}

// What an operation calls when it has ended, now or later: `call` and its context may be gone by then.
Done when_done(const Call& call) {
  return [job = call.job, done = call.done](const Result<void>& result) {
    if (result.ok()) {
      succeed(*job, job->command.word);
    } else {
      fail(*job, result.error());
    }
    done();
  };
}

void log_issued(const Call& call, const std::string& what) {
  call.context.log.write(Level::kLog, Event::kConsoleCommand, cat(what, " command issued"),
                         {{"CLIENT_ID", std::to_string(call.job->client_id)}});
}

void log_issued(const Call& call) {
  const Command& command = call.job->command;
  log_issued(call, command.argument.empty() ? command.word : cat(command.word, " '", command.argument, "'"));
}

bool is_console_name(const std::string& name) {
  return name == kConsoleDatabase || name == "pgweir";
}

// The entry that the command names; made from "*" where there is such a template, as a client's login would do.
// `verb`: as in "cannot pause admin db: X".
Result<DatabasePtr> entry_of(const Call& call, std::string_view verb) {
  const std::string& name = call.job->command.argument;
  if (is_console_name(name)) return error(cat("cannot ", verb, " admin db: ", name));
  DatabasePtr entry = call.context.books.database(name);
  if (!entry) return error(cat("no such database: ", name));
  return entry;
}

// The same; a null entry (all databases) for no argument.
Result<DatabasePtr> entry_or_all(const Call& call, std::string_view verb) {
  if (call.job->command.argument.empty()) return DatabasePtr();
  return entry_of(call, verb);
}

bool refused(const Call& call, const Result<DatabasePtr>& entry) {
  if (entry.ok()) return false;
  refuse(call, entry.error().message);
  return true;
}

// Neither could be lifted any more: RESUME is refused then.
bool too_late_to_pause(const Call& call) {
  const pool::Books& books = call.context.books;
  const bool paused = books.paused();
  if (!paused && books.stopping() == pool::Stopping::kNo) return false;
  refuse(call, paused ? "already suspended/paused" : "pooler is shutting down");
  return true;
}

struct ShutdownRow {
  std::string_view word;
  Shutdown kind;
};
constexpr ShutdownRow kShutdownRows[] = {{"", Shutdown::kImmediate},
                                         {"WAIT_FOR_SERVERS", Shutdown::kWaitForServers},
                                         {"WAIT_FOR_CLIENTS", Shutdown::kWaitForClients}};

// As the log has it: the kind is no name, and has no quotes.
std::string shutdown_name(Shutdown kind) {
  for (const ShutdownRow& row : kShutdownRows) {
    if (row.kind == kind && !row.word.empty()) return cat("SHUTDOWN ", row.word);
  }
  return "SHUTDOWN";
}

void set_disabled(const Call& call, std::string_view verb, bool disabled) {
  if (call.job->command.argument.empty()) return refuse(call, "a database is required");
  Result<DatabasePtr> entry = entry_of(call, verb);
  if (refused(call, entry)) return;
  log_issued(call);
  call.context.operations.disable(*entry, disabled);
  accept(call);
}

// For exporters that know PgBouncer's columns of old only.
void add_old_columns(const TopicRow& topic, Outcome& outcome) {
  const Columns* columns = columns_with_old(topic.topic);
  if (!columns) return;
  outcome.columns = columns;
  for (const OldColumn& old : old_columns()) {
    if (old.topic != topic.topic) continue;
    const size_t place = place_of(*columns, old.now);
    for (RowCells& row : outcome.rows)
      row.push_back(place < row.size() ? row[place] : Cell());
  }
}

}  // namespace

void do_show(const Call& call) {
  Job& job = *call.job;
  Outcome& outcome = job.outcome;
  outcome.columns = columns_for(job.command);
  const TopicRow* topic = find_topic(job.command.argument);
  if (!topic) {
    const FakeParameter* fake = find_fake(job.command.argument);
    if (!fake) return refuse(call, invalid_command(job.command.text).message);
    outcome.rows.push_back({std::string(fake->value)});
  } else if (topic->topic == "HELP") {
    outcome.notices.emplace_back("Console usage");
    outcome.detail = help_text();
  } else {
    Rows rows = topic->collect ? merge(job.parts, topic->merge) : Rows();
    outcome.rows = topic->present ? topic->present(std::move(rows), call.context) : std::move(rows);
    const settings::Global& global = call.context.snapshot->global;
    if (global.console_old_columns) add_old_columns(*topic, outcome);
    const Columns* more = global.console_extra_columns ? columns_with_extra(topic->topic) : nullptr;
    if (more) outcome.columns = more;  // of rows that have them
  }
  accept(call);
}

void do_set(const Call& call) {
  Job& job = *call.job;
  const std::string& key = job.command.argument;
  if (find_fake(key)) {
    job.outcome.notices.emplace_back("SET ignored");
    return accept(call);
  }
  log_issued(call);
  std::string notice;
  Result<void> result = call.context.operations.set(key, job.command.value, &notice);
  if (!notice.empty()) job.outcome.notices.push_back(notice);
  if (!result.ok()) {
    job.outcome.notices.push_back(result.error().message);
    return refuse(call, "SET failed");
  }
  succeed(job, cat("SET ", key, "=", job.command.value));
  call.done();
}

void do_reload(const Call& call) {
  log_issued(call);
  Result<void> result = call.context.operations.reload();
  if (result.ok()) return accept(call);
  call.job->outcome.notices.push_back(result.error().message);
  fail(*call.job, Error{"RELOAD failed, see logs for additional details", "F0000"});
  call.done();
}

void do_pause(const Call& call) {
  if (too_late_to_pause(call)) return;
  Result<DatabasePtr> entry = entry_or_all(call, "pause");
  if (refused(call, entry)) return;
  log_issued(call);
  call.context.operations.pause(*entry, when_done(call));
}

void do_resume(const Call& call) {
  const std::string& name = call.job->command.argument;
  const pool::Books& books = call.context.books;
  if (books.stopping() != pool::Stopping::kNo) return refuse(call, "pooler is shutting down");
  DatabasePtr entry;
  if (name.empty()) {
    if (!books.paused()) return refuse(call, "pooler is not paused/suspended");
  } else {
    entry = books.known_database(name);
    if (!entry && !is_console_name(name)) return refuse(call, cat("no such database: ", name));
    if (!entry || !entry->paused) return refuse(call, cat("database ", name, " is not paused"));
  }
  log_issued(call);
  call.context.operations.resume(entry);
  accept(call);
}

void do_suspend(const Call& call) {
  if (too_late_to_pause(call)) return;
  for (const auto& entry : call.context.books.databases()) {
    if (entry->paused) return refuse(call, "cannot suspend with paused databases");
  }
  log_issued(call);
  call.context.operations.suspend(when_done(call));
}

void do_kill(const Call& call) {
  if (call.context.books.paused()) return refuse(call, "already suspended/paused");
  Result<DatabasePtr> entry = entry_or_all(call, "kill");
  if (refused(call, entry)) return;
  log_issued(call);
  call.context.operations.kill(*entry, when_done(call));
}

void do_kill_client(const Call& call) {
  const std::string& id = call.job->command.argument;
  uint64_t number = 0;
  auto [end, problem] = std::from_chars(id.data(), id.data() + id.size(), number);
  if (end == id.data()) return refuse(call, "invalid client pointer supplied");
  log_issued(call);
  if (problem != std::errc() || number > UINT32_MAX) return refuse(call, "client not found");
  call.context.operations.kill_client(static_cast<uint32_t>(number), when_done(call));
}

void do_reconnect(const Call& call) {
  Result<DatabasePtr> entry = entry_or_all(call, "reconnect");
  if (refused(call, entry)) return;
  log_issued(call);
  call.context.operations.reconnect(*entry);
  accept(call);
}

void do_wait_close(const Call& call) {
  Result<DatabasePtr> entry = entry_or_all(call, "wait in");
  if (refused(call, entry)) return;
  log_issued(call);
  call.context.operations.wait_close(*entry, when_done(call));
}

void do_disable(const Call& call) {
  set_disabled(call, "disable", true);
}

void do_enable(const Call& call) {
  set_disabled(call, "enable", false);
}

void do_shutdown(const Call& call) {
  Shutdown kind = Shutdown::kImmediate;
  if (!shutdown_kind(call.job->command.argument, kind))
    return refuse(call, invalid_command(call.job->command.text).message);
  log_issued(call, shutdown_name(kind));
  call.job->outcome.silent = kind == Shutdown::kImmediate;
  call.context.operations.shutdown(kind);
  accept(call);
}

bool shutdown_kind(std::string_view argument, Shutdown& kind) {
  for (const ShutdownRow& row : kShutdownRows) {
    if (!equal_ignoring_case(row.word, argument)) continue;
    kind = row.kind;
    return true;
  }
  return false;
}

}  // namespace pgweir::admin
