#include "settings/table.hpp"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>

#include "base/text.hpp"
#include "settings/check.hpp"

namespace pgweir::settings {

namespace {

constexpr int kAuthTypes = 9;
constexpr int kPoolModes = 3;
constexpr int kSslModes = 6;
constexpr int kLoadBalances = 2;

template <class Enum>
std::string words(int count) {
  std::string all;
  for (int at = 0; at < count; ++at)
    all += cat(at ? ", " : "", word_of(static_cast<Enum>(at)));
  return all;
}

template <class Enum>
Result<Enum> parse_word(const std::string& text, int count) {
  for (int at = 0; at < count; ++at) {
    if (equal_ignoring_case(text, word_of(static_cast<Enum>(at)))) return static_cast<Enum>(at);
  }
  return Error{cat("must be one of ", words<Enum>(count))};
}

template <class T, class V>
Result<void> store(Global& global, const Row& row, Result<V> value) {
  if (!value) return value.error();
  global.*std::get<T Global::*>(row.member) = static_cast<T>(*value);
  return {};
}

Result<int64_t> in_range(const Row& row, Result<int64_t> value) {
  if (!value || (row.range.least == 0 && row.range.most == 0)) return value;
  if (row.range.negative_is_least && *value < 0 && *value >= INT32_MIN) return row.range.least;
  if (*value < row.range.least || *value > row.range.most) {
    return Error{cat("must be between ", row.range.least, " and ", row.range.most)};
  }
  return value;
}

// A whole number of `unit`, or a time with a unit of its own.
Result<int64_t> parse_whole(const std::string& text, Micros unit) {
  auto plain = parse_int(text);
  if (plain) return plain;
  // Without a unit it would be taken for seconds, whatever `unit` is.
  const bool has_unit = !text.empty() && std::isalpha(static_cast<unsigned char>(text.back())) != 0;
  auto time = parse_time(text);
  if (!has_unit || !time || *time % unit != 0) return Error{"must be a whole number, or a time with ms, s, min, h, d"};
  return *time / unit;
}

std::string number_text(double number) {
  char text[64];
  std::snprintf(text, sizeof text, "%g", number);
  return text;
}

// How many letters must be put in, left out, replaced or swapped with their neighbour.
size_t distance(const std::string& a, const std::string& b) {
  std::vector<size_t> older, last(b.size() + 1), row(b.size() + 1);
  for (size_t at = 0; at <= b.size(); ++at)
    row[at] = at;
  for (size_t i = 1; i <= a.size(); ++i) {
    older = last;
    last = row;
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], older[j - 2] + 1);
    }
  }
  return row[b.size()];
}

// Keeps the nearest of the names that it is shown: at most a third of the letters may differ.
class Nearest {
 public:
  explicit Nearest(const std::string& name) : name_(lower(name)), least_(name_.size() / 3 + 1) {}

  void consider(const std::string& candidate) {
    if (name_.size() > 64) return;
    size_t d = distance(name_, candidate);
    if (d >= least_) return;
    least_ = d;
    best_ = candidate;
  }
  const std::string& best() const { return best_; }

 private:
  std::string name_;
  size_t least_;
  std::string best_;
};

}  // namespace

const char* group_title(Group group) {
  static constexpr const char* kTitles[kGroups] = {
      "Where pgweir listens",   "Who may log in",  "Pools and their limits",
      "Connections to servers", "Timeouts",        "TLS with clients",
      "TLS with servers",       "Protocol",        "Log and statistics",
      "Host names of servers",  "TCP connections", "The process"};
  return kTitles[static_cast<size_t>(group)];
}

std::string describe_kind(Kind kind) {
  switch (kind) {
    case Kind::kBool: return "on or off";
    case Kind::kInt:
    case Kind::kUint: return "number";
    case Kind::kSize: return "size";
    case Kind::kTime: return "time";
    case Kind::kSeconds: return "time, whole seconds";
    case Kind::kMillis: return "time, milliseconds";
    case Kind::kAuthType: return cat("one of ", words<AuthType>(kAuthTypes));
    case Kind::kPoolMode: return cat("one of ", words<PoolMode>(kPoolModes));
    case Kind::kSslMode: return cat("one of ", words<SslMode>(kSslModes));
    case Kind::kLoadBalance: return cat("one of ", words<LoadBalance>(kLoadBalances));
    case Kind::kText: break;
  }
  return "text";
}

std::string nearest_setting(const std::string& name) {
  Nearest nearest(name);
  for (const Row& row : global_rows())
    nearest.consider(row.name);
  return nearest.best();
}

