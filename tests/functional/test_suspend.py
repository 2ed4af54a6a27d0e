"""SUSPEND: who is flushed, who is frozen, who is closed, and how it ends (compat/console.md, section 4)."""

import signal
import ssl
import threading
import time

import pytest

from harness import system, wire
from harness.pgweir import CONSOLE, IS_PGWEIR

pytestmark = pytest.mark.skipif(not IS_PGWEIR, reason="Debian's pgbouncer is older")


def state(console):
    return {r["key"]: r["value"] for r in console.query("SHOW STATE").dicts()}


def suspend(console, timeout=10):
    console.send(wire.query("SUSPEND"))
    assert console.results(timeout=timeout).tags == ["SUSPEND"]


def error(console, sql):
    got = console.query(sql, check=False).error
    return got.sqlstate, got.message


def wait_buffered(pw, conn, **least):
    """Until pgweir holds at least that many bytes for this client, in that column of SHOW ACTIVE_SOCKETS."""
    (column, count), = least.items()
    port = str(conn.sock.getsockname()[1])
    system.wait_for(lambda: [r for r in pw.show("ACTIVE_SOCKETS") if r["type"] == "C" and r["port"] == port
                             and int(r[column]) >= count], 15, "%d bytes in %s" % (count, column))


@pytest.mark.parametrize("workers", ["1", "3"])
def test_suspend_and_resume(start, workers):
    pw = start(settings={"workers": workers})
    conns = [pw.connect() for _ in range(6)]
    for conn in conns:
        conn.scalar("SELECT 1")
    conns[0].query("BEGIN")
    pw.wait_pool(sv_active=1)
    idle = pw.pool()["sv_idle"]
    console, other = pw.console(), pw.console()
    suspend(console)
    assert state(console) == {"active": "no", "paused": "no", "suspended": "yes"}
    assert pw_pool(console)["sv_idle"] == str(idle), "idle servers are kept"
    newcomer = pw.raw()
    newcomer.send(wire.startup({"user": "app", "database": "test"}))
    for number, conn in enumerate(conns):
        conn.send(wire.query("SELECT %d" % number))
    assert not [conn for conn in [*conns, newcomer] if not conn.silent(0.1)]
    assert state(other)["suspended"] == "yes"
    assert other.query("RESUME").tags == ["RESUME"]
    assert [conn.results().scalar() for conn in conns] == [str(n) for n in range(6)]
    newcomer.authenticate("app", "")
    newcomer.read_welcome()
    assert newcomer.scalar("SELECT 7") == "7"
    assert state(console) == {"active": "yes", "paused": "no", "suspended": "no"}
    suspend(console)
    assert conns[1].silent(0.1)
    console.query("RESUME")
    assert conns[1].scalar("SELECT 1") == "1"


def pw_pool(console):
    return [r for r in console.query("SHOW POOLS").dicts() if r["database"] == "test"][0]


def test_answer_that_comes_meanwhile_is_kept(start):
    pw = start()
    conn = pw.connect()
    conn.scalar("SELECT 1")
    console = pw.console()
    conn.send(wire.query("SELECT pg_sleep(0.3), 'kept'"))
    pw.wait_pool(sv_active=1)
    suspend(console)
    assert conn.silent(0.6)
    console.query("RESUME")
    assert conn.results().rows[0][1] == "kept"


@pytest.mark.parametrize("workers", ["1", "3"])
def test_who_waits_for_a_server_gets_it_first(start, workers):
    """So that nobody's request is lost in between: it is with its server, and the answer comes after RESUME."""
    pw = start(settings={"default_pool_size": 1, "workers": workers})
    holder, *late = [pw.connect() for _ in range(4)]
    holder.send(wire.query("SELECT pg_sleep(0.7)"))
    pw.wait_pool(sv_active=1)
    for conn in late:
        conn.send(wire.query("SELECT 2"))
    pw.wait_pool(cl_waiting=3)
    console, other = pw.console(), pw.console()
    console.send(wire.query("SUSPEND"))
    assert console.silent(0.2)
    assert state(other) == {"active": "no", "paused": "no", "suspended": "yes"}
    assert console.results(timeout=10).tags == ["SUSPEND"]
    assert pw_pool(other)["cl_waiting"] == "0"
    other.query("RESUME")
    assert holder.results().status == "I"
    assert [conn.results().scalar() for conn in late] == ["2"] * 3


