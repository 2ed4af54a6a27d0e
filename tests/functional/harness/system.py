"""Ports, users and temporary directories: what a test needs from the machine it runs on."""

import atexit
import contextlib
import os
import pwd
import random
import shutil
import socket
import tempfile
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))


def unprivileged():
    """The account that PostgreSQL and pgweir run under: ourselves, or `postgres` when we are root."""
    return pwd.getpwnam("postgres") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())


def popen_identity():
    """Keyword arguments for subprocess that become the unprivileged account when we are root."""
    if os.geteuid() != 0:
        return {}
    account = unprivileged()
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


@contextlib.contextmanager
def unprivileged_identity():
    """We are that account ourselves for a moment, as the peer of a unix socket sees us."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(unprivileged().pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)


def clean_environment():
    """Our environment without what would steer libpq or a daemon by accident."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("PG") and k != "NOTIFY_SOCKET"}
    env.update(HOME="/tmp", LC_ALL="C.UTF-8", TZ="UTC")
    return env


def make_directory(prefix):
    """A fresh directory that the unprivileged account owns. Short, because unix socket paths are short."""
    path = tempfile.mkdtemp(prefix="pgweir-%s-" % prefix, dir=os.environ.get("PGWEIR_TEST_TMP", "/tmp"))
    os.chmod(path, 0o755)
    give(path)
    if not os.environ.get("PGWEIR_TEST_KEEP"):
        atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def give(path):
    """Hands a path to the unprivileged account."""
    if os.geteuid() == 0:
        account = unprivileged()
        os.chown(path, account.pw_uid, account.pw_gid)


def write_file(path, text, mode=0o600):
    with open(path, "w", encoding="utf-8") as out:
        out.write(text)
    os.chmod(path, mode)
    give(path)


_reserved = []


def free_port():
    """A TCP port that nobody listens on. Taken below the ephemeral range, so that no outgoing connection grabs it, and
    held by an abstract unix socket of its number, so that test runs side by side do not choose the same one."""
    for _ in range(2000):
        port = random.randint(20000, 32000)
        mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            mark.bind("\0pgweir-port-%d" % port)
        except OSError:
            mark.close()
            continue
        if _bindable(port):
            _reserved.append(mark)
            return port
        mark.close()
    raise RuntimeError("no free port found")


def _bindable(port):
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        probe = socket.socket(family)
        try:
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((address, port))
        except OSError:
            return False
        finally:
            probe.close()
    return True


def wait_for(condition, timeout=20.0, what="condition", interval=0.01):
    """Calls `condition` until it is true and returns its value. For states that no event announces; the one place of
    the tests that sleeps (tests/layers sees to that)."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("not within %g s: %s" % (timeout, what))
        time.sleep(interval)


def descriptors(pid):
    """How many file descriptors the process holds."""
    return len(os.listdir("/proc/%d/fd" % pid))


def stopped(pid):
    """Whether the process has been stopped by a signal."""
    with open("/proc/%d/stat" % pid) as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] == "T"


def resident_kib(pid):
    with open("/proc/%d/status" % pid) as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    return 0


def cpu_seconds(pid):
    """What the process has used of processors so far, in user and system mode, by all its threads."""
    with open("/proc/%d/stat" % pid) as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def log_tail(lines, count=60):
    return "\n".join(lines[-count:])
