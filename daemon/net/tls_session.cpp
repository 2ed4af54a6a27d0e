#include "net/tls_session.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "base/text.hpp"
#include "net/tls_names.hpp"

namespace pgweir::net {

namespace {
// A peer that lets us work without ever sending data: raw bytes that may be read for nothing in one call, and answers
// (KeyUpdate) that may pile up unread.
constexpr size_t kRawAllowance = size_t{256} * 1024;
constexpr size_t kMostControl = size_t{64} * 1024;
}  // namespace

struct TlsSession::Bio {
  static TlsSession& session(BIO* bio) { return *static_cast<TlsSession*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* to, int room) {
    TlsSession& self = session(bio);
    BIO_clear_retry_flags(bio);
    if (room <= 0 || !self.stream_) return -1;
    if (!self.already_read_.empty()) {
      size_t part = std::min(self.already_read_.size(), static_cast<size_t>(room));
      std::memcpy(to, self.already_read_.data(), part);
      self.already_read_.erase(0, part);
      return static_cast<int>(part);
    }
    // No edge, no bytes: the system call that would say so is saved. Out of budget: the same answer, the edge stays.
    if (!self.stream_->edge_ || self.budget_ == 0) {
      BIO_set_retry_read(bio);
      return -1;
    }
    IoResult got = self.stream_->receive(to, static_cast<size_t>(room));
    if (got.status == IoStatus::kOk) {
      self.budget_ -= std::min(self.budget_, got.bytes);
      return static_cast<int>(got.bytes);
    }
    if (got.status == IoStatus::kEof) return 0;
    if (got.status == IoStatus::kAgain) BIO_set_retry_read(bio);
    self.system_error_ = got.error;
    return -1;
  }

  static int write(BIO* bio, const char* from, int size) {
    TlsSession& self = session(bio);
    BIO_clear_retry_flags(bio);
    if (size <= 0 || !self.stream_) return -1;
    auto count = static_cast<size_t>(size);
    if (self.gather_) {
      try {
        self.gather_->append(from, count);
      } catch (const std::bad_alloc&) {
        return -1;
      }
      return size;
    }
    self.control_kept_ = self.stream_->unsent() > 0 ? self.control_kept_ + count : 0;
    if (self.control_kept_ <= kMostControl && self.stream_->send_records(from, count)) return size;
    self.system_error_ = EPIPE;
    return -1;
  }

  static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

  // Made once, never changed.
  static const BIO_METHOD* method() {
    struct Free {
      void operator()(BIO_METHOD* made) const { BIO_meth_free(made); }
    };
    static const std::unique_ptr<BIO_METHOD, Free> kMethod = [] {
      std::unique_ptr<BIO_METHOD, Free> made(BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "pgweir stream"));
      if (!made) return made;
      BIO_meth_set_read(made.get(), &Bio::read);
      BIO_meth_set_write(made.get(), &Bio::write);
      BIO_meth_set_ctrl(made.get(), &Bio::control);
      return made;
    }();
    return kMethod.get();
  }
};

namespace {
// What the BIO works on, for the time of a call.
class Working {
 public:
  Working(Stream*& slot, Stream& stream) : slot_(slot) {
    slot = &stream;
    ERR_clear_error();
  }
  ~Working() { slot_ = nullptr; }
  Working(const Working&) = delete;
  Working& operator=(const Working&) = delete;

 private:
  Stream*& slot_;
};
}  // namespace

TlsSession::~TlsSession() = default;

std::unique_ptr<TlsSession> TlsSession::create(std::shared_ptr<const TlsContext> context) {
  std::unique_ptr<TlsSession> session(new (std::nothrow) TlsSession);
  if (!session || !Bio::method()) return nullptr;
  session->ssl_.reset(SSL_new(context->native()));
  BIO* bio = session->ssl_ ? BIO_new(Bio::method()) : nullptr;
  if (!bio) return nullptr;
  BIO_set_data(bio, session.get());
  BIO_set_init(bio, 1);
  SSL_set_bio(session->ssl_.get(), bio, bio);
  SSL_set_app_data(session->ssl_.get(), session.get());
  session->context_ = std::move(context);
  return session;
}

