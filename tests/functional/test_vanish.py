"""A client that vanishes: its query is cancelled, its transaction rolled back, its server reused."""

import struct
import time

import pytest

from harness import system, wire
from harness.fakeserver import FakeServer, answer_bytes


def ways():
    return [("reset", lambda conn: conn.abort()), ("eof", lambda conn: conn.close()),
            ("terminate", lambda conn: conn.terminate())]


def pid(conn):
    return int(conn.scalar("SELECT pg_backend_pid()"))


@pytest.fixture
def pw(start):
    return start(settings={"default_pool_size": 1})


@pytest.mark.parametrize("way", [w for _, w in ways()], ids=[n for n, _ in ways()])
def test_in_a_transaction(pw, pg, db, way):
    conn, other = pw.connect(), pw.connect()
    other.query("CREATE TABLE v(i int)")
    conn.query("BEGIN; INSERT INTO v VALUES (1)")
    backend = pid(conn)
    way(conn)
    assert pid(other) == backend, "the server was thrown away"
    assert other.scalar("SELECT count(*) FROM v") == "0"
    assert other.query("SELECT 1").status == "I"


@pytest.mark.parametrize("way", [w for _, w in ways()], ids=[n for n, _ in ways()])
def test_in_a_failed_transaction(pw, way):
    conn, other = pw.connect(), pw.connect()
    conn.query("BEGIN")
    backend = pid(conn)
    conn.query("SELECT 1/0", check=False)
    way(conn)
    assert pid(other) == backend and other.query("SELECT 1").status == "I"


@pytest.mark.parametrize("way", [w for n, w in ways() if n != "terminate"], ids=["reset", "eof"])
def test_in_a_query(pw, pg, db, way):
    """The long query stops; its server serves the next client soon. Who says goodbye has it finished: test_terminate.py."""
    conn, other = pw.connect(), pw.connect()
    backend = pid(conn)
    conn.send(wire.query("SELECT pg_sleep(60)"))
    system.wait_for(lambda: [r for r in pg.backends(db) if r["state"] == "active"], 10, "the query")
    way(conn)
    began = time.monotonic()
    assert pid(other) == backend, "the server was thrown away"
    assert time.monotonic() - began < 5


def test_in_a_query_within_a_transaction(pw, pg, db):
    conn, other = pw.connect(), pw.connect()
    other.query("CREATE TABLE v(i int)")
    conn.query("BEGIN; INSERT INTO v VALUES (1)")
    backend = pid(conn)
    conn.send(wire.query("SELECT pg_sleep(60)"))
    system.wait_for(lambda: [r for r in pg.backends(db) if r["state"] == "active"], 10, "the query")
    conn.abort()
    assert pid(other) == backend
    assert other.scalar("SELECT count(*) FROM v") == "0"


def test_in_the_middle_of_a_batch_without_sync(pw):
    conn, other = pw.connect(), pw.connect()
    backend = pid(conn)
    conn.send(wire.parse("SELECT 1"), wire.bind(), wire.execute(), wire.flush())
    conn.read_until("C")
    conn.abort()
    assert pid(other) == backend and other.query("SELECT 1").status == "I"


@pytest.mark.parametrize("flushed", [True, False])
@pytest.mark.parametrize("way", [w for _, w in ways()], ids=[n for n, _ in ways()])
def test_a_batch_without_sync_is_rolled_back(pw, way, flushed):
    """PostgreSQL commits an implicit transaction at the Sync, and without one never."""
    conn, other = pw.connect(), pw.connect()
    other.query("CREATE TABLE v(i int)")
    backend = pid(conn)
    conn.send(wire.parse("INSERT INTO v VALUES (1)"), wire.bind(), wire.execute(), *([wire.flush()] if flushed else []))
    if flushed:
        conn.read_until("C")
    way(conn)
    assert pid(other) == backend, "the server was thrown away"
    assert other.scalar("SELECT count(*) FROM v") == "0"