def test_half_a_message_is_waited_for(start):
    pw = start()
    conn = pw.connect()
    console = pw.console()
    whole = wire.query("SELECT 'half " + "x" * 300000 + "'")
    conn.send(whole[:200000])
    pw.wait_pool(sv_active=1)
    console.send(wire.query("SUSPEND"))
    assert console.silent(0.4)
    conn.send(whole[200000:] + wire.query("SELECT 'next'"))
    assert console.results(timeout=10).tags == ["SUSPEND"]
    console.query("RESUME")
    assert len(conn.results().scalar()) == 300005
    assert conn.results().scalar() == "next"


def test_half_a_header_is_waited_for(start):
    pw = start()
    conn = pw.connect()
    console = pw.console()
    whole = wire.query("SELECT 5")
    conn.send(whole[:3])
    wait_buffered(pw, conn, recv_pos=3)
    console.send(wire.query("SUSPEND"))
    assert console.silent(0.3)
    conn.send(whole[3:])
    assert console.results(timeout=10).tags == ["SUSPEND"]
    console.query("RESUME")
    assert conn.results().scalar() == "5"


def test_streams_are_cut_between_messages_and_go_on(start):
    """Large results and a large pipeline, again and again stopped: not a byte is lost or doubled."""
    pw = start(settings={"workers": "2"})
    console = pw.console()
    conns = [pw.connect() for _ in range(4)]
    failures = []

    def work(conn):
        try:
            for turn in range(3):
                rows = conn.query("SELECT n, repeat('x', 5000) FROM generate_series(1, 4000) n", timeout=60).rows
                assert [int(r[0]) for r in rows] == list(range(1, 4001)) and {len(r[1]) for r in rows} == {5000}
                conn.send(b"".join(wire.query("SELECT %d, '%s'" % (n, "y" * 2000)) for n in range(300)))
                assert [int(conn.results(timeout=60).rows[0][0]) for n in range(300)] == list(range(300))
        except Exception as problem:
            failures.append(problem)

    threads = [threading.Thread(target=work, args=(conn,)) for conn in conns]
    for thread in threads:
        thread.start()
    rounds = 0
    while any(thread.is_alive() for thread in threads):
        suspend(console, 30)
        console.query("RESUME")
        rounds += 1
    assert not failures, failures
    assert rounds > 3
    assert not pw.logged("suspend_timeout|closing because: [^c]")


# suspend_timeout.


def test_suspend_timeout_closes_who_cannot_be_flushed(start, pg, db):
    pw = start(settings={"suspend_timeout": 1})
    login, half, reader, good = pw.raw(), pw.connect(), pw.connect(), pw.connect()
    good.query("BEGIN")
    login.send(wire.startup({"user": "app", "database": "test"})[:8])
    half.send(wire.query("SELECT 1")[:8])
    reader.send(wire.query("SELECT repeat('x', 1000000) FROM generate_series(1, 50)"))  # and does not read
    pw.wait_pool(sv_active=2)
    wait_buffered(pw, half, recv_pos=8)
    wait_buffered(pw, reader, send_avail=1)
    console = pw.console()
    lists = {r["list"]: r["items"] for r in console.query("SHOW LISTS").dicts()}
    assert lists["login_clients"] == "1"
    begun = time.monotonic()
    suspend(console)
    assert time.monotonic() - begun > 0.9
    login.expect_fatal("suspend_timeout", "08P01")
    half.expect_fatal("suspend_timeout", "08P01")
    console.query("RESUME")
    assert good.scalar("SELECT 1") == "1"
    pw.wait_pool(sv_active=1, cl_waiting=0)
    system.wait_for(lambda: len(pw.logged(r"C-0x.* closing because: suspend_timeout")) == 3, 10, "three lines")
    with pytest.raises(Exception):
        while True:
            reader.read(timeout=5)
    good.query("COMMIT")
    pg.wait_backends(db, 1)


