#include "tools/check/policy.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "base/text.hpp"
#include "settings/table.hpp"

namespace pgweir::tools::check {

namespace {

// The value as SHOW CONFIG prints it, so that 30min and 1800 are the same.
Result<std::string> canonical(const settings::Row& row, const std::string& value) {
  settings::Global scratch = settings::default_global();
  auto assigned = settings::assign(scratch, row, value);
  if (!assigned) return assigned.error();
  return settings::show(scratch, row).value_or("");
}

bool ordered(settings::Kind kind) {
  using settings::Kind;
  static constexpr Kind kOrdered[] = {Kind::kInt, Kind::kUint, Kind::kSize, Kind::kTime, Kind::kSeconds, Kind::kMillis};
  return std::find(std::begin(kOrdered), std::end(kOrdered), kind) != std::end(kOrdered);
}

double number_of(const std::string& text) {
  return std::strtod(text.c_str(), nullptr);
}

Result<Rule> parse_rule(const settings::Row& row, const std::string& value) {
  Rule rule;
  rule.text = value;
  std::string_view rest = value;
  if (rest.starts_with(">=") || rest.starts_with("<=")) {
    rule.sign = rest.front();
    rest.remove_prefix(2);
    if (!ordered(row.kind)) return Error{"only numbers, sizes and times can be compared by >= and <="};
  }
  while (true) {
    const size_t bar = rule.sign == '=' ? rest.find('|') : std::string_view::npos;
    auto one = canonical(row, std::string(trim(rest.substr(0, bar))));
    if (!one) return one.error();
    rule.wanted.push_back(one.take());
    if (bar == std::string_view::npos) return rule;
    rest.remove_prefix(bar + 1);
  }
}

Result<void> set_number(double& number, const std::string& value) {
  char* end = nullptr;
  const double read = std::strtod(value.c_str(), &end);
  if (value.empty() || *end != '\0' || !(read >= 0) || read > 1e9)
    return Error{"it must be a number that is not negative"};
  number = read;
  return {};
}

Result<void> set_userlist_mode(Policy& policy, const std::string& value) {
  unsigned mode = 0;
  auto [end, failure] = std::from_chars(value.data(), value.data() + value.size(), mode, 8);
  if (failure != std::errc() || end != value.data() + value.size() || mode > 0777)
    return Error{"it must be a mode like 0600"};
  policy.userlist_mode = mode;
  return {};
}

Result<void> set_tls(Policy& policy, const std::string& value) {
  for (auto [word, meaning] :
       {std::pair("auto", Tls::kAuto), std::pair("required", Tls::kRequired), std::pair("off", Tls::kOff)})
    if (value == word) {
      policy.tls = meaning;
      return {};
    }
  return Error{"it must be auto, required or off"};
}

Result<void> set_plain(Policy& policy, const std::string& value) {
  auto truth = settings::parse_bool(value);
  if (!truth) return truth.error();
  policy.plain_secrets = *truth;
  return {};
}

template <double Policy::*number>
Result<void> set_limit(Policy& policy, const std::string& value) {
  return set_number(policy.*number, value);
}

struct Own {
  const char* name;
  Result<void> (*set)(Policy& policy, const std::string& value);
};
constexpr Own kOwn[] = {{"userlist_mode", set_userlist_mode},
                        {"tls", set_tls},
                        {"plain_secrets", set_plain},
                        {"connect_ratio", set_limit<&Policy::connect_ratio>},
                        {"throughput_ratio", set_limit<&Policy::throughput_ratio>},
                        {"longest_wait", set_limit<&Policy::longest_wait>}};

}  // namespace

Policy::Policy() {
  for (auto [name, value] : {std::pair("default_pool_size", "10"), std::pair("server_lifetime", "1800"),
                             std::pair("server_idle_timeout", "300"), std::pair("max_client_conn", "1000"),
                             std::pair("auth_type", "scram-sha-256")}) {
    auto done = set(name, value);
    (void)done;  // these are rows of the settings table
  }
}

Result<void> Policy::set(const std::string& name, const std::string& value) {
  for (const Own& own : kOwn)
    if (name == own.name) return own.set(*this, value);
  const settings::Row* row = settings::find_row(name);
  if (!row) {
    const std::string near = settings::nearest_setting(name);
    return Error{
        cat("neither a setting of pgweir nor a limit of pgweir-check", near.empty() ? "" : cat(" (", near, "?)"))};
  }
  if (row->flags & settings::kSecret) return Error{"it is a secret, and its value is never shown"};
  auto rule = parse_rule(*row, value);
  if (!rule) return rule.error();
  settings[row->name] = rule.take();
  return {};
}

bool satisfies(const std::string& setting, const std::string& live, const Rule& rule) {
  const settings::Row* row = settings::find_row(setting);
  const auto told = row ? canonical(*row, live) : Result<std::string>(live);
  const std::string text = told ? *told : live;
  if (rule.sign == '=') return std::find(rule.wanted.begin(), rule.wanted.end(), text) != rule.wanted.end();
  const double wanted = number_of(rule.wanted.front());
  return rule.sign == '>' ? number_of(text) >= wanted : number_of(text) <= wanted;
}

std::vector<std::string> own_names() {
  std::vector<std::string> out;
  for (const Own& own : kOwn)
    out.emplace_back(own.name);
  return out;
}

}  // namespace pgweir::tools::check
