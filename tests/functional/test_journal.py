"""Records in systemd's journal, into a socket that stands for it: fields, ids, a journal that does not read, a storm."""

import os
import re
import signal
import socket
import struct
import time

import pytest

from harness import system, wire
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
    for number in range(300):
        conn = pw.connect()
        conn.close()
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


def test_a_credential_is_a_file_that_systemd_passes(start):
    directory = system.make_directory("credentials")
    pw = start(start=False)
    os.rename(pw.userlist_path, directory + "/userlist")
    with open(pw.ini_path) as ini:
        text = ini.read()
    system.write_file(pw.ini_path, re.sub(r"(?m)^auth_file *=.*$", "auth_file = credential:userlist", text))
    pw.environment = {"CREDENTIALS_DIRECTORY": directory}
    pw.start()
    assert pw.connect().scalar("SELECT 1") == "1"
    assert {r["key"]: r["value"] for r in pw.show("CONFIG")}["auth_file"] == directory + "/userlist"
    for value, phrase in (("credential:../x", "without /"), ("credential:", "without /")):
        assert phrase in pw.admin("SET auth_file = '%s'" % value, check=False).notices[0]["M"]
    pw.signal(signal.SIGTERM)


def test_a_credential_without_systemd_is_refused(start):
    from test_service import run
    pw = start(start=False)
    with open(pw.ini_path) as ini:
        text = ini.read()
    system.write_file(pw.ini_path, re.sub(r"(?m)^auth_file *=.*$", "auth_file = credential:userlist", text))
    done = run("--check-config", pw.ini_path)
    assert done.returncode == 1 and b"service manager has passed none" in done.stderr, done