std::unique_ptr<TlsSession> TlsSession::server(std::shared_ptr<const TlsContext> context, ByteView already_read) {
  auto session = create(std::move(context));
  if (!session) return nullptr;
  session->server_ = true;
  session->already_read_ = already_read;
  SSL_set_accept_state(session->ssl_.get());
  return session;
}

std::unique_ptr<TlsSession> TlsSession::client(std::shared_ptr<const TlsContext> context,
                                               const std::string& verify_host, const std::string& server_name) {
  auto session = create(std::move(context));
  if (!session) return nullptr;
  session->verify_host_ = verify_host;
  const std::string& sni = server_name.empty() ? verify_host : server_name;
  if (!sni.empty() && sni.size() <= 255 && !Address::parse_ip(sni, 0))
    SSL_set_tlsext_host_name(session->ssl_.get(), sni.c_str());
  SSL_set_connect_state(session->ssl_.get());
  return session;
}

int TlsSession::verify_peer(X509_STORE_CTX* store, void*) {
  int chain = X509_verify_cert(store);
  if (chain != 1) return chain;
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* self = ssl ? static_cast<TlsSession*>(SSL_get_app_data(ssl)) : nullptr;
  X509* certificate = X509_STORE_CTX_get0_cert(store);
  if (self && certificate && certificate_matches(certificate, self->verify_host_)) return 1;
  if (self) self->name_mismatch_ = true;
  X509_STORE_CTX_set_error(store, X509_V_ERR_HOSTNAME_MISMATCH);
  return 0;
}

IoResult TlsSession::handshake(Stream& stream) {
  if (ready_) return {IoStatus::kOk, 1, 0};
  if (final_) return *final_;
  if (!server_ && !context_->ca_error().empty()) {
    error_ = context_->ca_error();
    final_ = IoResult{IoStatus::kError, 0, EPROTO};
    return *final_;
  }
  Working working(stream_, stream);
  budget_ = kRawAllowance;
  int result = SSL_do_handshake(ssl_.get());
  if (result != 1) {
    IoResult failed = failure(result, "handshake failed");
    if (failed.status == IoStatus::kAgain) stream.tls_more_ = false;
    return failed;
  }
  ready_ = true;
  already_read_.shrink_to_fit();
  stream.tls_more_ = true;  // data may have come with the last flight
  // Without tickets nothing follows our Finished; a client with Nagle on would wait 40 ms for a delayed
  // acknowledgement.
  int one = 1;
  if (server_) setsockopt(stream.fd(), IPPROTO_TCP, TCP_QUICKACK, &one, sizeof one);
  return {IoStatus::kOk, 1, 0};
}

IoResult TlsSession::read(Stream& stream, char* to, size_t room) {
  if (final_) {
    stream.tls_more_ = stream.edge_ = false;
    return *final_;
  }
  if (!ready_) return {IoStatus::kError, 0, EPROTO};
  Working working(stream_, stream);
  budget_ = room + kRawAllowance;
  size_t got = 0;
  while (got < room) {
    size_t part = 0;
    if (SSL_read_ex(ssl_.get(), to + got, room - got, &part) == 1) {
      got += part;
      continue;
    }
    if (got > 0 && out_of_budget()) {  // many small records, honestly filled: go on with the next call
      stream.tls_more_ = true;
      return {IoStatus::kOk, got, 0};
    }
    IoResult stopped = failure(0, "read failed");
    stream.tls_more_ = stopped.status != IoStatus::kAgain && got > 0;  // the end is told by the next call
    return got > 0 ? IoResult{IoStatus::kOk, got, 0} : stopped;
  }
  stream.tls_more_ = SSL_has_pending(ssl_.get()) == 1;
  return {IoStatus::kOk, got, 0};
}

