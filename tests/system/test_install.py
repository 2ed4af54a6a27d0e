"""apt install, what it leaves, remove and purge."""

import ctypes
import errno
import os
import re
import shutil

from harness.machine import LATER, PASSWORD, UPGRADE

DEBIAN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "debian")
UNITS = ["pgweir.service", "pgweir.socket", "pgweir@one.service", "pgweir@one.socket"]


def test_install_from_the_signed_repository_and_first_query(box):
    from harness.machine import Machine
    machine = Machine(box)
    machine.set_up_postgres()
    machine.install()
    # As apt has left it: both units run with the configuration of the package, enabled for the next boot.
    for unit in ("pgweir.socket", "pgweir.service"):
        assert box.active(unit) == "active", box.journal("-u", "pgweir.service")
        assert box.run("systemctl", "is-enabled", unit).stdout.strip() == "enabled"
    assert box.run("systemctl", "--failed", "--no-legend").stdout == ""
    machine.configure()
    box.run("systemctl", "restart", "pgweir.service")
    assert machine.query("SELECT 40 + 2") == "42"
    assert machine.query("SELECT current_user", host="/run/pgweir") == "app"
    assert box.run("pgweir", "--version").stdout.startswith("PgBouncer ")


def test_apt_refuses_a_repository_that_was_changed(box):
    box.sh("rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*; cp -r /mnt/repo /root/repo; "
           "sed 's,/mnt/repo,/root/repo,' /mnt/repo/pgweir.sources >/etc/apt/sources.list.d/pgweir.sources; "
           "chmod 755 /root")
    assert box.run("apt-get", "update", "--error-on=any", check=False).returncode == 0
    box.sh("sed -i 's/^Label: .*/Label: another/' /root/repo/dists/stable/InRelease")
    told = box.run("apt-get", "update", "--error-on=any", check=False)
    assert told.returncode != 0
    assert "BADSIG" in told.stderr + told.stdout


def test_account_directories_and_modes(machine):
    box = machine.box
    assert box.sh("getent passwd pgweir").stdout.split(":")[-1].strip() == "/usr/sbin/nologin"
    modes = dict(line.split(" ", 1) for line in box.sh(
        "stat -c '%n %a %U:%G' /etc/pgweir /run/pgweir /etc/pgweir/userlist.txt /etc/logrotate.d/pgweir").stdout.splitlines())
    assert modes["/etc/pgweir"] == "750 root:pgweir"
    assert modes["/run/pgweir"] == "755 pgweir:pgweir"
    assert modes["/etc/pgweir/userlist.txt"] == "640 root:pgweir"
    # Passwords may stand in the ini file; nobody else reads it.
    assert box.run("cat", "/etc/pgweir/pgweir.ini", user="nobody", check=False).returncode != 0


def test_units_hold_nothing_that_this_systemd_does_not_know(machine):
    for unit in UNITS:
        told = machine.box.run("systemd-analyze", "verify", "--man=no", unit)
        assert "pgweir" not in told.stderr, told.stderr


def test_sandbox_scores_1_2_or_better(machine):
    for unit in ("pgweir.service", "pgweir@one.service"):
        told = machine.box.run("systemd-analyze", "security", "--no-pager", unit, check=False).stdout
        score = float(re.search(r"exposure level for \S+: ([0-9.]+)", told).group(1))
        print(unit, score)
        assert score <= 1.2, told


def test_the_sandbox_is_really_around_the_process(machine):
    status = machine.box.read("/proc/%d/status" % machine.main_pid())
    assert re.search(r"^CapEff:\s*0+$", status, re.M)
    assert re.search(r"^CapBnd:\s*0+$", status, re.M)
    assert re.search(r"^NoNewPrivs:\s*1$", status, re.M)
    assert re.search(r"^Seccomp:\s*2$", status, re.M)
    uid = machine.box.run("id", "-u", "pgweir").stdout.strip()
    assert re.search(r"^Uid:\s*%s\s+%s\s" % (uid, uid), status, re.M)


