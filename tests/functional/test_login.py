"""Login of clients: every method, every kind of secret, and what an unknown user sees."""

import base64
import os
import pwd
import socket
import struct
import threading

import pytest

from harness import postgres, system, wire
from harness.fakeserver import FakeServer

PW = "app-secret"
SECRETS = {"plain": PW, "md5": wire.md5_secret("app", PW), "scram": wire.scram_secret(PW), "empty": ""}


def begin(start, auth_type, secret="plain", **kwargs):
    """A pgweir whose user `app` has that kind of secret. The server trusts app, so only the client's side counts."""
    return start(userlist={"app": SECRETS[secret], "admin": "admin-secret"},
                 settings={"auth_type": auth_type, **kwargs.pop("settings", {})}, **kwargs)


def requests(pw, user, password):
    """Which authentication requests a login sees, and the error it ends with, if any."""
    conn = pw.raw()
    conn.send(wire.startup({"user": user, "database": "test"}))
    try:
        conn.authenticate(user, password)
    except wire.ServerError as error:
        return conn.auth_types, error
    return conn.auth_types, None


def denied(error, phrase):
    assert error is not None, "the login succeeded"
    assert (error.severity, error.sqlstate) == ("FATAL", "08P01") and phrase in error.message, error.fields
    assert set(error.fields) == {"S", "C", "M"}, error.fields


# Method by secret: compat/auth.md, section 3.

MATRIX = [
    # auth_type, secret, requests on success (None: must fail), text of a failure
    ("trust", "plain", [0], None),
    ("trust", "md5", [0], None),
    ("trust", "scram", [0], None),
    ("plain", "plain", [3, 0], "password authentication failed"),
    ("plain", "md5", [3, 0], "password authentication failed"),
    ("plain", "scram", [3, 0], "password authentication failed"),
    ("plain", "empty", None, "password authentication failed"),
    ("md5", "plain", [5, 0], "password authentication failed"),
    ("md5", "md5", [5, 0], "password authentication failed"),
    ("md5", "scram", [10, 11, 12, 0], "SASL authentication failed"),
    ("md5", "empty", None, "password authentication failed"),
    ("scram-sha-256", "plain", [10, 11, 12, 0], "SASL authentication failed"),
    ("scram-sha-256", "md5", None, "SASL authentication failed"),
    ("scram-sha-256", "scram", [10, 11, 12, 0], "SASL authentication failed"),
    ("scram-sha-256", "empty", None, "SASL authentication failed"),
]


@pytest.mark.parametrize("auth_type, secret, seen, phrase", MATRIX, ids=["%s-%s" % row[:2] for row in MATRIX])
def test_method_by_secret(start, auth_type, secret, seen, phrase):
    pw = begin(start, auth_type, secret)
    got, error = requests(pw, "app", PW)
    if seen is None:
        denied(error, phrase)
    else:
        assert got == seen and error is None
        assert pw.connect().scalar("SELECT current_user") == "app"
    if phrase:
        for wrong in ("wrong", PW + "x", PW[:-1], SECRETS[secret] or "y"):
            if wrong != PW:
                denied(requests(pw, "app", wrong)[1], phrase)


@pytest.mark.parametrize("auth_type", ["plain", "md5", "scram-sha-256"])
def test_unknown_user_looks_the_same(start, auth_type):
    pw = begin(start, auth_type)
    known, unknown = requests(pw, "app", "wrong"), requests(pw, "ghost", "wrong")
    assert known[0] == unknown[0]
    assert known[1].fields == unknown[1].fields
    assert pw.wait_log("no such user: ghost")
    for user in ("app", "ghost"):  # whoever watches the log for passwords that are tried finds these words whatever the method
        assert pw.wait_log("/%s@.*password authentication failed" % user)


def test_trust_needs_a_known_user(start):
    pw = begin(start, "trust")
    denied(requests(pw, "ghost", "")[1], '"trust" authentication failed')


