// What answers say about prepared statements: confirmations, DEALLOCATE ALL, and what an error takes back.
#include "track/statement_news.hpp"

#include <gtest/gtest.h>

#include <string>

namespace pgweir::track {
namespace {

class News : public ::testing::Test {
 protected:
  StatementPtr make(const std::string& sql) { return registry.find_or_make(sql + std::string(3, '\0')); }
  static NotePtr note(StatementPtr statement, const std::string& name, bool sent) {
    auto made = std::make_unique<StatementNote>();
    made->statement = std::move(statement);
    made->client_name = name;
    made->sent = sent;
    return made;
  }
  // A client's Parse that goes to the server.
  StatementPtr parse(const std::string& sql, const std::string& name) {
    StatementPtr statement = make(sql);
    queue.expect(Kind::kParse, Action::kForward, note(statement, name, true));
    server.sent(statement, batch);
    client.add(name, statement);
    return statement;
  }
  Match hear(char type, ByteView body = {}) {
    Swallowed swallowed;
    Match match = queue.match(type, body, Swallowed::collect, &swallowed);
    EXPECT_NE(match.verdict, Match::Verdict::kMismatch) << type;
    lost = swallowed.undo(server, with_client ? &client : nullptr);
    confirm(match, server, batch);
    return match;
  }
  StatementRegistry registry;
  ReplyQueue queue;
  ServerStatements server;
  ClientStatements client;
  Swallowed::Lost lost;
  bool with_client = true;
  uint64_t batch = 1;
};

TEST_F(News, AParseThatComesThroughIsConfirmed) {
  StatementPtr one = parse("SELECT 1", "s");
  EXPECT_FALSE(server.confirmed(*one));
  hear('1');
  EXPECT_TRUE(server.confirmed(*one));
}

TEST_F(News, AnErrorTakesParsesBack) {
  StatementPtr bad = parse("SELEC", "bad");
  StatementPtr behind = parse("SELECT 1", "behind");
  queue.expect(Kind::kSync, Action::kForward);
  hear('E');
  EXPECT_EQ(client.size(), 0u);
  EXPECT_EQ(server.size(), 0u);
  EXPECT_FALSE(lost.of_server);
}

TEST_F(News, OfTheServerOnlyWhenTheClientHasGone) {
  StatementPtr bad = parse("SELEC", "bad");
  with_client = false;
  hear('E');
  EXPECT_EQ(client.size(), 1u);
  EXPECT_FALSE(server.known(*bad));
}

TEST_F(News, TheLastChangeIsUndoneFirst) {
  StatementPtr old = parse("SELECT 1", "s");
  hear('1');
  queue.expect(Kind::kBind, Action::kForward);  // will fail
  queue.expect(Kind::kClose, Action::kLocal, note(old, "s", false));
  client.remove("s");
  parse("SELECT 2", "s");
  hear('E');
  ASSERT_NE(client.find("s"), nullptr);
  EXPECT_EQ(*client.find("s"), old);
}

TEST_F(News, AnEvictionThatDidNotHappenLeavesADoubt) {
  StatementPtr one = parse("SELECT 1", "s");
  hear('1');
  queue.expect(Kind::kBind, Action::kForward);  // will fail
  ASSERT_EQ(server.evict(0, 2), one);
  queue.expect(Kind::kClose, Action::kHide, note(one, "", true));
  hear('E');
  EXPECT_TRUE(server.known(*one));
  EXPECT_TRUE(server.in_doubt(*one));
  EXPECT_EQ(*client.find("s"), one);
}

TEST_F(News, TheUnnamedStatementIsLostWithItsParse) {
  queue.expect(Kind::kParse, Action::kForward);
  hear('E');
  EXPECT_TRUE(lost.of_server);
  EXPECT_TRUE(lost.of_client);
  queue.expect(Kind::kSync, Action::kForward);
  hear('Z', "I");
  EXPECT_FALSE(lost.of_server);
  queue.expect(Kind::kParse, Action::kHide);  // ours, on the client's behalf
  hear('E');
  EXPECT_TRUE(lost.of_server);
  EXPECT_FALSE(lost.of_client);
}

TEST_F(News, WhichTagsSaySo) {
  EXPECT_TRUE(deallocates_all(ByteView("DEALLOCATE ALL\0", 15)));
  EXPECT_TRUE(deallocates_all(ByteView("DISCARD ALL\0", 12)));
  EXPECT_FALSE(deallocates_all(ByteView("DEALLOCATE\0", 11)));
  EXPECT_FALSE(deallocates_all(ByteView("DISCARD PLANS\0", 14)));
  EXPECT_FALSE(deallocates_all("DISCARD ALL"));
  EXPECT_FALSE(deallocates_all({}));
}

TEST_F(News, DeallocateAllSparesWhatWasSentBehindIt) {
  StatementPtr before = parse("SELECT 1", "before");
  hear('1');
  queue.expect(Kind::kExecute, Action::kForward);  // DEALLOCATE ALL
  StatementPtr behind = parse("SELECT 2", "behind");
  hear('C');
  forget_all(queue, server, &client, batch);
  EXPECT_EQ(client.find("before"), nullptr);
  EXPECT_FALSE(server.known(*before));
  ASSERT_NE(client.find("behind"), nullptr);
  EXPECT_FALSE(server.confirmed(*behind));
  hear('1');
  EXPECT_TRUE(server.confirmed(*behind));
}

TEST_F(News, WhatIsParsedBehindDeallocateAllIsKnownWithoutItsClientToo) {
  queue.expect(Kind::kExecute, Action::kForward);
  StatementPtr behind = parse("SELECT 2", "behind");
  with_client = false;
  hear('C');
  forget_all(queue, server, nullptr, batch);
  hear('1');
  EXPECT_TRUE(server.confirmed(*behind));  // or its next Parse would meet its own name
}

TEST_F(News, AnErrorBehindDeallocateAllGivesNoNameBack) {
  StatementPtr old = parse("SELECT 1", "s");
  hear('1');
  queue.expect(Kind::kExecute, Action::kForward);  // DEALLOCATE ALL
  queue.expect(Kind::kBind, Action::kForward);     // will fail
  queue.expect(Kind::kClose, Action::kLocal, note(old, "s", false));
  client.remove("s");
  hear('C');
  forget_all(queue, server, &client, batch);
  hear('E');
  EXPECT_EQ(client.find("s"), nullptr);
}

}  // namespace
}  // namespace pgweir::track
