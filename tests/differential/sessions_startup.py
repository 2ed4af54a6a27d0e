"""How a connection begins: parameters, versions, encryption requests, cancel requests. Nobody has to prove anything here."""

import struct

from harness import wire
from recorder import session

APP = {"user": "app", "database": "test"}


def starting(name, modes=("session", "transaction"), look=(), **parameters):
    """A session that logs in with these parameters and looks at what has become of them."""

    def run(c):
        c.start({**APP, **parameters})
        c.welcome()
        for sql in look:
            c.query("SHOW " + sql)

    run.__name__ = name
    session(modes=modes, login=False)(run)


starting("login_plain", modes=("session", "transaction", "statement"), look=("application_name", "client_encoding"))
starting("login_application_name", look=("application_name",), application_name="billing")
starting("login_application_name_long", look=("application_name",), application_name="n" * 200)
starting("login_application_name_not_ascii", look=("application_name",), application_name="caf\u00e9 \u2603")
starting("login_application_name_empty", look=("application_name",), application_name="")
starting("login_application_name_quotes", look=("application_name",), application_name="it's \\ \"it\"")
starting("login_encoding", look=("client_encoding",), client_encoding="LATIN1")
starting("login_encoding_quoted", look=("client_encoding",), client_encoding="'utf-8'")
starting("login_encoding_unknown", look=("client_encoding",), client_encoding="klingon")
starting("login_datestyle", look=("DateStyle",), DateStyle="German")
starting("login_datestyle_unknown", look=("DateStyle",), DateStyle="Klingon")
starting("login_name_in_lower_case", look=("DateStyle",), datestyle="SQL, DMY")
starting("login_timezone", look=("TimeZone",), TimeZone="America/New_York")
starting("login_timezone_unknown", look=("TimeZone",), TimeZone="Mars/Olympus")
starting("login_intervalstyle", look=("IntervalStyle",), IntervalStyle="iso_8601")
starting("login_standard_strings_off", look=("standard_conforming_strings",), standard_conforming_strings="off")
starting("login_extra_float_digits", look=("extra_float_digits",), extra_float_digits="3")
starting("login_search_path", look=("search_path",), search_path="pg_catalog, public")
starting("login_statement_timeout", look=("statement_timeout",), statement_timeout="4567")
starting("login_own_class", look=("myapp.tenant",), **{"myapp.tenant": "7"})
starting("login_unknown_parameter", look=("application_name",), nonsense="1")
starting("login_bad_value", look=("work_mem",), work_mem="much")
starting("login_server_only_parameter", look=("shared_buffers",), shared_buffers="1MB")
starting("login_superuser_parameter", look=("log_statement",), log_statement="all")
starting("login_options_tracked", look=("DateStyle", "application_name"), options="-c DateStyle=German -capplication_name=x")
starting("login_options_long_form", look=("DateStyle",), options="--DateStyle=German")
starting("login_options_escape", look=("application_name",), options="-c application_name=two\\ words")
starting("login_options_untracked", look=("geqo", "search_path"), options="-c geqo=off -c search_path=pg_catalog")
starting("login_options_unknown", look=("application_name",), options="-c nonsense=1")
starting("login_options_garbage", look=("application_name",), options="garbage")
starting("login_options_empty", look=("application_name",), options="")
starting("login_replication_false", look=("application_name",), replication="false")
starting("login_replication_physical_not_allowed", replication="true")


@session(login=False)
def login_without_database(c):
    c.start({"user": "app"})
    c.welcome()


@session(login=False)
def login_parameter_twice(c):
    c.start([("user", "app"), ("database", "test"), ("application_name", "one"), ("application_name", "two")])
    c.welcome()
    c.query("SHOW application_name")


@session(login=False)
def login_without_user(c):
    c.start({"database": "test"})
    c.end()


@session(login=False)
def login_user_empty(c):
    c.start({"user": "", "database": "test"})
    c.end()


@session(login=False, modes=("session",))
def replication_logical(c):
    c.start({**APP, "user": "postgres", "replication": "database"})
    c.welcome()
    c.query("SHOW wal_level")
    c.query("SELECT 1")
    c.ask(wire.parse("SELECT 1"), wire.sync())
    c.query("nonsense")


def with_protocol(name, version, extra=()):
    def run(c):
        c.start([*APP.items(), *extra], version)
        c.welcome()
        c.query("SELECT 1")

    run.__name__ = name
    session(modes=("transaction",), login=False)(run)


with_protocol("protocol_3_1", 0x30001)
with_protocol("protocol_3_2", wire.PROTOCOL_3_2)
with_protocol("protocol_3_99", 0x30063)
with_protocol("protocol_option_3_0", wire.PROTOCOL_3_0, [("_pq_.compression", "yes")])
with_protocol("protocol_options_3_2", wire.PROTOCOL_3_2, [("_pq_.compression", "yes"), ("_pq_.x", "")])
with_protocol("protocol_2_0", 0x20000)
with_protocol("protocol_4_0", 0x40000)
with_protocol("protocol_1_0", 0x10000)
with_protocol("protocol_0", 0)


def encryption(name, *requests):
    """Requests that are refused here, and then a login."""

    def run(c):
        for request in requests:
            c.send(request)
            c.byte()
        if not c.over:
            c.login()
            c.query("SELECT 1")

    run.__name__ = name
    session(modes=("transaction",), peers=("pgbouncer",), login=False)(run)


