// LDAP: a simple bind as prefix + user + suffix, or a search for the user and a bind as what was found. TLS and much
// else go by OpenLDAP's ldap.conf, as for every program on libldap. Each wait is bounded: for a connection, for an
// answer, and for half an answer, too (libldap would wait for its rest for ever).
#include "vouch/vouch.hpp"

#include "base/build.hpp"
#include "base/text.hpp"

#ifdef PGWEIR_LDAP

#include <sys/socket.h>
#include <sys/time.h>

// Brings struct ldap_conncb's arguments.
#include <lber.h>
#include <ldap.h>

#include <algorithm>
#include <array>
#include <mutex>

namespace pgweir::vouch {

namespace {

using auth::LdapOptions;

constexpr size_t kMostDiagnostic = 300;  // of a directory's own words in the log

struct Unbind {
  void operator()(LDAP* handle) const { ldap_unbind_ext_s(handle, nullptr, nullptr); }
};
using Handle = std::unique_ptr<LDAP, Unbind>;

struct FreeMessage {
  void operator()(LDAPMessage* message) const { ldap_msgfree(message); }
};
using Message = std::unique_ptr<LDAPMessage, FreeMessage>;

struct FreeMemory {
  void operator()(char* memory) const { ldap_memfree(memory); }
};
using Memory = std::unique_ptr<char, FreeMemory>;

timeval seconds(Seconds count) {
  return timeval{count.count(), 0};
}

// libldap's blocking reads end, too.
int bound_reads(LDAP*, Sockbuf* buffer, LDAPURLDesc*, sockaddr*, ldap_conncb*) {
  ber_socket_t fd = -1;
  ber_sockbuf_ctrl(buffer, LBER_SB_OPT_GET_FD, &fd);
  const timeval patience = seconds(kAnswerPatience);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  return 0;
}
void nothing_to_do(LDAP*, Sockbuf*, ldap_conncb*) {}

std::string words_of(LDAP* handle, int status) {
  char* said = nullptr;
  ldap_get_option(handle, LDAP_OPT_DIAGNOSTIC_MESSAGE, &said);
  const Memory owner(said);
  std::string text = ldap_err2string(status);
  if (said && *said) text += cat(" (", std::string_view(said).substr(0, kMostDiagnostic), ")");
  return text;
}

// One connection with a directory.
class Conversation {
 public:
  explicit Conversation(const Question& question) : question_(question), options_(*question.ldap) {}

  // Empty: open, with TLS if that was asked for; else why not.
  std::string open() {
    const std::string uris = uris_of();
    if (uris.empty()) return cat("could not find LDAP servers for base DN \"", options_.base_dn, '"');
    LDAP* made = nullptr;
    int status = ldap_initialize(&made, uris.c_str());
    handle_.reset(made);
    if (status != LDAP_SUCCESS) return cat("could not initialize LDAP: ", ldap_err2string(status));
    const int version = LDAP_VERSION3;
    const timeval connect = seconds(kConnectPatience);
    ldap_set_option(made, LDAP_OPT_PROTOCOL_VERSION, &version);
    ldap_set_option(made, LDAP_OPT_NETWORK_TIMEOUT, &connect);
    ldap_set_option(made, LDAP_OPT_CONNECT_CB, &on_connect_);
    if (!options_.start_tls) return {};
    if (!has_time()) return "no time left";
    status = ldap_start_tls_s(made, nullptr, nullptr);
    return status == LDAP_SUCCESS ? "" : cat("could not start LDAP TLS session: ", words_of(made, status));
  }

  // `chase`: referrals of the answer may be followed. A password is never sent on to where a directory points.
  int bind(const std::string& name, ByteView password, bool chase) {
    if (!has_time()) return LDAP_TIMEOUT;
    ldap_set_option(handle_.get(), LDAP_OPT_REFERRALS, chase ? LDAP_OPT_ON : LDAP_OPT_OFF);
    // libldap writes nothing there.
    berval secret{password.size(), const_cast<char*>(password.data())};  // NOLINT(*-const-cast)
    return ldap_sasl_bind_s(handle_.get(), name.c_str(), LDAP_SASL_SIMPLE, &secret, nullptr, nullptr, nullptr);
  }

