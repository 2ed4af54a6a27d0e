// What this build has been given (CMake's options PGWEIR_PAM and PGWEIR_LDAP). Who includes this is named in
// daemon/CMakeLists.txt, so that the options do not concern the compilation of the rest.
#pragma once

namespace pgweir {

#ifdef PGWEIR_PAM
inline constexpr bool kHasPam = true;
#else
inline constexpr bool kHasPam = false;
#endif

#ifdef PGWEIR_LDAP
inline constexpr bool kHasLdap = true;
#else
inline constexpr bool kHasLdap = false;
#endif

}  // namespace pgweir