def test_who_waits_in_vain_is_closed(start):
    """The server is held by a transaction that nobody can end: its client is not read any more."""
    pw = start(settings={"suspend_timeout": 1, "default_pool_size": 1})
    holder, late = pw.connect(), pw.connect()
    holder.query("BEGIN")
    late.send(wire.query("SELECT 1"))
    pw.wait_pool(cl_waiting=1)
    console = pw.console()
    suspend(console)
    late.expect_fatal("suspend_timeout", "08P01")
    console.query("RESUME")
    assert holder.query("COMMIT").status == "I"


def test_without_a_timeout_it_waits_until_resume(start):
    pw = start(settings={"suspend_timeout": 0})
    half = pw.connect()
    half.send(wire.query("SELECT 8")[:8])
    wait_buffered(pw, half, recv_pos=8)
    console, other = pw.console(), pw.console()
    console.send(wire.query("SUSPEND"))
    assert console.silent(1.5)
    assert other.query("RESUME").tags == ["RESUME"]
    assert console.results().error.message == "SUSPEND was ended before all connections came to rest"
    assert console.query("SHOW VERSION").rows
    half.send(wire.query("SELECT 8")[8:])
    assert half.results().scalar() == "8"


def test_used_servers_are_closed_and_idle_ones_kept(start, pg, db):
    pw = start(settings={"server_check_delay": 1, "server_idle_timeout": 60})
    conns = [pw.connect() for _ in range(2)]
    for conn in conns:
        conn.query("BEGIN")
    for conn in conns:
        conn.query("COMMIT")
    pw.wait_pool(sv_used=2)
    conns[0].query("BEGIN")
    console = pw.console()
    suspend(console)
    pw.wait_log("closing because: close unsafe fds on suspend")
    pg.wait_backends(db, 1)
    console.query("RESUME")
    assert conns[0].query("COMMIT").status == "I" and conns[1].scalar("SELECT 1") == "1"


def test_timeouts_stand_still(start):
    pw = start(settings={"client_idle_timeout": 1, "idle_transaction_timeout": 1})
    idle, busy = pw.connect(), pw.connect()
    busy.query("BEGIN")
    console = pw.console()
    suspend(console)
    idle.send(wire.query("SELECT 1"))
    busy.send(wire.query("COMMIT"))
    assert idle.silent(1.8)
    console.query("RESUME")
    assert idle.results().scalar() == "1" and busy.results().status == "I"


# How it ends, and what else may happen meanwhile.


def test_last_console_that_leaves_resumes(start):
    pw = start()
    conn = pw.connect()
    console, other = pw.console(), pw.console()
    suspend(console)
    conn.send(wire.query("SELECT 1"))
    console.terminate()
    assert conn.silent(0.5), "another console client is still there"
    other.abort()
    assert conn.results().scalar() == "1"
    pw.wait_log("no console client is left, continuing from SUSPEND")
    assert state(pw.console()) == {"active": "yes", "paused": "no", "suspended": "no"}


def test_console_that_leaves_before_the_answer_resumes(start):
    pw = start(settings={"suspend_timeout": 0})
    half = pw.connect()
    half.send(wire.query("SELECT 8")[:8])
    wait_buffered(pw, half, recv_pos=8)
    console = pw.console()
    console.send(wire.query("SUSPEND"))
    assert console.silent(0.3)
    console.abort()
    half.send(wire.query("SELECT 8")[8:])
    assert half.results().scalar() == "8"
    assert pw.connect().scalar("SELECT 1") == "1"


def test_what_is_refused_meanwhile(start):
    pw = start({"test": {}, "other": {}})
    console = pw.console()
    console.query("PAUSE test")
    assert error(console, "SUSPEND") == ("08P01", "cannot suspend with paused databases")
    console.query("RESUME test")
    console.query("PAUSE")
    assert error(console, "SUSPEND") == ("08P01", "already suspended/paused")
    console.query("RESUME")
    suspend(console)
    for command in ("SUSPEND", "PAUSE", "PAUSE test", "KILL", "KILL test"):
        assert error(console, command) == ("08P01", "already suspended/paused"), command
    assert error(console, "RESUME test") == ("08P01", "database test is not paused")
    console.query("RESUME")
    assert error(console, "RESUME") == ("08P01", "pooler is not paused/suspended")


