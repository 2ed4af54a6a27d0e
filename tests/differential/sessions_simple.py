"""Simple queries: several statements, errors, transactions, COPY, notices, notifications, parameters, large rows."""

from harness import wire
from recorder import session

KEEP = ("session", "transaction")  # modes in which a transaction block may stay open
DATA, BAD, DONE, FAIL = (wire.copy_data(b"1\tone\n"), wire.copy_data(b"x\n"), wire.copy_done(), wire.copy_fail("changed my mind"))


def queries(name, *statements, modes=("session", "transaction", "statement")):
    """A session that asks one query after the other."""

    def run(c):
        for sql in statements:
            c.query(sql)

    run.__name__ = name
    session(modes=modes)(run)


queries("one_row", "SELECT 1 AS a, 'x'::text AS b, NULL::int, 1.5::numeric, true, '\u2603'")
queries("no_row", "SELECT 1 WHERE false")
queries("no_column", "SELECT")
queries("empty_query", "")
queries("blank_query", "   \n\t ")
queries("only_semicolons", ";;;")
queries("only_a_comment", "-- nothing\n")
queries("several_statements", "SELECT 1; SELECT 'two'; INSERT INTO t VALUES (1, 'a'); SELECT count(*) FROM t")
queries("empty_between_statements", "SELECT 1;; ;SELECT 2")
queries("error_first", "SELECT 1/0; SELECT 2", "SELECT 3")
queries("error_in_the_middle", "INSERT INTO t VALUES (1, 'a'); SELECT 1/0; SELECT 2", "SELECT count(*) FROM t")
queries("error_last", "SELECT 1; SELECT nothing", "SELECT 3")
queries("syntax_error", "SELEC 1", "SELECT 1")
queries("syntax_error_spares_all", "SELECT 1; SELEC 2", "SELECT 1")
queries("error_with_all_fields", "INSERT INTO u VALUES (1); INSERT INTO u VALUES (1)", "INSERT INTO u VALUES (NULL)",
        "INSERT INTO u VALUES (-1)", "SELECT missing FROM t", "SELECT * FROM tt", "SELECT f('a', 'b')")
queries("raised_error", "DO $$ BEGIN RAISE 'custom % text', 1 USING DETAIL = 'some detail', HINT = 'a hint', ERRCODE = 'ZZ123', "
        "COLUMN = 'c', CONSTRAINT = 'k', DATATYPE = 'd', TABLE = 't', SCHEMA = 's'; END $$")
queries("error_with_odd_text", "DO $$ BEGIN RAISE '%', E'line\\nbreak \\t tab \u2603 %'; END $$",
        "DO $$ BEGIN RAISE '%', repeat('long ', 2000); END $$")
queries("notices", "DO $$ BEGIN RAISE NOTICE 'n'; RAISE WARNING 'w' USING HINT = 'h'; RAISE INFO 'i'; RAISE LOG 'l'; RAISE DEBUG 'd'; END $$",
        "SET client_min_messages = 'debug1'; DO $$ BEGIN RAISE DEBUG 'd'; END $$", "DROP TABLE IF EXISTS nowhere", "RESET client_min_messages")
queries("warnings_of_transactions", "COMMIT", "ROLLBACK", "BEGIN; BEGIN; COMMIT")
queries("commands_and_tags", "CREATE TABLE own1(a int)", "INSERT INTO own1 SELECT generate_series(1, 10)", "UPDATE own1 SET a = a + 1",
        "DELETE FROM own1 WHERE a > 5", "TRUNCATE own1", "CREATE INDEX ON own1(a)", "ANALYZE own1", "VACUUM own1", "DROP TABLE own1",
        "VALUES (1), (2)", "TABLE t", "EXPLAIN (COSTS off) SELECT 1", "INSERT INTO t VALUES (5, 'r') RETURNING *, a + 1 AS next",
        "MERGE INTO t USING (VALUES (5)) v(a) ON t.a = v.a WHEN MATCHED THEN DELETE", "CHECKPOINT", "LOCK TABLE t")
queries("own_table", "CREATE TABLE own1(a int, b text)", "INSERT INTO own1 VALUES (1, 'x')", "SELECT * FROM own1", "DROP TABLE own1")
queries("types", "SELECT 1::int2, 2::int8, 1.5::float4, '\\x00ff'::bytea, '{1,2}'::int[], '(1,2)'::point, '1 day'::interval, "
        "'2020-02-02'::date, '2020-02-02 02:02+00'::timestamptz, '{\"a\":1}'::jsonb, '10.0.0.1'::inet, ROW(1,'x'), 'a'::\"char\", 'n'::name")
