"""The journal: what entries hold, what `journalctl -x` makes of them, and that it holds nobody up."""

import json
import socket


def entries(box, *arguments):
    text = box.journal("-u", "pgweir.service", "-o", "json", "--all", *arguments)
    return [json.loads(line) for line in text.splitlines()]


def test_priorities_of_messages(machine):
    box = machine.box
    machine.configure(more="pool_mode = nonsense\n")
    box.run("systemctl", "reload", "pgweir.service", check=False)
    told = [entry for entry in entries(box, "-p", "err") if "nonsense" in entry["MESSAGE"]]
    # By the daemon, with fields, and by the command of ExecReload=, which systemctl has waited for.
    assert {entry["_TRANSPORT"] for entry in told} == {"journal", "stdout"}, told
    # The check before a start is another process: its complaints are errors, too, and not mere information.
    box.run("systemctl", "stop", "pgweir.service")
    box.run("systemctl", "start", "pgweir.service", check=False)
    box.run("systemctl", "stop", "pgweir.service")
    assert [entry for entry in entries(box, "-p", "err") if entry["MESSAGE"].startswith("ERROR: ") and "nonsense" in entry["MESSAGE"]]
    assert not [entry for entry in entries(box) if "nonsense" in entry["MESSAGE"] and entry["PRIORITY"] > "4"]


def test_fields_of_a_session(machine):
    box = machine.box
    backend = machine.query("SELECT pg_backend_pid()")
    machine.psql("SELECT 1", database="nonesuch", check=False)
    made = entries(box, "PGWEIR_KIND=server_connected", "PGWEIR_POOL=app/app")[-1]
    assert made["PGWEIR_DATABASE"] == "app" and made["PGWEIR_USER"] == "app"
    login = entries(box, "PGWEIR_KIND=login_attempt", "PGWEIR_DATABASE=app")[-1]
    assert login["PGWEIR_CLIENT_ADDR"] == "127.0.0.1" and login["PRIORITY"] == "6"
    left = entries(box, "PGWEIR_CLIENT_ID=" + login["PGWEIR_CLIENT_ID"])
    assert {"login_attempt", "client_terminate"} <= {entry["PGWEIR_KIND"] for entry in left}, left
    told = entries(box, "PGWEIR_SQLSTATE=08P01", "PGWEIR_KIND=pooler_error")[-1]
    assert "nonesuch" in told["MESSAGE"] and told["PGWEIR_REASON"] == "login_refused"
    # Fields and not lines: nothing was read from standard error, which systemd would mark so.
    assert {entry["_TRANSPORT"] for entry in entries(box, "PGWEIR_KIND=login_attempt")} == {"journal"}
    machine.sql("SELECT pg_terminate_backend(%s)" % backend)
    box.until("the server's end is told with its process", lambda: entries(box, "PGWEIR_SERVER_PID=" + backend))


def test_journalctl_explains_each_kind_of_entry(machine):
    box = machine.box
    machine.psql("SELECT 1", database="nonesuch", check=False)
    machine.configure(more="pool_mode = nonsense\n")
    box.run("systemctl", "reload", "pgweir.service", check=False)
    explained = box.journal("-u", "pgweir.service", "-x")
    assert "Subject: pgweir has refused a new configuration" in explained
    assert "Mend it and run: systemctl reload pgweir" in explained
    # Nothing that the daemon has said so far lacks its text.
    catalog = box.run("journalctl", "--dump-catalog").stdout
    ids = {entry["MESSAGE_ID"] for entry in entries(box) if entry.get("_COMM") == "pgweir" and "PGWEIR_KIND" in entry}
    assert len(ids) > 8
    assert [one for one in ids if one not in catalog] == []


def test_a_storm_is_summed_up(machine):
    box = machine.box
    for number in range(1500):
        refused_login(box, b"storm%d" % number)
    summed = box.until("the sum is told", lambda: entries(box, "PGWEIR_KIND=log_repeated"))[-1]
    assert int(summed["PGWEIR_REPEATED"]) > 0 and summed["PGWEIR_REPEATED_KIND"]


def test_a_journal_that_stalls_stops_nobody(machine):
    """Unit and journal share a socket of bounded length; who writes to it and waits, waits for ever."""
    box = machine.box
    pid = box.show("systemd-journald.service", "MainPID")
    box.run("kill", "-STOP", pid)
    try:
        # Each leaves log lines, together far more than the journal's socket holds.
        for number in range(1500):
            refused_login(box, b"stall%d" % number)
        assert machine.query("SELECT 'served'") == "served"
    finally:
        box.run("kill", "-CONT", pid)
    assert machine.query("SELECT 'still'") == "still"
    # What it had no room for is counted, and told when it takes entries again.
    assert box.until("the loss is told", lambda: machine.query("SELECT 1") and entries(box, "PGWEIR_KIND=log_lost"))


def refused_login(box, user):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(box.path("/run/pgweir/.s.PGSQL.6432"))
        startup = b"\0\3\0\0user\0" + user + b"\0database\0nonesuch\0\0"
        client.sendall((len(startup) + 4).to_bytes(4, "big") + startup)
        assert client.recv(1) in (b"R", b"E")
