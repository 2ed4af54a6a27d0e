// A login by SCRAM-SHA-256: with a verifier that is there already, and the derivation of one from a password.
#include <benchmark/benchmark.h>

#include "auth/scram.hpp"

namespace pgweir::auth {
namespace {

constexpr char kSalt[] = "0123456789abcdef";
constexpr uint32_t kIterations = 4096;

// Both sides of the exchange; the client's keys are remembered, so that no PBKDF2 is in it.
void scram_exchange(benchmark::State& state) {
  const ScramVerifier verifier = derive_scram_verifier("secret", kSalt, kIterations).take();
  ScramMemory memory;
  for (auto _ : state) {
    ScramClient client = ScramClient::with_password("secret", memory);
    ScramServer server = ScramServer::genuine(verifier);
    auto client_first = client.first();
    auto server_first = server.first(*client_first);
    if (!client.read_server_first(*server_first)) state.SkipWithError("the client refuses");
    auto client_final = client.final();
    auto success = server.final(*client_final);
    if (!success || !client.verify(success->server_final)) {
      state.SkipWithError("no login");
      break;
    }
    memory = client.memory();
  }
}
BENCHMARK(scram_exchange);

void scram_derive(benchmark::State& state) {
  for (auto _ : state)
    benchmark::DoNotOptimize(derive_scram_verifier("secret", kSalt, kIterations));
}
BENCHMARK(scram_derive)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace pgweir::auth
