// One TLS connection: an SSL object on a BIO of our own, which reads from the stream's socket and hands records to the
// stream to send or keep. So SSL_write never blocks and the records of one send leave in one system call.
// Internal to net/ (it shows OpenSSL); used by Stream only.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "net/stream.hpp"
#include "net/tls.hpp"

namespace pgweir::net {

class TlsSession {
 public:
  // Null: out of memory. `already_read`: what was read of the handshake before.
  static std::unique_ptr<TlsSession> server(std::shared_ptr<const TlsContext> context, ByteView already_read);
  static std::unique_ptr<TlsSession> client(std::shared_ptr<const TlsContext> context, const std::string& verify_host,
                                            const std::string& server_name);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  IoResult handshake(Stream& stream);
  IoResult read(Stream& stream, char* to, size_t room);
  IoResult write(Stream& stream, const char* from, size_t size);
  // Encrypts behind what `records` holds; sends nothing. False: the session cannot go on (tells error()).
  bool seal(Stream& stream, const char* from, size_t size, std::string& records);
  void notify_close(Stream& stream);

  bool ready() const { return ready_; }
  const std::string& error() const { return error_; }
  std::string info() const;
  bool alpn_chosen() const;

  struct FreeCertificate {
    void operator()(X509* certificate) const { X509_free(certificate); }
  };
  std::unique_ptr<X509, FreeCertificate> peer_certificate() const;

  // The verify callback of contexts that check names (tls.cpp).
  static int verify_peer(X509_STORE_CTX* store, void*);

 private:
  struct Bio;  // the callbacks
  struct FreeSsl {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };

  TlsSession() = default;
  static std::unique_ptr<TlsSession> create(std::shared_ptr<const TlsContext> context);
  IoResult failure(int ssl_result, const char* doing);
  bool out_of_budget() const;
  std::string describe(int ssl_error) const;

  std::shared_ptr<const TlsContext> context_;
  std::unique_ptr<SSL, FreeSsl> ssl_;
  Stream* stream_ = nullptr;       // only while a call runs: what the BIO works on
  std::string* gather_ = nullptr;  // only while write() runs: where the records go
  std::string already_read_;
  std::string verify_host_;
  std::string error_;
  std::optional<IoResult> final_;  // the end or the error that reading came to
  size_t budget_ = 0;              // raw bytes that the running call may still read
  size_t control_kept_ = 0;        // bytes of answers to handshake messages that a peer does not read
  int system_error_ = 0;
  bool server_ = false;
  bool ready_ = false;
  bool name_mismatch_ = false;
};

}  // namespace pgweir::net
