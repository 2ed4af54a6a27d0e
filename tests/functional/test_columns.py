"""A client reads rows, and writes parameters, by the description it was given, on whichever server its statement runs: one
that meets the text for the first time after the table changed cannot know that it did, and answers without an error."""

import pytest

from harness import wire

OLD = ["a", "b"]
READ = "SELECT * FROM grown"


def types(messages):
    return "".join(m.type for m in messages)


def columns(messages):
    return [[c[0] for c in wire.parse_columns(m.body)] for m in messages if m.type == "T"]


def batch(conn, *messages):
    conn.send(*messages, wire.sync())
    return conn.read_until("Z")


def rows(messages):
    assert "E" not in types(messages), [m.error() for m in messages if m.type == "E"]
    return [[v.decode() for v in m.row()] for m in messages if m.type == "D"]


def outdated(messages):
    assert types(messages) == "EZ", types(messages)
    fields = messages[0].error()
    assert (fields["C"], fields["R"]) == ("0A000", "RevalidateCachedQuery")
    assert fields["M"] == "cached plan must not change result type"


class Bench:
    """Two servers, each held by a client in a transaction that can free it, and a table."""

    def __init__(self, pw, owner):
        self.pw, self.owner = pw, owner
        self.ddl("ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC", "CREATE TABLE grown(a int4, b int4)", "INSERT INTO grown VALUES (1, 2)")
        self.holders = [pw.connect(), pw.connect()]
        self.pids = []
        for holder in self.holders:
            holder.query("BEGIN")
            self.pids.append(holder.scalar("SELECT pg_backend_pid()"))
        assert len(set(self.pids)) == 2

    def ddl(self, *statements):
        for statement in statements:
            self.owner.query(statement)

    def on(self, number):
        """What happens within runs on that server, the only free one."""
        return Only(self, self.holders[number])

    def widen(self):
        self.ddl("ALTER TABLE grown ADD COLUMN c int4 DEFAULT 3")


class Only:
    def __init__(self, bench, holder):
        self.holder = holder

    def __enter__(self):
        self.holder.query("COMMIT")

    def __exit__(self, *error):
        if error[0] is None:
            self.holder.query("BEGIN")


@pytest.fixture
def bench(start, pg, db):
    return Bench(start(settings={"default_pool_size": 2, "max_prepared_statements": 10}), pg.connect(database=db))


def told(conn, name="s", sql=READ):
    got = batch(conn, wire.parse(sql, name), wire.describe("S", name))
    assert types(got) == "1tTZ", types(got)
    return columns(got)[0]


def blind(name="s", params=()):
    return [wire.bind(params, name), wire.execute()]


def test_the_same_description_is_asked_for_once_a_server(bench):
    conn, other = bench.pw.connect(), bench.pw.connect()
    with bench.on(0):
        assert told(conn) == OLD
        for _ in range(3):
            assert rows(batch(conn, *blind())) == [["1", "2"]]
    with bench.on(1):
        for _ in range(3):
            assert rows(batch(conn, *blind())) == [["1", "2"]]
        assert told(other) == OLD  # its Parse is answered without the server
        assert rows(batch(other, *blind(), *blind())) == [["1", "2"]] * 2
    with bench.on(0):
        assert rows(batch(other, *blind())) == [["1", "2"]]


def test_who_was_told_hears_of_it_on_a_server_that_never_had_it(bench):
    conn, other = bench.pw.connect(), bench.pw.connect()
    with bench.on(0):
        assert told(conn) == OLD
    bench.widen()
    with bench.on(1):
        for _ in range(2):
            outdated(batch(conn, *blind()))
        # What its driver does then, and what anybody does who comes now.
        assert told(conn, "t") == [*OLD, "c"] and told(other) == [*OLD, "c"]
        assert rows(batch(conn, *blind("t"))) == [["1", "2", "3"]]
        outdated(batch(conn, *blind()))
    with bench.on(0):
        outdated(batch(conn, *blind()))
        assert rows(batch(conn, *blind("t"))) == rows(batch(other, *blind())) == [["1", "2", "3"]]


@pytest.mark.parametrize("ask", [[wire.bind([], "s"), wire.describe(), wire.execute()],
                                 [wire.describe("S", "s"), wire.bind([], "s"), wire.execute()]])