queries("parameters_change", "SET DateStyle = 'German'", "SHOW DateStyle", "RESET DateStyle", "SET TimeZone = 'Asia/Tokyo'; SET application_name = 'x'",
        "SET application_name = DEFAULT", "SHOW application_name", "SET client_encoding = 'LATIN1'", "SELECT '\u00e9'", "RESET client_encoding", "RESET TimeZone")
queries("parameter_set_to_what_it_is", "SHOW application_name", "SET application_name = ''", "SET DateStyle = 'ISO, MDY'", "SHOW DateStyle")
queries("parameter_refused", "SET DateStyle = 'Klingon'", "SET nonsense = 1", "SET shared_buffers = 1", "SHOW nonsense")
queries("parameters_of_the_server", "SHOW server_version_num", "SHOW in_hot_standby", "SHOW is_superuser")
queries("set_local_without_transaction", "SET LOCAL work_mem = '1MB'")
queries("set_in_several_statements", "SET TimeZone = 'Asia/Tokyo'; SELECT 1/0", "SHOW TimeZone")
queries("set_config_reported", "SELECT set_config('DateStyle', 'SQL, DMY', false)", "SHOW DateStyle", "RESET ALL", "SHOW DateStyle")
queries("discard_all", "SET work_mem = '1MB'", "DISCARD ALL", "SHOW work_mem")
queries("reset_all", "SET DateStyle = 'German'; SET TimeZone = 'Asia/Tokyo'", "RESET ALL", "SHOW DateStyle")
queries("sql_prepare", "PREPARE p(int) AS SELECT $1 + 1", "EXECUTE p(1)", "EXECUTE p('x')", "PREPARE p AS SELECT 1", "DEALLOCATE p", "EXECUTE p(1)", "DEALLOCATE ALL")
queries("deallocate_unknown", "DEALLOCATE nobody", "DEALLOCATE ALL")
queries("two_phase_refused", "COMMIT PREPARED 'nobody'", "PREPARE TRANSACTION 'x'")
queries("calls", "CALL p_commits()", "CALL p_fails()", "SELECT f(1)")
queries("statement_timeout", "SET statement_timeout = 50; SELECT pg_sleep(10)", "SELECT 1")
queries("create_database_in_several", "CREATE DATABASE x; SELECT 1")
queries("large_row", "SELECT repeat('x', 1000000), 1", "SELECT repeat('y', 5000000)", "SELECT 1")
queries("many_rows", "SELECT i, repeat('z', 50) FROM generate_series(1, 3000) i", "SELECT 1")
queries("many_columns", "SELECT " + ", ".join("%d AS c%d" % (i, i) for i in range(1600)), "SELECT " + ", ".join("1" for _ in range(1700)))
queries("long_query", "SELECT length('" + "q" * 300000 + "')", "SELECT 1 /*" + "c" * 100000 + "*/")
queries("wrong_encoding", "SELECT 'a'", "SET client_encoding = 'SQL_ASCII'", "SELECT '\u2603'", "RESET client_encoding")
queries("privileges", "SELECT * FROM secret", "CREATE ROLE x", "SET ROLE postgres", "SET SESSION AUTHORIZATION postgres")
queries("session_identity", "SELECT current_user, session_user, current_database()", "SET ROLE app2; RESET ROLE", "SHOW role")
queries("terminates_itself", "SELECT pg_terminate_backend(pg_backend_pid())", "SELECT 1")
queries("cancels_itself", "SELECT pg_cancel_backend(pg_backend_pid()), pg_sleep(5)", "SELECT 1")

