// Exact comparison of certificate names.
#include "auth/names.hpp"

#include <algorithm>

namespace pgweir::auth {

bool name_matches(ByteView certificate_name, ByteView login) {
  return !login.empty() && certificate_name == login && certificate_name.find('\0') == ByteView::npos;
}

bool certificate_matches(const CertificateNames& names, ByteView login) {
  return name_matches(names.common_name, login) ||
         std::any_of(names.dns.begin(), names.dns.end(), [&](ByteView name) { return name_matches(name, login); });
}

}  // namespace pgweir::auth
