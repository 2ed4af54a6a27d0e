// One configuration, whole and immutable: what the ini and the files it names say. Workers hold it by shared pointer; a
// reload makes a new one or changes nothing. Members are named as the settings are; times are in microseconds.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "auth/hba.hpp"
#include "auth/ident.hpp"
#include "auth/secret.hpp"
#include "auth/userlist.hpp"
#include "base/clock.hpp"

namespace pgweir::settings {

enum class AuthType : uint8_t { kAny, kTrust, kPlain, kMd5, kCert, kHba, kLdap, kPam, kScramSha256 };
enum class PoolMode : uint8_t { kSession, kTransaction, kStatement };
enum class SslMode : uint8_t { kDisable, kAllow, kPrefer, kRequire, kVerifyCa, kVerifyFull };
enum class LoadBalance : uint8_t { kRoundRobin, kDisable };

struct Global {
  std::string admin_users{};
  bool application_name_add_host{};
  std::string auth_dbname{};
  std::string auth_file{};
  std::string auth_hba_file{};
  std::string auth_ident_file{};
  std::string auth_ldap_options{};
  std::string auth_query{};
  AuthType auth_type{};
  std::string auth_user{};
  Micros autodb_idle_timeout{};
  bool batched_sends{};
  Micros cancel_wait_timeout{};
  int64_t client_cleanup_bytes{};
  Micros client_cleanup_timeout{};
  Micros client_idle_timeout{};
  Micros client_login_timeout{};
  bool console_extra_columns{};
  bool console_old_columns{};
  std::string client_tls13_ciphers{};
  std::string client_tls_ca_file{};
  std::string client_tls_cert_file{};
  std::string client_tls_ciphers{};
  std::string client_tls_dheparams{};
  std::string client_tls_ecdhcurve{};
  std::string client_tls_key_file{};
  std::string client_tls_protocols{};
  SslMode client_tls_sslmode{};
  std::string conffile{};
  int64_t default_pool_size{};
  bool disable_pqexec{};
  Micros dns_max_ttl{};
  Micros dns_nxdomain_ttl{};
  Micros dns_zone_check_period{};
  bool gathered_reads{};
  Micros idle_transaction_timeout{};
  std::string ignore_startup_parameters{};
  std::string job_name{};
  std::string listen_addr{};
  int64_t listen_backlog{};
  int64_t listen_port{};
  bool log_connections{};
  bool log_disconnections{};
  bool log_pooler_errors{};
  Micros log_slow_queries{};
  bool log_slow_texts{};
  Micros log_slow_transactions{};
  bool log_stats{};
  std::string logfile{};
  std::string login_notify_message{};
  int64_t max_client_conn{};
  int64_t max_db_client_connections{};
  int64_t max_db_connections{};
  uint32_t max_packet_size{};
  int64_t max_prepared_statements{};
  int64_t max_user_client_connections{};
  int64_t max_user_connections{};
  std::string metrics_listen{};
  int64_t min_pool_size{};
  int64_t peer_id{};
  std::string pidfile{};
  int64_t pkt_buf{};
  Micros pool_idle_timeout{};
  PoolMode pool_mode{};
  Micros query_timeout{};
  int64_t query_wait_notify{};
  Micros shutdown_timeout{};
  std::string journal;
  Micros query_wait_timeout{};
  int64_t reserve_pool_size{};
  Micros reserve_pool_timeout{};
  std::string resolv_conf{};
  int64_t sbuf_loopcnt{};
  int64_t scram_iterations{};
  Micros server_check_delay{};
  std::string server_check_query{};
  Micros server_connect_timeout{};
  bool server_fast_close{};
  Micros server_idle_timeout{};
  Micros server_lifetime{};
  Micros server_login_retry{};
  std::string server_reset_query{};
  bool server_reset_query_always{};
  bool server_round_robin{};
  std::string server_tls13_ciphers{};
  std::string server_tls_ca_file{};
  std::string server_tls_cert_file{};
  std::string server_tls_ciphers{};
  std::string server_tls_key_file{};
  std::string server_tls_protocols{};
  SslMode server_tls_sslmode{};
  bool so_reuseport{};
  int64_t stats_period{};
  std::string stats_users{};
  Micros suspend_timeout{};
  bool syslog{};
  std::string syslog_facility{};
  std::string syslog_ident{};
  bool tcp_defer_accept{};
  bool tcp_keepalive{};
  int64_t tcp_keepcnt{};
  int64_t tcp_keepidle{};
  int64_t tcp_keepintvl{};
  int64_t tcp_socket_buffer{};
  int64_t tcp_user_timeout{};
  std::string track_extra_parameters{};
  Micros transaction_timeout{};
  std::string unix_socket_dir{};
  std::string unix_socket_group{};
  int64_t unix_socket_mode{};
  std::string user{};
  int64_t verbose{};
  std::string workers{};

