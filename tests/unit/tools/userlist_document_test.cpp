// The old userlist and what it becomes: what stays, what is told, and that every reader reads what was meant.
#include "tools/userlist/document.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "auth/userlist.hpp"

namespace pgweir::tools::userlist {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kManaged = "; pgweir-userlist: managed\n";

std::vector<Role> roles(const std::map<std::string, std::string>& secrets) {
  std::vector<Role> out;
  for (const auto& [name, secret] : secrets) {
    out.emplace_back();
    out.back().name = name;
    out.back().secret = auth::Secret(secret);
  }
  return out;
}

Document parsed(const std::string& text) {
  auto document = parse_document(text, "list");
  EXPECT_TRUE(document) << document.error().message << "\n" << text;
  return document ? document.take() : Document();
}

std::string complaint(const std::string& text) {
  auto document = parse_document(text, "list");
  return document ? "" : document.error().message;
}

std::string text_of(const Plan& plan) {
  return std::string(plan.text.view());
}

TEST(UserlistDocument, PiecesAreTheWholeText) {
  const std::string text = std::string(kManaged) + "\n\"a\" \"b\" tail\r\n  \"c\"\t\"d\"\n; end";
  const Document document = parsed(text);
  std::string joined;
  for (const Piece& piece : document.pieces)
    joined += piece.text;
  EXPECT_EQ(joined, text);
  EXPECT_TRUE(document.managed);
  EXPECT_EQ(text_of(make_plan(document, roles({{"a", "b"}, {"c", "d"}}))), text) << "no change, no byte";
}

TEST(UserlistDocument, ChangesInPlaceAddsAtTheEndRemovesWithTheLine) {
  const Document document = parsed(std::string(kManaged) + "\"z\" \"1\" tail\n; about y\n  \"y\" \"2\"\n\"x\" \"3\"");
  const Plan plan = make_plan(document, roles({{"a", "9"}, {"x", "3"}, {"z", "new"}}));
  EXPECT_EQ(text_of(plan), std::string(kManaged) + "\"z\" \"new\" tail\n; about y\n\"x\" \"3\"\n\"a\" \"9\"\n");
  EXPECT_THAT(plan.added, ElementsAre("a"));
  EXPECT_THAT(plan.changed, ElementsAre("z"));
  EXPECT_THAT(plan.removed, ElementsAre("y"));
  EXPECT_EQ(plan.unchanged, 1u);
}

TEST(UserlistDocument, ANewFileSaysWhoseItIs) {
  const Plan plan = make_plan({}, roles({{"a", "1"}}));
  EXPECT_THAT(text_of(plan), testing::StartsWith(kManaged));
  EXPECT_TRUE(parsed(text_of(plan)).managed);
  EXPECT_THAT(parsed(text_of(plan)).pieces, testing::SizeIs(2)) << "the header marks nothing as kept";
  EXPECT_FALSE(parsed(text_of(plan)).pieces[1].kept);
}

TEST(UserlistDocument, WhatIsMarkedIsKept) {
  const std::string text = std::string(kManaged) +
                           "; pgweir-userlist: keep\n\n; more words\n\"a\" \"1\"\n\"b\" \"2\"\n"
                           ";  pgweir-userlist:  keep begin\n\"c\" \"3\"\n\"d\" \"4\"\n;pgweir-userlist:keep end\n"
                           "\"e\" \"5\" ; pgweir-userlist: keep\n\"f\" \"6\"\n";
  const Plan plan = make_plan(parsed(text), roles({{"c", "other"}, {"f", "6"}}));
  EXPECT_THAT(plan.kept, ElementsAre("a", "c", "d", "e"));
  EXPECT_THAT(plan.removed, ElementsAre("b"));
  EXPECT_THAT(plan.changed, IsEmpty());
  EXPECT_THAT(text_of(plan), HasSubstr("\"c\" \"3\"\n"));
  EXPECT_EQ(text_of(plan).find("other"), std::string::npos);
}

TEST(UserlistDocument, TheLastOfAnameCountsAndOneIsLeft) {
  const Plan plan = make_plan(parsed(std::string(kManaged) + "\"a\" \"1\"\n\"a\" \"2\"\n"), roles({{"a", "2"}}));
  EXPECT_THAT(plan.changed, IsEmpty());
  EXPECT_EQ(text_of(plan), std::string(kManaged) + "\"a\" \"2\"\n");
}

TEST(UserlistDocument, MarksThatAreNoneAreErrors) {
  EXPECT_THAT(complaint("; pgweir-userlist: kepe\n"), HasSubstr("list:1: a mark"));
  EXPECT_THAT(complaint("\n; pgweir-userlist: keep end\n"), HasSubstr("list:2: a mark"));
  EXPECT_THAT(complaint("; pgweir-userlist: keep begin\n; pgweir-userlist: keep begin\n"), HasSubstr("list:2: a mark"));
  EXPECT_THAT(complaint("\"a\" \"1\n2\"\n\"b\" \"1\" ; pgweir-userlist: keep begin\n"), HasSubstr("list:3: a mark"));
  EXPECT_THAT(complaint("\"a\nb\" \"1\n2\"\n\n; pgweir-userlist:\n"), HasSubstr("list:5: a mark"));
  EXPECT_THAT(complaint("; pgweir-userlist: keep\n"), HasSubstr("no entry behind it")) << "it would keep what is added";
  EXPECT_THAT(complaint("; pgweir-userlist: keep begin\n\"a\" \"b\"\n"), HasSubstr("list:3: the last mark"));
  EXPECT_EQ(complaint("; I like pgweir-userlist: keep it\n"), "");
}

TEST(UserlistDocument, WhatIsNoUserlistIsRefusedWithoutItsText) {
  EXPECT_THAT(complaint("root:$6$precious:1:0\n"),
              testing::AllOf(HasSubstr("list:1: broken"), testing::Not(HasSubstr("precious"))));
  EXPECT_THAT(complaint("\"a\"\n\"b\" \"c\"\n"), HasSubstr("list:1: no secret behind")) << "it would be a guess";
}

TEST(UserlistDocument, Quoting) {
  EXPECT_EQ(quoted(""), "\"\"");
  EXPECT_EQ(quoted("a\"b\"\"\n;"), "\"a\"\"b\"\"\"\"\n;\"");
}

// Whatever the old file and the roles are: auth's parser reads what is meant, and a second run changes nothing.
TEST(UserlistDocument, RandomRoundTrips) {
  std::mt19937 random(7);
  auto pick = [&](size_t below) { return static_cast<size_t>(random() % below); };
  const std::vector<std::string> fields = {"a",
                                           "b\"",
                                           "\"\"",
                                           "c\nd",
                                           "e;f",
                                           "; g",
                                           "",
                                           " h ",
                                           "\\",
                                           "\xff\xfe",
                                           "日本",
                                           "i\r\n",
                                           "#",
                                           "it's",
                                           "\t",
                                           "\"",
                                           "p\n\"q\" \"r\"\n",
                                           "; pgweir-userlist: keep\n"};
  const std::vector<std::string> comments = {"",
                                             "; note\n",
                                             "\n\n",
                                             "; pgweir-userlist: keep\n",
                                             " ; x \"y\" \"z\"\n",
                                             "\t\r\n",
                                             "; pgweir-userlist: managed\n"};
  const std::vector<std::string> tails = {"\n", " tail\n", "\r\n", " ; pgweir-userlist: keep\n",
                                          " \"more\" \"quoted\"\n"};
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (size_t count = pick(6); count > 0; --count) {
      text += comments[pick(comments.size())];
      text += userlist::quoted(fields[pick(fields.size())]) + " " + userlist::quoted(fields[pick(fields.size())]) +
              tails[pick(tails.size())];
    }
    if (pick(2) && !text.empty()) text.pop_back();
    std::map<std::string, std::string> wanted;
    for (size_t count = pick(5); count > 0; --count)
      wanted[fields[pick(fields.size())]] = fields[pick(fields.size())];
    const Document document = parsed(text);
    const Plan plan = make_plan(document, roles(wanted));
    std::map<std::string, std::string> meant = wanted;
    std::map<std::string, std::string> kept;
    for (const Piece& piece : document.pieces)
      if (piece.kept) kept[piece.name] = piece.secret.text();
    for (const auto& [name, secret] : kept)
      meant[name] = secret;
    auth::UserlistText read = auth::parse_userlist(plan.text.view(), "new");
    ASSERT_TRUE(read.complaints.empty()) << text << "\n->\n" << text_of(plan);
    const auth::Userlist list(std::move(read.records));
    ASSERT_EQ(list.size(), meant.size()) << text << "\n->\n" << text_of(plan);
    for (const auto& [name, secret] : meant) {
      const auth::Secret* found = list.find(name);
      ASSERT_TRUE(found && found->text() == secret) << text << "\n->\n" << text_of(plan);
    }
    const Plan again = make_plan(parsed(text_of(plan)), roles(wanted));
    ASSERT_EQ(text_of(again), text_of(plan));
    ASSERT_TRUE(again.added.empty() && again.changed.empty() && again.removed.empty());
    ASSERT_EQ(again.kept.size(), kept.size());
  }
}

}  // namespace
}  // namespace pgweir::tools::userlist