@pytest.mark.parametrize("auth_type", ["plain", "md5", "scram-sha-256"])
def test_empty_password(start, auth_type):
    for secret in ("plain", "empty"):
        pw = begin(start, auth_type, secret)
        phrase = {"plain": "empty password returned by client", "md5": "password authentication failed",
                  "scram-sha-256": "SASL authentication failed"}[auth_type]
        denied(requests(pw, "app", "")[1], phrase)


def test_any_takes_every_name(start):
    pw = start({"test": {"user": "app"}, "open": {}}, settings={"auth_type": "any"})
    assert pw.connect("whoever").scalar("SELECT current_user") == "app"
    denied(pw.refused("whoever", "open"), "bouncer config error")


def test_wrong_password_on_a_warm_pool(start):
    """A login is judged each time, whatever the pool already has (CVE-2025-46801)."""
    for auth_type, secret in (("plain", "plain"), ("md5", "plain"), ("scram-sha-256", "scram"), ("md5", "scram")):
        pw = begin(start, auth_type, secret)
        assert pw.connect().scalar("SELECT 1") == "1"
        for wrong in ("", "wrong", "md5", SECRETS["md5"], SECRETS["scram"]):
            assert requests(pw, "app", wrong)[1] is not None


def test_wrong_password_is_told_before_the_unknown_database(start):
    pw = begin(start, "md5")
    denied(pw.refused("app", "nowhere", "wrong"), "password authentication failed")
    denied(pw.refused("app", "nowhere", PW), "no such database: nowhere")


def test_user_name_rules(start):
    pw = begin(start, "trust")
    conn = pw.raw()
    conn.send(wire.startup({"user": "u" * 128, "database": "test"}))
    conn.expect_fatal("username too long", "08P01")
    for params in ({"database": "test"}, {"user": "", "database": "test"}):
        conn = pw.raw()
        conn.send(wire.startup(params))
        conn.expect_fatal("no username supplied", "08P01")


def test_database_defaults_to_the_user(start):
    pw = start({"app": {}})
    assert pw.connect("app", None).scalar("SELECT 1") == "1"
    assert pw.connect("app", "").scalar("SELECT 1") == "1"


def test_long_passwords(start):
    """Passwords of 1024 bytes and more (pgbouncer#1215)."""
    for length in (99, 128, 1023, 1024, 1025, 2000):
        secret = "p" * length
        pw = start(userlist={"app": secret, "admin": ""}, settings={"auth_type": "plain"})
        assert pw.connect(password=secret).scalar("SELECT 1") == "1"
        denied(pw.refused(password=secret[:-1]), "password authentication failed")
        pw.settings["auth_type"] = "scram-sha-256"
        pw.stop()


def test_userlist_grammar(start):
    pw = start(userlist={'we"ird': 'sec"ret;#', "app": PW, "admin": ""},
               settings={"auth_type": "md5"}, databases={"test": {"user": "app", "password": PW}})
    assert pw.connect('we"ird', password='sec"ret;#').scalar("SELECT 1") == "1"


# SCRAM, message by message.


def sasl_start(pw, user="app"):
    conn = pw.raw()
    conn.send(wire.startup({"user": user, "database": "test"}))
    got = conn.read()
    assert got.type == "R" and got.body == struct.pack("!I", 10) + b"SCRAM-SHA-256\0\0"
    return conn


def server_first(pw, user, nonce=b"abcdefghijklmnop"):
    conn = sasl_start(pw, user)
    conn.send(wire.sasl_initial("SCRAM-SHA-256", b"n,,n=,r=" + nonce))
    got = conn.read()
    assert got.type == "R", got.error()
    return conn, dict(part.split(b"=", 1) for part in got.body[4:].split(b","))


def test_mock_exchange_is_stable_and_complete(start):
    pw = begin(start, "scram-sha-256", "scram", settings={"scram_iterations": 4096} if False else {})
    first = [server_first(pw, "ghost")[1] for _ in range(3)]
    assert len({p[b"s"] for p in first}) == 1, "the mock salt changes from login to login"
    assert first[0][b"i"] == server_first(pw, "app")[1][b"i"]
    assert len(base64.b64decode(first[0][b"s"])) == len(base64.b64decode(server_first(pw, "app")[1][b"s"]))
    assert server_first(pw, "ghost2")[1][b"s"] != first[0][b"s"]
    assert len({p[b"r"] for p in first}) == 3


