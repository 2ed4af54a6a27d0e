"""Cancel: the right query, only while it runs; waiting clients at once; floods harmless."""

import os
import socket
import struct
import threading
import time

import pytest

from harness import system, wire
from harness.fakeserver import FakeServer


def cancel(pw, key):
    conn = pw.raw()
    conn.send(wire.cancel_request(*key))
    return conn


def running(pg, db, text="pg_sleep"):
    system.wait_for(lambda: [r for r in pg.backends(db) if r["state"] == "active" and text in r["query"]], 10, "a query")


def test_running_query(start, pg, db):
    pw = start(settings={"default_pool_size": 1})
    conn = pw.connect()
    conn.send(wire.query("SELECT pg_sleep(60)"))
    running(pg, db)
    request = cancel(pw, conn.key)
    assert conn.results().error.sqlstate == "57014"
    assert request.closed() == []
    assert conn.scalar("SELECT 1") == "1"


def test_sender_of_the_cancel_need_not_wait(start, pg, db):
    """PostgreSQL takes a cancel whose sender has gone already, so do we."""
    pw = start(settings={"default_pool_size": 1})
    conn = pw.connect()
    conn.send(wire.query("SELECT pg_sleep(60)"))
    running(pg, db)
    cancel(pw, conn.key).close()
    assert conn.results().error.sqlstate == "57014"


def test_running_query_in_a_transaction(start, pg, db):
    pw = start()
    conn = pw.connect()
    conn.query("BEGIN")
    conn.send(wire.parse("SELECT pg_sleep(60)"), wire.bind(), wire.execute(), wire.sync())
    running(pg, db)
    cancel(pw, conn.key)
    result = conn.results()
    assert result.error.sqlstate == "57014" and result.status == "E"
    conn.query("ROLLBACK")


def test_only_the_right_one(start, pg, db):
    pw = start(settings={"default_pool_size": 5})
    conns = [pw.connect() for _ in range(5)]
    for number, conn in enumerate(conns):
        conn.send(wire.query("SELECT pg_sleep(60), %d" % number))
    running = lambda: {r["query"][-1] for r in pg.backends(db) if "pg_sleep" in r["query"] and r["state"] == "active"}
    system.wait_for(lambda: running() == set("01234"), 30, "five queries")
    cancel(pw, conns[2].key)
    assert conns[2].results().error.sqlstate == "57014"
    assert running() == set("0134")
    pg.kill_backends(db)


def test_waiting_client_is_cancelled_on_the_spot(start):
    """A client in the queue is answered by the pooler with 57014 and stays connected (PEERS.md, 16)."""
    pw = start(settings={"default_pool_size": 1})
    holder, late = pw.connect(), pw.connect()
    holder.query("BEGIN")
    late.send(wire.query("SELECT 1"))
    pw.wait_pool(cl_waiting=1)
    cancel(pw, late.key)
    result = late.results(timeout=5)
    assert result.error.sqlstate == "57014" and result.status == "I"
    pw.wait_pool(cl_waiting=0)
    assert holder.scalar("SELECT 2") == "2"
    holder.query("COMMIT")
    assert late.scalar("SELECT 3") == "3"


def test_waiting_extended_batch_is_cancelled_on_the_spot(start):
    pw = start(settings={"default_pool_size": 1})
    holder, late = pw.connect(), pw.connect()
    holder.query("BEGIN")
    late.send(wire.parse("SELECT 1"), wire.bind(), wire.execute(), wire.sync())
    pw.wait_pool(cl_waiting=1)
    cancel(pw, late.key)
    result = late.results(timeout=5)
    assert result.error.sqlstate == "57014" and result.status == "I"
    holder.query("COMMIT")
    assert late.scalar("SELECT 3") == "3"


