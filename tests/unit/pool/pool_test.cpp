// The books: limits that hold under threads, first come first served over several workers, no lost wake-up, the reuse
// rule question by question.
#include "pool/pool.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace pgweir::pool {
namespace {

using settings::Database;

struct House {
  explicit House(unsigned workers = 2, int size = 2)
      : database(std::make_shared<SharedDatabase>("db", std::make_shared<Database>(), false)),
        user(std::make_shared<SharedUser>("u")),
        shared(std::make_shared<SharedPool>(1, database, user, workers)) {
    shared->servers.set_limit(size);
    Rules rules;
    rules.mode = settings::PoolMode::kTransaction;
    rules.server_lifetime = 3600 * kSecond;
    for (unsigned worker = 0; worker < workers; ++worker)
      pools.push_back(std::make_unique<Pool>(shared, worker, rules));
  }
  ~House() {
    for (auto& pool : pools) {
      for (size_t state = 0; state < kServerStates; ++state) {
        while (pool->servers(static_cast<ServerState>(state)).pop_front()) {
        }
      }
    }
  }

  ServerEntry& new_server(unsigned worker, Micros now = 0) {
    servers.push_back(std::make_unique<ServerEntry>());
    ServerEntry& server = *servers.back();
    server.generation = database->generation.load();
    server.connected_at = server.last_activity = now;
    Limit refused;
    server.slot = Slot::acquire(shared, nullptr, 0, &refused);
    EXPECT_TRUE(server.slot);
    pools[worker]->join(server, ServerState::kLogin);
    return server;
  }
  ClientEntry& new_client(unsigned worker) {
    clients.push_back(std::make_unique<ClientEntry>());
    pools[worker]->join(*clients.back(), ClientState::kIdle);
    return *clients.back();
  }
  Checkin checkin(unsigned worker, ServerEntry& server, Micros now = 0) {
    return pools[worker]->checkin(server, kFine, now, false);
  }

