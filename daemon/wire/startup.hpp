// The untyped packets a connection may begin with. Error texts: compat/wire.md section 2, messages.tsv.
#pragma once

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace pgweir::wire {

inline constexpr uint32_t kProtocol30 = 196608;
inline constexpr uint32_t kProtocol32 = 196610;
inline constexpr size_t kMostStartup = 65535;  // compat/wire.md section 1
inline constexpr size_t kMostCancelKey = 256;

struct SslRequest {};
struct GssEncRequest {};
struct CancelRequest {
  uint32_t pid = 0;
  std::string secret;  // 4 bytes (protocol 3.0) up to 256 (3.2)
};
struct StartupMessage {
  uint16_t major = 3;
  uint16_t minor = 0;
  std::vector<std::pair<std::string, std::string>> parameters;  // in their order, _pq_ ones left out
  std::vector<std::string> protocol_options;                    // names that begin with _pq_.
};
using Startup = std::variant<SslRequest, GssEncRequest, CancelRequest, StartupMessage>;

// The length of the packet that `bytes` begins with, 0 when fewer than four bytes are there. Error: no sane length.
Result<size_t> startup_size(ByteView bytes);
// `packet`: whole, its length included.
Result<Startup> parse_startup(ByteView packet);

}  // namespace pgweir::wire
