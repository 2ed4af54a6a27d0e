// Which libevent the process runs with; its header stays inside net/.
#pragma once

#include <string>

namespace pgweir::net {

std::string libevent_version();  // "2.1.12-stable"

}  // namespace pgweir::net