def test_a_batch_whose_sync_was_sent_is_committed(pw):
    conn, other = pw.connect(), pw.connect()
    other.query("CREATE TABLE v(i int)")
    conn.send(wire.parse("INSERT INTO v VALUES (1)"), wire.bind(), wire.execute(), wire.sync())
    conn.read_until("Z")
    conn.abort()
    assert other.scalar("SELECT count(*) FROM v") == "1"


def test_behind_an_error_without_sync(pw):
    conn, other = pw.connect(), pw.connect()
    conn.send(wire.parse("SELEC"), wire.flush())
    assert conn.read().type == "E"
    conn.abort()
    assert other.query("SELECT 1").status == "I"


def test_in_the_middle_of_copy_in(pw):
    conn, other = pw.connect(), pw.connect()
    other.query("CREATE TABLE v(i int)")
    conn.send(wire.query("COPY v FROM STDIN"))
    assert conn.read().type == "G"
    conn.send(wire.copy_data(b"1\n"))
    conn.abort()
    assert other.scalar("SELECT count(*) FROM v") == "0"


def broken(kind):
    """A message whose last byte, the end of a name, is missing: what pgweir reads instead is a Terminate's first."""
    whole = {"describe": wire.describe("P"), "close": wire.close("S", "a"), "bind": wire.bind(statement="a")[:8],
             "parse": wire.parse("SELECT 1", "a"), "unknown": wire.message("y"), "header": b"Q\0\0\0\0"}[kind]
    if kind == "bind":
        return wire.message("B", b"\0a")
    return whole if kind in ("unknown", "header") else whole[:-1] + b"X"


@pytest.mark.parametrize("kind", ["describe", "close", "bind", "parse", "unknown", "header"])
def test_behind_a_batch_in_one_piece(pw, kind):
    """A client is thrown out in the middle of what one read has brought: what stands before the broken message has
    gone to the server, so that its answers fit what is owed and the server can be saved."""
    conn, other = pw.connect(), pw.connect()
    backend = pid(other)
    conn.send(wire.parse("SELECT 1") + wire.bind() + wire.execute() + broken(kind))
    assert conn.expect_fatal()
    assert pid(other) == backend, pw.log()
    assert not pw.logged("nothing it was asked explains|answered what nobody")


def bytes_received(pw):
    return sum(int(row["bytes_received"]) for row in pw.show("STATS_TOTALS") if row["database"] == "test")


def half(pw, conn, piece):
    """Sends a piece of a message, and vanishes when pgweir has read all of it."""
    before = bytes_received(pw)
    conn.send(piece)
    system.wait_for(lambda: bytes_received(pw) >= before + len(piece), 20, "pgweir to have read it")
    conn.abort()


def test_in_the_middle_of_a_message(pw):
    """Half a CopyData or half a Query has reached the server: that server cannot be saved, the next client is fine."""
    conn, other = pw.connect(), pw.connect()
    other.query("CREATE TABLE v(i int)")
    conn.send(wire.query("COPY v FROM STDIN"))
    assert conn.read().type == "G"
    half(pw, conn, b"d" + struct.pack("!I", 1000000) + b"1\n" * 100000)
    assert other.scalar("SELECT count(*) FROM v") == "0"
    conn = pw.connect()
    half(pw, conn, b"Q" + struct.pack("!I", 1000000) + b"SELECT 1 -- " + b"x" * 500000)
    assert other.query("SELECT 1").status == "I"


