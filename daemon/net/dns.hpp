// Questions to name servers, by c-ares: what getaddrinfo cannot do, namely another resolv.conf and the serial number of
// a zone. Blocking, with an end (kLongestQuestion): for the resolver's threads. The configuration is read for each
// question, so a resolv.conf that changes holds from the next one. Knows no cache.
#pragma once

#include <string>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "net/resolver.hpp"

namespace pgweir::net {

inline constexpr Micros kLongestQuestion = 20 * kSecond;

// Addresses of both families without doubles, from /etc/hosts and the name servers of `resolv_conf` (a path; empty: the
// system's), in the order of /etc/nsswitch.conf; services of that file other than files and dns are not asked.
Lookup ask_dns(const std::string& name, const std::string& resolv_conf);

// The serial number in the zone's SOA record.
Result<uint32_t> ask_serial(const std::string& zone, const std::string& resolv_conf);

std::string dns_library_version();  // "c-ares 1.18.1"

}  // namespace pgweir::net
