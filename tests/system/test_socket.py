"""Socket activation: who connects is served, whatever the service's state; the socket survives what the service does."""

import re
import subprocess

import pytest

from harness.machine import PASSWORD


def test_the_first_connection_starts_the_service_and_is_served(machine):
    box = machine.box
    box.run("systemctl", "stop", "pgweir.service")
    assert box.active("pgweir.service") == "inactive"
    assert box.active("pgweir.socket") == "active"
    assert machine.query("SELECT 'served'") == "served"
    assert box.active("pgweir.service") == "active"


def test_the_first_connection_over_the_unix_socket_and_ipv6(machine):
    for host in ("/run/pgweir", "::1"):
        machine.box.run("systemctl", "stop", "pgweir.service")
        assert machine.query("SELECT 'served'", host=host) == "served"


def test_without_the_socket_unit_the_daemon_listens_by_itself(machine):
    box = machine.box
    box.run("systemctl", "stop", "pgweir.service", "pgweir.socket")
    box.run("systemctl", "mask", "-q", "pgweir.socket")
    box.run("systemctl", "start", "pgweir.service")
    assert machine.query("SELECT 1") == "1"
    assert machine.query("SELECT 2", host="/run/pgweir") == "2"
    box.run("systemctl", "restart", "pgweir.service")
    assert machine.query("SELECT 3", host="/run/pgweir") == "3"


def test_the_socket_file_outlives_a_stop_and_a_restart(machine):
    """A runtime directory that goes with the service takes the socket's file along, and nothing brings it back."""
    box = machine.box
    for command in ("stop", "start", "restart", "stop"):
        box.run("systemctl", command, "pgweir.service")
        assert box.run("test", "-S", "/run/pgweir/.s.PGSQL.6432", check=False).returncode == 0, command
    assert machine.query("SELECT 1", host="/run/pgweir") == "1"


def test_a_restart_of_the_socket_unit_is_one_of_the_service_too(machine):
    """systemd starts no socket unit whose service runs: alone it would stay down, and its files would be gone."""
    box = machine.box
    pid = machine.main_pid()
    box.run("systemctl", "restart", "pgweir.socket")
    assert box.active("pgweir.socket") == "active"
    assert machine.query("SELECT 1") == "1"
    assert machine.query("SELECT 2", host="/run/pgweir") == "2"
    assert machine.main_pid() not in (0, pid)
    box.run("systemctl", "stop", "pgweir.socket")
    assert box.active("pgweir.service") == "inactive"
    assert ":6432" not in box.run("ss", "-Hltn").stdout
    assert box.run("systemctl", "--failed", "--no-legend").stdout == ""


