// What a certificate says about who its owner is. Internal to net/ (it shows OpenSSL).
#pragma once

#include <openssl/x509.h>

#include <string>
#include <vector>

namespace pgweir::net {

// `name` (a host name or an IP address) against the subjectAltName DNS or IP entries, and only without such entries
// against the Common Name. Case-insensitive; a wildcard is the whole leftmost label. Names holding a NUL match nothing.
bool certificate_matches(X509* certificate, const std::string& name);

// The first Common Name; "" when there is none or it holds a NUL.
std::string certificate_common_name(X509* certificate);

// The DNS entries of subjectAltName, those holding a NUL left out.
std::vector<std::string> certificate_dns_names(X509* certificate);

// The whole subject on one line (RFC 2253), for the log.
std::string certificate_subject(X509* certificate);

}  // namespace pgweir::net
