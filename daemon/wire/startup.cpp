#include "wire/startup.hpp"

#include "base/text.hpp"
#include "wire/reader.hpp"

namespace pgweir::wire {

namespace {

constexpr uint32_t kSslRequest = 80877103;
constexpr uint32_t kGssEncRequest = 80877104;
constexpr uint32_t kCancelRequest = 80877102;

Error bad_header(ByteView packet) {
  return Error{cat("bad packet header: '", hex(packet, 8), "'"), "08P01"};
}

Result<Startup> parse_cancel(Reader& reader, ByteView packet) {
  CancelRequest request;
  request.pid = reader.u32();
  request.secret = reader.rest();
  bool sane = reader.ok() && request.secret.size() >= 4 && request.secret.size() <= kMostCancelKey;
  if (!sane) return bad_header(packet);
  return Startup{std::move(request)};
}

Result<Startup> parse_parameters(Reader& reader, uint32_t version) {
  const Error bad_layout{"invalid startup packet layout: expected terminator as last byte", "08P01"};
  StartupMessage message;
  message.major = static_cast<uint16_t>(version >> 16);
  message.minor = static_cast<uint16_t>(version & 0xffff);
  for (;;) {
    ByteView name = reader.cstring();
    if (!reader.ok()) return bad_layout;
    if (name.empty()) break;
    ByteView value = reader.cstring();
    if (!reader.ok()) return bad_layout;
    if (name.substr(0, 5) == "_pq_.") {
      message.protocol_options.emplace_back(name);
    } else {
      message.parameters.emplace_back(name, value);
    }
  }
  if (!reader.at_end()) return bad_layout;
  return Startup{std::move(message)};
}

}  // namespace

Result<size_t> startup_size(ByteView bytes) {
  if (bytes.size() < 4) return size_t{0};
  size_t size = load_be32(bytes.data());
  if (size < 8 || size > kMostStartup) return bad_header(bytes);
  return size;
}

Result<Startup> parse_startup(ByteView packet) {
  Reader reader(packet);
  uint32_t size = reader.u32();
  uint32_t version = reader.u32();
  if (!reader.ok() || size != packet.size()) return bad_header(packet);
  Startup request;  // an SslRequest; not moved from a temporary, of which g++ 12 with sanitizers warns wrongly
  if (version == kSslRequest && packet.size() == 8) return request;
  if (version == kGssEncRequest && packet.size() == 8) {
    request.emplace<GssEncRequest>();
    return request;
  }
  if (version == kCancelRequest) return parse_cancel(reader, packet);
  if (version >> 16 == 3) return parse_parameters(reader, version);
  if (version >> 16 == 2) return Error{"old V2 protocol not supported", "08P01"};
  return bad_header(packet);
}

}  // namespace pgweir::wire