queries("transaction_commits", "BEGIN", "INSERT INTO t VALUES (1, 'a')", "COMMIT", "SELECT count(*) FROM t")
queries("transaction_rolls_back", "BEGIN", "INSERT INTO t VALUES (1, 'a')", "ROLLBACK", "SELECT count(*) FROM t")
queries("transaction_with_options", "START TRANSACTION ISOLATION LEVEL SERIALIZABLE READ ONLY", "INSERT INTO t VALUES (1, 'a')", "COMMIT", "SELECT 1")
queries("transaction_in_one_query", "BEGIN; INSERT INTO t VALUES (1, 'a'); COMMIT", "SELECT count(*) FROM t")
queries("transaction_opened_among_others", "SELECT 1; BEGIN; SELECT 2", "COMMIT")
queries("transaction_failed", "BEGIN", "SELECT 1/0", "SELECT 1", "", "SHOW DateStyle", "COMMIT", "SELECT 2", modes=KEEP)
queries("transaction_failed_then_rollback", "BEGIN", "nonsense", "ROLLBACK", "SELECT 2", modes=KEEP)
queries("transaction_chain", "BEGIN", "COMMIT AND CHAIN", "SELECT 1", "ROLLBACK AND NO CHAIN", "SELECT 2", modes=KEEP)
queries("savepoints", "BEGIN", "SAVEPOINT a", "SELECT 1/0", "ROLLBACK TO a", "SELECT 1", "RELEASE a", "RELEASE b", "ROLLBACK", modes=KEEP)
queries("set_local", "BEGIN", "SET LOCAL DateStyle = 'German'", "SHOW DateStyle", "COMMIT", "SHOW DateStyle", modes=KEEP)
queries("set_rolled_back", "BEGIN", "SET TimeZone = 'Asia/Tokyo'", "ROLLBACK", "SHOW TimeZone", modes=KEEP)
queries("deferred_constraint", "BEGIN", "INSERT INTO d VALUES (1), (1)", "COMMIT", "SELECT count(*) FROM d", modes=KEEP)
queries("cursor", "BEGIN", "DECLARE c CURSOR FOR SELECT generate_series(1, 5)", "FETCH 2 FROM c", "MOVE 1 IN c", "FETCH ALL FROM c", "CLOSE c",
        "FETCH 1 FROM c", "ROLLBACK", modes=KEEP)
queries("two_phase", "BEGIN", "INSERT INTO t VALUES (9, 'p')", "PREPARE TRANSACTION 'diff'", "SELECT count(*) FROM t", "COMMIT PREPARED 'diff'",
        "SELECT count(*) FROM t", modes=KEEP)
queries("advisory_lock_in_transaction", "BEGIN", "SELECT pg_advisory_xact_lock(7)", "COMMIT", modes=KEEP)
queries("temporary_table_in_transaction", "BEGIN", "CREATE TEMP TABLE own1(a int) ON COMMIT DROP", "INSERT INTO own1 VALUES (1)", "SELECT * FROM own1",
        "COMMIT", "SELECT * FROM own1", modes=KEEP)
queries("notify_in_transaction", "BEGIN", "LISTEN ch", "NOTIFY ch, 'to myself'", "SELECT 1", "COMMIT", "UNLISTEN *", modes=("session",))
queries("notify_oneself", "LISTEN ch", "NOTIFY ch, 'one'", "SELECT pg_notify('ch', 'two')", "UNLISTEN ch", "NOTIFY ch, 'three'", modes=("session",))
queries("transaction_left_open", "BEGIN", "INSERT INTO t VALUES (1, 'a')", modes=KEEP)


@session(modes=("session",))
def notify_another(c):
    other = c.talk.new()
    c.query("LISTEN ch")
    other.query("NOTIFY ch, 'hello'")
    c.take("A")
    other.query("BEGIN; NOTIFY ch; NOTIFY ch; NOTIFY ch, 'x'; COMMIT")
    c.take("A")
    c.take("A")
    c.query("UNLISTEN *")


@session()
def pipelined_queries(c):
    c.ask(*[wire.query("SELECT %d" % i) for i in range(20)], times=20)
    c.ask(wire.query("SELECT 1"), wire.query("SELECT 1/0"), wire.query(""), wire.query("SELECT 2"), times=4)


@session(modes=KEEP)
def pipelined_transaction(c):
    c.ask(*[wire.query(sql) for sql in ("BEGIN", "SELECT 1", "SELECT 1/0", "SELECT 2", "ROLLBACK", "SELECT 3")], times=6)


@session(modes=KEEP)
def two_clients_in_turns(c):
    other = c.talk.new(application_name="second")
    c.query("BEGIN")
    c.query("INSERT INTO t VALUES (1, 'a')")
    other.query("SELECT count(*) FROM t")
    other.query("SET DateStyle = 'German'")
    c.query("COMMIT")
    c.query("SHOW DateStyle")
    other.query("SELECT count(*) FROM t")
    other.query("SHOW DateStyle")
    other.query("SHOW application_name")
    c.query("SHOW application_name")


@session(modes=KEEP)
def client_leaves_in_transaction(c):
    c.query("BEGIN")
    c.query("INSERT INTO t VALUES (1, 'a')")
    c.leave()
    c.talk.wait(lambda: c.target.in_transaction() == 0)
    c.talk.new().query("SELECT count(*) FROM t")


