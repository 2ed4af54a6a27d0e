#include "net/tls.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <strings.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "base/text.hpp"
#include "net/tls_session.hpp"

namespace pgweir::net {

namespace {

constexpr unsigned k10 = 1, k11 = 2, k12 = 4, k13 = 8;

struct Version {
  unsigned bit;
  int number;
  uint64_t off;
};
constexpr Version kVersions[] = {
    {k10, TLS1_VERSION, SSL_OP_NO_TLSv1},
    {k11, TLS1_1_VERSION, SSL_OP_NO_TLSv1_1},
    {k12, TLS1_2_VERSION, SSL_OP_NO_TLSv1_2},
    {k13, TLS1_3_VERSION, SSL_OP_NO_TLSv1_3},
};

struct Word {
  const char* name;
  unsigned bits;
};
// The words of libtls, which PgBouncer uses.
constexpr Word kProtocolWords[] = {
    {"all", k10 | k11 | k12 | k13},
    {"default", k12 | k13},
    {"secure", k12 | k13},
    {"tlsv1", k10 | k11 | k12 | k13},
    {"tlsv1.0", k10},
    {"tlsv1.1", k11},
    {"tlsv1.2", k12},
    {"tlsv1.3", k13},
};

// "tlsv1.2, !tlsv1.1": from left to right; a list that begins with a negation starts from all.
Result<unsigned> parse_protocols(const std::string& list) {
  unsigned bits = 0;
  for (size_t at = 0; at <= list.size();) {
    size_t end = std::min(list.find_first_of(",:", at), list.size());
    std::string_view word = trim(std::string_view(list).substr(at, end - at));
    at = end + 1;
    bool negated = word.starts_with('!');
    if (negated) word.remove_prefix(1);
    auto known = std::find_if(std::begin(kProtocolWords), std::end(kProtocolWords),
                              [&](const Word& entry) { return equal_ignoring_case(entry.name, word); });
    if (known == std::end(kProtocolWords)) return Error{cat("unknown TLS protocol \"", word, '"')};
    if (negated && bits == 0) bits = k10 | k11 | k12 | k13;
    bits = negated ? bits & ~known->bits : bits | known->bits;
  }
  if (bits == 0) return Error{"no TLS protocol is left"};
  return bits;
}

// The oldest error in OpenSSL's queue, which is the cause; empties the queue.
std::string ssl_reason() {
  unsigned long code = ERR_get_error();
  const char* reason = code ? ERR_reason_error_string(code) : nullptr;
  ERR_clear_error();
  if (reason) return reason;
  return code && ERR_SYSTEM_ERROR(code) ? errno_text(ERR_GET_REASON(code)) : "unknown";
}

// RFC 7301; PostgreSQL's name. A list without it is refused (no_application_protocol); no list at all never gets here.
int choose_alpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* list, unsigned size,
                void*) {
  static constexpr char kName[] = "postgresql";
  static constexpr size_t kSize = sizeof kName - 1;
  for (unsigned at = 0; at < size;) {
    unsigned length = list[at];
    if (length == 0 || length > size - at - 1) break;
    if (length == kSize && std::memcmp(list + at + 1, kName, kSize) == 0) {
      *out = list + at + 1;
      *out_size = static_cast<unsigned char>(length);
      return SSL_TLSEXT_ERR_OK;
    }
    at += 1 + length;
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

bool one_of(const std::string& text, std::initializer_list<const char*> words) {
  return std::any_of(words.begin(), words.end(), [&](const char* word) { return equal_ignoring_case(text, word); });
}

}  // namespace

struct TlsContextBuilder {
  const TlsOptions& options;
  bool server;
  std::shared_ptr<TlsContext> made{new TlsContext};

  SSL_CTX* context() { return made->context_; }

  Result<void> fail(const std::string& what) { return Error{cat(what, ": ", ssl_reason())}; }

  Result<void> begin() {
    ERR_clear_error();
    made->mode_ = options.mode;
    made->context_ = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    if (!context()) return fail("cannot create a TLS context");
    // No tickets, no sessions: libpq does not resume, and tickets cost 15 % of a connect (notes/floor.md).
    uint64_t off = SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE;
    SSL_CTX_set_options(context(), off);
    SSL_CTX_set_num_tickets(context(), 0);
    SSL_CTX_set_session_cache_mode(context(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(context(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY |
                                    SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_read_ahead(context(), 1);
    static constexpr unsigned char kName[] = "pgweir";
    SSL_CTX_set_session_id_context(context(), kName, sizeof kName - 1);
    // Nobody is there to type a passphrase.
    SSL_CTX_set_default_passwd_cb(context(), [](char*, int, int, void*) { return 0; });
    if (server) SSL_CTX_set_alpn_select_cb(context(), &choose_alpn, nullptr);
    return {};
  }

  Result<void> set_protocols() {
    Result<unsigned> bits = parse_protocols(options.protocols);
    if (!bits) return bits.error();
    int lowest = 0, highest = 0;
    for (const Version& version : kVersions) {
      bool on = *bits & version.bit;
      if (!on) SSL_CTX_set_options(context(), version.off);
      if (on && lowest == 0) lowest = version.number;
      if (on) highest = version.number;
    }
    // Explicitly, so that the system's openssl.cnf does not decide.
    if (!SSL_CTX_set_min_proto_version(context(), lowest) || !SSL_CTX_set_max_proto_version(context(), highest))
      return fail("cannot set the TLS protocols");
    return {};
  }

  Result<void> set_ciphers() {
    if (!options.ciphers.empty() && !one_of(options.ciphers, {"default", "secure", "normal", "fast"}) &&
        SSL_CTX_set_cipher_list(context(), options.ciphers.c_str()) != 1)
      return fail(cat("cannot use the TLS ciphers \"", options.ciphers, '"'));
    if (!options.tls13_ciphers.empty() && SSL_CTX_set_ciphersuites(context(), options.tls13_ciphers.c_str()) != 1)
      return fail(cat("cannot use the TLS 1.3 ciphers \"", options.tls13_ciphers, '"'));
    return {};
  }

  Result<void> set_key_exchange() {
    const bool automatic = one_of(options.ecdhcurve, {"auto", "none", ""});
    const std::string groups = automatic ? "X25519:P-256:X448:P-384:P-521" : options.ecdhcurve;
    if (SSL_CTX_set1_groups_list(context(), groups.c_str()) != 1)
      return fail(cat("cannot use the ECDH curve \"", options.ecdhcurve, '"'));
    if (!one_of(options.dheparams, {"auto", "none", ""}))
      return Error{cat("unknown DHE parameters \"", options.dheparams, '"')};
    SSL_CTX_set_dh_auto(context(), one_of(options.dheparams, {"auto"}) ? 1 : 0);
    return {};
  }

  Result<void> load_certificate() {
    const bool needed = server;
    if (options.cert_file.empty() && options.key_file.empty() && !needed) return {};
    if (options.cert_file.empty()) return Error{"no TLS certificate file is set"};
    if (options.key_file.empty()) return Error{"no TLS key file is set"};
    if (SSL_CTX_use_certificate_chain_file(context(), options.cert_file.c_str()) != 1)
      return fail(cat("cannot load the TLS certificate \"", options.cert_file, '"'));
    if (SSL_CTX_use_PrivateKey_file(context(), options.key_file.c_str(), SSL_FILETYPE_PEM) != 1)
      return fail(cat("cannot load the TLS key \"", options.key_file, '"'));
    if (SSL_CTX_check_private_key(context()) != 1)
      return fail(cat("the TLS key \"", options.key_file, "\" does not belong to the certificate"));
    return {};
  }

  Result<void> load_authorities() {
    const bool verifies = server || options.mode >= TlsMode::kVerifyCa;
    if (!verifies) return {};
    if (server && options.mode == TlsMode::kVerifyFull && options.ca_file.empty())
      return Error{"verify-full needs a TLS CA file"};
    if (options.ca_file.empty()) {
      if (SSL_CTX_set_default_verify_paths(context()) != 1) return fail("cannot use the system's CA bundle");
      return {};
    }
    if (SSL_CTX_load_verify_file(context(), options.ca_file.c_str()) == 1) return {};
    Result<void> failed = fail(cat("cannot load the TLS CA file \"", options.ca_file, '"'));
    if (server) return failed;
    made->ca_error_ = failed.error().message;
    return {};
  }

  // The chain is built once here instead of in every handshake, unless the file holds it.
  void complete_chain() {
    STACK_OF(X509)* chain = nullptr;
    if (options.cert_file.empty() || SSL_CTX_get0_chain_certs(context(), &chain) != 1) return;
    if (chain && sk_X509_num(chain) > 0) return;
    SSL_CTX_build_cert_chain(
        context(), SSL_BUILD_CHAIN_FLAG_NO_ROOT | SSL_BUILD_CHAIN_FLAG_IGNORE_ERROR | SSL_BUILD_CHAIN_FLAG_CLEAR_ERROR);
    ERR_clear_error();
  }

  void set_verification() {
    int how = SSL_VERIFY_NONE;
    if (server || options.mode >= TlsMode::kVerifyCa) how = SSL_VERIFY_PEER;
    if (server && options.mode >= TlsMode::kVerifyCa) how |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(context(), how, nullptr);
    if (!server && options.mode == TlsMode::kVerifyFull)
      SSL_CTX_set_cert_verify_callback(context(), &TlsSession::verify_peer, nullptr);
  }

  Result<std::shared_ptr<const TlsContext>> build() {
    using Step = Result<void> (TlsContextBuilder::*)();
    static constexpr Step kSteps[] = {
        &TlsContextBuilder::begin,
        &TlsContextBuilder::set_protocols,
        &TlsContextBuilder::set_ciphers,
        &TlsContextBuilder::set_key_exchange,
        &TlsContextBuilder::load_certificate,
        &TlsContextBuilder::load_authorities,
    };
    for (Step step : kSteps) {
      Result<void> done = (this->*step)();
      if (!done) return done.error();
    }
    complete_chain();
    set_verification();
    return std::shared_ptr<const TlsContext>(made);
  }
};

TlsContext::~TlsContext() {
  SSL_CTX_free(context_);
}

Result<std::shared_ptr<const TlsContext>> TlsContext::server(const TlsOptions& options) {
  return TlsContextBuilder{options, true}.build();
}

Result<std::shared_ptr<const TlsContext>> TlsContext::client(const TlsOptions& options) {
  return TlsContextBuilder{options, false}.build();
}

std::string TlsContext::check_protocols(const std::string& protocols) {
  Result<unsigned> bits = parse_protocols(protocols);
  return bits ? "" : bits.error().message;
}

}  // namespace pgweir::net
