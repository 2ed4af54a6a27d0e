# Sourced by quickstart and run-tests: Debian packages, installed only when missing. Needs root or sudo; no tty, no stdin.

BUILD_PACKAGES="g++ cmake ninja-build pkg-config ccache libevent-dev libc-ares-dev libssl-dev libiniparser-dev libsystemd-dev libpq-dev liburing-dev
  libpam0g-dev libldap-dev libncurses-dev"
DEMO_PACKAGES="postgresql-15 postgresql-client-15"
TEST_PACKAGES="git python3 python3-pytest python3-pytest-xdist python3-pytest-timeout python3-psycopg python3-psycopg2
  python3-asyncpg libpostgresql-jdbc-java libgtest-dev libgmock-dev clang libclang-rt-14-dev llvm clang-tidy
  clang-format openssl strace haproxy pgbouncer prometheus-pgbouncer-exporter procps systemd groff-base
  slapd ldap-utils libpam-wrapper libpam-modules prometheus tmux python3-yaml"
# What packaging/ and tests/system need: package builds and their checkers, trees of Debian, a booted systemd, an image.
PACKAGING_PACKAGES="git dpkg-dev debhelper fakeroot lintian rpm rpmlint gnupg apt-utils mmdebstrap systemd-container util-linux
  buildah man-db python3-yaml"
BENCH_PACKAGES="python3 pgbouncer haproxy openssl libbenchmark-dev"

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif [ -t 0 ]; then sudo "$@"
  else sudo -n "$@"
  fi
}

# install_packages NAME...: what dpkg does not know as installed.
install_packages() {
  local missing=() name
  for name in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  echo "installing: ${missing[*]}"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq </dev/null >/dev/null || true
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
    </dev/null >/dev/null || { echo "could not install: ${missing[*]}" >&2; return 1; }
}
