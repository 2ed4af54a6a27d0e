"""Every timeout of compat/wire.md, section 12: what it does, to whom, and what it leaves alone."""

import time

import pytest

from harness import system, wire
from harness.fakeserver import FakeServer, closed_port


def took(since):
    return time.monotonic() - since


def test_query_timeout(start):
    pw = start(settings={"query_timeout": 1})
    conn = pw.connect()
    began = time.monotonic()
    conn.send(wire.query("SELECT pg_sleep(30)"))
    conn.expect_fatal("query timeout", "08P01")
    assert 0.9 < took(began) < 5
    pw.wait_pool(sv_active=0)
    assert pw.connect().scalar("SELECT 1") == "1"


def test_query_timeout_does_not_count_idle_in_transaction(start):
    pw = start(settings={"query_timeout": 1})
    conn, witness = pw.connect(), pw.connect()
    conn.query("BEGIN")
    witness.send(wire.query("SELECT pg_sleep(30)"))
    witness.expect_fatal("query timeout")
    assert conn.scalar("SELECT 1") == "1"


def test_query_timeout_per_user(start):
    pw = start(users={"app2": {"query_timeout": 1}})
    conn, other = pw.connect("app2"), pw.connect("app")
    other.send(wire.query("SELECT pg_sleep(2)"))
    conn.send(wire.query("SELECT pg_sleep(30)"))
    conn.expect_fatal("query timeout")
    assert other.results().tags == ["SELECT 1"]


def test_query_wait_timeout(start):
    pw = start(settings={"default_pool_size": 1, "query_wait_timeout": 1})
    holder = pw.connect()
    holder.query("BEGIN")
    late = pw.connect()
    began = time.monotonic()
    late.send(wire.query("SELECT 1"))
    late.expect_fatal("query_wait_timeout", "08P01")
    assert 0.9 < took(began) < 5
    assert holder.query("COMMIT").status == "I"
    pw.wait_pool(cl_waiting=0)


def test_query_wait_timeout_runs_during_pause(start):
    pw = start(settings={"query_wait_timeout": 1})
    conn = pw.connect()
    conn.scalar("SELECT 1")
    pw.admin("PAUSE")
    conn.send(wire.query("SELECT 1"))
    conn.expect_fatal("query_wait_timeout")
    pw.admin("RESUME")


@pytest.mark.parametrize("kwargs", [{"databases": {"test": {"query_wait_timeout": 1}}},
                                    {"users": {"app": {"query_wait_timeout": 1}}}])
def test_query_wait_timeout_of_a_database_or_user(start, kwargs):
    pw = start(settings={"default_pool_size": 1}, **kwargs)
    holder = pw.connect()
    holder.query("BEGIN")
    late = pw.connect()
    late.send(wire.query("SELECT 1"))
    late.expect_fatal("query_wait_timeout")


def test_query_wait_notify(start):
    pw = start(settings={"default_pool_size": 1, "query_wait_notify": 1})
    holder = pw.connect()
    holder.query("BEGIN")
    late = pw.connect()
    late.send(wire.query("SELECT 1"))
    notice = late.read()
    assert notice.type == "N"
    fields = notice.error()
    assert fields["S"] == "NOTICE" and fields["C"] == "00000"
    assert fields["M"].startswith("No server connection available in postgres backend, client being queued")
    assert late.silent(1.5), "the notice must come once"
    holder.query("COMMIT")
    assert late.results().scalar() == "1"


def test_idle_transaction_timeout(start, pg, db):
    pw = start(settings={"idle_transaction_timeout": 1})
    conn, busy = pw.connect(), pw.connect()
    busy.query("BEGIN")
    busy.send(wire.query("SELECT pg_sleep(2.5)"))
    conn.query("BEGIN")
    began = time.monotonic()
    conn.expect_fatal("idle transaction timeout", "08P01")
    assert 0.9 < took(began) < 5
    assert busy.results().tags == ["SELECT 1"]
    busy.query("COMMIT")
    pg.wait_backends(db, 1)


@pytest.mark.parametrize("sent, answers", [
    ([wire.query("BEGIN"), wire.parse("SELECT 1"), wire.flush()], "CZ1"),
    ([wire.query("BEGIN"), wire.parse("SELECT 1"), wire.bind(), wire.execute(), wire.flush()], "CZ12DC"),
    ([wire.query("BEGIN"), wire.parse("SELECT nonsense"), wire.flush()], "CZE"),
    ([wire.parse("CREATE TABLE held ()"), wire.bind(), wire.execute(), wire.flush()], "12C"),
], ids=["parse", "execute", "error", "without BEGIN"])
def test_idle_transaction_timeout_behind_a_flush(start, pg, db, sent, answers):
    """A batch that nobody ends by a Sync holds locks and a server as well."""
    pw = start(settings={"idle_transaction_timeout": 1})
    conn = pw.connect()
    conn.send(*sent)
    got = "".join(conn.read().type for _ in answers)
    assert got == answers
    began = time.monotonic()
    conn.expect_fatal("idle transaction timeout", "08P01")
    assert 0.8 < took(began) < 5
    pg.wait_backends(db, 0)


