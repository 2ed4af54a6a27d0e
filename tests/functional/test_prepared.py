"""Named prepared statements in transaction mode: mapping, eviction, errors, DEALLOCATE ALL, healing."""

import struct

import pytest

from harness import system, wire
from harness.fakeserver import FakeServer


@pytest.fixture
def pw(start):
    return start(settings={"default_pool_size": 1, "max_prepared_statements": 10})


def types(messages):
    return "".join(m.type for m in messages)


def prepare(conn, name, sql, param_types=()):
    conn.send(wire.parse(sql, name, param_types), wire.sync())
    got = conn.read_until("Z")
    assert types(got) == "1Z", got[0].error() if got[0].type == "E" else got


def execute(conn, name, params=()):
    conn.send(wire.bind(params, name), wire.execute(), wire.sync())
    got = conn.read_until("Z")
    if got[0].type == "E":
        raise wire.ServerError(got[0].error())
    return [[v.decode() if v is not None else None for v in m.row()] for m in got if m.type == "D"]


def two_servers(pw):
    """Two busy clients, so that the pool has (at least) two servers afterwards."""
    first, second = pw.connect(), pw.connect()
    first.query("BEGIN")
    second.query("BEGIN")
    return first, second


def test_statement_follows_its_client(start):
    pw = start(settings={"default_pool_size": 2})
    conn = pw.connect()
    prepare(conn, "s", "SELECT pg_backend_pid(), $1::text")
    first, second = two_servers(pw)
    seen = set()
    for busy, free in ((first, second), (second, first)):
        free.query("COMMIT")
        for i in range(3):
            row = execute(conn, "s", [str(i)])[0]
            seen.add(row[0])
            assert row[1] == str(i)
        free.query("BEGIN")
    assert len(seen) == 2


def test_same_name_for_different_statements_of_two_clients(pw):
    one, two = pw.connect(), pw.connect()
    prepare(one, "s", "SELECT 'one'")
    prepare(two, "s", "SELECT 'two'")
    for _ in range(5):
        assert execute(one, "s") == [["one"]]
        assert execute(two, "s") == [["two"]]


def test_same_statement_is_shared(pw):
    for _ in range(5):
        conn = pw.connect()
        prepare(conn, "mine", "SELECT $1::int + 1")
        assert execute(conn, "mine", [1]) == [["2"]]
    assert pw.connect().scalar("SELECT count(*) FROM pg_prepared_statements") == "1"


def test_same_text_with_other_types_is_another_statement(pw):
    one, two = pw.connect(), pw.connect()
    prepare(one, "s", "SELECT pg_typeof($1)::text", [23])
    prepare(two, "s", "SELECT pg_typeof($1)::text", [25])
    assert execute(one, "s", [1]) == [["integer"]] and execute(two, "s", [1]) == [["text"]]


def test_describe_and_close(pw):
    conn, other = pw.connect(), pw.connect()
    prepare(conn, "s", "SELECT $1::int AS a, 2 AS b")
    other.scalar("SELECT 1")
    conn.send(wire.describe("S", "s"), wire.sync())
    got = conn.read_until("Z")
    assert types(got) == "tTZ" and [c[0] for c in wire.parse_columns(got[1].body)] == ["a", "b"]
    conn.send(wire.close("S", "s"), wire.close("S", "unknown"), wire.sync())
    assert types(conn.read_until("Z")) == "33Z"
    prepare(conn, "s", "SELECT 'again'")
    assert execute(conn, "s") == [["again"]]


def test_whole_batch_at_once(pw):
    conn = pw.connect()
    for i in range(3):
        conn.send(wire.parse("SELECT $1::text", "n%d" % i), wire.describe("S", "n%d" % i), wire.bind(["x"], "n%d" % i),
                  wire.describe("P"), wire.execute(), wire.close("S", "n%d" % i), wire.sync())
        assert types(conn.read_until("Z")) == "1tT2TDC3Z"


def test_local_answers_keep_their_place(pw):
    """A ParseComplete made by the pooler must not overtake an answer that is still in flight."""
    conn, other = pw.connect(), pw.connect()
    prepare(other, "s", "SELECT 'shared'")
    conn.send(wire.parse("SELECT pg_sleep(0.2)"), wire.bind(), wire.execute(), wire.parse("SELECT 'shared'", "s"),
              wire.close("S", "nothing"), wire.bind([], "s"), wire.execute(), wire.sync())
    assert types(conn.read_until("Z")) == "12DC132DCZ"


def test_local_answers_without_sync(pw):
    conn, other = pw.connect(), pw.connect()
    prepare(other, "s", "SELECT 'shared'")
    conn.send(wire.parse("SELECT 'shared'", "s"), wire.flush())
    assert conn.read().type == "1"
    conn.send(wire.close("S", "nothing"), wire.flush())
    assert conn.read().type == "3"
    conn.send(wire.sync())
    assert types(conn.read_until("Z")) == "Z"
    assert execute(conn, "s") == [["shared"]]


def test_eviction(pw, pg, db):
    """Far more statements than a server may keep; each goes on working."""
    conns = [pw.connect() for _ in range(3)]
    for number, conn in enumerate(conns):
        for i in range(30):
            prepare(conn, "s%d" % i, "SELECT 'c%d-%d'" % (number, i))
    for _ in range(2):
        for number, conn in enumerate(conns):
            for i in range(30):
                assert execute(conn, "s%d" % i) == [["c%d-%d" % (number, i)]]
    assert int(conns[0].scalar("SELECT count(*) FROM pg_prepared_statements")) <= 11


