"""The journal: priorities of entries, and that it holds nobody up."""

import json
import socket


def entries(box, *arguments):
    text = box.journal("-u", "pgweir.service", "-o", "json", "--all", *arguments)
    return [json.loads(line) for line in text.splitlines()]


def test_priorities_of_messages(machine):
    box = machine.box
    machine.configure(more="pool_mode = nonsense\n")
    box.run("systemctl", "reload", "pgweir.service", check=False)
    assert any("nonsense" in entry["MESSAGE"] for entry in entries(box, "-p", "err"))


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


def refused_login(box, user):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(box.path("/run/pgweir/.s.PGSQL.6432"))
        startup = b"\0\3\0\0user\0" + user + b"\0database\0nonesuch\0\0"
        client.sendall((len(startup) + 4).to_bytes(4, "big") + startup)
        assert client.recv(1) in (b"R", b"E")
