#!/bin/bash
# boot.sh NAME TREE SHARE: boots TREE as a container of systemd-nspawn, in a mount and cgroup name space of its own that
# the caller has made (unshare --mount --cgroup). Writes stay in memory; SHARE is seen as /mnt. Nothing of the host's
# init, cgroups or mounts is touched, but for the cgroup NAME, which box.py removes.
set -e
mount -t tmpfs tmpfs /run/systemd 2>/dev/null || { mkdir -p /run/systemd; mount -t tmpfs tmpfs /run/systemd; }
mkdir -p /run/systemd/nspawn
umount -R /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p "/sys/fs/cgroup/$1"
echo $$ >"/sys/fs/cgroup/$1/cgroup.procs"
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
ulimit -n "$(ulimit -Hn)"
# The capabilities and bpf: IPAddressDeny= of a unit works only with them.
exec systemd-nspawn -q -D "$2" --volatile=overlay --bind="$3":/mnt --boot --console=pipe --machine="$1" --register=no \
  --keep-unit --private-network --kill-signal=SIGRTMIN+3 --capability=CAP_BPF,CAP_NET_ADMIN,CAP_PERFMON \
  --system-call-filter=bpf
