// Every kind of record has its id, every id its text in the catalog, and the other way round.
#include "service/message_ids.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <string>

#include "base/event.hpp"
#include "session/reasons.hpp"

namespace pgweir::service {
namespace {

std::set<std::string> kinds() {
  std::set<std::string> all;
  for (std::string_view name : kEventNames) {
    EXPECT_FALSE(name.empty());
    EXPECT_TRUE(all.emplace(name).second) << name;
  }
  for (size_t at = 0; at < static_cast<size_t>(session::Reason::kCount); ++at) {
    const std::string name(session::row_of(static_cast<session::Reason>(at)).name);
    EXPECT_TRUE(all.insert(name).second) << name << " names an event and a close reason";
  }
  return all;
}

TEST(MessageIds, EveryKindHasItsOwn) {
  std::set<std::string_view> ids;
  for (const std::string& kind : kinds()) {
    const std::string_view id = message_id(kind);
    EXPECT_EQ(id.size(), 32U) << kind << " has no MESSAGE_ID: add a row to message_ids.cpp";
    EXPECT_TRUE(ids.insert(id).second) << kind;
    EXPECT_TRUE(std::all_of(id.begin(), id.end(),
                            [](char c) { return std::string("0123456789abcdef").find(c) != std::string::npos; }));
  }
  EXPECT_EQ(message_ids().size(), ids.size()) << "ids of kinds that there are not";
  EXPECT_TRUE(std::is_sorted(message_ids().begin(), message_ids().end()));
  EXPECT_EQ(message_id("nonsense"), "");
}

struct Text {
  std::string kind;  // of the comment in front
  std::string subject;
  size_t body = 0;  // bytes
};

std::map<std::string, Text> catalog() {
  std::ifstream in(PGWEIR_SOURCE_DIR "/systemd/pgweir.catalog");
  EXPECT_TRUE(in);
  std::map<std::string, Text> all;
  std::string comment;
  Text* text = nullptr;
  for (std::string line; std::getline(in, line);) {
    EXPECT_LE(line.size(), 100U) << line;
    if (line.starts_with("# ")) {
      comment = line.substr(2);
      text = nullptr;
    } else if (line.starts_with("-- ")) {
      auto [place, fresh] = all.emplace(line.substr(3), Text{comment, "", 0});
      EXPECT_TRUE(fresh) << line;
      text = &place->second;
    } else if (text && line.starts_with("Subject: ")) {
      text->subject = line.substr(9);
    } else if (text && !line.starts_with("Defined-By: ") && !line.starts_with("Documentation: ")) {
      text->body += line.size();
    }
  }
  return all;
}

TEST(Catalog, HasATextForEachIdAndForNothingElse) {
  const std::map<std::string, Text> texts = catalog();
  for (const auto& [kind, id] : message_ids()) {
    auto text = texts.find(std::string(id));
    ASSERT_NE(text, texts.end()) << kind << " has no text in systemd/pgweir.catalog";
    EXPECT_EQ(text->second.kind, kind);
    EXPECT_FALSE(text->second.subject.empty()) << kind;
    EXPECT_GT(text->second.body, 10U) << kind;
  }
  EXPECT_EQ(texts.size(), message_ids().size()) << "texts of ids that there are not";
}

}  // namespace
}  // namespace pgweir::service
