// Logs in, asks one query and leaves, again and again from several threads, and tells how often and how long it took.
// bench_connect CONNINFO THREADS SECONDS prints a line of JSON. It measures nothing but itself: whoever calls it reads
// the pooler's CPU time. Any failure ends it with status 1.
#include <libpq-fe.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Finish {
  void operator()(PGconn* connection) const { PQfinish(connection); }
  void operator()(PGresult* result) const { PQclear(result); }
};

// True: the whole visit succeeded.
bool visit(const char* target) {
  std::unique_ptr<PGconn, Finish> connection(PQconnectdb(target));
  if (PQstatus(connection.get()) != CONNECTION_OK) {
    std::fprintf(stderr, "%s", PQerrorMessage(connection.get()));
    return false;
  }
  std::unique_ptr<PGresult, Finish> result(PQexec(connection.get(), "SELECT 1"));
  if (PQresultStatus(result.get()) != PGRES_TUPLES_OK) {
    std::fprintf(stderr, "%s", PQerrorMessage(connection.get()));
    return false;
  }
  return true;
}

// The milliseconds of every visit until the deadline.
std::vector<double> visits(const char* target, Clock::time_point deadline, std::atomic<bool>& failed) {
  std::vector<double> times;
  while (Clock::now() < deadline && !failed) {
    const Clock::time_point begun = Clock::now();
    if (!visit(target)) {
      failed = true;
      break;
    }
    times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begun).count());
  }
  return times;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: bench_connect CONNINFO THREADS SECONDS\n");
    return 2;
  }
  const int threads = std::max(1, std::atoi(argv[2]));
  const Clock::time_point begun = Clock::now();
  const Clock::time_point deadline = begun + std::chrono::milliseconds(int(std::atof(argv[3]) * 1000));
  std::atomic<bool> failed = false;
  std::vector<std::vector<double>> each(static_cast<size_t>(threads));
  {
    std::vector<std::thread> running;
    for (std::vector<double>& times : each)
      running.emplace_back([&times, &failed, argv, deadline] { times = visits(argv[1], deadline, failed); });
    for (std::thread& thread : running)
      thread.join();
  }
  const double elapsed = std::chrono::duration<double>(Clock::now() - begun).count();
  std::vector<double> all;
  for (const std::vector<double>& times : each)
    all.insert(all.end(), times.begin(), times.end());
  if (failed || all.empty()) return 1;
  std::sort(all.begin(), all.end());
  double sum = 0;
  for (double time : all)
    sum += time;
  std::printf("{\"transactions\": %zu, \"tps\": %.2f, \"mean_ms\": %.4f, \"p99_ms\": %.4f}\n", all.size(),
              double(all.size()) / elapsed, sum / double(all.size()), all[(all.size() * 99 + 99) / 100 - 1]);
  return 0;
}
