// What the tests of admin/ share: a hub with an office that does the Director's part in place, and operations that only
// note what they were asked.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "admin/commands.hpp"
#include "admin/console.hpp"
#include "unit/support/hub.hpp"

namespace pgweir::admin {

using test::snapshot_of;

class NotingOperations final : public Operations {
 public:
  Result<void> reload() override { return note("reload"), answer; }
  Result<void> set(const std::string& key, const std::string& value, std::string* notice) override {
    note(cat("set ", key, "=", value));
    *notice = set_notice;
    return answer;
  }
  void pause(DatabasePtr database, Done done) override { wait(cat("pause ", name(database)), std::move(done)); }
  void suspend(Done done) override { wait("suspend", std::move(done)); }
  void resume(DatabasePtr database) override { note(cat("resume ", name(database))); }
  void kill(DatabasePtr database, Done done) override { wait(cat("kill ", name(database)), std::move(done)); }
  void kill_client(uint32_t id, Done done) override { wait(cat("kill_client ", id), std::move(done)); }
  void reconnect(DatabasePtr database) override { note(cat("reconnect ", name(database))); }
  void wait_close(DatabasePtr database, Done done) override {
    wait(cat("wait_close ", name(database)), std::move(done));
  }
  void disable(DatabasePtr database, bool disabled) override {
    note(cat(disabled ? "disable " : "enable ", name(database)));
  }
  void shutdown(Shutdown kind) override { note(cat("shutdown ", static_cast<int>(kind))); }

  Result<void> answer;
  std::string set_notice;
  bool at_once = true;
  std::vector<std::string> asked;
  std::vector<Done> waiting;

 private:
  static std::string name(const DatabasePtr& database) { return database ? database->name : "*"; }
  void note(std::string what) { asked.push_back(std::move(what)); }
  void wait(std::string what, Done done) {
    note(std::move(what));
    if (at_once) return done(answer);
    waiting.push_back(std::move(done));
  }
};

class ConsoleHub final : public test::TestHub, public Office {
 public:
  explicit ConsoleHub(pool::SnapshotPtr snapshot) : TestHub(std::move(snapshot)) {}
  ~ConsoleHub() override { close_all(); }

  // One command as the console would hand it in; the outcome may be incomplete.
  std::shared_ptr<Job> run(const std::string& text, char rights = 'a') {
    auto job = std::make_shared<Job>();
    Result<Command> command = parse_command(text);
    EXPECT_TRUE(command.ok()) << text;
    job->command = command.take();
    job->rights = rights;
    submit(job);
    return job;
  }
  Rows show(const std::string& topic) {
    auto job = run("SHOW " + topic);
    EXPECT_TRUE(job->finished && job->outcome.ok) << job->outcome.text;
    const Columns* columns = columns_of(topic);
    EXPECT_EQ(columns, job->outcome.columns);
    for (const RowCells& row : job->outcome.rows)
      EXPECT_EQ(columns->size(), row.size()) << topic;
    return job->outcome.rows;
  }
  // The cell of the named column in the row whose first column is `key`.
  Cell cell(const std::string& topic, const std::string& key, std::string_view column) {
    const Columns& columns = *columns_of(topic);
    for (const RowCells& row : show(topic)) {
      if (row.at(0) != key) continue;
      for (size_t at = 0; at < columns.size(); ++at) {
        if (columns[at].name == column) return row.at(at);
      }
    }
    ADD_FAILURE() << topic << " " << key << " " << column;
    return {};
  }

  session::Client& add_console(int fd, char rights) {
    session::Client& client = add_client(fd);
    client.console_rights = rights;
    client.user = books.user("boss");
    client.database = std::make_shared<pool::SharedDatabase>("pgweir", nullptr, false);
    EXPECT_TRUE(pool::set_state(client, pool::ClientState::kConsole));
    return client;
  }
  void start_console(session::Client& client) {
    client.flow = std::make_unique<net::Spawned>();
    client.flow->start(loop, console(*this, client, *this), [this, &client] {
      failed = failed || client.flow->failed();
      client.flow.reset();
    });
  }

  Context context() {
    return Context{.books = books,
                   .snapshot = books.snapshot(),
                   .resolver = resolver,
                   .averages = averages,
                   .operations = operations,
                   .version = "PgBouncer 1.25.2 (pgweir test)",
                   .log = log,
                   .listeners = [] {
                     return Rows{{"7", "127.0.0.1", "6432"}};
                   }};
  }

  // -- Office: the Director's part, in place --
  void submit(std::shared_ptr<Job> job) override {
    ++submitted;
    if (plan(*job) == Where::kWorkers) {
      job->parts.resize(1);
      collect_part(*this, *job, job->parts[0]);
    }
    finish(job, context(), [job] {
      job->finished = true;
      job->done.open();
    });
  }
  void cancel_console() override {}

  // -- session::Hub --
  void draw_cancel_key(session::Client& client, size_t secret_size) override {
    client.cancel_key.pid = 77;
    client.cancel_key.reserve(secret_size);
  }

  NotingOperations operations;
  Averages averages;
  int submitted = 0;
  bool failed = false;
};

}  // namespace pgweir::admin
