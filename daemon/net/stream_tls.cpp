// The TLS side of Stream: it hands through to TlsSession and reads the peer's certificate.
#include <new>

#include "net/stream.hpp"
#include "net/tls_names.hpp"
#include "net/tls_session.hpp"

namespace pgweir::net {

namespace {
constexpr size_t kKeptScratch = size_t{1024} * 1024;

void shrink(std::string& scratch) {
  if (scratch.capacity() > kKeptScratch) std::string().swap(scratch);
}

// Many pieces are laid together first: each SSL_write makes records of its own. Throws bad_alloc.
ByteView together(const iovec* pieces, int count, std::string& scratch) {
  if (count == 1) return {static_cast<const char*>(pieces->iov_base), pieces->iov_len};
  scratch.clear();
  for (int i = 0; i < count; ++i)
    scratch.append(static_cast<const char*>(pieces[i].iov_base), pieces[i].iov_len);
  return scratch;
}
}  // namespace

bool Stream::start_tls_server(std::shared_ptr<const TlsContext> context, ByteView already_read) {
  assert(open() && !tls_);
  tls_ = TlsSession::server(std::move(context), already_read);
  tls_more_ = true;
  return bool(tls_);
}

bool Stream::start_tls_client(std::shared_ptr<const TlsContext> context, const std::string& verify_host,
                              const std::string& server_name) {
  assert(open() && !tls_);
  tls_ = TlsSession::client(std::move(context), verify_host, server_name);
  tls_more_ = true;
  return bool(tls_);
}

IoResult Stream::handshake() {
  if (!tls_ || fd_ < 0) return {IoStatus::kError, 0, EPROTO};
  return tls_->handshake(*this);
}

IoResult Stream::tls_write(const iovec* pieces, int count) {
  IoResult result{IoStatus::kError, 0, ENOMEM};
  try {
    ByteView plain = together(pieces, count, loop_->scratch());
    result = tls_->write(*this, plain.data(), plain.size());
    shrink(loop_->scratch());
    shrink(loop_->cipher_scratch());
  } catch (const std::bad_alloc&) {
    result = {IoStatus::kError, 0, ENOMEM};
  }
  if (result.status == IoStatus::kError && !broken_) break_off();
  return result;
}

bool Stream::seal(const iovec* pieces, int count, std::string& records) {
  bool sealed = false;
  try {
    ByteView plain = together(pieces, count, loop_->scratch());
    sealed = tls_->seal(*this, plain.data(), plain.size(), records);
    shrink(loop_->scratch());
  } catch (const std::bad_alloc&) {
    sealed = false;
  }
  if (!sealed && !broken_) break_off();
  return sealed;
}

bool Stream::tls_ready() const {
  return tls_ && tls_->ready();
}

std::string Stream::tls_info() const {
  return tls_ ? tls_->info() : "";
}

std::string Stream::tls_error() const {
  return tls_ ? tls_->error() : "";
}

bool Stream::tls_alpn_chosen() const {
  return tls_ && tls_->alpn_chosen();
}

bool Stream::tls_peer_has_certificate() const {
  return tls_ && tls_->peer_certificate();
}

bool Stream::tls_peer_name_matches(const std::string& name) const {
  auto certificate = tls_ ? tls_->peer_certificate() : nullptr;
  return certificate && certificate_matches(certificate.get(), name);
}

std::string Stream::tls_peer_common_name() const {
  auto certificate = tls_ ? tls_->peer_certificate() : nullptr;
  return certificate ? certificate_common_name(certificate.get()) : "";
}

std::vector<std::string> Stream::tls_peer_dns_names() const {
  auto certificate = tls_ ? tls_->peer_certificate() : nullptr;
  return certificate ? certificate_dns_names(certificate.get()) : std::vector<std::string>{};
}

std::string Stream::tls_peer_subject() const {
  auto certificate = tls_ ? tls_->peer_certificate() : nullptr;
  return certificate ? certificate_subject(certificate.get()) : "";
}

}  // namespace pgweir::net
