"""Startup packets: protocol versions, negotiation, TLS and GSS requests, parameters of every kind."""

import struct

import pytest

from harness import wire


def first(pw, packet):
    conn = pw.raw()
    conn.send(packet)
    return conn


BASE = {"user": "app", "database": "test"}


# Versions.


def test_protocol_3_2(start):
    """3.2: no negotiation needed, or negotiated down to 3.0; either way the login works."""
    pw = start()
    conn = pw.raw()
    conn.login("app", "test", protocol=wire.PROTOCOL_3_2)
    assert conn.scalar("SELECT 1") == "1"
    assert 4 <= len(conn.key[1]) <= 256


def test_protocol_3_2_has_long_cancel_keys(start):
    pw = start()
    conn = pw.raw()
    conn.login("app", "test", protocol=wire.PROTOCOL_3_2)
    assert conn.negotiated is None
    assert 16 <= len(conn.key[1]) <= 256
    assert len(pw.connect().key[1]) == 4


def negotiated(conn):
    minor, count = struct.unpack_from("!II", conn.negotiated)
    names = conn.negotiated[8:].split(b"\0")[:count]
    return minor, [n.decode() for n in names]


@pytest.mark.parametrize("minor", [3, 7, 9999, 65535])
def test_newer_minor_versions_are_negotiated(start, minor):
    pw = start()
    conn = pw.raw()
    conn.login("app", "test", protocol=wire.PROTOCOL_3_0 + minor)
    version, names = negotiated(conn)
    assert version in (wire.PROTOCOL_3_0, wire.PROTOCOL_3_2, 0, 2) and names == []
    assert conn.scalar("SELECT 1") == "1"


def test_unknown_protocol_options_are_negotiated(start):
    pw = start()
    conn = pw.raw()
    conn.login("app", "test", **{"_pq_.report_parameters": "x", "_pq_.other": "y"})
    _, names = negotiated(conn)
    assert names == ["_pq_.report_parameters", "_pq_.other"]
    assert conn.scalar("SELECT 1") == "1"


def test_negotiation_comes_before_authentication(start):
    pw = start(settings={"auth_type": "md5"})
    conn = first(pw, wire.startup(BASE, wire.PROTOCOL_3_0 + 99))
    assert conn.read().type == "v"
    assert conn.read().type == "R"


def test_protocol_2_is_refused(start):
    first(start(), wire.startup(BASE, 2 << 16)).expect_fatal("old V2 protocol not supported", "08P01")


@pytest.mark.parametrize("version", [0, 1 << 16, 4 << 16, 0x04D2162E + 5, 0xFFFFFFFF, (3 << 16) | 0x80000000])
def test_other_versions_are_refused(start, version):
    pw = start()
    first(pw, wire.startup(BASE, version)).closed()
    assert pw.connect().scalar("SELECT 1") == "1"


# Layout.


@pytest.mark.parametrize("tail", [b"user\0app\0database\0test\0", b"user\0app\0\0extra\0", b"user\0app", b"user", b"",
                                  b"user\0app\0database\0test\0\0\0"])
def test_bad_layout(start, tail):
    pw = start()
    conn = first(pw, wire.untyped(struct.pack("!I", wire.PROTOCOL_3_0) + tail))
    conn.sock.shutdown(1)
    got = conn.closed()
    assert not got or got[-1].type == "E" and got[-1].error()["S"] == "FATAL", got
    assert pw.connect().scalar("SELECT 1") == "1"


def test_missing_terminator_is_named(start):
    conn = first(start(), wire.untyped(struct.pack("!I", wire.PROTOCOL_3_0) + b"user\0app\0database\0test\0"))
    conn.expect_fatal("invalid startup packet layout: expected terminator as last byte", "08P01")


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 7, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x00010000, 100000])
def test_bad_lengths(start, length):
    pw = start()
    conn = first(pw, struct.pack("!I", length) + struct.pack("!I", wire.PROTOCOL_3_0) + b"user\0app\0\0")
    conn.sock.shutdown(1)
    conn.closed()
    assert pw.connect().scalar("SELECT 1") == "1"


def test_startup_packet_of_64_kib(start):
    pw = start()
    conn = pw.raw()
    conn.login("app", "test", application_name="n" * 60000)
    assert conn.scalar("SELECT 1") == "1"


def test_startup_packet_byte_by_byte(start):
    pw = start()
    conn = pw.raw()
    for byte in wire.startup(BASE):
        conn.send(bytes([byte]))
    conn.authenticate("app", "")
    conn.read_welcome()
    assert conn.scalar("SELECT 1") == "1"


def test_ten_thousand_parameters(start):
    pw = start()
    conn = first(pw, wire.startup([("user", "app")] + [("a", "b")] * 10000))
    conn.sock.shutdown(1)
    conn.closed()
    assert pw.connect().scalar("SELECT 1") == "1"


# Requests before the startup packet.


def test_ssl_request_without_tls(start):
    pw = start()
    conn = pw.raw()
    for _ in range(3):
        assert conn.ask_tls() == b"N"
    conn.login("app", "test")
    assert conn.scalar("SELECT 1") == "1"


def test_gssenc_request(start):
    pw = start()
    conn = first(pw, wire.gssenc_request())
    assert conn.read_bytes(1) == b"N"
    assert conn.ask_tls() == b"N"
    conn.login("app", "test")
    assert conn.scalar("SELECT 1") == "1"


