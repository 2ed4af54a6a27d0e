#include "service/systemd.hpp"

#include <systemd/sd-daemon.h>

#include <sys/socket.h>

#include <cstdlib>

#include "base/text.hpp"

namespace pgweir::service {

void notify_ready() {
  sd_notify(0, "READY=1");
}

void notify_reloading() {
  sd_notify(0, cat("RELOADING=1\nMONOTONIC_USEC=", monotonic_now()).c_str());
}

void notify_stopping() {
  sd_notify(0, "STOPPING=1");
}

void notify_status(const std::string& text) {
  std::string line = text;
  for (char& c : line) {
    if (c == '\n') c = ' ';  // what follows would be a variable of its own
  }
  sd_notify(0, cat("STATUS=", line).c_str());
}

void notify_alive() {
  sd_notify(0, "WATCHDOG=1");
}

Micros watchdog_interval() {
  uint64_t interval = 0;
  return sd_watchdog_enabled(0, &interval) > 0 ? static_cast<Micros>(interval) : 0;
}

std::vector<int> passed_sockets() {
  std::vector<int> sockets;
  int count = sd_listen_fds(0);
  for (int at = 0; at < count; ++at) {
    int fd = SD_LISTEN_FDS_START + at;
    for (int family : {AF_UNIX, AF_INET, AF_INET6}) {
      if (sd_is_socket(fd, family, SOCK_STREAM, 1) > 0) sockets.push_back(fd);
    }
  }
  return sockets;
}

bool under_service_manager() {
  return std::getenv("NOTIFY_SOCKET") != nullptr;  // NOLINT(concurrency-mt-unsafe): nobody sets any
}

}  // namespace pgweir::service
