// What a client is told of a statement: which differences count.
#include "track/description.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "track/statements.hpp"

namespace pgweir::track {
namespace {

struct Column {
  std::string name = "a";
  uint32_t table = 16384;
  uint16_t number = 1;
  uint32_t type = 23;
  uint16_t size = 4;
  uint32_t modifier = 0xffffffff;
  uint16_t format = 0;
};

void put(std::string& out, uint32_t value, int bytes) {
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8)
    out.push_back(static_cast<char>(value >> shift));
}

uint64_t print(const std::vector<Column>& columns) {
  std::string body;
  put(body, static_cast<uint32_t>(columns.size()), 2);
  for (const Column& column : columns) {
    body.append(column.name).push_back('\0');
    put(body, column.table, 4);
    put(body, column.number, 2);
    put(body, column.type, 4);
    put(body, column.size, 2);
    put(body, column.modifier, 4);
    put(body, column.format, 2);
  }
  return print_of_columns(body);
}

TEST(Columns, NameTypeSizeAndModifierCount) {
  const uint64_t before = print({Column{}});
  EXPECT_EQ(print({Column{}}), before);
  EXPECT_NE(print({Column{.name = "b"}}), before);
  EXPECT_NE(print({Column{.type = 700}}), before);
  EXPECT_NE(print({Column{.size = 8}}), before);
  EXPECT_NE(print({Column{.modifier = 8}}), before);
  EXPECT_NE(print({Column{}, Column{}}), before);
  EXPECT_NE(print({}), before);
}

TEST(Columns, WhereTheyComeFromAndTheirFormatDoNot) {
  const uint64_t before = print({Column{}});
  EXPECT_EQ(print({Column{.table = 99999}}), before);
  EXPECT_EQ(print({Column{.number = 7}}), before);
  EXPECT_EQ(print({Column{.format = 1}}), before);
}

TEST(Columns, OrderAndTheEndsOfNamesCount) {
  EXPECT_NE(print({Column{.name = "ab"}, Column{.name = "c"}}), print({Column{.name = "a"}, Column{.name = "bc"}}));
  EXPECT_NE(print({Column{.name = "b"}, Column{.name = "a"}}), print({Column{.name = "a"}, Column{.name = "b"}}));
}

TEST(Columns, NoneIsNotNoAnswer) {
  EXPECT_NE(print({}), kNoColumns);
  EXPECT_NE(print({}), 0U);
}

TEST(Columns, ABodyThatEndsTooEarlyHarmsNobody) {
  std::string body;
  put(body, 2, 2);
  body += "name without an end";
  EXPECT_NE(print_of_columns(body), 0U);
  EXPECT_NE(print_of_columns(""), 0U);
  EXPECT_NE(print_of_columns(ByteView("\0\1a\0\0\0", 6)), 0U);
}

TEST(Descriptions, TheFirstThatIsToldHolds) {
  Description description;
  EXPECT_FALSE(description.known());
  EXPECT_TRUE(description.agrees({.parameters = 5, .columns = 0}));
  EXPECT_FALSE(description.known());
  EXPECT_TRUE(description.agrees({.parameters = 0, .columns = 7}));  // by a portal
  EXPECT_TRUE(description.known());
  EXPECT_TRUE(description.agrees({.parameters = 5, .columns = 7}));
  EXPECT_FALSE(description.agrees({.parameters = 5, .columns = 8}));
  EXPECT_FALSE(description.agrees({.parameters = 6, .columns = 7}));
  EXPECT_TRUE(description.agrees({.parameters = 5, .columns = 7}));
}

struct Compared : testing::Test {
  StatementRegistry registry;
  StatementPtr statement = registry.find_or_make(ByteView("SELECT 1\0\0\0", 11));
  ServerStatements server;
};

TEST_F(Compared, ComparedOnceForEachParse) {
  server.verified(*statement);  // not there: nothing
  server.sent(statement, 1);
  server.confirm(*statement);
  EXPECT_TRUE(server.use(*statement, 1).present);
  EXPECT_FALSE(server.use(*statement, 1).verified);
  server.verified(*statement);
  EXPECT_TRUE(server.use(*statement, 2).verified);
  server.sent(statement, 3);  // closed and parsed again
  EXPECT_FALSE(server.use(*statement, 3).verified);
}

TEST_F(Compared, WhatIsGivenUpIsClosedBeforeItIsParsedAgain) {
  EXPECT_FALSE(server.give_up(*statement));
  server.sent(statement, 1);
  EXPECT_FALSE(server.give_up(*statement));  // not confirmed
  server.confirm(*statement);
  EXPECT_TRUE(server.give_up(*statement));
  EXPECT_FALSE(server.use(*statement, 1));
  EXPECT_EQ(server.size(), 0U);
  EXPECT_TRUE(server.in_doubt(*statement));
  server.closed(*statement);
  EXPECT_FALSE(server.in_doubt(*statement));
}

}  // namespace
}  // namespace pgweir::track
