// The smallest building blocks: bytes, texts, deadlines, results, the intrusive list, the logger.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/list.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "base/text.hpp"

namespace pgweir {
namespace {

using Names = std::vector<std::string>;

TEST(Bytes, BigEndianThereAndBack) {
  std::string out;
  append_be16(out, 0x0102);
  append_be32(out, 0xfffefdfc);
  EXPECT_EQ(out, std::string("\x01\x02\xff\xfe\xfd\xfc"));
  EXPECT_EQ(load_be16(out.data()), 0x0102);
  EXPECT_EQ(load_be32(out.data() + 2), 0xfffefdfcU);
}

TEST(Bytes, HexIsBounded) {
  EXPECT_EQ(hex(ByteView("\x00\x7f\xff", 3)), "007fff");
  EXPECT_EQ(hex("abc", 2), "6162");
  EXPECT_EQ(hex({}), "");
  EXPECT_EQ(hex(std::string(1000, 'a')).size(), 128U);
}

TEST(Bytes, WipedMemoryIsZero) {
  std::string secret(40, 's');
  const char* at = secret.data();
  wipe(secret.data(), secret.size());
  EXPECT_EQ(secret, std::string(40, '\0'));
  secret.assign(40, 't');
  wipe(secret);
  EXPECT_TRUE(secret.empty());
  EXPECT_EQ(secret.data(), at);
  std::string none;
  wipe(none);
}

TEST(Text, PiecesInARow) {
  EXPECT_EQ(cat("port ", 6432, ' ', std::string("x"), -1, 'c'), "port 6432 x-1c");
  EXPECT_EQ(cat(), "");
}

TEST(Text, Trim) {
  EXPECT_EQ(trim(" \t a b\r\n"), "a b");
  EXPECT_EQ(trim(" \t\r\n"), "");
  EXPECT_EQ(trim(""), "");
}

TEST(Text, CaseIsOfAsciiOnly) {
  EXPECT_EQ(lower("A[Zz\xc3\x84"), "a[zz\xc3\x84");
  EXPECT_TRUE(equal_ignoring_case("TimeZone", "TIMEZONE"));
  EXPECT_FALSE(equal_ignoring_case("TimeZone", "TimeZon"));
  EXPECT_FALSE(equal_ignoring_case("TimeZon", "TimeZone"));
  EXPECT_FALSE(equal_ignoring_case("@", "`"));
  EXPECT_FALSE(equal_ignoring_case("[", "{"));
}

TEST(Text, ListsOfNames) {
  EXPECT_EQ(split_names("a, b c,,\td\n"), (Names{"a", "b", "c", "d"}));
  EXPECT_TRUE(split_names(" , ").empty());
  EXPECT_TRUE(list_contains("alice, bob", "bob"));
  EXPECT_FALSE(list_contains("alice, bob", "bo"));
  EXPECT_FALSE(list_contains("alice, bob", "Bob"));
  EXPECT_FALSE(list_contains("alice, bob", ""));
}

TEST(Clock, LimitsThatAreOffOrTooFarAreNever) {
  EXPECT_EQ(deadline_after(5, 10), 15);
  EXPECT_EQ(deadline_after(5, 0), kNever);
  EXPECT_EQ(deadline_after(5, -1), kNever);
  EXPECT_EQ(deadline_after(5, kNever - 1), kNever);
  EXPECT_EQ(deadline_after(5, kNever), kNever);
}

TEST(Clock, DoesNotRunBackwards) {
  Micros first = monotonic_now();
  EXPECT_GE(monotonic_now(), first);
  EXPECT_GT(wall_now(), 1'600'000'000 * kSecond);
}

TEST(Result, HoldsOneOfTwo) {
  Result<std::string> good(std::string("v"));
  EXPECT_TRUE(good.ok());
  EXPECT_EQ(good->size(), 1U);
  EXPECT_EQ(good.take(), "v");
  Result<std::string> bad(Error{"no", "08P01"});
  EXPECT_FALSE(bad);
  EXPECT_EQ(bad.error().sqlstate, "08P01");
  EXPECT_TRUE(Result<void>().ok());
  EXPECT_EQ(Result<void>(Error{"no"}).error().message, "no");
}

struct First {};
struct Second {};
struct Item : Hook<First>, Hook<Second> {
  explicit Item(int n) : number(n) {}
  int number;
};

std::vector<int> numbers(List<Item, First>& list) {
  std::vector<int> all;
  for (Item* item = list.front(); item; item = list.next(*item))
    all.push_back(item->number);
  return all;
}

TEST(List, OrderAndSize) {
  Item one(1), two(2), three(3);
  List<Item, First> list;
  EXPECT_EQ(list.front(), nullptr);
  EXPECT_EQ(list.pop_back(), nullptr);
  list.push_back(two);
  list.push_back(three);
  list.push_front(one);
  EXPECT_EQ(numbers(list), (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(list.previous(one), nullptr);
  EXPECT_EQ(list.previous(three), &two);
  EXPECT_EQ(list.pop_front(), &one);
  EXPECT_EQ(list.pop_back(), &three);
  EXPECT_EQ(list.size(), 1U);
}

TEST(List, AnItemIsInOneListPerHook) {
  Item one(1);
  List<Item, First> a, b;
  List<Item, Second> c;
  a.push_back(one);
  c.push_back(one);
  b.push_back(one);
  EXPECT_TRUE(a.empty());
  EXPECT_EQ(a.size(), 0U);
  EXPECT_EQ(b.size(), 1U);
  EXPECT_EQ(c.front(), &one);
}

// To push an item that is last (or first) already once left it in no list at all, and a coroutine asleep for ever.
TEST(List, AnItemPushedAgainIsMovedAndStaysIn) {
  Item one(1), two(2);
  List<Item, First> list;
  for (int times = 0; times < 3; ++times) {
    list.push_back(one);
    EXPECT_EQ(numbers(list), std::vector<int>{1});
    EXPECT_EQ(list.size(), 1U);
    EXPECT_TRUE(static_cast<Hook<First>&>(one).linked());
    list.push_front(one);
    EXPECT_EQ(numbers(list), std::vector<int>{1});
  }
  list.push_back(two);
  list.push_back(two);
  EXPECT_EQ(numbers(list), (std::vector<int>{1, 2}));
  list.push_back(one);
  EXPECT_EQ(numbers(list), (std::vector<int>{2, 1}));
  list.push_front(one);
  list.push_front(one);
  EXPECT_EQ(numbers(list), (std::vector<int>{1, 2}));
  EXPECT_EQ(list.size(), 2U);
}

TEST(List, ADyingItemLeavesAndADyingListLetsGo) {
  Item stays(1);
  {
    List<Item, First> list;
    list.push_back(stays);
    {
      Item goes(2);
      list.push_front(goes);
      EXPECT_EQ(list.size(), 2U);
    }
    EXPECT_EQ(numbers(list), std::vector<int>{1});
  }
  EXPECT_FALSE(static_cast<Hook<First>&>(stays).linked());
  static_cast<Hook<First>&>(stays).unlink();  // twice is harmless
}

struct Heard {
  Names texts;
  Names fields;
  Names kinds;
  int reopened = 0;
  int ticks = 0;
  bool keeps = false;
};

class Ear final : public LogSink {
 public:
  explicit Ear(Heard& heard) : heard_(heard) {}
  void write(const LogRecord& record) override {
    heard_.texts.push_back(cat(level_name(record.level), ' ', record.text));
    heard_.kinds.push_back(std::string(record.kind));
    for (size_t at = 0; at < record.field_count; ++at)
      heard_.fields.push_back(cat(record.fields[at].name, '=', record.fields[at].value));
  }
  void reopen() override { ++heard_.reopened; }
  void tick() override { ++heard_.ticks; }
  bool keeps_fields() const override { return heard_.keeps; }

 private:
  Heard& heard_;
};

TEST(Logger, PassesOnWhatIsWanted) {
  Logger logger;
  logger.error(Event::kStats, "to nobody");
  Heard heard;
  std::vector<std::unique_ptr<LogSink>> sinks;
  sinks.push_back(std::make_unique<Ear>(heard));
  sinks.push_back(std::make_unique<Ear>(heard));
  logger.set_sinks(std::move(sinks));
  logger.debug("off by default");
  logger.write(Level::kLog, Event::kListening, "hello", {{"CLIENT_ADDR", "::1"}});
  EXPECT_EQ(heard.texts, (Names{"LOG hello", "LOG hello"}));
  EXPECT_EQ(heard.fields, (Names{"CLIENT_ADDR=::1", "CLIENT_ADDR=::1"}));
  EXPECT_EQ(heard.kinds, (Names{"listening", "listening"}));
  logger.set_limit(Level::kFatal);
  logger.error(Event::kStats, "off");
  logger.fatal(Event::kStats, "on");
  EXPECT_EQ(heard.texts.back(), "FATAL on");
  EXPECT_EQ(heard.texts.size(), 4U);
  logger.reopen();
  EXPECT_EQ(heard.reopened, 2);
  logger.tick();
  EXPECT_EQ(heard.ticks, 2);
}

TEST(Logger, WantsFieldsWhenASinkKeepsThem) {
  Logger logger;
  EXPECT_FALSE(logger.keeps_fields());
  for (bool keeps : {true, false}) {
    Heard plain;
    Heard keeper;
    keeper.keeps = keeps;
    std::vector<std::unique_ptr<LogSink>> sinks;
    sinks.push_back(std::make_unique<Ear>(keeper));
    sinks.push_back(std::make_unique<Ear>(plain));
    logger.set_sinks(std::move(sinks));
    EXPECT_EQ(logger.keeps_fields(), keeps);
    logger.set_sinks({});
  }
}

}  // namespace
}  // namespace pgweir
