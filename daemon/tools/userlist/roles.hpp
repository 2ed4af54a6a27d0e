// Roles of PostgreSQL with their secrets, and which of them belong into the userlist.
// Promises: a filter that names a role or database that is not there is an error, not an empty list.
#pragma once

#include <regex.h>

#include <memory>
#include <string>
#include <vector>

#include "auth/secret.hpp"
#include "base/result.hpp"
#include "tools/common/postgres.hpp"
#include "tools/userlist/options.hpp"

namespace pgweir::tools::userlist {

struct Role {
  std::string name;
  auth::Secret secret;
  bool can_login = false;
  bool superuser = false;
  bool expired = false;     // VALID UNTIL has passed
  bool member = true;       // as member_of and not_member_of want it
  bool may_connect = true;  // to one of the databases
};

// Patterns of names: a glob (*, ?, [...], \ takes the next character as it is) for the whole name, or /regex/
// (extended, POSIX) for a part of it. Bytes, not characters.
class Patterns {
 public:
  // Error: names the pattern.
  static Result<Patterns> compile(const std::vector<std::string>& patterns);

  bool empty() const { return rules_.empty(); }
  bool match(const std::string& name) const;  // any of them

 private:
  struct Regex {
    Regex() = default;
    Regex(const Regex&) = delete;
    Regex& operator=(const Regex&) = delete;
    ~Regex() {
      if (compiled) ::regfree(&program);
    }
    regex_t program = {};
    bool compiled = false;
  };
  struct Rule {
    std::string glob;
    std::unique_ptr<Regex> regex;  // null: a glob
  };
  std::vector<Rule> rules_;
};

// Why a role is not in the list; the words are those of reports and JSON.
enum class LeftOut { kNot, kName, kMembership, kDatabase, kSuperuser, kNoLogin, kExpired, kNoSecret, kTooLong };
const char* left_out_word(LeftOut why);

struct Choice {
  std::vector<Role> roles;  // by name
  std::vector<std::pair<std::string, LeftOut>> left_out;
};

// What the filters ask comes first, so that "expired" and "no password" are said only of roles that are wanted.
Choice choose_roles(std::vector<Role> roles, const Settings& settings);

// All roles of the server. `source` is where the secrets are to be read; kAuto takes pg_authid when it may be read,
// else pg_shadow. Error: the server's, or what is missing and what to do about it.
Result<std::vector<Role>> fetch_roles(Connection& connection, const Settings& settings);

}  // namespace pgweir::tools::userlist
