"""Replication connections pass through, each with a server of its own: PostgreSQL's own tools, a real subscription, and
what a hostile server or client can do around CopyBoth (compat/wire.md, section 11)."""

import os
import re
import signal
import struct
import subprocess
import threading
import time

import pytest

from harness import postgres, system, wire
from harness.fakeserver import FakeServer

HBA = postgres.HBA + "local replication all trust\nhost replication all all trust\n"
SLOW = float(os.environ.get("PGWEIR_SLOW", "1"))


@pytest.fixture
def primary(make_pg):
    server = make_pg(hba=HBA, settings={"wal_sender_timeout": "'60s'"})
    server.query("CREATE DATABASE test")
    return server


@pytest.fixture
def pooled(primary, start):
    def begin(settings=None, **options):
        entry = {"host": primary.host, "port": primary.port, "dbname": "test", **options}
        # Before PostgreSQL 17 its tools for physical replication ask for a database of that name.
        return start(databases={"test": entry, "replication": entry}, settings={"pool_mode": "transaction", **(settings or {})},
                     userlist={"postgres": "", "app": "", "admin": ""})
    return begin


def tool(name, pw, *args):
    """A program of PostgreSQL's, as a process."""
    return subprocess.Popen([os.path.join(postgres.binary_directory(), name), "-h", "127.0.0.1",
                             "-p", str(pw.settings["listen_port"]), "-U", "postgres", *args],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/",
                            env=system.clean_environment(), **system.popen_identity())


def end(process, how=signal.SIGINT):
    process.send_signal(how)
    return process.communicate(timeout=60 * SLOW)[0].decode()


def run(name, pw, *args):
    process = tool(name, pw, *args)
    output = process.communicate(timeout=60 * SLOW)[0].decode()
    assert process.returncode == 0, output
    return output


def execute(server, sql, database="test"):
    with server.connect(database=database) as conn:
        return conn.query(sql)


def replicates(pw, how="database", user="postgres", **params):
    return pw.connect(user=user, replication=how, **params)


def rows_of(pw, topic):
    return [row for row in pw.show(topic) if row["database"] in ("test", "replication")]


def test_pg_receivewal(pooled, primary):
    """Whole segments, byte for byte those of the server, over the end of a segment, with a slot, and again after a stop."""
    pw = pooled()
    directory = system.make_directory("wal")
    run("pg_receivewal", pw, "--create-slot", "--slot", "standby")
    args = ("-D", directory, "--slot", "standby", "--synchronous", "-v")
    for number in range(2):
        receiver = tool("pg_receivewal", pw, *args)
        system.wait_for(lambda: primary.query("SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'").rows,
                        20 * SLOW, "a stream")
        assert [r["replication"] for r in rows_of(pw, "SERVERS")] == ["physical"]
        execute(primary, "CREATE TABLE w%d AS SELECT g, repeat('x', 500) FROM generate_series(1, 5000) g" % number)
        last = primary.scalar("SELECT pg_walfile_name(pg_current_wal_lsn())")
        primary.query("SELECT pg_switch_wal()")
        system.wait_for(lambda: os.path.exists(os.path.join(directory, last)), 30 * SLOW, "the segment " + last)
        output = end(receiver)
        assert receiver.returncode == 0, output
        with open(os.path.join(directory, last), "rb") as got, open(os.path.join(primary.data, "pg_wal", last), "rb") as is_:
            assert got.read() == is_.read()
        system.wait_for(lambda: not rows_of(pw, "SERVERS"), 10, "the server to be closed with its client")
    assert pw.logged("replication client was closed")
    assert pw.logged("login attempt: db=replication user=postgres tls=no replication=yes")


def test_base_backup(pooled, primary):
    pw = pooled()
    directory = os.path.join(system.make_directory("backup"), "data")
    run("pg_basebackup", pw, "-D", directory, "-X", "stream", "--checkpoint=fast", "--no-sync")
    assert os.path.exists(os.path.join(directory, "backup_manifest"))


def test_pg_recvlogical(pooled, primary):
    pw = pooled()
    execute(primary, "CREATE TABLE t (id int PRIMARY KEY, v text)")
    run("pg_recvlogical", pw, "-d", "test", "--slot", "logic", "--create-slot", "-P", "test_decoding")
    target = os.path.join(system.make_directory("decoded"), "out")
    receiver = tool("pg_recvlogical", pw, "-d", "test", "--slot", "logic", "--start", "-f", target, "-F", "1")
    with pw.connect(user="postgres") as conn:
        for number in range(20):
            conn.query("INSERT INTO t VALUES (%d, repeat('y', 100000))" % number)

    def decoded():
        if not os.path.exists(target):
            return False
        with open(target) as lines:
            return sum("INSERT" in line for line in lines) == 20
    system.wait_for(decoded, 30 * SLOW, "20 inserts")
    assert [r["replication"] for r in rows_of(pw, "CLIENTS")] == ["logical"]
    assert sorted(r["replication"] for r in rows_of(pw, "SERVERS")) == ["logical", "none"]
    output = end(receiver)
    assert receiver.returncode == 0, output
    run("pg_recvlogical", pw, "-d", "test", "--slot", "logic", "--drop-slot")
    assert pw.logged("replication=database")


