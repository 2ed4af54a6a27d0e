// The listening sockets: opens what the settings name, or takes over what the service manager passed, and hands each
// accepted socket to the worker with the fewest clients. They live in the loop of the first worker, for which a new
// client costs no wake-up of another thread then; the Director opens them and gives the orders.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "net/listener.hpp"
#include "settings/snapshot.hpp"
#include "workers/director.hpp"
#include "workers/fleet.hpp"

namespace pgweir::workers {

class Listeners final : public net::AcceptHandler {
 public:
  // `loop`: the first worker's. `adopt`: takes a socket that is that worker's own; called in its thread.
  Listeners(net::Loop& loop, Fleet& fleet, Logger& log, std::function<void(const NewClient&)> adopt)
      : loop_(loop), fleet_(fleet), log_(log), adopt_(std::move(adopt)) {}

  // -- the Director's --
  // Before the first worker's thread starts. Error texts of compat/config_file.md, "Listening". A failing address is a
  // warning while another one works.
  Result<void> open(const settings::Global& global, const std::vector<PassedSocket>& passed);
  // Orders by mail: done before whatever is posted to the first worker later. Whoever was accepted until then is in a
  // worker's mailbox when the order has been done.
  void close_tcp();  // a shutdown that waits: only the unix sockets go on, for the console
  void close_all();
  void pause();
  void resume();
  void set_defer_accept(bool on);

  struct Row {  // for SHOW FDS
    int fd;
    net::Address address;
  };
  const std::vector<Row>& rows() const { return rows_; }

  // -- in the first worker's thread --
  void on_accept(int fd, net::Listener& listener) override;
  void on_accept_failed(int error, net::Listener& listener) override;

 private:
  Result<void> adopt(const std::vector<PassedSocket>& passed, const settings::Global& global);
  bool covers(const std::string& listen_addr) const;
  Result<void> open_tcp(const settings::Global& global, bool* wanted);
  Result<void> open_unix(const settings::Global& global);
  void add(std::unique_ptr<net::Listener> listener);
  void order(std::function<void(net::Listener&)> what);

  net::Loop& loop_;
  Fleet& fleet_;
  Logger& log_;
  const std::function<void(const NewClient&)> adopt_;
  uint16_t port_ = 0;
  std::vector<Row> rows_;                            // the Director's
  std::vector<std::unique_ptr<net::Listener>> all_;  // the first worker's, once its thread runs
};

}  // namespace pgweir::workers
