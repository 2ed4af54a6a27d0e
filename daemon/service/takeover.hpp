// -R: the place of the process that serves on our unix socket (compat/config_file.md, section 10), pgweir's or
// PgBouncer's. Promises: it is asked to let its servers' work end, as by SHUTDOWN WAIT_FOR_SERVERS on its console, and
// told to end at once when that takes too long; on success it has gone. Does not: take over its connections. Blocks;
// for use before the loop runs.
#pragma once

#include <string>

#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/result.hpp"

namespace pgweir::service {

// `path`: its socket. `patience`: for its work; 0: without end.
Result<void> take_place(const std::string& path, Micros patience, Logger& log);

}  // namespace pgweir::service