def test_eviction_within_a_batch(pw):
    """More named statements in one batch than a server may keep: none is thrown out while the batch refers to it."""
    conn = pw.connect()
    count = 40
    for i in range(count):
        prepare(conn, "s%d" % i, "SELECT %d" % i)
    conn.send(*[wire.bind([], "s%d" % i, "p%d" % i) for i in range(count)],
              *[wire.execute("p%d" % i) for i in range(count)], wire.sync())
    got = conn.read_until("Z")
    assert types(got) == "2" * count + "DC" * count + "Z"
    assert [m.row()[0] for m in got if m.type == "D"] == [str(i).encode() for i in range(count)]
    conn.send(*[wire.parse("SELECT 1000 + %d" % i, "t%d" % i) + wire.bind([], "t%d" % i) + wire.execute()
                for i in range(count)], wire.sync())
    got = conn.read_until("Z")
    assert types(got) == "12DC" * count + "Z"
    assert int(pw.connect().scalar("SELECT count(*) FROM pg_prepared_statements")) <= 11


def test_lru_keeps_what_is_used(pw):
    conn = pw.connect()
    prepare(conn, "hot", "SELECT 'hot'")
    for i in range(25):
        prepare(conn, "s%d" % i, "SELECT %d" % i)
        assert execute(conn, "hot") == [["hot"]]
    texts = [r[0] for r in conn.query("SELECT statement FROM pg_prepared_statements").rows]
    assert "SELECT 'hot'" in texts


def test_failed_parse_leaves_nothing_behind(pw):
    conn = pw.connect()
    conn.send(wire.parse("SELECT * FROM nowhere", "s"), wire.sync())
    assert types(conn.read_until("Z")) == "EZ"
    conn.send(wire.bind([], "s"), wire.sync())
    got = conn.read_until("Z")
    assert types(got) == "EZ" and got[0].error()["C"] == "26000"
    prepare(conn, "s", "SELECT 'works now'")
    assert execute(conn, "s") == [["works now"]]


def test_failed_parse_of_a_shared_text(pw):
    """The text fails for the first client and works later, when the table exists."""
    one, two = pw.connect(), pw.connect()
    for conn in (one, two):
        conn.send(wire.parse("SELECT count(*) FROM later", "s"), wire.sync())
        assert types(conn.read_until("Z")) == "EZ"
    one.query("CREATE TABLE later()")
    prepare(two, "s", "SELECT count(*) FROM later")
    assert execute(two, "s") == [["0"]]


def test_parse_behind_an_error_is_not_counted_as_prepared(pw):
    """Statements of a batch that the server skipped are prepared again when they are used."""
    conn = pw.connect()
    conn.send(wire.parse("SELECT 1/0"), wire.bind(), wire.execute(), wire.parse("SELECT 'skipped'", "s"), wire.sync())
    assert "E" in types(conn.read_until("Z"))
    other = pw.connect()
    prepare(other, "o", "SELECT 'skipped'")
    assert execute(other, "o") == [["skipped"]]
    conn.send(wire.close("S", "s"), wire.parse("SELECT 'skipped'", "s"), wire.bind([], "s"), wire.execute(), wire.sync())
    assert types(conn.read_until("Z")) == "312DCZ"


def test_batch_abandoned_by_its_client(pw):
    """A client that goes in mid-batch leaves no false mark on the server."""
    for i in range(10):
        conn = pw.connect()
        conn.send(wire.parse("SELECT pg_sleep(0.05)"), wire.bind(), wire.execute(), wire.parse("SELECT 'abandoned'", "s"))
        conn.abort()
    conn = pw.connect()
    prepare(conn, "s", "SELECT 'abandoned'")
    assert execute(conn, "s") == [["abandoned"]]


def conversation(conn, batches):
    """The answers to batches that are sent one after another; of an error what a driver looks at."""
    got = []
    for batch in batches:
        conn.send(*batch)
        for one in conn.read_until("Z"):
            fields = one.error() if one.type == "E" else {}
            got.append((one.type, {k: fields.get(k) for k in "SVCMR"} if fields else one.body))
    return got


def run(name, *more):
    return [wire.bind([], name), *more, wire.execute(), wire.sync()]


