// A worker: one thread, one loop, its clients, its servers, its part of every pool. It acts for the rooms below (the
// effects of session::Hub) and talks to other workers by mail only. Promises: nothing is freed and nobody is resumed
// inside a callback - ready lists and graveyard are worked off after the batch, then everything is sent.
#pragma once

#include <memory>
#include <thread>
#include <unordered_map>
#include <vector>

#include "admin/job.hpp"
#include "auth/random_pool.hpp"
#include "net/loop.hpp"
#include "net/offload.hpp"
#include "relay/relay.hpp"
#include "session/closing.hpp"
#include "session/hub.hpp"
#include "workers/fleet.hpp"

namespace pgweir::workers {

struct WorkerParts {
  Fleet& fleet;
  net::Resolver& resolver;
  net::OffloadPool& offload;
  net::OffloadPool& vouchers;
  Logger& log;
  pool::Books& books;
  track::StatementRegistry& statements;
  admin::Office& office;
  std::string process_secret;
  int descriptor_limit = 1024;  // RLIMIT_NOFILE at start
};

class Worker final : public session::Hub, private net::Turn {
 public:
  static Result<std::unique_ptr<Worker>> create(unsigned number, const WorkerParts& parts, const NewSettings& settings);
  ~Worker() override;

  void start();  // the thread
  void join();   // until it has ended; ask it to by an Order that calls stop()
  void stop();   // in the worker's thread

  // -- session::Hub --
  session::LocalPool& pool_of(const std::shared_ptr<pool::SharedPool>& shared) override;
  std::vector<session::LocalPool*> pools() override;
  net::StreamHandler& client_handler() override { return relay_.client_handler(); }
  net::StreamHandler& server_handler() override { return relay_.server_handler(); }
  net::StreamHandler& closing_handler() override { return closing_; }
  void client_ready(session::Client& client) override;
  void launch(session::LocalPool& pool, pool::Slot slot, session::Client* owner = nullptr) override;
  void start_reset(session::Server& server) override;
  void start_check(session::Server& server) override;
  void start_lookup(session::Server& server) override;
  void cancel_abandoned(session::Server& server) override;
  void start_clean_up(session::Server& server) override;
  void send_server(unsigned to, std::unique_ptr<session::Server> server) override;
  void ask_for_server(unsigned from, pool::SharedPool& shared) override;
  void evict_for(session::LocalPool& pool, pool::Limit limit) override;
  pool::Bell* bell() override { return &parts_.fleet; }
  void welcome_news(pool::SharedPool& shared) override;
  void login_trouble(pool::SharedPool& shared, bool tell) override;
  uint32_t next_id() override { return parts_.fleet.next_id(); }
  void draw_random(char* to, size_t size) override;
  void draw_cancel_key(session::Client& client, size_t secret_size) override;
  void forget_cancel_key(session::Client& client) override;
  std::shared_ptr<session::CancelTicket> cancel(uint32_t pid, ByteView secret) override;

  void adopt(const NewClient& client);  // in the worker's thread

  // -- for the Director's Orders, in the worker's thread --
  void sweep();  // looks after all pools at once (after PAUSE, RECONNECT, a reload)
  void close_clients_of(const std::string& database, session::Reason reason);
  void close_servers_of(const std::string& database, session::Reason reason);
  bool kill_client(uint32_t id);
  void refuse_waiting();     // SHUTDOWN WAIT_FOR_SERVERS
  size_t newcomers() const;  // clients that log in, or came within the last second
  // Closes the clients that have no transaction open; with `everybody` the others, too. Returns how many are left.
  size_t drain(bool everybody);
  void dismiss_servers();  // Terminate to all of them
  size_t waiting_clients();
  // SUSPEND: these are not read any more once they are at rest. Returns how many are not yet; with `close_restless`
  // (suspend_timeout) it closes those.
  size_t freeze(session::Frozen who, bool close_restless);
  void thaw();  // RESUME after SUSPEND
  // The name's new addresses lack these: servers that were reached by them are closed when they are free.
  void leave_addresses(const std::string& name, const std::vector<net::Address>& vanished);
  // Gives up this worker's part of the pool, with its counters, if nobody takes part in it. False: somebody does.
  bool leave_pool(unsigned id);
  size_t obsolete_servers(const std::string& database) const;  // empty: of all
  size_t console_clients() const;

 private:
  Worker(unsigned number, const WorkerParts& parts, std::unique_ptr<net::Loop> loop);
  void run();
  void choose_sending();

  // net::Turn
  void after_batch() override;
  void on_tick(Micros now) override;

  void read_mail();
  void take(const NewClient& mail) { adopt(mail); }
  void take(TakeServer mail);
  void take(const WantServer& mail);
  void take(const SupplyChanged& mail);
  void take(const EvictIdle& mail);
  void take(const WelcomeNews& mail);
  void take(const LoginTroubleNews& mail);
  void take(const CancelAsk& mail);
  void take(CancelAnswer mail);
  void take(const NewSettings& mail);
  void take(const Order& mail);

  void drain_ready();
  void do_errand(session::Server& server);
  void offer_servers();
  void move_out(session::Server& server);
  void run_flow(session::Server& server, net::Task<void> task);
  void bury_dead();

  // upkeep (worker_upkeep.cpp)
  void look_after(session::LocalPool& pool, Micros now);
  void close_logins(session::LocalPool& pool, bool paused);
  void check_waiting(session::LocalPool& pool, Micros now);
  void check_active(session::LocalPool& pool, Micros now);
  void check_idle_clients(session::LocalPool& pool, Micros now);
  void keep_minimum(session::LocalPool& pool);
  bool evict_here(pool::SharedPool& wanted, pool::Limit limit);

  void close_unfit_for_suspend();  // worker_suspend.cpp

  // cancel requests (worker_cancel.cpp)
  session::Client* find_by_key(uint32_t pid, ByteView secret);
  bool start_cancel(session::Client& client, std::function<void(session::CancelOutcome)> done);
  void repeat_early_cancels();
  void answer_ticket(uint64_t number, session::CancelOutcome outcome);

  // A cancel request that came between a client's getting its server and its request's reaching it.
  struct EarlyCancel {
    uint32_t client_id;
    std::function<void(session::CancelOutcome)> done;
  };
  struct Ticket {
    std::shared_ptr<session::CancelTicket> state;
    unsigned answers_due = 0;
  };

  WorkerParts parts_;
  std::unique_ptr<net::Loop> loop_;
  relay::Relay relay_;
  session::ClosingHandler closing_;
  std::thread thread_;
  std::unordered_map<unsigned, std::unique_ptr<session::LocalPool>> pools_;  // by SharedPool::id
  auth::RandomPool random_;                                                  // for cancel keys, salts, nonces
  std::unordered_map<uint64_t, session::Client*> keys_;                      // by CancelKey, its first 8 bytes
  std::unordered_map<uint64_t, Ticket> tickets_;
  std::vector<std::unique_ptr<net::Spawned>> cancels_;  // cancel requests on their way to servers
  std::vector<EarlyCancel> early_cancels_;              // looked at again at the next tick
  uint64_t next_ticket_ = 1;
  unsigned ticks_ = 0;
};

}  // namespace pgweir::workers