  static constexpr Condition kFine{.in_sync = true, .in_transaction = false, .connected = true, .reset_done = false};
  std::vector<std::unique_ptr<ClientEntry>> clients;
  std::vector<std::unique_ptr<ServerEntry>> servers;
  std::shared_ptr<SharedDatabase> database;
  std::shared_ptr<SharedUser> user;
  std::shared_ptr<SharedPool> shared;
  std::vector<std::unique_ptr<Pool>> pools;
};

TEST(Causes, AServerThatAnotherWorkerTestsIsOnItsWay) {
  House house(2, 1);
  ServerEntry& server = house.new_server(0);
  Pool& theirs = *house.pools[0];
  Pool& ours = *house.pools[1];
  house.pools[1]->checkout(house.new_client(1), 1, false, false);
  auto cause = [&ours, now = Micros{10}]() mutable {
    EXPECT_EQ(ours.supply(0, now += 10, false, nullptr).step, Supply::Step::kNothing);
    return ours.waits().cause();
  };
  theirs.move(server, ServerState::kActive);
  EXPECT_EQ(cause(), Cause::kPoolFull);
  theirs.move(server, ServerState::kTested);
  EXPECT_EQ(cause(), Cause::kChecking);
  house.pools[1]->checkout(house.new_client(1), 2, false, false);
  EXPECT_EQ(cause(), Cause::kPoolFull) << "it is not enough for two";
  ours.stop_waiting(*house.clients.back(), ClientState::kIdle);
  theirs.move(server, ServerState::kActive);
  EXPECT_EQ(cause(), Cause::kPoolFull);
  server.answering = true;  // an auth_query: it may take long
  theirs.move(server, ServerState::kTested);
  EXPECT_EQ(cause(), Cause::kPoolFull);
  server.answering = false;
  theirs.leave(server, ServerState::kMoving);
  EXPECT_EQ(house.shared->tested.load(), 0);
}

TEST(Causes, OnesThatGoAreNotCountedAnyMore) {
  House house(2, 1);
  ServerEntry& server = house.new_server(0);
  house.pools[0]->move(server, ServerState::kTested);
  EXPECT_EQ(house.shared->tested.load(), 1);
  house.pools[0]->leave(server, ServerState::kGone);
  EXPECT_EQ(house.shared->tested.load(), 0);
}

TEST(Moves, OnlyTheTableIsLegal) {
  EXPECT_TRUE(may_move(ClientState::kIdle, ClientState::kWaiting));
  EXPECT_FALSE(may_move(ClientState::kConsole, ClientState::kActive));
  EXPECT_FALSE(may_move(ClientState::kGone, ClientState::kIdle));
  EXPECT_TRUE(may_move(ServerState::kActive, ServerState::kTested));
  EXPECT_FALSE(may_move(ServerState::kClosing, ServerState::kIdle));
  EXPECT_FALSE(may_move(ServerState::kGone, ServerState::kLogin));
}

TEST(Moves, AnIllegalMoveChangesNothing) {
  House house;
  ServerEntry& server = house.new_server(0);
  house.pools[0]->move(server, ServerState::kClosing);
  EXPECT_FALSE(house.pools[0]->move(server, ServerState::kIdle));
  EXPECT_EQ(server.state(), ServerState::kClosing);
  EXPECT_EQ(house.pools[0]->servers(ServerState::kClosing).size(), 1u);
}

TEST(Quota, HoldsUnderThreads) {
  Quota quota;
  quota.set_limit(7);
  std::atomic<int> most{0};
  std::atomic<int> taken{0};
  std::vector<std::thread> threads;
  for (int at = 0; at < 8; ++at) {
    threads.emplace_back([&] {
      for (int turn = 0; turn < 20000; ++turn) {
        if (!quota.try_acquire()) continue;
        int now = taken.fetch_add(1) + 1;
        int seen = most.load();
        while (now > seen && !most.compare_exchange_weak(seen, now)) {
        }
        taken.fetch_sub(1);
        quota.release();
      }
    });
  }
  for (auto& thread : threads)
    thread.join();
  EXPECT_LE(most.load(), 7);
  EXPECT_EQ(quota.used(), 0);
}

TEST(Slots, ARefusedSlotLeavesNoTrace) {
  House house(1, 5);
  house.user->servers.set_limit(1);
  Limit refused;
  Slot first = Slot::acquire(house.shared, nullptr, 0, &refused);
  ASSERT_TRUE(first);
  Slot second = Slot::acquire(house.shared, nullptr, 0, &refused);
  EXPECT_FALSE(second);
  EXPECT_EQ(refused, Limit::kUser);
  EXPECT_EQ(house.shared->servers.used(), 1);
  EXPECT_EQ(house.database->servers.used(), 1);
  first.give_back();
  EXPECT_EQ(house.shared->servers.used(), 0);
  EXPECT_EQ(house.user->servers.used(), 0);
}

TEST(Slots, TheReserveIsAnAllowance) {
  House house(1, 1);
  Limit refused;
  Slot first = Slot::acquire(house.shared, nullptr, 0, &refused);
  EXPECT_FALSE(Slot::acquire(house.shared, nullptr, 0, &refused));
  EXPECT_EQ(refused, Limit::kPool);
  EXPECT_TRUE(Slot::acquire(house.shared, nullptr, 1, &refused));
}

TEST(Checkout, TakesTheServerUsedLast) {
  House house(1, 2);
  ServerEntry& one = house.new_server(0);
  ServerEntry& two = house.new_server(0);
  house.checkin(0, one);
  house.checkin(0, two);
  Checkout answer = house.pools[0]->checkout(house.new_client(0), 1, false, false);
  EXPECT_EQ(answer.verdict, Checkout::Verdict::kTake);
  EXPECT_EQ(answer.server, &two);
}

TEST(Checkout, RoundRobinTakesTheOneLongestIdle) {
  House house(1, 2);
  Rules rules = house.pools[0]->rules();
  rules.round_robin = true;
  house.pools[0]->set_rules(rules);
  ServerEntry& one = house.new_server(0);
  ServerEntry& two = house.new_server(0);
  house.checkin(0, one);
  house.checkin(0, two);
  EXPECT_EQ(house.pools[0]->checkout(house.new_client(0), 1, false, false).server, &one);
}

TEST(Checkout, APausedPoolMakesWait) {
  House house(1, 2);
  house.checkin(0, house.new_server(0));
  EXPECT_EQ(house.pools[0]->checkout(house.new_client(0), 1, true, false).verdict, Checkout::Verdict::kWait);
}

TEST(Checkout, FailsFastOnlyWhenNoServerLives) {
  House house(1, 2);
  house.shared->login_failed("connect failed", "", false, 0, 15 * kSecond);
  Checkout answer = house.pools[0]->checkout(house.new_client(0), 1, false, false);
  EXPECT_EQ(answer.verdict, Checkout::Verdict::kRefuse);
  house.new_server(0);  // lives
  EXPECT_EQ(house.pools[0]->checkout(house.new_client(0), 1, false, false).verdict, Checkout::Verdict::kWait);
}

TEST(Queue, FirstComeFirstServedInOneWorker) {
  House house(1, 1);
  ServerEntry& server = house.new_server(0);
  ClientEntry& first = house.new_client(0);
  ClientEntry& second = house.new_client(0);
  house.pools[0]->checkout(first, 1, false, false);
  house.pools[0]->checkout(second, 2, false, false);
  Checkin answer = house.checkin(0, server, 3);
  EXPECT_EQ(answer.verdict, Checkin::Verdict::kGive);
  EXPECT_EQ(answer.waiter, &first);
  EXPECT_EQ(house.checkin(0, server, 4).waiter, &second);
}

TEST(Queue, TheOldestWaiterOfAllWorkersIsServed) {
  House house(2, 1);
  ServerEntry& server = house.new_server(0);
  ClientEntry& here = house.new_client(0);
  ClientEntry& there = house.new_client(1);
  house.pools[1]->checkout(there, 1 * kSecond, false, false);
  house.pools[0]->checkout(here, 2 * kSecond, false, false);
  Checkin answer = house.checkin(0, server, 3 * kSecond);
  EXPECT_EQ(answer.verdict, Checkin::Verdict::kSend);
  EXPECT_EQ(answer.worker, 1u);
  EXPECT_EQ(server.state(), ServerState::kMoving);
  house.pools[1]->join(server, ServerState::kMoving);
  EXPECT_EQ(house.checkin(1, server, 3 * kSecond).waiter, &there);
  // ... and then it goes back to the one who came second.
  answer = house.checkin(1, server, 4 * kSecond);
  EXPECT_EQ(answer.verdict, Checkin::Verdict::kSend);
  EXPECT_EQ(answer.worker, 0u);
}

// A hand-over costs as much as a transaction: who comes in the same turn goes before a waiter elsewhere gets it.
TEST(Queue, AServerIsOfferedOnlyWhenTheTurnIsOver) {
  House house(2, 1);
  ServerEntry& server = house.new_server(0);
  house.pools[1]->checkout(house.new_client(1), kSecond, false, false);
  EXPECT_EQ(house.checkin(0, server, kSecond + 1).verdict, Checkin::Verdict::kOffer);
  ClientEntry& here = house.new_client(0);
  EXPECT_EQ(house.pools[0]->checkout(here, kSecond + 1, false, false).verdict, Checkout::Verdict::kTake);
  unsigned to = 9;
  EXPECT_EQ(house.pools[0]->next_offer(&to), nullptr);
  house.pools[0]->move(here, ClientState::kIdle);
  EXPECT_EQ(house.checkin(0, server, kSecond + 2).verdict, Checkin::Verdict::kOffer);
  EXPECT_EQ(house.pools[0]->next_offer(&to), &server);
  EXPECT_EQ(to, 1u);
}

TEST(Queue, WhatIsOfferedToNobodyStays) {
  House house(2, 1);
  ServerEntry& server = house.new_server(0);
  ClientEntry& there = house.new_client(1);
  house.pools[1]->checkout(there, kSecond, false, false);
  EXPECT_EQ(house.checkin(0, server, kSecond + 1).verdict, Checkin::Verdict::kOffer);
  house.pools[1]->stop_waiting(there, ClientState::kIdle);
  unsigned to = 9;
  EXPECT_EQ(house.pools[0]->next_offer(&to), nullptr);
  EXPECT_EQ(server.state(), ServerState::kIdle);
}

// ... but one at a time: what the first brings must be seen before the next one goes.
TEST(Queue, ServersForOlderWaitersElsewhereGoOneByOne) {
  House house(2, 3);
  ServerEntry& first = house.new_server(0);
  ServerEntry& second = house.new_server(0);
  ServerEntry& third = house.new_server(0);
  const Micros mine = kSecond + kFarSlack;
  for (int i = 0; i < 3; ++i) {
    house.pools[1]->checkout(house.new_client(1), kSecond, false, false);
    house.pools[0]->checkout(house.new_client(0), mine, false, false);
  }
  EXPECT_EQ(house.checkin(0, first, 3 * kSecond).verdict, Checkin::Verdict::kSend);
  EXPECT_EQ(house.checkin(0, second, 3 * kSecond).verdict, Checkin::Verdict::kGive);
  house.pools[1]->join(first, ServerState::kMoving);
  EXPECT_EQ(house.checkin(1, first, 3 * kSecond).verdict, Checkin::Verdict::kGive);
  EXPECT_EQ(house.checkin(0, third, 3 * kSecond).verdict, Checkin::Verdict::kSend);
}

// In session mode the next chance may come in an hour.
TEST(Queue, ThoseWhoAreOlderByFarGoFirstAsManyAsTheyAre) {
  House house(2, 3);
  ServerEntry* servers[] = {&house.new_server(0), &house.new_server(0), &house.new_server(0)};
  for (int i = 0; i < 2; ++i)
    house.pools[1]->checkout(house.new_client(1), kSecond, false, false);
  for (int i = 0; i < 3; ++i)
    house.pools[0]->checkout(house.new_client(0), 2 * kSecond, false, false);
  EXPECT_EQ(house.checkin(0, *servers[0], 3 * kSecond).verdict, Checkin::Verdict::kSend);
  EXPECT_EQ(house.checkin(0, *servers[1], 3 * kSecond).verdict, Checkin::Verdict::kSend);
  EXPECT_EQ(house.checkin(0, *servers[2], 3 * kSecond).verdict, Checkin::Verdict::kGive)
      << "two are on their way to two";
}

TEST(Queue, NotMoreServersGoToAWorkerThanItHasWaiters) {
  House house(2, 3);
  ServerEntry& first = house.new_server(0);
  ServerEntry& second = house.new_server(0);
  house.pools[1]->checkout(house.new_client(1), kSecond, false, false);
  EXPECT_EQ(house.checkin(0, first, kSecond + 1).verdict, Checkin::Verdict::kOffer);
  EXPECT_EQ(house.checkin(0, second, kSecond + 1).verdict, Checkin::Verdict::kOffer);
  unsigned to = 9;
  ServerEntry* sent = house.pools[0]->next_offer(&to);
  ASSERT_NE(sent, nullptr);
  EXPECT_EQ(house.pools[0]->next_offer(&to), nullptr);
  // The one that was on its way is no good: who waits may have the other.
  house.pools[1]->join(*sent, ServerState::kMoving);
  house.pools[1]->leave(*sent, ServerState::kGone);
  EXPECT_EQ(house.pools[1]->supply(0, 2 * kSecond, false, nullptr).step, Supply::Step::kAsk);
  house.pools[0]->note_wish();
  EXPECT_NE(house.pools[0]->next_offer(&to), nullptr);
}

// A server that ends on its way, before it has left its worker, must not count as coming for ever (a client waited so).
TEST(Queue, AServerThatEndsOnItsWayIsNotWaitedFor) {
  House house(2, 3);
  ServerEntry& first = house.new_server(0);
  ServerEntry& second = house.new_server(0);
  house.pools[1]->checkout(house.new_client(1), kSecond, false, false);
  EXPECT_EQ(house.checkin(0, first, 2 * kSecond).verdict, Checkin::Verdict::kSend);
  ASSERT_EQ(house.shared->published(1).incoming, 1);
  EXPECT_TRUE(house.pools[0]->move(first, ServerState::kClosing));
  EXPECT_EQ(house.shared->published(1).incoming, 0);
  EXPECT_EQ(house.checkin(0, second, 2 * kSecond).verdict, Checkin::Verdict::kSend);
}

// Who asked for an idle server that a client of ours has taken meanwhile must hear that there is none.
TEST(Queue, AWishThatCannotBeMetIsTold) {
  House house(2, 3);
  ServerEntry& server = house.new_server(0);
  EXPECT_EQ(house.checkin(0, server, kSecond).verdict, Checkin::Verdict::kIdle);
  house.pools[1]->checkout(house.new_client(1), kSecond, false, false);
  ASSERT_EQ(house.pools[1]->supply(0, kSecond, false, nullptr).step, Supply::Step::kAsk);
  ClientEntry& here = house.new_client(0);
  ASSERT_EQ(house.pools[0]->checkout(here, kSecond, false, false).verdict, Checkout::Verdict::kTake);
  house.pools[0]->note_wish();
  unsigned to = 9;
  EXPECT_EQ(house.pools[0]->next_offer(&to), nullptr);
  EXPECT_TRUE(house.pools[0]->take_unmet_wish());
  EXPECT_FALSE(house.pools[0]->take_unmet_wish()) << "once";
  EXPECT_EQ(house.pools[1]->supply(0, kSecond, false, nullptr).step, Supply::Step::kLaunch);
}

// A client that came while the pool was paused waits beside an idle server; RESUME may come before anybody closes that.
TEST(Queue, WhoWaitsBesideAnIdleServerGetsIt) {
  House house(1, 1);
  ServerEntry& server = house.new_server(0);
  house.checkin(0, server, kSecond);
  ClientEntry& client = house.new_client(0);
  ASSERT_EQ(house.pools[0]->checkout(client, kSecond, true, false).verdict, Checkout::Verdict::kWait);
  EXPECT_EQ(house.pools[0]->supply(0, kSecond, true, nullptr).step, Supply::Step::kNothing);
  Supply step = house.pools[0]->supply(0, kSecond, false, nullptr);
  EXPECT_EQ(step.step, Supply::Step::kGive);
  EXPECT_EQ(step.server, &server);
  EXPECT_EQ(step.waiter, &client);
  EXPECT_EQ(client.state(), ClientState::kActive);
}

TEST(Queue, WithinTheSlackALocalWaiterGoesFirst) {
  House house(2, 1);
  ServerEntry& server = house.new_server(0);
  house.pools[1]->checkout(house.new_client(1), kWaitGrain, false, false);
  ClientEntry& here = house.new_client(0);
  house.pools[0]->checkout(here, kWaitGrain + kQueueSlack - 1, false, false);
  EXPECT_EQ(house.checkin(0, server, kSecond).waiter, &here);
}

TEST(Queue, AWorkerWithoutServersAsksTheOneThatHasAnIdleServer) {
  House house(2, 1);
  house.checkin(0, house.new_server(0));
  house.pools[1]->checkout(house.new_client(1), 1, false, false);
  Supply step = house.pools[1]->supply(0, 2, false, nullptr);
  EXPECT_EQ(step.step, Supply::Step::kAsk);
  EXPECT_EQ(step.worker, 0u);
  unsigned to = 9;
  EXPECT_EQ(house.pools[0]->next_offer(&to), nullptr) << "nobody has asked";
  house.pools[0]->note_wish();
  ServerEntry* given = house.pools[0]->next_offer(&to);
  ASSERT_NE(given, nullptr);
  EXPECT_EQ(given->state(), ServerState::kMoving);
  EXPECT_EQ(to, 1u);
  EXPECT_EQ(house.pools[0]->next_offer(&to), nullptr) << "one for one wish";
}

// Two workers with a surplus server each, one surplus in all: exactly one of them closes.
TEST(Upkeep, WorkersDoNotCloseMoreThanTheSurplus) {
  for (int turn = 0; turn < 200; ++turn) {
    House house(2, 2);
    for (unsigned worker : {0u, 1u})
      house.checkin(worker, house.new_server(worker));
    house.shared->servers.set_limit(1);
    std::atomic<int> gate{0}, closed{0};
    auto look = [&](unsigned worker) {
      gate.fetch_add(1);
      while (gate.load() < 2) {
      }
      Unfit why{};
      ServerEntry* surplus = house.pools[worker]->next_to_close(1, false, &why);
      if (!surplus) return;
      EXPECT_EQ(why, Unfit::kSurplus);
      house.pools[worker]->move(*surplus, ServerState::kClosing);
      closed.fetch_add(1);
    };
    std::thread one(look, 0), two(look, 1);
    one.join();
    two.join();
    ASSERT_EQ(closed.load(), 1) << "turn " << turn;
    EXPECT_EQ(house.shared->live(), 1);
  }
}

TEST(Queue, AUsedServerIsGivenAwayToo) {
  House house(2, 1);
  Rules rules;
  rules.mode = settings::PoolMode::kTransaction;
  rules.server_lifetime = 3600 * kSecond;
  rules.checks = true;
  rules.check_delay = 10 * kSecond;
  for (auto& pool : house.pools)
    pool->set_rules(rules);
  ServerEntry& server = house.new_server(0);
  house.checkin(0, server, kSecond);
  house.pools[0]->age_idle(12 * kSecond);
  ASSERT_EQ(server.state(), ServerState::kUsed);
  house.pools[1]->checkout(house.new_client(1), 13 * kSecond, false, false);
  EXPECT_EQ(house.pools[1]->supply(0, 13 * kSecond, false, nullptr).step, Supply::Step::kAsk);
  unsigned to = 9;
  house.pools[0]->note_wish();
  EXPECT_EQ(house.pools[0]->next_offer(&to), &server);
  EXPECT_EQ(to, 1u);
  EXPECT_TRUE(house.pools[1]->check_due(server, 13 * kSecond));
  EXPECT_FALSE(house.pools[1]->check_due(server, 2 * kSecond));
  EXPECT_EQ(house.shared->idle_elsewhere(1), std::nullopt);
}

// server_check_delay = 0: every server is checked before it is given; one that comes to rest while somebody waits on
// another worker still has to be seen there.
TEST(Queue, AServerToBeCheckedIsNotKeptFromTheOthers) {
  House house(2, 1);
  Rules rules;
  rules.mode = settings::PoolMode::kTransaction;
  rules.server_lifetime = 3600 * kSecond;
  rules.checks = true;
  for (auto& pool : house.pools)
    pool->set_rules(rules);
  ServerEntry& server = house.new_server(0);
  server.served = true;
  house.pools[0]->move(server, ServerState::kActive);
  EXPECT_EQ(house.checkin(0, server, kSecond).verdict, Checkin::Verdict::kIdle);
  EXPECT_EQ(server.state(), ServerState::kUsed);
  EXPECT_EQ(house.shared->idle_elsewhere(1), std::optional<unsigned>(0));
}

TEST(Queue, NoWakeUpIsLostBetweenTwoWorkers) {
  // One worker becomes a waiter while the other puts a server to rest, again and again: either the waiter sees the idle
  // server, or the other sees the waiter. Never neither.
  House house(2, 1);
  ServerEntry& server = house.new_server(0);
  ClientEntry& client = house.new_client(1);
  for (int turn = 0; turn < 400; ++turn) {
    std::atomic<int> gate{0};
    Checkin rested;
    Supply step;
    std::thread owner([&] {
      gate.fetch_add(1);
      while (gate.load() < 2) {
      }
      rested = house.checkin(0, server, turn);
    });
    std::thread waiter([&] {
      gate.fetch_add(1);
      while (gate.load() < 2) {
      }
      house.pools[1]->checkout(client, turn, false, false);
      step = house.pools[1]->supply(0, turn, false, nullptr);
    });
    owner.join();
    waiter.join();
    unsigned to = 0;
    bool sent = rested.verdict == Checkin::Verdict::kOffer && house.pools[0]->next_offer(&to) == &server;
    bool asked = step.step == Supply::Step::kAsk;
    ASSERT_TRUE(sent || asked) << "turn " << turn;
    if (sent) {
      house.pools[1]->join(server, ServerState::kMoving);
      house.pools[1]->leave(server, ServerState::kMoving);
      house.pools[0]->join(server, ServerState::kActive);
    } else {
      house.pools[0]->move(server, ServerState::kActive);
    }
    house.pools[1]->stop_waiting(client, ClientState::kIdle);
  }
}

TEST(Reuse, EachObjection) {
  House house(1, 2);
  Pool& pool = *house.pools[0];
  auto verdict = [&](Condition condition, ServerEntry& server, bool paused = false) {
    return pool.checkin(server, condition, kSecond, paused);
  };
  ServerEntry& server = house.new_server(0);
  Condition bad = House::kFine;
  bad.connected = false;
  EXPECT_EQ(verdict(bad, server).unfit, Unfit::kDisconnected);
  bad = House::kFine;
  bad.in_sync = false;
  EXPECT_EQ(verdict(bad, server).unfit, Unfit::kNotInSync);
  bad = House::kFine;
  bad.in_transaction = true;
  EXPECT_EQ(verdict(bad, server).unfit, Unfit::kInTransaction);
  EXPECT_EQ(verdict(House::kFine, server, true).unfit, Unfit::kPaused);
  house.database->generation.fetch_add(1);
  EXPECT_EQ(verdict(House::kFine, server).unfit, Unfit::kObsolete);
  server.generation = house.database->generation.load();
  EXPECT_EQ(verdict(House::kFine, server).verdict, Checkin::Verdict::kIdle);
}

TEST(Reuse, LifetimeZeroMeansUsedOnce) {
  House house(1, 2);
  Rules rules = house.pools[0]->rules();
  rules.server_lifetime = 0;
  house.pools[0]->set_rules(rules);
  ServerEntry& server = house.new_server(0);
  EXPECT_EQ(house.checkin(0, server, 5).verdict, Checkin::Verdict::kIdle);  // logged in, not used yet
  house.pools[0]->checkout(house.new_client(0), 6, false, false);
  server.served = true;
  Checkin answer = house.checkin(0, server, 7);
  EXPECT_EQ(answer.verdict, Checkin::Verdict::kClose);
  EXPECT_EQ(answer.unfit, Unfit::kLifetime);
}

TEST(Reuse, ACancelOnItsWayHoldsTheServer) {
  House house(1, 1);
  ServerEntry& server = house.new_server(0);
  house.pools[0]->move(server, ServerState::kActive);
  house.pools[0]->checkout(house.new_client(0), 1, false, false);
  server.cancels = 1;
  EXPECT_EQ(house.checkin(0, server, 2).verdict, Checkin::Verdict::kHold);
  EXPECT_EQ(server.state(), ServerState::kBeingCanceled);
  server.cancels = 0;
  EXPECT_EQ(house.checkin(0, server, 3).verdict, Checkin::Verdict::kGive);
}

TEST(Reuse, ACancelThatMayStillArriveEndsTheServer) {
  House house(1, 1);
  ServerEntry& server = house.new_server(0);
  house.pools[0]->move(server, ServerState::kActive);
  house.pools[0]->checkout(house.new_client(0), 1, false, false);
  server.cancel_in_doubt = true;
  Checkin answer = house.checkin(0, server, 2);
  EXPECT_EQ(answer.verdict, Checkin::Verdict::kClose);
  EXPECT_EQ(answer.unfit, Unfit::kCancelInDoubt);
}

TEST(Reuse, OnlyADirtySessionIsReset) {
  House house(1, 1);
  Rules rules = house.pools[0]->rules();
  rules.reset_query = "DISCARD ALL";
  house.pools[0]->set_rules(rules);
  ServerEntry& server = house.new_server(0);
  EXPECT_EQ(house.checkin(0, server, 2).verdict, Checkin::Verdict::kIdle);
  house.pools[0]->checkout(house.new_client(0), 3, false, false);
  server.dirty_session = true;
  EXPECT_EQ(house.checkin(0, server, 4).verdict, Checkin::Verdict::kReset);
}

TEST(Supply, LaunchesUpToTheLimitAndNoMore) {
  House house(1, 2);
  for (int at = 0; at < 5; ++at)
    house.pools[0]->checkout(house.new_client(0), 1, false, false);
  std::vector<Slot> slots;
  for (;;) {
    Supply step = house.pools[0]->supply(0, 2, false, nullptr);
    if (step.step != Supply::Step::kLaunch) break;
    house.servers.push_back(std::make_unique<ServerEntry>());
    house.servers.back()->slot = std::move(step.slot);
    house.pools[0]->join(*house.servers.back(), ServerState::kLogin);
  }
  EXPECT_EQ(house.shared->servers.used(), 2);
}

TEST(Supply, AfterAFailureOneProbeWhenItIsDue) {
  House house(1, 5);
  house.shared->login_failed("connect failed", "", false, 0, 15 * kSecond);
  house.pools[0]->move(house.new_server(0), ServerState::kActive);
  house.pools[0]->checkout(house.new_client(0), 1, false, false);
  EXPECT_EQ(house.pools[0]->supply(0, 1, false, nullptr).step, Supply::Step::kNothing);
  EXPECT_EQ(house.pools[0]->supply(0, kSecond, false, nullptr).step, Supply::Step::kLaunch);
  house.shared->logins = 1;
  EXPECT_EQ(house.pools[0]->supply(0, kSecond, false, nullptr).step, Supply::Step::kNothing);
}

TEST(Supply, TheReserveOpensAfterItsTimeout) {
  House house(1, 1);
  house.shared->reserve = 1;
  Rules rules = house.pools[0]->rules();
  rules.reserve_timeout = 5 * kSecond;
  house.pools[0]->set_rules(rules);
  house.new_server(0);
  house.pools[0]->move(*house.servers.back(), ServerState::kActive);
  house.pools[0]->checkout(house.new_client(0), 1, false, false);
  EXPECT_EQ(house.pools[0]->supply(0, kSecond, false, nullptr).step, Supply::Step::kNothing);
  EXPECT_EQ(house.pools[0]->supply(0, 6 * kSecond, false, nullptr).step, Supply::Step::kLaunch);
}

TEST(Supply, NamesTheLimitThatWantsAnEviction) {
  House house(1, 5);
  house.database->servers.set_limit(1);
  house.database->servers.acquire();
  house.pools[0]->checkout(house.new_client(0), 1, false, false);
  Supply step = house.pools[0]->supply(0, 2, false, nullptr);
  EXPECT_EQ(step.step, Supply::Step::kEvict);
  EXPECT_EQ(step.limit, Limit::kDatabase);
}

TEST(Upkeep, IdleServersGoAtTheirTimeoutButTheMinimumStays) {
  House house(1, 5);
  Rules rules = house.pools[0]->rules();
  rules.server_idle_timeout = 10 * kSecond;
  house.pools[0]->set_rules(rules);
  house.shared->minimum = 1;
  house.checkin(0, house.new_server(0));
  house.checkin(0, house.new_server(0));
  Unfit why;
  ServerEntry* server = house.pools[0]->next_to_close(11 * kSecond, false, &why);
  ASSERT_NE(server, nullptr);
  EXPECT_EQ(why, Unfit::kIdleTooLong);
  server->slot.give_back();
  house.pools[0]->leave(*server, ServerState::kGone);
  EXPECT_EQ(house.pools[0]->next_to_close(11 * kSecond, false, &why), nullptr);
}

TEST(Upkeep, LifetimeKillsAreSpaced) {
  House house(1, 2);
  house.checkin(0, house.new_server(0));
  house.checkin(0, house.new_server(0));
  Unfit why;
  Micros later = 3601 * kSecond;
  ASSERT_NE(house.pools[0]->next_to_close(later, false, &why), nullptr);
  EXPECT_EQ(why, Unfit::kLifetime);
  house.pools[0]->leave(*house.pools[0]->servers(ServerState::kIdle).back(), ServerState::kGone);
  EXPECT_EQ(house.pools[0]->next_to_close(later, false, &why), nullptr);
  EXPECT_NE(house.pools[0]->next_to_close(later + 1801 * kSecond, false, &why), nullptr);
}

// A pool that is busy all the time must not lose all its servers at one moment, each time it has come of age.
TEST(Reuse, LifetimeKillsAreSpacedOnRelease) {
  House house(1, 2);
  ServerEntry& first = house.new_server(0);
  ServerEntry& second = house.new_server(0);
  const Micros later = 3601 * kSecond;
  Checkin answer = house.checkin(0, first, later);
  EXPECT_EQ(answer.verdict, Checkin::Verdict::kClose);
  EXPECT_EQ(answer.unfit, Unfit::kLifetime);
  house.pools[0]->leave(first, ServerState::kGone);
  EXPECT_EQ(house.checkin(0, second, later + 1).verdict, Checkin::Verdict::kIdle);
  Unfit why;
  EXPECT_EQ(house.pools[0]->next_to_close(later + 1799 * kSecond, false, &why), nullptr);
  ASSERT_EQ(house.pools[0]->checkout(house.new_client(0), later + 1799 * kSecond, false, false).server, &second);
  answer = house.checkin(0, second, later + 1800 * kSecond);
  EXPECT_EQ(answer.verdict, Checkin::Verdict::kClose);
  EXPECT_EQ(answer.unfit, Unfit::kLifetime);
}

TEST(Reuse, WorkersShareTheTurnsOfLifetimeKills) {
  House house(2, 2);
  ServerEntry& here = house.new_server(0);
  ServerEntry& there = house.new_server(1);
  const Micros later = 3601 * kSecond;
  EXPECT_EQ(house.checkin(0, here, later).verdict, Checkin::Verdict::kClose);
  EXPECT_EQ(house.checkin(1, there, later).verdict, Checkin::Verdict::kIdle);
}

TEST(Upkeep, IdleServersAgeIntoUsedOnes) {
  House house(1, 2);
  Rules rules = house.pools[0]->rules();
  rules.checks = true;
  rules.check_delay = 30 * kSecond;
  house.pools[0]->set_rules(rules);
  house.checkin(0, house.new_server(0));
  house.pools[0]->age_idle(31 * kSecond);
  EXPECT_EQ(house.pools[0]->servers(ServerState::kUsed).size(), 1u);
  house.pools[0]->checkout(house.new_client(0), 32 * kSecond, false, false);
  Supply step = house.pools[0]->supply(0, 32 * kSecond, false, nullptr);
  EXPECT_EQ(step.step, Supply::Step::kCheck);
  EXPECT_EQ(step.server->state(), ServerState::kTested);
}

TEST(Hosts, ADeadHostIsSkippedUntilItsBackOffEnds) {
  SharedDatabase database("db", std::make_shared<Database>(), false);
  Micros due = 0;
  EXPECT_EQ(database.choose_host(2, false, 0, &due), 0u);
  database.host_failed(0, 0, 15 * kSecond);
  EXPECT_EQ(database.choose_host(2, false, 1, &due), 1u);
  database.host_failed(1, 1, 15 * kSecond);
  EXPECT_FALSE(database.choose_host(2, false, 2, &due).has_value());
  EXPECT_GT(due, 2);
  EXPECT_TRUE(database.choose_host(2, false, due, &due).has_value());
}

TEST(Hosts, RoundRobinTakesTurns) {
  SharedDatabase database("db", std::make_shared<Database>(), false);
  Micros due = 0;
  EXPECT_EQ(database.choose_host(3, true, 0, &due), 0u);
  EXPECT_EQ(database.choose_host(3, true, 0, &due), 1u);
  EXPECT_EQ(database.choose_host(3, true, 0, &due), 2u);
  EXPECT_EQ(database.choose_host(3, true, 0, &due), 0u);
}

TEST(BackOff, BeginsNear100MillisecondsAndEndsAtTheLimit) {
  House house;
  Micros first = house.shared->login_failed("x", "", false, 0, 15 * kSecond);
  EXPECT_GE(first, 75 * kMillisecond);
  EXPECT_LE(first, 125 * kMillisecond);
  Micros last = 0;
  for (int at = 0; at < 30; ++at)
    last = house.shared->login_failed("x", "", false, 0, 15 * kSecond);
  EXPECT_EQ(last, 15 * kSecond);
  house.shared->login_works();
  EXPECT_FALSE(house.shared->in_trouble());
}

// KILL without a database goes by this list: an entry once, however many pools it has.
// Two pools for one pair of database and user would hold twice pool_size: a pool in use is never forgotten.
TEST(Books, ForgetsPoolsThatNobodyHas) {
  auto snapshot = std::make_shared<settings::Snapshot>();
  for (const char* name : {"plain", "forced"}) {
    auto entry = std::make_shared<Database>();
    entry->name = name;
    if (name[0] == 'f') entry->user = "owner";
    if (name[0] == 'f') entry->min_pool_size = 1;
    snapshot->databases[name] = entry;
  }
  Books books(2, snapshot);
  books.pool(books.database("forced"), "owner");
  auto pool = books.pool(books.database("plain"), "u");
  const unsigned id = pool->id;
  EXPECT_TRUE(books.idle_pools(1000, 0).empty()) << "0 is never";
  EXPECT_TRUE(books.idle_pools(1000, 10).empty()) << "looked at for the first time";
  EXPECT_TRUE(books.idle_pools(1010, 10).empty());
  EXPECT_EQ(std::vector<unsigned>{id}, books.idle_pools(1011, 10));
  Limit refused;
  Slot slot = Slot::acquire(pool, nullptr, 0, &refused);
  EXPECT_TRUE(books.idle_pools(1011, 10).empty()) << "it has a server";
  slot = Slot();
  pool->last_used = 1005;
  EXPECT_TRUE(books.idle_pools(1011, 10).empty()) << "a worker has seen somebody in it";
  EXPECT_FALSE(books.forget_unused(id)) << "somebody has it";
  pool.reset();
  EXPECT_TRUE(books.forget_unused(id));
  EXPECT_FALSE(books.forget_unused(id));
  EXPECT_EQ(nullptr, books.pool_by_id(id));
  EXPECT_NE(id, books.pool(books.database("plain"), "u")->id);
}

TEST(Books, DatabasesWithPoolsAreListedOnce) {
  auto snapshot = std::make_shared<settings::Snapshot>();
  for (const char* name : {"a", "b", "c"}) {
    auto entry = std::make_shared<Database>();
    entry->name = name;
    snapshot->databases[name] = entry;
  }
  Books books(2, snapshot);
  EXPECT_TRUE(books.databases_with_pools().empty());
  for (const char* user : {"one", "two", "three"}) {
    books.pool(books.database("a"), user);
    books.pool(books.database("c"), user);
  }
  std::vector<std::string> names;
  for (const auto& database : books.databases_with_pools())
    names.push_back(database->name);
  EXPECT_EQ((std::vector<std::string>{"a", "c"}), names);
}

}  // namespace
}  // namespace pgweir::pool