def test_peer_authentication_works_inside_the_sandbox(machine):
    """With PrivateUsers= every client of a unix socket would be "nobody"."""
    box = machine.box
    box.write("/etc/pgweir/hba.conf", "local all all peer map=m\n")
    box.write("/etc/pgweir/ident.conf", "m postgres app\n")
    machine.write_config("pgweir", box.read("/etc/pgweir/pgweir.ini").replace(
        "auth_type = scram-sha-256", "auth_type = hba\nauth_hba_file = /etc/pgweir/hba.conf\n"
        "auth_ident_file = /etc/pgweir/ident.conf"))
    box.run("systemctl", "restart", "pgweir.service")
    login = ("psql", "-XAtqw", "-h", "/run/pgweir", "-p", "6432", "-U", "app", "-d", "app", "-c", "SELECT current_user")
    try:
        assert box.run(*login, user="postgres").stdout.strip() == "app"
        assert "unix socket login rejected" in box.run(*login, user="daemon", check=False).stderr
    finally:
        box.sh("rm -f /etc/pgweir/hba.conf /etc/pgweir/ident.conf")


def test_names_of_hosts_are_found_inside_the_sandbox(machine):
    """Without netlink, and with a /etc that is read-only."""
    machine.write_config("pgweir", machine.box.read("/etc/pgweir/pgweir.ini").replace("host=127.0.0.1", "host=localhost"))
    machine.box.run("systemctl", "restart", "pgweir.service")
    assert machine.query("SELECT 'found'") == "found"


def test_sends_leave_in_batches_inside_the_sandbox(machine):
    """As they do outside of it, on the same kernel: @aio of the unit's system calls holds io_uring."""
    box = machine.box
    machine.write_config("open", box.read("/etc/pgweir/pgweir.ini").replace(
        "unix_socket_dir = /run/pgweir", "unix_socket_dir =") + "listen_port = 6998\n")
    try:
        box.run("systemd-run", "-q", "--unit=open-pgweir", "-p", "User=pgweir", "/usr/sbin/pgweir", "/etc/pgweir/open.ini")
        box.until("the one without a sandbox listens", lambda: ":6998" in box.run("ss", "-Hltn").stdout)
        outside = batched(machine, 6998)
    finally:
        box.sh("systemctl stop open-pgweir; rm -f /etc/pgweir/open.ini")
    told = batched(machine, 6432)
    print("batched sends: %s, without the sandbox: %s" % (told, outside))
    assert told == outside
    assert told == {"yes"} or not io_uring_of_this_kernel(), "the kernel has io_uring, and the daemon does not use it"


def batched(machine, port):
    """The column batched_sends of SHOW WORKERS."""
    rows = machine.psql("SHOW WORKERS", user="admin", database="pgweir", port=port, shape="-XAqPfooter=off").stdout.splitlines()
    column = rows[0].split("|").index("batched_sends")
    return {row.split("|")[column] for row in rows[1:]}


