// Names in Parse, Bind, Describe and Close, found in whole, partial and broken messages.
#include "track/rewrite.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "wire/builder.hpp"
#include "wire/framing.hpp"

namespace pgweir::track {
namespace {

std::string zero(const std::string& text) {
  return text + '\0';
}

TEST(ReadParse, NameAndTheRest) {
  std::string body = zero("s1") + zero("SELECT $1") + std::string("\0\1\0\0\0\x17", 6);
  ParseNames names;
  ASSERT_EQ(read_parse(body, body.size(), names), Seen::kOk);
  EXPECT_EQ(names.name, "s1");
  EXPECT_EQ(names.rest, ByteView(body).substr(3));
}

TEST(ReadParse, WaitsForTheWhole) {
  std::string body = zero("s1") + zero("SELECT 1") + std::string(2, '\0');
  for (size_t here = 0; here < body.size(); ++here) {
    ParseNames names;
    EXPECT_EQ(read_parse(body.substr(0, here), body.size(), names), Seen::kNeedMore);
  }
}

TEST(ReadParse, LooksNoFurtherThanItsOwnMessage) {
  std::string body = zero("s1") + zero("SELECT 1") + std::string(2, '\0');
  ParseNames names;
  std::string stream = body + std::string("S\0\0\0\4", 5);
  ASSERT_EQ(read_parse(stream, body.size(), names), Seen::kOk);
  EXPECT_EQ(names.rest, ByteView(body).substr(3));
}

TEST(ReadParse, Broken) {
  const std::string broken[] = {
      "",
      "s1",
      zero("s1"),
      zero("s1") + "SELECT",
      zero("s1") + zero("SELECT"),
      zero("s1") + zero("SELECT") + std::string(1, '\0'),
      zero("s1") + zero("SELECT") + std::string("\0\1\0\0", 4),
      zero("s1") + zero("SELECT") + std::string("\xff\xff", 2),
      zero("s1") + zero("SELECT") + std::string(3, '\0'),
  };
  for (const std::string& body : broken) {
    ParseNames names;
    EXPECT_EQ(read_parse(body, body.size(), names), Seen::kBroken) << body;
  }
}

TEST(ReadName, WithinItsBound) {
  ByteView name;
  EXPECT_EQ(read_name("", 100, name), Seen::kNeedMore);
  EXPECT_EQ(read_name("s", 100, name), Seen::kNeedMore);
  EXPECT_EQ(read_name("", 0, name), Seen::kBroken);
  EXPECT_EQ(read_name(zero("s"), 1, name), Seen::kBroken);  // the NUL is the next message's
  const std::string text = zero("s") + "SELECT";
  ASSERT_EQ(read_name(text, 1 << 30, name), Seen::kOk);
  EXPECT_EQ(name, "s");
  const std::string longest = zero(std::string(kMostNames - 1, 'n'));
  ASSERT_EQ(read_name(longest, 1 << 30, name), Seen::kOk);
  EXPECT_EQ(name.size(), kMostNames - 1);
  const std::string endless(kMostNames, 'n');
  EXPECT_EQ(read_name(endless.substr(1), 1 << 30, name), Seen::kNeedMore);
  EXPECT_EQ(read_name(endless, 1 << 30, name), Seen::kBroken);
  EXPECT_EQ(read_name(zero(endless), 1 << 30, name), Seen::kBroken);  // in one piece or in several: the same
}

TEST(ReadBind, NamesHaveABound) {
  BindNames names;
  const std::string endless(kMostNames, 'n');
  EXPECT_EQ(read_bind(endless.substr(1), 1 << 30, names), Seen::kNeedMore);
  EXPECT_EQ(read_bind(endless, 1 << 30, names), Seen::kBroken);
  EXPECT_EQ(read_bind(zero("p") + zero(endless), 1 << 30, names), Seen::kBroken);
}

TEST(ReadTarget, NamesHaveABound) {
  Target target;
  EXPECT_EQ(read_target("S", kMostNames, target), Seen::kNeedMore);
  EXPECT_EQ(read_target("S", kMostNames + 1, target), Seen::kBroken);
}

TEST(ReadBind, NeedsOnlyTheHead) {
  std::string head = zero("p") + zero("s1");
  BindNames names;
  ASSERT_EQ(read_bind(head, 1 << 30, names), Seen::kOk);
  EXPECT_EQ(names.portal, "p");
  EXPECT_EQ(names.statement, "s1");
  EXPECT_EQ(names.end, head.size());
}

TEST(ReadBind, WaitsForTheNames) {
  BindNames names;
  EXPECT_EQ(read_bind("", 100, names), Seen::kNeedMore);
  EXPECT_EQ(read_bind("p", 100, names), Seen::kNeedMore);
  EXPECT_EQ(read_bind(zero("p") + "s", 100, names), Seen::kNeedMore);
}

TEST(ReadBind, Broken) {
  BindNames names;
  EXPECT_EQ(read_bind("", 0, names), Seen::kBroken);
  EXPECT_EQ(read_bind("ps", 2, names), Seen::kBroken);
  // The next message's bytes do not end this one's name.
  EXPECT_EQ(read_bind(zero("p") + "s1" + std::string("S\0\0\0\4", 5), 4, names), Seen::kBroken);
}

TEST(ReadTarget, StatementsAndPortals) {
  Target target;
  const std::string statement = zero("Ss1");  // the names look into them
  const std::string portal = zero("P");
  ASSERT_EQ(read_target(statement, 4, target), Seen::kOk);
  EXPECT_EQ(target.kind, 'S');
  EXPECT_EQ(target.name, "s1");
  ASSERT_EQ(read_target(portal, 2, target), Seen::kOk);
  EXPECT_EQ(target.kind, 'P');
  EXPECT_EQ(target.name, "");
}

TEST(ReadTarget, PartialAndBroken) {
  Target target;
  EXPECT_EQ(read_target("S", 4, target), Seen::kNeedMore);
  EXPECT_EQ(read_target("", 0, target), Seen::kBroken);
  EXPECT_EQ(read_target("S", 1, target), Seen::kBroken);
  EXPECT_EQ(read_target("Ss1x", 4, target), Seen::kBroken);
  EXPECT_EQ(read_target(zero("Xs1"), 4, target), Seen::kOk);  // the server's to refuse
  EXPECT_EQ(read_target(zero("Ss1") + "x", 5, target), Seen::kBroken);
}

TEST(Rewrite, ABindWithItsNewHeadIsAWholeMessage) {
  std::string rest("\0\0\0\1\0\0\0\2ab\0\0", 12);
  std::string body = zero("portal") + zero("client's name") + rest;
  BindNames names;
  ASSERT_EQ(read_bind(body, body.size(), names), Seen::kOk);
  std::string message = bind_head(names, body.size(), "PGWEIR_7") + body.substr(names.end);
  wire::Header header;
  ASSERT_EQ(wire::parse_header(message, UINT32_MAX, header), wire::Frame::kOk);
  EXPECT_EQ(header.type, 'B');
  EXPECT_EQ(header.size(), message.size());
  EXPECT_EQ(message.substr(wire::kHeaderSize), zero("portal") + zero("PGWEIR_7") + rest);
}

TEST(Rewrite, DescribeOfAStatement) {
  EXPECT_EQ(describe_statement("PGWEIR_7"), std::string("D\0\0\0\x0eSPGWEIR_7\0", 15));
}

TEST(Rewrite, NoBytesLeadOutOfBounds) {
  std::mt19937 random(7);
  for (int round = 0; round < 100000; ++round) {
    std::string bytes(random() % 24, '\0');
    for (char& c : bytes)
      c = "\0\0\0Sp\1\xff"[random() % 7];
    size_t size = random() % 32;
    ParseNames parse;
    BindNames bind;
    Target target;
    if (read_parse(bytes, size, parse) == Seen::kOk) {
      ASSERT_LE(parse.name.size() + parse.rest.size(), size);
    }
    if (read_bind(bytes, size, bind) == Seen::kOk) {
      ASSERT_LE(bind.end, std::min(size, bytes.size()));
    }
    if (read_target(bytes, size, target) == Seen::kOk) {
      ASSERT_EQ(target.name.size() + 2, size);
    }
  }
}

}  // namespace
}  // namespace pgweir::track
