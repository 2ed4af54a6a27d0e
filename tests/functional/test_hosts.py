"""Where servers are: host lists, unix sockets, names, dead hosts."""

import threading
import time

import pytest

from harness import system, wire
from harness.fakeserver import FakeServer, closed_port
from harness.pgweir import SLOW


def named(name):
    """A script of a fake server that answers every query with its name."""

    def script(session):
        if session.login():
            session.serve(lambda s, sql: s.answer(name) or True if sql.startswith("SELECT 'who'") else False)

    return script


def test_unix_socket(start, pg, db):
    pw = start({"test": "host=%s port=%d dbname=%s" % (pg.socket_directory, pg.port, db)})
    assert pw.connect().scalar("SELECT inet_client_addr() IS NULL") == "t"


def test_name(start, pg, db):
    pw = start({"test": "host=localhost port=%d dbname=%s" % (pg.port, db)})
    assert pw.connect().scalar("SELECT 1") == "1"


def test_ipv6(start, pg, db):
    pw = start({"test": "host=::1 port=%d dbname=%s" % (pg.port, db)})
    assert pw.connect().scalar("SELECT host(inet_server_addr())") == "::1"


def two_addresses():
    """Fake servers on 127.0.0.2 and 127.0.0.3 at one port, as members of one host list."""
    port = system.free_port()
    return port, *(FakeServer(named(name), host=host, port=port)
                   for host, name in (("127.0.0.2", "two"), ("127.0.0.3", "three")))


def names(pw, count):
    conns = [pw.connect() for _ in range(count)]
    for conn in conns:
        conn.query("BEGIN", check=False)
    seen = []

    def ask(conn):
        seen.append(conn.scalar("SELECT 'who'"))

    threads = [threading.Thread(target=ask, args=(conn,)) for conn in conns]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen


def named_together(count, *servers):
    """These servers tell their names once `count` clients ask, so that none can serve two of them in turn."""
    together = threading.Barrier(count)

    def script_of(name):
        def script(session):
            if session.login():
                def reply(s, sql):
                    if sql.startswith("SELECT 'who'"):
                        together.wait(20)
                        s.answer(name)
                        return True
                session.serve(reply)

        return script

    for name, server in zip(("two", "three"), servers):
        server.script = script_of(name)


def test_round_robin_over_a_list(start):
    port, two, three = two_addresses()
    named_together(4, two, three)
    with two, three:
        pw = start({"test": "host=127.0.0.2,127.0.0.3 port=%d" % port}, settings={"server_tls_sslmode": "disable"})
        seen = names(pw, 4)
        assert set(seen) == {"two", "three"}
        assert abs(two.connections - three.connections) <= 1, "each host gets every second server"


def test_a_dead_member_is_skipped(start):
    """One host of the list is down: clients are served by the other, without waiting for server_login_retry."""
    port, two, three = two_addresses()
    with two, three:
        two.stop()
        pw = start({"test": "host=127.0.0.2,127.0.0.3 port=%d" % port},
                   settings={"server_tls_sslmode": "disable", "server_login_retry": 5})
        began = time.monotonic()
        for _ in range(3):
            assert pw.connect().scalar("SELECT 'who'") == "three"
            pw.admin("RECONNECT")
        assert time.monotonic() - began < 10


def test_load_balance_disabled_stays_with_the_first(start):
    port, two, three = two_addresses()
    named_together(3, two, three)
    with two, three:
        pw = start({"test": "host=127.0.0.2,127.0.0.3 port=%d load_balance_hosts=disable" % port},
                   settings={"server_tls_sslmode": "disable"})
        assert names(pw, 3) == ["two"] * 3


def test_name_that_does_not_exist(start):
    pw = start({"test": "host=no-such-host.invalid port=5432", "good": {}},
               settings={"client_login_timeout": 2 * SLOW, "server_login_retry": 1})
    conn = pw.raw()
    conn.send(wire.startup({"user": "app", "database": "test"}))
    good = pw.connect(database="good")
    slowest = 0.0
    until = time.monotonic() + 1
    while time.monotonic() < until:
        began = time.monotonic()
        good.scalar("SELECT 1")
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 2 * SLOW, "a look-up stopped the loop for %.3f s" % slowest
    conn.expect_fatal("client_login_timeout")
    assert pw.wait_log("DNS")