NAMES = {
    "taken": [[wire.parse("SELECT 1", "s"), wire.sync()], [wire.parse("SELECT 2", "s"), wire.sync()], run("s")],
    "taken_in_the_same_batch": [[wire.parse("SELECT 1", "s"), wire.parse("SELECT 2", "s"), wire.sync()], run("s")],
    "taken_and_wrong": [[wire.parse("SELECT 1", "s"), wire.sync()], [wire.parse("SELEC 2", "s"), wire.sync()], run("s")],
    "taken_in_a_failed_transaction": [[wire.parse("SELECT 1", "s"), wire.sync()], [wire.query("BEGIN")],
                                      [wire.query("SELECT 1/0")], [wire.parse("SELECT 2", "s"), wire.sync()],
                                      [wire.query("ROLLBACK")], run("s")],
    "taken_in_a_transaction": [[wire.parse("SELECT 1", "s"), wire.sync()], [wire.query("BEGIN")],
                               [wire.parse("SELECT 2", "s"), wire.sync()], [wire.query("ROLLBACK")], run("s")],
    "unknown": [run("s"), [wire.describe("S", "s"), wire.sync()], [wire.query("SELECT 3")]],
    "unknown_in_a_transaction": [[wire.query("BEGIN")], run("s"), [wire.query("SELECT 1")], [wire.query("ROLLBACK")]],
    "closed": [[wire.parse("SELECT 1", "s"), wire.sync()], [wire.close("S", "s"), wire.bind([], "s"), wire.sync()]],
    "close_swallowed": [[wire.parse("SELECT 1", "s"), wire.sync()],
                        [wire.bind([], "no"), wire.close("S", "s"), wire.sync()], run("s")],
    "behind_its_own_failure": [[wire.parse("SELEC 1", "s"), wire.bind([], "s"), wire.execute(), wire.sync()],
                               [wire.parse("SELECT 2", "s"), wire.sync()], run("s")],
    "unnamed_never_parsed": [[wire.bind(), wire.execute(), wire.sync()], [wire.describe("S", ""), wire.sync()]],
    "unnamed_gone_with_a_query": [[wire.parse("SELECT 1"), wire.sync()], [wire.query("SELECT 2")],
                                  [wire.bind(), wire.execute(), wire.sync()]],
}


@pytest.mark.parametrize("name", NAMES)
def test_names_are_treated_as_by_postgresql(pw, pg, db, name):
    other = pw.connect()
    prepare(other, "s", "SELECT 'another client'")
    prepare(other, "", "SELECT 'another client'")
    assert conversation(pw.connect(), NAMES[name]) == conversation(pg.connect("app", db, tcp=True), NAMES[name])
    assert execute(other, "s") == [["another client"]]


def test_errors_about_names_keep_pgbouncers_words_as_detail(pw):
    conn = pw.connect()
    prepare(conn, "s", "SELECT 1")
    for messages, words in (([wire.parse("SELECT 2", "s")], "prepared statement name is already in use"),
                            ([wire.bind([], "no")], "prepared statement did not exist")):
        conn.send(*messages, wire.sync())
        assert conn.read_until("Z")[0].error()["D"] == words


def test_a_name_is_free_when_its_parse_has_failed_in_the_batch_before(pw, pg, db):
    for conn in (pg.connect("app", db, tcp=True), pw.connect()):
        conn.send(wire.parse("SELEC 1", "s"), wire.sync(), wire.parse("SELECT 2", "s"), *run("s"))
        assert types(conn.read_until("Z") + conn.read_until("Z")) == "EZ12DCZ"


def test_bind_behind_an_error_that_has_been_answered(pw):
    """The rest of a batch arrives when its error has already taken the name back."""
    conn = pw.connect()
    conn.send(wire.parse("SELEC 1", "s"), wire.flush())
    assert conn.read().type == "E"
    conn.send(wire.bind([], "s"), wire.describe("S", "s"), wire.execute(), wire.parse("SELECT 1", "s"), wire.sync())
    assert types(conn.read_until("Z")) == "Z"
    prepare(conn, "s", "SELECT 'fine'")
    assert execute(conn, "s") == [["fine"]]


# The unnamed statement of one client must never be run by another.


def test_unnamed_parse_that_an_error_swallows(pw):
    conn, other = pw.connect(), pw.connect()
    prepare(conn, "", "SELECT 'mine'")
    prepare(other, "", "SELECT 'not yours'")
    conn.send(wire.execute("no such portal"), wire.flush())
    assert conn.read().type == "E"
    conn.send(wire.parse("SELECT 'swallowed'"), wire.bind(), wire.query("SELECT 1"), wire.sync())
    assert types(conn.read_until("Z")) == "Z"
    conn.send(wire.bind(), wire.execute(), wire.sync())
    got = conn.read_until("Z")
    assert [m.row() for m in got if m.type == "D"] == [[b"mine"]]


def test_large_unnamed_statement_is_not_mixed_up(pw):
    for size, answer in ((100_000, "tT2DCZ"), (400_000, "EZ")):
        conn, other = pw.connect(), pw.connect()
        prepare(conn, "", "SELECT 'mine' /* %s */" % ("x" * size))
        prepare(other, "", "SELECT 'not yours'")
        conn.send(wire.describe("S", ""), wire.bind(), wire.execute(), wire.sync())
        got = conn.read_until("Z")
        assert types(got) == answer
        assert [m.row() for m in got if m.type == "D"] in ([], [[b"mine"]])


# SQL DEALLOCATE of a name that was given by the protocol (psycopg 3).

