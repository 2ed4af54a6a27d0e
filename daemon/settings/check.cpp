#include "settings/check.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <map>

#include "base/build.hpp"
#include "base/text.hpp"
#include "settings/table.hpp"

namespace pgweir::settings {

namespace {

constexpr size_t kLongestSocketDir = 90;  // sun_path has 108 bytes, the socket's name needs 17

Result<void> check_workers(const std::string& text) {
  if (text == "auto") return {};
  auto number = parse_int(text);
  if (!number || *number < 1 || *number > 64) return Error{"must be auto or a number between 1 and 64"};
  return {};
}

Result<void> check_protocols(const std::string& text) {
  static constexpr const char* kWords[] = {"all",     "default", "secure",  "tlsv1",
                                           "tlsv1.0", "tlsv1.1", "tlsv1.2", "tlsv1.3"};
  std::string list = text;
  std::replace(list.begin(), list.end(), ':', ',');
  for (std::string word : split_names(list)) {
    if (word[0] == '!') word.erase(0, 1);
    bool known =
        std::any_of(std::begin(kWords), std::end(kWords), [&](auto w) { return equal_ignoring_case(w, word); });
    if (!known) return Error{cat("\"", word, "\" is none of all, secure, tlsv1.0, tlsv1.1, tlsv1.2, tlsv1.3")};
  }
  return {};
}

Result<void> check_dheparams(const std::string& text) {
  if (text == "auto" || text == "none") return {};
  return Error{"must be auto or none"};
}

Result<void> check_socket_dir(const std::string& text) {
  if (text.size() > kLongestSocketDir) return Error{cat("is longer than ", kLongestSocketDir, " bytes")};
  return {};
}

Result<void> check_name_or_address(const std::string& item) {
  if (item.find(':') != std::string::npos) {
    in6_addr parsed{};
    std::string bare = item.substr(0, item.find('%'));  // a scope is the system's business
    if (::inet_pton(AF_INET6, bare.c_str(), &parsed) != 1) {
      return Error{cat("\"", item, "\" is no IPv6 address (a port does not belong here)")};
    }
  }
  for (char c : item) {
    if (static_cast<unsigned char>(c) <= ' ' || c == '[' || c == ']' || c == '/' || c == 0x7f)
      return Error{cat("\"", item, "\" is neither an address nor a host name")};
  }
  return {};
}

Result<void> check_journal(const std::string& text) {
  if (text == "auto" || text == "off" || text.starts_with("/")) return {};
  return Error{"must be auto, off, or the absolute path of a socket"};
}

Result<void> check_listen_addr(const std::string& text) {
  for (const std::string& item : split_names(text)) {
    if (item == "*") continue;
    Result<void> fine = check_name_or_address(item);
    if (!fine) return fine;
  }
  return {};
}

// "127.0.0.1:9127,[::1]:9127"
Result<void> check_metrics_listen(const std::string& text) {
  for (const std::string& item : split_names(text)) {
    const size_t colon = item.rfind(':');
    const bool bracketed = item.starts_with('[') && colon != std::string::npos && colon > 1 && item[colon - 1] == ']';
    const bool plain = colon != std::string::npos && colon > 0 && item.find(':') == colon;
    const std::string port = colon == std::string::npos ? "" : item.substr(colon + 1);
    const bool number = !port.empty() && port.size() <= 5 && port.find_first_not_of("0123456789") == std::string::npos;
    in6_addr ip{};
    const std::string host = bracketed ? item.substr(1, colon - 2) : item.substr(0, colon);
    const bool address = inet_pton(bracketed ? AF_INET6 : AF_INET, host.c_str(), &ip) == 1;
    if ((!bracketed && !plain) || !address || !number || std::stoi(port) < 1 || std::stoi(port) > 65535)
      return Error{cat("must be addresses with ports, like 127.0.0.1:9127 or [::1]:9127, not ", item)};
  }
  return {};
}

}  // namespace

Result<void> check_text(const std::string& name, const std::string& text) {
  static const std::map<std::string, Result<void> (*)(const std::string&)> kChecks = {
      {"workers", check_workers},
      {"client_tls_protocols", check_protocols},
      {"server_tls_protocols", check_protocols},
      {"client_tls_dheparams", check_dheparams},
      {"unix_socket_dir", check_socket_dir},
      {"listen_addr", check_listen_addr},
      {"journal", check_journal},
      {"metrics_listen", check_metrics_listen},
  };
  auto check = kChecks.find(name);
  return check == kChecks.end() ? Result<void>() : check->second(text);
}

Result<void> check_host(const std::string& host) {
  if (host[0] == '/' || host[0] == '@') return check_socket_dir(host);
  return check_name_or_address(host);
}

bool reserved_database(const std::string& name) {
  return name == "pgweir" || name == "pgbouncer";
}

void check_together(const Global& global, const std::function<void(const char*, std::string)>& report) {
  const bool tls = global.client_tls_sslmode != SslMode::kDisable;
  if (tls && global.client_tls_cert_file.empty()) {
    report("client_tls_sslmode", "TLS setup failed: client_tls_sslmode needs client_tls_cert_file");
  }
  if (tls && global.client_tls_key_file.empty()) {
    report("client_tls_sslmode", "TLS setup failed: client_tls_sslmode needs client_tls_key_file");
  }
  if (global.client_tls_sslmode == SslMode::kVerifyFull && global.client_tls_ca_file.empty()) {
    report("client_tls_sslmode", "TLS setup failed: client_tls_sslmode verify-full needs client_tls_ca_file");
  }
  if (global.auth_type == AuthType::kCert && global.client_tls_sslmode != SslMode::kVerifyFull) {
    report("auth_type", "auth_type cert needs client_tls_sslmode verify-full");
  }
  if (global.auth_type == AuthType::kPam && !kHasPam) {
    report("auth_type", "this pgweir was built without PAM (PGWEIR_PAM)");
  }
  if (global.auth_type == AuthType::kLdap && !kHasLdap) {
    report("auth_type", "this pgweir was built without LDAP (PGWEIR_LDAP)");
  }
  if (reserved_database(global.auth_dbname)) {
    report("auth_dbname", cat("cannot use the reserved \"", global.auth_dbname, "\" database as an auth_dbname"));
  }
  if (global.server_tls_cert_file.empty() != global.server_tls_key_file.empty()) {
    const char* given = global.server_tls_cert_file.empty() ? "server_tls_key_file" : "server_tls_cert_file";
    const char* lacks = global.server_tls_cert_file.empty() ? "server_tls_cert_file" : "server_tls_key_file";
    report(given, cat("TLS setup failed: ", given, " needs ", lacks));
  }
}

}  // namespace pgweir::settings
