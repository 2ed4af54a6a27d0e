"""How each row of compat/messages.tsv is provoked, for test_walk_messages.py. Functions of the first part return what the
client has heard (its fields) and the pgweir; those of the second the pgweir whose log is read. A pgweir with a server of the
test's own has it as `fake`."""

import os
import signal
import struct

import pytest

from . import system, wire
from .fakeserver import FakeServer
from .pgweir import IS_PGWEIR

# The client hears it.


def first(start, packet, **kwargs):
    """Sends one packet on a fresh connection."""
    pw = start(**kwargs)
    conn = pw.raw()
    conn.send(packet)
    return conn.expect_fatal(), pw


def starts(params, version=wire.PROTOCOL_3_0):
    return wire.startup({"user": "app", "database": "test", **params}, version)


def untracked(start):
    return first(start, starts({"not a name": "x"}))


def untracked_in_options(start):
    return first(start, starts({"options": "-c not+a+name=x"}))


def unparsable_options(start):
    return first(start, starts({"options": "garbage"}))


def unknown_protocol(start):
    for version in (0, 1 << 16, 4 << 16):
        heard, _ = first(start, starts({}, version))
        assert heard["M"].startswith("bad packet header: '"), (version, heard)
    return first(start, struct.pack("!I", 3) + starts({}))


def second_startup(start):
    return first(start, starts({}) * 2, settings={"auth_type": "md5"})


def password_first(start):
    return first(start, wire.message("p", b"secret\0"))


def over(start, setting):
    pw = start(settings={setting: 1})
    assert pw.connect().scalar("SELECT 1") == "1"
    return pw.refused().fields, pw


def server_error(start):
    pw = start({"test": {"user": "nobody_here"}})
    return pw.refused().fields, pw


def fake(start, script, **settings):
    server = FakeServer(script)
    pw = start({"test": server.entry}, settings={"server_tls_sslmode": "disable", **settings})
    pw.fake = server
    return pw


def no_usable_mechanism(start):
    def script(session):
        session.read_startup()
        session.auth(10, b"NONE-OF-OURS\0\0")
        session.read()

    pw = fake(start, script)
    return pw.refused().fields, pw


def cached_failure(start):
    """The first client brings the failure to light, the second hears of it at once."""
    def script(session):
        if session.login():
            session.serve()

    pw = fake(start, script, server_login_retry=60)
    one, other = pw.connect(), pw.connect()
    assert one.scalar("SELECT 1") == "1"
    pw.fake.stop()
    pw.wait_log("closing because: server conn crashed")
    one.send(wire.query("SELECT 1"))
    pw.wait_log("closing because: connect failed")
    other.send(wire.query("SELECT 1"))
    return other.expect_fatal(), pw


def answering(raw):
    """A server that answers SELECT 'go' with these bytes."""
    def reply(session, sql):
        if "go" not in sql:
            return False
        session.send(raw)
        return True

    def script(session):
        if session.login():
            session.serve(reply)

    return script


def bad_server_packet(start):
    pw = fake(start, answering(b"T" + struct.pack("!I", 2)))
    conn = pw.connect()
    conn.send(wire.query("SELECT 'go'"))
    return conn.expect_fatal(), pw


def broken_bind(start):
    pw = start()
    conn = pw.connect()
    conn.send(wire.message("B", b""), wire.sync())
    return conn.expect_fatal(), pw


def login_notice(start):
    pw = start(settings={"login_notify_message": "maintenance at noon"})
    return [m.error() for m in pw.connect().greeting if m.type == "N"][0], pw


def set_that_breaks_tls(start):
    pw = start()
    result = pw.admin("SET client_tls_sslmode = 'require'")  # and there is no certificate
    assert result.tags == ["SET client_tls_sslmode='require'"] or result.tags == ["SET client_tls_sslmode=require"]
    return result.notices[0], pw