@pytest.mark.parametrize("first, phrase", [
    (b"p=tls-unique,,n=,r=abcdefghijklmnop", None),
    (b"p=tls-server-end-point,,n=,r=abcdefghijklmnop", None),
    (b"n,a=other,n=,r=abcdefghijklmnop", None),
    (b"n,,m=x,n=,r=abcdefghijklmnop", None),
    (b"x,,n=,r=abcdefghijklmnop", None),
    (b"", None), (b"n", None), (b"n,,", None), (b"n,,n=", None), (b"n,,n=,r=", None), (b"n,,r=abc", None),
    (b"n,,n=,r=ab\x01cdefgh", None), (b"n,,n=,r=" + b"\xff" * 20, None), (b"\0" * 40, None),
])
def test_bad_client_first(start, first, phrase):
    pw = begin(start, "scram-sha-256", "scram")
    conn = sasl_start(pw)
    conn.send(wire.sasl_initial("SCRAM-SHA-256", first))
    conn.expect_fatal(phrase)
    assert pw.connect().scalar("SELECT 1") == "1"


def test_gs2_flag_y_is_accepted(start):
    pw = begin(start, "scram-sha-256", "scram")
    conn = sasl_start(pw)
    scram = wire.ScramClient(PW, gs2=b"y,,")
    conn.send(wire.sasl_initial("SCRAM-SHA-256", scram.first()))
    conn.send(wire.message("p", scram.final(conn.read().body[4:])))
    scram.check(conn.read().body[4:])


def test_scram_user_name_is_ignored(start):
    pw = begin(start, "scram-sha-256", "scram")
    conn = sasl_start(pw)
    scram = wire.ScramClient(PW, user=b"somebody-else")
    conn.send(wire.sasl_initial("SCRAM-SHA-256", scram.first()))
    conn.send(wire.message("p", scram.final(conn.read().body[4:])))
    scram.check(conn.read().body[4:])


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1", "PLAIN", ""])
def test_wrong_mechanism(start, mechanism):
    conn = sasl_start(begin(start, "scram-sha-256", "scram"))
    conn.send(wire.sasl_initial(mechanism, b"n,,n=,r=abcdefghijklmnop"))
    conn.expect_fatal("client selected an invalid SASL authentication mechanism", "08P01")


def test_client_final_must_fit(start):
    pw = begin(start, "scram-sha-256", "scram")

    def attempt(change):
        conn = sasl_start(pw)
        scram = wire.ScramClient(PW)
        conn.send(wire.sasl_initial("SCRAM-SHA-256", scram.first()))
        conn.send(wire.message("p", change(scram.final(conn.read().body[4:]))))
        conn.expect_fatal()

    attempt(lambda final: final.replace(b"c=biws", b"c=eSws"))
    attempt(lambda final: final.replace(b",r=", b",r=x"))
    attempt(lambda final: final[:-4])
    attempt(lambda final: final + b",x=1")
    attempt(lambda final: b"")
    attempt(lambda final: b"a" * 60000)
    proof = lambda final: final[: final.index(b",p=") + 3]
    attempt(lambda final: proof(final) + base64.b64encode(b"\0" * 32))
    attempt(lambda final: proof(final) + base64.b64encode(b"\0" * 31))
    attempt(lambda final: proof(final) + b"!" * 44)
    attempt(lambda final: proof(final))
    assert pw.connect().scalar("SELECT 1") == "1"


def test_replayed_proof_fails(start):
    pw = begin(start, "scram-sha-256", "scram")
    conn = sasl_start(pw)
    scram = wire.ScramClient(PW, nonce=b"fixednoncefixednonce")
    conn.send(wire.sasl_initial("SCRAM-SHA-256", scram.first()))
    final = scram.final(conn.read().body[4:])
    conn.send(wire.message("p", final))
    assert conn.read().type == "R"
    again = sasl_start(pw)
    again.send(wire.sasl_initial("SCRAM-SHA-256", scram.first()))
    again.read()
    again.send(wire.message("p", final))
    again.expect_fatal("SASL authentication failed")


