// The untyped first packets and the `options` parameter: texts and limits of compat/wire.md sections 2 and 3.
#include "wire/startup.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "wire/builder.hpp"
#include "wire/options.hpp"

namespace pgweir::wire {
namespace {

std::string startup(uint32_t version, const Pairs& parameters) {
  std::string out;
  append_startup(out, version, parameters);
  return out;
}

std::string raw(const std::string& body) {
  std::string out;
  MessageBuilder(out, 0).bytes(body).finish();
  return out;
}

std::string be32(uint32_t value) {
  std::string out;
  append_be32(out, value);
  return out;
}

std::string zero(const std::string& text) {
  return text + '\0';
}

std::string error_of(const std::string& packet) {
  auto parsed = parse_startup(packet);
  return parsed ? "" : parsed.error().message;
}

constexpr char kBadLayout[] = "invalid startup packet layout: expected terminator as last byte";

TEST(StartupSize, FromFourBytes) {
  EXPECT_EQ(*startup_size(""), 0u);
  EXPECT_EQ(*startup_size(ByteView("\0\0\0", 3)), 0u);
  EXPECT_EQ(*startup_size(be32(8)), 8u);
  EXPECT_EQ(*startup_size(be32(kMostStartup)), kMostStartup);
}

TEST(StartupSize, Senseless) {
  for (uint32_t size : {0u, 3u, 7u, uint32_t{kMostStartup} + 1, 0x80000000u, UINT32_MAX})
    EXPECT_FALSE(startup_size(be32(size)).ok()) << size;
  // A typed packet in place of a startup packet.
  EXPECT_FALSE(startup_size(ByteView("Q\0\0\0\x09"
                                     "SELE",
                                     9))
                   .ok());
  EXPECT_EQ(startup_size("QQQQQQQQQQ").error().message, "bad packet header: '5151515151515151'");
  EXPECT_EQ(startup_size("QQQQQQQQQQ").error().sqlstate, "08P01");
}

TEST(Startup, Parameters) {
  auto parsed = parse_startup(startup(kProtocol30, {{"user", "u"}, {"database", "d"}, {"x", ""}}));
  ASSERT_TRUE(parsed.ok());
  const auto& message = std::get<StartupMessage>(*parsed);
  EXPECT_EQ(message.major, 3);
  EXPECT_EQ(message.minor, 0);
  ASSERT_EQ(message.parameters.size(), 3u);
  EXPECT_EQ(message.parameters[0].first, "user");
  EXPECT_EQ(message.parameters[1].second, "d");
  EXPECT_EQ(message.parameters[2].second, "");
  EXPECT_TRUE(message.protocol_options.empty());
}

TEST(Startup, NewerMinorsAndProtocolOptions) {
  auto parsed = parse_startup(startup(kProtocol32, {{"user", "u"}, {"_pq_.x", "1"}, {"_pq_.", ""}, {"_pq_", "z"}}));
  ASSERT_TRUE(parsed.ok());
  const auto& message = std::get<StartupMessage>(*parsed);
  EXPECT_EQ(message.minor, 2);
  EXPECT_EQ(message.protocol_options, (std::vector<std::string>{"_pq_.x", "_pq_."}));
  EXPECT_EQ(message.parameters.size(), 2u);
  EXPECT_TRUE(parse_startup(startup(0x0003ffff, {})).ok());
}

TEST(Startup, NoParametersAtAll) {
  ASSERT_TRUE(parse_startup(startup(kProtocol30, {})).ok());
}

TEST(Startup, BadLayouts) {
  const std::string version = be32(kProtocol30);
  EXPECT_EQ(error_of(raw(version)), kBadLayout);
  EXPECT_EQ(error_of(raw(version + "user")), kBadLayout);
  EXPECT_EQ(error_of(raw(version + zero("user"))), kBadLayout);
  EXPECT_EQ(error_of(raw(version + zero("user") + "u")), kBadLayout);
  EXPECT_EQ(error_of(raw(version + zero("user") + zero("u"))), kBadLayout);
  EXPECT_EQ(error_of(raw(version + zero("user") + zero("u") + zero("") + "x")), kBadLayout);
  EXPECT_EQ(error_of(raw(version + zero("user") + zero("u") + zero("") + zero(""))), kBadLayout);
}

TEST(Startup, Versions) {
  EXPECT_EQ(error_of(startup(0x00020000, {{"user", "u"}})), "old V2 protocol not supported");
  for (uint32_t version : {0u, 0x00010000u, 0x00040000u, 80877105u, UINT32_MAX})
    EXPECT_EQ(error_of(startup(version, {})).substr(0, 19), "bad packet header: ") << version;
}

TEST(Startup, TheLengthMustBeTheTruth) {
  std::string packet = startup(kProtocol30, {{"user", "u"}});
  EXPECT_NE(error_of(packet + "x"), "");
  EXPECT_NE(error_of(packet.substr(0, packet.size() - 1)), "");
  EXPECT_NE(error_of(""), "");
  EXPECT_NE(error_of(be32(4)), "");
}

TEST(Startup, EncryptionRequests) {
  std::string request;
  append_ssl_request(request);
  EXPECT_TRUE(std::holds_alternative<SslRequest>(*parse_startup(request)));
  EXPECT_TRUE(std::holds_alternative<GssEncRequest>(*parse_startup(raw(be32(80877104)))));
  EXPECT_NE(error_of(raw(be32(80877103) + "x")), "");
  EXPECT_NE(error_of(raw(be32(80877104) + "x")), "");
}

TEST(Startup, CancelRequests) {
  for (size_t length : {size_t{4}, size_t{32}, kMostCancelKey}) {
    std::string request;
    append_cancel_request(request, 77, std::string(length, 'k'));
    auto parsed = parse_startup(request);
    ASSERT_TRUE(parsed.ok()) << length;
    const auto& cancel = std::get<CancelRequest>(*parsed);
    EXPECT_EQ(cancel.pid, 77u);
    EXPECT_EQ(cancel.secret, std::string(length, 'k'));
  }
  for (size_t length : {size_t{0}, size_t{3}, kMostCancelKey + 1}) {
    std::string request;
    append_cancel_request(request, 77, std::string(length, 'k'));
    EXPECT_FALSE(parse_startup(request).ok()) << length;
  }
}

TEST(Startup, AnyBytes) {
  std::mt19937 random(5);
  for (int round = 0; round < 50000; ++round) {
    std::string body = random() % 4 ? be32(kProtocol30) : be32(80877102);
    size_t more = random() % 16;
    for (size_t at = 0; at < more; ++at)
      body.push_back("\0\0ab_"[random() % 5]);
    (void)parse_startup(raw(body));
  }
}

using Settings = std::vector<std::pair<std::string, std::string>>;

TEST(Options, EveryForm) {
  struct Row {
    const char* text;
    Settings settings;
  };
  const Row rows[] = {
      {"-c a=1", {{"a", "1"}}},
      {"-ca=1", {{"a", "1"}}},
      {"--a=1", {{"a", "1"}}},
      {"  -c  a=1   --b=2\t-cc=3\n", {{"a", "1"}, {"b", "2"}, {"c", "3"}}},
      {"-c a=x\\ y", {{"a", "x y"}}},
      {"-c a=x\\\\y", {{"a", "x\\y"}}},
      {"-c a=", {{"a", ""}}},
      {"-c a=b=c", {{"a", "b=c"}}},
      {"--search-path=x-y", {{"search_path", "x-y"}}},
      {"-c a=1\\", {{"a", "1\\"}}},
  };
  for (const Row& row : rows) {
    auto parsed = parse_options(row.text);
    ASSERT_TRUE(parsed.ok()) << row.text;
    EXPECT_EQ(*parsed, row.settings) << row.text;
  }
}

TEST(Options, Refused) {
  for (const char* text : {"", "   ", "-c", "-c a", "-c =1", "--", "--a", "--=1", "a=1", "-d 5", "-a=1", "-c a=1 x"}) {
    auto parsed = parse_options(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.error().message,
              "unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed");
    EXPECT_EQ(parsed.error().sqlstate, "08P01");
  }
}

}  // namespace
}  // namespace pgweir::wire
