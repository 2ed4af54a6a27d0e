"""The console: rights, grammar, columns, commands, both protocols."""

import csv
import os
import re
import struct

import pytest

from harness import system, wire
from harness.pgweir import CONSOLE, IS_PGWEIR

COMPAT = os.path.join(system.ROOT, "tests", "compat")


def columns_of_the_reference():
    """{topic: [(column, type oid, typlen), ...]} from show_columns.tsv; rows marked post: are of the next release."""
    table = {}
    with open(os.path.join(COMPAT, "show_columns.tsv"), newline="") as rows:
        for row in csv.DictReader(rows, delimiter="\t", quoting=csv.QUOTE_NONE):
            topic = row["command"].replace("SHOW ", "", 1)
            if row["position"] == "0":
                continue
            table.setdefault(topic, []).append((row["column"], int(row["type_oid"]), int(row["typlen"]),
                                                row["position"].startswith("post:")))
    return table


COLUMNS = columns_of_the_reference()


# Columns.


@pytest.mark.parametrize("topic", sorted(COLUMNS))
def test_columns(start, topic):
    pw = start(databases=None)
    pw.connect().scalar("SELECT 1")
    result = pw.admin("SHOW " + topic)
    got = [(name, *kind) for name, kind in zip(result.columns, result.column_types)]
    expected = [tuple(c[:3]) for c in COLUMNS[topic]]
    assert got == expected
    assert result.tags == ["SHOW"]


def test_row_description_details(start):
    conn = start().console()
    conn.send(wire.query("SHOW POOLS"))
    body = conn.read().body
    (count,) = struct.unpack_from("!h", body)
    at = 2
    for _ in range(count):
        end = body.index(b"\0", at)
        table, attribute, _oid, _len, typmod, fmt = struct.unpack_from("!ihihih", body, end + 1)
        assert (table, attribute, typmod, fmt) == (0, 0, -1, 0)
        at = end + 19
    assert at == len(body)


# Rights: the matrix of commands and users is in test_rights.py.


def test_name_lists(start):
    pw = start(settings={"admin_users": "admin, app2", "stats_users": "stats\tapp  md5user"})
    for user in ("admin", "app2", "stats", "app", "md5user"):
        assert pw.console(user).query("SHOW VERSION").rows
    assert "not allowed" in pw.refused("plainuser", CONSOLE).message
    for user in ("Admin", "adm"):  # nobody knows them
        assert "authentication failed" in pw.refused(user, CONSOLE, "secret").message


def test_console_needs_its_password(start):
    pw = start(settings={"auth_type": "scram-sha-256"})
    assert pw.console().query("SHOW VERSION").rows
    assert "SASL authentication failed" in pw.refused("admin", CONSOLE, "wrong").message


# Welcome, both names.


def test_welcome(start):
    conn = start().console()
    assert conn.params["server_version"].endswith("/bouncer") or not IS_PGWEIR
    for name, value in (("client_encoding", "UTF8"), ("server_encoding", "UTF8"), ("DateStyle", "ISO"), ("TimeZone", "GMT"),
                        ("standard_conforming_strings", "on"), ("is_superuser", "on")):
        assert conn.params[name] == value
    assert conn.key


def test_both_database_names(start):
    pw = start()
    for name in {"pgbouncer", CONSOLE}:
        assert pw.connect("admin", name).query("SHOW VERSION").rows


def test_reserved_names(start):
    pw = start()
    for command in ("PAUSE", "KILL", "RECONNECT", "DISABLE"):
        assert "admin db" in pw.admin("%s %s" % (command, CONSOLE), check=False).error.message


# Grammar.


@pytest.mark.parametrize("text", ["show pools", "SHOW POOLS;", "  SHOW\t\r\n POOLS ; ", "Show \"POOLS\"", "SELECT POOLS", "select pools;"])
def test_accepted(start, text):
    assert start().admin(text).columns[0] == "database"