def memory_runs_out(start):
    """A statement with a name, which must be held whole, of a size that is allowed and beyond what the process may take."""
    pw = start(through=["prlimit", "--as=400000000", "--core=0"])
    conn, size = pw.connect(), 500000000
    try:
        conn.send(b"P" + struct.pack("!I", size + 4) + b"name\0")
        for _ in range(size // 1000000):
            conn.send(b"x" * 1000000)
    except OSError:
        pass
    return conn.expect_fatal(), pw


def at_the_console(*commands):
    def provoke(start):
        pw = start()
        console = pw.console()
        for command in commands[:-1]:
            console.query(command)
        return console.query(commands[-1], check=False).error.fields, pw

    return provoke


def aimed_at_the_console(start):
    pw = start()
    console = pw.console()
    for verb in ("pause", "kill", "reconnect", "disable"):
        said = console.query("%s pgbouncer" % verb, check=False).error
        assert (said.message, said.sqlstate) == ("cannot %s admin db: pgbouncer" % verb, "08P01")
    return console.query("WAIT_CLOSE pgbouncer", check=False).error.fields, pw


def function_call_at_the_console(start):
    pw = start()
    console = pw.console()
    console.send(wire.function_call(1, []))
    error, ready, fatal = console.closed()
    assert ready.type == "Z" and (fatal.error()["S"], fatal.error()["M"]) == ("FATAL", "bad packet")
    return error.error(), pw


# It stands in the log.


def just_starts(start, **settings):
    return start(settings=settings)


def a_client(start):
    pw = start()
    conn = pw.connect()
    assert conn.scalar("SELECT 1") == "1"
    conn.terminate()
    return pw


def refused_client(user="app", database="test"):
    def provoke(start):
        pw = start(settings={"auth_type": "md5"})
        pw.refused(user, database, pw.USERLIST.get(user, "x"))
        return pw

    return provoke


def server_tls(start):
    pw = start(settings={"server_tls_sslmode": "require"})
    assert pw.connect().scalar("SELECT 1") == "1"
    return pw


def leaves_mid_work(start):
    pw = start(settings={"client_cleanup_timeout": 0} if IS_PGWEIR else {})
    conn = pw.connect()
    conn.query("BEGIN")
    conn.abort()
    return pw


def obsolete(start):
    pw = start()
    conn = pw.connect()
    conn.query("BEGIN")
    pw.admin("RECONNECT")
    conn.query("COMMIT")
    return pw


def paused(start):
    pw = start()
    assert pw.connect().scalar("SELECT 1") == "1"
    pw.admin("PAUSE")
    return pw


def surplus(start):
    """Three servers, and room for one."""
    pw = start(settings={"default_pool_size": 3})
    conns = [pw.connect() for _ in range(3)]
    for conn in conns:
        conn.query("BEGIN")
    pw.admin("SET default_pool_size = 1")
    for conn in conns:
        conn.query("COMMIT")
    return pw


def no_server(start):
    pw = start({"test": {"host": "127.0.0.1", "port": system.free_port()}})
    conn = pw.raw()
    conn.send(starts({}))
    return pw


def refusing_server(start):
    return server_error(start)[1]


def talkative_server(start):
    """An answer that nobody has asked for, while the server rests."""
    def script(session):
        if session.login():
            session.serve(lambda session, sql: session.answer("1") or session.send(wire.message("C", b"SELECT 1\0")) or True
                          if "go" in sql else False)

    pw = fake(start, script)
    conn = pw.connect()
    conn.scalar("SELECT 'go'")
    return pw


def cancels(start):
    pw = start()
    conn = pw.connect()
    conn.send(wire.query("SELECT pg_sleep(60)"))
    seen = pw.connect()  # a cancel that comes before PostgreSQL runs the query is one for nobody
    system.wait_for(lambda: seen.scalar("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(60)' "
                                        "AND datname = current_database()") == "1", 20, "the query to run")
    with pw.raw() as other:
        other.send(wire.cancel_request(*conn.key))
        other.closed()
    assert conn.results().error.sqlstate == "57014"
    return pw


def cancels_nobody(start):
    """With a key that no client has."""
    pw = start()
    conn = pw.connect()
    with pw.raw() as other:
        other.send(wire.cancel_request(conn.key[0] ^ 1, conn.key[1]))
        other.closed()
    return pw


def removes_a_database(start):
    pw = start({"test": {}, "gone": {}})
    del pw.databases["gone"]
    pw.reload()
    return pw


def auto_database(start):
    pw = start({"*": {}})
    assert pw.connect(database="postgres").scalar("SELECT 1") == "1"
    return pw


def starts_in_vain(line):
    def provoke(start):
        pw = start(start=False, expect_status=1)
        system.write_file(pw.ini_path, pw.ini_text() + line + "\n")
        pw.start(wait=False)
        assert pw.wait_exit() == 1
        return pw

    return provoke


def reload_fails(start):
    pw = start()
    system.write_file(pw.ini_path, pw.ini_text() + "default_pool_size = many\n")
    pw.signal(signal.SIGHUP)
    return pw


def broken_userlist(start):
    pw = start()
    system.write_file(pw.userlist_path, '"app" "secret"\nno quotes\n')
    pw.admin("RELOAD", check=False)
    return pw


def bad_hba_line(start):
    return start(hba="nonsense\nhost all all all trust\n")


def no_tls_handshake(start, certs):
    pw = start(settings={"client_tls_sslmode": "require", "client_tls_cert_file": certs.server,
                         "client_tls_key_file": certs.server_key})
    conn = pw.raw()
    assert conn.ask_tls() == b"S"
    conn.send(b"this is no ClientHello\n" * 10)
    conn.sock.settimeout(10)
    try:
        while conn.sock.recv(1000):
            pass
    except OSError:
        pass
    return pw


def signals_an_end(start):
    pw = start()
    pw.signal(signal.SIGTERM)
    assert pw.wait_exit() == 0
    assert pw.logged("client connections dropped, exiting")
    return pw


def ended_as(start, **kwargs):
    pw = start(start=False, expect_status=1, **kwargs)
    pw.start(wait=False)
    assert pw.wait_exit() == 1
    return pw


def as_root(start):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    return ended_as(start, as_root=True)


def foreign_pidfile(start):
    one = start(start=False)
    one.write_config(pidfile=one.directory + "/pid")
    one.start()
    return ended_as(start, settings={"pidfile": one.directory + "/pid"})


def socket_in_use(start):
    one = start()
    return ended_as(start, settings={"unix_socket_dir": one.directory, "listen_port": one.port, "listen_addr": "127.0.0.2"})


def port_in_use(start):
    """It goes on with its unix socket."""
    one = start()
    pw = start(settings={"listen_port": one.port}, start=False, expect_status=1)
    pw.start(wait=False)
    pw.wait_log("cannot listen on")
    return pw


# What the column `note` has besides.


def broken(kind, body):
    def provoke(start):
        pw = start()
        conn = pw.connect()
        conn.send(wire.message(kind, body), wire.sync())
        conn.expect_fatal(sqlstate="08P01")
        return pw

    return provoke


def client_is_cut_off(start):
    pw = start()
    pw.connect().close()
    return pw


def reconnects_at_rest(start):
    pw = start()
    assert pw.connect().scalar("SELECT 1") == "1"
    pw.admin("RECONNECT")
    return pw


def reconnects_in_login(start):
    """The server is asked to log in and does not answer."""
    pw = fake(start, lambda session: session.read_startup() and session.read(timeout=600))
    conn = pw.raw()
    conn.send(starts({}))
    pw.wait_pool(sv_login=1)
    pw.admin("RECONNECT")
    return pw


def cancels_a_client_at_rest(start):
    pw = start()
    conn = pw.connect()
    assert conn.scalar("SELECT 1") == "1"
    with pw.raw() as other:
        other.send(wire.cancel_request(*conn.key))
        other.closed()
    return pw


def no_userlist(start):
    return start(settings={"auth_file": "/nonexistent/userlist.txt"})
