"""Upkeep of servers: lifetime, idle timeout, check and reset queries, reconnect, crashes."""

import socket
import threading

import pytest

from harness import system, wire
from harness.fakeserver import FakeServer, answer_bytes, error_message


def pid(conn):
    return conn.scalar("SELECT pg_backend_pid()")


def test_server_lifetime(start, pg, db):
    pw = start(settings={"server_lifetime": 1})
    conn = pw.connect()
    first = pid(conn)
    pg.wait_backends(db, 0)
    pw.wait_log("closing because: server lifetime over")
    assert pid(conn) != first


def test_server_lifetime_never_cuts_a_linked_server(start, pg, db):
    pw = start(settings={"server_lifetime": 1})
    conn, other = pw.connect(), pw.connect()
    conn.query("BEGIN")
    first = pid(conn)
    pid(other)
    pg.wait_backends(db, 1)
    assert pid(conn) == first, "a younger server has reached its lifetime, this one is in use"
    conn.query("COMMIT")
    pg.wait_backends(db, 0)  # at once, or a little later: kills of one pool are spaced
    assert pid(conn) != first


def test_server_lifetime_zero_uses_a_server_once(start):
    pw = start(settings={"server_lifetime": 0})
    conn = pw.connect()
    assert len({pid(conn) for _ in range(4)}) == 4


def test_server_lifetime_of_a_database(start, pg, db):
    pw = start({"test": {"server_lifetime": 1}})
    pid(pw.connect())
    pg.wait_backends(db, 0)


def test_server_idle_timeout(start, pg, db):
    pw = start(settings={"server_idle_timeout": 1})
    pid(pw.connect())
    pg.wait_backends(db, 0)
    pw.wait_log("closing because: server idle timeout")


def test_server_idle_timeout_keeps_min_pool_size(start, pg, db):
    pw = start({"test": {"min_pool_size": 1}, "witness": {}}, settings={"server_idle_timeout": 1, "default_pool_size": 3})
    conns = [pw.connect() for _ in range(3)]
    for conn in conns:
        conn.query("BEGIN")
    for conn in conns:
        conn.query("COMMIT")
    pw.wait_pool(sv_idle=1)
    pw.connect(database="witness").scalar("SELECT 1")
    pw.wait_pool(database="witness", sv_idle=1)
    pg.wait_backends(db, 1)
    assert pw.pool()["sv_idle"] == 1, "a server that became idle later is gone, this one stays"



def test_server_check_query(start, pg, db):
    pw = start(settings={"server_check_delay": 1, "server_check_query": "SELECT 'are you there'"})
    conn = pw.connect()
    first = pid(conn)
    pw.wait_pool(sv_used=1)
    assert pid(conn) == first
    pw.wait_pool(sv_used=1)
    conn.query("SELECT 2")


def test_server_check_query_is_sent(start):
    def script(session):
        if session.login():
            session.serve()

    with FakeServer(script) as fake:
        pw = start({"test": fake.entry}, settings={"server_check_delay": 0, "server_reset_query": "",
                                                   "server_check_query": "SELECT 'check'"})
        conn = pw.connect()
        for _ in range(3):
            conn.query("SELECT 'mine'")
        assert fake.queries.count("SELECT 'check'") >= 2
        assert fake.queries.count("SELECT 'mine'") == 3


def test_dead_idle_server_is_not_given_to_a_client(start, pg, db):
    pw = start()
    conn = pw.connect()
    first = pid(conn)
    pg.kill_backends(db)
    pw.wait_pool(sv_idle=0)
    assert pid(conn) != first


def test_server_reset_query_in_session_mode(start):
    pw = start(settings={"pool_mode": "session", "default_pool_size": 1, "server_reset_query": "SET lock_timeout = '77s'"})
    with pw.connect() as conn:
        assert conn.scalar("SHOW lock_timeout") == "0"
    assert pw.connect().scalar("SHOW lock_timeout") == "77s"


def test_server_reset_query_not_in_transaction_mode(start):
    pw = start(settings={"default_pool_size": 1, "server_reset_query": "SET lock_timeout = '77s'"})
    conn = pw.connect()
    conn.query("SELECT 1")
    assert conn.scalar("SHOW lock_timeout") == "0"


def test_server_reset_query_always(start):
    pw = start(settings={"default_pool_size": 1, "server_reset_query": "SET lock_timeout = '77s'",
                         "server_reset_query_always": 1})
    conn = pw.connect()
    conn.query("SELECT 1")
    assert conn.scalar("SHOW lock_timeout") == "77s"


def test_a_server_that_crashes_in_a_query(start, pg, db):
    """The client hears what the server said last, not only that it is gone (PEERS.md, 15)."""
    pw = start()
    conn, other = pw.connect(), pw.connect()
    conn.send(wire.query("SELECT pg_sleep(60)"))
    system.wait_for(lambda: [r for r in pg.backends(db) if "pg_sleep" in (r["query"] or "")], 10, "the query")
    pg.kill_backends(db)
    got = conn.closed()
    errors = [m.error() for m in got if m.type == "E"]
    assert errors and errors[0]["S"] == "FATAL" and errors[0]["C"] == "57P01", errors
    assert other.scalar("SELECT 1") == "1"