@pytest.mark.parametrize("text", ["", ";", "SHOW", "SHOW NOTHING", "SHOW POOLS; SHOW POOLS", "SHOW POOLS;;", "SELECT 1", "BEGIN",
                                  "SHOW search_path", "FROBNICATE", "SHOW POOLS -- x", "PAUSE a b", "SHUTDOWN nonsense",
                                  "RELOAD x", "SUSPEND x", "SET", "SET x", "SHOW \"POOLS", "DROP TABLE x"])
def test_refused(start, text):
    console = start().console()
    error = console.query(text, check=False).error
    assert (error.severity, error.sqlstate) == ("ERROR", "08P01")
    assert error.message == "invalid command '%s', use SHOW HELP;" % text
    assert console.query("SHOW VERSION").rows


def test_long_arguments(start):
    console = start().console()
    for text in ("X" * 16, "PAUSE " + "x" * 64, "SET %s = 1" % ("k" * 64), "SET a = '%s'" % ("v" * 256)):
        error = console.query(text, check=False).error
        assert "bad arguments" in error.message or "invalid command" in error.message
    assert console.query("X" * 3000, check=False).error.sqlstate == "08P01"
    assert console.query("SHOW VERSION").rows


def test_fake_parameters(start):
    for user in ("admin", "stats"):
        console = start().console(user)
        for name, value in (("client_encoding", "UTF-8"), ("default_transaction_isolation", "read committed"),
                            ("standard_conforming_strings", "on"), ("datestyle", "ISO"), ("timezone", "GMT")):
            result = console.query("SHOW " + name)
            assert result.columns == [name] and result.rows == [[value]]
        result = console.query("SET client_encoding = 'utf8'")
        assert result.tags == ["SET"] and result.notices[0]["M"] == "SET ignored"


def test_help(start):
    result = start().admin("SHOW HELP")
    notice = result.notices[0]
    assert result.tags == ["SHOW"] and notice["M"] == "Console usage"
    for word in ("SHOW", "PAUSE", "RESUME", "KILL", "KILL_CLIENT", "RECONNECT", "RELOAD", "SHUTDOWN", "SET"):
        assert word in notice["D"]


# Both protocols.


def test_extended_protocol(start):
    """Drivers and exporters use it; the reference refuses it."""
    console = start().console()
    console.send(wire.parse("SHOW POOLS"), wire.describe("S"), wire.bind(), wire.describe("P"), wire.execute(), wire.sync())
    got = console.read_until("Z")
    kinds = "".join(m.type for m in got)
    assert re.fullmatch(r"1tT2TD+CZ", kinds), kinds
    assert [c[0] for c in wire.parse_columns(got[2].body)] == [c[0] for c in COLUMNS["POOLS"]]


def test_extended_protocol_named_and_repeated(start):
    console = start().console()
    console.send(wire.parse("SHOW VERSION", "s"), wire.sync())
    assert "".join(m.type for m in console.read_until("Z")) == "1Z"
    for _ in range(3):
        console.send(wire.bind(statement="s", portal="p"), wire.execute("p"), wire.close("P", "p"), wire.sync())
        assert "".join(m.type for m in console.read_until("Z")) == "2DC3Z"
    console.send(wire.close("S", "s"), wire.sync())
    assert "".join(m.type for m in console.read_until("Z")) == "3Z"
    console.send(wire.bind(statement="s"), wire.sync())
    assert "".join(m.type for m in console.read_until("Z")) == "EZ"


def test_extended_protocol_errors_skip_to_sync(start):
    console = start().console()
    console.send(wire.parse("NONSENSE"), wire.bind(), wire.execute(), wire.sync(), wire.query("SHOW VERSION"))
    kinds = "".join(m.type for m in console.read_until("Z"))
    assert kinds.count("E") == 1 and kinds.endswith("EZ")
    assert console.results().rows


def test_extended_protocol_has_the_same_rights(start):
    pw = start()
    console = pw.console("stats")
    console.send(wire.parse("RELOAD"), wire.bind(), wire.execute(), wire.sync())
    got = console.read_until("Z")
    errors = [m.error() for m in got if m.type == "E"]
    assert errors and "admin access needed" in errors[0]["M"]
    with pytest.raises(wire.ServerError):
        console.extended("KILL_CLIENT 1")


