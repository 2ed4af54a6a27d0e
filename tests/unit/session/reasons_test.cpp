// The table of close reasons as a whole, and the registry of a worker's connections.
#include "session/reasons.hpp"

#include <gtest/gtest.h>

#include <cctype>
#include <memory>
#include <set>
#include <vector>

#include "session/registry.hpp"

namespace pgweir::session {
namespace {

constexpr size_t kReasons = static_cast<size_t>(Reason::kCount);

const ReasonRow& row_at(size_t at) {
  return row_of(static_cast<Reason>(at));
}

TEST(Reasons, EveryReasonHasItsOwnRow) {
  std::set<std::string_view> names;
  for (size_t at = 0; at < kReasons; ++at) {
    const ReasonRow& row = row_at(at);
    EXPECT_EQ(static_cast<size_t>(row.reason), at);
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_FALSE(row.log_text.empty()) << row.name;
    for (char c : row.name)
      EXPECT_TRUE(std::islower(static_cast<unsigned char>(c)) || c == '_') << row.name;
  }
}

TEST(Reasons, WhoIsToldIsToldAStateToo) {
  for (size_t at = 0; at < kReasons; ++at) {
    const ReasonRow& row = row_at(at);
    EXPECT_EQ(row.sqlstate.empty(), row.client_text.empty()) << row.name;
    EXPECT_TRUE(row.sqlstate.empty() || row.sqlstate.size() == 5) << row.name;
  }
}

TEST(Reasons, AServerOutOfStepIsNeverPooledAgain) {
  for (Reason reason : {Reason::kAnswerMismatch, Reason::kImpossibleState, Reason::kServerUnknownPacket,
                        Reason::kServerBadHeader, Reason::kServerLost, Reason::kServerFatal})
    EXPECT_EQ(row_of(reason).fate, Fate::kClose) << row_of(reason).name;
}

TEST(Reasons, AVanishedClientDoesNotCostItsServer) {
  for (Reason reason : {Reason::kClientTerminate, Reason::kClientEof, Reason::kClientSocketError})
    EXPECT_EQ(row_of(reason).fate, Fate::kRelease) << row_of(reason).name;
}

TEST(Reasons, TextsThatMonitorsLookFor) {
  EXPECT_EQ(row_of(Reason::kQueryWaitTimeout).client_text, "query_wait_timeout");
  EXPECT_EQ(row_of(Reason::kQueryTimeout).client_text, "query timeout");
  EXPECT_EQ(row_of(Reason::kIdleTransactionTimeout).client_text, "idle transaction timeout");
  EXPECT_EQ(row_of(Reason::kServerLost).client_text, "server conn crashed?");
  EXPECT_EQ(row_of(Reason::kClientEof).log_text, "client unexpected eof");
  EXPECT_EQ(row_of(Reason::kClientTerminate).log_text, "client close request");
}

struct Thing {
  explicit Thing(int n) : number(n) {}
  int number;
  uint32_t registry_index = 0;
};

TEST(Registry, RemovesFromAnyPlaceAndHandsOut) {
  Registry<Thing> registry;
  std::vector<Thing*> things;
  for (int n = 0; n < 5; ++n)
    things.push_back(&registry.add(std::make_unique<Thing>(n)));
  for (int n : {1, 4, 0, 3, 2}) {  // in the middle, the last, the first, ...
    std::unique_ptr<Thing> out = registry.remove(*things[static_cast<size_t>(n)]);
    ASSERT_TRUE(out);
    EXPECT_EQ(out->number, n);
    for (size_t at = 0; at < registry.size(); ++at)
      EXPECT_EQ(registry[at].registry_index, at);
  }
  EXPECT_EQ(registry.size(), 0U);
}

}  // namespace
}  // namespace pgweir::session
