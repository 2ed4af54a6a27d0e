"""Login to servers: methods by secret, SCRAM pass-through, errors passed on, hostile servers."""

import base64
import struct
import time

import pytest

from harness import postgres, system, wire
from harness.fakeserver import FakeServer, data_row, row_description
from harness.pgweir import CONSOLE, SLOW

PASSWORDS = postgres.PASSWORDS


def asks(pw, user="app", database="test", timeout=None):
    conn = pw.raw(timeout=timeout)
    conn.send(wire.startup({"user": user, "database": database}))
    return conn


# Methods by secret: compat/auth.md, section 4. The client is trusted, so only the server's side counts.

MATRIX = [
    ("plainuser", "plain", True), ("md5user", "plain", True), ("scramuser", "plain", True), ("app", "plain", True),
    ("md5user", "md5", True), ("app", "md5", True), ("scramuser", "md5", False),
    ("app", "scram", True), ("md5user", "scram", False), ("scramuser", "scram", False),
    ("app", "empty", True), ("plainuser", "empty", False), ("md5user", "empty", False), ("scramuser", "empty", False),
]


@pytest.mark.parametrize("user, kind, works", MATRIX, ids=["%s-%s" % row[:2] for row in MATRIX])
def test_method_by_secret(start, user, kind, works):
    password = PASSWORDS[user]
    secret = {"plain": password, "md5": wire.md5_secret(user, password), "scram": wire.scram_secret(password), "empty": ""}
    pw = start(userlist={user: secret[kind], "admin": ""})
    if works:
        assert pw.connect(user, password="").scalar("SELECT current_user") == user
    else:
        error = pw.refused(user, password="")
        assert error.severity == "FATAL"
        if kind in ("md5", "scram"):
            assert "server login failed: wrong password type" in error.message and error.sqlstate == "08P01"
        else:
            assert error.sqlstate == "28P01"


def test_wrong_password_of_the_pooler(start):
    for user in ("plainuser", "md5user", "scramuser"):
        pw = start(userlist={user: "wrong", "admin": ""})
        error = pw.refused(user, password="")
        assert error.sqlstate == "28P01" and "password authentication failed for user" in error.message


def test_forced_user_with_password(start):
    for user in ("plainuser", "md5user", "scramuser"):
        pw = start({"test": {"user": user, "password": PASSWORDS[user]}}, userlist={"app": "", "admin": ""})
        assert pw.connect().scalar("SELECT current_user") == user


def test_forced_user_takes_its_userlist_secret(start):
    pw = start({"test": {"user": "scramuser"}})
    assert pw.connect().scalar("SELECT current_user") == "scramuser"


# SCRAM pass-through: no plain text anywhere.


def verifier(pg, user="scramuser"):
    return pg.scalar("SELECT rolpassword FROM pg_authid WHERE rolname = '%s'" % user)


def test_pass_through(start, pg):
    pw = start(userlist={"scramuser": verifier(pg), "admin": ""}, settings={"auth_type": "scram-sha-256"})
    conn = pw.connect("scramuser", password=PASSWORDS["scramuser"])
    assert conn.scalar("SELECT current_user") == "scramuser"
    conn.terminate()
    again = pw.connect("scramuser", password=PASSWORDS["scramuser"])
    assert again.scalar("SELECT 1") == "1"


@pytest.mark.parametrize("method", ["md5", "scram-sha-256"])
def test_pass_through_by_hba(start, pg, method):
    pw = start(hba="host test all all %s\nhost all admin all trust\n" % method,
               userlist={"scramuser": verifier(pg), "admin": ""})
    assert pw.connect("scramuser", password=PASSWORDS["scramuser"]).scalar("SELECT 1") == "1"


def test_pass_through_keys_open_later_servers(start, pg, db):
    """Also after the client that brought them has left."""
    pw = start(hba="host test all all scram-sha-256\nhost all admin all trust\n", settings={"default_pool_size": 3},
               userlist={"scramuser": verifier(pg), "admin": ""})
    connect = lambda: pw.connect("scramuser", password=PASSWORDS["scramuser"])
    connect().terminate()
    conns = [connect() for _ in range(3)]
    for conn in conns:
        conn.query("BEGIN")
    pg.kill_backends(db)
    for conn in conns:
        conn.closed()
    assert connect().scalar("SELECT 1") == "1"


