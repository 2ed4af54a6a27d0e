// Phase 3: the settings as they are live, against the policy and against the file.
#include "base/text.hpp"
#include "tools/check/context.hpp"
#include "tools/check/tests.hpp"

namespace pgweir::tools::check {

namespace {

constexpr const char* kWithTests[] = {"default_pool_size", "server_lifetime", "server_idle_timeout", "max_client_conn",
                                      "auth_type"};

// Empty: as the policy wants it.
std::string against_policy(Context& context, const std::string& name, const Rule& rule) {
  auto found = context.live().find(name);
  if (found == context.live().end()) return cat(name, " is not in SHOW CONFIG");
  if (satisfies(name, found->second, rule)) return {};
  return cat(name, " is ", found->second.empty() ? "empty" : found->second, ", policy ", rule.text);
}

Outcome compare(Context& context, const char* name) {
  auto rule = context.policy().settings.find(name);
  if (rule == context.policy().settings.end()) return skip(cat("the policy says nothing of ", name));
  const std::string differs = against_policy(context, name, rule->second);
  if (differs.empty()) return pass(cat(name, " is ", context.live().at(name)));
  std::string value = rule->second.text;
  if (rule->second.sign != '=') value = value.substr(2);
  return fail(differs,
              cat("set ", name, " = ", trim(value.substr(0, value.find('|'))), " and reload, or change the policy"));
}

}  // namespace

Outcome check_pool_size(Context& context) {
  return compare(context, "default_pool_size");
}
Outcome check_server_lifetime(Context& context) {
  return compare(context, "server_lifetime");
}
Outcome check_server_idle_timeout(Context& context) {
  return compare(context, "server_idle_timeout");
}
Outcome check_max_client_conn(Context& context) {
  return compare(context, "max_client_conn");
}
Outcome check_auth_type(Context& context) {
  return compare(context, "auth_type");
}

Outcome check_other_settings(Context& context) {
  int good = 0;
  std::string bad;
  for (const auto& [name, rule] : context.policy().settings) {
    bool own = false;
    for (const char* one : kWithTests)
      own = own || name == one;
    if (own) continue;
    const std::string differs = against_policy(context, name, rule);
    if (differs.empty()) {
      ++good;
    } else {
      bad += cat(bad.empty() ? "" : "; ", differs);
    }
  }
  if (!bad.empty()) return fail(bad);
  if (good == 0) return skip("the policy names no other setting");
  return pass(cat("all ", good, " other settings are as the policy wants them"));
}

Outcome check_drift(Context& context) {
  const settings::Snapshot& file = *context.ini().snapshot;
  if (context.live().empty()) return fail("SHOW CONFIG has no answer");
  std::string differ;
  bool restart = false;
  for (const settings::Row& row : settings::global_rows()) {
    if (row.flags & settings::kSecret || row.name == "conffile") continue;
    auto live = context.live().find(row.name);
    if (live == context.live().end() || live->second == settings::show(file.global, row).value_or("")) continue;
    differ += cat(differ.empty() ? "" : ", ", row.name);
    restart = restart || !row.reloadable();
  }
  if (differ.empty()) return pass("what is live is what the file says");
  return warn(cat("live and file differ: ", differ),
              restart ? "restart pgweir: a reload does not change all of these"
                      : "reload pgweir, or correct the file: a value that SET has changed ends with a reload");
}

}  // namespace pgweir::tools::check
