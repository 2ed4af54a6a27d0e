// What the hot path remembers: the ledger of answers owed, the statement maps, the difference of parameters at attach.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "track/parameters.hpp"
#include "track/reply_queue.hpp"
#include "track/statements.hpp"

namespace pgweir::track {
namespace {

void must_forward(benchmark::State& state, const Match& match) {
  if (match.verdict != Match::Verdict::kForward) state.SkipWithError("the ledger refuses an answer");
}

// Query, and its RowDescription, DataRow, CommandComplete, ReadyForQuery.
void ledger_simple(benchmark::State& state) {
  ReplyQueue queue;
  for (auto _ : state) {
    queue.expect(Kind::kQuery, Action::kForward);
    for (char type : {'T', 'D', 'C'})
      must_forward(state, queue.match(type, {}));
    must_forward(state, queue.match('Z', "I"));
  }
}
BENCHMARK(ledger_simple);

// Bind, Describe, Execute, Sync, as pgbench's prepared mode sends them; argument: batches in one pipeline.
void ledger_prepared(benchmark::State& state) {
  const int64_t batches = state.range(0);
  ReplyQueue queue;
  for (auto _ : state) {
    for (int64_t batch = 0; batch < batches; ++batch)
      for (Kind kind : {Kind::kBind, Kind::kDescribe, Kind::kExecute, Kind::kSync})
        queue.expect(kind, Action::kForward);
    for (int64_t batch = 0; batch < batches; ++batch) {
      for (char type : {'2', 'T', 'D', 'C'})
        must_forward(state, queue.match(type, {}));
      must_forward(state, queue.match('Z', "I"));
    }
  }
  state.SetItemsProcessed(state.iterations() * batches);
}
BENCHMARK(ledger_prepared)->Arg(1)->Arg(32);

// A row of a large result, the short way.
void ledger_row(benchmark::State& state) {
  ReplyQueue queue;
  queue.expect(Kind::kQuery, Action::kForward);
  must_forward(state, queue.match('T', {}));
  for (auto _ : state) {
    bool hidden = false;
    benchmark::DoNotOptimize(queue.takes_row(&hidden));
    benchmark::DoNotOptimize(hidden);
  }
}
BENCHMARK(ledger_row);

// A client's name to the shared statement, and whether the server has it; argument: how many it has.
void statement_lookup(benchmark::State& state) {
  const auto count = static_cast<size_t>(state.range(0));
  StatementRegistry registry;
  ClientStatements client;
  ServerStatements server;
  std::vector<std::string> names;
  for (size_t number = 0; number < count; ++number) {
    std::string body = "SELECT " + std::to_string(number) + " + $1";
    body.append("\0\0\0", 3);
    StatementPtr statement = registry.find_or_make(body);
    names.push_back("S_" + std::to_string(number));
    client.add(names.back(), statement);
    server.sent(statement, 1);
    server.confirm(*statement);
  }
  uint64_t batch = 2;
  for (auto _ : state) {
    const StatementPtr* found = client.find(names[batch % count]);
    if (!found || !server.use(**found, batch)) state.SkipWithError("a statement is gone");
    ++batch;
  }
}
BENCHMARK(statement_lookup)->Arg(1)->Arg(10)->Arg(200);

// A Parse of a text that another client has prepared already.
void statement_registry(benchmark::State& state) {
  StatementRegistry registry;
  std::string body = "SELECT abalance FROM pgbench_accounts WHERE aid = $1";
  body.append("\0\0\0", 3);
  const StatementPtr kept = registry.find_or_make(body);
  for (auto _ : state)
    benchmark::DoNotOptimize(registry.find_or_make(body));
}
BENCHMARK(statement_registry);

ParameterSet parameters(const TrackedPtr& names, ByteView application) {
  ParameterSet set;
  set.init(names);
  set.set("DateStyle", "ISO, MDY");
  set.set("client_encoding", "UTF8");
  set.set("TimeZone", "Etc/UTC");
  set.set("standard_conforming_strings", "on");
  set.set("application_name", application);
  return set;
}

// At attach: nothing differs, which is the common case.
void parameters_same(benchmark::State& state) {
  const TrackedPtr names = std::make_shared<const TrackedNames>(std::vector<std::string>{"IntervalStyle"});
  ParameterSet client = parameters(names, "app");
  ParameterSet server = parameters(names, "app");
  for (auto _ : state)
    benchmark::DoNotOptimize(replay(client, server));
}
BENCHMARK(parameters_same);

// At attach: two applications take turns on one server.
void parameters_differ(benchmark::State& state) {
  const TrackedPtr names = std::make_shared<const TrackedNames>(std::vector<std::string>{"IntervalStyle"});
  ParameterSet clients[] = {parameters(names, "one"), parameters(names, "other")};
  ParameterSet server = parameters(names, "app");
  size_t turn = 0;
  for (auto _ : state)
    benchmark::DoNotOptimize(replay(clients[turn++ % 2], server));
}
BENCHMARK(parameters_differ);

}  // namespace
}  // namespace pgweir::track