def test_pass_through_keys_never_replace_those_of_a_forced_user(start, pg):
    """compat/auth.md, section 4, [Q]: one client's keys must not overwrite the key of the user that is forced."""
    pw = start({"test": {"user": "scramuser", "password": PASSWORDS["scramuser"]}}, settings={"auth_type": "scram-sha-256"},
               userlist={"app": wire.scram_secret("secret of app"), "admin": "a"})
    for _ in range(2):
        conn = pw.connect("app", password="secret of app")
        assert conn.scalar("SELECT current_user") == "scramuser"
        conn.terminate()
        pw.connect("admin", CONSOLE, "a").query("RECONNECT")


# The server's own words reach the client.


@pytest.mark.parametrize("user, database, sqlstate", [("rejected", None, "28000"), ("app", "nowhere", "3D000")])
def test_server_error_is_passed_on(start, pg, user, database, sqlstate):
    pw = start({"test": {"host": pg.host, "port": pg.port, "dbname": database or "postgres"}},
               settings={"server_tls_sslmode": "disable"})
    error = pw.refused(user)
    assert (error.severity, error.sqlstate) == ("FATAL", sqlstate)
    try:
        pg.connect(user, database or "postgres", tcp=True)
        raise AssertionError("the server let %s in" % user)
    except wire.ServerError as direct:
        assert direct.message == error.message


def test_server_error_reaches_all_who_wait(start):
    pw = start({"test": {"user": "rejected"}})
    conns = [asks(pw) for _ in range(5)]
    for conn in conns:
        conn.expect_fatal("pg_hba.conf rejects connection", "28000")


def test_connection_limit_of_a_role(start, pg, db):
    """Role `limited` may have two: the third server login fails, but the pool serves on with what it has."""
    pw = start(settings={"default_pool_size": 5, "server_login_retry": 1})
    held = [pw.connect("limited") for _ in range(2)]
    for conn in held:
        conn.query("BEGIN")
    late = pw.connect("limited")
    late.send(wire.query("SELECT 1"))
    pw.wait_log("too many connections for role")
    held[0].query("COMMIT")
    try:
        assert late.results().scalar() == "1"
    except wire.ServerError as error:
        assert error.sqlstate == "53300"
    assert held[0].scalar("SELECT 2") == "2"


def test_long_server_error(start):
    """A message over 480 bytes is not lost."""
    text = "no entry: " + "x" * 3000

    def script(session):
        session.read_startup()
        session.error(S="FATAL", C="28000", M=text)

    with FakeServer(script) as fake:
        error = start({"test": fake.entry}).refused()
        assert error.sqlstate == "28000" and error.message.startswith("no entry: xxx")


def test_starting_up_server_keeps_clients_waiting(start):
    """57P03: not an answer, a state that passes."""

    def script(session):
        session.read_startup()
        if session.server.connections <= 2:
            session.error(S="FATAL", C="57P03", M="the database system is starting up")
        else:
            session.welcome()
            session.serve()

    with FakeServer(script) as fake:
        pw = start({"test": fake.entry}, settings={"server_login_retry": 0.3})
        assert pw.connect().scalar("SELECT 1") == "1"


# Hostile servers. Each: the client gets an error or waits, another pool works, the process lives.


def survives(start, script, settings=None, user="app", patience=3):
    """Runs a login against the script; then an honest database must still work. Returns what the client saw."""
    with FakeServer(script) as fake:
        pw = start({"test": fake.entry, "good": {}}, settings={
            "server_login_retry": 30, "client_login_timeout": patience, "server_connect_timeout": patience,
            "server_tls_sslmode": "disable", **(settings or {})})
        conn = asks(pw, user)
        got = conn.closed(timeout=patience + 10)
        assert pw.connect(database="good").scalar("SELECT 1") == "1"
        assert fake.connections >= 1
        return [m for m in got if m.type == "E"], pw