@session(modes=KEEP)
def client_vanishes_in_transaction(c):
    c.query("BEGIN")
    c.query("INSERT INTO t VALUES (1, 'a')")
    c.drop()
    c.talk.wait(lambda: c.target.in_transaction() == 0)
    c.talk.new().query("SELECT count(*) FROM t")


@session()
def client_leaves_without_a_word(c):
    c.leave()
    c.talk.new().query("SELECT 1")


@session()
def query_behind_terminate(c):
    c.send(wire.query("SELECT 1"), wire.terminate(), wire.query("SELECT 2"))
    c.end()


# COPY.


@session()
def copy_out(c):
    c.query("INSERT INTO t SELECT i, 'row ' || i FROM generate_series(1, 100) i")
    c.query("COPY t TO stdout")
    c.query("COPY (SELECT 1, NULL, E'tab\\t') TO stdout")
    c.query("COPY t TO stdout (FORMAT csv, HEADER)")
    c.query("COPY (SELECT a FROM t WHERE a < 3) TO stdout (FORMAT binary)")
    c.query("COPY nowhere TO stdout")
    c.query("COPY (SELECT 1/(a - 50) FROM t) TO stdout")
    c.query("SELECT 1")


def copies(name, *messages, times=1, sql="COPY t FROM stdin"):
    """COPY IN held with all in one write and one by one, then what has become of the table."""

    def at_once(c):
        c.ask(wire.query(sql), *messages, times=times)
        c.query("SELECT * FROM t")

    def one_by_one(c):
        c.each(wire.query(sql), *messages)
        for _ in range(times - 1):
            c.take("Z")
        c.query("SELECT * FROM t")

    at_once.__name__, one_by_one.__name__ = "copy_in_" + name, "copy_in_%s_one_by_one" % name
    session()(at_once)
    session()(one_by_one)


copies("good", DATA, wire.copy_data(b"2\ttwo\n"), DONE)
copies("nothing", DONE)
copies("split_rows", wire.copy_data(b"1\to"), wire.copy_data(b"ne\n2\tt"), wire.copy_data(b"wo\n"), DONE)
copies("end_mark", wire.copy_data(b"1\tone\n\\.\n"), DONE)
copies("fails_by_client", DATA, FAIL)
copies("bad_row", DATA, BAD, DATA, DONE)
copies("into_view", DATA, DONE, sql="COPY v FROM stdin")
copies("into_nothing", DATA, DONE, sql="COPY nowhere FROM stdin")
copies("among_statements", DATA, DONE, sql="SELECT 1; COPY t FROM stdin; SELECT 2")
copies("twice_in_a_query", DATA, DONE, wire.copy_data(b"2\ttwo\n"), DONE, sql="COPY t FROM stdin; COPY t FROM stdin")
copies("fails_among_statements", DATA, FAIL, sql="INSERT INTO t VALUES (7, 'x'); COPY t FROM stdin; SELECT 2")
copies("large", *[wire.copy_data(b"".join(b"%d\t%s\n" % (i, b"l" * 500) for i in range(j, j + 100))) for j in range(0, 3000, 100)], DONE,
       sql="COPY t FROM stdin")


@session()
def copy_in_query_instead_of_data(c):
    c.ask(wire.query("COPY t FROM stdin"), until="G")
    c.ask(wire.query("SELECT 1"))
    c.query("SELECT 2")


@session()
def copy_in_flush_and_sync_are_ignored(c):
    c.ask(wire.query("COPY t FROM stdin"), until="G")
    c.ask(DATA, wire.flush(), wire.sync(), DATA, DONE)
    c.query("SELECT count(*) FROM t")


@session(modes=KEEP)
def copy_in_transaction(c):
    c.query("BEGIN")
    c.ask(wire.query("COPY t FROM stdin"), DATA, DONE)
    c.ask(wire.query("COPY t FROM stdin"), BAD, DONE)
    c.query("SELECT 1")
    c.query("ROLLBACK")
    c.query("SELECT count(*) FROM t")


@session()
def client_leaves_in_copy(c):
    c.ask(wire.query("COPY t FROM stdin"), until="G")
    c.send(DATA)
    c.leave()
    c.talk.wait(lambda: c.target.running("COPY t FROM stdin") == 0)
    c.talk.new().query("SELECT count(*) FROM t")
