// The welcome: order of the parameters, whose value counts.
#include "login/greeting.hpp"

#include <gtest/gtest.h>

#include "wire/builder.hpp"
#include "wire/reader.hpp"

namespace pgweir::login {
namespace {

std::vector<std::string> statuses(ByteView bytes) {
  std::vector<std::string> all;
  while (!bytes.empty()) {
    const size_t size = 1 + load_be32(bytes.data() + 1);
    wire::Reader reader(bytes.substr(5, size - 5));
    if (bytes[0] == 'S') {
      std::string name(reader.cstring());
      all.push_back(name + "=" + std::string(reader.cstring()));
    } else {
      all.push_back(std::string(1, bytes[0]));
    }
    bytes.remove_prefix(size);
  }
  return all;
}

TEST(Greeting, UntrackedFirstThenTrackedInTheirOrder) {
  auto names = std::make_shared<const track::TrackedNames>(std::vector<std::string>{"IntervalStyle"});
  pool::Welcome welcome;
  welcome.tracked.init(names);
  for (auto [name, value] : std::vector<std::pair<const char*, const char*>>{{"application_name", ""},
                                                                             {"client_encoding", "UTF8"},
                                                                             {"DateStyle", "ISO, MDY"},
                                                                             {"is_superuser", "off"},
                                                                             {"IntervalStyle", "postgres"},
                                                                             {"server_version", "15.9"},
                                                                             {"TimeZone", "UTC"}}) {
    welcome.parameters.emplace_back(name, value);
    welcome.tracked.set(name, value);
  }
  track::ParameterSet client;
  client.init(names);
  client.set("timezone", "Asia/Tokyo");
  client.set_extra("work_mem", "8MB");
  const std::vector<std::string> own{"timezone=Asia/Tokyo", "work_mem=8MB"};
  EXPECT_EQ(own, track::settings_of(client));
  fill_unset(client, welcome.tracked);
  prepare_greeting(welcome);
  std::string out;
  append_greeting(out, welcome, client);
  const std::vector<std::string> expected{"R",
                                          "is_superuser=off",
                                          "server_version=15.9",
                                          "DateStyle=ISO, MDY",
                                          "client_encoding=UTF8",
                                          "TimeZone=Asia/Tokyo",
                                          "application_name=",
                                          "IntervalStyle=postgres"};
  EXPECT_EQ(expected, statuses(out));
}

TEST(Greeting, WhatServersDoNotReportIsNotTracked) {
  auto names = std::make_shared<const track::TrackedNames>(std::vector<std::string>{"search_path"});
  track::ParameterSet pool_values;
  pool_values.init(names);
  pool_values.set("TimeZone", "UTC");
  track::ParameterSet client;
  client.init(names);
  client.set("TimeZone", "Asia/Tokyo");
  client.set("search_path", "alpha, beta");
  untrack_unreported(client, pool_values);
  EXPECT_EQ("Asia/Tokyo", *client.value("TimeZone"));
  EXPECT_EQ(nullptr, client.value("search_path"));
  ASSERT_NE(nullptr, client.extras());
  const track::ParameterSet::Extras expected{{"search_path", "alpha, beta"}};
  EXPECT_EQ(expected, *client.extras());
}

}  // namespace
}  // namespace pgweir::login