FIELDS = {"S": "FATAL", "V": "FATAL", "C": "28000", "M": "go away", "D": "detail", "H": "hint", "F": "x.c", "L": "1", "R": "f"}


@pytest.mark.parametrize("dropped", list(FIELDS) + ["all", "terminator", "unknown", "empty"])
def test_error_without_a_field(start, dropped):
    """CVE-2026-6666."""
    fields = {k: v for k, v in FIELDS.items() if k != dropped}

    def script(session):
        session.read_startup()
        if dropped == "all":
            session.send(wire.message("E", b"\0"))
        elif dropped == "terminator":
            session.send(wire.message("E", b"SFATAL\0C28000\0Mgo away"))
        elif dropped == "empty":
            session.send(wire.message("E"))
        elif dropped == "unknown":
            session.send(wire.message("E", b"SFATAL\0?odd\0\xff\xff\0C28000\0Mgo away\0\0"))
        else:
            session.error(**fields)

    errors, _ = survives(start, script)
    assert errors and errors[-1].error()["S"] == "FATAL"
    if dropped not in ("all", "terminator", "empty", "M"):
        assert errors[-1].error()["M"] == "go away"
    if dropped == "C":
        assert errors[-1].error()["C"] == "08P01"


def scram_script(change_first=None, change_final=None, mechanisms=b"SCRAM-SHA-256\0\0", secret=None):
    """A server that does SCRAM with the password app-secret, bent at one place."""

    def script(session):
        session.read_startup()
        session.auth(10, mechanisms)
        got = session.read(timeout=20)
        if got.type != "p":
            return
        name, rest = got.body.split(b"\0", 1)
        bare = rest[4:].split(b",", 2)[2]
        nonce = bare.split(b"r=")[1]
        first = b"r=" + nonce + b"SERVERNONCE,s=" + base64.b64encode(b"0123456789abcdef") + b",i=4096"
        if change_first:
            first = change_first(first, nonce)
        session.auth(11, first)
        session.read(timeout=20)
        session.auth(12, change_final(b"v=" + base64.b64encode(b"x" * 32)) if change_final else b"v=" + base64.b64encode(b"x" * 32))
        session.welcome()
        session.serve()

    return script


@pytest.mark.parametrize("name, change", [
    ("nonce of 64 KiB", lambda f, n: b"r=" + n + b"x" * 65536 + b",s=MDEyMzQ1Njc4OWFiY2RlZg==,i=4096"),
    ("salt of 64 KiB", lambda f, n: b"r=" + n + b"x,s=" + base64.b64encode(b"s" * 65536) + b",i=4096"),
    ("2^31 rounds", lambda f, n: f.replace(b"i=4096", b"i=2147483648")),
    ("2^31-1 rounds", lambda f, n: f.replace(b"i=4096", b"i=2147483647")),
    ("ten million rounds", lambda f, n: f.replace(b"i=4096", b"i=10000000")),
    ("no rounds", lambda f, n: f.replace(b"i=4096", b"i=0")),
    ("negative rounds", lambda f, n: f.replace(b"i=4096", b"i=-1")),
    ("rounds of text", lambda f, n: f.replace(b"i=4096", b"i=4096x")),
    ("a huge number", lambda f, n: f.replace(b"i=4096", b"i=" + b"9" * 400)),
    ("foreign nonce", lambda f, n: f.replace(n, b"other" + n)),
    ("no server nonce", lambda f, n: f.replace(b"SERVERNONCE", b"")),
    ("bad base64", lambda f, n: f.replace(b"s=MD", b"s=!!")),
    ("empty salt", lambda f, n: b"r=" + n + b"x,s=,i=4096"),
    ("m= extension", lambda f, n: b"m=x," + f),
    ("nothing", lambda f, n: b""),
    ("no comma", lambda f, n: b"r=" + n),
    ("NULs", lambda f, n: f.replace(b",s=", b"\0,s=")),
    ("trailing junk", lambda f, n: f + b",x=" + b"y" * 5000),
], ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "")
def test_bent_scram_of_the_server(start, name, change):
    """CVE-2026-6665, CVE-2026-42198. The signature is wrong in any case, so no login may succeed."""
    began = time.monotonic()
    errors, _ = survives(start, scram_script(change), settings={"auth_type": "trust"})
    assert time.monotonic() - began < 15
    assert errors, "the client was let in"


