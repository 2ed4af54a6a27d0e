"""Debian's prometheus-pgbouncer-exporter scrapes pgweir. It asks for columns by the names that PgBouncer had up to 1.7, so
that it stops at the first SHOW STATS of any later one; console_old_columns gives them to it."""

import re
import subprocess
import threading
import urllib.error
import urllib.request

import pytest

from harness import system
from harness.pgweir import IS_PGWEIR

pytestmark = pytest.mark.skipif(not IS_PGWEIR, reason="a setting of pgweir")
EXPORTER = "/usr/bin/prometheus-pgbouncer-exporter"


class Exporter:
    """One process, its log and its metrics."""

    def __init__(self, pw, *args):
        self.port = system.free_port()
        self.lines = []
        # A console user who is asked for no password: the exporter has no option for one.
        self.process = subprocess.Popen(
            [EXPORTER, "--host", "127.0.0.1", "--port", str(self.port), "--pgbouncer-host", pw.host, "--pgbouncer-port",
             str(pw.port), "--pgbouncer-user", "stats", *args],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=system.clean_environment(), text=True)
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stdout), daemon=True)
        self.reader.start()

    def page(self):
        with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % self.port, timeout=20) as answer:
            assert answer.status == 200
            return answer.read().decode()

    def up(self):
        if self.process.poll() is not None:
            self.reader.join(10)
            raise AssertionError("the exporter has ended:\n" + "".join(self.lines))
        try:
            return self.page()
        except (urllib.error.URLError, ConnectionError):
            return None

    def scrape(self):
        """{(family, labels as text): value}"""
        found = {}
        for line in self.page().split("\n"):
            match = re.fullmatch(r"(pgbouncer_\w+)(?:\{(.*)\})? (\S+)", line)
            if match:
                found[match.group(1), match.group(2) or ""] = float(match.group(3))
        return found

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)
        self.reader.join(10)


@pytest.fixture
def exporter():
    started = []

    def begin(*args):
        started.append(Exporter(*args))
        return started[-1]

    yield begin
    for one in started:
        one.stop()


def test_it_scrapes_without_an_error(start, exporter, db):
    pw = start(settings={"default_pool_size": 7, "reserve_pool_size": 3, "console_old_columns": 1})
    conn, idle = pw.connect(), pw.connect()
    for _ in range(5):
        conn.query("SELECT 1")
    one = exporter(pw)
    system.wait_for(one.up, 60, "the exporter's page")
    before = one.scrape()
    conn.query("BEGIN")
    got = one.scrape()
    of_test = 'database="test"'
    assert got["pgbouncer_requests_total", of_test] == before["pgbouncer_requests_total", of_test] + 1 == 6
    totals = next(row for row in pw.show("STATS") if row["database"] == "test")
    assert got["pgbouncer_received_bytes_total", of_test] == float(totals["total_received"]) > 0
    assert got["pgbouncer_sent_bytes_total", of_test] == float(totals["total_sent"]) > 0
    assert got["pgbouncer_query_microseconds_total", of_test] == float(totals["total_query_time"])
    assert got["pgbouncer_active_clients", 'database="test",user="app"'] == 2
    assert got["pgbouncer_waiting_clients", 'database="test",user="app"'] == 0
    at_server = 'database="%s"' % db  # the name at the server is this table's `database`
    assert got["pgbouncer_pool_size", at_server] == 7
    assert got["pgbouncer_reserve_pool", at_server] == 3
    assert got["pgbouncer_databases", ""] == 2 and got["pgbouncer_pools", ""] == 2  # the console's with it
    assert got["pgbouncer_used_servers", ""] == 1 and got["pgbouncer_used_clients", ""] == 3
    assert len({name for name, _ in got}) >= 15, got
    conn.query("COMMIT")
    idle.terminate()
    one.stop()
    log = "".join(one.lines)
    assert "Traceback" not in log and "Error" not in log, log
    assert not pw.logged("pooler error")


def test_the_old_columns_are_behind_all_others(start):
    pw = start(settings={"reserve_pool_size": 3})
    pw.connect().query("SELECT 1")
    plain = {topic: pw.admin("SHOW " + topic).columns for topic in ("STATS", "DATABASES")}
    assert not {"total_requests", "reserve_pool"} & set(plain["STATS"] + plain["DATABASES"])
    pw.admin("SET console_old_columns = 1")
    for topic, old, now in (("STATS", "total_requests", "total_query_count"), ("DATABASES", "reserve_pool", "reserve_pool_size")):
        seen = pw.admin("SHOW " + topic)
        assert seen.columns == [*plain[topic], old]
        rows = [row for row in seen.dicts() if row.get("database", row.get("name")) != "pgweir"]
        assert rows and all(row[old] == row[now] for row in seen.dicts())
        # Who describes a statement first gets what was described.
        assert pw.console().extended("SHOW " + topic).columns == plain[topic]
    assert any(row["reserve_pool"] == "3" for row in pw.show("DATABASES"))
    pw.admin("SET console_old_columns = 0")
    assert pw.admin("SHOW STATS").columns == plain["STATS"]
