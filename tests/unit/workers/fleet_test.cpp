// The protocol by which workers wait for, give, send and close the servers of one pool, with the real books, mailboxes
// and loops in threads of their own; sockets and logins are left out. Promises: no waiter is forgotten while a server
// or a slot is free, without the help of any tick; the limit holds at every instant.
#include "workers/fleet.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "unit/support/hub.hpp"

namespace pgweir::workers {
namespace {

using pool::ClientState;
using pool::ServerState;

struct Shared {
  Shared(unsigned workers, int size)
      : fleet(workers),
        books(workers, test::snapshot_of("db = host=127.0.0.1 port=5433",
                                         cat("pool_mode = transaction\ndefault_pool_size = ", size))),
        pool(books.pool(books.database("db"), "u")),
        size(size) {
    fleet.set_books(&books);
  }
  Fleet fleet;
  pool::Books books;
  std::shared_ptr<pool::SharedPool> pool;
  const int size;
  const Micros end = monotonic_now() + 30 * kSecond;
  std::atomic<int> live{0};
  std::atomic<int> most_live{0};
  // A round: every client has one transaction. The next begins when all have had it, so that nothing that comes later
  // can make up for a lost wake-up.
  std::atomic<int> round{1};
  std::atomic<unsigned> busy_workers{0};  // of this round
  std::atomic<bool> over{false};
};

struct ModelClient : pool::ClientEntry {
  session::Server* server = nullptr;
  int left = 0;  // transactions
};

class ModelWorker final : private net::Turn {
 public:
  ModelWorker(Shared& shared, unsigned number, int clients, int rounds)
      : shared_(shared),
        number_(number),
        loop_(net::Loop::create().take()),
        pool_(shared.pool, number,
              pool::rules_for(*shared.books.snapshot(), *shared.pool->database->config(), shared.pool->user->name)),
        random_(number),
        rounds_(rounds) {
    for (int index = 0; index < clients; ++index) {
      clients_.push_back(std::make_unique<ModelClient>());
      pool_.join(*clients_.back(), ClientState::kIdle);
    }
    ++shared_.busy_workers;
    shared_.fleet.mailbox(number).open(net::Wakeup::create(*loop_, [this] { read_mail(); }).take());
  }
  void run() {
    while (!shared_.over && monotonic_now() < shared_.end)
      loop_->run_once(*this);
    shared_.fleet.mailbox(number_).close();
  }
  size_t forgotten() { return pool_.clients(ClientState::kWaiting).size(); }

 private:
  void after_batch() override {
    if (round_ < shared_.round) {
      ++round_;
      done_ = false;
      for (auto& client : clients_)
        client->left = 1;
    }
    bool all_done = true;
    for (auto& client : clients_) {
      if (client->left > 0 && client->state() == ClientState::kIdle) begin(*client);
      if (client->state() == ClientState::kActive && random_() % 2 == 0) finish(*client);
      all_done = all_done && client->left == 0;
      // Who only waits leaves the loop asleep: nothing but a letter wakes it.
      if (client->state() == ClientState::kActive) loop_->do_not_block();
    }
    offer();
    if (!all_done || std::exchange(done_, true)) return;
    if (--shared_.busy_workers == 0) next_round();
  }
  void offer() {
    unsigned to = 0;
    while (std::exchange(offering_, false)) {
      while (auto* entry = pool_.next_offer(&to))
        shared_.fleet.post(to, TakeServer{take_out(static_cast<session::Server&>(*entry))});
      if (pool_.take_unmet_wish()) shared_.fleet.slot_freed(*shared_.pool);
    }
  }
  void next_round() {
    shared_.busy_workers = shared_.fleet.size();
    if (round_ == rounds_) {
      shared_.over = true;
    } else {
      ++shared_.round;
    }
    for (unsigned worker = 0; worker < shared_.fleet.size(); ++worker)
      shared_.fleet.post(worker, Order{});
  }
  void on_tick(Micros) override {}  // the worker's own would feed those that wait