def test_idle_transaction_timeout_spares_a_batch_that_works(start):
    pw = start(settings={"idle_transaction_timeout": 1})
    conn, slow = pw.connect(), pw.connect()
    slow.send(wire.query("BEGIN"), wire.parse("SELECT pg_sleep(2.5)"), wire.bind(), wire.execute(), wire.flush())
    for _ in range(5):
        conn.send(wire.parse("SELECT 1"), wire.bind(), wire.execute(), wire.flush())
        conn.read_until("C")
        assert conn.silent(0.5)
    conn.send(wire.sync())
    assert conn.read_until("Z")
    slow.read_until("D")
    slow.send(wire.sync(), wire.query("COMMIT"))
    assert slow.read_until("Z") and slow.read_until("Z")


def test_idle_transaction_timeout_leaves_active_transactions_alone(start):
    pw = start(settings={"idle_transaction_timeout": 1})
    conn, idle = pw.connect(), pw.connect()
    conn.query("BEGIN")
    idle.query("BEGIN")
    while idle.silent(0.1):
        conn.scalar("SELECT 1")
    idle.expect_fatal("idle transaction timeout")
    assert conn.query("COMMIT").status == "I"


def test_transaction_timeout(start, pg, db):
    pw = start(settings={"transaction_timeout": 1})
    conn = pw.connect()
    began = time.monotonic()
    conn.query("BEGIN")
    with pytest.raises(wire.ServerError) as caught:
        while True:
            conn.query("SELECT pg_sleep(0.1)")
    assert "transaction timeout" in caught.value.message and caught.value.severity == "FATAL"
    assert 0.9 < took(began) < 5
    pg.wait_backends(db, 0)
    conn, witness = pw.connect(), pw.connect()
    conn.scalar("SELECT 1")
    witness.query("BEGIN")
    while witness.silent(0.1):
        conn.scalar("SELECT 1")
    witness.expect_fatal("transaction timeout")
    assert conn.scalar("SELECT 2") == "2", "many short transactions are no long one"


@pytest.mark.parametrize("mode", ["session", "transaction"])
@pytest.mark.parametrize("late", [[wire.query("SELECT pg_sleep(30)")],
                                  [wire.query("BEGIN"), wire.query("SELECT pg_sleep(30)")],
                                  [wire.parse("SELECT pg_sleep(30)"), wire.bind(), wire.execute(), wire.sync()]],
                         ids=["query", "begin", "extended"])
def test_transaction_timeout_of_a_later_transaction(start, mode, late):
    """In session mode the server stays, and each transaction is measured by itself."""
    pw = start(settings={"pool_mode": mode, "transaction_timeout": 2})
    conn = pw.connect()
    for _ in range(3):  # longer than the limit in all
        conn.query("SELECT pg_sleep(0.8)")
        conn.send(wire.flush())
    began = time.monotonic()
    conn.send(*late)
    conn.read_until("E", timeout=15)
    assert 1.9 < took(began) < 8
    pw.wait_pool(sv_active=0)


def test_a_flush_begins_no_transaction(start):
    pw = start(settings={"pool_mode": "session", "transaction_timeout": 1, "query_timeout": 1})
    conn = pw.connect()
    conn.query("SELECT 1")
    conn.send(wire.flush(), wire.copy_done())
    assert conn.silent(1.5)
    for _ in range(3):
        assert conn.query("SELECT pg_sleep(0.4)").tags == ["SELECT 1"]


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_times_of_transactions_are_counted(start, mode):
    pw = start(settings={"pool_mode": mode})
    conn = pw.connect()
    for _ in range(2):
        for sql in ("BEGIN", "SELECT pg_sleep(0.2)", "COMMIT", "SELECT pg_sleep(0.1)"):
            conn.query(sql)
    conn.extended("SELECT pg_sleep(0.2)")
    row = next(r for r in pw.show("STATS") if r["database"] == "test")
    assert row["total_xact_count"] == "5" and row["total_query_count"] == "9"
    assert 800_000 < int(row["total_xact_time"]) < 30_000_000
    assert 800_000 < int(row["total_query_time"]) <= int(row["total_xact_time"])


@pytest.mark.parametrize("setting, phrase", [("idle_transaction_timeout", "idle transaction timeout"),
                                             ("transaction_timeout", "transaction timeout")])
def test_transaction_timeouts_per_user(start, setting, phrase):
    pw = start(users={"app2": {setting: 1}})
    conn, other = pw.connect("app2"), pw.connect("app")
    other.query("BEGIN")
    conn.query("BEGIN")
    conn.expect_fatal(phrase)
    assert other.query("COMMIT").status == "I"