def io_uring_of_this_kernel():
    """Whether io_uring_setup(2) is there and not forbidden to everybody: a bad address, and not ENOSYS or EPERM."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(425, 1, None)
    return ctypes.get_errno() == errno.EFAULT


def test_the_packages_own_tests_pass(box, share):
    """By autopkgtest itself, which installs what debian/tests/control wants. Its idea of a test bed that is kept for it
    alone is not met by "null", but by the box is."""
    from harness.machine import Machine
    Machine(box).add_repository()
    source = os.path.join(share, "source")
    shutil.copytree(DEBIAN, os.path.join(source, "debian"))
    told = box.run("autopkgtest", "--no-built-binaries", "--ignore-restrictions=isolation-container,breaks-testbed",
                   "--output-dir=/root/told", "/mnt/source", "--", "null", check=False, timeout=170)
    shutil.rmtree(source)
    with open(os.path.join(DEBIAN, "tests", "control")) as control:
        scripts = re.search(r"^Tests: (.*)$", control.read(), re.M).group(1).replace(",", " ").split()
    summary = box.read("/root/told/summary")
    print(summary)
    assert told.returncode == 0, told.stdout[-6000:] + told.stderr[-6000:]
    assert [line.split() for line in summary.splitlines()] == [[script, "PASS"] for script in scripts]


SEEN = ("find / -xdev \\( -path /proc -o -path /sys -o -path /mnt -o -path /tmp -o -path /var/cache -o -path /var/log/journal "
        "-o -path /var/lib/apt -o -path /var/lib/dpkg/info -o -path /root -o -path /var/lib/postgresql -o -path /dev "
        "-o -path /var/lib/systemd/catalog \\) -prune -o -print; find /run -path '*pgweir*'; getent passwd; getent group")


def test_remove_keeps_configuration_and_purge_leaves_nothing(box):
    from harness.machine import Machine
    machine = Machine(box)
    machine.set_up_postgres()
    machine.add_repository()
    box.run("apt-get", "install", "-y", "-q", "logrotate")
    before = set(box.sh(SEEN).stdout.splitlines())
    box.run("apt-get", "install", "-y", "-q", "pgweir")
    machine.configure(more="logfile = /var/log/pgweir/pgweir.log\n")
    machine.write_config("one", box.read("/etc/pgweir/pgweir.ini").replace("/run/pgweir", "/run/pgweir/one").replace(
        "/var/log/pgweir/", "/var/log/pgweir/one/"))
    box.sh("systemctl restart pgweir.service; systemctl enable -q --now pgweir@one.socket; logrotate -f /etc/logrotate.d/pgweir")
    assert machine.query("SELECT 1") == "1"
    assert machine.query("SELECT 2", host="/run/pgweir/one") == "2"

    box.run("apt-get", "remove", "-y", "-q", "pgweir")
    assert box.run("pidof", "pgweir", check=False).stdout == ""
    assert box.run("systemctl", "list-units", "--no-legend", "pgweir*").stdout == ""
    assert ":6432" not in box.run("ss", "-Hltn").stdout
    assert PASSWORD.split()[0] in box.read("/etc/pgweir/userlist.txt")

    box.run("apt-get", "purge", "-y", "-q", "pgweir")
    after = set(box.sh(SEEN).stdout.splitlines())
    left = sorted(line for line in after - before if "pgweir" in line)
    assert left == []
    assert box.run("systemctl", "--failed", "--no-legend").stdout == ""
    # Nor does anything that is left speak of it (but the copies of the account files' last version, and apt's source).
    named = box.sh("grep -rl pgweir /etc /var/lib/systemd /usr/lib/systemd 2>/dev/null || true").stdout.splitlines()
    assert [name for name in named if not re.fullmatch(r"/etc/(g?shadow-|passwd-|group-|apt/.*)|.*/catalog/database", name)] == []

    # And again, as on a new machine.
    box.run("apt-get", "install", "-y", "-q", "pgweir")
    machine.configure()
    box.run("systemctl", "restart", "pgweir.service")
    assert machine.query("SELECT 1") == "1"


def test_configuration_that_was_changed_survives_a_new_version(fresh_machine):
    """And the instances that run go over to it, too."""
    box = fresh_machine.box
    box.sh("echo '; mine' >>/etc/pgweir/pgweir.ini")
    fresh_machine.write_config("one", box.read("/etc/pgweir/pgweir.ini").replace("/run/pgweir", "/run/pgweir/one") +
                               "listen_port = 6501\n")
    box.run("systemctl", "start", "pgweir@one.service")
    instance = fresh_machine.main_pid("pgweir@one.service")
    fresh_machine.add_repository("newer")
    told = box.run(*UPGRADE)
    assert fresh_machine.version().endswith("+later"), told.stdout
    # The new version's own lies beside it; what nobody has touched is the new version's.
    assert box.read("/etc/pgweir/pgweir.ini.dpkg-dist").endswith(LATER)
    assert box.read("/etc/pgweir/pgweir_hba.conf").endswith(LATER)
    assert box.read("/etc/pgweir/pgweir.ini").endswith("; mine\n")
    assert fresh_machine.query("SELECT 1") == "1"
    assert fresh_machine.main_pid("pgweir@one.service") not in (0, instance)
    assert fresh_machine.query("SELECT 2", port=6501) == "2"
    assert box.show("pgweir@two.service", "ActiveState") == "inactive"
