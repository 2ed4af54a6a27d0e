// The settings table: one row makes parser, default, range, unit, reload class, secrecy, SHOW CONFIG, SET, the sample
// ini and the man page. Whoever adds a setting adds a row (and the member it names), nothing else.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.hpp"
#include "settings/snapshot.hpp"

namespace pgweir::settings {

enum class Scope : uint8_t { kGlobal, kDatabase, kUser, kPeer };

// kSeconds and kMillis are whole numbers of that unit when written without one; kTime is seconds and may be a fraction.
enum class Kind : uint8_t {
  kBool,
  kInt,
  kUint,
  kSize,
  kTime,
  kSeconds,
  kMillis,
  kText,
  kAuthType,
  kPoolMode,
  kSslMode,
  kLoadBalance
};

// Headings of the sample ini and the man page, in their order.
enum class Group : uint8_t {
  kListen,
  kAuth,
  kPool,
  kServer,
  kTimeout,
  kClientTls,
  kServerTls,
  kProtocol,
  kLog,
  kDns,
  kTcp,
  kProcess
};
inline constexpr int kGroups = static_cast<int>(Group::kProcess) + 1;
const char* group_title(Group group);

using GlobalMember = std::variant<bool Global::*, int64_t Global::*, uint32_t Global::*, std::string Global::*,
                                  AuthType Global::*, PoolMode Global::*, SslMode Global::*>;

struct Range {
  int64_t least;
  int64_t most;  // both 0: any value
  bool negative_is_least = false;
};

inline constexpr unsigned kRestart = 1;   // holds from the next start; a reload keeps the running value
inline constexpr unsigned kSecret = 2;    // never shown
inline constexpr unsigned kNoEffect = 4;  // parsed, checked and shown for PgBouncer's sake, but nothing goes by it

inline constexpr unsigned kOwn = 16;  // PgBouncer does not know it

inline constexpr unsigned kFile = 8;  // a file that is read; credential:NAME is one that systemd passes

struct Row {
  std::string name;
  GlobalMember member;
  Kind kind;
  std::optional<std::string> preset;  // the default as written; none: unset (SHOW CONFIG prints NULL)
  Range range;
  Group group;
  unsigned flags;
  std::string help;

  bool reloadable() const { return !(flags & kRestart); }
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
// As SHOW CONFIG prints it (times %g seconds, numbers decimal); nullopt: unset.
std::optional<std::string> show(const Global& global, const Row& row);
// All defaults.
Global default_global();

// "a number", "a time", "one of session, transaction, statement" ...
std::string describe_kind(Kind kind);

// The row's name nearest to a mistyped one; empty when none is near.
std::string nearest_setting(const std::string& name);
std::string nearest_key(Scope scope, const std::string& name);

// Values: PgBouncer's plain numbers, and units (30s, 5min, 500ms; 64MB).
Result<int64_t> parse_int(const std::string& text);   // C literal: decimal, 0x, leading 0 octal
Result<bool> parse_bool(const std::string& text);     // integer, or on/off/yes/no/true/false
Result<Micros> parse_time(const std::string& text);   // seconds, or with us, ms, s, min, h, d
Result<int64_t> parse_size(const std::string& text);  // bytes, or with B, kB, MB, GB
Result<PoolMode> parse_pool_mode(const std::string& text);
Result<LoadBalance> parse_load_balance(const std::string& text);

}  // namespace pgweir::settings