def test_who_asks_for_the_columns_does_not_hear_of_it(bench, ask):
    conn = bench.pw.connect()
    with bench.on(0):
        assert told(conn) == OLD
    bench.widen()
    with bench.on(1):
        got = batch(conn, *ask)
        assert rows(got) == [["1", "2", "3"]] and columns(got) == [[*OLD, "c"]]
        assert rows(batch(conn, *blind())) == [["1", "2", "3"]]


def test_who_prepares_it_now_does_not_hear_of_it(bench):
    """Not even in a batch that never asks for the columns."""
    conn, new = bench.pw.connect(), bench.pw.connect()
    with bench.on(0):
        assert told(conn) == OLD
    bench.widen()
    with bench.on(1):
        assert rows(batch(new, wire.parse(READ, "n"), *blind("n"))) == [["1", "2", "3"]]
        outdated(batch(conn, *blind()))
        assert rows(batch(new, *blind("n"))) == [["1", "2", "3"]]


def test_told_by_the_portal(bench):
    conn = bench.pw.connect()
    with bench.on(0):
        got = batch(conn, wire.parse(READ, "s"), wire.bind([], "s"), wire.describe(), wire.execute())
        assert columns(got) == [OLD]
    bench.widen()
    with bench.on(1):
        outdated(batch(conn, *blind()))


def test_parsed_there_before_anybody_was_told(bench):
    """Two servers parse the text, before the change and behind it, and only then a client is told."""
    conn, silent = bench.pw.connect(), bench.pw.connect()
    with bench.on(0):
        assert types(batch(conn, wire.parse(READ, "s"))) == "1Z"
    bench.ddl("ALTER TABLE grown ADD COLUMN c int4 DEFAULT 3")
    with bench.on(1):
        assert types(batch(silent, wire.parse(READ, "s"))) == "1Z"
    bench.ddl("ALTER TABLE grown DROP COLUMN c")  # for the first it is as it was
    with bench.on(0):
        got = batch(conn, wire.describe("S", "s"))
        assert columns(got) == [OLD]
    bench.ddl("ALTER TABLE grown ADD COLUMN c int4 DEFAULT 3")  # for the second, too
    with bench.on(1):
        outdated(batch(conn, *blind()))


def test_a_column_of_another_type(bench):
    """As wide as before: read by the old description it would be another number."""
    conn = bench.pw.connect()
    with bench.on(0):
        assert told(conn) == OLD
    bench.ddl("ALTER TABLE grown ALTER COLUMN a TYPE float4")
    with bench.on(1):
        outdated(batch(conn, *blind()))


def test_parameters_of_another_type(bench):
    """A client that writes an int4, as it was told, must not have it read as a float4."""
    sql = "SELECT b FROM grown WHERE a = $1"
    conn, again = bench.pw.connect(), bench.pw.connect()
    with bench.on(0):
        assert told(conn, sql=sql) == ["b"]
    bench.ddl("ALTER TABLE grown ALTER COLUMN a TYPE float4")
    with bench.on(1):
        outdated(batch(conn, *blind(params=["1"])))
        assert told(again, sql=sql) == ["b"]
        assert rows(batch(again, *blind(params=["1"]))) == [["2"]]


def test_another_table_of_the_same_columns_is_no_change(bench):
    """A temporary table is another one in each session."""
    conn = bench.pw.connect()
    for holder in bench.holders:
        holder.query("CREATE TEMP TABLE mine(a int4); INSERT INTO mine VALUES (7)")
    for number in (0, 1, 0):
        with bench.on(number):
            if number == 0 and not hasattr(conn, "told"):
                assert told(conn, sql="SELECT a FROM mine") == ["a"]
                conn.told = True
            assert rows(batch(conn, *blind())) == [["7"]]


def test_unnamed_statement(bench):
    conn = bench.pw.connect()
    with bench.on(0):
        assert told(conn, "") == OLD
        assert rows(batch(conn, *blind(""))) == [["1", "2"]]
    with bench.on(1):
        assert rows(batch(conn, *blind(""))) == [["1", "2"]]
    with bench.on(0):
        bench.holders[0].query("SELECT 1")  # a simple query destroys it
        bench.widen()
        for _ in range(2):
            outdated(batch(conn, *blind("")))
        got = batch(conn, wire.bind(), wire.describe(), wire.execute())
        assert rows(got) == [["1", "2", "3"]] and columns(got) == [[*OLD, "c"]]
        got = batch(conn, wire.describe("S", ""), *blind(""))
        assert rows(got) == [["1", "2", "3"]] and columns(got) == [[*OLD, "c"]]
        assert rows(batch(conn, *blind(""))) == [["1", "2", "3"]]


