"""A client that vanishes: its query is cancelled, its transaction rolled back, its server reused."""

import struct
import time

import pytest

from harness import system, wire


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


@pytest.mark.parametrize("way", [w for _, w in ways()], ids=[n for n, _ in ways()])
def test_in_a_query(pw, pg, db, way):
    """The long query stops; its server serves the next client soon."""
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


def half(pw, conn, piece):
    """Sends a piece of a message, and vanishes when pgweir has read all of it."""
    received = lambda: sum(int(row["bytes_received"]) for row in pw.show("STATS_TOTALS") if row["database"] == "test")
    before = received()
    conn.send(piece)
    system.wait_for(lambda: received() >= before + len(piece), 20, "pgweir to have read it")
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
