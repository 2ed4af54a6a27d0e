// TLS contexts from settings.
#pragma once

#include "net/tls.hpp"
#include "settings/snapshot.hpp"

namespace pgweir::workers {

// Null when TLS is off for clients.
Result<std::shared_ptr<const net::TlsContext>> client_context(const settings::Global& global);
// Null when TLS is off towards servers.
Result<std::shared_ptr<const net::TlsContext>> server_context(const settings::Global& global);

// Whether connections to servers made under `before` are obsolete under `after`.
bool server_tls_changed(const settings::Global& before, const settings::Global& after);

}  // namespace pgweir::workers
