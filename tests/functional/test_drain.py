"""The stop of systemd (SIGRTMIN): open transactions end, everybody else is told to go, servers get their Terminate."""

import signal
import time

import pytest

from harness import system, wire
from harness.fakeserver import FakeServer
from harness.manager import Manager
from harness.pgweir import IS_PGWEIR, SLOW

pytestmark = pytest.mark.skipif(not IS_PGWEIR, reason="pgweir's own signal")

FATAL = ("terminating connection due to administrator command", "57P01")


def gone(pw, timeout=20):
    status = pw.wait_exit(timeout)
    for conn in pw._opened:
        conn.close()
    return status


def drain(pw):
    pw.signal(signal.SIGRTMIN)
    pw.wait_log("got SIGRTMIN, shutting down, waiting for the transactions that are open")


@pytest.fixture
def manager():
    one = Manager()
    yield one
    one.socket.close()


def test_idle_clients_are_told(start, pg, db):
    pw = start()
    fresh, used, console = pw.connect(), pw.connect(), pw.console()
    used.scalar("SELECT 1")
    drain(pw)
    for conn in (fresh, used, console):
        conn.expect_fatal(*FATAL)
    assert gone(pw) == 0
    assert pw.logged("all connections are closed, exiting")
    assert not pg.backends(db), "PostgreSQL has seen the end of every connection before we are gone"


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_a_transaction_ends(start, pg, db, mode):
    pw = start(settings={"pool_mode": mode, "default_pool_size": 2})
    busy, idle, late = pw.connect(), pw.connect(), pw.connect()
    busy.query("CREATE TABLE IF NOT EXISTS drained(x int)")
    busy.query("BEGIN")
    idle.scalar("SELECT 1")
    drain(pw)
    idle.expect_fatal(*FATAL)
    late.expect_fatal(*FATAL)
    busy.query("INSERT INTO drained VALUES (1)")
    assert busy.query("COMMIT").status == "I"
    busy.expect_fatal(*FATAL)
    assert gone(pw) == 0
    pg.wait_backends(db, 0)
    assert pg.connect(database=db).scalar("SELECT count(*) FROM drained") == "1"


def test_a_running_query_is_answered_whole(start):
    pw = start()
    conn = pw.connect()
    conn.send(wire.query("SELECT repeat('x', 1000), pg_sleep(CASE g WHEN 1 THEN 1 ELSE 0 END) FROM generate_series(1,5000) g"))
    pw.wait_pool(sv_active=1)
    drain(pw)
    result = conn.results()
    assert len(result.rows) == 5000
    conn.expect_fatal(*FATAL)
    assert gone(pw) == 0


def test_waiting_clients_go_without_their_query(start, pg, db):
    pw = start(settings={"default_pool_size": 1})
    busy, waiting = pw.connect(), pw.connect()
    busy.query("BEGIN")
    waiting.send(wire.query("CREATE TABLE never()"))
    pw.wait_pool(cl_waiting=1)
    drain(pw)
    waiting.expect_fatal(*FATAL)
    busy.query("ROLLBACK")
    assert gone(pw) == 0
    assert pg.connect(database=db).scalar("SELECT to_regclass('never')") is None


def test_who_does_not_end_is_cut_at_the_deadline(start, pg, db):
    pw = start(settings={"shutdown_timeout": 1})
    idle, running = pw.connect(), pw.connect()
    idle.query("BEGIN")
    running.send(wire.query("SELECT pg_sleep(600)"))
    pw.wait_pool(sv_active=2)
    begin = time.monotonic()
    drain(pw)
    idle.expect_fatal(*FATAL)
    running.expect_fatal(*FATAL)
    assert time.monotonic() - begin > 0.9
    assert gone(pw) == 0
    assert pw.logged("WARNING shutdown_timeout is over, 2 clients are closed in the middle of their work")
    pg.wait_backends(db, 0)


def test_systemd_is_asked_for_time(start, manager):
    pw = start(environment={"NOTIFY_SOCKET": manager.path})
    conn = pw.connect()
    conn.query("BEGIN")
    drain(pw)
    manager.expect("STOPPING=1")
    for _ in range(2):
        manager.expect("EXTEND_TIMEOUT_USEC=10000000")
    manager.expect(r"STATUS=stopping: 1 clients, 0 waiting, 1 servers, \d+ queries/s")
    conn.query("COMMIT")
    assert gone(pw) == 0


def test_a_login_on_its_way_is_told(start):
    pw = start()
    raw = pw.raw(unix=True)
    system.wait_for(lambda: pw.admin("SHOW LISTS").rows, what="the console")
    drain(pw)
    raw.expect_fatal(*FATAL)
    assert gone(pw) == 0


def test_a_newcomer_is_let_in_and_its_first_query_is_answered(start):
    """Accepted a moment before the stop: a program that connects for each query must not notice a restart."""
    pw = start()
    newcomer = pw.raw(unix=True)
    pw.connect(unix=True).scalar("SELECT 1")  # who has come behind it has been served: it has been accepted
    drain(pw)
    newcomer.login("app", "test", pw.USERLIST["app"])
    assert newcomer.scalar("SELECT 7") == "7"
    newcomer.expect_fatal(*FATAL)
    assert gone(pw) == 0


def test_servers_get_their_terminate(start):
    """Used, resting or just let go by the last transaction: none of them finds out by a bare end of stream."""
    ends = []

    def script(session):
        if session.login():
            session.serve()  # comes back from a Terminate only
            ends.append("terminate")

    with FakeServer(script) as fake:
        pw = start({"test": {"host": fake.host, "port": fake.port}})
        clients = [pw.connect() for _ in range(3)]
        for conn in clients:
            conn.send(wire.query("SELECT 1"))
        for conn in clients:
            conn.results()
        drain(pw)
        assert gone(pw) == 0
        system.wait_for(lambda: len(ends) == fake.connections > 0, what="each server's end")


def test_a_second_one_ends_at_once(start):
    pw = start()
    pw.connect().query("BEGIN")
    drain(pw)
    pw.signal(signal.SIGRTMIN)
    assert gone(pw, 10) == 0
    assert pw.logged("got SIGRTMIN while draining, fast exit")


def test_it_hurries_on_a_shutdown_that_waits_for_clients(start):
    pw = start()
    conn = pw.connect()
    pw.signal(signal.SIGTERM)
    pw.wait_log("got SIGTERM")
    drain(pw)
    conn.expect_fatal(*FATAL)
    assert gone(pw) == 0


def test_a_suspended_client_ends_its_transaction(start):
    pw = start()
    conn = pw.connect()
    console = pw.console()
    conn.query("BEGIN")
    conn.scalar("SELECT 1")
    console.query("SUSPEND")
    conn.send(wire.query("COMMIT"))
    drain(pw)
    assert conn.results().tags == ["COMMIT"]
    conn.expect_fatal(*FATAL)
    assert gone(pw) == 0


def test_a_busy_session_client_cannot_go_on_for_ever(start):
    """Query upon query, each a transaction of its own and sent as soon as the last one is answered."""
    pw = start(settings={"pool_mode": "session"})
    conn = pw.connect()
    conn.scalar("SELECT 1")
    drain_at, answered = 20, 0
    with pytest.raises((wire.ServerError, wire.ConnectionClosed, OSError)):
        for number in range(2000):
            if number == drain_at:
                drain(pw)
            conn.scalar("SELECT pg_sleep(0.01)")
            answered = number
    assert answered < drain_at + 300
    assert gone(pw) == 0
