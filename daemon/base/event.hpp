// What a log record is about: its kind, stable for those who watch the log. The journal's MESSAGE_ID and the text that
// `journalctl -x` shows belong to it (service/message_ids.cpp, systemd/pgweir.catalog). Why connections close is told
// by the table of close reasons (session/reasons.hpp), whose names are kinds as well.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pgweir {

enum class Event : uint8_t {
  // the process
  kProcessUp,
  kStartFailed,
  kSettingsProblem,  // an error or a warning about the configuration, with its place
  kReloadAsked,
  kReloadFailed,
  kNeedsRestart,
  kDatabaseDropped,
  kDatabaseMade,
  kListening,
  kSocketPassed,
  kListenFailed,
  kListenIgnored,
  kAcceptFailed,
  kDescriptors,
  kDescriptorsFew,
  kShutdown,
  kShutdownDone,
  kShutdownTimeout,
  kPauseOrResume,  // by a signal
  kConsoleCommand,
  kConsoleError,
  kStats,
  kSends,  // whether messages leave in batches
  kWorkerSilent,
  kWorkerBack,
  kTestOrders,
  kLogLost,
  kLogRepeated,
  // clients
  kLoginAttempt,
  kLoginFailed,
  kClientTlsFailed,
  kPoolerError,
  kLongWait,
  kSlowQuery,
  kSlowTransaction,
  // servers
  kServerConnected,
  kServerTls,
  kServerRefused,  // a login that the server, or what it said, made fail
  kServerUnreachable,
  kConnectQueryFailed,
  kServerNews,  // something that it said or did, told before the close that follows
  kUnexplainedAnswer,
  kCancelFailed,
  kReservePool,
  kZoneChecked,  // a DNS zone has changed, or cannot be asked
  kImpossible,
  kCount,
};

inline constexpr std::array<std::string_view, static_cast<size_t>(Event::kCount)> kEventNames = {
    "process_up",
    "start_failed",
    "settings_problem",
    "reload_asked",
    "reload_failed",
    "needs_restart",
    "database_dropped",
    "database_made",
    "listening",
    "socket_passed",
    "listen_failed",
    "listen_ignored",
    "accept_failed",
    "descriptors",
    "descriptors_few",
    "shutdown",
    "shutdown_done",
    "shutdown_timeout",
    "pause_or_resume",
    "console_command",
    "console_error",
    "stats",
    "sends",
    "worker_silent",
    "worker_back",
    "test_orders",
    "log_lost",
    "log_repeated",
    "login_attempt",
    "login_failed",
    "client_tls_failed",
    "pooler_error",
    "long_wait",
    "slow_query",
    "slow_transaction",
    "server_connected",
    "server_tls",
    "server_refused",
    "server_unreachable",
    "connect_query_failed",
    "server_news",
    "unexplained_answer",
    "cancel_failed",
    "reserve_pool",
    "zone_checked",
    "impossible",
};

constexpr std::string_view name_of(Event event) {
  return kEventNames[static_cast<size_t>(event)];
}

}  // namespace pgweir
