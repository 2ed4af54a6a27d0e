// The link between a client and a server: attach, link, release, returned, feed; what each asks of the books and of
// workers/, and what the server is told.
#include "session/attach.hpp"

#include "unit/session/support.hpp"

namespace pgweir::session {
namespace {

using pool::ClientState;
using pool::ServerState;

std::string query(const std::string& sql) {
  std::string out;
  wire::append_query(out, sql);
  return out;
}

class Attach : public SessionTest {};

TEST_F(Attach, TakesAnIdleServer) {
  Client& who = client();
  Server& whom = server();
  EXPECT_EQ(Attached::kNow, attach(*hub, who));
  EXPECT_EQ(&whom, who.server);
  EXPECT_EQ(&who, whom.client);
  EXPECT_EQ(ClientState::kActive, who.state());
  EXPECT_EQ(ServerState::kActive, whom.state());
  EXPECT_TRUE(whom.served && whom.dirty_session);
  EXPECT_GT(who.xact_start, 0);
  EXPECT_EQ(0, who.query_start) << "the relay's to set";
  EXPECT_EQ(1u, pool->counters.server_assignments);
  EXPECT_EQ(0u, pool->counters.wait_time);
  EXPECT_EQ("", got(1)) << "nothing differs, nothing is said";
  EXPECT_TRUE(whom.replies.empty());
  EXPECT_TRUE(hub->effects.empty());
}

TEST_F(Attach, TakesNothingOverFromAClientThatVanished) {
  Client& who = client();
  Server& whom = server();
  whom.hidden_set = whom.held_until_proven = whom.held_for_answers = true;
  whom.proving = {"work_mem=1GB"};
  EXPECT_EQ(Attached::kNow, attach(*hub, who));
  EXPECT_FALSE(whom.hidden_set || whom.held_until_proven || whom.held_for_answers);
  EXPECT_TRUE(whom.proving.empty());
}

TEST_F(Attach, BringsWhatDiffersInOneHiddenQuery) {
  Client& who = client();
  Server& whom = server();
  for (Client* one : {&who}) {
    one->parameters.set("TimeZone", "Europe/Rome");
    one->parameters.set("client_encoding", "UTF8");
  }
  whom.parameters.set("TimeZone", "UTC");
  whom.parameters.set("client_encoding", "utf8");
  whom.unnamed = 7;
  whom.set_error = "of somebody else";
  EXPECT_EQ(Attached::kNow, attach(*hub, who));
  EXPECT_EQ(query("SET \"timezone\"='Europe/Rome';"), got(1));
  EXPECT_EQ(1u, whom.replies.size());
  EXPECT_TRUE(whom.replies.head_hidden());
  EXPECT_TRUE(whom.hidden_set);
  EXPECT_FALSE(whom.held_until_proven);
  EXPECT_EQ(0u, whom.unnamed) << "a simple query destroys the unnamed statement";
  EXPECT_EQ("", whom.set_error);
}

TEST_F(Attach, UnprovenParametersHoldTheRequest) {
  Client& who = client();
  Server& whom = server();
  who.parameters.set_extra("work_mem", "64MB");
  who.parameters_unproven = true;
  EXPECT_EQ(Attached::kProve, attach(*hub, who));
  EXPECT_EQ(query("SET \"work_mem\"='64MB';"), got(1));
  EXPECT_TRUE(whom.held_until_proven);
  EXPECT_EQ(std::vector<std::string>{"work_mem=64MB"}, whom.proving);
}

TEST_F(Attach, WaitsAndLaunches) {
  Client& who = client();
  EXPECT_EQ(Attached::kWait, attach(*hub, who));
  EXPECT_EQ(ClientState::kWaiting, who.state());
  EXPECT_GT(who.query_start, 0);
  EXPECT_GT(who.wait_start, 0);
  EXPECT_EQ(std::vector<std::string>{"launch u"}, hub->effects);
  EXPECT_EQ(1u, count(ServerState::kLogin));
}

TEST_F(Attach, LaunchesNoMoreThanThePoolHolds) {
  for (int at = 0; at < 5; ++at)
    EXPECT_EQ(Attached::kWait, attach(*hub, client()));
  EXPECT_EQ((std::vector<std::string>{"launch u", "launch u"}), hub->effects);
  EXPECT_EQ(2, pool->shared().servers.used());
  EXPECT_EQ(5u, count(ClientState::kWaiting));
}

TEST_F(Attach, APauseMakesWaitAndLaunchesNothing) {
  Client& who = client();
  server();
  hub->books.set_mode(pool::Mode::kPaused);
  EXPECT_EQ(Attached::kWait, attach(*hub, who));
  hub->books.set_mode(pool::Mode::kRunning);
  pool->shared().database->paused = true;
  EXPECT_EQ(Attached::kWait, attach(*hub, client()));
  EXPECT_TRUE(hub->effects.empty());
}

TEST_F(Attach, RefusesWhileLoginsFail) {
  Client& who = client();
  pool->shared().login_failed("password authentication failed", "28P01", true, hub->now(), 15 * kSecond);
  EXPECT_EQ(Attached::kClosed, attach(*hub, who));
  EXPECT_EQ(fatal("28P01",
                  "server login has been failing, cached error: password authentication failed (server_login_retry)"),
            got(0));
  EXPECT_EQ(1u, closes(Reason::kLoginFailing));
  EXPECT_EQ(ClientState::kGone, who.state());
}

TEST_F(Attach, AFailureThatIsNotTheServersHasThePoolersState) {
  Client& who = client();
  pool->shared().login_failed("connect failed", "", false, hub->now(), 15 * kSecond);
  EXPECT_EQ(Attached::kClosed, attach(*hub, who));
  EXPECT_EQ(fatal("08P01", "server login has been failing, cached error: connect failed (server_login_retry)"), got(0));
}

TEST_F(Attach, RefusesWhenServersShallEnd) {
  Client& who = client();
  server();
  hub->books.set_stopping(pool::Stopping::kWaitForServers);
  EXPECT_EQ(Attached::kClosed, attach(*hub, who));
  EXPECT_EQ(fatal("08P01", "server shutting down"), got(0));
  EXPECT_EQ(1u, closes(Reason::kServerShuttingDown));
  EXPECT_EQ(1u, count(ServerState::kIdle));
}

TEST_F(Attach, StillServesWhenClientsShallEnd) {
  server();
  hub->books.set_stopping(pool::Stopping::kWaitForClients);
  EXPECT_EQ(Attached::kNow, attach(*hub, client()));
}

class Lookup : public SessionTest {
 protected:
  // A login that has been given `whom` for its question.
  void begin(Server& whom) {
    Client& who = client();
    EXPECT_EQ(Attached::kNow, attach(*hub, who));
    EXPECT_EQ(&whom, who.server);
    start_lookup(*hub, who, ticket);
    EXPECT_EQ(ClientState::kLogin, who.state());
    EXPECT_EQ(nullptr, who.local_pool);
  }
  std::shared_ptr<LookupTicket> ticket = std::make_shared<LookupTicket>();
};

TEST_F(Lookup, TheServerIsBusyWithTheQuestionOnly) {
  Server& whom = server();
  begin(whom);
  EXPECT_EQ(nullptr, whom.client);
  EXPECT_EQ(ServerState::kTested, whom.state());
  EXPECT_EQ(Errand::kLookup, whom.errand);
  EXPECT_EQ(LookupTicket::Outcome::kPending, ticket->outcome);
}

TEST_F(Lookup, NobodyCountsOnThatServer) {
  begin(server());
  Client& other = client();
  EXPECT_EQ(Attached::kWait, attach(*hub, other));
  EXPECT_EQ(1, std::count_if(hub->effects.begin(), hub->effects.end(),
                             [](const std::string& effect) { return effect.starts_with("launch"); }))
      << "another server is on its way";
}

TEST_F(Lookup, AServerThatIsClosedBeforeItIsAskedLeavesNobodyWaiting) {
  Server& whom = server();
  begin(whom);
  close_server(*hub, whom, Reason::kServerStuck);
  EXPECT_EQ(LookupTicket::Outcome::kLost, ticket->outcome);
}

class Release : public SessionTest {};

TEST_F(Release, BothAreIdleAgain) {
  pair();
  release(*hub, *the_server);
  EXPECT_EQ(nullptr, the_client->server);
  EXPECT_EQ(nullptr, the_server->client);
  EXPECT_EQ(ClientState::kIdle, the_client->state());
  EXPECT_EQ(ServerState::kIdle, the_server->state());
  EXPECT_EQ(0, the_client->xact_start);
  EXPECT_EQ(&hub->server_handler(), the_server->stream.handler());
  EXPECT_TRUE(hub->ready_clients.empty() && hub->ready_servers.empty());
}

TEST_F(Release, TheFirstWhoWaitsGetsIt) {
  begin("default_pool_size = 1");
  pair();
  Client& second = client();
  Client& third = client();
  second.parameters.set("TimeZone", "Asia/Tokyo");
  EXPECT_EQ(Attached::kWait, attach(*hub, second));
  EXPECT_EQ(Attached::kWait, attach(*hub, third));
  release(*hub, *the_server);
  EXPECT_EQ(&second, the_server->client);
  EXPECT_EQ(the_server, second.server);
  EXPECT_EQ(0, second.wait_start);
  EXPECT_EQ(2u, pool->counters.server_assignments);
  EXPECT_EQ(ServerState::kActive, the_server->state());
  EXPECT_EQ(&second, hub->ready_clients.front()) << "goes on from the ready list, not inside the callback";
  EXPECT_EQ(1u, hub->ready_clients.size());
  EXPECT_EQ(query("SET \"timezone\"='Asia/Tokyo';"), got(1));
  EXPECT_EQ(ClientState::kWaiting, third.state());
}

TEST_F(Release, AWaiterWhoseParametersAreUnprovenIsNotResumedYet) {
  begin("default_pool_size = 1");
  pair();
  Client& second = client();
  second.parameters.set_extra("work_mem", "1MB");
  second.parameters_unproven = true;
  EXPECT_EQ(Attached::kWait, attach(*hub, second));
  release(*hub, *the_server);
  EXPECT_EQ(&second, the_server->client);
  EXPECT_TRUE(the_server->held_until_proven);
  EXPECT_TRUE(hub->ready_clients.empty());
}

TEST_F(Release, AClientThatHasSentMoreGoesOn) {
  pair();
  the_client->held = std::make_unique<std::string>("Q");
  release(*hub, *the_server);
  EXPECT_EQ(the_client, hub->ready_clients.front());
}

TEST_F(Release, AClientWithUnreadBytesGoesOn) {
  pair();
  peers[0].write("Q");
  hub->turn();  // the edge comes while nobody reads
  ASSERT_TRUE(the_client->stream.maybe_readable());
  release(*hub, *the_server);
  EXPECT_EQ(the_client, hub->ready_clients.front());
}

TEST_F(Release, ARepeatIsOff) {
  pair();
  the_server->retry = std::make_unique<RetryCopy>();
  the_server->retry->phase = RetryCopy::Phase::kComplete;
  release(*hub, *the_server);
  EXPECT_EQ(RetryCopy::Phase::kOff, the_server->retry->phase);
}

TEST_F(Release, AServerThatOwesAnswersIsNeverPooledAgain) {
  pair();
  ask();
  release(*hub, *the_server);
  EXPECT_EQ(ServerState::kClosing, the_server->state());
  EXPECT_EQ(1u, closes(Reason::kServerNotReady));
  EXPECT_EQ(ClientState::kIdle, the_client->state());
}

struct Case {
  const char* what;
  void (*spoil)(Server& server);
  Reason reason;
};

TEST_F(Release, EachObjectionOfTheServersState) {
  const Case cases[] = {
      {"in a transaction", [](Server& s) { s.transaction = 'T'; }, Reason::kServerNotReady},
      {"in a failed transaction", [](Server& s) { s.transaction = 'E'; }, Reason::kServerNotReady},
      {"half an answer", [](Server& s) { s.body_left = 3; }, Reason::kServerNotReady},
      {"bytes not looked at", [](Server& s) { s.held = std::make_unique<std::string>("Z"); }, Reason::kServerNotReady},
      {"an open batch", [](Server& s) { s.replies.expect(track::Kind::kParse, track::Action::kHide); },
       Reason::kServerNotReady},
      {"another generation", [](Server& s) { --s.generation; }, Reason::kServerObsolete},
      {"too old", [](Server& s) { s.connected_at -= 7200 * kSecond; }, Reason::kServerLifetime},
      {"a stream that ended", [](Server& s) { s.stream.close(); }, Reason::kServerLostIdle},
  };
  for (const Case& one : cases) {
    begin("server_lifetime = 3600");
    peers.clear();
    pair();
    one.spoil(*the_server);
    release(*hub, *the_server);
    EXPECT_EQ(1u, closes(one.reason)) << one.what;
    EXPECT_EQ(0u, count(ServerState::kIdle)) << one.what;
    EXPECT_EQ(ClientState::kIdle, the_client->state()) << one.what;
  }
}

TEST_F(Release, APauseSendsServersHome) {
  pair();
  hub->books.set_mode(pool::Mode::kPaused);
  release(*hub, *the_server);
  EXPECT_EQ(1u, closes(Reason::kPauseMode));
}

TEST_F(Release, ASmallerPoolShedsItsSurplus) {
  pair();
  Server& other = server();
  pool->shared().servers.set_limit(1);
  release(*hub, *the_server);
  EXPECT_EQ(1u, closes(Reason::kServerSurplus));
  EXPECT_EQ(ServerState::kIdle, other.state());
}

TEST_F(Release, ACancelOnItsWayHoldsTheServer) {
  begin("default_pool_size = 1");
  pair();
  EXPECT_EQ(Attached::kWait, attach(*hub, client()));
  the_server->cancels = 1;
  release(*hub, *the_server);
  EXPECT_EQ(ServerState::kBeingCanceled, the_server->state());
  EXPECT_EQ(1u, count(ClientState::kWaiting)) << "nobody gets it before the cancel has been delivered";
  the_server->cancels = 0;
  returned(*hub, *the_server, false);
  EXPECT_EQ(ServerState::kActive, the_server->state());
  EXPECT_EQ(0u, count(ClientState::kWaiting));
}

TEST_F(Release, TheResetQueryComesFirst) {
  begin("default_pool_size = 1\npool_mode = session\nserver_reset_query = DISCARD ALL");
  pair();
  Client& second = client();
  EXPECT_EQ(Attached::kWait, attach(*hub, second));
  release(*hub, *the_server);
  EXPECT_EQ(ServerState::kTested, the_server->state());
  EXPECT_EQ(Errand::kReset, the_server->errand);
  EXPECT_EQ(nullptr, the_server->stream.handler()) << "what it says now is the reset's to read";
  EXPECT_EQ(the_server, hub->ready_servers.pop_front());
  returned(*hub, *the_server, true);
  EXPECT_FALSE(the_server->errand == Errand::kMove);
  EXPECT_EQ(&second, the_server->client);
}

TEST_F(Release, AServerThatIsWantedElsewhereGoesThere) {
  begin("default_pool_size = 1", 4);
  pair();
  pool->shared().published(3).oldest_wait = hub->now() - kSecond;
  pool->shared().published(3).waiting = 1;
  release(*hub, *the_server);
  EXPECT_EQ(ServerState::kMoving, the_server->state());
  EXPECT_EQ(Errand::kMove, the_server->errand);
  EXPECT_EQ(3, the_server->moving_to);
  EXPECT_EQ(the_server, hub->ready_servers.front());
  EXPECT_EQ(1, pool->shared().servers.used()) << "its slot travels with it";
  pool->join(*the_server, ServerState::kMoving);  // as its new owner would; here for the burial
}

TEST_F(Release, AServerForWhichSomebodyElsewhereHasJustComeIsOffered) {
  begin("default_pool_size = 1", 4);
  pair();
  pool->shared().published(3).oldest_wait = hub->now();
  pool->shared().published(3).waiting = 1;
  release(*hub, *the_server);
  EXPECT_EQ(ServerState::kIdle, the_server->state()) << "until the turn is over";
  ASSERT_EQ(pool, hub->offering.front());
  unsigned to = 0;
  EXPECT_EQ(the_server, pool->next_offer(&to));
  EXPECT_EQ(3u, to);
  EXPECT_EQ(ServerState::kMoving, the_server->state());
  EXPECT_EQ(1, pool->shared().published(3).incoming);
  pool->join(*the_server, ServerState::kMoving);
}

class Feed : public SessionTest {};

TEST_F(Feed, AUsedServerIsCheckedBeforeANewOneIsLaunched) {
  begin("server_check_delay = 1\nserver_check_query = SELECT 1");
  Server& old = server();
  ASSERT_TRUE(pool->move(old, ServerState::kUsed));
  EXPECT_EQ(Attached::kWait, attach(*hub, client()));
  EXPECT_EQ(Errand::kCheck, old.errand);
  EXPECT_EQ(ServerState::kTested, old.state());
  EXPECT_EQ(&old, hub->ready_servers.front());
  EXPECT_TRUE(hub->effects.empty());
}

TEST_F(Feed, AServerThatCameAfterALongRestIsCheckedFirst) {
  begin("server_check_delay = 1\nserver_check_query = SELECT 1", 2);
  Server& came = server();
  pool->leave(came, ServerState::kMoving);
  pool->join(came, ServerState::kMoving);
  came.last_activity = hub->now() - 2 * kSecond;
  arrived(*hub, came);
  EXPECT_EQ(Errand::kCheck, came.errand);
  EXPECT_EQ(ServerState::kTested, came.state());
}

TEST_F(Feed, AClientThatIsSentAwayForFailingLoginsStartsANewTry) {
  pool->shared().login_failed("connect failed", "", false, hub->now() - 60 * kSecond, kSecond);
  EXPECT_EQ(Attached::kClosed, attach(*hub, client()));
  EXPECT_TRUE(std::any_of(hub->effects.begin(), hub->effects.end(),
                          [](const std::string& effect) { return effect.starts_with("launch"); }));
}

TEST_F(Feed, AsksTheWorkerThatHasAnIdleServer) {
  begin("", 2);
  pool->shared().published(1).idle = 1;
  EXPECT_EQ(Attached::kWait, attach(*hub, client()));
  EXPECT_EQ(std::vector<std::string>{"ask 1"}, hub->effects);
}

TEST_F(Feed, ALimitOfTheDatabaseWantsAnEviction) {
  pool->shared().database->servers.set_limit(1);
  pair();
  EXPECT_EQ(Attached::kWait, attach(*hub, client()));
  EXPECT_EQ(std::vector<std::string>{"evict for u database"}, hub->effects);
}

TEST_F(Feed, TheReserveIsSaidInTheLog) {
  begin("default_pool_size = 1\nreserve_pool_size = 1\nreserve_pool_timeout = 1");
  pair();
  Client& late = client();
  EXPECT_EQ(Attached::kWait, attach(*hub, late));
  EXPECT_TRUE(hub->effects.empty());
  late.wait_start -= 2 * kSecond;
  feed(*hub, *pool);
  EXPECT_EQ(std::vector<std::string>{"launch u"}, hub->effects);
  EXPECT_TRUE(hub->logged("db/u: taking connection from reserve_pool"));
}

TEST_F(Feed, LoginsThatWaitForAWelcomeNeedOneServer) {
  auto three_at_gate = [this] {
    for (int i = 0; i < 3; ++i) {
      Client& login = client();
      pool->leave(login, pool::ClientState::kLogin);
      pool->join(login, pool::ClientState::kAtGate);
    }
  };
  three_at_gate();
  feed(*hub, *pool);
  EXPECT_EQ(std::vector<std::string>{"launch u"}, hub->effects);
  begin();
  pool->shared().set_welcome(std::make_shared<pool::Welcome>());
  three_at_gate();
  feed(*hub, *pool);
  EXPECT_TRUE(hub->effects.empty()) << "they only have to be resumed";
}

TEST_F(Feed, NobodyIsListedTwice) {
  pair();
  resume(*hub, *the_client);
  resume(*hub, *the_client);
  resume(*hub, *the_server);
  resume(*hub, *the_server);
  EXPECT_EQ(1u, hub->ready_clients.size());
  EXPECT_EQ(1u, hub->ready_servers.size());
}

}  // namespace
}  // namespace pgweir::session