DEALLOCATE = {
    "simple": [[wire.query("DEALLOCATE s")]],
    "quoted": [[wire.query('/* a */ DEALLOCATE PREPARE "s";')]],
    "parsed": [[wire.parse("DEALLOCATE s"), wire.bind(), wire.describe(), wire.execute(), wire.sync()]],
    "parsed_before": [[wire.parse("DEALLOCATE s"), wire.sync()], [wire.bind(portal="p"), wire.execute("p"), wire.sync()]],
    "named": [[wire.parse("DEALLOCATE s", "d"), wire.bind([], "d"), wire.describe(), wire.execute(), wire.sync()]],
    "named_and_used_again": [[wire.parse("DEALLOCATE s", "d"), wire.sync()], [wire.bind([], "d"), wire.execute(), wire.sync()],
                             [wire.bind([], "d"), wire.execute(), wire.sync()], [wire.parse("SELECT 6", "s"), wire.sync()],
                             [wire.bind([], "d", "p"), wire.execute("p"), wire.sync()]],
    "named_in_a_pipeline": [[wire.parse("DEALLOCATE s", "d"), wire.bind([], "d"), wire.execute(), wire.parse("SELECT 6", "s"),
                             wire.bind([], "s"), wire.execute(), wire.bind([], "d"), wire.execute(), wire.sync()]],
    "named_among_others": [[wire.parse("DEALLOCATE s", "d"), wire.bind([], "d", "p"), wire.bind([], "s"), wire.execute(),
                            wire.execute("p"), wire.sync()]],
    "named_and_closed": [[wire.parse("DEALLOCATE s", "d"), wire.close("S", "d"), wire.parse("SELECT 5", "d"),
                          wire.bind([], "d"), wire.execute(), wire.sync()]],
    "named_and_named_anew": [[wire.parse("DEALLOCATE s", "d"), wire.sync()], [wire.query("DEALLOCATE d")],
                             [wire.parse("SELECT 5", "d"), wire.bind([], "d"), wire.execute(), wire.sync()]],
    "named_in_a_failed_transaction": [[wire.parse("DEALLOCATE s", "d"), wire.sync()], [wire.query("BEGIN")],
                                      [wire.query("SELECT 1/0")], [wire.bind([], "d"), wire.execute(), wire.sync()],
                                      [wire.query("ROLLBACK")]],
    "named_behind_an_error": [[wire.parse("DEALLOCATE s", "d"), wire.sync()],
                              [wire.bind([], "d"), wire.bind([], "no"), wire.execute(), wire.sync()]],
    "parsed_and_executed_twice": [[wire.parse("DEALLOCATE s"), wire.bind(), wire.execute(), wire.bind(), wire.execute(),
                                   wire.sync()]],
    "parsed_sql_level": [[wire.query("BEGIN")], [wire.query("PREPARE q AS SELECT 1")],
                         [wire.parse("DEALLOCATE q", "d"), wire.bind([], "d"), wire.execute(), wire.sync()],
                         [wire.query("DEALLOCATE q")], [wire.query("ROLLBACK")]],
    "in_a_transaction": [[wire.query("BEGIN")], [wire.query("DEALLOCATE s")], [wire.query("ROLLBACK")]],
    "in_a_failed_transaction": [[wire.query("BEGIN")], [wire.query("SELECT 1/0")], [wire.query("DEALLOCATE s")],
                                [wire.query("ROLLBACK")]],
    "parsed_in_a_failed_transaction": [[wire.query("BEGIN")], [wire.query("SELECT 1/0")],
                                       [wire.parse("DEALLOCATE s"), wire.bind(), wire.execute(), wire.sync()],
                                       [wire.query("ROLLBACK")]],
    "twice": [[wire.query("DEALLOCATE s")], [wire.parse("SELECT 1", "s"), wire.sync()], [wire.query("DEALLOCATE s")]],
    "behind_an_error": [[wire.bind([], "no"), wire.query("DEALLOCATE s"), wire.sync()]],
    "executed_behind_an_error": [[wire.parse("DEALLOCATE s"), wire.sync()],
                                 [wire.bind(), wire.bind([], "no"), wire.execute(), wire.sync()]],
    "without_sync": [[wire.parse("SELECT 5"), wire.bind(), wire.execute(), wire.query("DEALLOCATE s")]],
    "in_a_pipeline": [[wire.parse("SELECT 5"), wire.bind(), wire.execute(), wire.parse("DEALLOCATE s"), wire.bind(),
                       wire.execute(), wire.parse("SELECT 6", "s"), wire.bind([], "s"), wire.execute(), wire.sync()]],
    "sql_level": [[wire.query("BEGIN")], [wire.query("PREPARE q AS SELECT 1")], [wire.query("DEALLOCATE q")],
                  [wire.query("DEALLOCATE q")], [wire.query("ROLLBACK")]],
    "unknown": [[wire.query("DEALLOCATE nobody")]],
    "all": [[wire.query("DEALLOCATE ALL")]],
}


@pytest.mark.parametrize("name", DEALLOCATE)
def test_deallocate(pw, pg, db, name):
    other, conn, direct = pw.connect(), pw.connect(), pg.connect("app", db, tcp=True)
    prepare(other, "s", "SELECT 'another client'")
    for one in (conn, direct):
        prepare(one, "s", "SELECT 'mine'")
    batches = DEALLOCATE[name] + [run("s"), [wire.parse("SELECT 7", "s"), wire.sync()], run("s"), [wire.query("SELECT 8")]]
    assert conversation(conn, batches) == conversation(direct, batches)
    assert execute(other, "s") == [["another client"]]


