// What is shown of names, and JSON: nothing that steers a terminal, nothing that is no JSON.
#include "tools/common/messages.hpp"

#include <gtest/gtest.h>

#include "tools/common/json.hpp"
#include "tools/common/postgres.hpp"

namespace pgweir::tools {
namespace {

TEST(Shown, NamesThatCannotBeMisreadStayAsTheyAre) {
  for (const char* name : {"app", "app-2.x", "Ünïcode", "日本", "a_b@c", "$x"})
    EXPECT_EQ(shown_name(name), name);
  EXPECT_EQ(shown_name(""), "\"\"");
  EXPECT_EQ(shown_name("two words"), "\"two words\"");
  EXPECT_EQ(shown_name("a,b"), "\"a,b\"");
  EXPECT_EQ(shown_name("a\"b\\c"), "\"a\\\"b\\\\c\"");
}

TEST(Shown, NothingSteersATerminal) {
  EXPECT_EQ(shown_name("\x1b[31m\n\t\r\x7f"), "\"\\x1b[31m\\n\\t\\r\\x7f\"");
  EXPECT_EQ(shown_text("\xc2\x9b"
                       "31m"),
            "\\xc2\\x9b31m")
      << "CSI as a C1 control";
  EXPECT_EQ(shown_text("a\xe2\x80\xae"
                       "b"),
            "a\\xe2\\x80\\xaeb")
      << "right to left override";
  EXPECT_EQ(shown_text("\xe2\x81\xa6"), "\\xe2\\x81\\xa6");
  EXPECT_EQ(shown_text("\xff\xc0\xaf\xed\xa0\x80\xe2\x82"), "\\xff\\xc0\\xaf\\xed\\xa0\\x80\\xe2\\x82");
  EXPECT_EQ(shown_text("€ … 😀"), "€ … 😀");
}

TEST(Shown, Utf8EndsWhereItEnds) {
  EXPECT_EQ(next_character("a", 0), 1u);
  EXPECT_EQ(next_character("\xe2\x82\xac", 0), 3u);
  EXPECT_EQ(next_character("\xf0\x9f\x98\x80", 0), 4u);
  for (const char* bad :
       {"\x80", "\xc1\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", ""})
    EXPECT_EQ(next_character(bad, 0), 0u);
}

TEST(Painted, OnlyWhenOn) {
  EXPECT_EQ(painted("x", Colour::kRed, true), "\x1b[31mx\x1b[0m");
  EXPECT_EQ(painted("x", Colour::kRed, false), "x");
  EXPECT_EQ(painted("x", Colour::kNone, true), "x");
}

TEST(JsonWriter, EverythingIsJson) {
  Json json;
  json.begin_object().put("a", "x\"\\\n\x01\xff€").put("n", size_t{18446744073709551615u}).put("t", true);
  json.key("list").begin_array().put("1").put(2).begin_object().end_object().begin_array().end_array().end_array();
  json.key("none").put_null().end_object();
  EXPECT_EQ(json.text(),
            "{\"a\":\"x\\\"\\\\\\u000a\\u0001\\ufffd€\",\"n\":18446744073709551615,\"t\":true,"
            "\"list\":[\"1\",2,{},[]],\"none\":null}");
}

TEST(Conninfo, PasswordsAreFoundAndNeverRepeated) {
  EXPECT_FALSE(*has_password("host=x user=y"));
  EXPECT_FALSE(*has_password(""));
  EXPECT_TRUE(*has_password("host=x password='s e c'"));
  EXPECT_TRUE(*has_password("postgresql://u:sec@host/db"));
  EXPECT_TRUE(*has_password("host=x sslpassword=sec"));
  for (const char* bad : {"password=my sec", "postgresql://u:sec@[host", "sslpassword='sec", "nonsense=sec"}) {
    auto got = has_password(bad);
    ASSERT_FALSE(got.ok()) << bad;
    EXPECT_EQ(got.error().message.find("sec"), std::string::npos) << got.error().message;
  }
}

TEST(ArrayText, QuotesWhatItMust) {
  EXPECT_EQ(array_text({}), "{}");
  EXPECT_EQ(array_text({"a", "b \"c\"", "d\\,{}", ""}), R"({"a","b \"c\"","d\\,{}",""})");
}

}  // namespace
}  // namespace pgweir::tools
