// The console's grammar (compat/console.md, section 3).
#include "admin/grammar.hpp"

#include <gtest/gtest.h>

namespace pgweir::admin {

namespace {

struct Good {
  const char* text;
  const char* word;
  const char* argument;
  const char* value;
};

const Good kGood[] = {
    {"SHOW POOLS", "SHOW", "POOLS", ""},
    {"show pools;", "SHOW", "pools", ""},
    {" \t\r\n show \t\r\n pools \t;\n ", "SHOW", "pools", ""},
    {"\"show\" \"pools\"", "SHOW", "pools", ""},
    {"SELECT pools", "SHOW", "pools", ""},
    {"PAUSE", "PAUSE", "", ""},
    {"PAUSE;", "PAUSE", "", ""},
    {"PAUSE \"\"", "PAUSE", "", ""},
    {"PAUSE MyDb", "PAUSE", "MyDb", ""},
    {"PAUSE \"my-db.x\"", "PAUSE", "my-db.x", ""},
    {"PAUSE \"a\"\"b\"", "PAUSE", "a\"b", ""},
    {"PAUSE \"a;b\";", "PAUSE", "a;b", ""},
    {"set a=b", "SET", "a", "b"},
    {"SET a = b ;", "SET", "a", "b"},
    {"SET a TO b", "SET", "a", "b"},
    {"SET a to 'b'", "SET", "a", "b"},
    {"SET \"a b\"='it''s'", "SET", "a b", "it's"},
    {"SET a=\"x\"\"y\"", "SET", "a", "x\"y"},
    {"SET a='-1'", "SET", "a", "-1"},
    {"SET a=''", "SET", "a", ""},
    {"KILL_CLIENT 12", "KILL_CLIENT", "12", ""},
    {"FROBNICATE x", "FROBNICATE", "x", ""},
};

const char* const kBad[] = {
    "",
    ";",
    " ",
    "SHOW POOLS;;",
    "SHOW POOLS; SHOW POOLS",
    "SHOW POOLS x",
    "SHOW -- x",
    "SHOW POOLS -- x",
    "/* x */ SHOW POOLS",
    "SHOW a.b",
    "SHOW (1)",
    "SHOW \"POOLS",
    "SHOW 'POOLS'",
    "SET",
    "SET;",
    "SET ",
    "SET x",
    "SET x y",
    "SET x =",
    "SET = 1",
    "SET x = -1",
    "SET x = 1.5",
    "SET x = /tmp",
    "SET x = 'a",
    "SET x = 1 2",
    "SET x == 1",
    "SET x TO",
    "SHOW\"x\"y",
    "\xc3\xa4",
    "SET x = 1;;",
};

}  // namespace

TEST(Grammar, Accepts) {
  for (const Good& good : kGood) {
    Result<Command> command = parse_command(good.text);
    ASSERT_TRUE(command.ok()) << good.text;
    EXPECT_EQ(good.word, command->word) << good.text;
    EXPECT_EQ(good.argument, command->argument) << good.text;
    EXPECT_EQ(good.value, command->value) << good.text;
    EXPECT_EQ(good.text, command->text);
  }
}

TEST(Grammar, RefusesWithTheWholeText) {
  for (const char* text : kBad) {
    Result<Command> command = parse_command(text);
    ASSERT_FALSE(command.ok()) << text;
    EXPECT_EQ(std::string("invalid command '") + text + "', use SHOW HELP;", command.error().message);
    EXPECT_EQ("08P01", command.error().sqlstate);
  }
}

TEST(Grammar, Limits) {
  auto x = [](size_t count) { return std::string(count, 'x'); };
  EXPECT_TRUE(parse_command(x(15)).ok());
  EXPECT_TRUE(parse_command("PAUSE " + x(63)).ok());
  EXPECT_TRUE(parse_command("PAUSE \"" + x(61) + "\"").ok());
  EXPECT_TRUE(parse_command("SET " + x(63) + "=" + x(255)).ok());
  EXPECT_TRUE(parse_command("SET a='" + x(253) + "'").ok());
  for (const std::string& text : {x(16), "PAUSE " + x(64), "PAUSE \"" + x(62) + "\"", "SET " + x(64) + "=1",
                                  "SET a=" + x(256), "SET a='" + x(254) + "'"}) {
    Result<Command> command = parse_command(text);
    ASSERT_FALSE(command.ok()) << text;
    EXPECT_EQ("bad arguments", command.error().message);
    EXPECT_EQ("08P01", command.error().sqlstate);
  }
}

TEST(Grammar, CutsALongEcho) {
  Result<Command> command = parse_command("(" + std::string(100000, 'x'));
  ASSERT_FALSE(command.ok());
  EXPECT_LT(command.error().message.size(), 1100u);
}

TEST(Grammar, NulIsNoBlank) {
  EXPECT_FALSE(parse_command(std::string("SHOW\0POOLS", 10)).ok());
}

}  // namespace pgweir::admin