def test_subscription(pooled, primary, make_pg):
    """A subscription between two servers, its table synchronisation and its stream through pgweir; changes both while it
    runs and while it is away, and a primary that restarts under it."""
    pw = pooled()
    other = make_pg()
    execute(primary, "CREATE TABLE t (id int PRIMARY KEY, v text)")
    execute(primary, "INSERT INTO t SELECT g, 'before' FROM generate_series(1, 1000) g")
    execute(primary, "CREATE PUBLICATION p FOR TABLE t")
    other.query("CREATE DATABASE test")
    execute(other, "CREATE TABLE t (id int PRIMARY KEY, v text)")
    execute(other, "CREATE SUBSCRIPTION s CONNECTION 'host=127.0.0.1 port=%s user=postgres dbname=test' PUBLICATION p"
            % pw.settings["listen_port"])

    def count():
        return int(execute(other, "SELECT count(*) FROM t").scalar())
    system.wait_for(lambda: count() == 1000, 60 * SLOW, "the table to be copied")
    execute(primary, "INSERT INTO t SELECT g, 'after' FROM generate_series(1001, 3000) g")
    system.wait_for(lambda: count() == 3000, 60 * SLOW, "changes")
    # pgweir is drained and comes back: the stream goes on where it was.
    pw.signal(signal.SIGRTMIN)
    pw.wait_exit()
    execute(primary, "INSERT INTO t SELECT g, 'away' FROM generate_series(3001, 3500) g")
    pw.start()
    system.wait_for(lambda: count() == 3500, 60 * SLOW, "what it has missed")
    # A fast shutdown waits until its receivers have all: they are told "COPY 0" in the middle of the stream.
    primary.restart()
    execute(primary, "INSERT INTO t SELECT g, 'restarted' FROM generate_series(3501, 3600) g")
    system.wait_for(lambda: count() == 3600, 60 * SLOW, "changes after the restart")
    execute(other, "DROP SUBSCRIPTION s")
    system.wait_for(lambda: not primary.query("SELECT 1 FROM pg_replication_slots").rows, 20, "the slot to be dropped")


def test_commands_and_queries(pooled, primary):
    """A logical connection runs SQL, too; in every pool mode its server stays its own."""
    for mode in ("transaction", "statement", "session"):
        pw = pooled({"pool_mode": mode})
        conn = replicates(pw, options="-c work_mem=1234kB -c search_path=pg_catalog", application_name="mirror")
        pid = conn.scalar("SELECT pg_backend_pid()")
        assert conn.query("IDENTIFY_SYSTEM").rows[0][3] == "test"
        assert conn.scalar("SHOW work_mem") == "1234kB"
        assert conn.scalar("SHOW application_name") == "mirror"
        conn.query("BEGIN")
        assert conn.scalar("SELECT 1") == "1"
        conn.query("COMMIT")
        with pw.connect(user="postgres") as normal:
            assert normal.scalar("SELECT pg_backend_pid()") != pid
        assert conn.scalar("SELECT pg_backend_pid()") == pid
        row = [r for r in rows_of(pw, "SERVERS") if r["replication"] == "logical"][0]
        mine = [r for r in rows_of(pw, "CLIENTS") if r["replication"] == "logical"][0]
        assert (row["state"], mine["state"], row["link"], mine["link"]) == ("active", "active", mine["ptr"], row["ptr"])
        assert [r["replication"] for r in pw.show("SOCKETS") if r["database"] == "test"].count("logical") == 2
        conn.terminate()
        system.wait_for(lambda: not [b for b in primary.backends("test") if b["pid"] == pid], 10, "its end")
        pw.stop()


def test_word_of_the_parameter(pooled, primary):
    """Words that are neither true nor `database` ask for nothing."""
    pw = pooled()
    for word, kind in (("database", "logical"), ("true", "physical"), ("on", "physical"), ("1", "physical"),
                       ("yes", "physical"), ("false", "none"), ("off", "none"), ("0", "none")):
        with replicates(pw, word):
            assert [r["replication"] for r in rows_of(pw, "CLIENTS")] == [kind], word
        system.wait_for(lambda: not rows_of(pw, "CLIENTS"), 10, "no clients")


