// What the commands check, ask for and answer (compat/console.md, section 4).
#include "support.hpp"

namespace pgweir::admin {

namespace {

class Actions : public testing::Test {
 protected:
  // "TAG", or the error's text.
  std::string answer(const std::string& text) {
    hub->operations.asked.clear();
    last = hub->run(text);
    if (!last->finished) return "(waits)";
    return last->outcome.ok ? last->outcome.tag : last->outcome.text;
  }
  std::string asked() const { return hub->operations.asked.empty() ? "" : hub->operations.asked.front(); }

  std::unique_ptr<ConsoleHub> hub = std::make_unique<ConsoleHub>(snapshot_of("db = host=127.0.0.1\nother ="));
  std::shared_ptr<Job> last;
};

}  // namespace

TEST_F(Actions, DoWhatTheyAreNamedFor) {
  struct Row {
    const char* text;
    const char* tag;
    const char* asked;
  };
  for (const Row& row :
       {Row{"RELOAD", "RELOAD", "reload"}, Row{"PAUSE", "PAUSE", "pause *"}, Row{"pause db", "PAUSE", "pause db"},
        Row{"PAUSE \"\"", "PAUSE", "pause *"}, Row{"SUSPEND", "SUSPEND", "suspend"}, Row{"KILL", "KILL", "kill *"},
        Row{"KILL db", "KILL", "kill db"}, Row{"KILL_CLIENT 12abc", "KILL_CLIENT", "kill_client 12"},
        Row{"RECONNECT", "RECONNECT", "reconnect *"}, Row{"RECONNECT db", "RECONNECT", "reconnect db"},
        Row{"WAIT_CLOSE", "WAIT_CLOSE", "wait_close *"}, Row{"WAIT_CLOSE db", "WAIT_CLOSE", "wait_close db"},
        Row{"DISABLE db", "DISABLE", "disable db"}, Row{"ENABLE db", "ENABLE", "enable db"},
        Row{"SHUTDOWN", "SHUTDOWN", "shutdown 0"}, Row{"SHUTDOWN wait_for_servers", "SHUTDOWN", "shutdown 1"},
        Row{"SHUTDOWN WAIT_FOR_CLIENTS;", "SHUTDOWN", "shutdown 2"},
        Row{"SET a_b TO 'it''s'", "SET a_b=it's", "set a_b=it's"}}) {
    EXPECT_EQ(row.tag, answer(row.text)) << row.text;
    EXPECT_EQ(row.asked, asked()) << row.text;
  }
  EXPECT_TRUE(hub->logged("PAUSE command issued"));
  EXPECT_TRUE(hub->logged("PAUSE 'db' command issued"));
  EXPECT_FALSE(hub->logged("it's")) << "values may be secrets";
}

TEST_F(Actions, OnlyAnImmediateShutdownIsSilent) {
  answer("SHUTDOWN");
  EXPECT_TRUE(last->outcome.silent);
  answer("SHUTDOWN WAIT_FOR_CLIENTS");
  EXPECT_FALSE(last->outcome.silent);
}

TEST_F(Actions, NamesOfDatabases) {
  for (const char* verb : {"PAUSE", "KILL", "RECONNECT", "WAIT_CLOSE", "DISABLE", "ENABLE", "RESUME"}) {
    EXPECT_EQ("no such database: nowhere", answer(cat(verb, " nowhere")));
    EXPECT_EQ("no such database: DB", answer(cat(verb, " DB"))) << "names keep their case";
    EXPECT_EQ("", asked());
    EXPECT_EQ("08P01", last->outcome.sqlstate);
  }
  for (const char* name : {"pgbouncer", "pgweir"}) {
    EXPECT_EQ(cat("cannot pause admin db: ", name), answer(cat("PAUSE ", name)));
    EXPECT_EQ(cat("cannot kill admin db: ", name), answer(cat("KILL ", name)));
    EXPECT_EQ(cat("cannot reconnect admin db: ", name), answer(cat("RECONNECT ", name)));
    EXPECT_EQ(cat("cannot wait in admin db: ", name), answer(cat("WAIT_CLOSE ", name)));
    EXPECT_EQ(cat("cannot disable admin db: ", name), answer(cat("DISABLE ", name)));
    EXPECT_EQ(cat("cannot enable admin db: ", name), answer(cat("ENABLE ", name)));
    EXPECT_EQ(cat("database ", name, " is not paused"), answer(cat("RESUME ", name)));
  }
  EXPECT_EQ("a database is required", answer("DISABLE"));
  EXPECT_EQ("a database is required", answer("ENABLE"));
  EXPECT_FALSE(hub->logged("command issued")) << "only what is accepted is logged";
}

TEST_F(Actions, AutomaticDatabases) {
  hub = std::make_unique<ConsoleHub>(snapshot_of("* = host=127.0.0.1"));
  EXPECT_EQ("PAUSE", answer("PAUSE anything"));
  EXPECT_EQ("pause anything", asked());
  EXPECT_TRUE(hub->books.known_database("anything"));
}

TEST_F(Actions, WhilePaused) {
  for (pool::Mode mode : {pool::Mode::kPaused, pool::Mode::kSuspended}) {
    hub->books.set_mode(mode);
    for (const char* text : {"PAUSE", "PAUSE db", "SUSPEND", "KILL", "KILL db"})
      EXPECT_EQ("already suspended/paused", answer(text)) << text;
    EXPECT_EQ("RESUME", answer("RESUME"));
    EXPECT_EQ("resume *", asked());
  }
  hub->books.set_mode(pool::Mode::kRunning);
  EXPECT_EQ("pooler is not paused/suspended", answer("RESUME"));
  EXPECT_EQ("database db is not paused", answer("RESUME db"));
  hub->books.known_database("db")->paused = true;
  EXPECT_EQ("cannot suspend with paused databases", answer("SUSPEND"));
  EXPECT_EQ("RESUME", answer("RESUME db"));
  EXPECT_EQ("resume db", asked());
}

TEST_F(Actions, WhileStopping) {
  hub->books.set_mode(pool::Mode::kPaused);
  hub->books.set_stopping(pool::Stopping::kWaitForServers);
  EXPECT_EQ("pooler is shutting down", answer("RESUME"));
  EXPECT_EQ("pooler is shutting down", answer("RESUME db"));
  EXPECT_EQ("SHUTDOWN", answer("SHUTDOWN WAIT_FOR_CLIENTS")) << "a later SHUTDOWN replaces the mode";
  EXPECT_EQ("already suspended/paused", answer("PAUSE"));
  hub->books.set_mode(pool::Mode::kRunning);
  for (const char* text : {"PAUSE", "PAUSE db", "SUSPEND"})
    EXPECT_EQ("pooler is shutting down", answer(text)) << text << ": no RESUME could lift it";
}

TEST_F(Actions, KillClient) {
  for (const char* text : {"KILL_CLIENT", "KILL_CLIENT abc", "KILL_CLIENT \"-1\"", "KILL_CLIENT \" 1\""})
    EXPECT_EQ("invalid client pointer supplied", answer(text)) << text;
  EXPECT_EQ("client not found", answer("KILL_CLIENT 4294967296"));
  EXPECT_EQ("client not found", answer("KILL_CLIENT 99999999999999999999999999"));
  EXPECT_EQ("", asked());
  hub->operations.answer = Error{"client not found"};
  EXPECT_EQ("client not found", answer("KILL_CLIENT 4294967295"));
  EXPECT_EQ("kill_client 4294967295", asked());
  EXPECT_EQ("08P01", last->outcome.sqlstate);
}

TEST_F(Actions, AnswersWhenTheOperationHasEnded) {
  hub->operations.at_once = false;
  for (const char* text : {"PAUSE", "SUSPEND", "KILL", "WAIT_CLOSE", "KILL_CLIENT 1"}) {
    EXPECT_EQ("(waits)", answer(text));
    hub->operations.waiting.back()({});
    EXPECT_TRUE(last->finished && last->outcome.ok);
    EXPECT_EQ(last->command.word, last->outcome.tag);
  }
}

TEST_F(Actions, FailuresOfReloadAndSet) {
  hub->operations.answer = Error{"bad value (x.ini:3)", "F0000"};
  EXPECT_EQ("RELOAD failed, see logs for additional details", answer("RELOAD"));
  EXPECT_EQ("F0000", last->outcome.sqlstate);
  EXPECT_EQ("bad value (x.ini:3)", last->outcome.notices.at(0));
  EXPECT_EQ("SET failed", answer("SET x = y"));
  EXPECT_EQ("08P01", last->outcome.sqlstate);
  hub->operations.answer = {};
  hub->operations.set_notice = "TLS settings could not be applied, still using old configuration";
  EXPECT_EQ("SET x=y", answer("SET x = y"));
  EXPECT_EQ(hub->operations.set_notice, last->outcome.notices.at(0));
}

TEST_F(Actions, FakeParameters) {
  EXPECT_EQ("SET", answer("SET TimeZone = 'x'"));
  EXPECT_EQ("SET ignored", last->outcome.notices.at(0));
  EXPECT_EQ("", asked());
  EXPECT_EQ("SHOW", answer("SHOW TimeZone"));
  EXPECT_EQ(Rows{{"GMT"}}, last->outcome.rows);
  EXPECT_EQ("timezone", last->outcome.columns->at(0).name);
}

TEST_F(Actions, RightsAreCheckedHereToo) {
  for (char rights : {'s', '\0'}) {
    last = hub->run("RELOAD", rights);
    EXPECT_EQ("admin access needed", last->outcome.text);
    EXPECT_FALSE(last->outcome.ok);
    EXPECT_EQ("", asked());
  }
}

TEST_F(Actions, Help) {
  EXPECT_EQ("SHOW", answer("SHOW HELP"));
  EXPECT_EQ("Console usage", last->outcome.notices.at(0));
  EXPECT_EQ(help_text(), last->outcome.detail);
  EXPECT_EQ(nullptr, last->outcome.columns);
}

}  // namespace pgweir::admin
