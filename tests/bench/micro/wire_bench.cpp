// What the hot path does with bytes: headers of a batch, the startup packet, the head of a Bind. Figures are for
// comparing two builds on one machine, not for passing or failing.
#include <benchmark/benchmark.h>

#include <string>

#include "track/rewrite.hpp"
#include "wire/builder.hpp"
#include "wire/framing.hpp"
#include "wire/startup.hpp"

namespace pgweir {
namespace {

constexpr uint32_t kMost = 0x7fffffff;

// A result of `rows` rows as a server sends it.
std::string answer(size_t rows, size_t width) {
  std::string bytes;
  wire::append_row_description(bytes, {{"aid"}, {"abalance"}});
  const std::string value(width, 'x');
  for (size_t row = 0; row < rows; ++row)
    wire::append_data_row(bytes, {value});
  wire::append_command_complete(bytes, "SELECT " + std::to_string(rows));
  wire::append_ready_for_query(bytes, 'I');
  return bytes;
}

// Every header of a result; argument: rows.
void framing_scan(benchmark::State& state) {
  const std::string bytes = answer(static_cast<size_t>(state.range(0)), 20);
  size_t messages = 0;
  for (auto _ : state) {
    size_t at = 0;
    wire::Header header;
    while (at < bytes.size() && wire::parse_header(ByteView(bytes).substr(at), kMost, header) == wire::Frame::kOk) {
      benchmark::DoNotOptimize(header);
      at += header.size();
      ++messages;
    }
  }
  state.SetItemsProcessed(static_cast<int64_t>(messages));
}
BENCHMARK(framing_scan)->Arg(1)->Arg(1000);

void startup_parse(benchmark::State& state) {
  std::string packet;
  wire::append_startup(packet, wire::kProtocol30,
                       {{"user", "bench"},
                        {"database", "bench"},
                        {"application_name", "pgbench"},
                        {"client_encoding", "UTF8"},
                        {"DateStyle", "ISO, MDY"},
                        {"extra_float_digits", "2"}});
  for (auto _ : state) {
    auto startup = wire::parse_startup(packet);
    benchmark::DoNotOptimize(startup);
  }
}
BENCHMARK(startup_parse);

// The names of a Bind, and a new head with another statement's name.
void bind_rename(benchmark::State& state) {
  std::string body;
  body.append("", 1).append("P_0", 4);
  append_be16(body, 0);
  append_be16(body, 1);
  append_be32(body, 5);
  body.append("12345");
  append_be16(body, 0);
  for (auto _ : state) {
    track::BindNames names;
    if (track::read_bind(body, body.size(), names) != track::Seen::kOk) state.SkipWithError("not a Bind");
    std::string head = track::bind_head(names, body.size(), "PGWEIR_17");
    benchmark::DoNotOptimize(head);
  }
}
BENCHMARK(bind_rename);

}  // namespace
}  // namespace pgweir