def test_loop_stays_quick_while_a_server_demands_many_rounds(start):
    """Others are answered while SCRAM with many rounds is under way or refused."""
    with FakeServer(scram_script(lambda f, n: f.replace(b"i=4096", b"i=900000"))) as fake:
        pw = start({"test": fake.entry, "good": {}}, settings={"server_tls_sslmode": "disable", "client_login_timeout": 10})
        good = pw.connect(database="good")
        good.scalar("SELECT 1")
        conns = [asks(pw)]
        slowest = 0
        until = time.monotonic() + 2
        while time.monotonic() < until:
            began = time.monotonic()
            good.scalar("SELECT 1")
            slowest = max(slowest, time.monotonic() - began)
        assert slowest < 1.0, "a query took %.3f s" % slowest
        assert conns


def test_wrong_server_signature(start):
    errors, pw = survives(start, scram_script())
    assert "server login failed: invalid server signature" in errors[-1].error()["M"]


@pytest.mark.parametrize("final", [b"", b"v=", b"e=other-error", b"v=" + b"A" * 100000, b"x" * 60, b"v=!!!!"],
                         ids=["empty", "no-value", "error", "100k", "junk", "no-base64"])
def test_bent_server_final(start, final):
    errors, _ = survives(start, scram_script(change_final=lambda _: final))
    assert errors


@pytest.mark.parametrize("mechanisms", [b"\0", b"", b"SCRAM-SHA-256-PLUS\0\0", b"GSSAPI\0\0", b"SCRAM-SHA-256", b"x" * 65536,
                                        (b"M" * 100 + b"\0") * 600 + b"\0"],
                         ids=["empty", "nothing", "plus", "gssapi", "no-end", "64k-one", "64k-many"])
def test_mechanism_lists_without_ours(start, mechanisms):
    errors, _ = survives(start, scram_script(mechanisms=mechanisms))
    assert errors


def test_mechanism_list_with_ours_at_the_end(start):
    errors, _ = survives(start, scram_script(mechanisms=(b"OTHER\0" * 300) + b"SCRAM-SHA-256\0\0"))
    assert errors and "invalid server signature" in errors[-1].error()["M"]


@pytest.mark.parametrize("raw", [
    b"R" + struct.pack("!I", 4), b"R" + struct.pack("!II", 8, 2), b"R" + struct.pack("!II", 8, 7), b"R" + struct.pack("!II", 8, 9),
    b"R" + struct.pack("!II", 8, 12345), b"R" + struct.pack("!II", 8, 5), b"R" + struct.pack("!II", 10, 5) + b"ab",
    b"R" + struct.pack("!II", 8, 11), b"R" + struct.pack("!II", 8, 12), b"R" + struct.pack("!I", 3), b"R" + struct.pack("!I", 0),
    b"R" + struct.pack("!I", 0xFFFFFFFF), b"R" + struct.pack("!I", 0x7FFFFFFF) + b"\0" * 100, b"Z" + struct.pack("!I", 5) + b"I",
    b"T" + struct.pack("!I", 6) + b"\0\0", b"\0" * 100, b"HTTP/1.1 400 Bad Request\r\n\r\n", b"S" + struct.pack("!I", 4),
    b"K" + struct.pack("!I", 4), b"E" + struct.pack("!I", 3), b"v" + struct.pack("!I", 4), b"v" + struct.pack("!III", 12, 0, 0xFFFFFFFF),
    b"N" + struct.pack("!I", 4), b"A" + struct.pack("!I", 4), b"D" + struct.pack("!I", 6) + b"\0\0",
], ids=lambda raw: raw[:12].hex())
def test_nonsense_during_login(start, raw):
    def script(session):
        session.read_startup()
        session.send(raw)
        session.sock.shutdown(1)
        session.read_bytes(1 << 20, timeout=20)

    errors, pw = survives(start, script, patience=2)
    assert errors


