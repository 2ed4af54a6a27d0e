# Warnings, sanitizers, hardening. Warnings are errors: there is no build in which they are not looked at.
add_compile_options(-Wall -Wextra -Wpedantic -Werror -fno-strict-aliasing)
add_compile_options(-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)

# g++ 12 sees overlaps and uninitialized memory where there are none (its bugs 105329 and 105562), optimized builds only.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND (CMAKE_BUILD_TYPE STREQUAL "Release" OR PGWEIR_SANITIZE))
  add_compile_options(-Wno-restrict -Wno-maybe-uninitialized)
endif()

if(PGWEIR_SANITIZE)
  add_compile_options(-fsanitize=${PGWEIR_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${PGWEIR_SANITIZE})
  if(PGWEIR_SANITIZE MATCHES undefined)
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
endif()

if(CMAKE_BUILD_TYPE STREQUAL "Release")
  add_compile_options(-D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fcf-protection)
  add_link_options(-Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed)
  set(CMAKE_POSITION_INDEPENDENT_CODE ON)
  include(CheckPIESupported)
  check_pie_supported()
endif()

# ccache and mold make a second build quick; neither is needed. Paths inside the source tree do not count for the cache:
# the preset "release", the deb and the rpm are compiled with the same flags, in build folders equally deep, so that one
# of them compiles and the others find it done.
find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1)
  if(CMAKE_BUILD_TYPE STREQUAL "Release")
    # debhelper and rpmbuild set each its own, and the cache minds.
    list(APPEND CMAKE_CXX_COMPILER_LAUNCHER LANG=C.UTF-8 LC_ALL=C.UTF-8)
  endif()
  list(APPEND CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()
find_program(MOLD mold)
if(MOLD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT PGWEIR_SANITIZE)
  add_link_options(-fuse-ld=mold)
endif()