def test_deallocate_queues_behind_what_is_in_flight(pw):
    conn, other = pw.connect(), pw.connect()
    prepare(conn, "s", "SELECT 'mine'")
    for byte in wire.query("DEALLOCATE s"):
        conn.send(bytes([byte]))
    assert types(conn.read_until("Z")) == "CZ"
    prepare(conn, "s", "SELECT 'mine'")
    prepare(conn, "t", "SELECT 'too'")
    conn.send(wire.query("SELECT pg_sleep(0.2)"), wire.query("DEALLOCATE s"), wire.query("SELECT 2"),
              wire.query("DEALLOCATE t"), wire.query("DEALLOCATE t"))
    got = [types(conn.read_until("Z")) for _ in range(5)]
    assert got == ["TDCZ", "CZ", "TDCZ", "CZ", "EZ"]
    assert int(other.scalar("SELECT count(*) FROM pg_prepared_statements WHERE name = 'PGWEIR_GONE'")) == 0


def test_deallocate_in_many_statements_is_the_servers(pw):
    conn = pw.connect()
    prepare(conn, "s", "SELECT 'mine'")
    assert conn.query("DEALLOCATE s; SELECT 1", check=False).error.sqlstate == "26000"
    assert execute(conn, "s") == [["mine"]]


@pytest.mark.parametrize("command", ["DEALLOCATE ALL", "DISCARD ALL", "deallocate all", "SELECT 1; DEALLOCATE ALL"])
def test_deallocate_all(pw, command):
    conn, other = pw.connect(), pw.connect()
    prepare(conn, "s", "SELECT 'mine'")
    prepare(other, "s", "SELECT 'other'")
    conn.query(command)
    prepare(conn, "s", "SELECT 'mine again'")
    assert execute(conn, "s") == [["mine again"]]
    assert execute(other, "s") == [["other"]]


def test_deallocate_all_by_extended_protocol(pw):
    conn = pw.connect()
    prepare(conn, "s", "SELECT 'mine'")
    conn.extended("DEALLOCATE ALL")
    prepare(conn, "s", "SELECT 'again'")
    assert execute(conn, "s") == [["again"]]


def test_deallocate_all_in_mid_pipeline(pw):
    conn = pw.connect()
    prepare(conn, "s", "SELECT 'before'")
    conn.send(wire.parse("DEALLOCATE ALL"), wire.bind(), wire.execute(), wire.sync(),
              wire.parse("SELECT 'after'", "s2"), wire.bind([], "s2"), wire.execute(), wire.sync())
    assert types(conn.read_until("Z")) == "12CZ"
    assert types(conn.read_until("Z")) == "12DCZ"
    assert execute(conn, "s2") == [["after"]]


def test_unnamed_statement_works_across_servers(start):
    """Parse of the unnamed statement in one batch, Bind in a later one: another server must know it, too."""
    pw = start(settings={"default_pool_size": 2})
    conn = pw.connect()
    first, second = two_servers(pw)
    first.query("COMMIT")
    conn.send(wire.parse("SELECT 'unnamed', pg_backend_pid()"), wire.sync())
    assert types(conn.read_until("Z")) == "1Z"
    first.query("BEGIN")
    second.query("COMMIT")
    second.extended("SELECT 'something else'")
    conn.send(wire.bind(), wire.execute(), wire.sync())
    got = conn.read_until("Z")
    assert types(got) == "2DCZ", got[0].error() if got[0].type == "E" else got
    assert got[1].row()[0] == b"unnamed"


def test_unnamed_statement_of_two_clients(pw):
    one, two = pw.connect(), pw.connect()
    for conn, word in ((one, "one"), (two, "two")):
        conn.send(wire.parse("SELECT '%s'" % word), wire.sync())
        assert types(conn.read_until("Z")) == "1Z"
    for conn, word in ((one, "one"), (two, "two"), (one, "one")):
        conn.send(wire.describe("S", ""), wire.bind(), wire.execute(), wire.sync())
        got = conn.read_until("Z")
        assert types(got) == "tT2DCZ" and [m.row() for m in got if m.type == "D"] == [[word.encode()]]


# "cached plan must not change result type". A client that learns the columns in its batch is healed; one that trusts an
# older description must see the error, or it would read the new rows as if they were the old ones.


@pytest.fixture
def grown(pw):
    """Two clients that have prepared and described one text, which has other columns since."""
    one, two, ddl = pw.connect(), pw.connect(), pw.connect()
    ddl.query("CREATE TABLE grown(a int); INSERT INTO grown VALUES (1)")
    for conn in (one, two):
        prepare(conn, "s", "SELECT * FROM grown")
        assert execute(conn, "s") == [["1"]]
    ddl.query("ALTER TABLE grown ADD COLUMN b text DEFAULT 'new'")
    return one, two, ddl


def columns(messages):
    return [[c[0] for c in wire.parse_columns(m.body)] for m in messages if m.type == "T"]


def outdated(conn, *batch):
    conn.send(*batch)
    got = conn.read_until("Z")
    assert types(got) == "EZ", types(got)
    fields = got[0].error()
    assert (fields["C"], fields["R"]) == ("0A000", "RevalidateCachedQuery")
    assert fields["M"] == "cached plan must not change result type" and fields["S"] == "ERROR"


def healed(conn, *batch, expect="2TDCZ"):
    conn.send(*batch)
    got = conn.read_until("Z")
    assert types(got) == expect, got[0].error() if got[0].type == "E" else types(got)
    assert columns(got) == [["a", "b"]]
    assert [m.row() for m in got if m.type == "D"] == [[b"1", b"new"]] * types(got).count("D")


