#include "session/reasons.hpp"

#include <array>

namespace pgweir::session {

namespace {

constexpr std::string_view kPooler = "08P01";  // every error that PgBouncer itself makes

// The order is that of the enum; a test holds it.
constexpr std::array<ReasonRow, static_cast<size_t>(Reason::kCount)> kRows = {{
    {Reason::kClientTerminate, "client_terminate", Level::kLog, "client close request", "", "", Fate::kRelease},
    {Reason::kClientEof, "client_eof", Level::kLog, "client unexpected eof", "", "", Fate::kRelease},
    {Reason::kClientProbe, "client_probe", Level::kDebug, "client unexpected eof", "", "", Fate::kRelease},
    {Reason::kClientSocketError, "client_socket_error", Level::kLog, "client socket error", "", "", Fate::kRelease},
    {Reason::kClientBadHeader, "client_bad_header", Level::kLog, "bad packet header", kPooler, "bad packet header",
     Fate::kRelease},
    {Reason::kClientUnknownPacket, "client_unknown_packet", Level::kLog, "unknown pkt", kPooler, "unknown pkt",
     Fate::kRelease},
    {Reason::kClientBrokenParse, "client_broken_parse", Level::kLog, "broken Parse packet", kPooler,
     "broken Parse packet", Fate::kRelease},
    {Reason::kClientBrokenBind, "client_broken_bind", Level::kLog, "broken Bind packet", kPooler, "broken Bind packet",
     Fate::kRelease},
    {Reason::kClientBrokenDescribe, "client_broken_describe", Level::kLog, "broken Describe packet", kPooler,
     "broken Describe packet", Fate::kRelease},
    {Reason::kClientBrokenClose, "client_broken_close", Level::kLog, "broken Close packet", kPooler,
     "broken Close packet", Fate::kRelease},
    {Reason::kOutOfMemory, "out_of_memory", Level::kError, "out of memory", kPooler, "out of memory", Fate::kClose},
    {Reason::kPqexecDisallowed, "pqexec_disallowed", Level::kLog, "PQexec disallowed", kPooler, "PQexec disallowed",
     Fate::kRelease},
    {Reason::kTransactionInStatementMode, "transaction_in_statement_mode", Level::kLog,
     "transaction blocks not allowed in statement pooling mode", kPooler,
     "transaction blocks not allowed in statement pooling mode", Fate::kRelease},

    {Reason::kLoginRefused, "login_refused", Level::kLog, "login refused", kPooler, "login refused", Fate::kNone},
    {Reason::kLoginTimeout, "client_login_timeout", Level::kLog, "client_login_timeout", kPooler,
     "client_login_timeout", Fate::kNone},
    {Reason::kLoginTimeoutServerDown, "client_login_timeout_server_down", Level::kLog,
     "client_login_timeout (server down)", kPooler, "client_login_timeout (server down)", Fate::kNone},
    {Reason::kCancelDone, "cancel_done", Level::kLog, "successfully sent cancel request", "", "", Fate::kNone},
    {Reason::kCancelDropped, "cancel_dropped", Level::kLog, "failed cancel request", "", "", Fate::kNone},
    {Reason::kCancelTimeout, "cancel_wait_timeout", Level::kLog, "cancel_wait_timeout", "", "", Fate::kNone},

    {Reason::kQueryTimeout, "query_timeout", Level::kLog, "query timeout", kPooler, "query timeout", Fate::kClose},
    {Reason::kQueryTimeoutQueued, "query_timeout_queued", Level::kLog, "query_timeout", kPooler, "query_timeout",
     Fate::kNone},
    {Reason::kQueryWaitTimeout, "query_wait_timeout", Level::kLog, "query_wait_timeout", kPooler, "query_wait_timeout",
     Fate::kNone},
    {Reason::kIdleTransactionTimeout, "idle_transaction_timeout", Level::kLog, "idle transaction timeout", kPooler,
     "idle transaction timeout", Fate::kClose},
    {Reason::kTransactionTimeout, "transaction_timeout", Level::kLog, "transaction timeout", kPooler,
     "transaction timeout", Fate::kClose},
    {Reason::kClientIdleTimeout, "client_idle_timeout", Level::kLog, "client_idle_timeout", kPooler,
     "client_idle_timeout", Fate::kNone},
    {Reason::kSuspendTimeout, "suspend_timeout", Level::kLog, "suspend_timeout", kPooler, "suspend_timeout",
     Fate::kClose},
    {Reason::kSuspendUnfit, "suspend_unfit", Level::kLog, "close unsafe fds on suspend", "", "", Fate::kNone},

    {Reason::kAdminDisconnect, "admin_disconnect", Level::kLog, "admin forced disconnect", kPooler,
     "admin forced disconnect", Fate::kRelease},
    {Reason::kDatabaseRemoved, "database_removed", Level::kLog, "database removed", kPooler, "database removed",
     Fate::kClose},
    {Reason::kShuttingDown, "shutting_down", Level::kLog, "pooler is shutting down", kPooler, "pooler is shutting down",
     Fate::kRelease},
    {Reason::kServerShuttingDown, "server_shutting_down", Level::kLog, "server shutting down", kPooler,
     "server shutting down", Fate::kRelease},
    {Reason::kDraining, "draining", Level::kLog, "pgweir stops", "57P01",
     "terminating connection due to administrator command", Fate::kClose},
    {Reason::kConfigChanged, "config_changed", Level::kLog, "database configuration changed", kPooler,
     "database configuration changed", Fate::kClose},
    {Reason::kPauseMode, "pause_mode", Level::kLog, "pause mode", "", "", Fate::kNone},

    {Reason::kServerLost, "server_lost", Level::kLog, "server conn crashed?", kPooler, "server conn crashed?",
     Fate::kClose},
    {Reason::kServerLostIdle, "server_lost_idle", Level::kLog, "server conn crashed?", "", "", Fate::kNone},
    {Reason::kServerFatal, "server_fatal", Level::kLog, "server closed the connection", "", "", Fate::kClose},
    {Reason::kServerUnknownPacket, "server_unknown_packet", Level::kWarning, "unknown pkt", kPooler, "unknown pkt",
     Fate::kClose},
    {Reason::kServerBadHeader, "server_bad_header", Level::kWarning, "bad pkt header", kPooler, "bad pkt header",
     Fate::kClose},
    {Reason::kServerUnsolicited, "server_unsolicited", Level::kWarning, "server spoke while not linked", "", "",
     Fate::kNone},
    {Reason::kAnswerMismatch, "answer_mismatch", Level::kError, "server answered what nobody had asked", kPooler,
     "server answered out of order, connection closed", Fate::kClose},
    {Reason::kImpossibleState, "impossible_state", Level::kError, "impossible state", kPooler,
     "internal error, connection closed", Fate::kClose},
    {Reason::kInvalidParameter, "invalid_parameter", Level::kLog, "invalid server parameter", kPooler,
     "invalid server parameter", Fate::kClose},
    {Reason::kServerLifetime, "server_lifetime", Level::kLog, "server lifetime over", "", "", Fate::kNone},
    {Reason::kServerIdleTimeout, "server_idle_timeout", Level::kLog, "server idle timeout", "", "", Fate::kNone},
    {Reason::kServerEvicted, "server_evicted", Level::kLog, "evicted", "", "", Fate::kNone},
    {Reason::kServerSurplus, "server_surplus", Level::kLog, "too many servers in the pool", "", "", Fate::kNone},
    {Reason::kServerObsolete, "server_obsolete", Level::kLog, "close_needed", "", "", Fate::kNone},
    {Reason::kServerLoginObsolete, "server_login_obsolete", Level::kLog, "connect string changed", "", "", Fate::kNone},
    {Reason::kReplicationClientClosed, "replication_client_closed", Level::kLog, "replication client was closed", "",
     "", Fate::kNone},
    {Reason::kServerNotReady, "server_not_ready", Level::kLog, "client disconnect while server was not ready", "", "",
     Fate::kNone},
    {Reason::kServerCancelInDoubt, "server_cancel_in_doubt", Level::kLog, "a cancel request may still arrive", "", "",
     Fate::kNone},
    {Reason::kServerConnectFailed, "server_connect_failed", Level::kLog, "connect failed", "", "", Fate::kNone},
    {Reason::kServerConnectTimeout, "server_connect_timeout", Level::kLog, "connect timeout", "", "", Fate::kNone},
    {Reason::kServerLoginFailed, "server_login_failed", Level::kLog, "login failed", "", "", Fate::kNone},
    {Reason::kServerTlsRefused, "server_tls_refused", Level::kLog, "server refused SSL", "", "", Fate::kNone},
    {Reason::kServerDnsFailed, "server_dns_failed", Level::kLog, "server DNS lookup failed", "", "", Fate::kNone},
    {Reason::kServerReset, "server_reset_failed", Level::kLog, "reset or check query failed", "", "", Fate::kNone},
    {Reason::kServerStuck, "server_stuck", Level::kError, "did not end in time what it was busy with", "", "",
     Fate::kNone},
    {Reason::kLoginFailing, "login_failing", Level::kLog, "server login has been failing", kPooler,
     "server login has been failing", Fate::kNone},
    {Reason::kDescriptorsExhausted, "descriptors_exhausted", Level::kWarning, "no file descriptor left", "53300",
     "no more connections allowed (file descriptor limit)", Fate::kNone},
    {Reason::kDaemonExit, "daemon_exit", Level::kDebug, "pgweir exits", "", "", Fate::kClose},
}};

constexpr bool in_order() {
  for (size_t at = 0; at < kRows.size(); ++at) {
    if (static_cast<size_t>(kRows[at].reason) != at) return false;
  }
  return true;
}
static_assert(in_order(), "kRows follows the enum");

}  // namespace

const ReasonRow& row_of(Reason reason) {
  return kRows[static_cast<size_t>(reason)];
}

}  // namespace pgweir::session
