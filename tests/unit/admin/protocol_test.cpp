// The protocol machine, fed with bytes.
#include "admin/protocol.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "wire/builder.hpp"
#include "wire/error_fields.hpp"

namespace pgweir::admin {

namespace {

using Step = ConsoleProtocol::Step;

struct Message {
  char type;
  std::string body;
};

std::vector<Message> messages_in(const std::string& bytes) {
  std::vector<Message> all;
  for (size_t at = 0; at + 5 <= bytes.size();) {
    size_t length = load_be32(bytes.data() + at + 1);
    all.push_back({bytes[at], bytes.substr(at + 5, length - 4)});
    at += 1 + length;
  }
  return all;
}

std::string kinds_in(const std::string& bytes) {
  std::string kinds;
  for (const Message& message : messages_in(bytes))
    kinds += message.type;
  return kinds;
}

std::string typed(char type, const std::string& body) {
  std::string out;
  wire::MessageBuilder(out, type).bytes(body).finish();
  return out;
}

std::string z(const std::string& text) {
  return text + '\0';
}

std::string be16(uint16_t value) {
  std::string out;
  append_be16(out, value);
  return out;
}

std::string be32(uint32_t value) {
  std::string out;
  append_be32(out, value);
  return out;
}

std::string query(const std::string& text) {
  return typed('Q', z(text));
}
std::string parse(const std::string& text, const std::string& name = "") {
  return typed('P', z(name) + z(text) + be16(0));
}
std::string bound(const std::string& portal = "", const std::string& statement = "",
                  const std::vector<uint16_t>& formats = {}) {
  std::string body = z(portal) + z(statement) + be16(0) + be16(0) + be16(static_cast<uint16_t>(formats.size()));
  for (uint16_t format : formats)
    body += be16(format);
  return typed('B', body);
}
std::string describe(char kind, const std::string& name = "") {
  return typed('D', kind + z(name));
}
std::string execute(const std::string& portal = "", uint32_t limit = 0) {
  return typed('E', z(portal) + be32(limit));
}
std::string close(char kind, const std::string& name = "") {
  return typed('C', kind + z(name));
}
const std::string kSync = typed('S', "");
const std::string kFlush = typed('H', "");

// Runs commands at once: SHOW STATE has three rows, all else just ends.
class Talk {
 public:
  explicit Talk(char rights = 'a') : protocol(rights) {}

  std::string say(const std::string& bytes) {
    out.clear();
    protocol.feed(bytes);
    while ((step = protocol.next(out)) == Step::kRun) {
      ran.push_back(protocol.command().text);
      protocol.answer(outcome_of(protocol.command()), out);
    }
    for (const std::string& error : protocol.take_errors())
      errors.push_back(error);
    return kinds_in(out);
  }
  std::string error_text() const {
    for (const Message& message : messages_in(out)) {
      if (message.type == 'E') return std::string(wire::parse_error_fields(message.body).message);
    }
    return "";
  }
  std::string sqlstate() const {
    for (const Message& message : messages_in(out)) {
      if (message.type == 'E') return std::string(wire::parse_error_fields(message.body).sqlstate);
    }
    return "";
  }

  ConsoleProtocol protocol;
  std::string out;
  Step step = Step::kNeedBytes;
  std::vector<std::string> ran;
  std::vector<std::string> errors;
  bool fail = false;

