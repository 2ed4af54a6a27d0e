// The matrix of every command and every kind of console client (CVE-2026-6667 was a command without a check).
#include <gtest/gtest.h>

#include <set>

#include "admin/commands.hpp"

namespace pgweir::admin {

namespace {

enum class Verdict { kAllowed, kDenied, kUnknown };

Verdict verdict(const std::string& text, char rights) {
  Result<Command> command = parse_command(text);
  if (!command.ok()) return Verdict::kUnknown;
  Result<void> checked = check(*command, rights);
  if (checked.ok()) return Verdict::kAllowed;
  if (checked.error().message == "admin access needed") return Verdict::kDenied;
  EXPECT_EQ(invalid_command(text).message, checked.error().message);
  return Verdict::kUnknown;
}

const char* const kForAll[] = {"SHOW ACTIVE_SOCKETS",
                               "SHOW CLIENTS",
                               "SHOW CONFIG",
                               "SHOW DATABASES",
                               "SHOW DNS_HOSTS",
                               "SHOW DNS_ZONES",
                               "SHOW HELP",
                               "SHOW LISTS",
                               "SHOW MEM",
                               "SHOW PEERS",
                               "SHOW PEER_POOLS",
                               "SHOW POOLS",
                               "SHOW SERVERS",
                               "SHOW SOCKETS",
                               "SHOW STATE",
                               "SHOW STATS",
                               "SHOW STATS_AVERAGES",
                               "SHOW STATS_TOTALS",
                               "SHOW TOTALS",
                               "SHOW USERS",
                               "SHOW VERSION",
                               "SHOW WORKERS",
                               "SHOW LATENCIES",
                               "SHOW WAITS",
                               "SHOW TRANSACTIONS",
                               "SHOW client_encoding",
                               "SHOW default_transaction_isolation",
                               "SHOW standard_conforming_strings",
                               "SHOW datestyle",
                               "SHOW timezone",
                               "SHOW TimeZone",
                               "SET timezone='x'",
                               "SET client_encoding TO utf8",
                               "SELECT POOLS"};

const char* const kForAdmins[] = {"SHOW FDS",
                                  "SELECT fds",
                                  "SET verbose = 1",
                                  "RELOAD",
                                  "PAUSE",
                                  "PAUSE db",
                                  "RESUME",
                                  "RESUME db",
                                  "SUSPEND",
                                  "KILL",
                                  "KILL db",
                                  "KILL_CLIENT",
                                  "KILL_CLIENT 1",
                                  "RECONNECT",
                                  "RECONNECT db",
                                  "WAIT_CLOSE",
                                  "WAIT_CLOSE db",
                                  "DISABLE",
                                  "DISABLE db",
                                  "ENABLE",
                                  "ENABLE db",
                                  "SHUTDOWN",
                                  "SHUTDOWN wait_for_servers",
                                  "SHUTDOWN WAIT_FOR_CLIENTS"};

const char* const kForNobody[] = {"SHOW",     "SHOW NOTHING", "SHOW search_path",  "SELECT 1",   "BEGIN",
                                  "RELOAD x", "SUSPEND x",    "SHUTDOWN nonsense", "FROBNICATE", "DROP table_x",
                                  "SET"};

}  // namespace

TEST(Rights, Matrix) {
  for (const char* text : kForAll) {
    EXPECT_EQ(Verdict::kAllowed, verdict(text, 'a')) << text;
    EXPECT_EQ(Verdict::kAllowed, verdict(text, 's')) << text;
    EXPECT_EQ(Verdict::kDenied, verdict(text, 0)) << text;
  }
  for (const char* text : kForAdmins) {
    EXPECT_EQ(Verdict::kAllowed, verdict(text, 'a')) << text;
    EXPECT_EQ(Verdict::kDenied, verdict(text, 's')) << text;
    EXPECT_EQ(Verdict::kDenied, verdict(text, 0)) << text;
    EXPECT_EQ(Verdict::kDenied, verdict(text, 'x')) << text;
  }
  for (const char* text : kForNobody) {
    for (char rights : {'a', 's', '\0'})
      EXPECT_EQ(Verdict::kUnknown, verdict(text, rights)) << text;
  }
}

TEST(Rights, MatrixNamesEveryRow) {
  std::set<std::string> words, topics;
  auto note = [&](const char* text) {
    Command command = parse_command(text).take();
    words.insert(command.word);
    if (const TopicRow* topic = find_topic(command.argument)) topics.insert(std::string(topic->topic));
  };
  for (const char* text : kForAll)
    note(text);
  for (const char* text : kForAdmins)
    note(text);
  for (const CommandRow& row : command_rows())
    EXPECT_EQ(1u, words.count(std::string(row.word))) << row.word;
  for (const TopicRow& row : topic_rows())
    EXPECT_EQ(1u, topics.count(std::string(row.topic))) << row.topic;
}

TEST(Rights, RowsHaveNoneUnlessGiven) {
  EXPECT_EQ(Right::kNobody, CommandRow{}.right);
  EXPECT_EQ(Right::kNobody, TopicRow{}.right);
}

TEST(Commands, HelpNamesEverything) {
  const std::string help = help_text();
  EXPECT_EQ("\n\tSHOW HELP|", help.substr(0, 12));
  for (const CommandRow& row : command_rows())
    EXPECT_NE(std::string::npos, help.find("\n\t" + std::string(row.word))) << row.word;
  for (const TopicRow& row : topic_rows())
    EXPECT_NE(std::string::npos, help.find(row.topic)) << row.topic;
}

TEST(Commands, ColumnsForShowOnly) {
  EXPECT_EQ(columns_of("POOLS"), columns_for(parse_command("select Pools").take()));
  EXPECT_EQ(columns_of("timezone"), columns_for(parse_command("SHOW TimeZone").take()));
  EXPECT_EQ(nullptr, columns_for(parse_command("SHOW HELP").take()));
  EXPECT_EQ(nullptr, columns_for(parse_command("RELOAD").take()));
  EXPECT_EQ(nullptr, columns_for(parse_command("PAUSE pools").take()));
}

}  // namespace pgweir::admin
