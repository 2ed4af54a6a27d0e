// Why connections end: one table, no free-text closes. A row names log level, SQLSTATE and text for the client, what
// becomes of the server, and so what a log reader and a monitor can rely on (texts: compat/messages.tsv).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/log.hpp"

namespace pgweir::session {

// What becomes of the server that was attached to the client.
enum class Fate : uint8_t {
  kNone,     // there is none, or it is the one that closes
  kRelease,  // back to the pool when it is in sync, else cancelled, rolled back and reused within the budget
  kClose,    // closed with the client
};

enum class Reason : uint8_t {
  // the client's doing
  kClientTerminate,
  kClientEof,
  kClientProbe,  // it left before it said who it is: most likely somebody who looks whether we are there
  kClientSocketError,
  kClientBadHeader,
  kClientUnknownPacket,
  kClientBrokenParse,
  kClientBrokenBind,
  kClientBrokenDescribe,
  kClientBrokenClose,
  kOutOfMemory,  // a message that needs more memory than there is, of a client or for it
  kPqexecDisallowed,
  kTransactionInStatementMode,
  // login
  kLoginRefused,  // the text is the login's own
  kLoginTimeout,
  kLoginTimeoutServerDown,
  kCancelDone,
  kCancelDropped,  // nobody to be cancelled, or no way to the peer that has him
  kCancelTimeout,
  // limits and timeouts
  kQueryTimeout,
  kQueryTimeoutQueued,
  kQueryWaitTimeout,
  kIdleTransactionTimeout,
  kTransactionTimeout,
  kClientIdleTimeout,
  kSuspendTimeout,
  kSuspendUnfit,
  // the operator's doing
  kAdminDisconnect,
  kDatabaseRemoved,
  kShuttingDown,
  kServerShuttingDown,
  kDraining,       // a stop that lets transactions end: the client has none, or its time is up
  kConfigChanged,  // obsolete server, or the link to one under server_fast_close
  kPauseMode,
  // servers
  kServerLost,  // "server conn crashed?": the connection broke while a client was attached
  kServerLostIdle,
  kServerFatal,  // its own FATAL was passed on
  kServerUnknownPacket,
  kServerBadHeader,
  kServerUnsolicited,  // spoke while nobody had asked
  kAnswerMismatch,     // a reply that nothing owed: never pooled again
  kImpossibleState,
  kInvalidParameter,  // a SET for the client was refused
  kServerLifetime,
  kServerIdleTimeout,
  kServerEvicted,
  kServerSurplus,
  kServerObsolete,
  kServerLoginObsolete,  // its login was under way for a configuration that is no more
  kReplicationClientClosed,
  kServerNotReady,       // released or abandoned in the middle of work, beyond the clean-up budget
  kServerCancelInDoubt,  // a cancel request was given up that may still hit whoever has this server
  kServerConnectFailed,
  kServerConnectTimeout,
  kServerLoginFailed,  // the text is the server's own
  kServerTlsRefused,
  kServerDnsFailed,
  kServerReset,   // its reset, check or clean-up query failed
  kServerStuck,   // what it was busy with did not even end at its deadline: upkeep's safety net
  kLoginFailing,  // refused at once: "server login has been failing"
  kDescriptorsExhausted,
  kDaemonExit,
  kCount,
};

struct ReasonRow {
  Reason reason;
  std::string_view name;         // stable, for counters and the journal: "query_timeout"
  Level level;                   // of the "closing because" line
  std::string_view log_text;     // "closing because: ..."
  std::string_view sqlstate;     // for the client; empty: the client is told nothing
  std::string_view client_text;  // FATAL text; empty: the client is told nothing
  Fate fate;
};

const ReasonRow& row_of(Reason reason);

}  // namespace pgweir::session
