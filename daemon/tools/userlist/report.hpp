// What a run tells: for people and as JSON. Names only; no secret gets here.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tools/common/exit_codes.hpp"
#include "tools/userlist/document.hpp"
#include "tools/userlist/roles.hpp"

namespace pgweir::tools::userlist {

enum class Status {
  kUpToDate,
  kWritten,
  kWouldWrite,     // --dry-run
  kOutOfDate,      // --check
  kKeptOld,        // the roles could not be had; the old file stays
  kWroteEmpty,     // the same, and there was no old file
  kNotConfigured,  // --if-configured
  kFailed,
};

struct Report {
  std::string file;
  Status status = Status::kFailed;
  Exit exit = Exit::kOk;
  std::string error;   // of kFailed, kKeptOld and kWroteEmpty
  std::string server;  // empty: not reached
  Plan plan;
  std::vector<std::pair<std::string, LeftOut>> left_out;
  std::vector<std::string> remarks;  // mode and owner that are not as they should be
};

std::string as_text(const Report& report, bool colours, bool verbose);
std::string as_json(const Report& report);  // one line

}  // namespace pgweir::tools::userlist