bool TlsSession::seal(Stream& stream, const char* from, size_t size, std::string& records) {
  if (!ready_ || (final_ && final_->status == IoStatus::kError)) return false;
  Working working(stream_, stream);
  size_t written = 0;
  gather_ = &records;
  int result = SSL_write_ex(ssl_.get(), from, size, &written);
  gather_ = nullptr;
  if (result != 1) error_ = cat("write failed: ", describe(SSL_get_error(ssl_.get(), result)));
  return result == 1 && written == size;
}

IoResult TlsSession::write(Stream& stream, const char* from, size_t size) {
  std::string& records = stream.loop()->cipher_scratch();
  records.clear();
  if (!seal(stream, from, size, records)) return {IoStatus::kError, 0, EPROTO};
  if (!stream.send_records(records.data(), records.size())) return {IoStatus::kError, 0, EPIPE};
  return {IoStatus::kOk, size, 0};
}

void TlsSession::notify_close(Stream& stream) {
  if (!ready_ || (final_ && final_->status == IoStatus::kError)) return;
  Working working(stream_, stream);
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

bool TlsSession::out_of_budget() const {
  return budget_ == 0 && stream_->edge_;
}

// What an SSL call that did not succeed means. Everything but kAgain is final.
IoResult TlsSession::failure(int ssl_result, const char* doing) {
  int why = SSL_get_error(ssl_.get(), ssl_result);
  const bool overdone = out_of_budget();
  if (why == SSL_ERROR_WANT_READ && !overdone) return {IoStatus::kAgain, 0, 0};
  unsigned long code = ERR_peek_error();
  bool cut = why == SSL_ERROR_SYSCALL && system_error_ == 0 && code == 0;
  bool cut_in_record = why == SSL_ERROR_SSL && ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
  if (why == SSL_ERROR_ZERO_RETURN || cut || cut_in_record) {
    error_ = ready_ ? "" : cat(doing, ": the peer closed the connection");
    final_ = IoResult{IoStatus::kEof, 0, 0};
  } else {
    std::string text = overdone ? "too many handshake messages" : describe(why);
    error_ = cat(doing, ": ", text);
    final_ = IoResult{IoStatus::kError, 0, why == SSL_ERROR_SYSCALL && system_error_ ? system_error_ : EPROTO};
  }
  ERR_clear_error();
  return *final_;
}

std::string TlsSession::describe(int ssl_error) const {
  if (name_mismatch_) return cat("name \"", verify_host_, "\" not present in server certificate");
  if (ssl_error == SSL_ERROR_SYSCALL && system_error_) return errno_text(system_error_);
  unsigned long code = ERR_peek_error();
  const char* reason = code ? ERR_reason_error_string(code) : nullptr;
  std::string text = reason ? reason : "unknown error";
  long verified = SSL_get_verify_result(ssl_.get());
  if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED && verified != X509_V_OK)
    text += cat(" (", X509_verify_cert_error_string(verified), ')');
  return text;
}

std::string TlsSession::info() const {
  if (!ready_) return "";
  std::string cipher = SSL_get_cipher_name(ssl_.get());
  std::string text = cat(SSL_get_version(ssl_.get()), '/', cipher);
  if (SSL_version(ssl_.get()) >= TLS1_3_VERSION) return text;
  if (cipher.starts_with("ECDHE")) {
    const char* group = OBJ_nid2sn(static_cast<int>(SSL_get_negotiated_group(ssl_.get())));
    if (group) text += cat("/ECDH=", group);
  } else if (EVP_PKEY* key = nullptr; cipher.starts_with("DHE") && SSL_get_peer_tmp_key(ssl_.get(), &key) == 1) {
    text += cat("/DH=", EVP_PKEY_get_bits(key));
    EVP_PKEY_free(key);
  }
  return text;
}

bool TlsSession::alpn_chosen() const {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &name, &size);
  return size > 0;
}

std::unique_ptr<X509, TlsSession::FreeCertificate> TlsSession::peer_certificate() const {
  return std::unique_ptr<X509, FreeCertificate>(SSL_get1_peer_certificate(ssl_.get()));
}

}  // namespace pgweir::net