encryption("gssenc_request", wire.gssenc_request())
encryption("gssenc_request_twice", wire.gssenc_request(), wire.gssenc_request())


@session(login=False, modes=("transaction",), peers=("pgbouncer",))
def ssl_request_without_tls(c):
    c.send(wire.ssl_request())
    c.byte()
    c.login()
    c.query("SELECT 1")


@session(login=False, modes=("transaction",), peers=("pgbouncer",))
def ssl_then_gssenc_then_ssl(c):
    for request in (wire.ssl_request(), wire.gssenc_request(), wire.ssl_request()):
        c.send(request)
        c.byte()
    c.login()


@session(login=False, modes=("transaction",), tls="allow")
def ssl_request_with_tls(c):
    c.send(wire.ssl_request())
    c.byte()
    c.tls(c.target.tls_context())
    c.login()
    c.query("SELECT 1")


@session(login=False, modes=("transaction",), tls="allow", peers=("pgbouncer",))
def gssenc_then_ssl_with_tls(c):
    c.send(wire.gssenc_request())
    c.byte()
    c.send(wire.ssl_request())
    c.byte()
    c.tls(c.target.tls_context())
    c.login()


@session(login=False, modes=("transaction",), tls="allow")
def ssl_request_inside_tls(c):
    c.send(wire.ssl_request())
    c.byte()
    c.tls(c.target.tls_context())
    c.send(wire.ssl_request())
    c.end()


@session(login=False, modes=("transaction",), tls="require", peers=("pgbouncer",))
def plain_where_tls_is_required(c):
    c.login()


@session(login=False, modes=("transaction",), tls="allow", peers=("pgbouncer",))
def bytes_behind_ssl_request(c):
    c.send(wire.ssl_request() + wire.startup(APP))
    c.byte()
    c.end()


@session(login=False, modes=("transaction",), peers=("pgbouncer",))
def bytes_behind_gssenc_request(c):
    c.send(wire.gssenc_request() + wire.startup(APP))
    c.byte()
    c.end()


def raw_start(name, data):
    """Bytes that are no start of a session."""

    def run(c):
        c.send(data)
        c.end()

    run.__name__ = name
    session(modes=("transaction",), login=False)(run)


BODY = struct.pack("!I", wire.PROTOCOL_3_0)
raw_start("start_without_terminator", wire.untyped(BODY + b"user\0app\0database\0test\0"))
raw_start("start_bytes_behind_terminator", wire.untyped(BODY + b"user\0app\0database\0test\0\0x\0"))
raw_start("start_name_without_value", wire.untyped(BODY + b"user\0app\0database\0\0"))
raw_start("start_only_version", wire.untyped(BODY))
raw_start("start_length_0", struct.pack("!I", 0) + BODY)
raw_start("start_length_4", struct.pack("!I", 4))
raw_start("start_length_7", struct.pack("!I", 7) + BODY)
raw_start("start_length_huge", struct.pack("!I", 0x7FFFFFFF) + BODY)
raw_start("start_too_long", wire.startup({**APP, "application_name": "x" * 20000}))
raw_start("start_http", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
raw_start("start_password_first", wire.message("p", b"secret\0"))
raw_start("start_query_first", wire.query("SELECT 1"))
raw_start("start_cancel_short", wire.untyped(struct.pack("!II", wire.CANCEL_REQUEST, 1)))
raw_start("start_cancel_of_nobody", wire.cancel_request(1, b"\0\0\0\1"))


@session(modes=("transaction",))
def start_again_after_login(c):
    c.send(wire.startup(APP))
    c.end()


# Cancels.


def sleeping(c):
    """Starts a sleep and returns when PostgreSQL runs it."""
    c.note("-- SELECT pg_sleep(60)")
    c.send(wire.query("SELECT pg_sleep(60)"))
    c.talk.wait(lambda: c.target.running("SELECT pg_sleep(60)") == 1)


@session()
def cancel_running(c):
    sleeping(c)
    c.cancel()
    c.take("Z")
    c.query("SELECT 1")


@session(modes=("session", "transaction"))
def cancel_in_transaction(c):
    c.query("BEGIN")
    sleeping(c)
    c.cancel()
    c.take("Z")
    c.query("SELECT 1")
    c.query("ROLLBACK")


@session()
def cancel_pipelined(c):
    c.note("-- two statements")
    c.send(wire.parse("SELECT pg_sleep(60)"), wire.bind(), wire.execute(), wire.parse("SELECT 2"), wire.bind(), wire.execute(), wire.sync())
    c.talk.wait(lambda: c.target.running("SELECT pg_sleep(60)") == 1)
    c.cancel()
    c.take("Z")
    c.query("SELECT 1")


@session()
def cancel_idle(c):
    c.query("SELECT 1")
    c.cancel()
    c.query("SELECT 2")


@session()
def cancel_with_wrong_secret(c):
    sleeping(c)
    pid, secret = c.conn.key
    c.cancel_with(wire.cancel_request(pid, bytes([secret[0] ^ 1]) + secret[1:]))
    c.silent()
    c.cancel()
    c.take("Z")


@session(modes=("session", "transaction"))
def cancel_of_another(c):
    other = c.talk.new()
    sleeping(c)
    other.query("SELECT 1")
    other.cancel()
    c.silent()
    c.cancel()
    c.take("Z")
    other.query("SELECT 2")