def test_client_idle_timeout(start):
    pw = start(settings={"client_idle_timeout": 1})
    console = pw.console()
    conn, busy, linked = pw.connect(), pw.connect(), pw.connect()
    linked.query("BEGIN")
    busy.send(wire.query("SELECT pg_sleep(2.5)"))
    began = time.monotonic()
    conn.expect_fatal("client_idle_timeout", "08P01")
    assert 0.9 < took(began) < 5
    assert busy.results().tags == ["SELECT 1"]
    assert linked.query("COMMIT").status == "I"
    assert console.query("SHOW VERSION").rows, "it has been idle for longer than all of them"


def test_client_idle_timeout_per_user(start):
    """Only that user; the others are not disconnected (a defect of the reference)."""
    pw = start(users={"app2": {"client_idle_timeout": 1}})
    conn, other = pw.connect("app2"), pw.connect("app")
    conn.expect_fatal("client_idle_timeout")
    assert other.scalar("SELECT 1") == "1"


def test_client_login_timeout(start):
    pw = start(settings={"client_login_timeout": 1, "auth_type": "md5"})
    silent, half, asked = pw.raw(), pw.raw(), pw.raw()
    half.send(wire.startup({"user": "app", "database": "test"})[:10])
    asked.send(wire.startup({"user": "app", "database": "test"}))
    began = time.monotonic()
    for conn in (silent, half):
        conn.closed(timeout=10)
    asked.expect_fatal("client_login_timeout", "08P01", timeout=10)
    assert 0.9 < took(began) < 5


def test_client_login_timeout_while_the_server_is_down(start):
    pw = start({"test": "host=127.0.0.1 port=%d" % closed_port()},
               settings={"client_login_timeout": 1, "server_login_retry": 1})
    conn = pw.raw()
    conn.send(wire.startup({"user": "app", "database": "test"}))
    conn.expect_fatal("client_login_timeout (server down)", "08P01")


def test_server_connect_timeout(start):
    def script(session):
        session.read_startup()
        session.read_bytes(1, timeout=60)

    with FakeServer(script) as fake:
        pw = start({"test": fake.entry}, settings={"server_connect_timeout": 1, "server_login_retry": 0.1,
                                                   "client_login_timeout": 4, "server_tls_sslmode": "disable"})
        conn = pw.raw()
        conn.send(wire.startup({"user": "app", "database": "test"}))
        pw.wait_log("closing because: connect timeout")
        system.wait_for(lambda: fake.connections >= 2, 5, "a second attempt")
        conn.expect_fatal("client_login_timeout")


def test_server_login_retry(start, make_pg):
    """A client that waits is served as soon as the server is back."""
    server = make_pg()
    pw = start({"test": "host=127.0.0.1 port=%d dbname=postgres" % server.port}, settings={"server_login_retry": 1})
    conn = pw.connect()
    conn.scalar("SELECT 1")
    server.stop()
    waiting = pw.raw()
    server.start()
    waiting.login("app", "test")
    assert system.wait_for(lambda: try_query(waiting), 10, "the pool to recover")


def try_query(conn):
    try:
        return conn.scalar("SELECT 1") == "1"
    except (wire.ServerError, wire.ConnectionClosed):
        return False


def test_login_failure_is_told_to_logged_in_clients(start, make_pg):
    server = make_pg()
    pw = start({"test": "host=127.0.0.1 port=%d dbname=postgres" % server.port}, settings={"server_login_retry": 30})
    first, second = pw.connect(), pw.connect()
    first.scalar("SELECT 1")
    server.stop()
    first.send(wire.query("SELECT 1"))
    pw.wait_log("closing because: connect failed")
    second.send(wire.query("SELECT 1"))
    second.expect_fatal("server login has been failing", "08P01")


def test_cancel_wait_timeout(start):
    """A cancel request whose server does not take it ends by itself."""

    def script(session):
        if "cancel" in session.read_startup():
            session.server.cancels.append(session.startup)
            session.read_bytes(1, timeout=60)
        else:
            session.welcome()
            session.serve(lambda s, sql: "sleep" in sql)

    with FakeServer(script) as fake:
        pw = start({"test": fake.entry}, settings={"cancel_wait_timeout": 1, "server_tls_sslmode": "disable"})
        conn = pw.connect()
        conn.send(wire.query("SELECT pg_sleep(60)"))
        pw.wait_pool(sv_active=1)
        cancel = pw.raw()
        cancel.send(wire.cancel_request(*conn.key))
        began = time.monotonic()
        assert cancel.closed(timeout=10) == []
        assert took(began) < 8


def test_timeouts_take_units(start):
    pw = start(settings={"query_timeout": "900ms"})
    conn = pw.connect()
    conn.send(wire.query("SELECT pg_sleep(30)"))
    conn.expect_fatal("query timeout")
