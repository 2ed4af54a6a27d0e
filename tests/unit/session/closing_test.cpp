// How connections end: what the client is told, what becomes of its server, when the slot is free again, what is
// logged and counted; nothing is freed before the batch has ended.
#include "session/closing.hpp"

#include "session/patience.hpp"

#include "unit/session/support.hpp"

namespace pgweir::session {
namespace {

using pool::ClientState;
using pool::ServerState;

class CloseClient : public SessionTest {};

TEST_F(CloseClient, EveryReasonTellsWhatItsRowSays) {
  for (size_t at = 0; at < static_cast<size_t>(Reason::kCount); ++at) {
    const ReasonRow& row = row_of(static_cast<Reason>(at));
    begin("verbose = 2");
    peers.clear();
    pair();
    ask();
    close_client(*hub, *the_client, row.reason);
    const std::string told =
        row.client_text.empty() ? "" : fatal(std::string(row.sqlstate), std::string(row.client_text));
    EXPECT_EQ(told, got(0)) << row.name;
    EXPECT_EQ(told.empty(), !hub->logged(cat("pooler error: ", row.client_text))) << row.name;
    if (row.level != Level::kDebug) {
      EXPECT_TRUE(hub->logged(cat(level_name(row.level), " C-"))) << row.name;
      EXPECT_TRUE(hub->logged(cat("closing because: ", row.log_text, " (age=0s)"))) << row.name;
    }
    const bool both = row.fate == Fate::kClose;
    EXPECT_EQ(both ? 2u : 1u, closes(row.reason)) << row.name;
    // A query was running: with Fate::kClose the server goes with its client, else it is cleaned up.
    const ServerState fate = !both                               ? ServerState::kTested
                             : row.reason == Reason::kServerLost ? ServerState::kGone
                                                                 : ServerState::kClosing;
    EXPECT_EQ(fate, the_server->state()) << row.name;
    EXPECT_EQ(both, has(cat("cancel abandoned ", the_server->id))) << row.name;
  }
}

TEST_F(CloseClient, ATextOfItsOwnReplacesTheRows) {
  Client& who = client();
  close_client(*hub, who, Reason::kLoginRefused, "no such user", "28000");
  EXPECT_EQ(fatal("28000", "no such user"), got(0));
  EXPECT_TRUE(hub->logged("pooler error: no such user"));
  EXPECT_TRUE(hub->logged("closing because: no such user"));
}

TEST_F(CloseClient, ATextIsNotToldWhereTheRowTellsNothing) {
  Client& who = client();
  close_client(*hub, who, Reason::kClientSocketError, "Connection reset by peer");
  EXPECT_EQ("", got(0));
  EXPECT_TRUE(hub->logged("closing because: Connection reset by peer"));
  EXPECT_FALSE(hub->logged("pooler error"));
}

TEST_F(CloseClient, SilenceWhereTheSettingsWantIt) {
  begin("log_disconnections = 0\nlog_pooler_errors = 0");
  close_client(*hub, client(), Reason::kQueryWaitTimeout);
  EXPECT_TRUE(hub->lines.empty());
  EXPECT_EQ(fatal("08P01", "query_wait_timeout"), got(0)) << "the client is told all the same";
}

TEST_F(CloseClient, EverythingOfItIsGivenBackAndItLivesToTheEndOfTheBatch) {
  Client& who = client();
  resume(*hub, who);
  hub->outbox.add_copy(who, "last words");
  close_client(*hub, who, Reason::kAdminDisconnect);
  EXPECT_EQ(ClientState::kGone, who.state());
  EXPECT_FALSE(who.stream.open());
  EXPECT_EQ(nullptr, who.pool);
  EXPECT_EQ(0, hub->books.clients().used());
  EXPECT_TRUE(hub->ready_clients.empty());
  EXPECT_EQ(0u, hub->clients.size());
  EXPECT_TRUE(has(cat("forget key ", who.id)));
  ASSERT_EQ(1u, hub->dead_clients.size());
  EXPECT_EQ(&who, hub->dead_clients[0].get());
  EXPECT_EQ("last words" + fatal("08P01", "admin forced disconnect"), got(0)) << "what was queued leaves first";
  close_client(*hub, who, Reason::kClientEof);
  EXPECT_EQ(0u, closes(Reason::kClientEof)) << "who is gone is not closed again";
  hub->turn();
  EXPECT_TRUE(hub->dead_clients.empty());
}

TEST_F(CloseClient, OneThatLogsInOrIsAConsoleHasNoPool) {
  Client& newcomer = hub->add_client(-1);
  close_client(*hub, newcomer, Reason::kLoginTimeout);
  EXPECT_EQ(ClientState::kGone, newcomer.state());
  Client& console = hub->add_client(-1);
  ASSERT_TRUE(set_state(console, ClientState::kConsole));
  close_client(*hub, console, Reason::kClientTerminate);
  EXPECT_EQ(ClientState::kGone, console.state());
  EXPECT_TRUE(hub->logged("(nodb)/(nouser)@"));
}

TEST_F(CloseClient, OneThatWaitsLeavesTheQueue) {
  Client& who = client();
  EXPECT_EQ(Attached::kWait, attach(*hub, who));
  close_client(*hub, who, Reason::kQueryWaitTimeout);
  EXPECT_EQ(0u, count(ClientState::kWaiting));
  EXPECT_EQ(kNever, pool->shared().published(0).oldest_wait.load());
}

TEST_F(CloseClient, NothingIsSaidInTheMiddleOfAMessage) {
  pair();
  hub->outbox.add_copy(*the_client, "D half of");
  the_server->body_left = 100;
  close_client(*hub, *the_client, Reason::kAdminDisconnect);
  EXPECT_EQ("D half of", got(0));
}

TEST_F(CloseClient, AMessageThatTheClientNeverSeesDoesNotSilenceUs) {
  pair();
  the_server->body_left = 100;
  the_server->body_dropped = true;
  close_client(*hub, *the_client, Reason::kAdminDisconnect);
  EXPECT_EQ(fatal("08P01", "admin forced disconnect"), got(0));
}

TEST_F(CloseClient, BytesOnTheirWayToUsDoNotEatTheText) {
  auto [fd, peer] = net::tcp_pair();
  Client& who = hub->add_pool_client("db", "u", fd);
  peer.write(std::string(3000, 'x'));  // unread bytes at close make the kernel send a reset
  EXPECT_TRUE(hub->run_until([&] { return who.stream.maybe_readable(); }));
  close_client(*hub, who, Reason::kClientBadHeader);
  EXPECT_EQ(fatal("08P01", "bad packet header"), peer.read());
  EXPECT_EQ(0, ::recv(peer.fd(), nullptr, 0, 0));
}

TEST_F(CloseClient, OneWhoseSocketBreaksAtTheLastWordsIsNotTouchedAgain) {
  Client& who = client();
  peers[0].close();
  hub->outbox.add_copy(who, "lost");
  close_client(*hub, who, Reason::kAdminDisconnect);
  EXPECT_EQ(nullptr, hub->outbox.take_broken()) << "it will be freed at the end of this batch";
}

class Vanish : public SessionTest {};

TEST_F(Vanish, BetweenTransactionsTheServerIsFreeAtOnce) {
  pair();
  close_client(*hub, *the_client, Reason::kClientEof);
  EXPECT_EQ(ServerState::kIdle, the_server->state());
  EXPECT_EQ(nullptr, the_server->client);
  EXPECT_EQ("", got(1));
}

TEST_F(Vanish, InATransactionTheServerIsCleanedUp) {
  for (char status : {'T', 'E'}) {
    begin();
    peers.clear();
    pair();
    the_server->transaction = status;
    close_client(*hub, *the_client, Reason::kClientEof);
    EXPECT_EQ(ServerState::kTested, the_server->state());
    EXPECT_EQ(Errand::kCleanUp, the_server->errand);
    EXPECT_EQ(the_server, hub->ready_servers.front());
    EXPECT_EQ(nullptr, the_server->stream.handler());
    EXPECT_FALSE(has(cat("cancel abandoned ", the_server->id))) << "the clean-up sends its own";
  }
}

TEST_F(Vanish, WithAQueryUnderWayTheServerIsCleanedUp) {
  pair();
  ask();
  the_server->retry = std::make_unique<RetryCopy>();
  the_server->retry->phase = RetryCopy::Phase::kOpen;
  close_client(*hub, *the_client, Reason::kClientTerminate);
  EXPECT_EQ(Errand::kCleanUp, the_server->errand);
  EXPECT_EQ(RetryCopy::Phase::kOff, the_server->retry->phase) << "nothing is sent again for nobody";
}

TEST_F(Vanish, WithoutABudgetTheServerIsClosed) {
  begin("client_cleanup_timeout = 0");
  pair();
  ask();
  close_client(*hub, *the_client, Reason::kClientEof);
  EXPECT_EQ(ServerState::kClosing, the_server->state());
  EXPECT_EQ(1u, closes(Reason::kServerNotReady));
}

TEST_F(Vanish, InTheMiddleOfAMessageTheServerCannotBeSaved) {
  pair();
  ask();
  the_client->body_left = 10;
  close_client(*hub, *the_client, Reason::kClientEof);
  EXPECT_EQ(ServerState::kClosing, the_server->state());
  EXPECT_EQ(1u, closes(Reason::kServerNotReady));
}

TEST_F(Vanish, InTheMiddleOfAMessageThatIsDroppedItCan) {
  pair();
  the_client->body_left = 10;
  the_client->body_dropped = true;
  close_client(*hub, *the_client, Reason::kClientEof);
  EXPECT_EQ(ServerState::kIdle, the_server->state());
}

TEST_F(Vanish, AReplicationServerIsNeverShared) {
  for (Replication kind : {Replication::kPhysical, Replication::kLogical}) {
    begin();
    peers.clear();
    pair();
    the_client->replication = kind;
    close_client(*hub, *the_client, Reason::kClientTerminate);
    EXPECT_EQ(ServerState::kClosing, the_server->state());
  }
}

TEST_F(Vanish, AServerWhoseStreamIsBrokenIsNotCleanedUp) {
  pair();
  ask();
  peers[1].close();
  hub->outbox.add_copy(*the_server, "Q");
  hub->outbox.flush();
  ASSERT_TRUE(the_server->stream.broken());
  close_client(*hub, *the_client, Reason::kClientEof);
  EXPECT_EQ(ServerState::kGone, the_server->state());
  EXPECT_EQ(0, pool->shared().servers.used());
}

class CloseServer : public SessionTest {};

TEST_F(CloseServer, KeepsItsSlotUntilPostgresHasClosedItsSide) {
  Server& whom = server();
  close_server(*hub, whom, Reason::kServerIdleTimeout);
  EXPECT_EQ(ServerState::kClosing, whom.state());
  EXPECT_EQ(terminate(), got(0));
  EXPECT_EQ("", peers[0].read()) << "our side is shut";
  EXPECT_EQ(1, pool->shared().servers.used());
  EXPECT_EQ(0, pool->shared().live());
  EXPECT_TRUE(hub->logged("closing because: server idle timeout (age=0s)"));
  EXPECT_GT(whom.closing_deadline, hub->now());
  close_server(*hub, whom, Reason::kServerLifetime);
  EXPECT_EQ(0u, closes(Reason::kServerLifetime)) << "not closed twice";
  peers[0].write("N some notice that nobody wants");
  hub->turn();
  EXPECT_EQ(1u, hub->servers.size());
  peers[0].close();
  EXPECT_TRUE(hub->run_until([&] { return hub->servers.size() == 0; }));
  EXPECT_EQ(0, pool->shared().servers.used());
  EXPECT_EQ(0, pool->shared().closing.load());
}

// Its last bytes may have been half a message, and a Terminate would be the other half.
TEST_F(CloseServer, SaysNothingBehindWhatWasQueuedAndIsDropped) {
  Server& whom = server();
  hub->outbox.add_copy(whom, "never sent");
  close_server(*hub, whom, Reason::kServerIdleTimeout);
  EXPECT_EQ(ServerState::kClosing, whom.state());
  EXPECT_EQ("", peers[0].read()) << "the end, and not a byte";
}

TEST_F(CloseServer, SaysNothingBehindHalfAMessage) {
  Server& whom = server();
  whom.half_told = true;
  close_server(*hub, whom, Reason::kServerNotReady);
  EXPECT_EQ("", peers[0].read()) << "the end, and not a byte";
}

TEST_F(CloseServer, PatienceWithTheClosingEnds) {
  Server& first = server();
  Server& second = server();
  close_server(*hub, first, Reason::kServerLifetime);
  close_server(*hub, second, Reason::kServerLifetime);
  end_overdue(*hub, *pool);
  EXPECT_EQ(2u, count(ServerState::kClosing));
  first.closing_deadline = hub->now();
  end_overdue(*hub, *pool);
  EXPECT_EQ(1u, count(ServerState::kClosing));
  EXPECT_EQ(ServerState::kGone, first.state());
  EXPECT_EQ(1, pool->shared().servers.used());
}

TEST_F(CloseServer, ALostOneIsBuriedAtOnce) {
  for (Reason reason : {Reason::kServerLost, Reason::kServerLostIdle}) {
    begin();
    peers.clear();
    Server& whom = server();
    close_server(*hub, whom, reason);
    EXPECT_EQ(ServerState::kGone, whom.state());
    EXPECT_EQ(0, pool->shared().servers.used());
    ASSERT_EQ(1u, hub->dead_servers.size()) << "freed after the batch only";
    bury(*hub, whom);  // no effect
    EXPECT_EQ(1u, hub->dead_servers.size());
  }
}

TEST_F(CloseServer, OneThatStillConnectsIsBuriedAtOnce) {
  Server& whom = hub->add_pool_server("db", "u");
  close_server(*hub, whom, Reason::kServerConnectTimeout);
  EXPECT_EQ(ServerState::kGone, whom.state());
  EXPECT_EQ(0, pool->shared().servers.used());
}

TEST_F(CloseServer, ItsClientIsToldAndClosed) {
  pair();
  ask();
  close_server(*hub, *the_server, Reason::kServerLost, "terminating connection due to administrator command");
  EXPECT_EQ(fatal("08P01", "terminating connection due to administrator command"), got(0));
  EXPECT_EQ(ClientState::kGone, the_client->state());
  EXPECT_EQ(1u, hub->dead_clients.size());
  EXPECT_TRUE(hub->logged(
      "closing because: server conn crashed?: terminating connection due to administrator command (age=0s)"));
}

TEST_F(CloseServer, ItsClientGetsNoTextIntoHalfAMessage) {
  pair();
  ask();
  hub->outbox.add_copy(*the_client, "D half of");
  the_server->body_left = 100;
  close_server(*hub, *the_server, Reason::kServerLost);
  EXPECT_EQ("D half of", got(0));
  EXPECT_EQ(ClientState::kGone, the_client->state());
}

TEST_F(CloseServer, NoTerminateIntoHalfAMessage) {
  pair();
  ask();
  the_client->body_left = 10;
  close_server(*hub, *the_server, Reason::kImpossibleState);
  EXPECT_EQ("", got(1));
  EXPECT_EQ("", peers[1].read()) << "shut all the same";
}

TEST_F(CloseServer, AnErrandThatWasDueIsNot) {
  Server& whom = server();
  ASSERT_TRUE(pool->move(whom, ServerState::kTested));
  whom.errand = Errand::kReset;
  resume(*hub, whom);
  close_server(*hub, whom, Reason::kServerReset);
  EXPECT_NE(Errand::kReset, whom.errand);
}

class Overdue : public SessionTest {
 protected:
  // A server that upkeep closes as soon as its time is over, and not before.
  void expect_net(Server& whom, Micros limit) {
    const ServerState state = whom.state();
    ASSERT_NE(kNever, whom.overdue_at);
    EXPECT_GE(whom.overdue_at, hub->now() + limit);
    EXPECT_LE(whom.overdue_at, hub->now() + limit + kGrace);
    end_overdue(*hub, *pool);
    EXPECT_EQ(state, whom.state());
    whom.overdue_at = hub->now();
    end_overdue(*hub, *pool);
    EXPECT_TRUE(whom.state() == ServerState::kClosing || whom.state() == ServerState::kGone);
    EXPECT_EQ(1u, closes(Reason::kServerStuck));
    EXPECT_TRUE(hub->logged(cat("closing because: did not end in time what it was busy with: ", name_of(state))));
  }
};

TEST_F(Overdue, ACleanUp) {
  begin("client_cleanup_timeout = 7");
  pair();
  ask();
  close_client(*hub, *the_client, Reason::kClientEof);
  ASSERT_EQ(ServerState::kTested, the_server->state());
  expect_net(*the_server, 7 * kSecond);
}

TEST_F(Overdue, AReset) {
  begin("server_reset_query = DISCARD ALL\nserver_reset_query_always = 1");
  pair();
  release(*hub, *the_server);
  ASSERT_EQ(Errand::kReset, the_server->errand);
  expect_net(*the_server, kErrandPatience);
}

TEST_F(Overdue, ACheck) {
  Server& whom = server();
  ASSERT_TRUE(pool->move(whom, ServerState::kUsed));
  EXPECT_EQ(Attached::kWait, attach(*hub, client()));
  ASSERT_EQ(Errand::kCheck, whom.errand);
  expect_net(whom, kErrandPatience);
}

TEST_F(Overdue, ACancelRequest) {
  for (Micros limit : {kLongestCancel, 3 * kSecond}) {
    begin(limit == kLongestCancel ? "cancel_wait_timeout = 0" : "cancel_wait_timeout = 3");
    peers.clear();
    pair();
    the_server->cancels = 1;
    release(*hub, *the_server);
    ASSERT_EQ(ServerState::kBeingCanceled, the_server->state());
    expect_net(*the_server, limit);
  }
}

TEST_F(Overdue, ALogin) {
  Server& whom = hub->add_pool_server("db", "u");
  expect_end(*hub, whom, 15 * kSecond);
  expect_net(whom, 15 * kSecond);
  EXPECT_EQ(0, pool->shared().servers.used());
}

TEST_F(Overdue, NeverOneWhoseTimeIsNotLimitedOrThatHasEnded) {
  Server& whom = server();
  ASSERT_TRUE(pool->move(whom, ServerState::kTested));
  expect_end(*hub, whom, 0);
  EXPECT_EQ(kNever, whom.overdue_at);
  end_overdue(*hub, *pool);
  EXPECT_EQ(ServerState::kTested, whom.state());
  expect_end(*hub, whom, kSecond);
  returned(*hub, whom, true);
  EXPECT_EQ(kNever, whom.overdue_at);
  end_overdue(*hub, *pool);
  EXPECT_EQ(ServerState::kIdle, whom.state());
}

class Impossible : public SessionTest {};

TEST_F(Impossible, EndsThatPairAndCountsIt) {
  pair();
  Client& bystander = client();
  Server& other = server();
  impossible(*hub, the_client, the_server, "a test");
  EXPECT_EQ(1u, hub->tally.impossible);
  EXPECT_TRUE(hub->logged("impossible state: a test, closing this pair of connections"));
  EXPECT_EQ(ClientState::kGone, the_client->state());
  EXPECT_EQ(ServerState::kClosing, the_server->state());
  EXPECT_EQ(ClientState::kIdle, bystander.state());
  EXPECT_EQ(ServerState::kIdle, other.state());
}

TEST_F(Impossible, OfOneOnly) {
  Client& who = client();
  impossible(*hub, &who, nullptr, "client");
  EXPECT_EQ(fatal("08P01", "internal error, connection closed"), got(0));
  Server& whom = server();
  impossible(*hub, nullptr, &whom, "server");
  EXPECT_EQ(ServerState::kClosing, whom.state());
  impossible(*hub, nullptr, nullptr, "nobody");
  EXPECT_EQ(3u, hub->tally.impossible);
}

TEST_F(Impossible, AReleaseThatTheTableForbids) {
  pair();
  Client& who = *the_client;
  ASSERT_TRUE(pool->move(who, ClientState::kIdle));  // so that idle to idle is asked for
  release(*hub, *the_server);
  EXPECT_EQ(1u, hub->tally.impossible);
  EXPECT_EQ(ClientState::kGone, who.state());
  EXPECT_EQ(ServerState::kClosing, the_server->state());
}

class Names : public SessionTest {};

TEST_F(Names, OfClientsAndServersInTheLog) {
  Client& who = client();
  who.listen_port = 6432;
  const std::string pid = std::to_string(getpid());
  EXPECT_TRUE(log_prefix(who).ends_with(cat(": db/u@unix(", pid, "):6432 "))) << log_prefix(who);
  Server& whom = server();
  EXPECT_TRUE(log_prefix(whom).ends_with(cat(": db/u@unix(", pid, "):5433 "))) << log_prefix(whom);
  EXPECT_EQ(0u, log_prefix(who).find("C-0x"));
  EXPECT_EQ(0u, log_prefix(whom).find("S-0x"));
  auto [fd, peer] = net::tcp_pair();
  Client& remote = hub->add_client(fd);
  EXPECT_NE(std::string::npos, log_prefix(remote).find("(nodb)/(nouser)@127.0.0.1:")) << log_prefix(remote);
}

}  // namespace
}  // namespace pgweir::session