def test_extended_command_runs_once(start):
    pw = start()
    conn = pw.connect()
    first = conn.scalar("SELECT pg_backend_pid()")
    pw.console().extended("RECONNECT")
    assert conn.scalar("SELECT pg_backend_pid()") != first


def test_pipelined_and_fragmented_queries(start):
    console = start().console()
    console.send(wire.query("SHOW VERSION"), wire.query("SHOW STATE"), wire.query("NONSENSE"), wire.query("SHOW VERSION"))
    assert console.results().rows and console.results().rows and console.results().error and console.results().rows
    for byte in wire.query("SHOW VERSION"):
        console.send(bytes([byte]))
    assert console.results().rows


def test_odd_messages_do_not_end_the_process(start):
    pw = start()
    for kind in "FdcfH?\0Zp":
        console = pw.console()
        console.send(kind.encode() + struct.pack("!I", 8) + b"\0\0\0\0")
        console.sock.shutdown(1)
        console.closed()
    assert pw.admin("SHOW VERSION").rows


# Commands.


def test_pause_and_resume(start):
    pw = start()
    conn, busy = pw.connect(), pw.connect()
    busy.query("BEGIN")
    console = pw.console()
    console.send(wire.query("PAUSE"))
    assert console.silent(0.5), "PAUSE must wait for the transaction"
    conn.send(wire.query("SELECT 1"))
    assert conn.silent(0.3)
    busy.query("COMMIT")
    assert console.results(timeout=10).tags == ["PAUSE"]
    assert [r["active"] if "active" in r else r for r in pw.show("STATE")]
    assert "already suspended/paused" in console.query("PAUSE", check=False).error.message
    assert console.query("RESUME").tags == ["RESUME"]
    assert conn.results().scalar() == "1"
    assert "pooler is not paused/suspended" in console.query("RESUME", check=False).error.message


def test_pause_of_one_database(start):
    pw = start({"test": {}, "other": {}})
    conn, other = pw.connect(), pw.connect(database="other")
    conn.scalar("SELECT 1")
    assert pw.admin("PAUSE test").tags == ["PAUSE"]
    conn.send(wire.query("SELECT 1"))
    assert conn.silent(0.3)
    assert other.scalar("SELECT 1") == "1"
    assert [r["paused"] for r in pw.show("DATABASES") if r["name"] == "test"] == ["1"]
    pw.admin("RESUME test")
    assert conn.results().scalar() == "1"
    assert "database test is not paused" in pw.admin("RESUME test", check=False).error.message
    assert "no such database: nowhere" in pw.admin("PAUSE nowhere", check=False).error.message


def test_pause_whose_console_goes_away_stays(start):
    pw = start()
    busy = pw.connect()
    busy.query("BEGIN")
    console = pw.console()
    console.send(wire.query("PAUSE"))
    console.silent(0.2)
    console.abort()
    busy.query("COMMIT")
    busy.send(wire.query("SELECT 1"))
    assert busy.silent(0.5)
    pw.admin("RESUME")
    assert busy.results().scalar() == "1"


def test_a_cancelled_pause_ends_and_is_answered(start):
    """PgBouncer ends the PAUSE too, and never answers its console."""
    pw = start()
    busy, other = pw.connect(), pw.connect()
    busy.query("BEGIN")
    console = pw.console()
    console.send(wire.query("PAUSE"))
    assert console.silent(0.3)
    with pw.raw() as request:
        request.send(wire.cancel_request(*console.key))
        request.closed()
    answer = console.results(timeout=10)
    assert (answer.error.severity, answer.error.sqlstate, answer.status) == ("ERROR", "08P01", "I")
    assert answer.error.message == "PAUSE was ended before all servers were released"
    assert other.scalar("SELECT 1") == "1"
    for command in ("PAUSE", "PAUSE test"):  # a script that waits for it must not take that for a pause, either
        console.send(wire.query(command))
        assert console.silent(0.3)
        assert pw.admin(command.replace("PAUSE", "RESUME")).tags == ["RESUME"]
        assert console.results(timeout=10).error.message == "PAUSE was ended before all servers were released"
    assert busy.query("COMMIT").tags == ["COMMIT"]
    assert console.query("PAUSE").tags == ["PAUSE"]