def test_refused_connection_is_retried(start):
    port = closed_port()
    pw = start({"test": "host=127.0.0.1 port=%d" % port}, settings={"server_login_retry": 0.2, "client_login_timeout": 20,
                                                                    "server_tls_sslmode": "disable"})
    conn = pw.raw()
    conn.send(wire.startup({"user": "app", "database": "test"}))
    pw.wait_log(r"@127\.0\.0\.1:\d+ closing because: connect failed")  # where it was to go
    late = FakeServer(named("late"))
    late._listener.close()
    import socket

    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(8)
    late._listener = listener
    threading.Thread(target=late._accept, daemon=True).start()
    with late:
        conn.authenticate("app", "")
        conn.read_welcome()
        assert conn.scalar("SELECT 'who'") == "late"


def test_a_blip_does_not_lock_the_pool_out(start, make_pg):
    """Back after a short outage: queries work well before server_login_retry (15 s by default) is over."""
    server = make_pg()
    pw = start({"test": "host=127.0.0.1 port=%d dbname=postgres" % server.port})
    conn = pw.connect()
    conn.scalar("SELECT 1")
    server.stop()
    try:
        conn.query("SELECT 1", timeout=2)
    except (wire.ServerError, wire.ConnectionClosed, TimeoutError):
        pass
    server.start()
    began = time.monotonic()

    def served():
        try:
            fresh = pw.raw()
            fresh.timeout = 5
            return fresh.login("app", "test").query("SELECT 1", timeout=5).scalar() == "1"
        except (wire.ServerError, wire.ConnectionClosed, TimeoutError):
            return False

    system.wait_for(served, 30, "the pool to recover", interval=0.1)
    assert time.monotonic() - began < 8


def test_a_refused_client_starts_a_new_login(start, make_pg):
    """After an outage in which the last waiting client gave up, those who are refused bring the pool back."""
    server = make_pg()
    pw = start({"test": "host=127.0.0.1 port=%d dbname=postgres" % server.port}, settings={"default_pool_size": 2})
    conn = pw.connect()
    conn.scalar("SELECT 1")
    mark = pw.mark()
    server.stop()
    conn.send(wire.query("SELECT 1"))
    pw.wait_log("connect failed", since=mark)
    conn.close()
    pw.wait_pool(cl_active=0, cl_waiting=0)
    server.start()

    def served():
        try:
            with pw.connect() as fresh:
                return fresh.scalar("SELECT 1") == "1"
        except (wire.ServerError, wire.ConnectionClosed, TimeoutError):
            return False

    system.wait_for(served, 30, "the pool to recover", interval=0.1)


def test_other_databases_do_not_suffer(start):
    pw = start({"test": "host=127.0.0.1 port=%d" % closed_port(), "good": {}}, settings={"client_login_timeout": 3})
    conns = [pw.raw() for _ in range(20)]
    for conn in conns:
        conn.send(wire.startup({"user": "app", "database": "test"}))
    for _ in range(20):
        assert pw.connect(database="good").scalar("SELECT 1") == "1"


def test_many_tries_are_not_made_at_once(start):
    """Fifty waiting clients of a dead host: attempts stay few (no storm)."""
    attempts = []

    def script(session):
        attempts.append(time.monotonic())
        session.read_startup()

    with FakeServer(script) as fake:
        pw = start({"test": fake.entry}, settings={"client_login_timeout": 3, "server_tls_sslmode": "disable"})
        conns = [pw.raw() for _ in range(50)]
        for conn in conns:
            conn.send(wire.startup({"user": "app", "database": "test"}))
        for conn in conns:
            conn.closed(timeout=15)
        assert len(attempts) <= 40, "%d attempts in 3 s" % len(attempts)
