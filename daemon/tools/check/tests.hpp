// The tests' functions, one file a phase; table.cpp has their rows.
#pragma once

#include "tools/check/model.hpp"

namespace pgweir::tools::check {

// prerequisites.cpp
Outcome check_config_valid(Context& context);
Outcome check_service_up(Context& context);
Outcome check_sockets(Context& context);
Outcome check_userlist(Context& context);
Outcome check_descriptors(Context& context);

// connectivity.cpp
Outcome check_direct(Context& context);
Outcome check_pooled(Context& context);
Outcome check_console(Context& context);
Outcome check_databases(Context& context);
Outcome check_client_tls(Context& context);
Outcome check_server_tls(Context& context);

// configuration.cpp
Outcome check_pool_size(Context& context);
Outcome check_server_lifetime(Context& context);
Outcome check_server_idle_timeout(Context& context);
Outcome check_max_client_conn(Context& context);
Outcome check_auth_type(Context& context);
Outcome check_other_settings(Context& context);
Outcome check_drift(Context& context);

// functionality.cpp
Outcome check_pool_mode(Context& context);
Outcome check_prepared(Context& context);
Outcome check_cancel(Context& context);
Outcome check_transactions(Context& context);
Outcome check_big_answer(Context& context);
Outcome check_pause(Context& context);
Outcome check_reload(Context& context);

// performance.cpp
Outcome check_connect_ratio(Context& context);
Outcome check_throughput_ratio(Context& context);
Outcome check_waiting(Context& context);

// security.cpp
Outcome check_wrong_password(Context& context);
Outcome check_unknown_user(Context& context);
Outcome check_console_password(Context& context);
Outcome check_console_rights(Context& context);
Outcome check_secret_kinds(Context& context);
Outcome check_secret_modes(Context& context);
Outcome check_tls_versions(Context& context);

}  // namespace pgweir::tools::check