def test_a_pause_after_wait_close_is_a_pause(start):
    """PgBouncer keeps a mark of the WAIT_CLOSE, and answers the next PAUSE too early and by that name."""
    pw = start({"test": {}, "other": {}})
    busy = pw.connect()
    busy.query("BEGIN")
    for command in ("WAIT_CLOSE", "WAIT_CLOSE test"):
        assert pw.admin(command).tags == ["WAIT_CLOSE"]
    console = pw.console()
    for command in ("PAUSE", "PAUSE test"):
        console.send(wire.query(command))
        assert console.silent(0.5), "it must wait for the transaction"
        busy.query("COMMIT")
        assert console.results(timeout=10).tags == ["PAUSE"]
        pw.admin(command.replace("PAUSE", "RESUME"))
        busy.query("BEGIN")


def test_kill(start, pg, db):
    pw = start({"test": {}, "other": {}})
    conn, idle, other = pw.connect(), pw.connect(), pw.connect(database="other")
    conn.query("BEGIN")
    other.scalar("SELECT 1")
    assert pw.admin("KILL test").tags == ["KILL"]
    conn.expect_fatal("database removed", "08P01")
    idle.expect_fatal("database removed", "08P01")
    assert other.scalar("SELECT 1") == "1"
    waiting = pw.raw()
    waiting.send(wire.startup({"user": "app", "database": "test"}))
    pw.admin("RESUME test")
    waiting.authenticate("app", "")
    waiting.read_welcome()
    assert waiting.scalar("SELECT 1") == "1"


def test_kill_of_all_databases(start):
    """Entries with several pools among them; those without any are not paused."""
    pw = start({"test": {}, "other": {}, "unused": {}})
    conns = [pw.connect(user, database) for user in ("app", "app2") for database in ("test", "other")]
    for conn in conns:
        conn.scalar("SELECT 1")
    assert pw.admin("KILL").tags == ["KILL"]
    for conn in conns:
        conn.expect_fatal("database removed", "08P01")
    assert {r["name"]: r["paused"] for r in pw.show("DATABASES") if r["name"] != "pgbouncer"} == {
        "test": "1", "other": "1", "unused": "0"}
    for name in ("test", "other"):
        pw.admin("RESUME " + name)
    assert pw.connect("app2").scalar("SELECT 1") == "1"


def client_ids(pw, database="test"):
    return [int(r["id"]) for r in pw.show("CLIENTS") if r["database"] == database]


def test_kill_client(start, pg, db):
    pw = start()
    victim, bystander = pw.connect(), pw.connect()
    victim.query("BEGIN")
    bystander.scalar("SELECT 1")
    ids = {r["port"]: r["id"] for r in pw.show("CLIENTS") if r["database"] == "test"}
    target = ids[str(victim.sock.getsockname()[1])]
    assert pw.admin("KILL_CLIENT %s" % target).tags == ["KILL_CLIENT"]
    victim.expect_fatal("admin forced disconnect", "08P01")
    assert bystander.scalar("SELECT 1") == "1"
    assert "client not found" in pw.admin("KILL_CLIENT %s" % target, check=False).error.message
    assert "invalid client pointer supplied" in pw.admin("KILL_CLIENT nonsense", check=False).error.message
    pw.wait_pool(sv_active=0)


def test_kill_client_of_oneself(start):
    """Crashes the reference."""
    pw = start()
    console = pw.console()
    mine = [r["id"] for r in console.query("SHOW CLIENTS").dicts() if r["user"] == "admin"]
    console.send(wire.query("KILL_CLIENT %s" % mine[0]))
    console.closed()
    assert pw.admin("SHOW VERSION").rows


