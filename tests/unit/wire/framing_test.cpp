// Headers and fields: lengths that lie, bodies that end too early.
#include "wire/framing.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "wire/error_fields.hpp"
#include "wire/reader.hpp"

namespace pgweir::wire {
namespace {

std::string header_of(char type, uint32_t length) {
  std::string out(1, type);
  append_be32(out, length);
  return out;
}

TEST(Framing, NeedsFiveBytes) {
  Header header;
  std::string bytes = header_of('Q', 9);
  for (size_t here = 0; here < kHeaderSize; ++here)
    EXPECT_EQ(parse_header(ByteView(bytes).substr(0, here), UINT32_MAX, header), Frame::kNeedMore);
  ASSERT_EQ(parse_header(bytes, UINT32_MAX, header), Frame::kOk);
  EXPECT_EQ(header.type, 'Q');
  EXPECT_EQ(header.size(), 10u);
  EXPECT_EQ(header.body_size(), 5u);
}

TEST(Framing, LengthsThatLie) {  // CVE-2026-6664, CVE-2024-27304
  Header header;
  for (uint32_t length : {0u, 1u, 3u})
    EXPECT_EQ(parse_header(header_of('Q', length), UINT32_MAX, header), Frame::kBad) << length;
  for (uint32_t length : {uint32_t{INT32_MAX} + 1, UINT32_MAX, UINT32_MAX - 3})
    EXPECT_EQ(parse_header(header_of('Q', length), INT32_MAX, header), Frame::kBad) << length;
}

TEST(Framing, NoArithmeticWraps) {
  Header header;
  ASSERT_EQ(parse_header(header_of('Q', UINT32_MAX), UINT32_MAX, header), Frame::kOk);
  EXPECT_EQ(header.size(), uint64_t{UINT32_MAX} + 1);
  EXPECT_EQ(header.body_size(), uint64_t{UINT32_MAX} - 4);
}

TEST(Framing, MaxPacketSizeIsInclusive) {
  Header header;
  EXPECT_EQ(parse_header(header_of('Q', 100), 100, header), Frame::kOk);
  EXPECT_EQ(parse_header(header_of('Q', 101), 100, header), Frame::kBad);
  EXPECT_EQ(parse_header(header_of('S', 4), 100, header), Frame::kOk);
  EXPECT_EQ(header.body_size(), 0u);
}

TEST(Reader, ReadsInOrder) {
  std::string bytes(
      "\1\0\2\xff\xff\xff\xfe"
      "name\0ab\0rest",
      19);
  Reader reader(bytes);
  EXPECT_EQ(reader.u8(), 1);
  EXPECT_EQ(reader.u16(), 2);
  EXPECT_EQ(reader.i32(), -2);
  EXPECT_EQ(reader.cstring(), "name");
  EXPECT_EQ(reader.position(), 12u);
  EXPECT_EQ(reader.bytes(2), "ab");
  EXPECT_EQ(reader.cstring(), "");
  EXPECT_FALSE(reader.at_end());
  EXPECT_EQ(reader.rest(), "rest");
  EXPECT_TRUE(reader.at_end());
  EXPECT_TRUE(reader.ok());
}

TEST(Reader, FailureIsSticky) {
  Reader reader("ab");
  EXPECT_EQ(reader.u32(), 0u);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.u8(), 0);
  EXPECT_EQ(reader.cstring(), "");
  EXPECT_EQ(reader.bytes(1), "");
  EXPECT_EQ(reader.rest(), "");
  EXPECT_FALSE(reader.at_end());
}

TEST(Reader, CountsBeyondEverything) {
  for (uint64_t count : {uint64_t{4}, uint64_t{UINT32_MAX}, uint64_t{UINT64_MAX}, uint64_t{UINT64_MAX} - 1}) {
    Reader reader("abc");
    reader.u8();
    EXPECT_EQ(reader.bytes(count), "");
    EXPECT_FALSE(reader.ok());
  }
  Reader reader("abc");
  EXPECT_EQ(reader.bytes(0), "");
  EXPECT_TRUE(reader.ok());
}

TEST(Reader, AStringNeedsItsNul) {
  Reader reader("abc");
  EXPECT_EQ(reader.cstring(), "");
  EXPECT_FALSE(reader.ok());
  Reader empty("");
  EXPECT_TRUE(empty.at_end());
  EXPECT_EQ(empty.cstring(), "");
  EXPECT_FALSE(empty.ok());
}

TEST(ErrorFields, AllOfThem) {
  std::string body("SFEHLER\0VERROR\0C42601\0Msyntax\0Ddetail\0Rscanner_yyerror\0\0", 57);
  ErrorFields fields = parse_error_fields(body);
  EXPECT_EQ(fields.severity, "ERROR");
  EXPECT_EQ(fields.sqlstate, "42601");
  EXPECT_EQ(fields.message, "syntax");
  EXPECT_EQ(fields.detail, "detail");
  EXPECT_EQ(fields.routine, "scanner_yyerror");
  EXPECT_FALSE(fields.fatal());
}

TEST(ErrorFields, WithoutAnyOneField) {  // CVE-2026-6666
  const std::string parts[] = {std::string("SFATAL\0", 7), std::string("C57P01\0", 7), std::string("Mgone\0", 6)};
  for (int missing = 0; missing < 3; ++missing) {
    std::string body;
    for (int part = 0; part < 3; ++part) {
      if (part != missing) body += parts[part];
    }
    body.push_back('\0');
    ErrorFields fields = parse_error_fields(body);  // looks into body
    EXPECT_EQ(fields.severity, missing == 0 ? "" : "FATAL");
    EXPECT_EQ(fields.sqlstate, missing == 1 ? "" : "57P01");
    EXPECT_EQ(fields.message, missing == 2 ? "" : "gone");
    EXPECT_EQ(fields.fatal(), missing != 0);
  }
}

TEST(ErrorFields, WithoutEnds) {
  EXPECT_EQ(parse_error_fields("").message, "");
  EXPECT_EQ(parse_error_fields(ByteView("\0", 1)).message, "");
  EXPECT_EQ(parse_error_fields("M").message, "");
  EXPECT_EQ(parse_error_fields("Mcut off").message, "cut off");
  EXPECT_EQ(parse_error_fields(ByteView("Mtext\0", 6)).message, "text");
  EXPECT_EQ(parse_error_fields(ByteView("Mtext\0\0C57P01\0", 14)).sqlstate, "");  // behind the terminator
}

TEST(ErrorFields, AnyBytes) {
  std::mt19937 random(3);
  for (int round = 0; round < 50000; ++round) {
    std::string body(random() % 20, '\0');
    for (char& c : body)
      c = "SVCMDR\0x"[random() % 8];
    ErrorFields fields = parse_error_fields(body);
    ASSERT_LE(fields.severity.size() + fields.message.size(), body.size());
  }
}

}  // namespace
}  // namespace pgweir::wire
