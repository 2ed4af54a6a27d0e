// Both SCRAM provers and the mechanism list, fed with a hostile peer's bytes. The first byte chooses what is fed; fixed
// nonces keep runs repeatable. Nobody without the password may get in, and no bound may break.
#include <cstdint>
#include <cstdlib>

#include "auth/scram.hpp"

namespace pgweir::auth {

namespace {

const ScramVerifier& verifier() {
  static const ScramVerifier made = derive_scram_verifier("secret", "0123456789abcdef", 2).take();
  return made;
}

// Two messages to a server: what stands before and behind the first newline.
void feed_server(ByteView text, ScramServer server) {
  server.set_nonce_for_test("NNNNNNNNNNNNNNNNNNNNNNNN");
  const size_t newline = text.find('\n');
  auto first = server.first(text.substr(0, newline));
  if (!first || newline == ByteView::npos) return;
  auto success = server.final(text.substr(newline + 1));
  if (success) std::abort();  // a proof from nothing
}

// Two messages to a client. "NNN...": our nonce stands first, so that the fuzzer need not guess it.
void feed_client(ByteView text, ScramClient client) {
  client.set_nonce_for_test("NNNNNNNN");
  if (!client.first()) std::abort();
  const size_t newline = text.find('\n');
  auto read = client.read_server_first(text.substr(0, newline));
  if (!read) return;
  if (client.rounds() > kMaxScramIterations) std::abort();
  if (client.rounds() > 1000) return;  // allowed, but slow
  if (!client.final()) std::abort();
  if (newline == ByteView::npos) return;
  if (client.verify(text.substr(newline + 1))) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  ByteView text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 6) {
    case 0: feed_server(text, ScramServer::genuine(verifier())); break;
    case 1: feed_server(text, ScramServer::mock("user", "process key", 2)); break;
    case 2: feed_client(text, ScramClient::with_password("secret")); break;
    case 3:
      feed_client(text, ScramClient::with_keys({SecretBytes(std::string(32, 'c')), SecretBytes(std::string(32, 's'))}));
      break;
    case 4: (void)choose_scram_mechanism(text); break;
    case 5: {
      auto parsed = parse_scram_verifier(text);
      if (parsed && !parse_scram_verifier(format_scram_verifier(*parsed))) std::abort();
      break;
    }
  }
  return 0;
}

}  // namespace pgweir::auth