BLIND = run("s")
DESCRIBED = run("s", wire.describe())


def test_cached_plan_heals_when_the_columns_are_asked_for(grown):
    one, two, _ = grown
    healed(one, *DESCRIBED)
    assert execute(one, "s") == [["1", "new"]]  # it knows now
    healed(two, *DESCRIBED)
    healed(two, *DESCRIBED)


def test_cached_plan_heals_at_a_describe_of_the_statement(grown):
    one, two, _ = grown
    healed(one, wire.describe("S", "s"), wire.sync(), expect="tTZ")
    healed(two, wire.describe("S", "s"), wire.flush(), wire.bind([], "s"), wire.execute(), wire.sync(), expect="tT2DCZ")
    assert execute(one, "s") == [["1", "new"]]


def test_cached_plan_heals_before_its_sync(grown):
    one, _, _ = grown
    one.send(wire.describe("S", "s"), wire.flush())
    got = [one.read(), one.read()]
    assert types(got) == "tT" and columns(got) == [["a", "b"]]
    one.send(*run("s"))
    assert types(one.read_until("Z")) == "2DCZ"


def test_cached_plan_is_an_error_to_who_trusts_an_older_description(grown):
    one, two, _ = grown
    for conn in (one, two, one):
        outdated(conn, *BLIND)
    for conn in (one, two):  # what a driver does then
        conn.send(wire.close("S", "s"), wire.parse("SELECT * FROM grown", "s2"), wire.describe("S", "s2"), wire.sync())
        got = conn.read_until("Z")
        assert types(got) == "31tTZ" and columns(got) == [["a", "b"]]
        assert execute(conn, "s2") == [["1", "new"]]


def test_cached_plan_healed_for_one_is_still_an_error_to_the_other(grown):
    one, two, _ = grown
    healed(one, *DESCRIBED)
    outdated(two, *BLIND)
    healed(two, *DESCRIBED)
    assert execute(two, "s") == [["1", "new"]]


@pytest.mark.parametrize("rest", [[wire.describe("S", "n"), wire.sync()], run("n"), run("n", wire.describe())])
def test_cached_plan_is_nothing_to_a_client_that_prepares_now(pw, grown, rest):
    conn = pw.connect()
    conn.send(wire.parse("SELECT * FROM grown", "n"), *rest)
    assert "E" not in types(conn.read_until("Z"))
    assert execute(conn, "n") == [["1", "new"]]


def test_cached_plan_in_a_transaction(grown):
    """There the error cannot be undone; it retires the statement all the same."""
    one, two, _ = grown
    one.query("BEGIN")
    outdated(one, *DESCRIBED)
    one.query("ROLLBACK")
    two.query("BEGIN")
    healed(two, *DESCRIBED)  # known beforehand
    two.query("COMMIT")
    outdated(one, *BLIND)


def test_cached_plan_behind_other_work(grown):
    one, _, _ = grown
    one.send(wire.query("SELECT 1"), *DESCRIBED)
    assert types(one.read_until("Z")) == "TDCZ" and types(one.read_until("Z")) == "EZ"
    healed(one, *DESCRIBED)


def test_cached_plan_on_a_server_that_has_not_prepared_it(start):
    """A server that never had the statement cannot say that it changed: it must not hide that from an old client."""
    pw = start(settings={"default_pool_size": 2})
    one, two, ddl = pw.connect(), pw.connect(), pw.connect()
    ddl.query("CREATE TABLE grown(a int); INSERT INTO grown VALUES (1)")
    for conn in (one, two):
        prepare(conn, "s", "SELECT * FROM grown")
        assert execute(conn, "s") == [["1"]]
    ddl.query("ALTER TABLE grown ADD COLUMN b text DEFAULT 'new'")
    healed(one, *DESCRIBED)
    blocker, second = two_servers(pw)  # both servers are there now
    for free in (blocker, second):
        free.query("COMMIT")
        for _ in range(2):
            outdated(two, *BLIND)
            assert execute(one, "s") == [["1", "new"]]
        two.query("BEGIN")
        outdated(two, *BLIND)
        assert two.query("ROLLBACK").status == "I"
        free.query("BEGIN")
    blocker.query("COMMIT")
    for piece in (wire.bind([], "s"), wire.describe(), wire.execute()):
        two.send(piece)
        assert two.silent(0.05)
    two.send(wire.sync())
    assert types(two.read_until("Z")) == "2TDCZ"
    assert execute(two, "s") == [["1", "new"]]


def test_cached_plan_with_a_parameter_type_that_changes(pw):
    """PostgreSQL keeps the types of parameters; who prepares the text now gets the new ones, and not the first half of the
    old answer."""
    conn, old, ddl = pw.connect(), pw.connect(), pw.connect()
    ddl.query("CREATE TABLE typed(a int); INSERT INTO typed VALUES (1)")
    prepare(old, "s", "SELECT a FROM typed WHERE a = $1")
    ddl.query("ALTER TABLE typed ALTER COLUMN a TYPE text")
    old.send(wire.describe("S", "s"), wire.sync())
    got = old.read_until("Z")
    assert types(got) == "tEZ" and got[1].error()["C"] == "42883"
    conn.send(wire.parse("SELECT a FROM typed WHERE a = $1", "s"), wire.describe("S", "s"), wire.sync())
    got = conn.read_until("Z")
    assert types(got) == "1tTZ" and got[1].body == b"\0\1\0\0\0\x19"
    assert execute(conn, "s", ["1"]) == [["1"]]


