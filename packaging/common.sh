# Sourced by the scripts of packaging/: where things go, the version, root's rights, a Debian tree. It builds nothing by
# itself. Whatever it downloads comes from the Debian sources that apt on this machine is configured with.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
. "$ROOT/.ci/packages.sh"

# The version in debian/changelog, "0.1.0-1", and the part of it that is ours, "0.1.0".
package_version() { sed -n '1s/^[^(]*(\([^)]*\)).*/\1/p' "$ROOT/debian/changelog"; }
upstream_version() { package_version | sed 's/-[^-]*$//'; }

# Copies what belongs to the source (tracked, or new and not ignored) to a folder that is made anew.
export_source() {
  local to=$1
  rm -rf "$to"
  mkdir -p "$to"
  if [ ! -e "$ROOT/.git" ]; then
    tar -C "$ROOT" --exclude=./build --create --file=- . | tar -x -C "$to"
    return
  fi
  (cd "$ROOT" && git ls-files -z --cached --others --exclude-standard \
    | while IFS= read -r -d '' name; do [ ! -e "$name" ] || printf '%s\0' "$name"; done \
    | tar --null --files-from=- --create --file=-) | tar -x -C "$to"
}

# The caller's compiler cache also where a package build hides the home folder.
use_ccache() {
  export CCACHE_DIR=${CCACHE_DIR:-${XDG_CACHE_HOME:-${HOME:-/var/tmp}/.cache}/ccache}
  mkdir -p "$CCACHE_DIR"
}

# One-line sources of this machine's own Debian, without what else may be configured.
debian_sources() {
  local key=/usr/share/keyrings/debian-archive-keyring.gpg option=
  [ ! -e $key ] || option="[signed-by=$key] "
  # shellcheck disable=SC2016
  apt-get indextargets --format "deb $option\$(REPO_URI) \$(RELEASE) \$(COMPONENT)" 'Created-By: Packages' 'Origin: Debian' \
    | sort -u
}

# debian_tree KIND PACKAGE...: prints the path of a root file system with these packages, in build/trees; makes it when
# missing. The name holds a sum of the list, so that another list is another tree. Trees that nobody has asked for in a week go.
debian_tree() {
  local kind=$1 folder suite sum tree
  shift
  folder=$ROOT/build/trees
  suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
  sum=$(echo "$suite $*" | sha256sum | cut -c1-12)
  tree=$folder/$kind-$sum
  mkdir -p "$folder"
  (
    flock 9
    if [ ! -e "$tree/.complete" ]; then
      as_root rm -rf --one-file-system "$tree" "$tree.new"
      debian_sources >"$tree.list"
      [ -s "$tree.list" ] || { echo "apt knows no Debian source" >&2; exit 1; }
      # How this machine's apt reaches its sources (proxy, old snapshots), for the time of making the tree.
      apt-config dump Acquire | grep -E '^Acquire::(Check-|https?::)' >"$tree.conf" || true
      as_root env -u TMPDIR mmdebstrap --quiet --mode=root --variant="${TREE_VARIANT:-apt}" --include="$(IFS=,; echo "$*")" \
        --aptopt="$tree.conf" --dpkgopt=force-unsafe-io --customize-hook='rm -f "$1"/etc/apt/apt.conf.d/99mmdebstrap' \
        "$suite" "$tree.new" "$tree.list" </dev/null >&2 || exit 1
      as_root mv "$tree.new" "$tree"
    fi
    as_root touch "$tree/.complete"
    find "$folder" -mindepth 2 -maxdepth 2 -name .complete -mtime +7 | while read -r old; do
      as_root rm -rf --one-file-system "$(dirname "$old")"
    done
  ) 9>"$folder/lock" || return 1
  echo "$tree"
}