# Reload of secrets.


@pytest.mark.parametrize("auth_type, secret", [("plain", "plain"), ("md5", "plain"), ("md5", "md5"),
                                                ("scram-sha-256", "plain"), ("scram-sha-256", "scram"),
                                                ("trust", "plain")])
def test_removed_user_is_refused(start, auth_type, secret):
    """Also one who has logged in before, and also with an empty password (auth.md, section 2)."""
    pw = begin(start, auth_type, secret)
    assert pw.connect().scalar("SELECT 1") == "1"
    del pw.userlist["app"]
    pw.userlist["somebody"] = "with a secret of another length"
    pw.reload()
    for password in (PW, "", "wrong"):
        assert requests(pw, "app", password)[1] is not None, password


def test_changed_secret_takes_effect_at_reload(start):
    pw = begin(start, "scram-sha-256", "scram")
    assert pw.connect().scalar("SELECT 1") == "1"
    pw.userlist["app"] = wire.scram_secret("another password")
    pw.reload()
    assert requests(pw, "app", PW)[1] is not None
    assert pw.connect(password="another password").scalar("SELECT 1") == "1"


def test_same_size_rewrite_of_the_userlist_is_seen(start):
    """Even within the same second."""
    pw = begin(start, "md5", "plain")
    pw.connect()
    for i in range(5):
        pw.userlist["app"] = PW[:-1] + str(i)
        pw.reload()
        assert pw.connect(password=PW[:-1] + str(i)).scalar("SELECT 1") == "1"
        assert requests(pw, "app", PW)[1] is not None


# HBA.


def hba(start, text, **kwargs):
    return start(hba=text, userlist={"app": PW, "app2": SECRETS["scram"], "admin": "", "peer_user": ""}, **kwargs)


def test_hba_first_match_decides(start):
    pw = hba(start, """
# a comment
host  test    app   127.0.0.1/32  scram-sha-256
host  test    app   0.0.0.0/0     reject
host  all     app2  127.0.0.1 255.255.255.255 md5
host  pgweir,pgbouncer admin 127.0.0.1/32 trust
local all     app   password
""")
    assert requests(pw, "app", PW)[0] == [10, 11, 12, 0]
    assert requests(pw, "app2", PW)[0] == [10, 11, 12, 0]
    conn = pw.raw(unix=True)
    conn.send(wire.startup({"user": "app", "database": "test"}))
    conn.authenticate("app", PW)
    assert conn.auth_types == [3, 0]


def test_hba_reject_and_no_rule(start):
    pw = hba(start, "host test app all reject\nhostssl test app2 all trust\nhost all admin all trust\n")
    denied(requests(pw, "app", PW)[1], "login rejected")
    denied(requests(pw, "app2", PW)[1], "no authentication method is found")
    denied(requests(pw, "ghost", PW)[1], "no authentication method is found")


def test_hba_words(start):
    pw = hba(start, "host sameuser all all trust\nhost other \"app\",app2 all trust\n",
             databases={"app": {}, "other": {"user": "app"}, "test": {}})
    assert pw.connect("app", "app").scalar("SELECT 1") == "1"
    assert pw.connect("app2", "other").scalar("SELECT 1") == "1"
    denied(pw.refused("app", "test"), "no authentication method is found")


def test_hba_bad_lines_are_skipped_and_told(start):
    pw = hba(start, "host all all 1.2.3.4/99 trust\nnonsense\nhost all app all trust\n")
    assert pw.connect().scalar("SELECT 1") == "1"
    assert pw.wait_log("hba config line 1") and pw.wait_log("hba config line 2")


def test_ident_bad_lines_are_skipped_and_told(start):
    pw = start(hba="local all all peer map=m\nhost all all all trust\n", ident="m nobody-at-all\nm %s app\n" % os_user(),
               userlist={"app": PW, "admin": ""})
    assert pw.connect("app", unix=True).scalar("SELECT 1") == "1"
    assert pw.wait_log("WARNING could not parse ident config line 1")


