// What passes between us and systemd: readiness, status, watchdog, sockets. The only place with its headers. Without a
// service manager everything here does nothing.
#pragma once

#include <string>
#include <vector>

#include "base/clock.hpp"

namespace pgweir::service {

void notify_ready();
void notify_reloading();  // with MONOTONIC_USEC, as Type=notify-reload wants it
void notify_stopping();
void notify_status(const std::string& text);
void notify_alive();                // WATCHDOG=1
Micros watchdog_interval();         // 0: none
std::vector<int> passed_sockets();  // of socket activation
bool under_service_manager();

}  // namespace pgweir::service
