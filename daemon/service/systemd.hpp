// What passes between us and systemd: readiness, status, watchdog, sockets. The only place with its headers. Without a
// service manager everything here does nothing.
#pragma once

#include <string>
#include <vector>

#include "base/clock.hpp"
#include "workers/director.hpp"

namespace pgweir::service {

void notify_ready();
void notify_reloading();  // with MONOTONIC_USEC, as Type=notify-reload wants it
void notify_stopping();
void notify_extend(Micros time);                       // EXTEND_TIMEOUT_USEC: do not kill us for that long
void notify_failed(const std::string& why, int code);  // STATUS and, unless 0, ERRNO (of errno), before an exit
void notify_status(const std::string& text);
void notify_alive();         // WATCHDOG=1
Micros watchdog_interval();  // 0: none
// Of socket activation, each with the name that its unit gives it. What is passed but cannot be listened on is closed;
// `unusable` gets a text about each.
std::vector<workers::PassedSocket> passed_sockets(std::vector<std::string>* unusable);
bool under_service_manager();

}  // namespace pgweir::service
