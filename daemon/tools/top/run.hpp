// Puts the pieces together: batch mode, and the live screen.
#pragma once

#include "tools/common/exit_codes.hpp"
#include "tools/common/messages.hpp"
#include "tools/top/link.hpp"
#include "tools/top/options.hpp"
#include "tools/top/thresholds.hpp"

namespace pgweir::tools::top {

Exit run(const Options& options, const Messages& messages);

struct Setting {
  Options options;
  Thresholds thresholds;
  Target target;
  Ui ui;
};
Exit run_batch(const Setting& setting, const Messages& messages);
Exit run_live(const Setting& setting, const Messages& messages);

// Until one of the descriptors is ready or `due` has come.
void wait_for(std::vector<pollfd> descriptors, Clock::time_point due);

}  // namespace pgweir::tools::top