@pytest.mark.parametrize("piece", ["K without a key", "K twice", "S without a value", "S without end", "many S", "Z in a transaction",
                                   "no K", "long key"])
def test_odd_welcome(start, piece):
    def script(session):
        session.read_startup()
        session.auth(0)
        session.parameter("server_version", "15.0")
        session.parameter("client_encoding", "UTF8")
        if piece == "K without a key":
            session.send(wire.message("K", b"\0\0\0\1"))
        elif piece == "K twice":
            session.key_data(1, b"abcd")
            session.key_data(2, b"efgh")
        elif piece == "S without a value":
            session.send(wire.message("S", b"TimeZone\0"))
        elif piece == "S without end":
            session.send(wire.message("S", b"TimeZone\0UTC"))
        elif piece == "many S":
            for i in range(5000):
                session.parameter("p%d" % i, "v" * 50)
        elif piece == "long key":
            session.key_data(1, b"k" * 256)
        session.ready("T" if piece == "Z in a transaction" else "I")
        session.serve()

    with FakeServer(script) as fake:
        pw = start({"test": fake.entry, "good": {}}, settings={"client_login_timeout": 3, "server_login_retry": 30,
                                                               "server_tls_sslmode": "disable"})
        conn = asks(pw)
        conn.read(timeout=15)
        assert pw.connect(database="good").scalar("SELECT 1") == "1"


def test_login_packets_byte_by_byte(start):
    """Packets split across reads (the reference aborts the login)."""

    def script(session):
        session.read_startup()
        keep, out = session.send, bytearray()
        session.send = lambda *chunks: out.extend(b"".join(chunks))
        session.welcome()
        session.send = keep
        for byte in out:
            session.send(bytes([byte]))
        session.serve()

    with FakeServer(script) as fake:
        assert start({"test": fake.entry}).connect().scalar("SELECT 1") == "1"


def test_notices_during_login(start):
    def script(session):
        session.read_startup()
        session.send(wire.message("N", b"SNOTICE\0C00000\0Mhello\0\0"))
        session.auth(0)
        session.send(wire.message("N", b"SWARNING\0C01000\0Mcollation\0\0"))
        session.key_data(1, b"abcd")
        session.send(wire.message("N", b"SWARNING\0C01000\0Mcollation\0\0"))
        session.ready()
        session.serve()

    with FakeServer(script) as fake:
        assert start({"test": fake.entry}).connect().scalar("SELECT 1") == "1"


# Hostile answers after login.


def hostile_reply(start, make_answer, expect_error=True):
    def script(session):
        if not session.login():
            return

        def reply(s, sql):
            if sql == "SELECT 'go'":
                make_answer(s)
                return True

        session.serve(reply)

    with FakeServer(script) as fake:
        pw = start({"test": fake.entry, "good": {}}, settings={"default_pool_size": 1, "server_tls_sslmode": "disable",
                                                               "query_timeout": 3})
        conn = pw.connect()
        conn.send(wire.query("SELECT 'go'"))
        got = conn.closed(timeout=10)
        assert got and got[-1].type == "E" and got[-1].error()["S"] == "FATAL", got
        assert pw.connect().query("SELECT 1").rows == [["1"]], "the pool must go on with a new server"
        assert pw.connect(database="good").scalar("SELECT 1") == "1"
        pw.wait_pool(sv_active=0)
        return got, pw


@pytest.mark.parametrize("raw", [
    b"?" + struct.pack("!I", 4), b"T" + struct.pack("!I", 3), b"D" + struct.pack("!I", 0), b"C" + struct.pack("!I", 0xFFFFFFFF),
    b"Z" + struct.pack("!I", 4), b"Z" + struct.pack("!I", 5) + b"?", b"Z" + struct.pack("!I", 6) + b"II",
    wire.message("1"), wire.message("2"), wire.message("3"), wire.message("s"), wire.message("n"), wire.message("t", b"\0\0"),
    wire.message("V", b"\xff\xff\xff\xff"), wire.message("R", b"\0\0\0\0"), wire.message("K", b"\0" * 8),
    wire.message("p", b"x"), wire.message("Q", b"x\0"),
], ids=lambda raw: raw[:6].hex())
def test_wrong_reply(start, raw):
    """A reply that answers nothing that was asked: that pair ends, the server never goes back to the pool."""
    hostile_reply(start, lambda s: s.send(raw, wire.message("C", b"SELECT 1\0"), wire.message("Z", b"I")))


