#include "net/resolver.hpp"

#include <atomic>
#include <map>
#include <mutex>
#include <thread>

#include "base/text.hpp"
#include "net/dns.hpp"
#include "net/task.hpp"
#include "unit/net/support.hpp"

namespace pgweir::net {
namespace {

// A name service that the test writes.
struct Zone {
  std::mutex mutex;
  std::map<std::string, std::vector<std::string>> names;
  std::atomic<int> asked{0};
  std::atomic<bool> silent{false};  // no answer as long as this holds

  Lookup ask(const std::string& name) {
    ++asked;
    EXPECT_TRUE(test::wait_until([this] { return !silent; }));
    std::lock_guard lock(mutex);
    auto at = names.find(name);
    if (at == names.end()) return Error{"Name or service not known"};
    std::vector<Address> out;
    for (const std::string& text : at->second)
      out.push_back(*Address::parse_ip(text, 0));
    return out;
  }
  void set(const std::string& name, std::vector<std::string> addresses) {
    std::lock_guard lock(mutex);
    if (addresses.empty())
      names.erase(name);
    else
      names[name] = std::move(addresses);
  }
};

Task<> look_up(Loop& loop, Resolver& resolver, std::string name, Micros deadline, std::string& answer) {
  std::string text;
  Lookup found = co_await resolver.lookup(loop, name, deadline);
  if (!found) {
    answer = "error: " + found.error().message;
    co_return;
  }
  for (const Address& address : *found)
    text += cat(text.empty() ? "" : ",", address.host());
  answer = text;
}

struct ResolverTest : testing::Test {
  std::shared_ptr<Zone> zone = std::make_shared<Zone>();
  OffloadPool pool{2, 16};
  std::unique_ptr<Loop> loop = make_loop();
  Resolver resolver{pool, [zone = zone](const std::string& name) { return zone->ask(name); }};

  ~ResolverTest() override { zone->silent = false; }

