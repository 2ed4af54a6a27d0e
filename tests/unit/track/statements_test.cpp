// Shared statements, the names clients give them, and what a server is known to have prepared.
#include "track/statements.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace pgweir::track {
namespace {

ByteView body(const std::string& sql) {
  static std::set<std::string> kept;
  return *kept.insert(sql + std::string(3, '\0')).first;
}

TEST(StatementRegistry, OneStatementForOneText) {
  StatementRegistry registry;
  StatementPtr one = registry.find_or_make(body("SELECT 1"));
  StatementPtr same = registry.find_or_make(body("SELECT 1"));
  StatementPtr other = registry.find_or_make(body("SELECT 2"));
  EXPECT_EQ(one, same);
  EXPECT_NE(one, other);
  EXPECT_EQ(one->name(), "PGWEIR_1");
  EXPECT_EQ(other->name(), "PGWEIR_2");
  EXPECT_EQ(one->body(), body("SELECT 1"));
  EXPECT_EQ(registry.size(), 2u);
}

TEST(StatementRegistry, ParameterTypesAreAPartOfTheKey) {
  StatementRegistry registry;
  StatementPtr plain = registry.find_or_make(ByteView("SELECT $1\0\0\0", 12));
  StatementPtr typed = registry.find_or_make(ByteView("SELECT $1\0\0\1\0\0\0\x17", 16));
  EXPECT_NE(plain, typed);
}

TEST(StatementRegistry, VanishesWithItsLastUserAndNeverReusesAName) {
  StatementRegistry registry;
  StatementPtr one = registry.find_or_make(body("SELECT 1"));
  one.reset();
  EXPECT_EQ(registry.size(), 0u);
  EXPECT_EQ(registry.find_or_make(body("SELECT 1"))->name(), "PGWEIR_2");
}

TEST(StatementRegistry, ManyThreads) {
  StatementRegistry registry;
  auto work = [&](unsigned seed) {
    std::mt19937 random(seed);
    std::vector<StatementPtr> held(8);
    for (int step = 0; step < 20000; ++step) {
      std::string sql = "SELECT " + std::to_string(random() % 12) + std::string(3, '\0');
      StatementPtr statement = registry.find_or_make(sql);
      ASSERT_EQ(statement->body(), sql);
      held[random() % held.size()] = std::move(statement);
    }
  };
  std::vector<std::thread> threads;
  for (unsigned seed = 1; seed <= 4; ++seed)
    threads.emplace_back(work, seed);
  for (auto& thread : threads)
    thread.join();
  EXPECT_EQ(registry.size(), 0u);
}

TEST(ClientStatements, Names) {
  StatementRegistry registry;
  ClientStatements names;
  EXPECT_EQ(names.find("s"), nullptr);
  EXPECT_EQ(sizeof names, sizeof(void*));
  StatementPtr statement = registry.find_or_make(body("SELECT 1"));
  names.add("s", statement);
  names.add("t", statement);
  ASSERT_NE(names.find("s"), nullptr);
  EXPECT_EQ(*names.find("s"), statement);
  EXPECT_EQ(names.find("S"), nullptr);  // they are not folded
  names.remove("s");
  names.remove("never");
  EXPECT_EQ(names.find("s"), nullptr);
  EXPECT_EQ(names.size(), 1u);
  names.clear();
  EXPECT_EQ(names.size(), 0u);
  names.remove("t");
}

class OnServer : public ::testing::Test {
 protected:
  StatementPtr make(int number) { return registry.find_or_make(body("SELECT " + std::to_string(number))); }
  // Sent and answered.
  StatementPtr prepared(int number, uint64_t batch) {
    StatementPtr statement = make(number);
    server.sent(statement, batch);
    server.confirm(*statement);
    return statement;
  }
  StatementRegistry registry;
  ServerStatements server;
};

TEST_F(OnServer, ConfirmedByItsAnswer) {
  StatementPtr one = make(1);
  EXPECT_FALSE(server.use(*one, 1));
  EXPECT_FALSE(server.in_doubt(*one));
  server.sent(one, 1);
  EXPECT_FALSE(server.confirmed(*one));
  server.confirm(*one);
  EXPECT_TRUE(server.confirmed(*one));
  EXPECT_TRUE(server.use(*one, 2));
}

TEST_F(OnServer, InItsOwnBatchItMayBeUsedBeforeTheAnswer) {
  StatementPtr one = make(1);
  server.sent(one, 1);
  EXPECT_TRUE(server.use(*one, 1));
}

TEST_F(OnServer, ANextBatchCannotRelyOnAnAnswerThatHasNotCome) {
  StatementPtr one = make(1);
  server.sent(one, 1);
  EXPECT_FALSE(server.use(*one, 2));
  EXPECT_TRUE(server.in_doubt(*one));  // so it is closed and parsed again
  server.sent(one, 2);
  EXPECT_TRUE(server.use(*one, 2));
  EXPECT_EQ(server.size(), 1u);
  server.remove(*one);  // batch 1 failed
  EXPECT_FALSE(server.use(*one, 3));
  EXPECT_TRUE(server.in_doubt(*one));
  server.confirm(*one);  // batch 2 has come through
  EXPECT_TRUE(server.use(*one, 3));
}

TEST_F(OnServer, TheSecondParseMayBeTheOneThatIsSwallowed) {
  StatementPtr one = make(1);
  server.sent(one, 1);
  server.sent(one, 2);
  server.confirm(*one);
  EXPECT_FALSE(server.use(*one, 3));  // the second, behind a Close, is still to come
  server.remove(*one);                // it was swallowed, perhaps with its Close, perhaps without
  EXPECT_FALSE(server.use(*one, 3));
  EXPECT_TRUE(server.in_doubt(*one));
}

TEST_F(OnServer, AFailedParseLeavesNothing) {
  StatementPtr one = make(1);
  server.sent(one, 1);
  server.remove(*one);
  EXPECT_FALSE(server.use(*one, 1));
  EXPECT_FALSE(server.in_doubt(*one));
  EXPECT_EQ(server.size(), 0u);
  EXPECT_EQ(one.use_count(), 1);
}

TEST_F(OnServer, EvictsTheLeastRecentlyUsed) {
  StatementPtr one = prepared(1, 1);
  StatementPtr two = prepared(2, 2);
  StatementPtr three = prepared(3, 3);
  EXPECT_TRUE(server.use(*one, 4));
  EXPECT_EQ(server.evict(3, 5), nullptr);
  EXPECT_EQ(server.evict(2, 5), two);
  EXPECT_EQ(server.evict(2, 5), nullptr);
  EXPECT_FALSE(server.use(*two, 5));
  EXPECT_TRUE(server.in_doubt(*two));  // until its Close is certain; a Close too many does no harm
  EXPECT_TRUE(server.use(*one, 5));
  EXPECT_TRUE(server.use(*three, 5));
}

TEST_F(OnServer, NeverEvictsWhatTheOpenBatchUsesOrWhatIsNotConfirmed) {
  StatementPtr one = prepared(1, 1);
  StatementPtr two = make(2);
  server.sent(two, 1);
  EXPECT_EQ(server.evict(0, 1), nullptr);
  EXPECT_EQ(server.evict(0, 2), one);
  EXPECT_EQ(server.evict(0, 2), nullptr);
  server.confirm(*two);
  EXPECT_EQ(server.evict(0, 2), two);
}

TEST_F(OnServer, DoubtfulOnesCanBeEvicted) {
  StatementPtr one = make(1);
  server.sent(one, 1);
  server.sent(one, 2);
  EXPECT_EQ(server.evict(0, 3), nullptr);
  server.remove(*one);
  server.remove(*one);
  EXPECT_EQ(server.evict(0, 3), one);
  EXPECT_TRUE(server.in_doubt(*one));
  server.not_closed(one);  // its Close was swallowed
  EXPECT_TRUE(server.in_doubt(*one));
  EXPECT_FALSE(server.use(*one, 3));
}

// A deep pipeline over a small server evicts more than any fixed memory of it would hold.
TEST_F(OnServer, AnEvictedOneIsInDoubtUntilItsCloseIsAnswered) {
  std::vector<StatementPtr> all;
  for (int number = 0; number < 100; ++number) {
    all.push_back(prepared(number, 1));
    EXPECT_EQ(server.evict(0, 2), all.back());
  }
  for (const StatementPtr& one : all)
    EXPECT_TRUE(server.in_doubt(*one));
  server.closed(*all[0]);
  EXPECT_FALSE(server.in_doubt(*all[0]));
  server.not_closed(all[1]);
  EXPECT_TRUE(server.in_doubt(*all[1]));
  EXPECT_EQ(server.evict(0, 2), all[1]);
  server.closed(*all[1]);
  EXPECT_FALSE(server.in_doubt(*all[1]));
}

TEST_F(OnServer, TwoErrorsInARowSwallowEveryCloseOfIt) {
  StatementPtr one = prepared(1, 1);
  EXPECT_EQ(server.evict(0, 2), one);  // its Close goes with batch 2
  server.sent(one, 3);                 // behind another Close, in batch 3
  server.not_closed(one);              // batch 2 fails
  server.remove(*one);                 // and so does batch 3
  EXPECT_TRUE(server.in_doubt(*one));
}

TEST_F(OnServer, ClearForgets) {
  StatementPtr one = prepared(1, 1);
  server.clear();
  EXPECT_FALSE(server.use(*one, 1));
  EXPECT_FALSE(server.in_doubt(*one));
  EXPECT_EQ(server.size(), 0u);
  EXPECT_EQ(sizeof server, sizeof(void*));
}

// A server and a pipelining pooler, at random: no Bind may miss its statement because of another's error, no Parse may
// find its name taken.
class PipelineModel {
 public:
  explicit PipelineModel(unsigned seed) : random_(seed) {
    for (int number = 0; number < 4; ++number)
      statements_.push_back(registry_.find_or_make(body("SELECT " + std::to_string(number))));
  }
  void run(int steps) {
    for (int step = 0; step < steps && !::testing::Test::HasFailure(); ++step) {
      if (sent_.empty() || random_() % 2) {
        send();
      } else {
        serve();
      }
    }
  }