  void begin(ModelClient& client) {
    pool::Checkout answer = pool_.checkout(client, loop_->now(), false, false);
    if (answer.verdict == pool::Checkout::Verdict::kTake) {
      client.server = static_cast<session::Server*>(answer.server);
    } else {
      feed();
    }
  }
  void finish(ModelClient& client) {
    session::Server& server = *std::exchange(client.server, nullptr);
    --client.left;
    ASSERT_TRUE(pool_.move(client, ClientState::kIdle));
    random_() % 8 == 0 ? close(server) : returned(server);
  }
  void close(session::Server& server) {
    pool_.leave(server, ServerState::kGone);
    --shared_.live;
    take_out(server);  // its slot rings
  }
  void returned(session::Server& server) {
    const pool::Condition fine{.in_sync = true, .in_transaction = false, .connected = true, .reset_done = true};
    pool::Checkin answer = pool_.checkin(server, fine, loop_->now(), false);
    using Verdict = pool::Checkin::Verdict;
    switch (answer.verdict) {
      case Verdict::kIdle: return;
      case Verdict::kOffer: offering_ = true; return;
      case Verdict::kGive: static_cast<ModelClient*>(answer.waiter)->server = &server; return;
      case Verdict::kSend: shared_.fleet.post(answer.worker, TakeServer{take_out(server)}); return;
      case Verdict::kClose: close(server); return;
      default: FAIL() << "nothing is reset or cancelled here";
    }
  }
  void feed() {
    for (;;) {
      pool::Supply step = pool_.supply(0, loop_->now(), false, &shared_.fleet);
      if (step.step == pool::Supply::Step::kNothing) return;
      if (step.step == pool::Supply::Step::kAsk) return shared_.fleet.post(step.worker, WantServer{shared_.pool});
      ASSERT_EQ(pool::Supply::Step::kLaunch, step.step);
      const int live = ++shared_.live;
      int most = shared_.most_live;
      while (live > most && !shared_.most_live.compare_exchange_weak(most, live)) {
      }
      servers_.push_back(std::make_unique<session::Server>());
      session::Server& server = *servers_.back();
      server.slot = std::move(step.slot);
      server.generation = shared_.pool->database->generation.load();
      server.connected_at = loop_->now();
      pool_.join(server, ServerState::kLogin);
      returned(server);
    }
  }
  std::unique_ptr<session::Server> take_out(session::Server& server) {
    auto found = std::find_if(servers_.begin(), servers_.end(), [&](const auto& one) { return one.get() == &server; });
    std::unique_ptr<session::Server> taken = std::move(*found);
    servers_.erase(found);
    return taken;
  }
  void read_mail() {
    for (Mail& mail : shared_.fleet.mailbox(number_).collect()) {
      if (auto* given = std::get_if<TakeServer>(&mail)) {
        servers_.push_back(std::move(given->server));
        pool_.join(*servers_.back(), ServerState::kMoving);
        returned(*servers_.back());
      } else if (std::holds_alternative<WantServer>(mail)) {
        pool_.note_wish();
        offering_ = true;
      } else if (std::holds_alternative<SupplyChanged>(mail)) {
        feed();
      }
    }
  }

  Shared& shared_;
  const unsigned number_;
  std::unique_ptr<net::Loop> loop_;
  std::vector<std::unique_ptr<session::Server>> servers_;
  std::vector<std::unique_ptr<ModelClient>> clients_;
  pool::Pool pool_;
  std::minstd_rand random_;
  const int rounds_;
  int round_ = 0;
  bool done_ = true;
  bool offering_ = false;
};

class OnePool : public testing::TestWithParam<std::pair<unsigned, int>> {};

TEST_P(OnePool, NoWaiterIsForgottenWhileASlotOrAServerIsFree) {
  const auto [workers, size] = GetParam();
  Shared shared(workers, size);
  std::vector<std::unique_ptr<ModelWorker>> all;
  for (unsigned worker = 0; worker < workers; ++worker)
    all.push_back(std::make_unique<ModelWorker>(shared, worker, 2, 1000));
  std::vector<std::thread> threads;
  for (auto& worker : all)
    threads.emplace_back([&worker] { worker->run(); });
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_TRUE(shared.over) << "somebody waits for ever, in round " << shared.round;
  for (auto& worker : all)
    EXPECT_EQ(0u, worker->forgotten());
  EXPECT_LE(shared.most_live.load(), size);
  EXPECT_GE(shared.most_live.load(), 1);
}

INSTANTIATE_TEST_SUITE_P(Sizes, OnePool,
                         testing::Values(std::pair(2u, 1), std::pair(2u, 2), std::pair(4u, 1), std::pair(4u, 3)),
                         [](const auto& info) {
                           return cat(info.param.first, "_workers_", info.param.second, "_servers");
                         });

}  // namespace
}  // namespace pgweir::workers
