// From a command line to a running Director, in PgBouncer's order (compat/config_file.md section 6): parse, TLS, user,
// root check, socket probe, pid file, daemon, descriptor limit, listeners, "process up".
#pragma once

namespace pgweir::service {

int run(int argc, char** argv);

}  // namespace pgweir::service
