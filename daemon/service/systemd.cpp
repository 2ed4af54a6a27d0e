#include "service/systemd.hpp"

#include <systemd/sd-daemon.h>

#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

#include "base/text.hpp"

namespace pgweir::service {

namespace {

// What follows a newline would be a variable of its own.
std::string one_line(std::string text) {
  for (char& c : text) {
    if (c == '\n') c = ' ';
  }
  return text;
}

}  // namespace

void notify_ready() {
  sd_notify(0, "READY=1");
}

void notify_reloading() {
  sd_notify(0, cat("RELOADING=1\nMONOTONIC_USEC=", monotonic_now()).c_str());
}

void notify_stopping() {
  sd_notify(0, "STOPPING=1");
}

void notify_extend(Micros time) {
  sd_notify(0, cat("EXTEND_TIMEOUT_USEC=", time).c_str());
}

void notify_status(const std::string& text) {
  sd_notify(0, cat("STATUS=", one_line(text)).c_str());
}

void notify_failed(const std::string& why, int code) {
  std::string number = code > 0 ? cat("\nERRNO=", code) : std::string();
  sd_notify(0, cat("STATUS=", one_line(why), number).c_str());
}

void notify_alive() {
  sd_notify(0, "WATCHDOG=1");
}

Micros watchdog_interval() {
  uint64_t interval = 0;
  return sd_watchdog_enabled(0, &interval) > 0 ? static_cast<Micros>(interval) : 0;
}

std::vector<workers::PassedSocket> passed_sockets(std::vector<std::string>* unusable) {
  std::vector<workers::PassedSocket> sockets;
  char** names = nullptr;
  int count = sd_listen_fds_with_names(0, &names);
  for (int at = 0; at < count; ++at) {
    const int fd = SD_LISTEN_FDS_START + at;
    const std::string_view given = names ? names[at] : "";
    const std::string name(given == "unknown" ? "" : given);  // libsystemd's word for none
    bool good = false;
    for (int family : {AF_UNIX, AF_INET, AF_INET6})
      good = good || sd_is_socket(fd, family, SOCK_STREAM, 1) > 0;
    if (good) {
      sockets.push_back({fd, name});
      continue;
    }
    unusable->push_back(cat("descriptor ", fd, " (", name, ") from the service manager is no listening stream socket"));
    ::close(fd);
  }
  for (int at = 0; names && at < count; ++at)
    std::free(names[at]);  // NOLINT: libsystemd's malloc
  std::free(names);        // NOLINT
  return sockets;
}

bool under_service_manager() {
  return std::getenv("NOTIFY_SOCKET") != nullptr;  // NOLINT(concurrency-mt-unsafe): nobody sets any
}

}  // namespace pgweir::service
