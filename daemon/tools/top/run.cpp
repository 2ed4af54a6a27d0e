#include "tools/top/run.hpp"

#include <langinfo.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <clocale>

#include "base/text.hpp"

namespace pgweir::tools::top {

namespace {

bool speaks_utf8() {
  return std::string_view(::nl_langinfo(CODESET)) == "UTF-8";  // NOLINT(concurrency-mt-unsafe): one thread
}

}  // namespace

void wait_for(std::vector<pollfd> descriptors, Clock::time_point due) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(due - Clock::now()).count();
  const auto limit = static_cast<int>(std::clamp<int64_t>(left, 0, 60'000));
  ::poll(descriptors.data(), descriptors.size(), limit);  // interrupted or not: everybody looks for himself
}

Exit run(const Options& options, const Messages& messages) {
  std::setlocale(LC_ALL, "");  // NOLINT(concurrency-mt-unsafe): one thread
  Setting setting;
  setting.options = options;
  struct stat facts {};
  if (!options.config.empty() || ::stat(kDefaultThresholds, &facts) == 0) {
    auto read = read_thresholds(options.config.empty() ? kDefaultThresholds : options.config);
    if (!read) {
      messages.error(read.error().message);
      return Exit::kUsage;
    }
    setting.thresholds = *read;
  }
  auto target = find_target(options.connection);
  if (!target) {
    messages.error(target.error().message);
    return Exit::kUsage;
  }
  setting.target = *target;
  setting.ui.ascii = options.ascii || !speaks_utf8();
  setting.ui.filter = options.filter;
  setting.ui.sort = options.sort;
  setting.ui.interval = options.interval;
  setting.ui.where = target->where;
  if (options.batch) return run_batch(setting, messages);
  if (::isatty(STDIN_FILENO) != 1 || ::isatty(STDOUT_FILENO) != 1) {
    messages.error("the screen needs a terminal; -b prints instead");
    return Exit::kUsage;
  }
  return run_live(setting, messages);
}

}  // namespace pgweir::tools::top
