// Many clients at once: all log in, then each asks for one row, again and again, for some seconds.
//     bench_crowd CONNINFO CLIENTS THREADS SECONDS
// prints a line of JSON. Each thread waits with epoll, so that a client more costs the crowd itself next to nothing:
// pgbench looks at all its connections in every poll, which with 2,000 of them takes more time than the pooler does.
// Before that it prints "asking", when all have logged in: whoever calls it reads the pooler's CPU time at both lines.
// Any failure ends it with status 1.
#include <libpq-fe.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
constexpr int kRows = 100'000;  // of pgbench_accounts, at scale 1

struct Finish {
  void operator()(PGconn* connection) const { PQfinish(connection); }
  void operator()(PGresult* result) const { PQclear(result); }
};

struct Member {
  std::unique_ptr<PGconn, Finish> connection;
  Clock::time_point asked;
};

struct Shared {
  std::atomic<bool> failed = false;
  Clock::time_point deadline;
};

class Part {  // of the crowd: one thread's
 public:
  Part(unsigned seed, size_t members) : random_(seed), members_(members) {}
  ~Part() {
    if (epoll_ >= 0) close(epoll_);
  }
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;

  bool log_in(const char* target) {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    for (size_t at = 0; at < members_.size(); ++at) {
      PGconn* connection = PQconnectdb(target);
      members_[at].connection.reset(connection);
      if (PQstatus(connection) != CONNECTION_OK) return complain(connection);
      epoll_event wanted{};
      wanted.events = EPOLLIN;
      wanted.data.u64 = at;
      if (epoll_ctl(epoll_, EPOLL_CTL_ADD, PQsocket(connection), &wanted) != 0) return false;
    }
    return true;
  }

  // Until the deadline; then what is still owed is waited for.
  bool ask_all(const Shared& shared) {
    for (Member& member : members_)
      if (!ask(member)) return false;
    for (size_t owed = members_.size(); owed > 0;) {
      epoll_event events[64];
      const int count = epoll_wait(epoll_, events, 64, 30'000);
      if (count <= 0 || shared.failed) return false;
      for (int i = 0; i < count; ++i) {
        Member& member = members_[events[i].data.u64];
        bool answered = false;
        if (!take_answer(member, &answered)) return false;
        if (!answered) continue;
        if (Clock::now() < shared.deadline) {
          if (!ask(member)) return false;
        } else {
          --owed;
        }
      }
    }
    return true;
  }

  const std::vector<float>& times() const { return times_; }  // milliseconds

 private:
  static bool complain(PGconn* connection) {
    std::fprintf(stderr, "%s", PQerrorMessage(connection));
    return false;
  }

  bool ask(Member& member) {
    char text[96];
    std::snprintf(text, sizeof text, "SELECT abalance FROM pgbench_accounts WHERE aid = %d", row_(random_));
    member.asked = Clock::now();
    return PQsendQuery(member.connection.get(), text) || complain(member.connection.get());
  }

  bool take_answer(Member& member, bool* answered) {
    PGconn* connection = member.connection.get();
    if (!PQconsumeInput(connection)) return complain(connection);
    while (!PQisBusy(connection)) {
      std::unique_ptr<PGresult, Finish> result(PQgetResult(connection));
      if (!result) {
        times_.push_back(std::chrono::duration<float, std::milli>(Clock::now() - member.asked).count());
        *answered = true;
        return true;
      }
      if (PQresultStatus(result.get()) != PGRES_TUPLES_OK || PQntuples(result.get()) != 1) return complain(connection);
    }
    return true;
  }

  std::mt19937 random_;
  std::uniform_int_distribution<int> row_{1, kRows};
  std::vector<Member> members_;
  std::vector<float> times_;
  int epoll_ = -1;
};

double percentile(const std::vector<float>& sorted, double part) {
  const auto rank = static_cast<size_t>(part * static_cast<double>(sorted.size()));
  return static_cast<double>(sorted[std::min(rank, sorted.size() - 1)]);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: bench_crowd CONNINFO CLIENTS THREADS SECONDS\n");
    return 2;
  }
  const auto clients = static_cast<size_t>(std::max(1, std::atoi(argv[2])));
  const size_t threads = std::clamp<size_t>(static_cast<size_t>(std::max(1, std::atoi(argv[3]))), 1, clients);
  const std::chrono::milliseconds length(static_cast<int>(std::atof(argv[4]) * 1000));
  Shared shared;
  std::vector<std::unique_ptr<Part>> parts;
  for (size_t at = 0; at < threads; ++at)
    parts.push_back(std::make_unique<Part>(static_cast<unsigned>(at), (clients + at) / threads));
  Clock::time_point begun;
  std::barrier all_here(static_cast<std::ptrdiff_t>(threads), [&]() noexcept {
    begun = Clock::now();
    shared.deadline = begun + length;
    std::puts("asking");
    std::fflush(stdout);
  });
  {
    std::vector<std::thread> running;
    for (auto& part : parts)
      running.emplace_back([&] {
        if (!part->log_in(argv[1])) shared.failed = true;
        all_here.arrive_and_wait();
        if (shared.failed || !part->ask_all(shared)) shared.failed = true;
      });
    for (std::thread& thread : running)
      thread.join();
  }
  const Clock::time_point ended = Clock::now();
  std::vector<float> all;
  for (auto& part : parts)
    all.insert(all.end(), part->times().begin(), part->times().end());
  if (shared.failed || all.empty()) return 1;
  std::sort(all.begin(), all.end());
  double sum = 0;
  for (float time : all)
    sum += static_cast<double>(time);
  const double count = static_cast<double>(all.size());
  std::printf(
      "{\"transactions\": %zu, \"tps\": %.2f, \"mean_ms\": %.4f, \"p50_ms\": %.4f, \"p99_ms\": %.4f, "
      "\"p999_ms\": %.4f}\n",
      all.size(), count / std::chrono::duration<double>(ended - begun).count(), sum / count, percentile(all, 0.5),
      percentile(all, 0.99), percentile(all, 0.999));
  return 0;
}