def test_kill_client_that_waits(start):
    pw = start(settings={"default_pool_size": 1})
    holder, late = pw.connect(), pw.connect()
    holder.query("BEGIN")
    late.send(wire.query("SELECT 1"))
    pw.wait_pool(cl_waiting=1)
    ids = {r["port"]: r["id"] for r in pw.show("CLIENTS")}
    pw.admin("KILL_CLIENT %s" % ids[str(late.sock.getsockname()[1])])
    late.expect_fatal("admin forced disconnect")
    pw.wait_pool(cl_waiting=0)
    holder.query("COMMIT")


def test_disable_and_enable(start):
    pw = start()
    conn = pw.connect()
    pw.admin("DISABLE test")
    assert 'database "test" is disabled' in pw.refused().message
    assert conn.scalar("SELECT 1") == "1"
    pw.reload()
    pw.refused()
    pw.admin("ENABLE test")
    assert pw.connect().scalar("SELECT 1") == "1"
    assert "a database is required" in pw.admin("DISABLE", check=False).error.message


def test_wait_close(start):
    pw = start()
    conn = pw.connect()
    conn.query("BEGIN")
    assert pw.admin("WAIT_CLOSE").tags == ["WAIT_CLOSE"]
    pw.admin("RECONNECT")
    console = pw.console()
    console.send(wire.query("WAIT_CLOSE"))
    assert console.silent(0.4)
    conn.query("COMMIT")
    assert console.results().tags == ["WAIT_CLOSE"]


def test_set(start):
    pw = start()
    console = pw.console()
    value = lambda name: {r["key"]: r["value"] for r in console.query("SHOW CONFIG").dicts()}[name]
    for text, name, expected in (("SET query_wait_timeout = 11", "query_wait_timeout", "11"),
                                 ("SET query_wait_timeout TO 12", "query_wait_timeout", "12"),
                                 ("set query_wait_timeout='13'", "query_wait_timeout", "13"),
                                 ('SET "query_wait_timeout"=14', "query_wait_timeout", "14"),
                                 ("SET server_check_query='SELECT ''x'''", "server_check_query", "SELECT 'x'")):
        assert not console.query(text).errors
        assert value(name) == expected
    for text in ("SET no_such = 1", "SET default_pool_size = many", "SET pool_mode = sometimes"):
        error = console.query(text, check=False).error
        assert error.sqlstate == "08P01" and error.message == "SET failed"
    pw.admin("RELOAD")
    assert value("query_wait_timeout") == "120"


def test_set_takes_effect(start):
    pw = start(settings={"default_pool_size": 1, "query_wait_timeout": 0})
    holder, late = pw.connect(), pw.connect()
    holder.query("BEGIN")
    pw.admin("SET query_wait_timeout = 1")
    late.send(wire.query("SELECT 1"))
    late.expect_fatal("query_wait_timeout")


# What SHOW shows.


def test_show_databases(start, pg, db):
    pw = start({"test": {"pool_size": 7, "min_pool_size": 1, "pool_mode": "session", "user": "app"}})
    pw.connect().scalar("SELECT 1")
    row = [r for r in pw.show("DATABASES") if r["name"] == "test"][0]
    assert (row["host"], row["port"], row["database"], row["force_user"], row["pool_size"], row["pool_mode"]) == (
        pg.host, str(pg.port), db, "app", "7", "session")
    assert row["min_pool_size"] == "1" and row["disabled"] == "0" and row["paused"] == "0"
    assert int(row["current_connections"]) >= 1
    assert sorted(r["name"] for r in pw.show("DATABASES")) == [r["name"] for r in pw.show("DATABASES")]


def test_show_clients_and_servers(start, pg, db):
    pw = start()
    conn = pw.connect(application_name="the app")
    conn.query("BEGIN")
    backend = conn.scalar("SELECT pg_backend_pid()")
    client = [r for r in pw.show("CLIENTS") if r["database"] == "test"][0]
    server = [r for r in pw.show("SERVERS") if r["database"] == "test"][0]
    assert client["state"] == "active" and client["application_name"] == "the app" and client["user"] == "app"
    assert client["addr"] == "127.0.0.1" and client["port"] == str(conn.sock.getsockname()[1])
    assert server["state"] == "active" and server["remote_pid"] == backend and server["port"] == str(pg.port)
    assert client["link"] == server["ptr"] and server["link"] == client["ptr"]
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", client["connect_time"])
    conn.query("COMMIT")
    client = [r for r in pw.show("CLIENTS") if r["database"] == "test"][0]
    server = [r for r in pw.show("SERVERS") if r["database"] == "test"][0]
    assert server["state"] == "idle" and not client["link"] and not server["link"]
    if IS_PGWEIR:
        assert client["state"] == "idle"


