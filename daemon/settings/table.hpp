// The settings table: one row makes parser, default, range, unit, reload class, SHOW CONFIG, SET, the sample ini and
// the man page. Whoever adds a setting adds a row (and the member it names), nothing else.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.hpp"
#include "settings/snapshot.hpp"

namespace pgweir::settings {

enum class Scope : uint8_t { kGlobal, kDatabase, kUser, kPeer };
enum class Kind : uint8_t { kBool, kInt, kUint, kSize, kTime, kText, kAuthType, kPoolMode, kSslMode, kLoadBalance };

using GlobalMember = std::variant<bool Global::*, int64_t Global::*, uint32_t Global::*, std::string Global::*,
                                  AuthType Global::*, PoolMode Global::*, SslMode Global::*>;

struct Row {
  std::string name;
  GlobalMember member;
  Kind kind;
  std::optional<std::string> preset;  // the default as written; none: unset (SHOW CONFIG prints NULL)
  int64_t least;
  int64_t most;  // least == most: any value
  bool reloadable;
  std::string help;
};

// All global settings, by name.
const std::vector<Row>& global_rows();
const Row* find_row(const std::string& name);  // service_name is job_name

// Rows of entries: what may stand in a line of [databases], [users], [peers]. Their values are parsed by connstr.cpp.
struct EntryRow {
  Scope scope;
  std::string name;
  Kind kind;
  std::string preset;
  std::string help;
};
const std::vector<EntryRow>& entry_rows();

// Parses `text` into the row's member. Error: a sentence about what is allowed.
Result<void> assign(Global& global, const Row& row, const std::string& text);
// As SHOW CONFIG prints it (times %g seconds); nullopt: unset.
std::optional<std::string> show(const Global& global, const Row& row);
// All defaults.
Global default_global();

// Values: PgBouncer's plain numbers, and units (30s, 5min, 500ms; 64MB).
Result<int64_t> parse_int(const std::string& text);   // C literal: decimal, 0x, leading 0 octal
Result<bool> parse_bool(const std::string& text);     // integer, or on/off/yes/no/true/false
Result<Micros> parse_time(const std::string& text);   // seconds, or with ms, s, min, h, d
Result<int64_t> parse_size(const std::string& text);  // bytes, or with kB, MB, GB
Result<PoolMode> parse_pool_mode(const std::string& text);
Result<LoadBalance> parse_load_balance(const std::string& text);

}  // namespace pgweir::settings
