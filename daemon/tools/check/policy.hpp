// What an installation is measured by: settings with the values that they should have, and limits of the tests' own.
// A value may begin with >=, <= (numbers and times only), or be several joined by "|", any of which will do.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace pgweir::tools::check {

enum class Tls { kAuto, kRequired, kOff };

struct Rule {
  char sign = '=';                  // '=', '>' (at least), '<' (at most)
  std::vector<std::string> wanted;  // as SHOW CONFIG would print them
  std::string text;                 // as written
};

struct Policy {
  Policy();  // what holds without a policy file

  std::map<std::string, Rule> settings;
  unsigned userlist_mode = 0600;   // the most that the file's mode may allow
  Tls tls = Tls::kAuto;            // kAuto: as client_tls_sslmode says
  bool plain_secrets = false;      // passwords in the clear in the userlist are fine
  double connect_ratio = 2.0;      // a pooled connection may take that many times as long as a direct one
  double throughput_ratio = 0.25;  // of one client's transactions a second; at least
  double longest_wait = 1.0;       // seconds

  // A line of the section [policy]. Error: what is wrong with it.
  Result<void> set(const std::string& name, const std::string& value);
};

// Whether `live` (as SHOW CONFIG tells it) is what the rule of this setting wants.
bool satisfies(const std::string& setting, const std::string& live, const Rule& rule);

// The names of the limits that are no settings, for the documents' test.
std::vector<std::string> own_names();

}  // namespace pgweir::tools::check
