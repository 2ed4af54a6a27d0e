#include "tools/userlist/roles.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <array>

#include "auth/userlist.hpp"
#include "base/text.hpp"
#include "tools/common/messages.hpp"

namespace pgweir::tools::userlist {

namespace {

struct SourceRow {
  Source source;
  const char* name;
  const char* rights;   // a query: may it be read?
  const char* secrets;  // (id, secret)
};
constexpr SourceRow kSources[] = {
    {Source::kAuthid, "pg_authid",
     "SELECT pg_catalog.has_column_privilege('pg_catalog.pg_authid', 'oid', 'SELECT')"
     " AND pg_catalog.has_column_privilege('pg_catalog.pg_authid', 'rolpassword', 'SELECT')",
     "SELECT oid AS id, rolpassword AS secret FROM pg_catalog.pg_authid"},
    {Source::kShadow, "pg_shadow",
     "SELECT pg_catalog.has_column_privilege('pg_catalog.pg_shadow', 'usesysid', 'SELECT')"
     " AND pg_catalog.has_column_privilege('pg_catalog.pg_shadow', 'passwd', 'SELECT')",
     "SELECT usesysid AS id, passwd AS secret FROM pg_catalog.pg_shadow"},
};

Result<const SourceRow*> choose_source(Connection& connection, Source wanted) {
  for (const SourceRow& row : kSources) {
    if (wanted != Source::kAuto && wanted != row.source) continue;
    auto may = connection.query(row.rights);
    if (!may) return may.error();
    if (may->truth(0, 0)) return &row;
  }
  const std::string who = shown_name(connection.user());
  const char* what = wanted == Source::kAuthid   ? "pg_authid"
                     : wanted == Source::kShadow ? "pg_shadow"
                                                 : "pg_authid or pg_shadow";
  return Error{cat("role ", who, " may not read the secrets in ", what,
                   ": connect as a superuser, or run in that database, as one: GRANT SELECT (",
                   wanted == Source::kShadow ? "usesysid, passwd) ON pg_catalog.pg_shadow TO "
                                             : "oid, rolpassword) ON pg_catalog.pg_authid TO ",
                   who)};
}

// A name in a filter that is not there is a mistake that would empty the list.
Result<void> require(Connection& connection, const char* what, const char* table, const char* column,
                     const std::vector<std::string>& names) {
  if (names.empty()) return {};
  auto missing = connection.query(cat("SELECT n FROM pg_catalog.unnest($1::text[]) AS n WHERE NOT EXISTS (SELECT FROM "
                                      "pg_catalog.",
                                      table, " WHERE ", column, "::text = n)"),
                                  {array_text(names)});
  if (!missing) return missing.error();
  if (missing->size() == 0) return {};
  return Error{cat("there is no ", what, ' ', shown_name(missing->text(0, 0)), ", which a filter names")};
}

// $1 member_of, $2 not_member_of, $3 databases. Membership as in pg_hba.conf: direct or not, the role itself too, and a
// superuser is no member for being one. VALID UNTIL as PostgreSQL tests it at login.
std::string roles_query(const char* secrets) {
  return cat(
      "WITH RECURSIVE secrets AS (", secrets,
      "), inside(id) AS ("
      "SELECT oid FROM pg_catalog.pg_roles WHERE rolname::text = ANY ($1::text[]) UNION"
      " SELECT m.member FROM pg_catalog.pg_auth_members m JOIN inside i ON m.roleid = i.id"
      "), outside(id) AS ("
      "SELECT oid FROM pg_catalog.pg_roles WHERE rolname::text = ANY ($2::text[]) UNION"
      " SELECT m.member FROM pg_catalog.pg_auth_members m JOIN outside o ON m.roleid = o.id"
      ") SELECT r.rolname, s.secret, r.rolcanlogin, r.rolsuper,"
      " coalesce(r.rolvaliduntil < pg_catalog.clock_timestamp(), false),"
      " ($1::text[] = '{}' OR r.oid IN (SELECT id FROM inside)) AND r.oid NOT IN (SELECT id FROM outside),"
      " $3::text[] = '{}' OR EXISTS (SELECT FROM pg_catalog.pg_database d WHERE d.datname::text = ANY ($3::text[])"
      " AND pg_catalog.has_database_privilege(r.oid, d.oid, 'CONNECT'))"
      " FROM pg_catalog.pg_roles r LEFT JOIN secrets s ON s.id = r.oid");
}

LeftOut why_left_out(const Role& role, const Settings& settings, const Patterns& include, const Patterns& exclude) {
  if ((!include.empty() && !include.match(role.name)) || exclude.match(role.name)) return LeftOut::kName;
  if (!role.member) return LeftOut::kMembership;
  if (!role.may_connect) return LeftOut::kDatabase;
  if (role.superuser && settings.no_superusers) return LeftOut::kSuperuser;
  if (!role.can_login) return LeftOut::kNoLogin;
  if (role.expired) return LeftOut::kExpired;
  if (role.secret.empty() && !settings.empty_secrets) return LeftOut::kNoSecret;
  if (role.name.size() > auth::kMaxUserName || role.secret.text().size() > auth::kMaxSecretText)
    return LeftOut::kTooLong;
  return LeftOut::kNot;
}

}  // namespace

Result<Patterns> Patterns::compile(const std::vector<std::string>& patterns) {
  Patterns out;
  for (const std::string& pattern : patterns) {
    Rule rule;
    if (pattern.size() >= 2 && pattern.front() == '/' && pattern.back() == '/') {
      auto regex = std::make_unique<Regex>();
      const int failure =
          ::regcomp(&regex->program, pattern.substr(1, pattern.size() - 2).c_str(), REG_EXTENDED | REG_NOSUB);
      if (failure != 0) {
        char reason[128] = {};
        ::regerror(failure, &regex->program, reason, sizeof reason);
        return Error{cat("pattern ", pattern, ": ", reason)};
      }
      regex->compiled = true;
      rule.regex = std::move(regex);
    } else {
      rule.glob = pattern;
    }
    out.rules_.push_back(std::move(rule));
  }
  return out;
}

bool Patterns::match(const std::string& name) const {
  return std::any_of(rules_.begin(), rules_.end(), [&](const Rule& rule) {
    return rule.regex ? ::regexec(&rule.regex->program, name.c_str(), 0, nullptr, 0) == 0
                      : ::fnmatch(rule.glob.c_str(), name.c_str(), 0) == 0;
  });
}

const char* left_out_word(LeftOut why) {
  static constexpr std::array<const char*, 9> kWords = {"",         "name",    "membership",  "database", "superuser",
                                                        "no login", "expired", "no password", "too long"};
  return kWords[static_cast<size_t>(why)];
}

Choice choose_roles(std::vector<Role> roles, const Settings& settings) {
  Choice choice;
  auto include = Patterns::compile(settings.include);
  auto exclude = Patterns::compile(settings.exclude);
  if (!include || !exclude) return choice;  // load() has seen to that
  std::sort(roles.begin(), roles.end(), [](const Role& a, const Role& b) { return a.name < b.name; });
  for (Role& role : roles) {
    const LeftOut why = why_left_out(role, settings, *include, *exclude);
    if (why == LeftOut::kNot) {
      choice.roles.push_back(std::move(role));
    } else {
      choice.left_out.emplace_back(std::move(role.name), why);
    }
  }
  return choice;
}

Result<std::vector<Role>> fetch_roles(Connection& connection, const Settings& settings) {
  auto source = choose_source(connection, settings.source);
  if (!source) return source.error();
  for (const auto* names : {&settings.member_of, &settings.not_member_of}) {
    auto there = require(connection, "role", "pg_roles", "rolname", *names);
    if (!there) return there.error();
  }
  auto there = require(connection, "database", "pg_database", "datname", settings.databases);
  if (!there) return there.error();
  auto rows = connection.query(
      roles_query((*source)->secrets),
      {array_text(settings.member_of), array_text(settings.not_member_of), array_text(settings.databases)});
  if (!rows) return rows.error();
  std::vector<Role> out(static_cast<size_t>(rows->size()));
  for (int at = 0; at < rows->size(); ++at) {
    Role& role = out[static_cast<size_t>(at)];
    role.name = rows->text(at, 0);
    role.secret = auth::Secret(std::string(rows->text(at, 1)));
    role.can_login = rows->truth(at, 2);
    role.superuser = rows->truth(at, 3);
    role.expired = rows->truth(at, 4);
    role.member = rows->truth(at, 5);
    role.may_connect = rows->truth(at, 6);
  }
  return out;
}

}  // namespace pgweir::tools::userlist