def test_hba_missing_rejects_everyone(start):
    pw = start(settings={"auth_type": "hba", "auth_hba_file": "/nonexistent/hba.conf"})
    denied(pw.refused(), "no authentication method is found")
    assert pw.wait_log("could not open hba config file")


def test_hba_is_reloaded(start):
    pw = hba(start, "host all all all trust\n")
    pw.connect()
    pw.hba = "host all admin all trust\nhost all all all reject\n"
    pw.reload()
    denied(pw.refused(), "login rejected")


def os_user():
    return pwd.getpwuid(os.geteuid()).pw_name


def test_peer(start):
    me = os_user()
    pw = start(hba="local all all peer\nhost all all all trust\n", databases={"test": {"user": "app"}},
               userlist={me: "", "app": PW, "admin": ""})
    assert pw.connect(me, unix=True).scalar("SELECT 1") == "1"
    denied(pw.refused("app", unix=True), "unix socket login rejected")
    pw.wait_log("peer login failed: the account is %s$" % me)
    denied(pw.refused("ghost", unix=True), "unix socket login rejected")


def test_peer_with_a_map(start):
    pw = start(hba="local all all peer map=m\nhost all all all trust\n",
               ident="m %s app\nm nobody-at-all app2\n" % os_user(), userlist={"app": PW, "app2": PW, "admin": ""})
    assert pw.connect("app", unix=True).scalar("SELECT 1") == "1"
    denied(pw.refused("app2", unix=True), "unix socket login rejected")
    pw.wait_log("peer login failed: ident map m cannot be matched")


# Order of messages.


def test_every_message_first(start):
    """Each type as the very first message, in place of the startup packet: the process lives (CVE-2015-4054)."""
    pw = begin(start, "md5")
    for kind in range(256):
        conn = pw.raw()
        conn.send(bytes([kind]) + struct.pack("!I", 9) + b"hello")
        conn.sock.shutdown(1)
        conn.closed()
    assert pw.connect().scalar("SELECT 1") == "1"


@pytest.mark.parametrize("auth_type", ["plain", "md5", "scram-sha-256"])
def test_every_message_instead_of_the_password(start, auth_type):
    pw = begin(start, auth_type)
    for kind in range(256):
        conn = pw.raw()
        conn.send(wire.startup({"user": "app", "database": "test"}))
        conn.read()
        conn.send(bytes([kind]) + struct.pack("!I", 9) + b"hello")
        conn.sock.shutdown(1)
        assert all(m.type in "E" for m in conn.closed()), chr(kind)
    assert pw.connect().scalar("SELECT 1") == "1"


def test_queries_before_the_password_are_not_executed(start, pg, db):
    pw = begin(start, "md5")
    conn = pw.raw()
    conn.send(wire.startup({"user": "app", "database": "test"}), wire.query("CREATE TABLE smuggled()"))
    assert not [m for m in conn.closed() if m.type not in "RE"]
    assert pg.connect(database=db).scalar("SELECT count(*) FROM pg_class WHERE relname = 'smuggled'") == "0"


def test_second_startup_packet(start):
    pw = begin(start, "md5")
    conn = pw.raw()
    conn.send(wire.startup({"user": "app", "database": "test"}))
    conn.read()
    conn.send(wire.startup({"user": "app", "database": "test"}))
    conn.closed()
    conn = pw.connect()
    conn.send(wire.startup({"user": "app", "database": "test"}))
    conn.closed()
    assert pw.connect().scalar("SELECT 1") == "1"


def test_password_packet_before_startup(start):
    pw = begin(start, "md5")
    conn = pw.raw()
    conn.send(wire.message("p", b"secret\0"))
    conn.sock.shutdown(1)
    conn.closed()
    assert pw.connect().scalar("SELECT 1") == "1"