def test_idle_client(start, pg, db):
    """A late cancel goes nowhere: not to the server that the client has used before."""
    pw = start(settings={"default_pool_size": 1})
    conn, other = pw.connect(), pw.connect()
    conn.scalar("SELECT 1")
    other.send(wire.query("SELECT pg_sleep(1)"))
    running(pg, db)
    for _ in range(5):
        assert cancel(pw, conn.key).closed() == []
    assert other.results().error is None


@pytest.mark.parametrize("change", ["pid", "key", "short", "long", "zero"])
def test_wrong_key(start, pg, db, change):
    pw = start()
    conn = pw.connect()
    conn.send(wire.query("SELECT pg_sleep(1)"))
    running(pg, db)
    pid, key = conn.key
    bad = {"pid": (pid ^ 1, key), "key": (pid, bytes([key[0] ^ 1]) + key[1:]), "short": (pid, key[:-1]),
           "long": (pid, key + b"\0"), "zero": (0, b"\0" * 4)}[change]
    request = cancel(pw, bad)
    assert request.closed() == []
    assert conn.results().error is None


def test_cancel_of_a_console_client_ends_nothing_else(start):
    pw = start()
    console, conn = pw.console(), pw.connect()
    cancel(pw, console.key).closed()
    assert console.query("SHOW VERSION").rows and conn.scalar("SELECT 1") == "1"


def test_cancelled_server_is_not_reused_before_the_cancel_has_arrived(start):
    """The server holds the cancel back; meanwhile its connection must not serve another client (PEERS.md, 16)."""
    go = threading.Event()
    arrived = threading.Event()

    def script(session):
        if "cancel" in session.read_startup():
            session.server.cancels.append(session.startup)
            arrived.set()
            go.wait(30)
            return
        session.welcome()
        number = session.server.connections

        def reply(s, sql):
            if "sleep" in sql:
                arrived.wait(30)
                s.answer("woke by itself")
                return True
            s.answer("server %d" % number)
            return True

        session.serve(reply)

    with FakeServer(script) as fake:
        pw = start({"test": fake.entry}, settings={"default_pool_size": 2, "server_tls_sslmode": "disable"})
        conn, other = pw.connect(), pw.connect()
        conn.send(wire.query("SELECT sleep"))
        pw.wait_pool(sv_active=1)
        cancel(pw, conn.key)
        assert conn.results().rows == [["woke by itself"]]
        other.send(wire.query("SELECT 2"))
        seen = other.results().rows if other.wait_readable(1) else None
        assert seen != [["server 1"]], "the server was reused while its cancel was under way"
        go.set()
        assert (seen or other.results().rows)[0][0].startswith("server")


@pytest.mark.parametrize("end", ["never", "reset"])
@pytest.mark.parametrize("first", ["answer", "giving_up"])
def test_server_whose_cancel_may_still_arrive_is_never_reused(start, end, first):
    """The request has left but nobody has said that it has arrived: it may hit whoever has the server then. So its own
    client is served, before or after the request is given up, and nobody else."""
    go, arrived, over = threading.Event(), threading.Event(), threading.Event()

    def script(session):
        if "cancel" in session.read_startup():
            if end == "reset":
                session.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                session.close()
            arrived.set()
            over.wait(60)
            return
        session.welcome()
        number = session.server.connections

        def reply(s, sql):
            if "sleep" in sql:
                go.wait(60)
            s.answer("server %d" % number)
            return True

        session.serve(reply)

    with FakeServer(script) as fake:
        pw = start({"test": fake.entry}, settings={"default_pool_size": 1, "server_tls_sslmode": "disable",
                                                   "cancel_wait_timeout": 1})
        conn, other = pw.connect(), pw.connect()
        conn.send(wire.query("SELECT sleep"))
        pw.wait_pool(sv_active=1)
        cancel(pw, conn.key)
        assert arrived.wait(15)
        if first == "giving_up":
            pw.wait_log("may still arrive: ")
        go.set()
        assert conn.results().rows == [["server 1"]]
        assert other.scalar("SELECT 2") != "server 1"
        assert conn.scalar("SELECT 3") == other.scalar("SELECT 4")
        pw.wait_log("S-.* closing because: a cancel request may still arrive")
        over.set()


