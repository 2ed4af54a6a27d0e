// What pgweir-check is told: the command line, and the policy file that it names.
// Promises: unknown words, and a password for everybody to see in the list of processes, are errors before anything
// runs.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "tools/check/policy.hpp"

namespace pgweir::tools::check {

inline constexpr const char* kDefaultIni = "/etc/pgweir/pgweir.ini";
inline constexpr const char* kDefaultPolicy = "/etc/pgweir/check.conf";

struct Options {
  std::string ini = kDefaultIni;
  std::string policy_file;  // empty: the default one, if it is there
  bool no_policy = false;
  std::string pool;  // connection strings; what they leave out comes from the ini
  std::string direct;
  std::string console;
  std::vector<std::string> phases;  // with `tests`: what is selected; both empty: everything
  std::vector<std::string> tests;
  bool disturb = false;
  int timeout = 5;  // seconds, of a connection and of an answer
  bool list = false;
  bool json = false;
  bool quiet = false;
  bool help = false;
  bool version = false;
  Policy policy;
  std::vector<std::string> warnings;
};

// Error: every complaint, joined by "; ".
Result<Options> load(int argc, char** argv, const std::string& default_policy = kDefaultPolicy);

std::string help_text();

}  // namespace pgweir::tools::check
