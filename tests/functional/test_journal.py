"""Records in systemd's journal, into a socket that stands for it: fields, ids, a journal that does not read, a storm."""

import collections
import os
import re
import socket
import struct
import time

import pytest

from harness import system, wire
from harness.manager import Manager
from harness.pgweir import IS_PGWEIR, SLOW

pytestmark = pytest.mark.skipif(not IS_PGWEIR, reason="pgweir's own")


def fields_of(data):
    """journald's native protocol: NAME=value, or NAME, a length and a value with line feeds."""
    fields, at = {}, 0
    while at < len(data):
        end = data.index(b"\n", at)
        line = data[at:end]
        if b"=" in line:
            name, value = line.split(b"=", 1)
            at = end + 1
        else:
            size = struct.unpack("<Q", data[end + 1:end + 9])[0]
            name, value = line, data[end + 9:end + 9 + size]
            at = end + 9 + size + 1
        fields[name.decode()] = value.decode()
    return fields


class Journal:
    def __init__(self):
        self.path = system.make_directory("journal") + "/socket"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o777)
        self.seen = []

    def waiting(self):
        """The entries that lie there."""
        self.socket.settimeout(0)
        entries = []
        try:
            while True:
                entries.append(fields_of(self.socket.recv(1 << 20)))
        except BlockingIOError:
            return entries

    def expect(self, timeout=20, **wanted):
        """The next entry whose fields match these patterns (PGWEIR_ may be left out)."""
        deadline = time.monotonic() + timeout * SLOW
        while time.monotonic() < deadline:
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                entry = fields_of(self.socket.recv(1 << 20))
            except socket.timeout:
                break
            self.seen.append(entry)
            if all(re.fullmatch(pattern, entry.get(name, entry.get("PGWEIR_" + name, ""))) for name, pattern in wanted.items()):
                return entry
        raise AssertionError("no entry with %r in %r" % (wanted, self.seen))


def more_than_it_takes():
    """Connections, of which each brings two records, that fill the queue of a socket that nobody reads."""
    with open("/proc/sys/net/unix/max_dgram_qlen") as length:
        return int(length.read()) // 2 + 50


@pytest.fixture
def journal():
    one = Journal()
    yield one
    one.socket.close()


def begin(start, journal, **kwargs):
    return start(settings={"journal": journal.path, **kwargs.pop("settings", {})}, **kwargs)


def test_entries_of_a_life(start, journal):
    pw = begin(start, journal)
    up = journal.expect(KIND="process_up")
    assert up["PRIORITY"] == "6" and up["SYSLOG_IDENTIFIER"] == "pgweir" and len(up["MESSAGE_ID"]) == 32
    conn = pw.connect()
    login = journal.expect(KIND="login_attempt", CLIENT_ADDR="127.0.0.1", DATABASE=".*", USER="app")
    assert login["PGWEIR_CLIENT_PORT"] == str(conn.sock.getsockname()[1])
    conn.scalar("SELECT 1")
    backend = conn.scalar("SELECT pg_backend_pid()")
    made = journal.expect(KIND="server_connected", POOL="test/app", DATABASE="test")
    conn.query("BEGIN")
    pw.admin("KILL_CLIENT %s" % login["PGWEIR_CLIENT_ID"])
    told = journal.expect(KIND="pooler_error", SQLSTATE="08P01", REASON="admin_disconnect", CLIENT_ID=login["PGWEIR_CLIENT_ID"])
    assert told["PRIORITY"] == "4" and told["PGWEIR_SERVER_PID"] == backend
    assert told["PGWEIR_SERVER_ID"] == made["PGWEIR_SERVER_ID"]
    closed = journal.expect(KIND="admin_disconnect", MESSAGE=".*closing because: admin forced disconnect.*")
    assert closed["PGWEIR_REASON"] == "admin_disconnect" and closed["PGWEIR_POOL"] == "test/app"
    assert closed["MESSAGE_ID"] not in (login["MESSAGE_ID"], told["MESSAGE_ID"])