@pytest.mark.parametrize("how", ["left", "broken"])
def test_half_a_message_is_never_made_a_whole_one(pw, pg, db, how):
    """Two bytes are missing when the client goes: a Terminate (X, 0, 0, 0, 4) behind them would complete the query."""
    conn, other = pw.connect(), pw.connect()
    other.query("CREATE TABLE v(i int)")
    backend = str(pid(conn))
    whole = wire.query("INSERT INTO v VALUES (1) -- " + "x" * 100000)
    if how == "left":
        half(pw, conn, whole[:-2])
    else:  # its pair is closed from the other side, with the message half passed on
        before = bytes_received(pw)
        conn.send(whole[:-2])
        system.wait_for(lambda: bytes_received(pw) >= before + len(whole) - 2, 20, "pgweir to have read it")
        pw.admin("KILL test")
        pw.admin("RESUME test")
    system.wait_for(lambda: backend not in [str(r["pid"]) for r in pg.backends(db)], 20, "the end of its server")
    assert pw.connect().scalar("SELECT count(*) FROM v") == "0"


def push(pw, conn, data, piece=1 << 16):
    """Sends until pgweir reads no more, for its server takes no more. No end of a stream comes before what was sent
    earlier, so that little is left behind: it lies in pgweir's socket, and the end behind it."""
    for at in range(0, len(data), piece):
        before = bytes_received(pw)
        conn.send(data[at:at + piece])
        try:
            system.wait_for(lambda: bytes_received(pw) == before + len(data[at:at + piece]), 1.5)
        except AssertionError:
            return
    pytest.fail("it takes everything")


@pytest.mark.parametrize("unix", [False, True], ids=["tcp", "unix"])
@pytest.mark.parametrize("way", [w for _, w in ways()][:2], ids=[n for n, _ in ways()][:2])
@pytest.mark.parametrize("rest", [wire.query("SELECT 1"), wire.query("SELECT 1 --" + "x" * (64 << 20))],
                         ids=["many", "one"])