  std::string ask(const std::string& name, Micros patience = 5 * kSecond) {
    Spawned root;
    std::string answer;
    root.start(*loop, look_up(*loop, resolver, name, loop->now() + patience, answer));
    EXPECT_TRUE(run_until(*loop, [&] { return !root.active(); }));
    return answer;
  }
  void expire() {
    ResolverOptions options;
    options.ttl = options.negative_ttl = 1;
    resolver.set_options(options);
  }
  // Until the microsecond that answers live has passed.
  static void outlive() {
    const Micros then = monotonic_now();
    EXPECT_TRUE(test::wait_until([&] { return monotonic_now() > then + 1; }));
  }
};

TEST_F(ResolverTest, AnswersAndCachesAndRotates) {
  zone->set("db", {"10.0.0.1", "10.0.0.2"});
  EXPECT_EQ("10.0.0.1,10.0.0.2", ask("db"));
  EXPECT_EQ("10.0.0.2,10.0.0.1", ask("db"));
  EXPECT_EQ("10.0.0.1,10.0.0.2", ask("db"));
  EXPECT_EQ(1, zone->asked);
  auto names = resolver.snapshot();
  ASSERT_EQ(1u, names.size());
  EXPECT_EQ("db", names[0].name);
  EXPECT_EQ(2u, names[0].addresses.size());
  EXPECT_GT(names[0].ttl, 10 * kSecond);
  EXPECT_EQ("", names[0].error);
}

TEST_F(ResolverTest, LiteralsNeedNoLookup) {
  EXPECT_EQ("10.9.8.7", ask("10.9.8.7"));
  EXPECT_EQ("::1", ask("::1"));
  EXPECT_EQ(0, zone->asked);
  EXPECT_TRUE(resolver.snapshot().empty());
}

TEST_F(ResolverTest, FailuresAreCachedToo) {
  EXPECT_EQ("error: Name or service not known", ask("nobody"));
  EXPECT_EQ("error: Name or service not known", ask("nobody"));
  EXPECT_EQ(1, zone->asked);
  EXPECT_EQ("Name or service not known", resolver.snapshot()[0].error);
}

TEST_F(ResolverTest, OldAnswersServeWhileLookupsFail) {
  expire();
  zone->set("db", {"10.0.0.1"});
  EXPECT_EQ("10.0.0.1", ask("db"));
  zone->set("db", {});
  outlive();
  EXPECT_EQ("10.0.0.1", ask("db"));
  EXPECT_EQ(2, zone->asked);
  EXPECT_EQ("Name or service not known", resolver.snapshot()[0].error);
  zone->set("db", {"10.0.0.9"});
  outlive();
  EXPECT_EQ("10.0.0.9", ask("db"));
  EXPECT_EQ("", resolver.snapshot()[0].error);
}

TEST_F(ResolverTest, OldAnswersServeWhileLookupsHang) {
  ResolverOptions options;
  options.ttl = 1;
  options.patience = 50 * kMillisecond;
  resolver.set_options(options);
  zone->set("db", {"10.0.0.1"});
  EXPECT_EQ("10.0.0.1", ask("db"));
  zone->silent = true;
  outlive();
  Micros start = monotonic_now();
  EXPECT_EQ("10.0.0.1", ask("db"));
  EXPECT_LT(monotonic_now() - start, 500 * kMillisecond);
}

TEST_F(ResolverTest, DeadlinesHold) {
  zone->silent = true;
  zone->set("db", {"10.0.0.1"});
  EXPECT_EQ("error: name lookup timed out", ask("db", 50 * kMillisecond));
  EXPECT_EQ("error: name lookup timed out", ask("db", -1));
  EXPECT_EQ(1u, resolver.pending());
  zone->silent = false;
  EXPECT_EQ("10.0.0.1", ask("db"));  // the same lookup, still under way
  EXPECT_EQ(1, zone->asked);
}

TEST_F(ResolverTest, OneLookupServesAllWhoWait) {
  zone->silent = true;
  zone->set("db", {"10.0.0.1", "10.0.0.2"});
  std::vector<std::unique_ptr<Spawned>> roots;
  std::vector<std::string> answers(10);
  for (auto& answer : answers) {
    roots.push_back(std::make_unique<Spawned>());
    roots.back()->start(*loop, look_up(*loop, resolver, "db", kNever, answer));
  }
  roots[3]->stop();
  zone->silent = false;
  EXPECT_TRUE(run_until(
      *loop, [&] { return std::all_of(roots.begin(), roots.end(), [](auto& root) { return !root->active(); }); }));
  EXPECT_EQ(1, zone->asked);
  EXPECT_EQ("", answers[3]);
  EXPECT_NE(answers[0], answers[1]);
}

TEST_F(ResolverTest, VanishedAddressesAreTold) {
  expire();
  std::mutex mutex;
  std::string told;
  resolver.set_on_change([&](const std::string& name, const std::vector<Address>& vanished) {
    std::lock_guard lock(mutex);
    told = name + " " + vanished[0].host();
  });
  zone->set("db", {"10.0.0.1", "10.0.0.2"});
  ask("db");
  zone->set("db", {"10.0.0.2", "10.0.0.3"});
  outlive();
  ask("db");
  EXPECT_TRUE(run_until(*loop, [&] {
    std::lock_guard lock(mutex);
    return told == "db 10.0.0.1";
  }));
}

TEST_F(ResolverTest, AFullPoolIsAnErrorNotAWait) {
  OffloadPool small(1, 1);
  zone->silent = true;
  Resolver busy(small, [zone = zone](const std::string& name) { return zone->ask(name); });
  Spawned roots[3];
  std::string answers[3];
  for (int i = 0; i < 3; ++i) {
    roots[i].start(*loop, look_up(*loop, busy, cat("name", i), kNever, answers[i]));
    if (i > 0) continue;
    ASSERT_TRUE(test::wait_until([&] { return small.waiting() == 0; })) << "the first is being looked up";
  }
  EXPECT_EQ("error: too many name lookups are waiting", answers[2]);
  zone->silent = false;
}

TEST_F(ResolverTest, ManyLoopsAsk) {
  for (int i = 0; i < 5; ++i)
    zone->set(cat("db", i), {cat("10.0.0.", i)});
  expire();
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&] {
      auto mine = make_loop();
      for (int i = 0; i < 20; ++i) {
        Spawned root;
        std::string answer;
        std::string name = cat("db", i % 5);
        root.start(*mine, look_up(*mine, resolver, name, kNever, answer));
        if (i % 7 == 0) continue;  // given up at once
        EXPECT_TRUE(run_until(*mine, [&] { return !root.active(); }));
        EXPECT_EQ(cat("10.0.0.", i % 5), answer);
      }
    });
  for (auto& thread : threads)
    thread.join();
}

TEST_F(ResolverTest, AddressesThatFailComeLast) {
  zone->set("db", {"10.0.0.1", "10.0.0.2", "10.0.0.3"});
  resolver.avoid(*Address::parse_ip("10.0.0.2", 5432), monotonic_now() + 60 * kSecond);
  EXPECT_EQ("10.0.0.1,10.0.0.3,10.0.0.2", ask("db"));
  EXPECT_EQ("10.0.0.3,10.0.0.1,10.0.0.2", ask("db"));
  EXPECT_EQ("10.0.0.3,10.0.0.1,10.0.0.2", ask("db"));
  resolver.trust(*Address::parse_ip("10.0.0.2", 5432));
  EXPECT_EQ("10.0.0.1,10.0.0.2,10.0.0.3", ask("db"));
  resolver.avoid(*Address::parse_ip("10.0.0.2", 5432), monotonic_now());
  EXPECT_EQ("10.0.0.2,10.0.0.3,10.0.0.1", ask("db"));
  for (int last = 1; last <= 3; ++last)
    resolver.avoid(*Address::parse_ip(cat("10.0.0.", last), 0), monotonic_now() + 60 * kSecond);
  EXPECT_EQ("10.0.0.3,10.0.0.1,10.0.0.2", ask("db")) << "all of them are tried all the same";
}