def test_huge_unauthenticated_message_is_not_buffered(start):
    """compat/wire.md, 19.10: a typed packet of 2 GB before login."""
    from harness import system

    pw = begin(start, "md5")
    conn = pw.raw()
    conn.send(wire.startup({"user": "app", "database": "test"}))
    conn.read()
    before = system.resident_kib(pw.pid)
    try:
        conn.send(b"p" + struct.pack("!I", 0x7FFFFFF0))
        for _ in range(200):
            conn.send(b"x" * 100000)
    except OSError:
        pass
    assert system.resident_kib(pw.pid) - before < 8000
    conn.closed()
    assert pw.connect().scalar("SELECT 1") == "1"


def test_welcome(start, pg, db):
    """The welcome has what the server said, the client's own key, and ends idle."""
    pw = begin(start, "trust")
    conn, direct = pw.connect(), pg.connect("app", db, tcp=True)
    assert {k: v for k, v in conn.params.items() if k != "application_name"} == {
        k: v for k, v in direct.params.items() if k != "application_name"}
    assert conn.key[1] != direct.key[1] and len(conn.key[1]) == 4 and conn.key[0] < 1 << 31
    assert "".join(m.type for m in conn.greeting).endswith("KZ")
    keys = {pw.connect().key for _ in range(20)}
    assert len(keys) == 20


def test_secrets_are_shown_nowhere(start):
    """Neither the log nor the console tells a planted secret (CVE-2023-22332)."""
    pw = start({"test": {"user": "app2", "password": "planted-db-secret"}}, args=("-v",),
               userlist={"app": "planted-user-secret", "admin": "planted-admin-secret"}, settings={"auth_type": "md5"})
    pw.connect(password="planted-user-secret").scalar("SELECT 1")
    pw.refused(password="planted-wrong-secret")
    console = pw.console(password="planted-admin-secret")
    seen = []
    for topic in ("CONFIG", "DATABASES", "USERS", "POOLS", "CLIENTS", "SERVERS", "SOCKETS", "LISTS", "STATS", "FDS"):
        result = console.query("SHOW " + topic, check=False)
        seen += [str(v) for row in result.rows for v in row]
    text = "\n".join(seen + pw.lines)
    assert "planted-" not in text, [line for line in text.split("\n") if "planted-" in line]


# Waiting for the first server of a pool.


def silent_server():
    """Accepts, reads the startup packet and never answers."""
    def script(session):
        session.read_startup()
        session.read(timeout=600)

    return FakeServer(script)


@pytest.mark.parametrize("leave", ["terminate", "close", "reset"])
def test_client_that_leaves_before_the_first_welcome_is_noticed_at_once(start, leave):
    with silent_server() as fake:
        pw = start({"test": {"host": fake.host, "port": fake.port}}, settings={"max_client_conn": 2})
        console = pw.console()
        for _ in range(3):  # its place under max_client_conn is free again
            conn = pw.raw()
            conn.send(wire.startup({"user": "app", "database": "test"}))
            system.wait_for(lambda: console_pool(console)["cl_waiting"] == "1", 10, "the login to wait")
            if leave == "terminate":
                conn.send(wire.message("X"))
            elif leave == "reset":
                conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            conn.sock.close()
            system.wait_for(lambda: console_pool(console)["cl_waiting"] == "0", 5, "it to be gone")
            lists = {r["list"]: r["items"] for r in console.query("SHOW LISTS").dicts()}
            assert (lists["used_clients"], lists["login_clients"]) == ("1", "0")
        assert [r["user"] for r in console.query("SHOW CLIENTS").dicts()] == ["admin"]
        assert len(pw.logged("test/app@.*closing because: client unexpected eof")) == 3


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("said", [b"", b"\0\0", struct.pack("!II", 8, wire.SSL_REQUEST)])
@pytest.mark.parametrize("reset", [False, True])
def test_who_only_looks_whether_pgweir_is_there_is_not_logged(start, certs, said, reset, tls):
    """Monitors and load balancers connect every second and say nothing; PgBouncer does not log that either."""
    pw = start(settings={"tcp_defer_accept": 0, "verbose": 1,
                         **(dict(client_tls_sslmode="allow", client_tls_cert_file=certs.server,
                                 client_tls_key_file=certs.server_key) if tls else {})})
    since = pw.mark()
    conn = pw.raw()
    conn.send(said)
    if len(said) == 8:
        assert conn.sock.recv(1) == (b"S" if tls else b"N")
    if reset:
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    conn.sock.close()
    if tls and len(said) == 8:
        pw.wait_log("closing because", since)
    else:
        assert " DEBUG " in pw.wait_log(r"\(nodb\)/\(nouser\)@.*closing because: client unexpected eof", since)
        assert not pw.logged(" (LOG|WARNING|ERROR) .*closing because", since)