 private:
  struct Message {
    char type;
    StatementPtr statement;
    bool fails = false;
    bool parsed_here = false;  // Bind: relies on a Parse of its own batch
  };
  void send() {
    if (random_() % 3 == 0) {
      sent_.push_back({'S', nullptr});
      ++batch_;
      return;
    }
    if (random_() % 6 == 0) {
      sent_.push_back({'B', nullptr, true});  // somebody's error
      return;
    }
    StatementPtr wanted = statements_[random_() % statements_.size()];
    if (!server_.use(*wanted, batch_)) {
      if (server_.in_doubt(*wanted)) sent_.push_back({'C', wanted});
      sent_.push_back({'P', wanted});
      server_.sent(wanted, batch_);
    }
    while (StatementPtr victim = server_.evict(2, batch_))
      sent_.push_back({'c', victim});  // an eviction
    sent_.push_back({'B', wanted});
  }
  void serve() {
    Message message = sent_.front();
    sent_.erase(sent_.begin());
    if (message.type == 'S') {
      skipping_ = false;
      return;
    }
    if (skipping_) return;
    if (message.fails) return fail();
    uint64_t number = message.statement->number();
    if (message.type == 'C' || message.type == 'c') there_.erase(number);
    if (message.type == 'c') server_.closed(*message.statement);
    if (message.type == 'P') {
      EXPECT_TRUE(there_.insert(number).second) << "already exists";
      if (!server_.known(*message.statement)) server_.sent(message.statement, batch_);
      server_.confirm(*message.statement);
    }
    if (message.type == 'B') {
      EXPECT_TRUE(there_.count(number)) << "does not exist";
    }
  }
  void fail() {
    skipping_ = true;
    size_t end = 0;
    while (end < sent_.size() && sent_[end].type != 'S')
      ++end;
    for (size_t at = end; at-- > 0;) {
      if (sent_[at].type == 'P') server_.remove(*sent_[at].statement);
      if (sent_[at].type == 'c') server_.not_closed(sent_[at].statement);
    }
    sent_.erase(sent_.begin(), sent_.begin() + static_cast<long>(end));
    if (sent_.empty()) {  // what is sent until the next Sync is swallowed: the pooler knows
      ++batch_;
      skipping_ = false;
    }
  }
  std::mt19937 random_;
  StatementRegistry registry_;
  ServerStatements server_;
  std::vector<StatementPtr> statements_;
  std::vector<Message> sent_;
  std::set<uint64_t> there_;
  uint64_t batch_ = 1;
  bool skipping_ = false;
};

TEST(ServerStatementsModel, PipelinesWithErrorsAndEvictions) {
  for (unsigned seed = 1; seed <= 600 && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    PipelineModel(seed).run(400);
  }
}

}  // namespace
}  // namespace pgweir::track