def test_show_lists(start):
    pw = start()
    pw.connect().scalar("SELECT 1")
    rows = {r["list"]: int(r["items"]) for r in pw.show("LISTS")}
    assert set(rows) >= {"databases", "users", "pools", "free_clients", "used_clients", "login_clients", "free_servers",
                         "used_servers", "dns_names", "dns_zones", "dns_queries", "dns_pending"}
    assert rows["used_clients"] >= 2 and rows["used_servers"] >= 1 and rows["databases"] == 2


def test_show_stats(start):
    pw = start(settings={"stats_period": 1})
    conn = pw.connect()
    for _ in range(10):
        conn.query("SELECT repeat('x', 1000)")
    conn.query("BEGIN")
    conn.query("SELECT 1")
    conn.query("COMMIT")
    conn.send(*[wire.parse("SELECT 1", "s%d" % i) for i in range(3)], wire.sync())
    conn.read_until("Z")
    row = [r for r in pw.show("STATS") if r["database"] == "test"][0]
    assert int(row["total_xact_count"]) == 12 and int(row["total_query_count"]) == 14
    assert int(row["total_received"]) > 200 and int(row["total_sent"]) > 10000
    assert int(row["total_client_parse_count"]) == 3 and int(row["total_server_parse_count"]) == 1
    totals = [r for r in pw.show("STATS_TOTALS") if r["database"] == "test"][0]
    assert totals["xact_count"] == row["total_xact_count"]
    assert {r["name"] for r in pw.show("TOTALS")} >= {"total_xact_count", "avg_query_count", "total_wait_time"}


def test_show_users(start):
    pw = start(users={"app": {"pool_size": 3, "pool_mode": "session"}})
    pw.connect().scalar("SELECT 1")
    rows = {r["name"]: r for r in pw.show("USERS")}
    assert rows["app"]["pool_size"].strip() == "3" and rows["app"]["pool_mode"] == "session"
    assert rows["app2"]["pool_size"] == "" and rows["app2"]["pool_mode"] is None
    assert int(rows["app"]["current_connections"]) == 1 and int(rows["app"]["current_client_connections"]) == 1


def test_show_config(start):
    rows = start(settings={"default_pool_size": 9}).show("CONFIG")
    keys = [r["key"] for r in rows]
    assert keys == sorted(keys)
    with open(os.path.join(COMPAT, "settings.tsv"), newline="") as table:
        expected = {r["name"] for r in csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE) if r["scope"] == "global"}
    assert not expected - set(keys), expected - set(keys)
    byname = {r["key"]: r for r in rows}
    assert byname["default_pool_size"]["value"] == "9" and byname["default_pool_size"]["default"] == "20"
    assert byname["default_pool_size"]["changeable"] == "yes" and byname["listen_port"]["changeable"] == "no"


def test_show_version(start):
    text = start().admin("SHOW VERSION").scalar()
    assert ("pgweir" if IS_PGWEIR else "PgBouncer") in text


def test_show_state(start):
    pw = start()
    assert [(r["key"], r["value"]) for r in pw.show("STATE")] == [("active", "yes"), ("paused", "no"), ("suspended", "no")]
    pw.admin("PAUSE")
    assert [(r["key"], r["value"]) for r in pw.show("STATE")] == [("active", "no"), ("paused", "yes"), ("suspended", "no")]
    pw.admin("RESUME")


def test_show_workers(start):
    pw = start(settings={"workers": 3})
    conns = [pw.connect() for _ in range(9)]
    for conn in conns:
        conn.scalar("SELECT 1")
    rows = pw.show("WORKERS")
    assert len(rows) == 3
    clients = [int(r["clients"]) for r in rows]
    assert sum(clients) >= 9 and min(clients) >= 2, "new clients go to the worker with the fewest"