def test_cached_plan_and_a_table_that_is_gone(grown):
    one, _, ddl = grown
    outdated(one, *BLIND)
    ddl.query("DROP TABLE grown")
    one.send(*DESCRIBED)
    got = one.read_until("Z")
    assert types(got) == "EZ" and got[0].error()["C"] == "42P01"
    assert one.scalar("SELECT 1") == "1"


def test_session_mode_passes_statements_untouched(start):
    pw = start(settings={"pool_mode": "session", "max_prepared_statements": 10})
    conn = pw.connect()
    prepare(conn, "my_name", "SELECT 1")
    assert conn.query("SELECT name FROM pg_prepared_statements").rows == [["my_name"]]
    conn.query("DEALLOCATE my_name")


def test_feature_off(start):
    pw = start(settings={"max_prepared_statements": 0, "default_pool_size": 1})
    conn = pw.connect()
    prepare(conn, "s", "SELECT 1")
    assert conn.query("SELECT name FROM pg_prepared_statements").rows == [["s"]]


def test_statement_mode_has_them_too(start):
    pw = start(settings={"pool_mode": "statement", "default_pool_size": 1})
    one, two = pw.connect(), pw.connect()
    prepare(one, "s", "SELECT 'one'")
    prepare(two, "s", "SELECT 'two'")
    assert execute(one, "s") == [["one"]] and execute(two, "s") == [["two"]]


def test_malformed_messages(pw):
    bad = [wire.message("P", b"s"), wire.message("P", b"s\0SELECT 1"), wire.message("P", b"s\0SELECT 1\0"),
           wire.message("P", b"s\0SELECT 1\0\x7f\xff"), wire.message("B", b"\0s"), wire.message("B", b"\0s\0\0\x01\0"),
           wire.message("B", b"\0s\0\0\0\xff\xff"), wire.message("B", b"\0s\0\0\0\0\x01\x7f\xff\xff\xff"),
           wire.message("D", b""), wire.message("D", b"S"), wire.message("D", b"Xs\0"), wire.message("C", b""),
           wire.message("C", b"Ss"), wire.message("E", b""), wire.message("E", b"\0\0")]
    for message in bad:
        conn = pw.connect()
        prepare(conn, "s", "SELECT 1")
        conn.send(message, wire.sync())
        while conn.read().type != "E":  # pgweir's own FATAL or PostgreSQL's ERROR
            pass
    assert pw.connect().scalar("SELECT 1") == "1"


def test_huge_parameters_of_named_statements(pw):
    conn, other = pw.connect(), pw.connect()
    prepare(conn, "s", "SELECT length($1::text)")
    other.scalar("SELECT 1")
    assert execute(conn, "s", ["x" * 3000000]) == [["3000000"]]


def test_long_statement_text(pw):
    conn = pw.connect()
    prepare(conn, "s", "SELECT '%s'" % ("y" * 1000000))
    assert execute(conn, "s") == [["y" * 1000000]]


def cpu_of(pw, work):
    before = system.cpu_seconds(pw.pid)
    work()
    return system.cpu_seconds(pw.pid) - before


def test_reading_a_long_statement_is_linear(pw):
    """A named Parse is gathered, but what has come is not copied and read again with each piece that follows. Measured
    in processor time against the same text in an unnamed one, which passes through as it comes: it was more than
    a hundred times that."""
    conn = pw.connect()
    sql = "SELECT 1 --" + "x" * (24 << 20)

    def ask(name):
        conn.send(wire.parse(sql, name), wire.bind((), name), wire.execute(), wire.sync())
        assert types(conn.read_until("Z", timeout=170)) == "12DCZ"

    plain = cpu_of(pw, lambda: ask(""))
    assert cpu_of(pw, lambda: ask("s")) < 8 * plain + 0.5
    assert execute(conn, "s") == [["1"]]


def test_reading_a_long_message_of_a_server_is_linear(start):
    """The same for a ParameterStatus, which must be seen whole, against a NoticeResponse, which need not."""
    def script(session):
        if session.login():
            long = {"S": wire.message("S", b"name\0" + b"x" * (24 << 20) + b"\0"),
                    "N": wire.message("N", b"SNOTICE\0M" + b"x" * (24 << 20) + b"\0\0")}
            session.serve(lambda session, sql: sql in long and session.send(long[sql]))

    with FakeServer(script) as fake:
        pw = start({"test": fake.entry}, settings={"server_tls_sslmode": "disable"})
        conn = pw.connect()

        def ask(kind):
            conn.send(wire.query(kind))
            assert types(conn.read_until("Z", timeout=170)) == kind + "TDCZ"

        plain = cpu_of(pw, lambda: ask("N"))
        assert cpu_of(pw, lambda: ask("S")) < 8 * plain + 0.5


