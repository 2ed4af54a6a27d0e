#include "login/decide.hpp"

#include <array>

#include "base/text.hpp"

namespace pgweir::login {

namespace {

constexpr uint16_t kNewestMinor = 2;
constexpr size_t kLongCancelSecret = 32;

constexpr std::array<std::string_view, 2> kHouseNames = {"pgweir", "pgbouncer"};

bool among_house_names(std::string_view name) {
  for (std::string_view house : kHouseNames) {
    if (name == house) return true;
  }
  return false;
}

// As PostgreSQL's parse_bool: unique prefixes of true and yes, "on", "1".
bool is_true(std::string_view value) {
  const std::string word = lower(value);
  if (word.empty()) return false;
  if (word == "1" || word == "on") return true;
  return std::string_view("true").substr(0, word.size()) == word ||
         std::string_view("yes").substr(0, word.size()) == word;
}

bool is_word_char(char c, bool first) {
  const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  const bool later = (c >= '0' && c <= '9') || c == '$';
  return letter || (!first && later);
}

}  // namespace

Spoken negotiate(uint16_t minor, bool has_options) {
  const uint16_t speak = minor >= kNewestMinor ? kNewestMinor : 0;
  return {speak, speak != minor || has_options};
}

size_t cancel_secret_size(uint16_t minor, bool peers) {
  return minor >= kNewestMinor && !peers ? kLongCancelSecret : 4;
}

int peer_of_key(uint32_t pid) {
  return static_cast<int>((pid >> 16 & 0xff) | (pid & 0xff00));
}

unsigned hops_left(ByteView secret) {
  return secret.size() >= 4 ? static_cast<unsigned char>(secret[3]) & kMostHops : 0;
}

void set_hops(std::string& secret, unsigned hops) {
  if (secret.size() >= 4) secret[3] = static_cast<char>((static_cast<unsigned char>(secret[3]) & ~kMostHops) | hops);
}

Method method_of(settings::AuthType type) {
  switch (type) {
    case settings::AuthType::kTrust: return Method::kTrust;
    case settings::AuthType::kAny: return Method::kAny;
    case settings::AuthType::kPlain: return Method::kCleartext;
    case settings::AuthType::kMd5: return Method::kMd5;
    case settings::AuthType::kScramSha256: return Method::kScram;
    case settings::AuthType::kCert: return Method::kCert;
    case settings::AuthType::kPam: return Method::kPam;
    case settings::AuthType::kLdap: return Method::kLdap;
    default: return Method::kNoRule;
  }
}

Method method_of(const auth::HbaRule* rule) {
  if (!rule) return Method::kNoRule;
  switch (rule->method) {
    case auth::HbaMethod::kTrust: return Method::kTrust;
    case auth::HbaMethod::kReject: return Method::kReject;
    case auth::HbaMethod::kMd5: return Method::kMd5;
    case auth::HbaMethod::kPassword: return Method::kCleartext;
    case auth::HbaMethod::kPeer: return Method::kPeer;
    case auth::HbaMethod::kCert: return Method::kCert;
    case auth::HbaMethod::kScramSha256: return Method::kScram;
    case auth::HbaMethod::kLdap: return Method::kLdap;
  }
  return Method::kReject;
}

bool is_vouched(Method method) {
  return method == Method::kPam || method == Method::kLdap;
}

Method sharpened(Method asked, auth::SecretKind stored) {
  return asked == Method::kMd5 && stored == auth::SecretKind::kScram ? Method::kScram : asked;
}

bool is_console(std::string_view database) {
  return among_house_names(database);
}

bool is_house_user(std::string_view user) {
  return among_house_names(user);
}

char console_rights(std::string_view user, std::string_view admin_users, std::string_view stats_users, bool any) {
  if (user.empty()) return 0;
  if (list_contains(admin_users, user)) return 'a';
  if (any || list_contains(stats_users, user)) return 's';
  return 0;
}

session::Replication replication_of(std::string_view value) {
  if (value == "database") return session::Replication::kLogical;
  return is_true(value) ? session::Replication::kPhysical : session::Replication::kNone;
}

std::string_view replication_word(session::Replication replication) {
  switch (replication) {
    case session::Replication::kNone: return "no";
    case session::Replication::kPhysical: return "yes";
    case session::Replication::kLogical: return "database";
  }
  return "no";
}

std::string name_with_host(std::string_view name, const net::Address& peer, int unix_port, std::string_view host) {
  const std::string_view shown = name.empty() ? std::string_view("app") : name;
  if (!peer.is_unix()) return cat(shown, " - ", peer.text());
  return cat(shown, " - unix(", static_cast<long>(peer.unix_pid()), "@", host, "):", unix_port);
}

bool is_parameter_name(std::string_view name) {
  bool first = true;
  for (char c : name) {
    if (c == '.' && !first) {
      first = true;
      continue;
    }
    if (!is_word_char(c, first)) return false;
    first = false;
  }
  return !name.empty() && !first;
}

}  // namespace pgweir::login