def test_a_broken_configuration_does_not_take_the_socket_down(machine):
    """A start limit that is hit makes the socket unit fail, too: from then on clients are refused."""
    box = machine.box
    box.run("systemctl", "stop", "pgweir.service")
    good = box.read("/etc/pgweir/pgweir.ini")
    box.write("/etc/pgweir/pgweir.ini", good + "pool_mode = nonsense\n")
    waiting = box.start("env", "PGPASSWORD=x", "psql", "-h", "127.0.0.1", "-p", "6432", "-U", "app", "-d", "app", "-c",
                        "SELECT 1", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        box.until("several failed starts", lambda: int(box.show("pgweir.service", "NRestarts")) >= 7, 60)
        assert box.active("pgweir.socket") == "active", box.journal("-u", "pgweir.socket")
        assert "nonsense" in box.journal("-u", "pgweir.service")
        assert waiting.poll() is None, "the client was thrown out"
        box.write("/etc/pgweir/pgweir.ini", good)
        # Repaired: it comes back without anybody's help.
        assert machine.query("SELECT 'back'") == "back"
    finally:
        waiting.kill()
        waiting.wait()


def test_several_addresses_and_a_second_unit_with_another_name(machine):
    box = machine.box
    machine.drop_in("""\
        [Socket]
        ListenStream=127.0.0.1:7432
        ListenStream=/run/pgweir/other/.s.PGSQL.7432
        """, unit="pgweir.socket")
    box.write("/etc/systemd/system/pgweir-admin.socket", """\
[Socket]
FileDescriptorName=admin
Service=pgweir.service
ListenStream=127.0.0.1:8432
""")
    try:
        # As the manual says it for changed addresses, and for a unit more.
        box.run("systemctl", "restart", "pgweir.socket")
        assert machine.query("SELECT 7432", port=7432) == "7432"
        box.run("systemctl", "stop", "pgweir.socket")
        box.run("systemctl", "start", "pgweir-admin.socket", "pgweir.socket")
        for port in (6432, 7432, 8432):
            assert machine.query("SELECT %d" % port, port=port) == str(port)
        assert machine.query("SELECT 1", host="/run/pgweir/other", port=7432) == "1"
        # systemd gives them in no order of use: each is known by the name of its unit, and listened on where it is bound.
        told = box.journal("-u", "pgweir.service", "-o", "cat", "_PID=%d" % machine.main_pid(), "PGWEIR_KIND=socket_passed")
        names = sorted(re.findall(r"\(fd \d+, (\w+)\)", told))
        assert names == ["admin"] + ["pgweir"] * 5, told
    finally:
        box.sh("systemctl stop pgweir.service pgweir-admin.socket pgweir.socket; "
               "rm -f /etc/systemd/system/pgweir-admin.socket; systemctl daemon-reload")


def test_templates_run_two_poolers_beside_the_first(machine):
    box = machine.box
    for name, port in (("one", 6501), ("two", 6502)):
        machine.write_config(name, box.read("/etc/pgweir/pgweir.ini").replace(
            "unix_socket_dir = /run/pgweir", "unix_socket_dir = /run/pgweir/%s" % name) + "listen_port = %d\n" % port)
    try:
        box.run("systemctl", "start", "pgweir@one.socket")
        box.run("systemctl", "start", "pgweir@two.service")
        assert machine.query("SELECT 1", host="/run/pgweir/one") == "1"  # by its socket
        assert machine.query("SELECT 2", port=6502) == "2"  # by itself
        assert machine.query("SELECT 3") == "3"
        # Each has its own control socket: a reload reaches the one that is meant.
        box.write("/etc/pgweir/two.ini", "nonsense\n")
        assert box.run("systemctl", "reload", "pgweir@two.service", check=False).returncode != 0
        assert box.run("systemctl", "reload", "pgweir@one.service", check=False).returncode == 0
        box.run("systemctl", "stop", "pgweir@two.service")
        assert machine.query("SELECT 4", host="/run/pgweir/one") == "4"
    finally:
        box.sh("systemctl stop 'pgweir@*'; rm -f /etc/pgweir/one.ini /etc/pgweir/two.ini")


@pytest.mark.parametrize("name", ["SIGHUP", "SIGUSR1", "SIGUSR2"])
def test_a_signal_that_comes_before_the_daemon_has_begun_does_not_kill_it(machine, name):
    """These end a process that has not yet said what to do with them; `systemctl reload` may send one early. strace
    sends it while the daemon opens its configuration, the first thing that it does."""
    box = machine.box
    machine.write_config("early", box.read("/etc/pgweir/pgweir.ini").replace(
        "unix_socket_dir = /run/pgweir", "unix_socket_dir =") + "listen_port = 6999\n")
    try:
        daemon = box.start("setpriv", "--reuid", "pgweir", "--regid", "pgweir", "--init-groups", "strace", "-qq", "-o",
                           "/dev/null", "-P", "/etc/pgweir/early.ini", "-e", "inject=openat:signal=%s:when=1" % name,
                           "pgweir", "/etc/pgweir/early.ini", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                           stderr=subprocess.PIPE, text=True)
        try:
            box.until("it listens or has ended", lambda: daemon.poll() is not None or ":6999" in box.run("ss", "-Hltn").stdout)
            assert daemon.poll() is None, (daemon.returncode, daemon.stderr.read())
        finally:
            box.run("pkill", "-QUIT", "-f", "^pgweir /etc/pgweir/early.ini", check=False)
            daemon.wait(30)
    finally:
        box.sh("rm -f /etc/pgweir/early.ini")


def test_a_reload_right_behind_a_start_finds_the_daemon(machine):
    box = machine.box
    for _ in range(5):
        box.run("systemctl", "restart", "pgweir.service")
        assert box.run("systemctl", "reload", "pgweir.service", check=False).returncode == 0
    assert box.show("pgweir.service", "NRestarts") == "0"


def test_a_stop_before_the_daemon_runs_is_no_failure(machine):
    """KillSignal= goes to ExecStartPre='s process, too, which knows nothing of it."""
    box = machine.box
    box.run("systemctl", "stop", "pgweir.service")
    box.sh("rm -f /run/gate && mkfifo /run/gate")
    machine.drop_in("[Service]\nExecStartPre=/bin/cat /run/gate\n")
    box.run("systemctl", "start", "--no-block", "pgweir.service")
    box.until("it waits at the gate", lambda: box.run("pidof", "cat", check=False).stdout)
    box.run("systemctl", "stop", "pgweir.service")
    assert box.active("pgweir.service") == "inactive"
    assert box.show("pgweir.service", "Result") == "success"


def test_a_client_that_waits_in_the_queue_during_a_restart_is_served(machine):
    box = machine.box
    box.run("systemctl", "stop", "pgweir.service")
    # The service cannot start before all clients have come and lie in the socket's queue.
    box.sh("rm -f /run/gate && mkfifo /run/gate")
    machine.drop_in("[Service]\nExecStartPre=+/bin/cat /run/gate\n")
    clients = [box.start("env", "PGPASSWORD=" + PASSWORD, "psql", "-XAtqc", "SELECT 'ok'", "-h", "127.0.0.1", "-p", "6432",
                         "-U", "app", "-d", "app", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
               for _ in range(20)]

    def queued():
        sockets = [line.split() for line in box.run("ss", "-Hltn", "src", "127.0.0.1:6432").stdout.splitlines()]
        return [row for row in sockets if row[1] == "20"]

    box.until("20 clients are in the queue", queued)
    box.sh("echo go > /run/gate")
    assert [client.communicate(timeout=60)[0].strip() for client in clients] == ["ok"] * 20

