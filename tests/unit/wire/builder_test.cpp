// Messages, byte by byte, against the protocol chapter "Message Formats".
#include "wire/builder.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "wire/error_fields.hpp"
#include "wire/framing.hpp"

namespace pgweir::wire {
namespace {

std::string made(const std::function<void(std::string&)>& append) {
  std::string out = "x";  // they append
  append(out);
  EXPECT_EQ(out[0], 'x');
  return out.substr(1);
}

template <size_t N>
std::string bytes(const char (&text)[N]) {
  return std::string(text, N - 1);
}

TEST(Builder, ToClients) {
  EXPECT_EQ(made([](auto& o) { append_ready_for_query(o, 'T'); }), bytes("Z\0\0\0\5T"));
  EXPECT_EQ(made([](auto& o) { append_parameter_status(o, "a", "b"); }), bytes("S\0\0\0\x08"
                                                                               "a\0b\0"));
  EXPECT_EQ(made([](auto& o) { append_backend_key_data(o, 1, "abcd"); }), bytes("K\0\0\0\x0c\0\0\0\1abcd"));
  EXPECT_EQ(made([](auto& o) { append_authentication_ok(o); }), bytes("R\0\0\0\x08\0\0\0\0"));
  EXPECT_EQ(made([](auto& o) { append_authentication_cleartext(o); }), bytes("R\0\0\0\x08\0\0\0\3"));
  EXPECT_EQ(made([](auto& o) { append_authentication_md5(o, "salt"); }), bytes("R\0\0\0\x0c\0\0\0\5salt"));
  EXPECT_EQ(made([](auto& o) {
              append_authentication_sasl(o, {"A", "B"});
            }),
            bytes("R\0\0\0\x0d\0\0\0\x0a"
                  "A\0B\0\0"));
  EXPECT_EQ(made([](auto& o) { append_authentication_sasl_continue(o, "r="); }), bytes("R\0\0\0\x0a\0\0\0\x0br="));
  EXPECT_EQ(made([](auto& o) { append_authentication_sasl_final(o, "v="); }), bytes("R\0\0\0\x0a\0\0\0\x0cv="));
  EXPECT_EQ(made([](auto& o) { append_negotiate_protocol_version(o, 0x30000, {"_pq_.a"}); }),
            bytes("v\0\0\0\x13\0\3\0\0\0\0\0\1_pq_.a\0"));
  EXPECT_EQ(made([](auto& o) { append_command_complete(o, "SHOW"); }), bytes("C\0\0\0\x09SHOW\0"));
  EXPECT_EQ(made([](auto& o) { append_empty(o, '1'); }), bytes("1\0\0\0\4"));
  EXPECT_EQ(made([](auto& o) {
              append_parameter_description(o, {23, 25});
            }),
            bytes("t\0\0\0\x0e\0\2\0\0\0\x17\0\0\0\x19"));
}

TEST(Builder, Rows) {
  EXPECT_EQ(made([](auto& o) {
              append_row_description(o, {{"n", 23, 4, 0}});
            }),
            bytes("T\0\0\0\x1a\0\1n\0\0\0\0\0\0\0\0\0\0\x17\0\4\xff\xff\xff\xff\0\0"));
  EXPECT_EQ(made([](auto& o) {
              append_data_row(o, {std::string("ab"), std::nullopt, std::string()});
            }),
            bytes("D\0\0\0\x14\0\3\0\0\0\2ab\xff\xff\xff\xff\0\0\0\0"));
}

TEST(Builder, ToServers) {
  EXPECT_EQ(made([](auto& o) { append_startup(o, 196608, {{"user", "u"}}); }), bytes("\0\0\0\x10\0\3\0\0user\0u\0\0"));
  EXPECT_EQ(made([](auto& o) { append_ssl_request(o); }), bytes("\0\0\0\x08\x04\xd2\x16\x2f"));
  EXPECT_EQ(made([](auto& o) { append_cancel_request(o, 1, "abcd"); }),
            bytes("\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\1abcd"));
  EXPECT_EQ(made([](auto& o) { append_password(o, "pw"); }), bytes("p\0\0\0\7pw\0"));
  EXPECT_EQ(made([](auto& o) { append_sasl_initial(o, "M", "n,,"); }), bytes("p\0\0\0\x0dM\0\0\0\0\3n,,"));
  EXPECT_EQ(made([](auto& o) { append_sasl_response(o, "c="); }), bytes("p\0\0\0\6c="));
  EXPECT_EQ(made([](auto& o) { append_query(o, "SELECT"); }), bytes("Q\0\0\0\x0bSELECT\0"));
  EXPECT_EQ(made([](auto& o) { append_parse(o, "s", bytes("Q\0\0\0")); }), bytes("P\0\0\0\x0as\0Q\0\0\0"));
  EXPECT_EQ(made([](auto& o) { append_close_statement(o, "s"); }), bytes("C\0\0\0\7Ss\0"));
  EXPECT_EQ(made([](auto& o) { append_copy_fail(o, "no"); }), bytes("f\0\0\0\7no\0"));
}

TEST(Builder, PoolerErrorsHaveThreeFields) {
  EXPECT_EQ(made([](auto& o) { append_error(o, "FATAL", "08P01", "no"); }),
            bytes("E\0\0\0\x17SFATAL\0C08P01\0Mno\0\0"));
  EXPECT_EQ(made([](auto& o) { append_notice(o, "NOTICE", "00000", "hm", "why"); }),
            bytes("N\0\0\0\x1dSNOTICE\0C00000\0Mhm\0Dwhy\0\0"));
}

TEST(Builder, AStringEndsAtItsFirstNul) {  // it can smuggle neither fields nor messages
  std::string error = made([](auto& o) { append_error(o, "FATAL", "08P01", bytes("no\0Hhint\0\0Z")); });
  Header header;
  ASSERT_EQ(parse_header(error, UINT32_MAX, header), Frame::kOk);
  EXPECT_EQ(header.size(), error.size());
  EXPECT_EQ(parse_error_fields(ByteView(error).substr(kHeaderSize)).message, "no");
  EXPECT_EQ(made([](auto& o) { append_query(o, bytes("a\0b")); }), bytes("Q\0\0\0\6a\0"));
}

TEST(Builder, LongCancelKeys) {
  std::string key(256, 'k');
  std::string message = made([&](auto& o) { append_backend_key_data(o, 5, key); });
  EXPECT_EQ(message.size(), 5u + 4 + 256);
  EXPECT_EQ(message.substr(9), key);
}

}  // namespace
}  // namespace pgweir::wire
