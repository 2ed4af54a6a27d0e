// Which SQL is a DEALLOCATE of one name.
#include "track/deallocate.hpp"

#include <gtest/gtest.h>

#include <random>

namespace pgweir::track {
namespace {

std::string name_in(ByteView sql) {
  return deallocated_name(sql).value_or("(none)");
}

TEST(Deallocate, Names) {
  EXPECT_EQ(name_in("DEALLOCATE _pg3_0"), "_pg3_0");
  EXPECT_EQ(name_in("DEALLOCATE \"_pg3_0\""), "_pg3_0");
  EXPECT_EQ(name_in("deallocate prepare S_1"), "s_1");
  EXPECT_EQ(name_in("DEALLOCATE PREPARE \"S_1\""), "S_1");
  EXPECT_EQ(name_in("DEALLOCATE \"with \"\"quotes\"\" and ; in it\""), "with \"quotes\" and ; in it");
  EXPECT_EQ(name_in("DEALLOCATE\"s\""), "s");
  EXPECT_EQ(name_in("DEALLOCATE caf\xc3\xa9$1"), "caf\xc3\xa9$1");
}

TEST(Deallocate, SpaceCommentsAndSemicolonsDoNotMatter) {
  EXPECT_EQ(name_in(" \t\n DEALLOCATE\n s ; ; "), "s");
  EXPECT_EQ(name_in("/* a /* nested */ one */DEALLOCATE/**/s--end"), "s");
  EXPECT_EQ(name_in("-- first\nDEALLOCATE -- then\r s;\n-- last\n"), "s");
}

TEST(Deallocate, WordsThatAreNamesOnlySometimes) {
  EXPECT_EQ(name_in("DEALLOCATE ALL"), "(none)");
  EXPECT_EQ(name_in("DEALLOCATE PREPARE all"), "(none)");
  EXPECT_EQ(name_in("DEALLOCATE \"all\""), "all");
  EXPECT_EQ(name_in("DEALLOCATE prepare"), "prepare");
  EXPECT_EQ(name_in("DEALLOCATE prepare;"), "prepare");
  EXPECT_EQ(name_in("DEALLOCATE PREPARE \"prepare\""), "prepare");
}

TEST(Deallocate, AnythingElse) {
  for (ByteView sql : {"",
                       ";",
                       "DEALLOCATE",
                       "DEALLOCATE ;",
                       "DEALLOCATE a b",
                       "DEALLOCATE a; SELECT 1",
                       "SELECT 1; DEALLOCATE a",
                       "DEALLOCATES a",
                       "\"deallocate\" a",
                       "DEALLOCATE 1",
                       "DEALLOCATE 'a'",
                       "DEALLOCATE \"a",
                       "DEALLOCATE \"\"",
                       "DEALLOCATE U&\"a\"",
                       "DEALLOCATE a.b",
                       "DEALLOCATE a /* open",
                       "/* DEALLOCATE a */",
                       "-- DEALLOCATE a",
                       "EXECUTE a",
                       "DEALLOCATE $1",
                       "DEALLOCATE a)"}) {
    EXPECT_EQ(name_in(sql), "(none)") << sql;
  }
}

TEST(Deallocate, AnyBytes) {
  std::mt19937 random(3);
  for (int round = 0; round < 100000; ++round) {
    std::string sql = random() % 2 ? "DEALLOCATE " : "";
    for (size_t left = random() % 12; left > 0; --left)
      sql.push_back("a\"/*-;\n \xff"[random() % 9]);
    EXPECT_NE(deallocated_name(sql).value_or("none"), "");
  }
}

}  // namespace
}  // namespace pgweir::track