def test_kill_nine_of_a_server(start, make_pg):
    import os
    import signal

    server = make_pg()
    pw = start({"test": "host=127.0.0.1 port=%d dbname=postgres" % server.port}, settings={"server_login_retry": 1})
    conn = pw.connect()
    backend = int(pid(conn))
    conn.send(wire.query("SELECT pg_sleep(60)"))
    pw.wait_pool(sv_active=1)
    os.kill(backend, signal.SIGKILL)
    got = conn.closed()
    assert got and got[-1].type == "E" and got[-1].error()["S"] == "FATAL"

    def recovered():
        try:
            return pw.connect().scalar("SELECT 1") == "1"
        except (wire.ServerError, wire.ConnectionClosed):
            return False

    system.wait_for(recovered, 30, "the pool to recover", interval=0.2)


def test_reconnect(start):
    pw = start(settings={"default_pool_size": 2})
    idle, linked = pw.connect(), pw.connect()
    linked.query("BEGIN")
    old = {pid(linked), pid(idle)}
    pw.admin("RECONNECT")
    assert pid(linked) in old
    linked.query("COMMIT")
    assert pid(linked) not in old and pid(idle) not in old


def test_server_fast_close(start):
    pw = start(settings={"pool_mode": "session", "server_fast_close": 1})
    conn = pw.connect()
    conn.query("BEGIN")
    pw.admin("RECONNECT")
    assert conn.scalar("SELECT 1") == "1"
    conn.query("COMMIT")
    conn.expect_fatal("database configuration changed", "08P01")


@pytest.mark.parametrize("last", ["end", "fatal"])
def test_what_came_behind_the_answer_to_an_errand_is_read(start, last):
    """The end of the connection in the same packet as the answer to the reset query; or a FATAL right behind as many
    bytes as one read takes. No event tells of it again when the server is back in its pool."""
    words = error_message("E", {"S": "FATAL", "C": "57P01", "M": "terminating connection"})

    def script(session):
        session.login()
        number = session.server.connections

        def reply(s, sql):
            if sql != "RESET ALL" or number > 1:
                s.answer("server %d" % number)
                return True
            answer = wire.message("C", wire.cstr("RESET")) + wire.message("Z", b"I")
            notice = error_message("N", {"S": "NOTICE", "C": "00000", "M": ""})
            answer = error_message("N", {"S": "NOTICE", "C": "00000", "M": "x" * (4096 - len(answer + notice))}) + answer
            assert len(answer) == 4096
            s.sock.sendall(answer + words if last == "fatal" else answer, socket.MSG_MORE if last == "end" else 0)
            if last == "end":
                raise wire.ConnectionClosed
            return True

        session.serve(reply)

    with FakeServer(script) as fake:
        pw = start({"test": fake.entry}, settings={"default_pool_size": 1, "server_reset_query": "RESET ALL",
                                                   "server_reset_query_always": 1, "server_tls_sslmode": "disable"})
        conn = pw.connect()
        assert conn.scalar("SELECT 1") == "server 1"
        pw.wait_log("S-.* closing because: server conn crashed")
        assert conn.scalar("SELECT 1") == "server 2"


def test_unasked_messages_make_an_idle_server_go(start):
    """An idle server that speaks is not trusted with the next client."""
    speak = threading.Event()

    def script(session):
        if session.login():
            if session.server.connections == 1:
                session.read()
                session.answer("first")
                speak.wait(30)
                session.answer("nobody asked")
            session.serve()

    with FakeServer(script) as fake:
        pw = start({"test": fake.entry}, settings={"server_check_delay": 30})
        conn = pw.connect()
        assert conn.query("SELECT 1").rows == [["first"]]
        pw.wait_pool(sv_idle=1)
        speak.set()
        pw.wait_pool(sv_idle=0)
        assert conn.query("SELECT 1").rows == [["1"]]


def test_an_answer_too_many_is_nobodys_answer(start):
    """Two answers to one query: the second is never taken for the answer to the next query."""

    def script(session):
        if session.login():
            if session.server.connections == 1:
                session.read()
                session.send(answer_bytes("first"), answer_bytes("nobody asked"))
            session.serve()

    with FakeServer(script) as fake:
        pw = start({"test": fake.entry}, settings={"default_pool_size": 1})
        conn, other = pw.connect(), pw.connect()
        conn.send(wire.query("SELECT 1"))
        seen = [m for m in conn.read_until("ZE")]
        assert [m.row() for m in seen if m.type == "D"] in ([[b"first"]], [])
        for _ in range(3):
            assert other.query("SELECT 1").rows == [["1"]]
