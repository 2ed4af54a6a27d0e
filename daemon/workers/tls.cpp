#include "workers/tls.hpp"

#include "base/text.hpp"

namespace pgweir::workers {

namespace {

net::TlsOptions client_options(const settings::Global& global) {
  net::TlsOptions options;
  options.mode = static_cast<net::TlsMode>(global.client_tls_sslmode);
  options.cert_file = global.client_tls_cert_file;
  options.key_file = global.client_tls_key_file;
  options.ca_file = global.client_tls_ca_file;
  options.ciphers = global.client_tls_ciphers;
  options.tls13_ciphers = global.client_tls13_ciphers;
  options.protocols = global.client_tls_protocols;
  options.ecdhcurve = global.client_tls_ecdhcurve;
  options.dheparams = global.client_tls_dheparams;
  return options;
}

net::TlsOptions server_options(const settings::Global& global) {
  net::TlsOptions options;
  options.mode = static_cast<net::TlsMode>(global.server_tls_sslmode);
  options.cert_file = global.server_tls_cert_file;
  options.key_file = global.server_tls_key_file;
  options.ca_file = global.server_tls_ca_file;
  options.ciphers = global.server_tls_ciphers;
  options.tls13_ciphers = global.server_tls13_ciphers;
  options.protocols = global.server_tls_protocols;
  return options;
}

static_assert(static_cast<int>(settings::SslMode::kVerifyFull) == static_cast<int>(net::TlsMode::kVerifyFull));

}  // namespace

Result<std::shared_ptr<const net::TlsContext>> client_context(const settings::Global& global) {
  if (global.client_tls_sslmode == settings::SslMode::kDisable) return std::shared_ptr<const net::TlsContext>();
  auto made = net::TlsContext::server(client_options(global));
  if (!made) return Error{cat("TLS setup failed: client_tls: ", made.error().message)};
  return made;
}

Result<std::shared_ptr<const net::TlsContext>> server_context(const settings::Global& global) {
  if (global.server_tls_sslmode == settings::SslMode::kDisable) return std::shared_ptr<const net::TlsContext>();
  auto made = net::TlsContext::client(server_options(global));
  if (!made) return Error{cat("TLS setup failed: server_tls: ", made.error().message)};
  return made;
}

bool server_tls_changed(const settings::Global& before, const settings::Global& after) {
  net::TlsOptions old_options = server_options(before);
  net::TlsOptions new_options = server_options(after);
  old_options.tls13_ciphers = new_options.tls13_ciphers;
  return !(old_options == new_options);
}

}  // namespace pgweir::workers