def test_under_back_pressure(pw, pg, db, rest, way, unix):
    """The server does not take what the client has sent behind its query, so the client is not read; that it has
    gone is noticed all the same, and its query cancelled."""
    conn, other = pw.connect(unix=unix), pw.connect()
    conn.send(wire.query("SELECT pg_sleep(60)"))
    system.wait_for(lambda: [r for r in pg.backends(db) if r["state"] == "active"], 10, "the query")
    push(pw, conn, rest * ((64 << 20) // len(rest) + 1))
    way(conn)
    system.wait_for(lambda: not [r for r in pg.backends(db) if "pg_sleep" in r["query"] and r["state"] == "active"], 20,
                    "the query to be cancelled")
    assert other.scalar("SELECT 1") == "1"


@pytest.mark.parametrize("way", [w for _, w in ways()][:2], ids=[n for n, _ in ways()][:2])
def test_while_its_next_message_waits_for_answers(pw, pg, db, way):
    """What a name stands for is not known before the query has been answered: the client is not read until then."""
    conn, other = pw.connect(), pw.connect()
    backend = pid(conn)
    conn.send(wire.parse("SELECT pg_sleep(60)"), wire.bind(), wire.execute(), wire.parse("SELECT 1", "s"), wire.sync(),
              wire.bind((), "s"), wire.execute(), wire.sync())
    system.wait_for(lambda: [r for r in pg.backends(db) if r["state"] == "active"], 10, "the query")
    way(conn)
    began = time.monotonic()
    assert pid(other) == backend, "the server was thrown away"
    assert time.monotonic() - began < 10


def test_with_a_big_answer_under_way(pw, pg, db):
    """Over the budget of bytes: the server is closed or its query cancelled, not read to the end for nobody."""
    conn, other = pw.connect(), pw.connect()
    conn.send(wire.query("SELECT repeat('x', 10000) FROM generate_series(1, 10000000)"))
    conn.wait_readable()
    conn.abort()
    began = time.monotonic()
    assert other.scalar("SELECT 1") == "1"
    assert time.monotonic() - began < 10


def test_while_it_waits(pw):
    """Its query is not executed when its turn comes."""
    holder, late, last = pw.connect(), pw.connect(), pw.connect()
    holder.query("CREATE TABLE v(i int)")
    holder.query("BEGIN")
    late.send(wire.query("INSERT INTO v VALUES (1)"))
    pw.wait_pool(cl_waiting=1)
    late.abort()
    last.send(wire.query("SELECT count(*) FROM v"))
    holder.query("COMMIT")
    assert last.results().scalar() == "0"
    pw.wait_pool(cl_waiting=0)


def test_a_query_that_ignores_cancel(start, pg, db):
    """Beyond the budget of time the server is closed, and the pool goes on."""
    pw = start(settings={"default_pool_size": 1, "client_cleanup_timeout": 1})
    conn, other = pw.connect(), pw.connect()
    conn.send(wire.query("""DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(30);
        EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$"""))
    system.wait_for(lambda: [r for r in pg.backends(db) if r["state"] == "active"], 10, "the query")
    conn.abort()
    began = time.monotonic()
    assert other.scalar("SELECT 1") == "1"
    assert time.monotonic() - began < 8
    pg.kill_backends(db)


def test_many_vanish_at_once(start, pg, db):
    pw = start(settings={"default_pool_size": 4, "max_client_conn": 500})
    for _ in range(10):
        conns = [pw.connect() for _ in range(12)]
        for number, conn in enumerate(conns):
            conn.send(wire.query("BEGIN; SELECT pg_sleep(%g)" % (0.001 * number)))
        for conn in conns:
            conn.abort()
    pw.wait_pool(sv_active=0, cl_active=0, cl_waiting=0)
    conns = [pw.connect() for _ in range(4)]
    for conn in conns:
        assert conn.query("BEGIN").status == "T"
    assert len(pg.backends(db)) == 4


def test_session_mode(start, pg, db):
    pw = start(settings={"pool_mode": "session", "default_pool_size": 1})
    conn = pw.connect()
    conn.query("BEGIN")
    conn.abort()
    assert pw.connect().query("SELECT 1").status == "I"


def test_what_is_read_behind_a_refused_transaction_is_not_lost(start):
    """Statement mode: a client is thrown out at the ReadyForQuery of its BEGIN, and the answers to what it had sent
    behind lie in the same piece of input: they are the clean-up's."""
    def script(session):
        if session.login():
            pipeline = []

            def reply(session, sql):
                if sql not in ("BEGIN", "SELECT 2", "SELECT 3"):
                    return False
                pipeline.append(sql)
                if sql == "SELECT 3":
                    begin = wire.message("C", wire.cstr("BEGIN")) + wire.message("Z", b"T")
                    session.send(begin + answer_bytes("2", status="T") + answer_bytes("3", status="T"))
                return True
            session.serve(reply)

    with FakeServer(script) as fake:
        pw = start({"test": {**fake.entry, "pool_mode": "statement"}},
                   settings={"server_tls_sslmode": "disable", "default_pool_size": 1})
        conn, other = pw.connect(), pw.connect()
        conn.send(wire.query("BEGIN") + wire.query("SELECT 2") + wire.query("SELECT 3"))
        assert conn.expect_fatal("transaction blocks not allowed")
        assert other.scalar("SELECT 1") == "1"
        assert fake.queries.count("ROLLBACK") == 1, fake.queries
        assert not pw.logged("not ready|nothing it was asked explains")


def test_an_answer_too_many_is_told_in_the_log(start):
    """Which message it was, to whom it was said, and what was owed: to the relay and to a clean-up."""
    def script(session):
        if session.login():
            session.serve(lambda session, sql: sql == "odd" and not session.send(wire.message("Z", b"I")))

    with FakeServer(script) as fake:
        pw = start({"test": fake.entry}, settings={"server_tls_sslmode": "disable"})
        conn = pw.connect()
        conn.send(wire.query("odd"))
        assert conn.expect_fatal("server answered out of order")
        pw.wait_log(r"server sent 'Z' to the relay, which nothing it was asked explains \(owed first: Query; 1 in all\)")
        conn = pw.connect()
        conn.send(wire.query("odd") + wire.terminate())
        pw.wait_log(r"server sent 'Z' to a clean-up, which nothing it was asked explains \(owed first: Query; 1 in all\)")
