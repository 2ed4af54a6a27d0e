#include "workers/listeners.hpp"

#include <unistd.h>

#include <algorithm>

#include "base/text.hpp"

namespace pgweir::workers {

Result<void> Listeners::open(const settings::Global& global, const std::vector<PassedSocket>& passed) {
  port_ = static_cast<uint16_t>(global.listen_port);
  if (!passed.empty()) return adopt(passed, global);
  bool wanted = false;
  Result<void> tcp = open_tcp(global, &wanted);
  if (!tcp) return tcp;
  Result<void> local = open_unix(global);
  if (!local) return local;
  if (all_.empty()) return Error{"nowhere to listen on"};
  return {};
}

Result<void> Listeners::adopt(const std::vector<PassedSocket>& passed, const settings::Global& global) {
  for (const auto& [fd, name] : passed) {
    std::string which = cat("(fd ", fd, name.empty() ? "" : ", ", name, ")");
    log_.log(Event::kSocketPassed, cat("socket passed from service manager ", which));
    auto listener = net::Listener::adopt(loop_, fd, *this);
    if (!listener)
      return Error{cat("cannot use the socket passed from service manager ", which, ": ", listener.error().message)};
    add(listener.take());
  }
  if (!covers(global.listen_addr))
    log_.warning(Event::kListenIgnored, "sockets passed from service manager, listen_addr is ignored");
  return {};
}

// Whether each address of listen_addr is among those that we have anyhow.
bool Listeners::covers(const std::string& listen_addr) const {
  for (const std::string& item : split_names(listen_addr)) {
    auto addresses = net::resolve_listen(item, port_);
    if (!addresses) return false;
    for (const net::Address& address : *addresses) {
      const std::string wanted = address.text();
      bool found = std::any_of(all_.begin(), all_.end(), [&wanted](const auto& listener) {
        return !listener->address().is_unix() && listener->address().text() == wanted;
      });
      if (!found) return false;
    }
  }
  return true;
}

Result<void> Listeners::open_tcp(const settings::Global& global, bool* wanted) {
  net::ListenOptions options;
  options.backlog = static_cast<int>(global.listen_backlog);
  options.reuseport = global.so_reuseport;
  options.defer_accept = global.tcp_defer_accept;
  size_t opened = 0;
  for (const std::string& item : split_names(global.listen_addr)) {
    *wanted = true;
    auto addresses = net::resolve_listen(item, port_);
    if (!addresses) return addresses.error();
    for (const net::Address& address : *addresses) {
      auto listener = net::Listener::tcp(loop_, address, options, *this);
      if (!listener) {
        log_.warning(Event::kListenFailed, cat("cannot listen on ", address.text(), ": ", listener.error().message));
        continue;
      }
      ++opened;
      add(listener.take());
    }
  }
  if (*wanted && opened == 0)
    return Error{cat("failed to listen on any address in listen_addr list: ", global.listen_addr)};
  return {};
}

Result<void> Listeners::open_unix(const settings::Global& global) {
  if (global.unix_socket_dir.empty()) return {};
  std::string path = cat(global.unix_socket_dir, "/.s.PGSQL.", global.listen_port);
  if (::access(cat(path, ".lock").c_str(), F_OK) == 0)
    return Error{cat("unix port ", global.listen_port, " is in use")};
  net::UnixListenOptions options;
  options.backlog = static_cast<int>(global.listen_backlog);
  options.mode = static_cast<unsigned>(global.unix_socket_mode);
  options.group = global.unix_socket_group;
  auto listener = net::Listener::unix_socket(loop_, path, options, *this);
  if (!listener) return Error{cat("failed to create unix socket ", path, ": ", listener.error().message)};
  add(listener.take());
  return {};
}

void Listeners::add(std::unique_ptr<net::Listener> listener) {
  log_.log(Event::kListening, cat("listening on ", listener->address().text()));
  rows_.push_back({listener->fd(), listener->address()});
  all_.push_back(std::move(listener));
}

void Listeners::order(std::function<void(net::Listener&)> what) {
  fleet_.post(kAcceptingWorker, Order{[this, what = std::move(what)](Worker&) {
                for (auto& listener : all_)
                  what(*listener);
              }});
}

void Listeners::close_tcp() {
  std::erase_if(rows_, [](const Row& row) { return !row.address.is_unix(); });
  fleet_.post(kAcceptingWorker, Order{[this](Worker&) {
                std::erase_if(all_, [](const auto& listener) { return !listener->address().is_unix(); });
              }});
}

void Listeners::close_all() {
  rows_.clear();
  order([](net::Listener& listener) { listener.remove_file(); });
  fleet_.post(kAcceptingWorker, Order{[this](Worker&) { all_.clear(); }});
}

void Listeners::pause() {
  order([](net::Listener& listener) { listener.pause(); });
}

void Listeners::resume() {
  order([](net::Listener& listener) { listener.resume(); });
}

void Listeners::set_defer_accept(bool on) {
  order([on](net::Listener& listener) {
    if (!listener.address().is_unix()) listener.set_defer_accept(on);
  });
}

void Listeners::on_accept(int fd, net::Listener& listener) {
  const unsigned worker = fleet_.least_loaded();
  fleet_.clients(worker).fetch_add(1, std::memory_order_relaxed);
  NewClient client{fd, listener.last_peer(), port_};
  if (worker == kAcceptingWorker) return adopt_(client);
  fleet_.post(worker, std::move(client));
}

void Listeners::on_accept_failed(int error, net::Listener& listener) {
  log_.error(Event::kAcceptFailed, cat("accept() failed: ", errno_text(error), ", nobody is accepted on ",
                                       listener.address().text(), " for 5 seconds"));
}

}  // namespace pgweir::workers