// A resolver that checks zones all the time; what it tells is kept.
struct ZoneTest : ResolverTest {
  std::atomic<uint32_t> serial{5};
  std::atomic<bool> lame{false};
  std::atomic<int> zone_asked{0};
  std::mutex mutex;
  std::vector<std::string> told;
  Resolver watching{pool, [zone = zone](const std::string& name) { return zone->ask(name); },
                    [this](const std::string& name) -> Result<uint32_t> {
                      EXPECT_EQ("example.org", name);
                      ++zone_asked;
                      if (lame) return Error{"no SOA"};
                      return serial.load();
                    }};

  ZoneTest() {
    ResolverOptions options;
    options.ttl = 3600 * kSecond;
    options.zone_check_period = 1;
    watching.set_options(options);
    watching.set_on_zone([this](const ResolvedZone& news, const std::string& error) {
      std::lock_guard lock(mutex);
      told.push_back(cat(news.name, " ", news.serial, " ", news.names, " ", error));
    });
  }
  std::string find(const std::string& name) {
    Spawned root;
    std::string answer;
    root.start(*loop, look_up(*loop, watching, name, kNever, answer));
    EXPECT_TRUE(run_until(*loop, [&] { return !root.active(); }));
    return answer;
  }
  // One more question for the serial number, and its answer.
  void check() {
    const int before = zone_asked;
    EXPECT_TRUE(test::wait_until([&] {
      watching.check_zones();
      return zone_asked > before;
    }));
    EXPECT_TRUE(test::wait_until([&] { return !pool_busy(); }));
  }
  bool pool_busy() { return pool.waiting() > 0 || watching.pending() > 0; }
  std::vector<std::string> news() {
    std::lock_guard lock(mutex);
    return told;
  }
};

TEST_F(ZoneTest, ALargerSerialLooksNamesUpAgain) {
  zone->set("a.example.org", {"10.0.0.1"});
  zone->set("alone", {"10.0.0.9"});
  EXPECT_EQ("10.0.0.1", find("a.example.org"));
  EXPECT_EQ("10.0.0.9", find("alone"));
  ASSERT_EQ(1u, watching.zones().size());
  EXPECT_EQ(0u, watching.zones()[0].serial);
  check();
  EXPECT_TRUE(test::wait_until([&] { return watching.zones()[0].serial == 5; }));
  EXPECT_EQ(1u, watching.zones()[0].names);
  zone->set("a.example.org", {"10.0.0.2"});
  check();
  EXPECT_EQ("10.0.0.1", find("a.example.org")) << "nothing has changed, the zone says";
  serial = 4;  // a name server that lags behind
  check();
  EXPECT_EQ("10.0.0.1", find("a.example.org"));
  serial = 6;
  check();
  EXPECT_TRUE(test::wait_until([&] { return !news().empty(); }));
  EXPECT_EQ(std::vector<std::string>{"example.org 6 1 "}, news());
  EXPECT_EQ("10.0.0.2", find("a.example.org"));
  EXPECT_EQ(3, zone->asked) << "the name that is in no zone was not looked up again";
}

TEST_F(ZoneTest, SerialsWrapAround) {
  serial = UINT32_MAX;
  zone->set("a.example.org", {"10.0.0.1"});
  find("a.example.org");
  check();
  EXPECT_TRUE(test::wait_until([&] { return watching.zones()[0].serial == UINT32_MAX; }));
  serial = 1;
  check();
  EXPECT_TRUE(test::wait_until([&] { return watching.zones()[0].serial == 1; }));
}

TEST_F(ZoneTest, AZoneThatFailsIsToldOfOnce) {
  lame = true;
  zone->set("a.example.org", {"10.0.0.1"});
  find("a.example.org");
  for (int i = 0; i < 3; ++i)
    check();
  EXPECT_TRUE(test::wait_until([&] { return !news().empty(); }));
  EXPECT_EQ(std::vector<std::string>{"example.org 0 0 no SOA"}, news());
}

TEST(AskDns, SaysWhatIsWrongWithAFile) {
  Lookup found = ask_dns("db.example.org", "/nowhere/resolv.conf");
  ASSERT_FALSE(found.ok());
  EXPECT_EQ("resolv_conf /nowhere/resolv.conf: No such file or directory", found.error().message);
  EXPECT_FALSE(ask_serial("example.org", "/nowhere/resolv.conf").ok());
}

TEST(AskSystem, KnowsLocalhostAndNotNonsense) {
  Lookup local = ask_system("localhost");
  ASSERT_TRUE(local.ok());
  EXPECT_FALSE(local->empty());
  EXPECT_FALSE(ask_system("no-such-host.invalid").ok());
}

}  // namespace
}  // namespace pgweir::net