std::string nearest_key(Scope scope, const std::string& name) {
  Nearest nearest(name);
  for (const EntryRow& row : entry_rows()) {
    if (row.scope == scope) nearest.consider(row.name);
  }
  return nearest.best();
}

Result<PoolMode> parse_pool_mode(const std::string& text) {
  return parse_word<PoolMode>(text, kPoolModes);
}

Result<LoadBalance> parse_load_balance(const std::string& text) {
  return parse_word<LoadBalance>(text, kLoadBalances);
}

const Row* find_row(const std::string& name) {
  const auto& rows = global_rows();
  const std::string known = name == "service_name" ? "job_name" : name;
  auto found =
      std::lower_bound(rows.begin(), rows.end(), known, [](const Row& r, const std::string& n) { return r.name < n; });
  return found != rows.end() && found->name == known ? &*found : nullptr;
}

namespace {

// credential:NAME is what LoadCredential=NAME:... of the unit has put in place; anything else is a path.
Result<std::string> file_of(const std::string& text) {
  constexpr std::string_view kPrefix = "credential:";
  if (!text.starts_with(kPrefix)) return text;
  const std::string name = text.substr(kPrefix.size());
  if (name.empty() || name[0] == '.' || name.find('/') != std::string::npos)
    return Error{"credential: wants the name of a credential, without / and no . in front"};
  const char* place = std::getenv("CREDENTIALS_DIRECTORY");  // NOLINT(concurrency-mt-unsafe): nobody sets any
  if (!place || *place != '/')
    return Error{"is a credential, but the service manager has passed none (see LoadCredential= in systemd.exec(5))"};
  return cat(place, "/", name);
}

}  // namespace

Result<void> assign(Global& global, const Row& row, const std::string& text) {
  switch (row.kind) {
    case Kind::kBool: return store<bool>(global, row, parse_bool(text));
    case Kind::kInt: return store<int64_t>(global, row, in_range(row, parse_int(text)));
    case Kind::kSize: return store<int64_t>(global, row, in_range(row, parse_size(text)));
    case Kind::kUint: return store<uint32_t>(global, row, in_range(row, parse_size(text)));
    case Kind::kTime: return store<Micros>(global, row, parse_time(text));
    case Kind::kSeconds: return store<int64_t>(global, row, in_range(row, parse_whole(text, kSecond)));
    case Kind::kMillis: return store<int64_t>(global, row, in_range(row, parse_whole(text, kMillisecond)));
    case Kind::kAuthType: return store<AuthType>(global, row, parse_word<AuthType>(text, kAuthTypes));
    case Kind::kPoolMode: return store<PoolMode>(global, row, parse_pool_mode(text));
    case Kind::kSslMode: return store<SslMode>(global, row, parse_word<SslMode>(text, kSslModes));
    case Kind::kLoadBalance: return Error{"is not a global setting"};
    case Kind::kText: break;
  }
  Result<std::string> value = row.flags & kFile ? file_of(text) : Result<std::string>(text);
  if (!value) return value.error();
  Result<void> fine = check_text(row.name, *value);
  if (fine) global.*std::get<std::string Global::*>(row.member) = value.take();
  return fine;
}

std::optional<std::string> show(const Global& global, const Row& row) {
  switch (row.kind) {
    case Kind::kBool: return std::to_string(global.*std::get<bool Global::*>(row.member) ? 1 : 0);
    case Kind::kInt:
    case Kind::kSeconds:
    case Kind::kMillis:
    case Kind::kSize: return std::to_string(global.*std::get<int64_t Global::*>(row.member));
    case Kind::kUint: return std::to_string(global.*std::get<uint32_t Global::*>(row.member));
    case Kind::kTime: return number_text(static_cast<double>(global.*std::get<int64_t Global::*>(row.member)) / 1e6);
    case Kind::kAuthType: return word_of(global.*std::get<AuthType Global::*>(row.member));
    case Kind::kPoolMode: return word_of(global.*std::get<PoolMode Global::*>(row.member));
    case Kind::kSslMode: return word_of(global.*std::get<SslMode Global::*>(row.member));
    case Kind::kLoadBalance: return std::nullopt;
    case Kind::kText: break;
  }
  const std::string& text = global.*std::get<std::string Global::*>(row.member);
  if (text.empty() && !row.preset) return std::nullopt;
  if (row.flags & kSecret) return "***";
  return text;
}

Global default_global() {
  Global global;
  for (const Row& row : global_rows()) {
    if (row.preset) (void)assign(global, row, *row.preset).ok();
  }
  return global;
}

}  // namespace pgweir::settings
