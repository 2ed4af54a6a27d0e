// The table of tests: whoever adds one adds a row here and a function to the file of its phase.
#include "tools/check/tests.hpp"

namespace pgweir::tools::check {

namespace {

using P = Phase;
using D = Dimension;

constexpr const char* kStart = "start it: systemctl start pgweir; why it ended: journalctl -u pgweir";
constexpr const char* kTrust = "set auth_type = scram-sha-256, or correct the HBA file";

constexpr Test kTests[] = {
    {"config-valid", P::kPrerequisites, D::kOperability, 3, 0, false, "the ini and the files that it names are valid",
     "name the ini by --config", check_config_valid},
    {"service-up", P::kPrerequisites, D::kOperability, 3, 0, false, "pgweir answers where clients connect", kStart,
     check_service_up},
    {"sockets", P::kPrerequisites, D::kOperability, 2, kIni, false, "every address and unix socket of the ini answers",
     kStart, check_sockets},
    {"userlist", P::kPrerequisites, D::kSecurity, 3, kIni, false, "the userlist is there, with mode 0600", nullptr,
     check_userlist},
    {"descriptors", P::kPrerequisites, D::kOperability, 2, kIni, false,
     "the process may open as many files as it may need", nullptr, check_descriptors},

    {"direct", P::kConnectivity, D::kCorrectness, 2, 0, false, "PostgreSQL can be reached past pgweir",
     "is PostgreSQL up, and does pg_hba.conf let this user in? --direct says where", check_direct},
    {"pooled", P::kConnectivity, D::kCorrectness, 3, 0, false, "a client gets an answer through pgweir",
     "the log of pgweir tells why: journalctl -u pgweir; --pool says where and who", check_pooled},
    {"console", P::kConnectivity, D::kOperability, 2, 0, false, "the console can be reached",
     "name the user in admin_users and in the userlist; --console says who", check_console},
    {"databases", P::kConnectivity, D::kCorrectness, 3, kConsole, false, "each configured database answers",
     "correct or remove its line in [databases]", check_databases},
    {"client-tls", P::kConnectivity, D::kSecurity, 2, kPool, false, "clients connect by TLS where they should",
     "set client_tls_sslmode, client_tls_cert_file and client_tls_key_file", check_client_tls},
    {"server-tls", P::kConnectivity, D::kSecurity, 2, kPool, false,
     "pgweir connects to PostgreSQL by TLS where it should", "RECONNECT replaces servers from before the setting",
     check_server_tls},

    {"pool-size", P::kConfiguration, D::kPerformance, 2, kConsole, false, "default_pool_size is as the policy wants it",
     nullptr, check_pool_size},
    {"server-lifetime", P::kConfiguration, D::kOperability, 1, kConsole, false,
     "server_lifetime is as the policy wants it", nullptr, check_server_lifetime},
    {"server-idle", P::kConfiguration, D::kOperability, 1, kConsole, false,
     "server_idle_timeout is as the policy wants it", nullptr, check_server_idle_timeout},
    {"max-clients", P::kConfiguration, D::kOperability, 2, kConsole, false, "max_client_conn is as the policy wants it",
     nullptr, check_max_client_conn},
    {"auth-type", P::kConfiguration, D::kSecurity, 3, kConsole, false, "auth_type is as the policy wants it", nullptr,
     check_auth_type},
    {"policy", P::kConfiguration, D::kOperability, 2, kConsole, false, "all other settings that the policy names",
     "set them as the policy wants and reload, or change the policy", check_other_settings},
    {"drift", P::kConfiguration, D::kOperability, 1, kIni | kConsole, false, "what is live is what the file says",
     nullptr, check_drift},

    {"pool-mode", P::kFunctionality, D::kCorrectness, 3, kPool | kConsole, false,
     "servers are given back as pool_mode says", "set pool_mode and reload; RECONNECT", check_pool_mode},
    {"prepared", P::kFunctionality, D::kCorrectness, 3, kPool, false, "prepared statements work on every server",
     "set max_prepared_statements = 200 and reload", check_prepared},
    {"cancel", P::kFunctionality, D::kCorrectness, 2, kPool, false, "a cancel request ends its query",
     "can pgweir open further connections to PostgreSQL? The log tells", check_cancel},
    {"transactions", P::kFunctionality, D::kCorrectness, 3, kPool, false, "transactions stay whole",
     "report it as a bug", check_transactions},
    {"big-answer", P::kFunctionality, D::kCorrectness, 2, kPool, false, "12 MB come through unchanged",
     "report it as a bug", check_big_answer},
    {"pause", P::kFunctionality, D::kOperability, 2, kPool | kConsole, true,
     "PAUSE holds queries and RESUME lets them go", "the console's user must be in admin_users", check_pause},
    {"reload", P::kFunctionality, D::kOperability, 2, kPool | kConsole, true,
     "RELOAD is taken, and clients stay connected", "the log tells what is wrong with the new configuration",
     check_reload},

    {"connect-ratio", P::kPerformance, D::kPerformance, 2, kPool | kDirect, false,
     "connection set-up, pooled against direct",
     "is the machine busy? Is the route to pgweir longer than that to PostgreSQL?", check_connect_ratio},
    {"throughput", P::kPerformance, D::kPerformance, 2, kPool | kDirect, false,
     "transactions a second, pooled against direct",
     "is the machine busy? log_connections and verbose cost; see docs/performance.md", check_throughput_ratio},
    {"waiting", P::kPerformance, D::kPerformance, 2, kConsole, false, "no client waits long for a server",
     "a larger pool, or shorter transactions; SHOW POOLS tells which", check_waiting},

    {"wrong-password", P::kSecurity, D::kSecurity, 3, kPool, false, "a wrong password is refused", kTrust,
     check_wrong_password},
    {"unknown-user", P::kSecurity, D::kSecurity, 2, kPool, false, "an unknown user hears what a known one hears",
     kTrust, check_unknown_user},
    {"console-password", P::kSecurity, D::kSecurity, 3, kConsole, false, "the console asks for a password", kTrust,
     check_console_password},
    {"console-rights", P::kSecurity, D::kSecurity, 3, kPool | kConsole, false,
     "who is no administrator has no rights at the console",
     "correct admin_users and stats_users; auth_type = any lets everybody look", check_console_rights},
    {"secret-kinds", P::kSecurity, D::kSecurity, 2, kIni, false, "the userlist holds no password in the clear",
     "write SCRAM secrets by pgweir-userlist(1), or allow them by plain_secrets = 1", check_secret_kinds},
    {"secret-modes", P::kSecurity, D::kSecurity, 2, kIni, false, "files with secrets are not open to others", nullptr,
     check_secret_modes},
    {"tls-versions", P::kSecurity, D::kSecurity, 2, kPool, false, "no TLS older than 1.2",
     "set client_tls_protocols = secure", check_tls_versions},
};

}  // namespace

std::span<const Test> tests() {
  return kTests;
}

}  // namespace pgweir::tools::check
