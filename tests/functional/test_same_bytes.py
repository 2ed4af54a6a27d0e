"""Conversations whose answers must be PostgreSQL's own to the byte: each is held directly and through pgweir, with all
messages in one write and one by one."""

import pytest

from harness import wire

COPY_IN = "COPY %s FROM stdin"
DATA, BAD, DONE, FAIL, SYNC = (wire.copy_data(b"1\n"), wire.copy_data(b"x\n"), wire.copy_done(), wire.copy_fail(),
                               wire.sync())


def simple(table, *rest):
    return [wire.query(COPY_IN % table), *rest]


def extended(table, *rest):
    return [wire.parse(COPY_IN % table), wire.bind(), wire.execute(), *rest]


# "nowhere" fails before the server asks for data, the view directly after it has, a bad row when it is read.
COPIES = {
    "no_table_sync_last": simple("nowhere", DATA, DONE, SYNC),
    "no_table_sync_before_done": simple("nowhere", DATA, SYNC, DONE),
    "no_table_sync_first": simple("nowhere", SYNC, DATA, DONE),
    "no_table_fail": simple("nowhere", FAIL, SYNC),
    "view_sync_last": simple("v", DATA, DONE, SYNC),
    "view_sync_before_done": simple("v", DATA, SYNC, DONE),
    "view_sync_first": simple("v", SYNC, DATA, DONE),
    "view_two_syncs": simple("v", SYNC, DATA, DONE, SYNC),
    "bad_row_sync_last": simple("t", BAD, DONE, SYNC),
    "bad_row_syncs": simple("t", BAD, SYNC, DONE, SYNC),
    "bad_row_sync_first": simple("t", SYNC, BAD, DONE, SYNC),
    "good_sync_last": simple("t", DATA, DONE, SYNC),
    "good_syncs": simple("t", DATA, SYNC, DONE, SYNC),
    "client_fails_it": simple("t", SYNC, FAIL, SYNC),
    "extended_no_table": extended("nowhere", SYNC, DATA, DONE, SYNC),
    "extended_view": extended("v", SYNC, DATA, DONE, SYNC),
    "extended_view_without_first_sync": extended("v", DATA, DONE, SYNC),
    "extended_bad_row": extended("t", SYNC, BAD, DONE, SYNC),
    "extended_good": extended("t", SYNC, DATA, DONE, SYNC),
    "extended_client_fails_it": extended("t", SYNC, FAIL, SYNC),
}


def held(conn, messages, at_once):
    """All answers, up to and with those of a last query."""
    if at_once:
        conn.send(*messages)
    else:
        for one in messages:
            conn.send(one)
            conn.silent(0.02)  # so that whatever is answered now is, before the next message comes
    conn.send(wire.query("SELECT 'the end'"))
    got = []
    while not (got and got[-1].type == "D" and got[-1].row() == [b"the end"]):
        got.append(conn.read())
    got += conn.read_until("Z")
    return [(one.type, one.body) for one in got]


@pytest.fixture
def both(start, pg, db):
    pw = start(settings={"default_pool_size": 1})
    pg.connect(database=db).query("CREATE TABLE t(a int); CREATE VIEW v AS SELECT 1 AS a; GRANT ALL ON t, v TO PUBLIC")
    return pw, lambda: pg.connect("app", db, tcp=True)


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("name", COPIES)
def test_copy(both, name, at_once):
    pw, direct = both
    conn = pw.connect()
    pid = conn.scalar("SELECT pg_backend_pid()")
    assert held(conn, COPIES[name], at_once) == held(direct(), COPIES[name], at_once)
    assert pw.connect().scalar("SELECT pg_backend_pid()") == pid  # nothing was left over on the server
    assert not pw.logged("when not linked")


@pytest.mark.parametrize("name", ["view_sync_first", "extended_view", "bad_row_syncs"])
def test_copy_whose_client_goes_at_once(both, name):
    """What may still come for the last Sync must not reach the next client of that server."""
    pw, _ = both
    for _ in range(20):
        conn = pw.connect()
        conn.send(*COPIES[name])
        conn.abort()
        other = pw.connect()
        other.send(wire.query("SELECT 1"), wire.query("SELECT 2"))
        assert "".join(one.type for one in other.read_until("Z") + other.read_until("Z")) == "TDCZTDCZ"
        other.terminate()
