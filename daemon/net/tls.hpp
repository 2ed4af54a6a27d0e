// TLS contexts: certificates, versions, ciphers and the rule for verifying the peer, fixed when made and shared by all
// streams that use them. A reload makes a new context; streams keep the one they started with.
// Source of the rules: compat/wire.md section 17, settings.tsv client_tls_* and server_tls_*.
#pragma once

#include <memory>
#include <string>

#include "base/result.hpp"

struct ssl_ctx_st;

namespace pgweir::net {

enum class TlsMode : unsigned char { kDisable, kAllow, kPrefer, kRequire, kVerifyCa, kVerifyFull };

struct TlsOptions {
  TlsMode mode = TlsMode::kPrefer;
  std::string cert_file;
  std::string key_file;
  std::string ca_file;               // empty: the system's bundle
  std::string ciphers = "default";   // default, secure, normal, fast (the library's default) or an OpenSSL list
  std::string tls13_ciphers;         // empty: the library's default
  std::string protocols = "secure";  // list of all, default, secure, tlsv1, tlsv1.0 ... tlsv1.3; '!' negates
  std::string ecdhcurve = "auto";    // none, auto (X25519 first) or an OpenSSL curve name
  std::string dheparams = "auto";    // none or auto

  bool operator==(const TlsOptions&) const = default;
};

class TlsContext {
 public:
  // For accepted connections. A client certificate is optional and verified when shown; verify-ca and verify-full
  // demand one. Error: cert_file, key_file (or, for verify-full, ca_file) missing or unusable, a list that cannot be
  // read.
  static Result<std::shared_ptr<const TlsContext>> server(const TlsOptions& options);
  // For connections to servers. verify-ca checks the chain, verify-full also the name (Stream::start_tls_client), the
  // others nothing. A ca_file that cannot be read makes every handshake fail, not the context (compat/settings.tsv).
  static Result<std::shared_ptr<const TlsContext>> client(const TlsOptions& options);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  ssl_ctx_st* native() const { return context_; }
  TlsMode mode() const { return mode_; }
  bool verifies_name() const { return mode_ == TlsMode::kVerifyFull; }
  const std::string& ca_error() const { return ca_error_; }  // why no server can be verified; "" mostly

  // What server() and client() check of the words alone, for validating a configuration. Returns the first fault, or
  // "".
  static std::string check_protocols(const std::string& protocols);

 private:
  TlsContext() = default;
  friend struct TlsContextBuilder;
  ssl_ctx_st* context_ = nullptr;
  TlsMode mode_ = TlsMode::kPrefer;
  std::string ca_error_;
};

}  // namespace pgweir::net
