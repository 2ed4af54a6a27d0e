// The HBA and ident grammars. Whatever they accept must be answerable for any client, and every line of the text gives
// at most one rule.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "auth/hba.hpp"

namespace pgweir::auth {

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ByteView text(reinterpret_cast<const char*>(data), size);
  IdentLoad ident = parse_ident(text, "/nonexistent/ident");
  (void)ident.maps.matches("map", "sys", "db");
  if (text.find("@/") != ByteView::npos) return 0;  // would read files of the machine

  IdentMaps maps;
  maps.add("map", {"sys", "db", false});
  HbaLoad load = parse_hba(text, "/nonexistent/hba", maps);
  const auto lines = std::count(text.begin(), text.end(), '\n') + 1;
  if (load.rules->rules().size() > static_cast<size_t>(lines)) std::abort();
  for (const char* address : {"", "10.0.0.1", "::1", "::ffff:10.0.0.1"}) {
    for (int bits = 0; bits < 8; ++bits) {
      HbaClient client;
      client.address = HbaAddress::parse(address);
      client.unix_socket = bits & 1;
      client.tls = bits & 2;
      client.replication = bits & 4;
      client.database = "db";
      client.user = "sys";
      const HbaRule* rule = load.rules->match(client);
      if (rule && (rule->line < 1 || rule->line > lines)) std::abort();
      if (rule && !rule->map.empty() && rule->map != "map") std::abort();
    }
  }
  return 0;
}

}  // namespace pgweir::auth
