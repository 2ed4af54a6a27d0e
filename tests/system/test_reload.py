"""systemctl reload: done when it returns, and truthful. A stop lets transactions end."""

import subprocess

from harness.machine import PASSWORD


def test_a_good_reload_has_happened_when_systemctl_returns(machine):
    box = machine.box
    pid = machine.main_pid()
    for size in (7, 8, 9):
        machine.configure(more="default_pool_size = %d\n" % size)
        box.run("systemctl", "reload", "pgweir.service")
        shown = dict(line.split("|")[:2] for line in machine.console("SHOW CONFIG").splitlines())
        assert shown["default_pool_size"] == str(size)
    assert machine.main_pid() == pid


def test_a_wrong_configuration_fails_the_reload_and_changes_nothing(machine):
    box = machine.box
    pid = machine.main_pid()
    machine.configure(more="default_pool_size = 7\n")
    box.run("systemctl", "reload", "pgweir.service")
    machine.configure(more="default_pool_size = 8\npool_mode = nonsense\n")
    told = box.run("systemctl", "reload", "pgweir.service", check=False)
    assert told.returncode != 0
    journal = box.journal("-u", "pgweir.service", "-n", "30")
    assert "nonsense" in journal and "/etc/pgweir/pgweir.ini" in journal, journal
    assert box.active("pgweir.service") == "active"
    assert machine.main_pid() == pid
    shown = dict(line.split("|")[:2] for line in machine.console("SHOW CONFIG").splitlines())
    assert shown["default_pool_size"] == "7"
    assert machine.query("SELECT 1") == "1"
    # And the way back.
    machine.configure(more="default_pool_size = 8\n")
    box.run("systemctl", "reload", "pgweir.service")


def test_a_userlist_that_cannot_be_read_fails_the_reload(machine):
    box = machine.box
    box.run("chmod", "600", "/etc/pgweir/userlist.txt")
    assert box.run("systemctl", "reload", "pgweir.service", check=False).returncode != 0
    assert machine.query("SELECT 1") == "1"
    box.run("chmod", "640", "/etc/pgweir/userlist.txt")
    box.run("systemctl", "reload", "pgweir.service")


def test_a_wrong_configuration_fails_a_start_with_its_reason(machine):
    box = machine.box
    box.run("systemctl", "stop", "pgweir.service")
    machine.configure(more="pool_mode = nonsense\n")
    assert box.run("systemctl", "start", "pgweir.service", check=False).returncode != 0
    assert "nonsense" in box.journal("-u", "pgweir.service", "-n", "30")
    box.run("systemctl", "stop", "pgweir.service")


def test_status_shows_live_figures(machine):
    box = machine.box
    assert machine.query("SELECT 1") == "1"  # leaves one server behind
    told = box.until("the status counts the server", lambda: (lambda text: "1 server" in text and text)(
        box.show("pgweir.service", "StatusText")), 30)
    for word in ("client", "server", "waiting", "quer"):
        assert word in told, told
    assert told in box.run("systemctl", "status", "pgweir.service").stdout


def test_a_stop_waits_for_a_transaction_longer_than_systemd_would(machine):
    """The drain asks for more time (EXTEND_TIMEOUT_USEC); what has been begun ends well."""
    box = machine.box
    machine.drop_in("[Service]\nTimeoutStopSec=2\n")
    box.run("systemctl", "restart", "pgweir.service")
    client = box.start("env", "PGPASSWORD=" + PASSWORD, "psql", "-XAtq", "-h", "127.0.0.1", "-p", "6432", "-U", "app",
                       "-d", "app", "-c", "SELECT 'slept' FROM pg_sleep(6)", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        box.until("its query runs", lambda: machine.sql(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep(6)'").stdout.strip() == "1")
        box.run("systemctl", "stop", "pgweir.service")
        assert client.communicate(timeout=30)[0].strip() == "slept"
        assert box.show("pgweir.service", "Result") == "success"
    finally:
        client.kill()
        client.wait()