  // Into `name`: the one entry that the user has. Empty, or why not.
  std::string find(std::string& name) {
    static constexpr int kScopes[] = {LDAP_SCOPE_BASE, LDAP_SCOPE_ONELEVEL, LDAP_SCOPE_SUBTREE};
    std::array<char, 4> no_attributes{LDAP_NO_ATTRS};
    std::array<char*, 2> attributes{no_attributes.data(), nullptr};
    const std::string filter = auth::ldap_search_filter(options_, question_.user);
    LDAPMessage* got = nullptr;
    if (!has_time()) return "no time left";
    timeval patience = seconds(left());
    const int status =
        ldap_search_ext_s(handle_.get(), options_.base_dn.c_str(), kScopes[static_cast<size_t>(options_.scope)],
                          filter.c_str(), attributes.data(), 0, nullptr, nullptr, &patience, 2, &got);
    const Message owner(got);
    if (status == LDAP_SIZELIMIT_EXCEEDED) return cat("LDAP user \"", question_.user, "\" is not unique");
    if (status != LDAP_SUCCESS)
      return cat("could not search LDAP for filter \"", filter, "\": ", words_of(handle_.get(), status));
    const int count = ldap_count_entries(handle_.get(), got);
    if (count < 1) return cat("LDAP user \"", question_.user, "\" does not exist");
    if (count > 1) return cat("LDAP user \"", question_.user, "\" is not unique");
    const Memory found(ldap_get_dn(handle_.get(), ldap_first_entry(handle_.get(), got)));
    if (!found || !*found) return cat("LDAP user \"", question_.user, "\" has no name to bind as");
    name = found.get();
    return {};
  }

  std::string words(int status) const { return words_of(handle_.get(), status); }

 private:
  std::string uris_of() const {
    if (!options_.servers.empty()) return auth::ldap_uris(options_, options_.servers);
    char* domain = nullptr;
    char* hosts = nullptr;
    if (ldap_dn2domain(options_.base_dn.c_str(), &domain) != LDAP_SUCCESS || !domain) return {};
    const Memory own_domain(domain);
    if (ldap_domain2hostlist(domain, &hosts) != LDAP_SUCCESS || !hosts) return {};
    const Memory own_hosts(hosts);
    return auth::ldap_uris(options_, hosts);
  }

  Seconds left() const {
    const auto rest = question_.until - std::chrono::steady_clock::now();
    return std::min(kAnswerPatience,
                    std::chrono::ceil<Seconds>(std::max(rest, std::chrono::steady_clock::duration::zero())));
  }

  // Bounds the next call by what is left; false: nothing is.
  bool has_time() {
    const timeval patience = seconds(left());
    ldap_set_option(handle_.get(), LDAP_OPT_TIMEOUT, &patience);
    return patience.tv_sec > 0;
  }

  const Question& question_;
  const LdapOptions& options_;
  ldap_conncb on_connect_{bound_reads, nothing_to_do, nullptr};
  Handle handle_;  // ends before what it calls
};

// The name to bind as, by a search. Empty, or why not.
std::string find_name(const Question& question, std::string& name) {
  const LdapOptions& options = *question.ldap;
  if (!auth::fits_ldap_search(question.user)) return "invalid character in user name for LDAP authentication";
  Conversation search(question);
  std::string fault = search.open();
  if (!fault.empty()) return fault;
  const int status = search.bind(options.bind_dn, options.bind_password.view(), true);
  if (status != LDAP_SUCCESS)
    return cat("could not perform initial LDAP bind for ldapbinddn \"", options.bind_dn, "\": ", search.words(status));
  return search.find(name);
}

std::string check(const Question& question) {
  if (!question.ldap) return "the LDAP options cannot be used";
  if (question.password.empty()) return "an empty password";
  std::string name;
  std::string fault;
  if (question.ldap->searches) {
    fault = find_name(question, name);
  } else {
    name = auth::ldap_bind_name(*question.ldap, question.user);
  }
  if (fault.empty() && name.empty()) fault = "no name to bind as";  // that would be a bind as nobody
  if (!fault.empty()) return fault;
  Conversation login(question);
  fault = login.open();
  if (!fault.empty()) return fault;
  const int status = login.bind(name, question.password.view(), false);
  if (status == LDAP_SUCCESS) return {};
  return cat("LDAP login failed for user \"", question.user, "\": ", login.words(status));
}

// libldap reads its configuration at its first use, which is not made for several threads at a time.
void prepare() {
  static std::once_flag once;
  std::call_once(once, [] {
    int version = 0;
    ldap_get_option(nullptr, LDAP_OPT_PROTOCOL_VERSION, &version);
  });
}

}  // namespace

Verdict ask_ldap(const Question& question) {
  Verdict verdict;
  prepare();
  verdict.why = check(question);
  verdict.accepted = verdict.why.empty();
  return verdict;
}

}  // namespace pgweir::vouch

#else

namespace pgweir::vouch {

Verdict ask_ldap(const Question&) {
  Verdict verdict;
  verdict.why = "this pgweir was built without LDAP";
  return verdict;
}

}  // namespace pgweir::vouch

#endif