def test_kill_client_and_reload_meanwhile(start):
    pw = start({"test": {}, "other": {}})
    victim, good, removed = pw.connect(), pw.connect(), pw.connect(database="other")
    victim.query("BEGIN")
    console = pw.console()
    port = str(victim.sock.getsockname()[1])
    suspend(console)
    mine = [r["id"] for r in console.query("SHOW CLIENTS").dicts() if r["port"] == port][0]
    assert console.query("KILL_CLIENT " + mine).tags == ["KILL_CLIENT"]
    victim.expect_fatal("admin forced disconnect", "08P01")
    del pw.databases["other"]
    pw.write_config()
    pw.signal(signal.SIGHUP)
    removed.expect_fatal("database removed", "08P01")
    assert state(console)["suspended"] == "yes"
    console.query("RESUME")
    assert good.scalar("SELECT 1") == "1"


def test_cancel_with_the_consoles_key_cannot_come_in_but_resume_does(start):
    """Nobody is accepted: a cancel request waits in the backlog until RESUME, and does no harm then."""
    pw = start()
    console = pw.console()
    suspend(console)
    cancel = pw.raw()
    cancel.send(wire.cancel_request(*console.key))
    assert cancel.silent(0.3)
    assert state(console)["suspended"] == "yes"
    console.query("RESUME")
    cancel.closed()
    assert pw.connect().scalar("SELECT 1") == "1"


@pytest.mark.parametrize("number, name", [(signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "SIGINT")])
def test_term_and_int_fail(start, number, name):
    pw = start(expect_status=1)
    conn, console = pw.connect(), pw.console()
    suspend(console)
    pw.signal(number)
    assert pw.wait_exit(20) == 1
    assert pw.wait_log("got %s, shutting down" % name)
    assert pw.wait_log("FATAL suspend was in progress, going down immediately")
    for one in (conn, console):
        assert [m for m in one.closed() if m.type == "E"] == []


def test_quit_and_shutdown_end_at_once(start):
    for end in (signal.SIGQUIT, None):
        pw = start()
        console = pw.console()
        suspend(console)
        if end:
            pw.signal(end)
        else:
            console.send(wire.query("SHUTDOWN"))
        assert pw.wait_exit(20) == 0


def test_shutdown_that_waits_lifts_it(start):
    pw = start()
    conn, console = pw.connect(), pw.connect("admin", CONSOLE, unix=True)
    conn.query("BEGIN")
    suspend(console)
    conn.send(wire.query("COMMIT"))
    assert conn.silent(0.2)
    assert console.query("SHUTDOWN WAIT_FOR_CLIENTS").tags == ["SHUTDOWN"]
    assert conn.results().status == "I"
    assert error(console, "SUSPEND") == ("08P01", "pooler is shutting down")
    assert error(console, "PAUSE") == ("08P01", "pooler is shutting down")
    conn.terminate()
    console.terminate()
    assert pw.wait_exit(20) == 0


def test_user_signals(start):
    pw = start()
    conn, console = pw.connect(), pw.console()
    suspend(console)
    pw.signal(signal.SIGUSR1)
    pw.wait_log("got SIGUSR1, but already paused/suspended")
    assert state(console)["suspended"] == "yes"
    conn.send(wire.query("SELECT 1"))
    assert conn.silent(0.3)
    pw.signal(signal.SIGUSR2)
    pw.wait_log("got SIGUSR2, continuing from SUSPEND")
    assert conn.results().scalar() == "1"
    pw.signal(signal.SIGUSR2)
    pw.wait_log("got SIGUSR2, but not paused/suspended")
    assert pw.connect().scalar("SELECT 1") == "1"


# TLS and COPY.