def test_bytes_behind_a_request_are_refused(start, certs):
    """CVE-2021-3935: a query glued to the request must not be taken for one sent inside TLS."""
    tls = {"client_tls_sslmode": "prefer", "client_tls_cert_file": certs.server, "client_tls_key_file": certs.server_key}
    for settings in ({}, tls):
        pw = start(settings=settings)
        for request, phrase in ((wire.ssl_request(), "received unencrypted data after SSL request"),
                                (wire.gssenc_request(), "received unencrypted data after GSSAPI encryption request")):
            conn = first(pw, request + wire.startup(BASE))
            got = conn.sock.recv(1)
            if got in (b"N", b"S"):
                conn.sock.settimeout(10)
            else:
                conn.buffer += got
            fields = conn.expect_fatal(phrase, "08P01")
            assert fields["C"] == "08P01"


# Parameters.


def test_tracked_parameters_are_honoured_and_echoed(start):
    pw = start(settings={"default_pool_size": 1})
    one = pw.connect(application_name="one", client_encoding="LATIN1", TimeZone="Asia/Tokyo", DateStyle="German",
                     IntervalStyle="iso_8601", standard_conforming_strings="off")
    two = pw.connect(application_name="two")
    for _ in range(3):
        for conn, name, encoding, zone, style in ((one, "one", "LATIN1", "Asia/Tokyo", "iso_8601"),
                                                  (two, "two", "UTF8", None, "postgres")):
            assert conn.scalar("SHOW application_name") == name
            assert conn.scalar("SHOW client_encoding") == encoding
            assert conn.scalar("SHOW IntervalStyle") == style
            if zone:
                assert conn.scalar("SHOW TimeZone") == zone
    assert one.params["client_encoding"] == "LATIN1" and one.params["application_name"] == "one"


@pytest.mark.parametrize("name, value, shown", [
    ("extra_float_digits", "0", "0"),
    ("search_path", "nowhere, public", "nowhere, public"),
    ("statement_timeout", "4321", "4321ms"),
    ("lock_timeout", "9s", "9s"),
    ("work_mem", "5MB", "5MB"),
    ("default_transaction_read_only", "on", "on"),
    ("my.custom", "some thing", "some thing"),
])
def test_any_parameter_is_accepted_and_honoured(start, name, value, shown):
    """Not refused as PgBouncer does, and not leaked to the other client of the one server (PEERS.md, 9)."""
    pw = start(settings={"default_pool_size": 1})
    plain = pw.connect()
    before = plain.scalar("SELECT current_setting('%s', true)" % name)
    conn = pw.connect(**{name: value})
    for _ in range(3):
        assert conn.scalar("SHOW %s" % name) == shown
        assert (plain.scalar("SELECT current_setting('%s', true)" % name) or "") == (before or "")


@pytest.mark.parametrize("options", ["-c statement_timeout=4321", "-cstatement_timeout=4321", "--statement_timeout=4321",
                                     "--statement-timeout=4321", "-c statement_timeout=4321 -c work_mem=5MB"])
def test_options(start, options):
    pw = start(settings={"default_pool_size": 1})
    plain, conn = pw.connect(), pw.connect(options=options)
    for _ in range(2):
        assert conn.scalar("SHOW statement_timeout") == "4321ms"
        assert plain.scalar("SHOW statement_timeout") == "0"


def test_options_with_escapes(start):
    conn = start().connect(options="-c search_path=a,\\ b -c application_name=back\\\\slash")
    assert conn.scalar("SHOW search_path") == "a, b"
    assert conn.scalar("SHOW application_name") == "back\\slash"


def test_a_bad_startup_parameter_is_told(start):
    """The server's refusal of a value reaches the client, and the pool lives on."""
    pw = start(settings={"default_pool_size": 1})
    try:
        conn = pw.connect(statement_timeout="not a number")
        result = conn.query("SELECT 1", check=False)
        assert result.error is not None
    except wire.ServerError as error:
        assert error.severity == "FATAL"
    assert pw.connect().scalar("SELECT 1") == "1"


def test_ignored_startup_parameters(start):
    pw = start(settings={"ignore_startup_parameters": "extra_float_digits, search_path"})
    conn = pw.connect(extra_float_digits="0", search_path="nowhere")
    assert conn.scalar("SHOW search_path") == '"$user", public'
    assert conn.scalar("SHOW extra_float_digits") == "1"


def test_parameters_that_would_change_who_one_is_are_not_taken(start):
    """A startup parameter is a setting, never an identity or a privilege."""
    pw = start(settings={"default_pool_size": 1})
    for params in ({"role": "postgres"}, {"session_authorization": "postgres"}):
        try:
            conn = pw.connect(**params)
            assert conn.query("SELECT current_user, session_user", check=False).rows in ([], [["app", "app"]])
        except wire.ServerError:
            pass
    assert pw.connect().query("SELECT current_user, session_user").rows == [["app", "app"]]


def test_application_name_add_host(start):
    pw = start(settings={"application_name_add_host": 1})
    conn = pw.connect(application_name="mine")
    local = conn.sock.getsockname()
    assert conn.scalar("SHOW application_name") == "mine - 127.0.0.1:%d" % local[1]
    assert pw.connect().scalar("SHOW application_name").startswith("app - 127.0.0.1:")


def test_database_parameters_reach_the_server(start):
    pw = start({"test": {"application_name": "from_entry", "timezone": "Asia/Tokyo", "datestyle": "German",
                         "client_encoding": "LATIN1"}})
    conn = pw.connect()
    assert conn.scalar("SHOW TimeZone") == "Asia/Tokyo"
    assert conn.scalar("SHOW DateStyle").startswith("German")
    assert conn.scalar("SHOW client_encoding") == "LATIN1"


def test_replication_word_false_is_a_normal_login(start):
    pw = start()
    for word in ("false", "off", "no", "0"):
        assert pw.connect(replication=word).scalar("SELECT 1") == "1"
