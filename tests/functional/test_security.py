"""Security rows that no other topic covers; README.md beside this file names the test of each row."""

import re
import struct
import subprocess

import pytest

from harness import postgres, system, wire
from harness.fakeserver import FakeServer, error_message
from harness.pgweir import BINARY
from test_login import begin, requests
from test_tls import cert_login, context

PASSWORDS = postgres.PASSWORDS


def test_every_message_while_the_login_waits_for_a_server(start):
    """CVE-2015-4054: authenticated, but not greeted yet."""

    def silent(session):
        session.read_startup()
        session.read_bytes(1, timeout=60)

    with FakeServer(silent) as fake:
        pw = start({"test": fake.entry, "good": {}}, settings={"server_tls_sslmode": "disable"})
        for kind in range(256):
            conn = pw.raw()
            conn.send(wire.startup({"user": "app", "database": "test"}))
            conn.send(bytes([kind]) + struct.pack("!I", 9) + b"hello")
            conn.abort() if kind % 2 else conn.close()
        assert pw.connect(database="good").scalar("SELECT 1") == "1"


@pytest.mark.parametrize("auth_type", ["plain", "md5", "scram-sha-256"])
def test_unknown_users_never_become_auth_user(start, pg, db, auth_type):
    """CVE-2015-6817: whom neither the userlist nor auth_query knows is nobody, also where the query cannot be run."""
    pw = start({"test": {"auth_user": "app"}}, settings={"auth_type": auth_type, "auth_user": "app",
                                                         "auth_query": "SELECT 'app', ''"},
               userlist={"app": "app-secret", "admin": "admin-secret"})
    for user in ("ghost", "app2", "postgres"):
        for password in ("", "app-secret", "ghost"):
            kinds, error = requests(pw, user, password)
            assert error is not None and 0 not in kinds
    assert {row["usename"] for row in pg.backends(db)} <= {"app"}, "nobody but auth_user has asked PostgreSQL"


def test_smuggled_bytes_with_certificates(start, certs, pg, db):
    """CVE-2021-43766: what is glued to the SSLRequest of a client with a certificate is never run."""
    pw = cert_login(start, certs)
    conn = pw.raw()
    conn.send(wire.ssl_request() + wire.startup({"user": "app", "database": "test"}) + wire.query("CREATE TABLE smuggled()"))
    conn.expect_fatal("received unencrypted data after SSL request", "08P01")
    assert pw.connect(tls=context(certs, certs.client("app"))).scalar(
        "SELECT count(*) FROM pg_class WHERE relname = 'smuggled'") == "0"


def test_a_server_smuggles_bytes_past_verify_full(start, certs):
    """CVE-2021-43767: plain bytes behind the server's S are no answer of the server that will be verified."""

    def glued(session):
        session.read_untyped()
        session.send(b"S" + wire.message("R", struct.pack("!I", 0)) + wire.message("Z", b"I"))
        session.read_bytes(10000, timeout=30)

    certificate, key = certs.client("certuser")
    with FakeServer(glued) as fake:
        pw = start({"test": fake.entry}, settings={
            "server_tls_sslmode": "verify-full", "server_tls_ca_file": certs.ca, "server_tls_cert_file": certificate,
            "server_tls_key_file": key, "client_login_timeout": 2, "server_login_retry": 30})
        conn = pw.raw()
        conn.send(wire.startup({"user": "app", "database": "test"}))
        conn.expect_fatal(None)
        assert pw.wait_log("received unencrypted data|unencrypted") and not pw.logged("SSL established")


# CVE-2025-2291: PostgreSQL no longer lets the role in; no secret that pgweir keeps may open it.

BARRED = {"expired": "VALID UNTIL '2001-01-01'", "nologin": "NOLOGIN", "dropped": None}
SECRET_KINDS = ("plain", "scram")  # the latter: the server is opened with the client's keys


@pytest.fixture(scope="module")
def strict_pg(pg_template, certs):
    """A PostgreSQL that demands SCRAM of everybody who comes by TCP."""
    server = postgres.Postgres(pg_template, certs, hba="local all all trust\nhost all all all scram-sha-256\n")
    yield server
    server.stop()


