"""TLS on both legs: every sslmode, direct TLS, certificates, reload, smuggled bytes."""

import os
import ssl
import struct

import pytest

from harness import system, wire
from harness.fakeserver import FakeServer


def context(certs=None, certificate=None, alpn=None, version=None):
    """A client's TLS context; verifies the server when `certs` is given."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = certs is not None
    made.verify_mode = ssl.CERT_REQUIRED if certs else ssl.CERT_NONE
    if certs:
        made.load_verify_locations(certs.ca)
    if certificate:
        made.load_cert_chain(*certificate)
    if alpn:
        made.set_alpn_protocols(alpn)
    if version:
        made.minimum_version = made.maximum_version = version
    return made


@pytest.fixture
def tls_settings(certs):
    return {"client_tls_sslmode": "require", "client_tls_cert_file": certs.server,
            "client_tls_key_file": certs.server_key}


# Clients.


@pytest.mark.parametrize("mode, plain, secure", [("disable", True, False), ("allow", True, True), ("prefer", True, True),
                                                  ("require", False, True)])
def test_client_modes(start, certs, tls_settings, mode, plain, secure):
    pw = start(settings={**tls_settings, "client_tls_sslmode": mode})
    if plain:
        assert pw.connect().scalar("SELECT 1") == "1"
    else:
        conn = pw.raw()
        conn.send(wire.startup({"user": "app", "database": "test"}))
        conn.expect_fatal("SSL required", "08P01")
    if secure:
        conn = pw.connect(tls=context(certs))
        assert conn.scalar("SELECT 1") == "1" and conn.sock.version() == "TLSv1.3"
    else:
        assert pw.raw().ask_tls() == b"N"
    assert pw.connect(unix=True).scalar("SELECT 1") == "1"


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_client_certificates_are_demanded(start, certs, tls_settings, mode):
    pw = start(settings={**tls_settings, "client_tls_sslmode": mode, "client_tls_ca_file": certs.ca})
    assert pw.connect(tls=context(certs, certs.client("app"))).scalar("SELECT 1") == "1"
    for bad in (context(certs), context(certs, certs.client("app", "other_ca"))):
        with pytest.raises((ssl.SSLError, OSError, wire.ConnectionClosed, wire.ServerError)):
            pw.connect(tls=bad)
    assert pw.connect(tls=context(certs, certs.client("app"))).scalar("SELECT 1") == "1"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_versions(start, certs, tls_settings, version):
    conn = start(settings=tls_settings).connect(tls=context(certs, version=version))
    assert conn.scalar("SELECT 1") == "1"


def test_protocols_setting(start, certs, tls_settings):
    pw = start(settings={**tls_settings, "client_tls_protocols": "tlsv1.2"})
    assert pw.connect(tls=context(certs)).sock.version() == "TLSv1.2"
    with pytest.raises((ssl.SSLError, OSError)):
        pw.connect(tls=context(certs, version=ssl.TLSVersion.TLSv1_3))


def test_cipher_choice(start, certs, tls_settings):
    pw = start(settings={**tls_settings, "client_tls_ciphers": "ECDHE-ECDSA-AES256-GCM-SHA384"})
    conn = pw.connect(tls=context(certs, version=ssl.TLSVersion.TLSv1_2))
    assert conn.sock.cipher()[0] == "ECDHE-ECDSA-AES256-GCM-SHA384"


def test_tls13_cipher_choice(start, certs, tls_settings):
    pw = start(settings={**tls_settings, "client_tls13_ciphers": "TLS_CHACHA20_POLY1305_SHA256"})
    assert pw.connect(tls=context(certs)).sock.cipher()[0] == "TLS_CHACHA20_POLY1305_SHA256"


def test_tls_column_tells_the_negotiated_suite(start, certs, tls_settings):
    pw = start(settings=tls_settings)
    conn = pw.connect(tls=context(certs))
    console = pw.connect("admin", "pgbouncer", tls=context(certs))
    row = [r for r in console.query("SHOW CLIENTS").dicts() if r["database"] == "test"][0]
    assert row["tls"].startswith("TLSv1.3/" + conn.sock.cipher()[0])


def test_direct_tls(start, certs, tls_settings):
    pw = start(settings=tls_settings)
    for alpn in (["postgresql"], ["h2", "postgresql"], None):
        conn = pw.raw()
        conn.wrap_tls(context(certs, alpn=alpn), "localhost")
        if alpn:
            assert conn.sock.selected_alpn_protocol() == "postgresql"
        assert conn.login("app", "test").scalar("SELECT 1") == "1"
    with pytest.raises(ssl.SSLError):
        pw.raw().wrap_tls(context(certs, alpn=["h2", "http/1.1"]), "localhost")


def test_ssl_request_inside_tls_is_refused(start, certs, tls_settings):
    pw = start(settings=tls_settings)
    conn = pw.raw()
    conn.start_tls(context(certs), "localhost")
    conn.send(wire.ssl_request())
    conn.closed()
    assert pw.connect(tls=context(certs)).scalar("SELECT 1") == "1"


def test_plain_bytes_in_place_of_the_handshake(start, certs, tls_settings):
    pw = start(settings=tls_settings)
    for junk in (wire.startup({"user": "app", "database": "test"}), b"\x16\x03\x01\xff\xff" + b"x" * 100, b"\0" * 1000):
        conn = pw.raw()
        assert conn.ask_tls() == b"S"
        conn.send(junk)
        conn.sock.settimeout(10)
        while conn.sock.recv(4096):
            pass
    assert pw.connect(tls=context(certs)).scalar("SELECT 1") == "1"
    assert pw.wait_log("TLS handshake error")


def test_handshake_that_stalls_does_not_stop_others(start, certs, tls_settings):
    pw = start(settings={**tls_settings, "client_login_timeout": 1})
    stuck = pw.raw()
    assert stuck.ask_tls() == b"S"
    assert pw.connect(tls=context(certs)).scalar("SELECT 1") == "1"
    stuck.closed(timeout=10)


def test_large_traffic_over_tls(start, certs, tls_settings):
    conn = start(settings=tls_settings).connect(tls=context(certs))
    assert len(conn.scalar("SELECT repeat('x', 20000000)")) == 20000000
    assert conn.scalar("SELECT length('%s')" % ("y" * 5000000)) == "5000000"


def test_certificate_is_reloaded_without_a_restart(start, certs, tls_settings, tmp_path):
    folder = system.make_directory("reload")
    cert, key = os.path.join(folder, "server.crt.pem"), os.path.join(folder, "server.key.pem")

    def install(source, source_key):
        system.write_file(cert, open(source).read())
        system.write_file(key, open(source_key).read())

    install(certs.server, certs.server_key)
    pw = start(settings={**tls_settings, "client_tls_sslmode": "allow", "client_tls_cert_file": cert,
                         "client_tls_key_file": key})
    old = pw.connect(tls=context(certs))
    before = old.sock.getpeercert(True)
    install(certs.server2, certs.server2_key)
    pw.reload()
    new = pw.connect(tls=context(certs))
    assert new.sock.getpeercert(True) != before
    assert old.scalar("SELECT 1") == "1"
    system.write_file(cert, "nonsense")
    pw.admin("RELOAD", check=False)
    assert pw.connect(tls=context(certs)).scalar("SELECT 2") == "2"


def cert_login(start, certs, **kwargs):
    return start(settings={"client_tls_sslmode": "verify-full", "client_tls_cert_file": certs.server,
                           "client_tls_key_file": certs.server_key, "client_tls_ca_file": certs.ca,
                           "auth_type": "cert"}, **kwargs)


def test_cert_login(start, certs):
    pw = cert_login(start, certs)
    assert pw.connect(tls=context(certs, certs.client("app"))).scalar("SELECT current_user") == "app"
    with pytest.raises(wire.ServerError) as caught:
        pw.connect("app2", tls=context(certs, certs.client("app")))
    assert "certificate authentication failed" in caught.value.message and caught.value.sqlstate == "08P01"
    with pytest.raises(wire.ServerError):
        pw.connect("ghost", tls=context(certs, certs.client("ghost")))
    conn = pw.raw(unix=True)
    conn.send(wire.startup({"user": "app", "database": "test"}))
    conn.expect_fatal("certificate authentication failed")


def test_hba_cert_needs_tls_and_a_certificate(start, certs):
    pw = start(hba="host test app all cert\nhost all all all trust\n",
               settings={"client_tls_sslmode": "allow", "client_tls_cert_file": certs.server,
                         "client_tls_key_file": certs.server_key, "client_tls_ca_file": certs.ca})
    assert pw.connect(tls=context(certs, certs.client("app"))).scalar("SELECT 1") == "1"
    for tls in (None, context(certs), context(certs, certs.client("app2"))):
        with pytest.raises(wire.ServerError) as caught:
            pw.connect(tls=tls)
        assert "certificate authentication failed" in caught.value.message


def test_hba_cert_with_a_map(start, certs):
    """A name of the certificate, the common one or one for the DNS, stands for users that the map gives it."""
    pw = start(hba="hostssl test all all cert map=people\nhost all admin all trust\n",
               ident='people app app2\nother app app\npeople "an other.example" all\npeople mapped.example app\n',
               settings={"client_tls_sslmode": "allow", "client_tls_cert_file": certs.server,
                         "client_tls_key_file": certs.server_key, "client_tls_ca_file": certs.ca})
    app = context(certs, certs.client("app"))
    assert pw.connect("app2", tls=app).scalar("SELECT current_user") == "app2"
    mapped = context(certs, certs.issue("mapped", "nobody", "DNS:x.example,DNS:mapped.example"))
    assert pw.connect("app", tls=mapped).scalar("SELECT current_user") == "app"
    for user, tls in (("app", app), ("app2", mapped), ("app2", context(certs, certs.client("app2"))), ("ghost", app)):
        with pytest.raises(wire.ServerError) as caught:
            pw.connect(user, tls=tls)
        assert caught.value.message == "certificate authentication failed"
    pw.wait_log("ident map: people does not have a match")


def test_hba_hostssl(start, certs):
    pw = start(hba="hostssl test app all trust\nhostnossl test app2 all trust\n",
               settings={"client_tls_sslmode": "allow", "client_tls_cert_file": certs.server,
                         "client_tls_key_file": certs.server_key})
    assert pw.connect("app", tls=context(certs)).scalar("SELECT 1") == "1"
    assert pw.connect("app2").scalar("SELECT 1") == "1"
    assert "no authentication method" in pw.refused("app").message
    with pytest.raises(wire.ServerError):
        pw.connect("app2", tls=context(certs))


def test_scram_over_tls(start, certs, tls_settings):
    pw = start(settings={**tls_settings, "auth_type": "scram-sha-256"})
    conn = pw.connect(tls=context(certs))
    assert conn.auth_types == [10, 11, 12, 0] and conn.scalar("SELECT 1") == "1"


@pytest.mark.parametrize("settings, phrase", [
    ({"client_tls_cert_file": "/nonexistent"}, "client_tls_cert_file.*/nonexistent"),
    ({"client_tls_sslmode": "verify-full", "client_tls_ca_file": "/nonexistent"}, "client_tls_ca_file.*/nonexistent"),
    ({"client_tls_sslmode": "sometimes"}, "invalid value"),
    ({"client_tls_protocols": "tlsv9"}, ""),
])
def test_bad_tls_settings_stop_the_start(start, tls_settings, settings, phrase):
    pw = start(settings={**tls_settings, **settings}, start=False, expect_status=1)
    pw.start(wait=False)
    assert pw.wait_exit() == 1 and pw.logged(phrase)


# Servers.


def backend_tls(conn):
    return conn.scalar("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()") == "t"


@pytest.mark.parametrize("mode, secure", [("disable", False), ("allow", True), ("prefer", True), ("require", True)])
def test_server_modes(start, mode, secure):
    pw = start(settings={"server_tls_sslmode": mode})
    assert backend_tls(pw.connect()) == secure
    row = [r for r in pw.show("SERVERS") if r["database"] == "test"][0]
    assert bool(row["tls"]) == secure


def test_server_verify_ca(start, certs):
    pw = start(settings={"server_tls_sslmode": "verify-ca", "server_tls_ca_file": certs.ca})
    assert backend_tls(pw.connect())


def login_fails(pw, timeout=15):
    """A client of an unreachable server waits; the log says why."""
    conn = pw.raw()
    conn.send(wire.startup({"user": "app", "database": "test"}))
    return conn


def test_server_verify_ca_refuses_a_stranger(start, certs):
    pw = start(settings={"server_tls_sslmode": "verify-ca", "server_tls_ca_file": certs.other_ca, "server_login_retry": 1,
                         "client_login_timeout": 2})
    conn = login_fails(pw)
    conn.expect_fatal("client_login_timeout")
    assert pw.wait_log("TLS handshake error")


def test_server_verify_full_checks_the_name(start, certs, pg, db, make_pg):
    settings = {"server_tls_sslmode": "verify-full", "server_tls_ca_file": certs.ca, "server_login_retry": 1,
                "client_login_timeout": 2}
    good = start({"test": "host=localhost port=%d dbname=%s" % (pg.port, db)}, settings=settings)
    assert backend_tls(good.connect())
    by_address = start({"test": "host=127.0.0.1 port=%d dbname=%s" % (pg.port, db)}, settings=settings)
    assert backend_tls(by_address.connect())
    other = make_pg(settings={"ssl_cert_file": "'%s'" % certs.wrong, "ssl_key_file": "'%s'" % certs.wrong_key})
    bad = start({"test": "host=localhost port=%d dbname=postgres" % other.port}, settings=settings)
    login_fails(bad).expect_fatal("client_login_timeout")
    only_ca = start({"test": "host=localhost port=%d dbname=postgres" % other.port},
                    settings={**settings, "server_tls_sslmode": "verify-ca"})
    assert backend_tls(only_ca.connect())


def test_server_client_certificate(start, certs):
    cert, key = certs.client("certuser")
    pw = start({"test": {"user": "certuser"}}, settings={"server_tls_sslmode": "require", "server_tls_cert_file": cert,
                                                         "server_tls_key_file": key})
    assert pw.connect().scalar("SELECT current_user") == "certuser"


def test_server_that_wants_tls_tells_its_client(start):
    pw = start(settings={"server_tls_sslmode": "disable"})
    error = pw.refused("ssluser")
    assert error.sqlstate == "28000" and error.severity == "FATAL"


def test_server_refuses_tls(start):
    def script(session):
        session.read_startup(b"N")
        session.welcome()
        session.serve()

    with FakeServer(script) as fake:
        pw = start({"test": fake.entry}, settings={"server_tls_sslmode": "require", "client_login_timeout": 2})
        login_fails(pw).expect_fatal("client_login_timeout")
        assert pw.wait_log("server refused SSL")
        pw = start({"test": fake.entry}, settings={"server_tls_sslmode": "prefer"})
        assert pw.connect().scalar("SELECT 1") == "1"


@pytest.mark.parametrize("answer", [b"S" + wire.message("R", struct.pack("!I", 0)), b"X", b"E" + struct.pack("!I", 4),
                                    b"SS", b"Nx"])
def test_server_glues_bytes_to_its_answer(start, answer):
    """CVE-2021-3935 and CVE-2021-43767, from the server's side."""

    def script(session):
        session.read_untyped()
        session.send(answer)
        session.read_bytes(1000, timeout=30)

    with FakeServer(script) as fake:
        pw = start({"test": fake.entry}, settings={"server_tls_sslmode": "prefer", "client_login_timeout": 2,
                                                   "server_login_retry": 30})
        conn = login_fails(pw)
        conn.expect_fatal(None)
        assert fake.connections >= 1 and pw.alive()


def test_cancel_over_tls(start, certs, tls_settings):
    pw = start(settings=tls_settings)
    conn = pw.connect(tls=context(certs))
    conn.send(wire.query("SELECT pg_sleep(60)"))
    console = pw.connect("admin", "pgbouncer", tls=context(certs))
    system.wait_for(lambda: [r for r in console.query("SHOW POOLS").dicts() if r["sv_active"] == "1"], 10, "the query")
    cancel = pw.raw()
    cancel.start_tls(context(certs), "localhost")
    cancel.send(wire.cancel_request(*conn.key))
    assert conn.results().error.sqlstate == "57014"
