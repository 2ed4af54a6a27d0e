// The ledger: every rule by itself. A random model is in reply_queue_model_test.cpp.
#include "track/reply_queue.hpp"

#include <gtest/gtest.h>

#include <string>

#include "track/statements.hpp"

namespace pgweir::track {
namespace {

using Verdict = Match::Verdict;

struct Dropped {
  std::string kinds;
  static void see(void* context, Kind kind, Action, StatementNote*) {
    static constexpr char kLetters[] = "QPBDECSFcfW";
    static_cast<Dropped*>(context)->kinds.push_back(kLetters[static_cast<int>(kind)]);
  }
};

Kind kind_of(char letter) {
  static const std::string letters = "QPBDECSFcfW";
  return static_cast<Kind>(letters.find(letter));
}

class Ledger : public ::testing::Test {
 protected:
  // Sends these messages; a digit-free string of type letters.
  void send(const std::string& letters, Action action = Action::kForward) {
    for (char letter : letters)
      queue.expect(kind_of(letter), action);
  }
  // The server says these; each must be in place. 'Z' is ReadyForQuery I.
  void says(const std::string& letters, Verdict verdict = Verdict::kForward) {
    for (char letter : letters) {
      Match match = queue.match(letter, letter == 'Z' ? ByteView("I") : ByteView(), Dropped::see, &dropped);
      EXPECT_EQ(match.verdict, verdict) << "message " << letter << " of " << letters;
    }
  }
  void refuses(char letter) {
    EXPECT_EQ(queue.match(letter, letter == 'Z' ? ByteView("I") : ByteView()).verdict, Verdict::kMismatch) << letter;
  }
  StatementRegistry registry;  // outlives the notes in the queue
  ReplyQueue queue;
  Dropped dropped;
};

TEST_F(Ledger, NothingIsOwedAtFirst) {
  EXPECT_TRUE(queue.all_answered());
  refuses('Z');
  refuses('C');
  refuses('D');
}

// ---- replication streams ----

TEST_F(Ledger, CopyBothIsForReplicationConnectionsOnly) {
  send("Q");
  refuses('W');
  queue.clear();
  queue.allow_copy_both();
  send("Q");
  says("W");
  EXPECT_TRUE(queue.in_copy_both());
  EXPECT_FALSE(queue.all_answered());
}

TEST_F(Ledger, CopyBothIsNoAnswerToTheExtendedProtocol) {
  queue.allow_copy_both();
  send("PBES");
  says("12");
  refuses('W');
}

TEST_F(Ledger, StreamEndsByBothCopyDones) {
  queue.allow_copy_both();
  for (int round = 0; round < 2; ++round) {
    send("Q");
    says("WddNd");
    send("c");
    says("dcdTDCCZ");  // a keepalive behind the server's CopyDone; the next timeline; the command
    EXPECT_TRUE(queue.all_answered());
  }
  EXPECT_TRUE(dropped.kinds.empty());
}

TEST_F(Ledger, ServerMayEndAStreamFirst) {
  queue.allow_copy_both();
  send("Q");
  says("Wdc");
  EXPECT_FALSE(queue.in_copy_both());
  send("c");
  says("TDCCZ");
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, ServerThatShutsDownEndsAStreamWithoutCopyDone) {
  queue.allow_copy_both();
  send("Q");
  says("WdC");
  EXPECT_FALSE(queue.in_copy_both());
}

TEST_F(Ledger, ErrorEndsAStream) {
  queue.allow_copy_both();
  send("Q");
  says("WdE");
  send("c");  // on its way when the error came: ignored there
  says("Z");
  EXPECT_TRUE(queue.all_answered());
  send("Q");
  says("TDCZ");
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, NothingElseMayComeInAStream) {
  queue.allow_copy_both();
  send("Q");
  says("Wd");
  for (char type : {'Z', 'T', 'D', 'I', 'G', 'H', 'W', '1', '2', '3', 'n', 't', 's', 'V'})
    refuses(type);
  bool hidden = false;
  EXPECT_FALSE(queue.takes_row(&hidden));
  for (char type : {'T', 'C', 'D', 'd'})
    EXPECT_FALSE(queue.passes(type));
  says("d");
}

TEST_F(Ledger, CopyDonesOfAStreamCostNothing) {
  queue.allow_copy_both();
  send("Q");
  says("W");
  for (int count = 0; count < 1000; ++count)
    send("cf");
  EXPECT_EQ(queue.size(), 1u);
  says("cCZ");
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, StreamIsWrittenDownAndReadBack) {
  queue.allow_copy_both();
  send("Q");
  says("Wd");
  std::string saved;
  queue.save(saved);
  ReplyQueue other;
  ASSERT_TRUE(other.restore(saved, registry));
  EXPECT_TRUE(other.in_copy_both());
  EXPECT_EQ(other.match('d', {}).verdict, Verdict::kForward);
  EXPECT_EQ(other.match('Z', "I").verdict, Verdict::kMismatch);
  EXPECT_EQ(other.match('c', {}).verdict, Verdict::kForward);
  EXPECT_EQ(other.match('C', {}).verdict, Verdict::kForward);
  EXPECT_EQ(other.match('Z', "I").verdict, Verdict::kForward);
  EXPECT_TRUE(other.all_answered());
}

TEST_F(Ledger, SimpleQuery) {
  send("Q");
  EXPECT_FALSE(queue.all_answered());
  says("TDDCZ");
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, SimpleQueryOfManyStatements) {
  send("Q");
  says("TDCTDCIZ");
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, SimpleQueryWithError) {
  send("Q");
  says("TDEZ");
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, SimpleQueryTakesNoExtendedAnswers) {
  send("Q");
  refuses('1');
  refuses('2');
  refuses('t');
  refuses('s');
}

TEST_F(Ledger, PipelinedSimpleQueries) {
  send("QQQ");
  says("CZCZCZ");
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, ExtendedBatch) {
  send("PBDES");
  says("12TDDCZ");
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, ABatchIsAtRestWhenAllThatWasSentIsAnswered) {
  EXPECT_FALSE(queue.batch_at_rest());
  send("PBE");
  says("12D");
  EXPECT_FALSE(queue.batch_at_rest());
  says("C");
  EXPECT_TRUE(queue.batch_at_rest());
  send("PB");
  EXPECT_FALSE(queue.batch_at_rest());
  says("E");
  EXPECT_TRUE(queue.batch_at_rest());  // until a Sync ends it
  send("S");
  EXPECT_FALSE(queue.batch_at_rest());
  says("Z");
  EXPECT_FALSE(queue.batch_at_rest());
  send("E");
  says("G");
  EXPECT_FALSE(queue.batch_at_rest());  // COPY data is awaited
}

TEST_F(Ledger, DescribeOfAStatementHasTwoAnswers) {
  send("PDS");
  says("1tTZ");
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, DescribeOfWhatReturnsNothing) {
  send("PDS");
  says("1tnZ");
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, SuspendedPortal) {
  send("BES");
  says("2DDsZ");
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, EmptyQueryInExtended) {
  send("PBES");
  says("12IZ");
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, AnswersOutOfOrderAreRefused) {
  send("PBES");
  refuses('2');
  says("1");
  refuses('C');
  refuses('1');
  says("2");
  refuses('Z');
}

TEST_F(Ledger, ABatchWithoutSyncIsNotAnswered) {
  send("PBE");
  says("12C");
  EXPECT_TRUE(queue.empty());
  EXPECT_FALSE(queue.all_answered());
  EXPECT_TRUE(queue.in_extended_batch());
  send("S");
  says("Z");
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, AnErrorSwallowsTheBatch) {
  send("PBDES");
  says("1EZ");
  EXPECT_EQ(dropped.kinds, "BDE");
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, AnErrorSwallowsUpToTheFirstSyncOnly) {
  send("PBESPBES");
  says("EZ12CZ");
  EXPECT_EQ(dropped.kinds, "PBE");
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, AnErrorSwallowsQueriesAndFunctionCallsToo) {
  send("PBEQFS");
  says("1EZ");
  EXPECT_EQ(dropped.kinds, "BEQF");
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, AfterAnErrorWithoutSyncEverythingIsSwallowedUntilOneComes) {
  send("PBE");
  says("E");
  EXPECT_FALSE(queue.all_answered());
  EXPECT_EQ(queue.expect(Kind::kParse, Action::kForward), Expected::kSwallowed);
  EXPECT_EQ(queue.expect(Kind::kQuery, Action::kForward), Expected::kSwallowed);
  EXPECT_EQ(queue.expect(Kind::kParse, Action::kLocal), Expected::kSwallowed);
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.expect(Kind::kSync, Action::kForward), Expected::kOwed);
  says("Z");
  EXPECT_TRUE(queue.all_answered());
  send("Q");
  says("CZ");
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, AnErrorAtSyncItself) {
  send("BES");
  says("2CEZ");  // a deferred constraint
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, FunctionCall) {
  send("F");
  says("VZ");
  send("F");
  says("EZ");
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, NoticesComeAtAnyTime) {
  says("NSA");
  send("PBES");
  says("N1S2ANCZ");
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, HiddenAnswersAreHidden) {
  send("Q", Action::kHide);
  send("Q");
  says("CZ", Verdict::kHide);
  says("CZ");
}

TEST_F(Ledger, NoticesOfAHiddenQueryAreHidden) {
  send("Q", Action::kHide);
  says("SNCZ", Verdict::kHide);
}

TEST_F(Ledger, LocalAnswersWaitForTheirTurn) {
  queue.expect(Kind::kBind, Action::kForward);
  queue.expect(Kind::kParse, Action::kLocal);
  queue.expect(Kind::kExecute, Action::kForward);
  Kind kind{};
  NotePtr note;
  EXPECT_FALSE(queue.take_local(&kind, &note));
  says("2");
  EXPECT_TRUE(queue.take_local(&kind, &note));
  EXPECT_EQ(kind, Kind::kParse);
  EXPECT_FALSE(queue.take_local(&kind, &note));
  says("C");
}

TEST_F(Ledger, ALocalAnswerWithNothingInFlightIsDueAtOnce) {
  queue.expect(Kind::kClose, Action::kLocal);
  Kind kind{};
  NotePtr note;
  EXPECT_TRUE(queue.take_local(&kind, &note));
  EXPECT_EQ(kind, Kind::kClose);
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, AnErrorSwallowsLocalAnswers) {
  queue.expect(Kind::kBind, Action::kForward);
  queue.expect(Kind::kParse, Action::kLocal);
  queue.expect(Kind::kSync, Action::kForward);
  says("EZ");
  EXPECT_EQ(dropped.kinds, "BP");
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, AServerCannotAnswerForALocalEntry) {
  queue.expect(Kind::kParse, Action::kLocal);
  queue.expect(Kind::kSync, Action::kForward);
  refuses('1');
}

TEST_F(Ledger, NotesComeBackWithTheirAnswer) {
  StatementRegistry registry;
  auto note = std::make_unique<StatementNote>();
  note->statement = registry.find_or_make(ByteView("SELECT 1\0\0\0", 11));
  note->client_name = "s1";
  queue.expect(Kind::kParse, Action::kForward, std::move(note));
  Match match = queue.match('1', {});
  ASSERT_TRUE(match.note);
  EXPECT_EQ(match.note->client_name, "s1");
  EXPECT_TRUE(match.completed);
}

TEST_F(Ledger, CopyOutSimple) {
  send("Q");
  says("HdddcCZ");
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, CopyInSimple) {
  send("Q");
  says("G");
  EXPECT_TRUE(queue.in_copy_in());
  EXPECT_FALSE(queue.all_answered());
  send("c");
  says("CZ");
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, CopyInExtendedWithTheSyncSentAhead) {
  send("PBES");  // libpq's PQexecParams
  says("12G");
  send("c");
  send("S");
  says("CZ");
  EXPECT_TRUE(queue.all_answered());
  refuses('Z');
}

TEST_F(Ledger, CopyInExtendedAllPipelined) {
  send("PBEScS");
  says("12GCZ");
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, CopyFailInExtended) {
  send("PBES");
  says("12G");
  send("f");
  send("S");
  says("EZ");
  EXPECT_TRUE(queue.all_answered());
  EXPECT_TRUE(queue.ambiguous());  // PostgreSQL may have failed before it read the first Sync
  send("Q");
  says("C");
  EXPECT_FALSE(queue.ambiguous());
  says("Z");
  refuses('Z');
}

TEST_F(Ledger, CopyFailInSimple) {
  send("Q");
  says("G");
  send("f");
  says("EZ");
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, TheServerFailsACopyAndLateMessagesAreIgnored) {
  send("Q");
  says("G");
  says("EZ");
  EXPECT_TRUE(queue.all_answered());
  EXPECT_EQ(queue.expect(Kind::kCopyDone, Action::kForward), Expected::kSwallowed);
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, TheServerFailsAnExtendedCopy) {
  send("PBES");
  says("12GE");
  EXPECT_TRUE(queue.in_extended_batch());
  send("c");
  send("S");
  says("Z");
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, ASyncDuringACopyThatFailsIsAmbiguous) {
  send("PBE");
  says("12G");
  send("S");  // ignored if the copy still ran, answered if it had failed
  says("E");
  EXPECT_TRUE(queue.ambiguous());
  send("S");
  says("Z");
  says("Z");  // then it had failed
  EXPECT_FALSE(queue.ambiguous());
  refuses('Z');
}

TEST_F(Ledger, ASyncBehindASimpleCopyThatFailsAtOnceIsAnsweredToItsClient) {
  send("QSc");
  says("GEZ");
  EXPECT_TRUE(queue.all_answered());
  EXPECT_TRUE(queue.ambiguous());  // so the server is not free yet
  queue.expect(Kind::kQuery, Action::kHide);
  Match spare = queue.match('Z', ByteView("I"));
  EXPECT_EQ(spare.verdict, Verdict::kForward);
  EXPECT_TRUE(spare.completed);
  EXPECT_EQ(spare.kind, Kind::kSync);
  says("IZ", Verdict::kHide);
  EXPECT_TRUE(queue.all_answered());
  EXPECT_FALSE(queue.ambiguous());
}

TEST_F(Ledger, ASyncThatACopyIgnoredIsNotAnswered) {
  send("QS");
  says("G");
  send("f");
  says("EZ");
  EXPECT_TRUE(queue.ambiguous());
  queue.expect(Kind::kQuery, Action::kHide);
  says("IZ", Verdict::kHide);
  EXPECT_FALSE(queue.ambiguous());
  refuses('Z');
}

TEST_F(Ledger, TwoCopiesInOneQuery) {
  send("Q");
  says("G");
  send("c");
  says("CG");
  send("c");
  says("CZ");
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, StrayCopyMessagesInABatchAreIgnored) {
  send("PcBES");
  says("12CZ");
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, ASpareReadyForQueryIsNeverTakenForTheEndOfAQuery) {
  send("PBES");
  says("12GE");
  send("c");
  send("S");
  says("Z");  // of the first Sync or of the second
  send("Q");
  Match spare = queue.match('Z', ByteView("E"));
  EXPECT_EQ(spare.verdict, Verdict::kForward);
  EXPECT_EQ(spare.kind, Kind::kSync);
  EXPECT_EQ(spare.status, 'E');
  EXPECT_EQ(queue.size(), 1u);
  says("TDCZ");
  EXPECT_TRUE(queue.all_answered());
  refuses('Z');
}

TEST_F(Ledger, AStrayCopyDoneBehindTheLastQueryHoldsNothingUp) {
  send("Q");
  says("E");
  send("c");  // sent before its client saw the error
  says("Z");
  EXPECT_TRUE(queue.empty());
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, TwoPipelinedCopiesEachHaveTheirEnd) {
  send("Q");
  says("G");
  send("c");
  send("Q");
  send("c");  // of the second, before its CopyInResponse
  send("S");
  says("CZGCZZ");
  EXPECT_TRUE(queue.all_answered());
  EXPECT_FALSE(queue.ambiguous());
}

TEST_F(Ledger, ReadyForQueryMustHaveOneKnownStatus) {
  send("Q");
  EXPECT_EQ(queue.match('Z', ByteView()).verdict, Verdict::kMismatch);
  EXPECT_EQ(queue.match('Z', ByteView("X")).verdict, Verdict::kMismatch);
  EXPECT_EQ(queue.match('Z', ByteView("II")).verdict, Verdict::kMismatch);
}

// A ReadyForQuery that comes too early would hand the server to somebody else, and the rest of the answer with it.
TEST_F(Ledger, ReadyForQueryMustFollowTheEndOfACommand) {
  send("Q");
  refuses('Z');
  says("TD");
  refuses('Z');
  says("CTDD");
  says("T");
  refuses('Z');
  says("CZ");
  send("F");
  refuses('Z');
  says("VZ");
  send("Q");
  says("EZ");
  send("Q");
  says("IZ");
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, ANameIsUndecidedWhileAnErrorOfAnOlderBatchMaySwallowIt) {
  auto named = [&](const char* name) {
    auto note = std::make_unique<StatementNote>();
    note->client_name = name;
    return note;
  };
  queue.expect(Kind::kParse, Action::kForward, named("s"));
  EXPECT_FALSE(queue.undecided("s"));  // in its own batch it shares the fate of what follows
  send("S");
  EXPECT_TRUE(queue.undecided("s"));
  EXPECT_FALSE(queue.undecided("t"));
  EXPECT_FALSE(queue.undecided(""));
  send("BES");
  EXPECT_TRUE(queue.undecided("s"));
  says("1");
  EXPECT_FALSE(queue.undecided("s"));
  says("Z2CZ");
  send("P");
  queue.expect(Kind::kClose, Action::kForward, named("s"));
  send("S");
  EXPECT_TRUE(queue.undecided("s"));
  says("E");
  EXPECT_FALSE(queue.undecided("s"));
}

TEST_F(Ledger, NotificationsAreNeverHidden) {
  send("Q", Action::kHide);
  EXPECT_EQ(queue.match('A', {}).verdict, Verdict::kForward);
  EXPECT_EQ(queue.match('N', {}).verdict, Verdict::kHide);
}

TEST_F(Ledger, RowsGoTheirFastWay) {
  bool hidden = true;
  EXPECT_FALSE(queue.takes_row(&hidden));
  send("Q");
  EXPECT_TRUE(queue.takes_row(&hidden));
  EXPECT_FALSE(hidden);
  says("CZ");
  send("P");
  EXPECT_FALSE(queue.takes_row(&hidden));
}

TEST_F(Ledger, GrowsAndKeepsTheOrder) {
  for (int round = 0; round < 3; ++round) {
    for (int at = 0; at < 1000; ++at)
      send("BES");
    for (int at = 0; at < 1000; ++at)
      says("2CZ");
    EXPECT_TRUE(queue.all_answered());
  }
}

TEST_F(Ledger, ClearForgetsEverything) {
  send("PBE");
  queue.clear(Dropped::see, &dropped);
  EXPECT_EQ(dropped.kinds, "PBE");
  EXPECT_TRUE(queue.all_answered());
}

TEST_F(Ledger, TheStatusOfReadyForQueryIsReported) {
  send("Q");
  says("C");
  EXPECT_EQ(queue.match('Z', ByteView("T")).status, 'T');
}

TEST_F(Ledger, UnknownMessagesAreRefused) {
  send("Q");
  for (char letter : std::string("RKvXQx\xff"))
    refuses(letter);
}

TEST_F(Ledger, SavedAndRestored) {
  auto note = std::make_unique<StatementNote>();
  note->statement = registry.find_or_make(ByteView("SELECT 1\0\0\0", 11));
  note->client_name = "s1";
  note->sent = true;
  StatementPtr statement = note->statement;
  send("E");
  queue.expect(Kind::kParse, Action::kHide, std::move(note));
  queue.expect(Kind::kClose, Action::kLocal, std::make_unique<StatementNote>());
  send("S");
  says("D");
  std::string saved;
  queue.save(saved);
  ReplyQueue other;
  ASSERT_TRUE(other.restore(saved, registry));
  std::string again;
  other.save(again);
  EXPECT_EQ(saved, again);
  EXPECT_EQ(other.size(), 4u);
  EXPECT_EQ(other.match('C', {}).verdict, Verdict::kForward);
  Match parsed = other.match('1', {});
  EXPECT_EQ(parsed.verdict, Verdict::kHide);
  EXPECT_EQ(parsed.note->statement, statement);
  EXPECT_TRUE(parsed.note->sent);
  Kind kind{};
  NotePtr local;
  EXPECT_TRUE(other.take_local(&kind, &local));
  EXPECT_EQ(other.match('Z', ByteView("I")).verdict, Verdict::kForward);
  EXPECT_TRUE(other.all_answered());
}

TEST_F(Ledger, SavedInEveryMood) {
  const std::vector<std::pair<std::string, std::string>> moods = {{"", ""},        {"PB", "1"},      {"PB", "E"},
                                                                  {"PBES", "12G"}, {"PBES", "12GE"}, {"QSc", "G"}};
  for (const auto& [sent, said] : moods) {
    queue.clear();
    send(sent);
    says(said);
    std::string saved;
    queue.save(saved);
    ReplyQueue other;
    ASSERT_TRUE(other.restore(saved, registry)) << sent;
    EXPECT_EQ(other.all_answered(), queue.all_answered());
    EXPECT_EQ(other.in_copy_in(), queue.in_copy_in());
    EXPECT_EQ(other.in_extended_batch(), queue.in_extended_batch());
    EXPECT_EQ(other.ambiguous(), queue.ambiguous());
    for (size_t here = 0; here < saved.size(); ++here)
      EXPECT_FALSE(ReplyQueue().restore(saved.substr(0, here), registry)) << sent << " cut at " << here;
    EXPECT_FALSE(ReplyQueue().restore(saved + "x", registry));
  }
}

TEST_F(Ledger, LetsOnlyPlainAnswersPass) {
  EXPECT_FALSE(queue.passes('C')) << "nothing is owed";
  send("Q");
  EXPECT_FALSE(queue.passes('1') || queue.passes('Z') || queue.passes('E') || queue.passes('G') || queue.passes('S'));
  EXPECT_TRUE(queue.passes('T') && queue.passes('C'));
  says("Z");
  send("Q", Action::kHide);
  EXPECT_FALSE(queue.passes('C')) << "not for the client";
  says("CZ", Verdict::kHide);
  send("P", Action::kLocal);
  EXPECT_FALSE(queue.passes('1')) << "the server was not asked";
}

TEST_F(Ledger, TellsWhatIsOwed) {
  EXPECT_EQ("nothing owed", queue.owed_text());
  send("Q", Action::kHide);
  send("P");
  EXPECT_EQ("owed first: Query (hidden); 2 in all; batch open", queue.owed_text());
  queue.match('T', {});
  EXPECT_EQ("owed first: Query (hidden), begun and not ended; 2 in all; batch open", queue.owed_text());
  queue.match('C', {});
  queue.match('Z', "I");
  queue.match('E', {});
  EXPECT_EQ("nothing owed; batch open; skipping to a Sync", queue.owed_text());
  send("S");
  queue.match('Z', "I");
  send("ES");
  queue.match('G', {});
  EXPECT_EQ("owed first: Execute, begun and not ended; 1 in all; batch open; in COPY IN", queue.owed_text());
  queue.match('E', {});
  EXPECT_EQ("nothing owed; batch open; skipping to a Sync; 1 ReadyForQuery in doubt", queue.owed_text());
}

}  // namespace
}  // namespace pgweir::track