def test_standard_error_stays_as_it_was(start, journal):
    """A path is beside the lines, not instead of them."""
    pw = begin(start, journal)
    assert pw.logged(r"\[\d+\] LOG process up")


def test_a_name_with_a_line_feed_is_one_value(start, journal):
    pw = begin(start, journal)
    name = "x\nPRIORITY=0\nPGWEIR_USER=admin"
    raw = pw.raw()
    raw.send(wire.startup({"user": name, "database": "test"}))
    raw.closed()
    entry = journal.expect(KIND="login_refused|login_failed")
    assert entry["PRIORITY"] == "6" and entry["PGWEIR_USER"].replace("\t", "") == name


def test_a_journal_that_does_not_read_stops_nobody(start, journal):
    pw = begin(start, journal, settings={"log_connections": 1})
    begun = time.monotonic()
    for _ in range(more_than_it_takes()):
        pw.connect().close()
    assert time.monotonic() - begun < 60 * SLOW
    assert pw.connect().scalar("SELECT 1") == "1"
    entry = None
    for _ in range(3):  # what lies there, then what was lost
        try:
            entry = journal.expect(KIND="log_lost", MESSAGE=r"\d+ log lines were lost here.*", timeout=2)
            break
        except AssertionError:
            pw.connect().close()
    assert entry and entry["PRIORITY"] == "4"


def test_what_the_journal_does_not_take_is_told_to_systemd(start, journal):
    """Also when nobody logs anything more: by the status line while it lasts, by a record as soon as it is over."""
    manager = Manager()
    pw = begin(start, journal, environment={"NOTIFY_SOCKET": manager.path})
    manager.expect(r"STATUS=running: \d+ clients, .*")  # a slow start may have been too much for a short queue already
    for _ in range(more_than_it_takes()):
        pw.connect().close()
    said = manager.expect(r"STATUS=running: .* queries/s, \d+ log records lost", timeout=30)
    lost = int(said.split()[-4])
    entry = journal.expect(KIND="log_lost")
    assert int(entry["PGWEIR_LOST"]) >= lost > 0
    manager.expect(r"STATUS=running: .* queries/s", timeout=30)
    manager.socket.close()


def test_a_storm_of_connections_is_summed_up(start, journal):
    """A thousand records of a kind in ten seconds, and how many there were beyond them."""
    pw = begin(start, journal)
    kinds, sums, lost = collections.Counter(), collections.Counter(), 0

    def read():
        nonlocal lost
        for entry in journal.waiting():
            kinds[entry["PGWEIR_KIND"]] += 1
            lost += int(entry.get("PGWEIR_LOST", 0))
            if entry["PGWEIR_KIND"] == "log_repeated":
                sums[entry["PGWEIR_REPEATED_KIND"]] += int(entry["PGWEIR_REPEATED"])

    count, begun = 2500, time.monotonic()
    for _ in range(count):
        pw.connect().close()
        read()
    windows = 2 + int((time.monotonic() - begun) / 10)
    pw.stop()  # what is still held back is summed up
    read()
    assert kinds["login_attempt"] <= 1000 * windows
    # The queue of a socket may be as short as ten entries: a slow start, of whose progress nobody reads, can fill it.
    assert lost < 100 and count - lost <= kinds["login_attempt"] + sums["login_attempt"] <= count
    if windows == 2:
        assert sums["login_attempt"] >= count - 2000 - lost


def test_off_is_off(start, journal):
    pw = begin(start, journal)
    journal.expect(KIND="process_up")
    pw.admin("SET journal = 'off'")
    pw.wait_log("SET")
    while True:
        journal.socket.settimeout(0.2)
        try:
            journal.socket.recv(1 << 20)
        except socket.timeout:
            break
    pw.connect().scalar("SELECT 1")
    journal.socket.settimeout(0.5)
    with pytest.raises(socket.timeout):
        journal.socket.recv(1 << 20)
    assert "absolute path" in pw.admin("SET journal = 'relative'", check=False).notices[0]["M"]
