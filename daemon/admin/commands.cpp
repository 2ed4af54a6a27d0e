#include "admin/commands.hpp"

#include "admin/actions.hpp"
#include "admin/collect.hpp"
#include "admin/present.hpp"
#include "base/text.hpp"

namespace pgweir::admin {

namespace {

const CommandRow* row_for(const Command& command) {
  return find_command(command.word);
}

bool has(char rights, Right needed) {
  switch (needed) {
    case Right::kNobody: return false;
    case Right::kStats: return rights == 's' || rights == 'a';
    case Right::kAdmin: return rights == 'a';
  }
  return false;
}

bool fits(const CommandRow& row, const Command& command) {
  switch (row.shape) {
    case Shape::kNothing: return command.argument.empty();
    case Shape::kTopic: return find_topic(command.argument) || find_fake(command.argument);
    case Shape::kShutdown: {
      Shutdown kind = Shutdown::kImmediate;
      return shutdown_kind(command.argument, kind);
    }
    default: return true;
  }
}

// What the command's own row says, and for SHOW and SET what they are about.
Right right_for(const CommandRow& row, const Command& command) {
  if (row.shape == Shape::kSetting && find_fake(command.argument)) return Right::kStats;
  if (row.shape != Shape::kTopic) return row.right;
  const TopicRow* topic = find_topic(command.argument);
  return topic ? topic->right : row.right;
}

}  // namespace

const std::vector<CommandRow>& command_rows() {
  using enum Shape;
  static const std::vector<CommandRow> kRows = {
      {"SHOW", kTopic, Right::kStats, do_show, ""},
      {"SET", kSetting, Right::kAdmin, do_set, "SET key = arg"},
      {"RELOAD", kNothing, Right::kAdmin, do_reload, "RELOAD"},
      {"PAUSE", kOptional, Right::kAdmin, do_pause, "PAUSE [<db>]"},
      {"RESUME", kOptional, Right::kAdmin, do_resume, "RESUME [<db>]"},
      {"DISABLE", kWord, Right::kAdmin, do_disable, "DISABLE <db>"},
      {"ENABLE", kWord, Right::kAdmin, do_enable, "ENABLE <db>"},
      {"RECONNECT", kOptional, Right::kAdmin, do_reconnect, "RECONNECT [<db>]"},
      {"KILL", kOptional, Right::kAdmin, do_kill, "KILL [<db>]"},
      {"KILL_CLIENT", kWord, Right::kAdmin, do_kill_client, "KILL_CLIENT <client_id>"},
      {"SUSPEND", kNothing, Right::kAdmin, do_suspend, "SUSPEND"},
      {"SHUTDOWN", kShutdown, Right::kAdmin, do_shutdown, "SHUTDOWN [WAIT_FOR_SERVERS|WAIT_FOR_CLIENTS]"},
      {"WAIT_CLOSE", kOptional, Right::kAdmin, do_wait_close, "WAIT_CLOSE [<db>]"},
  };
  return kRows;
}

const std::vector<TopicRow>& topic_rows() {
  using enum Merge;
  static const MergeRule kOneByOne{kConcat, 0, {}};
  static const MergeRule kByName{kSum, 1, {}};
  static const MergeRule kHistograms{kSum, 3, {}, true};
  static const std::vector<TopicRow> kRows = {
      {"HELP", Right::kStats, nullptr, {}, nullptr},
      {"CONFIG", Right::kStats, nullptr, {}, show_config},
      {"DATABASES", Right::kStats, nullptr, {}, show_databases},
      {"PEERS", Right::kStats, nullptr, {}, show_peers},
      {"POOLS", Right::kStats, collect_pools, {kSum, 2, {13, 17}}, present_pools},
      {"PEER_POOLS", Right::kStats, nullptr, {}, show_peer_pools},
      {"CLIENTS", Right::kStats, collect_clients, kOneByOne, present_connections},
      {"SERVERS", Right::kStats, collect_servers, kOneByOne, present_connections},
      {"USERS", Right::kStats, nullptr, {}, show_users},
      {"VERSION", Right::kStats, nullptr, {}, show_version},
      {"FDS", Right::kAdmin, collect_fds, kOneByOne, present_fds},
      {"SOCKETS", Right::kStats, collect_sockets, kOneByOne, present_connections},
      {"ACTIVE_SOCKETS", Right::kStats, collect_active_sockets, kOneByOne, present_connections},
      {"LISTS", Right::kStats, collect_lists, kByName, present_lists},
      {"MEM", Right::kStats, collect_memory, {kSum, 1, {1}}, present_memory},
      {"DNS_HOSTS", Right::kStats, nullptr, {}, show_dns_hosts},
      {"DNS_ZONES", Right::kStats, nullptr, {}, show_dns_zones},
      {"STATE", Right::kStats, nullptr, {}, show_state},
      {"STATS", Right::kStats, collect_stats, kByName, present_stats},
      {"STATS_TOTALS", Right::kStats, collect_stats, kByName, present_stats_totals},
      {"STATS_AVERAGES", Right::kStats, collect_stats, kByName, present_stats_averages},
      {"TOTALS", Right::kStats, collect_stats, kByName, present_totals},
      {"WORKERS", Right::kStats, collect_workers, kOneByOne, nullptr},
      {"WAITS", Right::kStats, collect_waits, {kSum, 3, {}}, nullptr},
      {"TRANSACTIONS", Right::kStats, collect_transactions, {kSum, 2, {4, 5}}, nullptr},
      {"LATENCIES", Right::kStats, collect_latencies, kHistograms, present_latencies},
  };
  return kRows;
}

const CommandRow* find_command(std::string_view word) {
  for (const CommandRow& row : command_rows()) {
    if (row.word == word) return &row;
  }
  return nullptr;
}

const TopicRow* find_topic(std::string_view topic) {
  for (const TopicRow& row : topic_rows()) {
    if (equal_ignoring_case(row.topic, topic)) return &row;
  }
  return nullptr;
}

const std::vector<FakeParameter>& fake_parameters() {
  static const std::vector<FakeParameter> kRows = {
      {"client_encoding", "UTF-8"},
      {"default_transaction_isolation", "read committed"},
      {"standard_conforming_strings", "on"},
      {"datestyle", "ISO"},
      {"timezone", "GMT"},
  };
  return kRows;
}

const FakeParameter* find_fake(std::string_view name) {
  for (const FakeParameter& row : fake_parameters()) {
    if (equal_ignoring_case(row.name, name)) return &row;
  }
  return nullptr;
}

Result<void> check(const Command& command, char rights) {
  const CommandRow* row = row_for(command);
  if (!row || !fits(*row, command)) return invalid_command(command.text);
  if (!has(rights, right_for(*row, command))) return Error{"admin access needed", kConsoleError};
  return {};
}

const Columns* columns_for(const Command& command) {
  const CommandRow* row = row_for(command);
  if (!row || row->shape != Shape::kTopic) return nullptr;
  const TopicRow* topic = find_topic(command.argument);
  const FakeParameter* fake = find_fake(command.argument);
  if (!topic && !fake) return nullptr;
  const Columns* columns = columns_of(topic ? topic->topic : fake->name);
  return columns && !columns->empty() ? columns : nullptr;
}

std::string help_text() {
  std::string topics;
  for (const TopicRow& row : topic_rows()) {
    topics += topics.empty() ? "" : "|";
    topics += row.topic;
  }
  std::string text = cat("\n\tSHOW ", topics);
  for (const CommandRow& row : command_rows()) {
    if (!row.help.empty()) text += cat("\n\t", row.help);
  }
  return text;
}

void succeed(Job& job, std::string tag) {
  job.outcome.ok = true;
  job.outcome.tag = std::move(tag);
}

void fail(Job& job, const Error& error) {
  job.outcome.ok = false;
  job.outcome.sqlstate = error.sqlstate.empty() ? kConsoleError : error.sqlstate;
  job.outcome.text = error.message;
}

}  // namespace pgweir::admin