  unsigned worker_count() const;  // `workers` worked out for this machine
  bool operator==(const Global&) const = default;
};

// An entry of [databases]. Optional members are unset: the user's or the global value counts.
struct Database {
  std::string name;
  std::vector<std::string> hosts;  // empty: the unix socket in unix_socket_dir
  std::string host_text;           // as configured
  int port = 5432;
  std::string dbname;
  std::optional<std::string> user;
  std::optional<auth::Secret> password;
  std::optional<std::string> auth_user;
  std::optional<std::string> auth_query;
  std::optional<std::string> auth_dbname;
  std::optional<int> pool_size;
  std::optional<int> min_pool_size;
  std::optional<int> reserve_pool_size;
  std::optional<int> max_db_connections;
  std::optional<int> max_db_client_connections;
  std::optional<Micros> server_lifetime;
  std::optional<Micros> query_wait_timeout;
  std::optional<Micros> log_slow_queries;
  std::optional<Micros> log_slow_transactions;
  std::optional<PoolMode> pool_mode;
  LoadBalance load_balance_hosts = LoadBalance::kRoundRobin;
  std::string connect_query;
  std::optional<std::string> client_encoding;
  std::optional<std::string> datestyle;
  std::optional<std::string> timezone;
  std::optional<std::string> application_name;
};

// An entry of [users].
struct User {
  std::string name;
  std::optional<int> pool_size;
  std::optional<int> reserve_pool_size;
  std::optional<PoolMode> pool_mode;
  std::optional<int> max_user_connections;
  std::optional<int> max_user_client_connections;
  std::optional<Micros> query_timeout;
  std::optional<Micros> idle_transaction_timeout;
  std::optional<Micros> transaction_timeout;
  std::optional<Micros> client_idle_timeout;
  std::optional<Micros> query_wait_timeout;
  std::optional<Micros> log_slow_queries;
  std::optional<Micros> log_slow_transactions;
};

struct Peer {
  int id = 0;
  std::string host;
  int port = 6432;
  std::optional<int> pool_size;
};

bool operator==(const Database& one, const Database& other);
bool operator==(const User& one, const User& other);
bool operator==(const Peer& one, const Peer& other);

struct Snapshot {
  Global global;
  std::map<std::string, std::shared_ptr<const Database>> databases;
  std::shared_ptr<const Database> fallback;  // the "*" entry
  std::map<std::string, User> users;
  std::map<int, Peer> peers;
  std::shared_ptr<const auth::Userlist> userlist;  // never null
  std::shared_ptr<const auth::HbaRules> hba;       // never null
  std::shared_ptr<const auth::IdentMaps> ident;    // never null
  std::shared_ptr<const auth::LdapOptions> ldap;   // of auth_type=ldap; null: unset, or they cannot be used
};

// -- what holds for a pool: user beats database beats global --
PoolMode pool_mode(const Snapshot& snapshot, const Database& database, const std::string& user);
int pool_size(const Snapshot& snapshot, const Database& database, const std::string& user);
int pool_size(const Snapshot& snapshot, const Peer& peer);
int reserve_pool_size(const Snapshot& snapshot, const Database& database, const std::string& user);
int min_pool_size(const Snapshot& snapshot, const Database& database);
int max_db_connections(const Snapshot& snapshot, const Database& database);
int max_db_client_connections(const Snapshot& snapshot, const Database& database);
int max_user_connections(const Snapshot& snapshot, const std::string& user);
int max_user_client_connections(const Snapshot& snapshot, const std::string& user);
Micros server_lifetime(const Snapshot& snapshot, const Database& database);
Micros query_timeout(const Snapshot& snapshot, const std::string& user);
Micros idle_transaction_timeout(const Snapshot& snapshot, const std::string& user);
Micros transaction_timeout(const Snapshot& snapshot, const std::string& user);
Micros client_idle_timeout(const Snapshot& snapshot, const std::string& user);
Micros query_wait_timeout(const Snapshot& snapshot, const Database& database, const std::string& user);
Micros log_slow_queries(const Snapshot& snapshot, const Database& database, const std::string& user);
Micros log_slow_transactions(const Snapshot& snapshot, const Database& database, const std::string& user);

// The "*" entry as an entry of that name (its dbname is the name unless the template has one).
std::shared_ptr<const Database> from_fallback(const Snapshot& snapshot, const std::string& name);
// Whether servers of the old entry are of no use under the new one (compat/config_file.md section 7).
bool needs_recycling(const Database& before, const Database& after);

const char* word_of(AuthType value);
const char* word_of(PoolMode value);
const char* word_of(SslMode value);
const char* word_of(LoadBalance value);

}  // namespace pgweir::settings