@pytest.fixture(params=["plain", "tls"])
def pair(request, start, certs):
    """(pgweir, connect): with TLS on both legs, or on none."""
    tls = None
    settings = {"server_tls_sslmode": "disable"}
    if request.param == "tls":
        settings = {"server_tls_sslmode": "require", "client_tls_sslmode": "allow",
                    "client_tls_cert_file": certs.server, "client_tls_key_file": certs.server_key}
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.load_verify_locations(certs.ca)
    pw = start(settings=settings)
    return pw, lambda: pw.connect(tls=tls)


def test_rest_of_a_message_and_the_next_in_one_record(pair):
    """Of what is decrypted together only the begun message goes on; no event of the socket tells of the rest later."""
    pw, connect = pair
    conns = [connect() for _ in range(3)]
    console = pw.console()
    whole = wire.query("SELECT 'half " + "x" * 9000 + "'")
    for conn in conns:
        conn.send(whole[:7000])
        wait_buffered(pw, conn, recv_pos=7000)
    console.send(wire.query("SUSPEND"))
    assert console.silent(0.3)
    for conn in conns:
        conn.send(whole[7000:] + wire.query("SELECT 'next'") + wire.query("SELECT 'last'"))
    assert console.results(timeout=10).tags == ["SUSPEND"]
    assert all(r["recv_pos"] == "0" for r in console.query("SHOW SOCKETS").dicts())
    console.query("RESUME")
    for conn in conns:
        assert len(conn.results(timeout=10).scalar()) == 9005
        assert [conn.results(timeout=10).scalar() for _ in range(2)] == ["next", "last"]
        conn.send(wire.query("SELECT 1"))
        assert conn.results(timeout=10).scalar() == "1"


def test_copy_in_goes_on_after_it(pair):
    pw, connect = pair
    conn, console = connect(), pw.console()
    conn.query("CREATE TABLE c (i int)")
    conn.send(wire.query("COPY c FROM STDIN"))
    conn.read_until("G")
    conn.send(wire.copy_data(b"1\n" * 1000)[:1000])
    wait_begun(pw, conn)
    console.send(wire.query("SUSPEND"))
    assert console.silent(0.3), "a CopyData has begun"
    conn.send(wire.copy_data(b"1\n" * 1000)[1000:] + wire.copy_data(b"1\n" * 500))
    assert console.results(timeout=10).tags == ["SUSPEND"]
    for _ in range(100):
        conn.send(wire.copy_data(b"1\n" * 100))
    conn.send(wire.copy_done())
    assert conn.silent(0.2)
    console.query("RESUME")
    assert conn.results(timeout=10).tags == ["COPY 11500"]
    assert conn.scalar("SELECT count(*) FROM c") == "11500"


def wait_begun(pw, conn):
    """Until pgweir has a part of a message of this client."""
    port = str(conn.sock.getsockname()[1])
    system.wait_for(lambda: [r for r in pw.show("ACTIVE_SOCKETS") if r["type"] == "C" and r["port"] == port
                             and int(r["recv_pos"]) + int(r["pkt_remain"]) > 0], 15, "a message that has begun")


def test_copy_out_goes_on_after_it(pair):
    """The stream stands between two rows, and nobody's end of it is lost."""
    pw, connect = pair
    conn, console = connect(), pw.console()
    rows = 400000
    conn.send(wire.query("COPY (SELECT repeat('x', 100) FROM generate_series(1, %d)) TO STDOUT" % rows))
    got, seen, failed = [], threading.Event(), []

    def read():
        try:
            while True:
                got.append(conn.read(timeout=60).type)
                if len(got) == 1000:
                    seen.set()
                if got[-1] == "Z":
                    return
        except Exception as failure:
            failed.append(failure)

    reader = threading.Thread(target=read)
    reader.start()
    assert seen.wait(30)
    suspend(console)
    while not conn.silent(0.3):  # what its socket holds
        pass
    assert 1000 <= len(got) < rows, "the stream ended before it was suspended"
    console.query("RESUME")
    reader.join(90)
    assert not failed and not reader.is_alive()
    assert got.count("d") == rows and got[-3:] == ["c", "C", "Z"]
