// The table of the console's commands and of SHOW's topics: word, shape of the argument, right, where it runs, how rows
// merge, handler, help. Rights are denied by default: what a row does not grant, nobody has (CVE-2026-6667).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "admin/director_side.hpp"
#include "admin/grammar.hpp"
#include "admin/rows.hpp"

namespace pgweir::admin {

enum class Right : char {
  kNobody = 0,
  kStats = 's',  // names in stats_users and admin_users
  kAdmin = 'a',  // names in admin_users
};

enum class Shape : uint8_t {
  kNothing,   // no argument
  kOptional,  // a database, or none for all
  kWord,      // an argument that the handler looks at, present or not
  kTopic,     // of SHOW
  kSetting,   // key and value of SET
  kShutdown,  // none, WAIT_FOR_SERVERS or WAIT_FOR_CLIENTS
};

struct Call {
  std::shared_ptr<Job> job;
  const Context& context;  // valid during the call only
  std::function<void()> done;
};

struct CommandRow {
  std::string_view word;  // also the CommandTag, but of SET (its text) and SHUTDOWN (none when it is immediate)
  Shape shape = Shape::kNothing;
  Right right = Right::kNobody;
  void (*handle)(const Call& call) = nullptr;
  std::string_view help;
};

// Makes the final rows of a SHOW from the merged ones of the workers, on the Director.
using Present = Rows (*)(Rows merged, const Context& context);
// One worker's rows.
using Collect = void (*)(session::Hub& hub, Rows& rows);

struct TopicRow {
  std::string_view topic;
  Right right = Right::kNobody;
  Collect collect = nullptr;  // null: the workers are not asked
  MergeRule merge;
  Present present = nullptr;  // null: the merged rows as they are
};

const std::vector<CommandRow>& command_rows();
const std::vector<TopicRow>& topic_rows();
const CommandRow* find_command(std::string_view word);  // upper case
const TopicRow* find_topic(std::string_view topic);     // any case

// Settings that drivers ask every server for; console clients of every kind get a fixed answer
// (compat/console.md, section 5).
struct FakeParameter {
  std::string_view name;
  std::string_view value;
};
const std::vector<FakeParameter>& fake_parameters();
const FakeParameter* find_fake(std::string_view name);  // any case

// Whether somebody with these rights ('a', 's', 0: none) may run the command, and whether it exists in that shape.
// Errors: invalid_command, "admin access needed".
Result<void> check(const Command& command, char rights);

// The columns that the command answers with; null: it answers without rows.
const Columns* columns_for(const Command& command);

// The detail of SHOW HELP's notice.
std::string help_text();

// -- outcomes --
void succeed(Job& job, std::string tag);
void fail(Job& job, const Error& error);

}  // namespace pgweir::admin
