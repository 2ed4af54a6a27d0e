// The first bytes of a connection, and the `options` parameter: whatever comes, it is a packet or an error with a text,
// and what was accepted can be written and read again.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "wire/builder.hpp"
#include "wire/options.hpp"
#include "wire/startup.hpp"

namespace pgweir::wire {

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void again(const StartupMessage& message) {
  std::string packet;
  append_startup(packet, uint32_t{message.major} << 16 | message.minor, message.parameters);
  auto parsed = parse_startup(packet);
  require(parsed.ok() && std::get<StartupMessage>(*parsed).parameters == message.parameters);
  for (const auto& [name, value] : message.parameters) {
    require(!name.empty() && name.substr(0, 5) != "_pq_.");
    if (name != "options") continue;
    auto settings = parse_options(value);
    if (!settings) {
      require(settings.error().sqlstate.size() == 5);
      continue;
    }
    require(!settings->empty());
    for (const auto& setting : *settings)
      require(!setting.first.empty());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ByteView bytes(reinterpret_cast<const char*>(data), size);
  auto length = startup_size(bytes);
  if (!length) {
    require(!length.error().message.empty());
    return 0;
  }
  require(*length <= kMostStartup);
  if (*length == 0 || *length > size) return 0;
  auto parsed = parse_startup(bytes.substr(0, *length));
  if (!parsed) {
    require(parsed.error().sqlstate == "08P01" && !parsed.error().message.empty());
  } else if (const auto* message = std::get_if<StartupMessage>(&*parsed)) {
    again(*message);
  } else if (const auto* cancel = std::get_if<CancelRequest>(&*parsed)) {
    require(cancel->secret.size() >= 4 && cancel->secret.size() <= kMostCancelKey);
  }
  return 0;
}

}  // namespace pgweir::wire
