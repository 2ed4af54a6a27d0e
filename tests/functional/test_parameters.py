"""Parameter tracking: what a client has set follows it from server to server, and only it."""

import pytest

from harness import wire
from harness.fakeserver import FakeServer

TRACKED = [("DateStyle", "German, DMY"), ("client_encoding", "LATIN1"), ("TimeZone", "Asia/Tokyo"),
           ("standard_conforming_strings", "off"), ("application_name", "it's \"me\""), ("IntervalStyle", "iso_8601")]


@pytest.fixture
def pw(start):
    return start(settings={"default_pool_size": 1})


@pytest.mark.parametrize("name, value", TRACKED, ids=[n for n, _ in TRACKED])
def test_set_follows_the_client(pw, name, value):
    one, two = pw.connect(), pw.connect()
    before = two.scalar("SHOW " + name)
    one.query("SET %s = '%s'" % (name, value.replace("'", "''")))
    for _ in range(3):
        assert one.scalar("SHOW " + name) == value
        assert two.scalar("SHOW " + name) == before
    assert one.params[name] == value


def test_parameter_status_is_forwarded(pw):
    conn = pw.connect()
    result = conn.query("SET TimeZone = 'Asia/Tokyo'")
    assert [m.body for m in result.messages if m.type == "S"] == [b"TimeZone\0Asia/Tokyo\0"]


def test_a_simple_query_shows_no_foreign_messages(pw):
    """The SETs that bring a server in line are hidden: their replies and their ParameterStatus never show up."""
    one, two = pw.connect(application_name="one"), pw.connect(application_name="two")
    for _ in range(5):
        for conn, name in ((one, "one"), (two, "two")):
            conn.send(wire.query("SHOW application_name"))
            got = conn.read_until("Z")
            assert "".join(m.type for m in got) == "TDCZ" and got[1].row() == [name.encode()]


def test_extended_batch_gets_its_parameters(pw):
    one, two = pw.connect(application_name="one"), pw.connect(application_name="two")
    for _ in range(5):
        for conn, name in ((one, "one"), (two, "two")):
            conn.send(wire.parse("SHOW application_name"), wire.bind(), wire.describe(), wire.execute(), wire.sync())
            got = conn.read_until("Z")
            assert "".join(m.type for m in got) == "12TDCZ" and got[3].row() == [name.encode()]


def test_begin_gets_its_parameters_too(pw):
    one, two = pw.connect(application_name="one"), pw.connect(application_name="two")
    for conn, name in ((one, "one"), (two, "two"), (one, "one")):
        conn.query("BEGIN")
        assert conn.scalar("SHOW application_name") == name
        conn.query("ROLLBACK")


def test_set_local_does_not_stick(pw):
    one = pw.connect(TimeZone="UTC")
    one.query("BEGIN; SET LOCAL TimeZone = 'Asia/Tokyo'")
    assert one.scalar("SHOW TimeZone") == "Asia/Tokyo"
    one.query("COMMIT")
    assert one.scalar("SHOW TimeZone") == "UTC"
    one.query("BEGIN; SET TimeZone = 'Asia/Tokyo'; ROLLBACK")
    assert one.scalar("SHOW TimeZone") == "UTC"


def test_reset_goes_back(pw):
    one = pw.connect()
    before = one.scalar("SHOW TimeZone")
    one.query("SET TimeZone = 'Asia/Tokyo'")
    one.query("RESET TimeZone")
    with pw.connect(TimeZone="Europe/Paris") as two:
        assert two.scalar("SHOW TimeZone") == "Europe/Paris"
    assert one.scalar("SHOW TimeZone") == before


def test_long_values_are_applied(pw):
    """Values over 127 bytes, which the reference drops."""
    style = "x" * 60
    one, two = pw.connect(application_name=style), pw.connect()
    assert one.scalar("SHOW application_name") == style
    assert two.scalar("SHOW application_name") == ""
    assert one.scalar("SHOW application_name") == style


def test_values_are_quoted(pw):
    for value in ("back\\slash", "quote'quote", "dollar$$", "semi;colon", "'; DROP TABLE x; --", "ünï"):
        one, two = pw.connect(application_name=value), pw.connect()
        two.scalar("SELECT 1")
        shown = one.scalar("SHOW application_name")
        assert shown == value or "ü" in value


def test_track_extra_parameters(start):
    """search_path is no parameter that PostgreSQL 15 reports, but one that a client may start with."""
    pw = start(settings={"default_pool_size": 1, "track_extra_parameters": "IntervalStyle, search_path"})
    one, two = pw.connect(search_path="alpha, beta"), pw.connect()
    for _ in range(3):
        assert one.scalar("SHOW search_path") == "alpha, beta"
        assert two.scalar("SHOW search_path") == '"$user", public'


def test_a_tracked_value_that_the_server_refuses(pw):
    try:
        conn = pw.connect(TimeZone="Nowhere/Atlantis")
        conn.send(wire.query("SELECT 1"))
        conn.expect_fatal("invalid server parameter", "08P01")
    except wire.ServerError as error:
        assert error.severity == "FATAL"
    assert pw.connect().scalar("SELECT 1") == "1"