 private:
  Outcome outcome_of(const Command& command) const {
    Outcome outcome;
    if (fail) {
      outcome.ok = false;
      outcome.text = "it failed";
      outcome.sqlstate = "F0000";
      return outcome;
    }
    outcome.tag = command.word;
    if (command.argument == "HELP") outcome.notices = {"Console usage"};
    outcome.columns = command.word == "SHOW" && command.argument != "HELP" ? columns_of(command.argument) : nullptr;
    if (command.argument == "STATE") outcome.rows = {{"active", "yes"}, {"paused", "no"}, {"suspended", {}}};
    if (command.argument == "DNS_ZONES") outcome.rows = {{"z", "258", "3"}};
    return outcome;
  }
};

}  // namespace

TEST(Protocol, SimpleQueries) {
  Talk talk;
  EXPECT_EQ("TDDDCZ", talk.say(query("SHOW STATE")));
  EXPECT_EQ("CZ", talk.say(query("RELOAD")));
  EXPECT_EQ("NCZ", talk.say(query("SHOW HELP")));
  EXPECT_EQ("EZ", talk.say(query("NONSENSE")));
  EXPECT_EQ("invalid command 'NONSENSE', use SHOW HELP;", talk.error_text());
  EXPECT_EQ("08P01", talk.sqlstate());
  EXPECT_EQ("EZ", talk.say(query("")));
  EXPECT_EQ((std::vector<std::string>{"SHOW STATE", "RELOAD", "SHOW HELP"}), talk.ran);
  EXPECT_EQ(2u, talk.errors.size());
}

TEST(Protocol, Pipelined) {
  Talk talk;
  EXPECT_EQ("TDDDCZEZTDDDCZ", talk.say(query("SHOW STATE") + query("x y z") + query("SHOW STATE")));
}

TEST(Protocol, Fragments) {
  Talk talk;
  std::string kinds;
  for (char byte : query("SHOW STATE") + parse("SHOW STATE") + bound() + execute() + kSync)
    kinds += talk.say(std::string(1, byte));
  EXPECT_EQ("TDDDCZ12DDDCZ", kinds);
}

TEST(Protocol, ErrorsOfCommands) {
  Talk talk;
  talk.fail = true;
  EXPECT_EQ("EZ", talk.say(query("RELOAD")));
  EXPECT_EQ("F0000", talk.sqlstate());
  EXPECT_EQ("12EZ", talk.say(parse("RELOAD") + bound() + execute() + describe('P') + kSync));
  talk.fail = false;
  EXPECT_EQ("CZ", talk.say(query("RELOAD")));
}

TEST(Protocol, RightsInBothProtocols) {
  Talk talk('s');
  EXPECT_EQ("EZ", talk.say(query("RELOAD")));
  EXPECT_EQ("admin access needed", talk.error_text());
  EXPECT_EQ("EZ", talk.say(parse("RELOAD") + bound() + execute() + kSync));
  EXPECT_EQ("admin access needed", talk.error_text());
  EXPECT_TRUE(talk.ran.empty());
  EXPECT_EQ("TDDDCZ", talk.say(query("SHOW STATE")));
}

TEST(Protocol, Extended) {
  Talk talk;
  EXPECT_EQ("1tT2TDDDCZ",
            talk.say(parse("SHOW STATE") + describe('S') + bound() + describe('P') + execute() + kFlush + kSync));
  EXPECT_EQ("1tn2nCZ", talk.say(parse("RELOAD") + describe('S') + bound() + describe('P') + execute() + kSync));
}

TEST(Protocol, NamedStatementsAndPortals) {
  Talk talk;
  EXPECT_EQ("1Z", talk.say(parse("SHOW STATE", "s") + kSync));
  for (int round = 0; round < 3; ++round)
    EXPECT_EQ("2DDDC3Z", talk.say(bound("p", "s") + execute("p") + close('P', "p") + kSync));
  EXPECT_EQ("2EZ", talk.say(bound("p", "s") + bound("p", "s") + kSync));
  EXPECT_EQ("42P03", talk.sqlstate());
  EXPECT_EQ("2Z", talk.say(bound("p", "s") + kSync)) << "a portal ends with its batch";
  EXPECT_EQ("EZ", talk.say(parse("RELOAD", "s") + kSync));
  EXPECT_EQ("42P05", talk.sqlstate());
  EXPECT_EQ("3Z", talk.say(close('S', "s") + kSync));
  EXPECT_EQ("EZ", talk.say(bound("", "s") + kSync));
  EXPECT_EQ("26000", talk.sqlstate());
  EXPECT_EQ("3Z", talk.say(close('S', "never") + kSync));
}

TEST(Protocol, UnknownNames) {
  Talk talk;
  EXPECT_EQ("EZ", talk.say(execute("p") + kSync));
  EXPECT_EQ("34000", talk.sqlstate());
  EXPECT_EQ("EZ", talk.say(describe('P', "p") + kSync));
  EXPECT_EQ("34000", talk.sqlstate());
  EXPECT_EQ("EZ", talk.say(describe('S', "s") + kSync));
  EXPECT_EQ("26000", talk.sqlstate());
  EXPECT_EQ("1Z", talk.say(parse("RELOAD") + kSync));
  EXPECT_EQ("CZ", talk.say(query("PAUSE")));
  EXPECT_EQ("EZ", talk.say(bound() + kSync)) << "a simple query destroys the unnamed statement";
}

TEST(Protocol, ErrorSkipsToSync) {
  Talk talk;
  EXPECT_EQ("E", talk.say(parse("NONSENSE") + bound() + execute() + query("SHOW STATE") + close('S', "s")));
  EXPECT_EQ("ZTDDDCZ", talk.say(kSync + query("SHOW STATE")));
  EXPECT_EQ(1u, talk.ran.size());
}

TEST(Protocol, RowLimits) {
  Talk talk;
  EXPECT_EQ("12Ds", talk.say(parse("SHOW STATE") + bound() + execute("", 1)));
  EXPECT_EQ("Ds", talk.say(execute("", 1)));
  EXPECT_EQ("DC", talk.say(execute("", 1)));
  EXPECT_EQ("C", talk.say(execute()));
  EXPECT_EQ("Z", talk.say(kSync));
  EXPECT_EQ(1u, talk.ran.size()) << "a portal runs once";
  EXPECT_EQ("12DDDCZ", talk.say(parse("SHOW STATE") + bound() + execute("", 3) + kSync));
  EXPECT_EQ("12DDDCZ", talk.say(parse("SHOW STATE") + bound() + execute("", UINT32_MAX) + kSync));
}

TEST(Protocol, BinaryResults) {
  Talk talk;
  ASSERT_EQ("12TDCZ", talk.say(parse("SHOW DNS_ZONES") + bound("", "", {1}) + describe('P') + execute() + kSync));
  auto all = messages_in(talk.out);
  EXPECT_EQ(be16(1), all[2].body.substr(all[2].body.size() - 2));
  EXPECT_EQ(be16(3) + be32(1) + "z" + be32(8) + be32(0) + be32(258) + be32(4) + be32(3), all[3].body);
  ASSERT_EQ("12DCZ", talk.say(parse("SHOW DNS_ZONES") + bound("", "", {0, 0, 1}) + execute() + kSync));
  EXPECT_EQ(be16(3) + be32(1) + "z" + be32(3) + "258" + be32(4) + be32(3), messages_in(talk.out)[2].body);
  ASSERT_EQ("12DCZ", talk.say(parse("SHOW DNS_ZONES") + bound("", "", {0}) + execute() + kSync));
  EXPECT_EQ("1EZ", talk.say(parse("SHOW DNS_ZONES") + bound("", "", {0, 1}) + execute() + kSync));
  EXPECT_EQ("1EZ", talk.say(parse("SHOW DNS_ZONES") + bound("", "", {2}) + execute() + kSync));
  EXPECT_EQ("12CZ", talk.say(parse("RELOAD") + bound("", "", {1}) + execute() + kSync));
}

TEST(Protocol, RowDescription) {
  Talk talk;
  talk.say(query("SHOW DNS_ZONES"));
  std::string body = messages_in(talk.out)[0].body;
  auto column = [](const std::string& name, uint32_t oid, uint16_t length) {
    return z(name) + be32(0) + be16(0) + be32(oid) + be16(length) + be32(UINT32_MAX) + be16(0);
  };
  EXPECT_EQ(be16(3) + column("zonename", 25, 0xffff) + column("serial", 20, 8) + column("count", 23, 4), body);
}

TEST(Protocol, ParametersAreRefused) {
  Talk talk;
  std::string with_one = typed('B', z("") + z("") + be16(0) + be16(1) + be32(1) + "x" + be16(0));
  EXPECT_EQ("1EZ", talk.say(parse("SHOW STATE") + with_one + kSync));
  EXPECT_EQ("bind message supplies 1 parameters, but prepared statement \"\" requires 0", talk.error_text());
}

TEST(Protocol, CopyDataIsDropped) {
  Talk talk;
  EXPECT_EQ("CZ", talk.say(typed('d', "x") + typed('c', "") + typed('f', z("no")) + query("RELOAD")));
}

TEST(Protocol, WhatEndsIt) {
  struct Row {
    std::string bytes;
    Step step;
    const char* kinds;
    const char* text;
  };
  const Row rows[] = {
      {typed('X', ""), Step::kTerminate, "", ""},
      {parse("NONSENSE") + typed('X', ""), Step::kTerminate, "E", ""},
      {typed('F', "whatever"), Step::kFatal, "EZ", "bad packet"},
      {typed('?', ""), Step::kFatal, "", "unknown pkt"},
      {typed('p', z("secret")), Step::kFatal, "", "unknown pkt"},
      {std::string(1, '\0') + be32(4), Step::kFatal, "", "unknown pkt"},
      {"Q" + be32(3), Step::kFatal, "", "bad packet header"},
      {"Q" + be32(0), Step::kFatal, "", "bad packet header"},
      {"Q" + be32(UINT32_MAX), Step::kFatal, "", "bad packet header"},
      {"Q" + be32(ConsoleProtocol::kMostMessage + 1), Step::kFatal, "", "bad packet header"},
      {typed('Q', "no end"), Step::kFatal, "", "incomplete query"},
      {typed('Q', z("RELOAD") + "x"), Step::kFatal, "", "bad packet"},
      {typed('Q', ""), Step::kFatal, "", "incomplete query"},
  };
  for (const Row& row : rows) {
    Talk talk;
    EXPECT_EQ(row.kinds, talk.say(row.bytes));
    EXPECT_EQ(row.step, talk.step) << row.text;
    EXPECT_EQ(row.text, talk.protocol.fatal_text());
    EXPECT_TRUE(talk.ran.empty());
  }
}

TEST(Protocol, BentBodies) {
  const std::string good = parse("SHOW STATE", "s") + bound("p", "s");
  for (const std::string& bent : {typed('P', ""),
                                  typed('P', z("a")),
                                  typed('P', z("a") + z("RELOAD")),
                                  typed('P', z("a") + z("RELOAD") + be16(9)),
                                  typed('P', z("a") + z("RELOAD") + be16(0) + "x"),
                                  typed('B', ""),
                                  typed('B', z("q") + z("s")),
                                  typed('B', z("q") + z("s") + be16(7)),
                                  typed('B', z("q") + z("s") + be16(0) + be16(0)),
                                  typed('B', z("q") + z("s") + be16(0) + be16(0) + be16(0xffff)),
                                  typed('B', z("q") + z("s") + be16(0) + be16(0) + be16(0) + "x"),
                                  typed('D', ""),
                                  typed('D', "S"),
                                  typed('D', "X" + z("s")),
                                  typed('D', "S" + z("s") + "x"),
                                  typed('E', z("p")),
                                  typed('E', z("p") + be16(0)),
                                  typed('E', ""),
                                  typed('C', ""),
                                  typed('C', "Y" + z("s"))}) {
    Talk talk;
    EXPECT_EQ("12EZ", talk.say(good + bent + kSync));
    EXPECT_EQ("invalid message format", talk.error_text());
    EXPECT_TRUE(talk.ran.empty());
  }
}

TEST(Protocol, Bounds) {
  Talk talk;
  for (size_t at = 0; at < ConsoleProtocol::kMostStatements; ++at)
    ASSERT_EQ("1", talk.say(parse("SHOW STATE", "s" + std::to_string(at))));
  EXPECT_EQ("EZ", talk.say(parse("SHOW STATE", "more") + kSync));
  for (size_t at = 0; at < ConsoleProtocol::kMostPortals; ++at)
    ASSERT_EQ("2", talk.say(bound("p" + std::to_string(at), "s1")));
  EXPECT_EQ("EZ", talk.say(bound("more", "s1") + kSync));
}

// Any bytes at all: no crash, and every answer is well formed.
TEST(Protocol, Noise) {
  uint32_t state = 12345;
  auto random = [&state] { return (state = state * 1664525u + 1013904223u) >> 8; };
  const std::string kinds = "QPBDECSHdcfFX";
  for (int round = 0; round < 3000; ++round) {
    Talk talk;
    for (int message = 0; message < 6 && talk.step == Step::kNeedBytes; ++message) {
      std::string body;
      const size_t size = random() % 24;
      for (size_t at = 0; at < size; ++at)
        body += static_cast<char>(random() % 3 == 0 ? 0 : random() % 128);
      talk.say(typed(kinds[random() % kinds.size()], body));
      for (char kind : kinds_in(talk.out))
        EXPECT_NE(std::string::npos, std::string("123tTnDCEZNs").find(kind));
    }
  }
}

}  // namespace pgweir::admin