def test_batched_sends_can_be_switched(start):
    """io_uring or not: the same answers; SHOW WORKERS tells which, the log says why not."""
    pw = start(settings={"workers": 2})
    conns = [pw.connect() for _ in range(12)]

    def answers():
        for round in range(20):
            for number, conn in enumerate(conns):
                conn.send(wire.query("SELECT '%d-%d'" % (round, number)))
            for number, conn in enumerate(conns):
                assert conn.results().dicts()[0]["?column?"] == "%d-%d" % (round, number)

    def sending():
        return {r["batched_sends"] for r in pw.show("WORKERS")}

    answers()
    if sending() == {"yes"}:
        assert "sends: small messages leave in batches (io_uring)" in pw.log()
        assert sum(int(r["batches"]) for r in pw.show("WORKERS")) > 0
    else:
        assert "sends: one system call each (" in pw.log()
    pw.admin("SET batched_sends = 0")
    pw.wait_log("batched_sends is off")
    answers()
    assert sending() == {"no"}


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("gathered", [0, 1])
def test_gathered_reads_hold_nothing_back(start, gathered, workers):
    """A large result whose server stalls in the middle: what it has sent arrives, though nothing follows. Then it goes on."""
    pw = start(settings={"workers": workers, "gathered_reads": gathered})
    conn, gate = pw.connect(), pw.connect()
    gate.query("BEGIN; SELECT pg_advisory_xact_lock(77)")
    conn.send(wire.query("COPY (SELECT CASE WHEN i = 600 THEN pg_advisory_xact_lock(77)::text ELSE repeat('x', 999) END"
                         " FROM generate_series(1, 800) i) TO STDOUT"))
    received = 0
    while received < 599 * 1000 - 8192:  # the rest lies in PostgreSQL's own buffer
        got = conn.read()
        received += len(got.body) if got.type == "d" else 0
    gate.query("COMMIT")
    result = conn.results()
    assert result.tags == ["COPY 800"]
    assert received + sum(len(got.body) for got in result.messages if got.type == "d") == 799 * 1000 + 1
    pw.admin("SET gathered_reads = %d" % (1 - gathered))
    assert len(conn.query("SELECT repeat('y', 1000) FROM generate_series(1, 1000)").rows) == 1000


@pytest.mark.parametrize("size, workers", [(20, 2), (3, 1)])
def test_no_lock_on_the_path_of_a_query(start, size, workers):
    """SHOW WORKERS counts the locks that a worker takes: whoever has a server of its own worker to take needs none, nor
    does one that waits for it (that took one for each query)."""
    pw = start(settings={"workers": workers, "pool_mode": "transaction", "default_pool_size": size})
    conns = [pw.connect() for _ in range(8)]

    def rounds(count):
        for number in range(count):
            for conn in conns:
                conn.send(wire.query("SELECT %d" % number))
            for conn in conns:
                assert conn.results().dicts()[0]["?column?"] == str(number)

    def locks():
        rows = pw.show("WORKERS")
        return [sum(int(row[column]) for row in rows) for column in ("locks", "queries", "lock_waits")]

    rounds(20)  # all servers are there
    locks_before, queries_before, waits_before = locks()
    rounds(250)
    locks_after, queries_after, waits_after = locks()
    queries = queries_after - queries_before
    assert queries >= 2000
    assert locks_after - locks_before < queries / 10, "locks that came with time, not with queries"
    assert waits_after - waits_before < queries / 100, "of those few a handful may meet another worker"


def test_many_rows(start):
    """A SHOW of many rows arrives whole, also when the reader is slow."""
    pw = start(settings={"max_client_conn": 1000})
    conns = [pw.connect() for _ in range(300)]
    assert len(conns) == 300
    console = pw.console()
    console.send(*[wire.query("SHOW CLIENTS")] * 20)
    console.wait_readable()
    assert pw.connect().scalar("SELECT 1") == "1"
    for _ in range(20):
        assert len([r for r in console.results().dicts() if r["database"] == "test"]) >= 300
