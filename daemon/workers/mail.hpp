// What workers tell each other, and the Director them: a few small typed events through one mailbox a worker. The only
// shared memory of two loops beside the books; what was written before `post` is seen by the receiver.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/mutex.hpp"
#include "net/address.hpp"
#include "net/tls.hpp"
#include "net/wakeup.hpp"
#include "pool/pool.hpp"
#include "session/hub.hpp"

namespace pgweir::workers {

class Worker;

// An accepted socket.
struct NewClient {
  int fd;
  net::Address peer;
  uint16_t listen_port;
};
// A server for somebody who waits here.
struct TakeServer {
  std::unique_ptr<session::Server> server;
};
// A worker has waiters and no server: who has an idle one offers it.
struct WantServer {
  std::shared_ptr<pool::SharedPool> pool;
};
// A slot became free: those who wait in this pool (null: in any) may launch.
struct SupplyChanged {
  std::shared_ptr<pool::SharedPool> pool;
};
// Close the longest idle server that counts against this limit of `pool` (another pool's server).
struct EvictIdle {
  std::shared_ptr<pool::SharedPool> pool;
  pool::Limit limit;
};
struct WelcomeNews {
  std::shared_ptr<pool::SharedPool> pool;
};
struct LoginTroubleNews {
  std::shared_ptr<pool::SharedPool> pool;
  bool tell;
};
struct CancelAsk {
  uint32_t pid;
  std::string secret;
  unsigned from;
  uint64_t ticket;
};
struct CancelAnswer {
  uint64_t ticket;
  session::CancelOutcome outcome;
};
// A reload or SET.
struct NewSettings {
  pool::SnapshotPtr snapshot;
  std::shared_ptr<const net::TlsContext> client_tls;
  std::shared_ptr<const net::TlsContext> server_tls;
};
// Something rare that the Director wants done on this worker's thread (console jobs, KILL, the end).
struct Order {
  std::function<void(Worker&)> what;
};

using Mail = std::variant<NewClient, TakeServer, WantServer, SupplyChanged, EvictIdle, WelcomeNews, LoginTroubleNews,
                          CancelAsk, CancelAnswer, NewSettings, Order>;

class Mailbox {
 public:
  // Thread safe. Mail posted after close() is dropped (a server in it closes).
  void post(Mail mail);
  // By the owner, in its thread. `ring` wakes the owner's loop.
  void open(std::unique_ptr<net::Wakeup> bell);
  std::vector<Mail> collect();
  void close();

 private:
  Mutex mutex_;
  std::vector<Mail> mail_;
  std::unique_ptr<net::Wakeup> bell_;
  bool closed_ = false;
};

}  // namespace pgweir::workers
