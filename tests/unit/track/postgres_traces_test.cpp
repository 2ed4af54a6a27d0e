// What PostgreSQL 15 really answered to raw sequences of messages: each must be in place, to the last byte. Recorded
// with a socket, one line a conversation; a row alternates between what was sent and what came back.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "track/reply_queue.hpp"

namespace pgweir::track {
namespace {

struct Trace {
  const char* name;
  std::vector<const char*> steps;  // sent, said, sent, said...
  bool over = true;                // nothing is owed at the end
};

// Sent: type letters of a client ('d' and 'H' mean nothing to the ledger). Said: type letters of the server; I, T and
// E behind a Z are its status.
const std::vector<Trace> kTraces = {
    {"ErrorThenQueryBeforeSync", {"PBEQFS", "EZI"}},
    {"ErrorThenFlushThenQueryThenSync", {"PH", "E", "Q", "", "S", "ZI", "Q", "TDCZI"}},
    {"BatchWithoutSyncThenQuery", {"PBEQ", "12DCTDCZI"}},
    {"OpenTransactionWithoutSync", {"PBEQ", "12CTDCZT", "S", "ZT"}, true},
    {"CopyWithSyncAhead", {"PBDES", "12nG", "dcS", "CZI"}},
    {"CopyWithTwoSyncsAhead", {"PBDESS", "12nG", "dcS", "CZI"}},
    {"CopyAllInOne", {"PBESdcS", "12GCZI"}},
    {"CopyFailedByClient", {"PBES", "12G", "fS", "EZI"}},
    {"CopyWithBadRow", {"PBES", "12G", "d", "E", "cS", "ZI"}},
    {"CopyFailsBeforeItReadsTheSync", {"PBES", "12GEZI", "dcS", "ZI"}},
    {"CopyFailsWithFlush", {"PBEH", "12GE", "dcS", "ZI"}},
    {"SimpleCopyFailsAtOnce", {"Q", "GEZI", "dc", "", "Q", "TDCZI"}},
    {"SyncBehindSimpleCopy", {"QS", "G", "dSc", "CZI"}},
    {"SyncBehindSimpleCopyThatFails", {"QS", "GEZIZI", "dc", "", "Q", "TDCZI"}},
    {"SimpleCopyAllInOneAndAQuery", {"QdcQ", "GCZITDCZI"}},
    {"SyncInTheMiddleOfACopy", {"PBE", "12G", "dS", "", "cS", "CZI"}},
    {"TwoCopiesInOneQuery", {"Q", "G", "dc", "CG", "dc", "CZI"}},
    {"TwoCopiesInOneQueryAllAtOnce", {"Qdcdc", "GCGCZI"}},
    {"CopyOfNoSuchTable", {"QdcQ", "EZITDCZI"}},
    {"FunctionCall", {"F", "VZI"}},
    {"FunctionCallFails", {"F", "EZI"}},
    {"FunctionCallFailsInABatch", {"PBFES", "12EZIEZI"}},
    {"FunctionCallInABatch", {"PBFES", "12VZIEZI"}},
    {"CopyOutExtended", {"PBDES", "12nHdcCZI"}},
    {"CopyOutAndAStrayCopyDone", {"QcQ", "HdcCZITDCZI"}},
    {"ErrorAtSync", {"PBES", "12CEZI"}},
    {"SuspendedPortal", {"PBEES", "12DDsDCZI"}},
    {"DescribeBoth", {"PDBDES", "1tT2TDCZI"}},
    {"DescribeNothing", {"PDBDES", "1tn2nCZT"}},
    {"EmptyQueries", {"Q", "IZI", "PBDES", "12nIZI"}},
    {"StrayCopyMessages", {"cfd", "", "Q", "TDCZI"}},
    {"StrayCopyMessagesInABatch", {"PcBdEfS", "12DCZI"}},
    {"SyncAlone", {"SS", "ZIZI"}},
    {"CloseOfNothing", {"CCS", "33ZI"}},
    {"ErrorInManyStatements", {"Q", "TDCEZI"}},
    {"CopyOutAmongStatements", {"Q", "TDCHdcCTDCZI"}},
    {"PortalRunTwice", {"PBEES", "12DCCZI"}},
    {"ErrorInATransaction", {"Q", "CZT", "PBES", "1EZE", "PBES", "EZE", "Q", "CZI"}},
    {"Notice", {"PBES", "12NCZI"}},
    {"ParameterStatus", {"PBES", "12CSZI"}},
    {"ErrorAtDescribe", {"DCDS", "EZI"}},
};

void send(ReplyQueue& queue, const char* letters) {
  static const std::string kLetters = "QPBDECSFcf";
  for (const char* at = letters; *at; ++at) {
    size_t kind = kLetters.find(*at);
    if (kind != std::string::npos) queue.expect(static_cast<Kind>(kind), Action::kForward);
  }
}

void hear(ReplyQueue& queue, const char* letters) {
  for (const char* at = letters; *at; ++at) {
    char type = *at;
    ByteView body = type == 'Z' ? ByteView(++at, 1) : ByteView();
    Match match = queue.match(type, body);
    EXPECT_NE(match.verdict, Match::Verdict::kMismatch) << type << " of " << letters;
    if (type == 'Z') {
      EXPECT_EQ(match.status, body[0]);
    }
  }
}

class PostgresTraces : public ::testing::TestWithParam<Trace> {};

TEST_P(PostgresTraces, EveryAnswerIsInPlace) {
  const Trace& trace = GetParam();
  ReplyQueue queue;
  for (size_t step = 0; step < trace.steps.size(); ++step)
    step % 2 ? hear(queue, trace.steps[step]) : send(queue, trace.steps[step]);
  EXPECT_EQ(queue.all_answered(), trace.over);
  // And what comes now belongs to nobody, at least once a query has cleared the last doubt.
  send(queue, "Q");
  hear(queue, "CZI");
  EXPECT_EQ(queue.match('Z', "I").verdict, Match::Verdict::kMismatch);
}

INSTANTIATE_TEST_SUITE_P(, PostgresTraces, ::testing::ValuesIn(kTraces),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace pgweir::track