def test_reply_cut_in_the_middle(start):
    def cut(session):
        session.send(wire.message("T", b"\0\0"), b"D" + struct.pack("!I", 1000) + b"half")
        session.sock.shutdown(2)

    hostile_reply(start, cut)


def test_server_says_nothing(start):
    hostile_reply(start, lambda s: None)


def test_error_then_end(start):
    """The server's last words reach the client."""

    def last_words(session):
        session.error(S="FATAL", C="57P01", M="terminating connection due to administrator command")
        session.sock.shutdown(2)

    got, _ = hostile_reply(start, last_words)
    first = [m for m in got if m.type == "E"][0].error()
    assert first["C"] == "57P01" and "administrator command" in first["M"]


def test_parameter_status_storm(start):
    """A server that floods us with parameters costs bounded memory."""

    def script(session):
        if session.login():
            def reply(s, sql):
                if "go" in sql:
                    for i in range(3000):
                        s.parameter("TimeZone", "Zone%d" % i)
                    s.answer("done")
                    return True

            session.serve(reply)

    with FakeServer(script) as fake:
        pw = start({"test": fake.entry}, settings={"server_tls_sslmode": "disable"})
        conn = pw.connect()
        before = system.resident_kib(pw.pid)
        for _ in range(5):
            assert conn.query("SELECT 'go'").rows == [["done"]]
        if SLOW == 1:  # a sanitizer keeps freed memory
            assert system.resident_kib(pw.pid) - before < 8000


def test_big_message_in_slices(start):
    """A 3 MB row in slices of a few bytes at first, then whole."""
    body = struct.pack("!h", 1) + struct.pack("!i", 3000000) + b"z" * 3000000

    def sliced(session, sql):
        if "go" in sql:
            session.send(wire.message("T", b"\0\1c\0" + struct.pack("!ihihih", 0, 0, 25, -1, -1, 0)))
            whole = wire.message("D", body)
            for at in range(0, 40, 3):
                session.send(whole[at : at + 3])
            session.send(whole[42:])
            session.send(wire.message("C", b"SELECT 1\0")[:3])
            session.send(wire.message("C", b"SELECT 1\0")[3:] + wire.message("Z", b"I"))
            return True

    def script(session):
        if session.login():
            session.serve(sliced)

    with FakeServer(script) as fake:
        pw = start({"test": fake.entry}, settings={"server_tls_sslmode": "disable"})
        conn = pw.connect()
        assert conn.query("SELECT 'go'").scalar() == "z" * 3000000
        assert conn.query("SELECT 1").rows == [["1"]]


# Servers that misbehave after their login: the client is told in words, and what the details are stands in the log.


@pytest.mark.parametrize("what, told", [("reset", "server conn crashed?"), ("no command", "server answered out of order"),
                                        ("open result", "server answered out of order")])
def test_server_that_breaks_off(start, what, told):
    def reply(session, sql):
        if sql != "SELECT 'break'":
            return False
        if what == "reset":
            session.abort()
        elif what == "no command":  # ReadyForQuery is no answer to a query
            session.ready()
        else:  # nor the end of a result
            session.send(row_description(["a"]) + data_row(["1"]) + wire.message("Z", b"I"))
        return True

    def script(session):
        if session.login():
            session.serve(reply)

    with FakeServer(script) as fake:
        pw = start({"test": fake.entry}, settings={"server_tls_sslmode": "disable"})
        conn = pw.connect()
        assert conn.scalar("SELECT 1") == "1"
        conn.send(wire.query("SELECT 'break'"))
        conn.expect_fatal(told, "08P01")
        assert pw.connect().scalar("SELECT 1") == "1"