@pytest.mark.parametrize("kind", SECRET_KINDS)
@pytest.mark.parametrize("how", BARRED)
def test_a_role_that_postgres_bars(start, strict_pg, how, kind):
    pg = strict_pg
    role = "barred_%s_%s" % (how, kind)
    pg.query("CREATE ROLE %s LOGIN PASSWORD 'secret'" % role)
    try:
        verifier = pg.scalar("SELECT rolpassword FROM pg_authid WHERE rolname = '%s'" % role)
        pw = start({"test": {"host": pg.host, "port": pg.port, "dbname": "postgres"}}, settings={"auth_type": "scram-sha-256", "server_login_retry": 0.1},
                   userlist={role: "secret" if kind == "plain" else verifier, "admin": "admin-secret"})
        conn = pw.connect(role, password="secret")
        assert conn.scalar("SELECT current_user") == role
        conn.terminate()
        pg.query("ALTER ROLE %s %s" % (role, BARRED[how]) if BARRED[how] else "DROP ROLE %s" % role)
        pw.admin("RECONNECT")
        for _ in range(2):
            with pytest.raises(wire.ServerError) as caught:
                pw.connect(role, password="secret").scalar("SELECT 1")
            assert caught.value.sqlstate in ("28P01", "28000", "08P01") and caught.value.severity == "FATAL"
    finally:
        pg.query("DROP ROLE IF EXISTS %s" % role)


def test_server_logins_carry_nothing_of_a_client(start):
    """CVE-2025-12819: no setting of a client is in force while the pooler's own statements run."""
    seen = []

    def script(session):
        if session.login():
            seen.append(session.startup)
            session.serve()

    with FakeServer(script) as fake:
        pw = start({"test": {**fake.entry, "connect_query": "SELECT 'at connect'"}},
                   settings={"server_tls_sslmode": "disable", "default_pool_size": 1})
        conn = pw.connect(search_path="attacker", options="-c role=postgres", **{"work_mem": "1MB"})
        conn.scalar("SELECT 'mine'")
        (startup,) = seen
        assert not {name.lower() for name in startup} & {"search_path", "options", "role", "work_mem"}, startup
        own = fake.queries.index("SELECT 'at connect'")
        assert own == 0 and any("search_path" in sql for sql in fake.queries[1:]), fake.queries


@pytest.mark.parametrize("dropped", list("SVCM") + ["all", "terminator", "empty"])
def test_query_error_without_a_field(start, dropped):
    """CVE-2026-6666, after the login: in a simple and in an extended query."""
    fields = {k: v for k, v in (("S", "ERROR"), ("V", "ERROR"), ("C", "42P01"), ("M", "no such table")) if k != dropped}
    raw = {"all": wire.message("E", b"\0"), "terminator": wire.message("E", b"SERROR\0C0A000\0Mcached plan"),
           "empty": wire.message("E")}.get(dropped, error_message("E", fields))

    def script(session):
        if not session.login():
            return
        while True:
            got = session.read(timeout=60)
            if got.type == "Q":
                session.send(*([raw, wire.message("Z", b"I")] if b"bad" in got.body else [wire.message("I"), wire.message("Z", b"I")]))
            elif got.type == "S":
                session.send(raw, wire.message("Z", b"I"))
            elif got.type == "X":
                return

    with FakeServer(script) as fake:
        pw = start({"test": fake.entry, "good": {}}, settings={"server_tls_sslmode": "disable", "default_pool_size": 1})
        for request in (wire.query("bad"), wire.parse("bad", "s") + wire.bind((), "s") + wire.execute() + wire.sync()):
            conn = pw.connect()
            conn.send(request)
            got = conn.read_until("ZE")
            assert got[-1].type == "E", got
            conn.close()
        assert pw.connect(database="good").scalar("SELECT 1") == "1"


@pytest.mark.parametrize("body", [b"", b"\0", b"TimeZone", b"TimeZone\0", b"TimeZone\0UTC", b"\0\0", b"\0UTC\0", b"client_encoding\0\0",
                                  b"TimeZone\0UTC\0extra", b"x" * 70000, b"TimeZone\0" + b"y" * 70000 + b"\0"],
                         ids=lambda body: repr(body[:24]))
def test_odd_parameter_status(start, body):
    """pgbouncer#1576: a ParameterStatus without its ends, at run time."""

    def script(session):
        if session.login():
            def reply(s, sql):
                if "go" in sql:
                    s.send(wire.message("S", body))
                    s.answer("done")
                    return True

            session.serve(reply)

    with FakeServer(script) as fake:
        pw = start({"test": fake.entry, "good": {}}, settings={"server_tls_sslmode": "disable"})
        conn = pw.connect()
        conn.send(wire.query("SELECT 'go'"))
        got = conn.read_until("ZE")
        assert got[-1].type == "E" or [m for m in got if m.type == "D"], got
        assert pw.connect(database="good").scalar("SELECT 1") == "1"
        assert pw.connect(TimeZone="Asia/Tokyo").query("SELECT 1", check=False).status == "I"


