// One run of pgweir-userlist: roles from PostgreSQL, the old file, the new one, in this order and under one lock.
#pragma once

#include "tools/common/messages.hpp"
#include "tools/userlist/options.hpp"
#include "tools/userlist/report.hpp"

namespace pgweir::tools::userlist {

// Warnings and errors go to `messages` as they come; what happened is in the report.
Report run(const Loaded& loaded, const Messages& messages);

}  // namespace pgweir::tools::userlist