def test_in_a_transaction_and_a_pipeline(bench):
    conn = bench.pw.connect()
    with bench.on(0):
        assert told(conn) == OLD
        assert told(conn, "one", "SELECT 1 AS one") == ["one"]
    bench.widen()
    with bench.on(1):
        conn.query("BEGIN")
        conn.send(*blind("one"), *blind("s"), *blind("one"), wire.sync(), *blind("one"), wire.sync(), wire.query("ROLLBACK"))
        got = conn.read_until("Z")
        assert types(got) == "2DCEZ" and got[3].error()["C"] == "0A000"
        got = conn.read_until("Z")
        assert types(got) == "EZ" and got[0].error()["C"] == "25P02"
        assert types(conn.read_until("Z")) == "CZ"
        conn.send(*blind("one"), wire.sync(), *blind("s"), *blind("one"), wire.sync(), *blind("one"), wire.sync())
        assert [types(conn.read_until("Z")) for _ in range(3)] == ["2DCZ", "EZ", "2DCZ"]


def test_a_table_that_is_gone(bench):
    """The error of the hidden Parse is the client's, at the place of its own message."""
    conn = bench.pw.connect()
    with bench.on(0):
        assert told(conn) == OLD
    bench.ddl("DROP TABLE grown")
    with bench.on(1):
        for batch_ in (blind(), [wire.describe("S", "s")], [wire.parse(READ, "t"), wire.describe("S", "t")]):
            got = batch(conn, *batch_)
            assert types(got) == "EZ" and got[0].error()["C"] == "42P01"
        assert conn.scalar("SELECT 5") == "5"


def test_a_client_that_leaves_while_the_server_is_asked(bench):
    """What the server has there is not known then: nobody else gets it unasked."""
    conn, other = bench.pw.connect(), bench.pw.connect()
    with bench.on(0):
        assert told(conn) == OLD and told(other) == OLD
    bench.widen()
    with bench.on(1):
        leaving = bench.pw.connect()
        leaving.send(wire.parse("SELECT pg_sleep(0.2)"), wire.bind(), wire.execute(), wire.parse(READ, "s"))
        leaving.close()
        outdated(batch(other, *blind()))
    for number in (0, 1):
        with bench.on(number):
            outdated(batch(conn, *blind()))


def test_a_wide_description(bench):
    """Larger than one read, and than what is looked at whole."""
    for name, count, width in (("wide", 300, 20), ("widest", 1500, 50)):
        listed = ", ".join("1 AS " + ("c%d" % i).ljust(width, "x") for i in range(count))
        bench.ddl("CREATE VIEW %s AS SELECT %s" % (name, listed))
        conn = bench.pw.connect()
        with bench.on(0):
            assert len(told(conn, sql="SELECT * FROM " + name)) == count
        with bench.on(1):
            assert rows(batch(conn, *blind())) == [["1"] * count]
        bench.ddl("CREATE OR REPLACE VIEW %s AS SELECT %s, 2 AS more" % (name, listed))
        with bench.on(0):
            outdated(batch(conn, *blind()))


def test_half_a_description_is_nobodys(bench):
    """ParameterDescription came, then an error: what it said must not be taken for the next statement's."""
    conn = bench.pw.connect()
    bench.ddl("CREATE TABLE typed(a int4)")
    with bench.on(0):
        assert types(batch(conn, wire.parse("SELECT a FROM typed WHERE a = $1", "s"))) == "1Z"
        bench.ddl("ALTER TABLE typed ALTER COLUMN a TYPE text")
        conn.send(wire.describe("S", "s"), wire.sync())  # and at once, so that the server stays:
        conn.send(wire.parse("SELECT $1::int8 AS n", "n"), wire.bind(["5"], "n"), wire.describe(), wire.execute(), wire.sync())
        assert types(conn.read_until("Z")) == "tEZ"
        assert rows(conn.read_until("Z")) == [["5"]]
        assert types(batch(conn, wire.describe("S", "n"))) == "tTZ"
        assert rows(batch(conn, *blind("n", ["6"]))) == [["6"]]
        assert conn.scalar("SELECT pg_backend_pid()") == bench.pids[0], "the server was given up for nothing"