def test_late_cancels_never_hit_a_stranger(start):
    """Clients cancel at random while others share their servers: only one's own query is ever cancelled."""
    pw = start(settings={"default_pool_size": 3})
    stop, errors, hits = threading.Event(), [], [0]

    def victim():
        conn = pw.connect()
        while not stop.is_set():
            if conn.query("SELECT pg_sleep(0.002)", check=False).errors:
                errors.append("a stranger's query was cancelled")

    def self_canceller():
        conn = pw.connect()
        for i in range(60):
            conn.send(wire.query("SELECT pg_sleep(0.01)"))
            conn.silent(0.0002 * (i % 60))  # at another point of the query each time
            request = cancel(pw, conn.key)
            hits[0] += len(conn.results().errors)
            request.closed()

    victims = [threading.Thread(target=victim) for _ in range(4)]
    cancellers = [threading.Thread(target=self_canceller) for _ in range(4)]
    for thread in victims + cancellers:
        thread.start()
    for thread in cancellers:
        thread.join()
    stop.set()
    for thread in victims:
        thread.join()
    assert not errors
    assert hits[0] > 0


def test_flood(start, pg, db):
    """Hundreds of cancels neither block logins nor open unbounded connections to the server."""
    pw = start(settings={"default_pool_size": 2, "max_client_conn": 2000})
    conn = pw.connect()
    conn.send(wire.query("SELECT pg_sleep(60)"))
    running(pg, db)
    stop, highest = threading.Event(), [0]
    backend = pg.port

    def watch():
        while not stop.is_set():
            highest[0] = max(highest[0], established(backend, pw.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    requests = []
    for _ in range(400):
        try:
            requests.append(cancel(pw, conn.key))
        except OSError:
            pass
    began = time.monotonic()
    assert pw.connect().scalar("SELECT 1") == "1"
    assert time.monotonic() - began < 5
    assert conn.results().error.sqlstate == "57014"
    stop.set()
    watcher.join()
    assert highest[0] <= 2 + 4, "%d connections to the server" % highest[0]
    for request in requests:
        request.closed()


def established(port, pid):
    """How many sockets of that process are connected to 127.0.0.1:port."""
    inodes = set()
    for name in os.listdir("/proc/%d/fd" % pid):
        try:
            target = os.readlink("/proc/%d/fd/%s" % (pid, name))
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    count, peer = 0, ":%04X" % port
    with open("/proc/net/tcp") as table:
        for line in table:
            words = line.split()
            if words[2].endswith(peer) and words[3] == "01" and words[9] in inodes:
                count += 1
    return count


def test_cancel_over_a_unix_socket(start, pg, db):
    pw = start()
    conn = pw.connect()
    conn.send(wire.query("SELECT pg_sleep(60)"))
    running(pg, db)
    request = pw.raw(unix=True)
    request.send(wire.cancel_request(*conn.key))
    assert conn.results().error.sqlstate == "57014"


def test_cancel_with_a_long_key(start, pg, db):
    pw = start()
    conn = pw.raw().login("app", "test", protocol=wire.PROTOCOL_3_2)
    conn.send(wire.query("SELECT pg_sleep(60)"))
    running(pg, db)
    cancel(pw, (conn.key[0], conn.key[1][:4])).closed()
    cancel(pw, conn.key)
    assert conn.results().error.sqlstate == "57014"


@pytest.mark.parametrize("length", [0, 1, 3, 300, 60000])
def test_malformed_cancel_requests(start, length):
    pw = start()
    conn = pw.raw()
    conn.send(wire.untyped(b"\x04\xd2\x16\x2e" + b"x" * length))
    conn.sock.shutdown(1)
    assert conn.closed() == []
    assert pw.connect().scalar("SELECT 1") == "1"
