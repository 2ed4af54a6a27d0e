// What pgweir-top is told on its command line. Prints nothing.
#pragma once

#include <string>

#include "base/result.hpp"
#include "tools/top/control.hpp"

namespace pgweir::tools::top {

struct Options {
  std::string connection;
  std::string config;   // thresholds; empty: the default file where there is one
  double interval = 2;  // seconds
  bool batch = false;
  int samples = 0;  // 0: without end
  bool json = false;
  bool probe = true;  // ask PostgreSQL itself where no server tells that it is there
  bool ascii = false;
  std::string filter;
  Sort sort = Sort::kWorst;
  bool help = false;
  bool version = false;
};

Result<Options> read_options(int argc, char** argv);
std::string help_text();

}  // namespace pgweir::tools::top