def test_client_that_talks_before_the_first_welcome_is_served(start):
    """Bytes behind the startup packet are no reason to let it go."""
    answer = threading.Event()

    def script(session):
        session.read_startup()
        answer.wait(20)
        session.welcome()
        session.serve()

    with FakeServer(script) as fake:
        pw = start({"test": {"host": fake.host, "port": fake.port}})
        conn = pw.raw()
        conn.send(wire.startup({"user": "app", "database": "test"}))
        pw.wait_pool(cl_waiting=1)
        conn.send(wire.query("SELECT 1"))
        pw.wait_pool(cl_waiting=1)
        answer.set()
        conn.authenticate("app", "")
        conn.read_welcome()
        assert conn.results().scalar() == "1"


def test_login_that_waits_for_the_first_server_is_shown_as_waiting(start):
    """As PgBouncer shows it: its place is among the waiting, not among those that still prove who they are."""
    with silent_server() as fake:
        pw = start({"test": {"host": fake.host, "port": fake.port}})
        console = pw.console()
        conn = pw.raw()
        conn.send(wire.startup({"user": "app", "database": "test"}))
        for old in (0, 200_000):  # it grows
            system.wait_for(lambda: int(console_pool(console).get("maxwait_us", 0)) > old or
                            console_pool(console).get("maxwait", "0") != "0", 10, "a maxwait above %d us" % old)
        pool = console_pool(console)
        assert (pool["cl_active"], pool["cl_waiting"], pool["sv_login"]) == ("0", "1", "1")
        rows = [r for r in console.query("SHOW CLIENTS").dicts() if r["database"] == "test"]
        assert [(r["user"], r["state"]) for r in rows] == [("app", "waiting")]
        assert int(rows[0]["wait"]) + int(rows[0]["wait_us"]) > 0
        assert [r["state"] for r in console.query("SHOW SOCKETS").dicts() if r["type"] == "C" and
                r["database"] == "test"] == ["cl_waiting"]
        lists = {r["list"]: r["items"] for r in console.query("SHOW LISTS").dicts()}
        assert (lists["used_clients"], lists["login_clients"]) == ("2", "0")
        assert console.query("KILL_CLIENT %s" % rows[0]["id"]).tags == ["KILL_CLIENT"]
        wait_fatal(conn, "admin forced disconnect")
        system.wait_for(lambda: console_pool(console)["cl_waiting"] == "0", 5, "it to be gone")


@pytest.mark.parametrize("command, text", [("KILL test", "database removed"),
                                           ("SHUTDOWN WAIT_FOR_SERVERS", "server shutting down")])
def test_login_that_waits_for_the_first_server_is_sent_away(start, command, text):
    with silent_server() as fake:
        pw = start({"test": {"host": fake.host, "port": fake.port}})
        conn = pw.raw()
        conn.send(wire.startup({"user": "app", "database": "test"}))
        pw.wait_pool(cl_waiting=1)
        pw.admin(command)
        wait_fatal(conn, text)


def wait_fatal(conn, text):
    """The end of a login: whatever came before, then FATAL."""
    with pytest.raises(wire.ServerError) as refused:
        conn.authenticate("app", "")
        conn.read_welcome()
    assert text in refused.value.message and refused.value.severity == "FATAL"


def console_pool(console):
    rows = [r for r in console.query("SHOW POOLS").dicts() if r["database"] == "test"]
    return rows[0] if rows else {"cl_waiting": "0"}