def test_refused_by_the_server(pooled, primary):
    """The server's own words behind PgBouncer's, at login; nobody else is hurt."""
    pw = pooled()
    with pw.connect(user="app") as normal:
        assert normal.scalar("SELECT 1") == "1"
        error = pw.refused(user="app", replication="database")
        assert error.sqlstate == "42501"
        assert re.match("login failed: .*(must be superuser or replication role|permission denied) to start (walsender|WAL sender)",
                        error.message)
        assert normal.scalar("SELECT 2") == "2"
    with pw.connect(user="app") as normal:
        assert normal.scalar("SELECT 3") == "3"


def test_counts_in_the_pool(pooled, primary):
    """A full pool: resting servers are evicted, working ones make room when they are released, other streams do not."""
    pw = pooled({"default_pool_size": 2, "query_wait_timeout": 2})
    a, b = pw.connect(user="postgres"), pw.connect(user="postgres")
    a.query("BEGIN")
    b.query("BEGIN")
    b.query("COMMIT")
    first = replicates(pw)
    assert pw.logged("closing because: evicted")
    waits = pw.raw()
    waits.send(wire.startup({"user": "postgres", "database": "test", "replication": "database"}))
    system.wait_for(lambda: int(pw.pool(user="postgres")["cl_waiting"]) == 1, 10, "a replication client that waits")
    a.query("COMMIT")
    waits.read_until("Z")
    assert len(rows_of(pw, "SERVERS")) == 2
    b.send(wire.query("SELECT 1"))  # no server for a normal client: it cannot evict a stream
    b.expect_fatal("query_wait_timeout", timeout=20)
    third = pw.raw()
    third.send(wire.startup({"user": "postgres", "database": "test", "replication": "database"}))
    third.expect_fatal("query_wait_timeout", timeout=20)
    first.terminate()
    with replicates(pw):
        pass
    with pytest.raises((wire.ServerError, wire.ConnectionClosed)):
        pw.admin("KILL_CLIENT %s" % [r["id"] for r in rows_of(pw, "CLIENTS") if r["replication"] == "logical"][0])
        waits.query("IDENTIFY_SYSTEM")


def test_client_that_leaves_while_its_server_logs_in(start):
    def script(session):
        session.read_startup()
        session.closed()
    with FakeServer(script) as server:
        pw = start(databases={"test": server.entry})
        conn = pw.raw()
        conn.send(wire.startup({"user": "app", "database": "test", "replication": "true"}))
        system.wait_for(lambda: rows_of(pw, "SERVERS"), 10, "a server")
        conn.close()
        system.wait_for(lambda: not rows_of(pw, "SERVERS"), 10, "its end")


def test_login_that_is_tried_again(pooled, primary):
    """A server that cannot be reached is waited for, as by every client."""
    pw = pooled({"server_login_retry": 1})
    primary.stop()
    conn = pw.raw()
    conn.send(wire.startup({"user": "postgres", "database": "test", "replication": "database"}))
    pw.wait_log("connect failed")
    primary.start()
    conn.read_until("Z", timeout=30 * SLOW)


def test_reconnect_and_timeouts(pooled, primary):
    """A RECONNECT ends it at once; limits of queries and idleness do not end a stream that is alive."""
    pw = pooled({"transaction_timeout": 1, "idle_transaction_timeout": 1, "client_idle_timeout": 1, "server_lifetime": 1,
                 "server_idle_timeout": 1})
    conn = replicates(pw)
    conn.query("CREATE_REPLICATION_SLOT s LOGICAL test_decoding")
    conn.send(wire.query("START_REPLICATION SLOT s LOGICAL 0/0"))
    assert conn.read().type == "W"
    until = time.monotonic() + 2.5
    while time.monotonic() < until:  # some seconds of a quiet stream: the limits above are over twice
        conn.send(wire.copy_data(b"r" + struct.pack("!QQQQB", 0, 0, 0, 0, 1)))
        assert conn.read(timeout=10).type == "d"
        threading.Event().wait(0.1)
    pw.admin("RECONNECT test")
    while True:
        message = conn.read(timeout=10)
        if message.type == "E":
            break
        assert message.type == "d"
    assert "database configuration changed" in message.error()["M"]


def test_query_timeout_counts_from_the_clients_last_word(pooled, primary):
    pw = pooled({"query_timeout": 1})
    conn = replicates(pw)
    conn.query("CREATE_REPLICATION_SLOT s LOGICAL test_decoding")
    conn.send(wire.query("START_REPLICATION SLOT s LOGICAL 0/0"))
    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        conn.send(wire.copy_data(b"r" + struct.pack("!QQQQB", 0, 0, 0, 0, 0)))
        threading.Event().wait(0.1)
    while conn.read(timeout=10).type != "E":
        pass