@pytest.mark.parametrize("kind", ["parse", "bind", "portal", "describe", "close"])
def test_a_name_without_end_is_refused(pw, kind):
    """Not gathered to the end of its message: within 64 kB a name must have ended."""
    conn, other = pw.connect(), pw.connect()
    prepare(conn, "n" * 60000, "SELECT 1")
    conn.send(wire.bind((), "n" * 60000), wire.describe("S", "n" * 60000), wire.execute(),
              wire.close("S", "n" * 60000), wire.sync())
    assert types(conn.read_until("Z")) == "2tTDC3Z"
    head = {"parse": b"P", "bind": b"B", "portal": b"B", "describe": b"D", "close": b"C"}[kind]
    begin = {"parse": b"", "bind": b"p\0", "portal": b"", "describe": b"S", "close": b"S"}[kind]
    conn.send(head + struct.pack("!I", 1 << 30) + begin + b"n" * 70000)
    assert conn.expect_fatal("broken %s packet" % {"portal": "bind"}.get(kind, kind).capitalize(), "08P01")
    assert other.scalar("SELECT 1") == "1"


def test_pieces_of_a_named_statement(pw):
    """Its header, its name and its text come in pieces of any size, the next message begins in the last of them."""
    conn = pw.connect()
    text = "SELECT '%s'" % ("y" * 200000)
    stream = (wire.parse(text, "long" * 1000) + wire.bind((), "long" * 1000) + wire.execute() + wire.sync())
    received = lambda: sum(int(row["bytes_received"]) for row in pw.show("STATS_TOTALS") if row["database"] == "test")
    at, before = 0, received()
    for size in (1, 3, 1, 2, 4000, 1, 65536, 1, 70000):
        conn.send(stream[at:at + size])
        at += size
        system.wait_for(lambda: received() == before + at, 20, "pgweir to have read it")
    conn.send(stream[at:])
    got = conn.read_until("Z")
    assert types(got) == "12DCZ" and got[2].row() == [b"y" * 200000]


def test_many_clients_many_statements(pw):
    import threading

    errors = []

    def work(number):
        try:
            conn = pw.connect()
            for i in range(60):
                name, text = "s%d" % (i % 17), "%d-%d" % (number % 3, i % 17)
                if i < 17:
                    prepare(conn, name, "SELECT '%s' || $1" % text, [25])
                assert execute(conn, name, ["-%d" % i]) == [["%s-%d" % (text, i)]]
        except Exception as failure:
            errors.append(failure)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors[:3]


def test_name_reused_behind_a_batch_that_fails(pw):
    """Pipelined: the Parse that an error swallows does not make the name used."""
    conn = pw.connect()
    conn.send(wire.parse("SELECT 1/0"), wire.bind(), wire.execute(), wire.parse("SELECT 'first'", "s"), wire.sync(),
              wire.parse("SELECT 'second'", "s"), wire.bind((), "s"), wire.execute(), wire.sync())
    assert types(conn.read_until("Z")) == "1EZ"
    got = conn.read_until("Z")
    assert types(got) == "12DCZ" and got[2].row() == [b"second"]


def test_close_that_an_error_swallows(pw):
    """Pipelined: Close and Parse behind an error do not happen, and the next batch still means the old statement."""
    conn = pw.connect()
    prepare(conn, "s", "SELECT 'old'")
    conn.send(wire.parse("SELECT 1/0"), wire.bind(), wire.execute(), wire.close("S", "s"),
              wire.parse("SELECT 'new'", "s"), wire.sync(), wire.bind((), "s"), wire.execute(), wire.sync())
    assert types(conn.read_until("Z")) == "1EZ"
    got = conn.read_until("Z")
    assert types(got) == "2DCZ" and got[1].row() == [b"old"]
    assert execute(conn, "s") == [["old"]]


def test_close_and_parse_in_flight(pw):
    """The same without an error: the next batch means the new statement."""
    conn = pw.connect()
    prepare(conn, "s", "SELECT 'old'")
    conn.send(wire.close("S", "s"), wire.parse("SELECT 'new'", "s"), wire.sync(), wire.bind((), "s"), wire.execute(),
              wire.sync(), wire.close("S", "s"), wire.sync(), wire.parse("SELECT 'newest'", "s"), wire.bind((), "s"),
              wire.execute(), wire.sync())
    assert types(conn.read_until("Z")) == "31Z"
    got = conn.read_until("Z")
    assert types(got) == "2DCZ" and got[1].row() == [b"new"]
    assert types(conn.read_until("Z")) == "3Z"
    got = conn.read_until("Z")
    assert types(got) == "12DCZ" and got[2].row() == [b"newest"]


def test_what_comes_behind_an_error_takes_no_effect(pw):
    """The error has come before the rest of its batch is sent: up to the Sync names mean nothing, known or not."""
    conn = pw.connect()
    prepare(conn, "s", "SELECT 'old'")
    conn.send(wire.parse("SELECT 1/0"), wire.bind(), wire.execute(), wire.flush())
    assert types(conn.read_until("E")) == "1E"
    conn.send(wire.parse("SELECT 'new'", "s"), wire.bind((), "unknown"), wire.describe("S", "unknown"),
              wire.parse("SELECT 'unnamed'"), wire.close("S", "s"), wire.sync())
    assert types(conn.read_until("Z")) == "Z"
    assert execute(conn, "s") == [["old"]]
