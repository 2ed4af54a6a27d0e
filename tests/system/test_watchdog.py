"""A worker that hangs is noticed, the daemon is killed, restarted and logged; nobody who connects is refused."""

import socket

# The control socket takes this order only with PGWEIR_TEST_ORDERS=1 in the daemon's environment.
SHORT = "[Service]\nWatchdogSec=2\nEnvironment=PGWEIR_TEST_ORDERS=1\n"


def order(box, text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
        control.settimeout(10)
        control.connect(box.path("/run/pgweir/control"))
        control.send(text.encode())
        return control.recv(4096).decode()


def test_a_hung_worker_is_killed_restarted_and_logged(machine):
    box = machine.box
    machine.drop_in(SHORT)
    machine.configure(more="workers = 3\n")
    box.run("systemctl", "restart", "pgweir.service")
    pid = machine.main_pid()
    assert order(box, "hang worker 1") == "ok"
    box.until("systemd has restarted it", lambda: box.show("pgweir.service", "NRestarts") == "1", 30)
    box.until("it is back", lambda: box.active("pgweir.service") == "active")
    assert machine.main_pid() != pid
    assert machine.query("SELECT 'back'") == "back"
    journal = box.journal("-u", "pgweir.service")
    assert "Watchdog timeout" in journal, journal
    # The daemon itself says which thread it was, before it dies.
    assert "worker 1" in journal, journal
    assert box.journal("-u", "pgweir.service", "PGWEIR_KIND=worker_silent")


def test_a_daemon_with_nothing_to_do_is_left_alone(machine):
    box = machine.box
    machine.drop_in(SHORT)
    box.run("systemctl", "restart", "pgweir.service")
    pid = machine.main_pid()
    fed = int(box.show("pgweir.service", "WatchdogTimestampMonotonic"))
    box.until("it has fed the watchdog for five intervals",
              lambda: int(box.show("pgweir.service", "WatchdogTimestampMonotonic")) > fed + 10_000_000, 40)
    assert machine.main_pid() == pid
    assert box.show("pgweir.service", "NRestarts") == "0"


def test_a_stopped_process_is_killed_too(machine):
    box = machine.box
    machine.drop_in(SHORT)
    box.run("systemctl", "restart", "pgweir.service")
    box.run("systemctl", "kill", "--kill-whom=main", "--signal=STOP", "pgweir.service")
    box.until("systemd has restarted it", lambda: box.show("pgweir.service", "NRestarts") == "1", 30)
    assert machine.query("SELECT 'back'") == "back"


def test_orders_that_hang_workers_are_not_taken_by_default(machine):
    assert order(machine.box, "hang worker 0").startswith("error")
    assert machine.query("SELECT 1") == "1"