def test_end_of_a_stream(pooled, primary):
    """CopyDone from the client: the server's, its results, and the connection is good for the next command."""
    pw = pooled()
    conn = replicates(pw)
    conn.query("CREATE_REPLICATION_SLOT s TEMPORARY LOGICAL test_decoding")
    for _ in range(3):
        conn.send(wire.query("START_REPLICATION SLOT s LOGICAL 0/0"))
        assert conn.read().type == "W"
        conn.send(wire.copy_done(), wire.copy_done())  # the second is nobody's
        types = [m.type for m in conn.read_until("Z")]
        # PostgreSQL 15 says its own CopyDone only for the first stream of a connection, and keepalives behind it.
        assert types[-3:] == ["C", "C", "Z"] and set(types[:-3]) <= {"c", "d"}, types
        assert conn.query("IDENTIFY_SYSTEM").rows[0][3] == "test"


def test_back_pressure(pooled, primary):
    """A receiver that does not read holds the stream, not pgweir's memory; then it gets every byte."""
    pw = pooled()
    execute(primary, "CREATE TABLE t (v text)")
    conn = replicates(pw)
    conn.query("CREATE_REPLICATION_SLOT s LOGICAL test_decoding")
    conn.send(wire.query("START_REPLICATION SLOT s LOGICAL 0/0"))
    assert conn.read().type == "W"

    def memory():
        with open("/proc/%d/statm" % pw.pid) as statm:
            return int(statm.read().split()[1]) * 4096
    before = memory()
    execute(primary, "INSERT INTO t SELECT repeat(md5(g::text), 3000) FROM generate_series(1, 600) g")  # 58 MB
    with pw.connect(user="postgres") as normal:
        for _ in range(200):
            assert normal.scalar("SELECT 1") == "1"
    assert memory() - before < 24 * 1024 * 1024 * SLOW
    size = 0
    while size < 57_000_000:
        message = conn.read(timeout=60 * SLOW)
        assert message.type == "d"
        size += len(message.body)


STREAM = b"W" + struct.pack("!IBH", 7, 0, 0)


@pytest.mark.parametrize("answer", [
    wire.message("T", struct.pack("!H", 0)), wire.message("D", struct.pack("!H", 0)), wire.message("Z", b"I"),
    wire.message("1"), wire.message("G", struct.pack("!BH", 0, 0)), wire.message("W", struct.pack("!BH", 0, 0)),
], ids="TDZ1GW")
def test_hostile_server_in_a_stream(start, answer):
    def script(session):
        session.login()
        session.read()
        session.send(STREAM, wire.copy_data(b"hello"), answer)
        session.read()
    with FakeServer(script) as server:
        pw = start(databases={"test": server.entry})
        conn = pw.connect(replication="true")
        conn.send(wire.query("START_REPLICATION 0/0"))
        conn.expect_fatal("out of order")
        assert not rows_of(pw, "SERVERS")


def test_stream_that_nobody_can_have_asked_for(start):
    """CopyBoth on a connection that is no replication connection."""
    def script(session):
        session.login()
        session.read()
        session.send(STREAM)
        session.read()
    with FakeServer(script) as server:
        pw = start(databases={"test": server.entry})
        conn = pw.connect()
        conn.send(wire.query("SELECT 1"))
        conn.expect_fatal("out of order")


def test_client_that_talks_out_of_turn(pooled, primary):
    """A query in the middle of a stream: the server's FATAL comes through."""
    pw = pooled()
    conn = replicates(pw)
    conn.query("CREATE_REPLICATION_SLOT s LOGICAL test_decoding")
    conn.send(wire.query("START_REPLICATION SLOT s LOGICAL 0/0"))
    assert conn.read().type == "W"
    conn.send(wire.query("SELECT 1"))
    while (message := conn.read(timeout=10)).type == "d":
        pass
    assert message.error()["C"] == "08P01"
    assert conn.closed(timeout=10) == []


def test_hba_word(pooled, primary, start):
    """`replication` in pg_hba.conf is about physical connections; logical ones count as their database's."""
    entry = {"host": primary.host, "port": primary.port, "dbname": "test"}
    pw = start(databases={"test": entry}, settings={"auth_type": "hba"},
               hba="host replication postgres 127.0.0.1/32 reject\nhost test postgres 127.0.0.1/32 trust\n"
                   "host all admin 127.0.0.1/32 trust\n", userlist={"postgres": "", "admin": ""})
    with replicates(pw):
        pass
    pw.refused(user="postgres", replication="true")
