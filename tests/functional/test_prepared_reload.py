"""A reload of max_prepared_statements or pool_mode, and the prepared statements of clients that are connected."""

import pytest

from harness import wire
from test_prepared import execute, prepare, types

CHANGES = [{"max_prepared_statements": 0}, {"pool_mode": "session"}, {"pool_mode": "statement"},
           {"max_prepared_statements": 3}]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_reload_takes_no_statement_from_a_connected_client(start, change):
    """Named or not, used before or not; nor does a second client with the same names get in the way."""
    pw = start(settings={"default_pool_size": 1, "max_prepared_statements": 10})
    conn, other = pw.connect(), pw.connect()
    for i in range(5):
        prepare(conn, "s%d" % i, "SELECT 'one' || %d" % i)
        prepare(other, "s%d" % i, "SELECT 'two' || %d" % i)
    conn.send(wire.parse("SELECT 'unnamed one'"), wire.sync())
    conn.read_until("Z")
    other.send(wire.parse("SELECT 'unnamed two'"), wire.sync())
    other.read_until("Z")
    pw.reload(**change)
    assert execute(conn, "") == [["unnamed one"]]
    for _ in range(2):
        for i in range(5):
            assert execute(conn, "s%d" % i) == [["one%d" % i]]
    prepare(conn, "new", "SELECT 'new'")
    assert execute(conn, "new") == [["new"]]
    conn.send(wire.close("S", "s0"), wire.sync())
    assert types(conn.read_until("Z")) == "3Z"
    with pytest.raises(wire.ServerError) as error:
        execute(conn, "s0")
    assert error.value.sqlstate == "26000"
    conn.terminate()  # session mode: its server is free now
    for i in range(5):
        assert execute(other, "s%d" % i) == [["two%d" % i]]
    other.terminate()
    late = pw.connect()
    prepare(late, "s1", "SELECT 'late'")
    assert execute(late, "s1") == [["late"]]


def test_a_reload_maps_no_statement_that_was_not(start):
    """A client that began without mapping goes on so: what it prepared on the one server is there."""
    pw = start(settings={"default_pool_size": 1, "max_prepared_statements": 0})
    conn = pw.connect()
    prepare(conn, "s", "SELECT 'raw'")
    pw.reload(max_prepared_statements=10)
    assert execute(conn, "s") == [["raw"]]
    late = pw.connect()
    prepare(late, "s", "SELECT 'mapped'")
    assert execute(late, "s") == [["mapped"]]
    assert execute(conn, "s") == [["raw"]]


def test_out_of_session_mode(start):
    """With its server a client loses what it had prepared there, and gets nothing of others for it."""
    pw = start(settings={"default_pool_size": 2, "pool_mode": "session", "max_prepared_statements": 10,
                         "server_reset_query": "", "server_round_robin": 1})
    one, two = pw.connect(), pw.connect()
    for conn, text in ((one, "one"), (two, "two")):
        conn.query("BEGIN")
        prepare(conn, "s", "SELECT '%s'" % text)
    pw.reload(pool_mode="transaction")
    assert execute(one, "s") == [["one"]] and execute(two, "s") == [["two"]]  # the server has not left it yet
    for conn in (one, two):
        conn.query("COMMIT")
    for conn in (one, two, one, two):
        for name in ("s", ""):
            with pytest.raises(wire.ServerError) as error:
                execute(conn, name)
            assert error.value.sqlstate == "26000"
    for conn, text in ((one, "one"), (two, "two")):
        prepare(conn, "s", "SELECT '%s again'" % text)
    for _ in range(3):
        assert execute(two, "s") == [["two again"]] and execute(one, "s") == [["one again"]]


def test_an_unnamed_statement_of_a_session_is_not_taken_for_another_clients(start):
    pw = start(settings={"default_pool_size": 1, "server_reset_query": ""})
    conn = pw.connect()
    conn.send(wire.parse("SELECT 'mine'"), wire.sync())
    conn.read_until("Z")
    pw.reload(pool_mode="session")
    with pw.connect() as session:
        session.send(wire.parse("SELECT 'not yours'"), wire.sync())
        assert types(session.read_until("Z")) == "1Z"
    pw.wait_pool(sv_active=0)
    assert execute(conn, "") == [["mine"]]
