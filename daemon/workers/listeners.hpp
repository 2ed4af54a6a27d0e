// The Director's listening sockets: opens what the settings name, or takes over what the service manager passed, and
// hands each accepted socket to the worker with the fewest clients.
#pragma once

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
  Listeners(net::Loop& loop, Fleet& fleet, Logger& log) : loop_(loop), fleet_(fleet), log_(log) {}

  // Error texts of compat/config_file.md, "Listening". A failing address is a warning while another one works.
  Result<void> open(const settings::Global& global, const std::vector<PassedSocket>& passed);
  void close_tcp();  // a shutdown that waits: only the unix sockets go on, for the console
  void close_all();
  void pause();
  void resume();
  void set_defer_accept(bool on);
  size_t size() const { return all_.size(); }

  struct Row {  // for SHOW FDS
    int fd;
    net::Address address;
  };
  std::vector<Row> rows() const;

  void on_accept(int fd, net::Listener& listener) override;
  void on_accept_failed(int error, net::Listener& listener) override;

 private:
  Result<void> adopt(const std::vector<PassedSocket>& passed, const settings::Global& global);
  bool covers(const std::string& listen_addr) const;
  Result<void> open_tcp(const settings::Global& global, bool* wanted);
  Result<void> open_unix(const settings::Global& global);
  void add(std::unique_ptr<net::Listener> listener);

  net::Loop& loop_;
  Fleet& fleet_;
  Logger& log_;
  uint16_t port_ = 0;
  std::vector<std::unique_ptr<net::Listener>> all_;
};

}  // namespace pgweir::workers