PAIRS = [("plain", "plain"), ("plain", "md5"), ("plain", "scram"), ("md5", "plain"), ("md5", "md5"), ("md5", "scram"),
         ("scram-sha-256", "plain"), ("scram-sha-256", "scram")]


@pytest.mark.parametrize("second", [None, "app2"])
@pytest.mark.parametrize("auth_type, secret", PAIRS, ids=["%s-%s" % pair for pair in PAIRS])
def test_a_warm_pool_proves_nothing(start, auth_type, secret, second):
    """CVE-2025-46801: the second login is judged by its own password, also when the pool's user is forced."""
    pw = begin(start, auth_type, secret, databases={"test": {"user": "app"}} if second else None)
    pw.userlist["app2"] = "of app2"
    pw.reload()
    assert pw.connect().scalar("SELECT 1") == "1"
    user = second or "app"
    for wrong in ("", "wrong", "app-secret" if second else "of app2", pw.userlist["app"] if secret != "plain" else "x"):
        assert requests(pw, user, wrong)[1] is not None, wrong


def test_statements_never_cross_users(start, pg, db):
    """CVE-2024-45624: the same text and name, with other privileges."""
    pg.connect(database=db).query("CREATE TABLE private(i int); INSERT INTO private VALUES (1); GRANT SELECT ON private TO app")
    pw = start(settings={"default_pool_size": 1})
    mine, other = pw.connect("app"), pw.connect("app2")
    for turn in range(3):
        assert mine.extended("SELECT current_user, i FROM private", name="s%d" % turn).rows == [["app", "1"]]
        assert other.extended("SELECT current_user, i FROM private", name="s%d" % turn, check=False).error.sqlstate == "42501"
        assert other.extended("SELECT current_user", name="").rows == [["app2"]]


def test_no_channel_binding_is_told_by_whom_it_is_required(start, certs):
    """CVE-2026-53712: pgweir offers no -PLUS, so a client that requires it must not get through."""
    settings = {"client_tls_sslmode": "require", "client_tls_cert_file": certs.server, "client_tls_key_file": certs.server_key,
                "auth_type": "scram-sha-256"}
    pw = start(settings=settings)
    for binding, status in (("require", 2), ("prefer", 0)):
        done = subprocess.run(["psql", "-X", "-A", "-t", "-c", "SELECT 1", pw.url() + " sslmode=require channel_binding=" + binding],
                              env={**system.clean_environment(), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=60)
        assert done.returncode == status, done.stderr
        if status:
            assert "channel binding" in done.stderr


def test_crypto_is_the_systems(start):
    """CVE-2026-41678: no copy of a crypto library in the program; the distribution's updates reach it."""
    linked = subprocess.run(["ldd", BINARY], capture_output=True, text=True, check=True).stdout
    for library in ("libssl.so.3", "libcrypto.so.3"):
        assert re.search(re.escape(library) + r" => /(usr/)?lib/", linked), linked


def test_md5_answers_cannot_be_replayed(start):
    """Each login has a salt of its own, and an answer to one fits no other."""
    pw = begin(start, "md5")
    first = pw.raw()
    first.send(wire.startup({"user": "app", "database": "test"}))
    answer = wire.message("p", wire.cstr(wire.md5_password("app", "app-secret", first.read().body[4:8])))
    salts = set()
    for _ in range(20):
        conn = pw.raw()
        conn.send(wire.startup({"user": "app", "database": "test"}))
        salts.add(conn.read().body[4:8])
        conn.send(answer)
        conn.expect_fatal("password authentication failed")
    assert len(salts) == 20
    first.send(answer)
    assert first.read().body == struct.pack("!I", 0)


@pytest.mark.parametrize("entry", ["host=127.0.0.1 port=4294972728", "host=127.0.0.1 port=-1", "host=127.0.0.1 port=65536",
                                   "host=127.0.0.1 port=5432x", "host=127.0.0.1 port=18446744073709551616",
                                   "host=%s port=5432,5433,5434" % ",".join("h%d" % i for i in range(2000))])
def test_ports_that_overflow(start, entry):
    """pgbouncer#747: a number that wraps must not choose another place, least of all the unix socket."""
    pw = start({"test": entry}, start=False)
    done = subprocess.run([BINARY, "--check-config", pw.ini_path], capture_output=True, text=True, timeout=30,
                          env=system.clean_environment())
    assert done.returncode != 0 and "port" in done.stdout + done.stderr