def test_canonical_value_reaches_the_client(pw):
    """A value that the server spells in its own way must not be sent again at every attach."""
    conn, other = pw.connect(DateStyle="iso,mdy"), pw.connect()
    for _ in range(3):
        assert conn.scalar("SHOW DateStyle") == "ISO, MDY"
        other.scalar("SELECT 1")


def test_pipelines_after_an_attach_with_sets(pw):
    """SETs and a deep pipeline together: every answer is the right one."""
    conns = [pw.connect(application_name="c%d" % i) for i in range(3)]
    for conn in conns * 3:
        name = conn.params["application_name"]
        conn.send(*[wire.parse("SELECT $1 || current_setting('application_name')", types=[25]) + wire.bind([str(i)])
                    + wire.execute() for i in range(50)], wire.sync())
        rows = [m.row()[0].decode() for m in conn.read_until("Z") if m.type == "D"]
        assert rows == ["%d%s" % (i, name) for i in range(50)]


@pytest.mark.parametrize("command", ["RESET statement_timeout", "RESET ALL", "DISCARD ALL"])
def test_a_reset_by_a_client_hides_nothing(start, command):
    """What was set for one client is not in force for the next, and is in force again for the first."""
    pw = start(settings={"default_pool_size": 1})
    conn, other = pw.connect(work_mem="1234kB"), pw.connect()
    usual = other.scalar("SHOW work_mem")
    assert conn.scalar("SHOW work_mem") == "1234kB" != usual
    conn.query(command)
    assert other.scalar("SHOW work_mem") == usual
    assert conn.scalar("SHOW work_mem") == "1234kB"
    conn.send(wire.query(command) + wire.terminate())
    assert pw.connect(work_mem="1234kB").scalar("SHOW work_mem") == "1234kB"
    assert other.scalar("SHOW work_mem") == usual


CHANGES = ["SET work_mem = '4321kB'", "SET SESSION work_mem = '4321kB'", "SET work_mem TO DEFAULT",
           "BEGIN; SET work_mem = '4321kB'; COMMIT", "BEGIN; SET work_mem = '4321kB'; ROLLBACK",
           "SET work_mem = '4321kB'; SELECT 1"]


@pytest.mark.parametrize("extended", [False, True], ids=["simple", "extended"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_set_by_another_client_does_not_undo_what_was_asked_for(start, change, extended):
    """Startup parameters that PostgreSQL does not report hold for whoever gave them, whatever ran before."""
    pw = start(settings={"default_pool_size": 1})
    one, two, plain = pw.connect(work_mem="1234kB"), pw.connect(work_mem="1234kB"), pw.connect()
    usual = plain.scalar("SHOW work_mem")
    assert one.scalar("SHOW work_mem") == two.scalar("SHOW work_mem") == "1234kB" != usual
    for statement in change.split("; ") if extended else [change]:
        one.extended(statement) if extended else one.query(statement)
    assert two.scalar("SHOW work_mem") == "1234kB"
    assert one.scalar("SHOW work_mem") == "1234kB"
    one.extended(change) if extended and ";" not in change else one.query(change)
    assert plain.scalar("SHOW work_mem") == usual
    plain.query(change)
    assert two.scalar("SHOW work_mem") == "1234kB"


@pytest.mark.parametrize("given, name, value, change", [
    ({"extra_float_digits": "2"}, "extra_float_digits", "2", "SET extra_float_digits = 0"),
    ({"search_path": "alpha, beta"}, "search_path", "alpha, beta", "SET search_path = pg_catalog"),
    ({"options": "-c statement_timeout=12345 -c geqo=off"}, "statement_timeout", "12345ms", "SET statement_timeout = 9"),
], ids=["extra_float_digits", "search_path", "options"])
def test_a_set_by_a_client_that_vanishes(pw, given, name, value, change):
    """Also when the answer to that SET is read by nobody but the clean-up."""
    two = pw.connect(**given)
    assert two.scalar("SHOW " + name) == value
    for _ in range(3):
        one = pw.connect(**given)
        one.send(wire.query("SELECT pg_sleep(0.05); " + change) + wire.terminate())
        one.close()
        assert two.scalar("SHOW " + name) == value


def test_a_set_stays_with_who_ran_it_while_no_other_comes(pw):
    one = pw.connect(work_mem="1234kB")
    one.query("SET work_mem = '4321kB'")
    for _ in range(3):
        assert one.scalar("SHOW work_mem") == "4321kB"


def test_bringing_a_server_in_line_raises_no_doubt(start):
    """That is done by SET and RESET, too; after it the same client costs no more of them."""
    with FakeServer(lambda session: (session.login(), session.serve())) as fake:
        pw = start(databases={"test": fake.entry}, settings={"default_pool_size": 1})
        one, two, plain = pw.connect(work_mem="1234kB"), pw.connect(work_mem="1234kB"), pw.connect()
        for conn in (one, plain, two):
            conn.query("SELECT 1")
        before = len(fake.queries)
        for conn in (one, two, one, two):
            conn.query("SELECT 2")
        assert fake.queries[before:] == ["SELECT 2"] * 4
        two.query("SET other = 1")
        two.query("SELECT 3")
        one.query("SELECT 4")
        assert fake.queries[before + 4:] == ["SET other = 1", "SELECT 3", "SET \"work_mem\"='1234kB';", "SELECT 4"]
