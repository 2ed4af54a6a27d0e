"""The extended protocol, the function call, and messages that are broken."""

import struct

from harness import wire
from harness.wire import bind, close, describe, execute, flush, message, parse, query, sync
from recorder import session

KEEP = ("session", "transaction")
ALL = ("session", "transaction", "statement")


def batches(name, *steps, modes=ALL):
    """A session of batches: each a list of messages in one write, whose answer is read for each Sync and Query in it."""

    def run(c):
        for step in steps:
            c.ask(*step, times=sum(one[:1] in b"SQ" for one in step))

    run.__name__ = name
    session(modes=modes)(run)


def one_by_one(name, *steps, modes=ALL):
    """The same, each message in a write of its own; each step ends with its only Sync or Query."""

    def run(c):
        for step in steps:
            c.each(*step)

    run.__name__ = name
    session(modes=modes)(run)


PLAIN = [parse("SELECT $1::int + 1 AS n"), bind(["41"]), describe("P"), execute(), sync()]
NAMED = [parse("SELECT $1::text || $2::int", "s"), describe("S", "s"), bind(["a", "1"], "s"), execute(), sync()]
AGAIN = [bind(["b", "2"], "s"), describe("P"), execute(), sync()]

batches("extended_plain", PLAIN, PLAIN)
one_by_one("extended_one_by_one", PLAIN, PLAIN)
batches("extended_sync_only", [sync()], [sync(), sync(), sync()])
batches("extended_named", NAMED, AGAIN, AGAIN, [close("S", "s"), sync()], AGAIN)
one_by_one("extended_named_one_by_one", NAMED, AGAIN, [close("S", "s"), sync()], AGAIN)
batches("extended_two_statements", [parse("SELECT 1", "a"), parse("SELECT 2, 3", "b"), sync()], [bind((), "b"), execute(), bind((), "a"), execute(), sync()],
        [describe("S", "a"), describe("S", "b"), sync()])
batches("extended_same_text_two_names", [parse("SELECT 1", "a"), parse("SELECT 1", "b"), bind((), "a"), execute(), bind((), "b"), execute(), sync()],
        [close("S", "a"), bind((), "b"), execute(), sync()])
batches("extended_name_taken", NAMED, [parse("SELECT 1", "s"), sync()], AGAIN)
batches("extended_name_unknown", [bind((), "nobody"), execute(), sync()], [describe("S", "nobody"), sync()], [close("S", "nobody"), sync()], PLAIN)
batches("extended_name_taken_again_after_close", NAMED, [close("S", "s"), parse("SELECT 5", "s"), bind((), "s"), describe("P"), execute(), sync()])
batches("extended_name_after_failed_parse", [parse("nonsense", "s"), sync()], NAMED, AGAIN)
batches("extended_name_failed_and_right_in_one_pipeline", [parse("nonsense", "s"), sync(), *NAMED])
batches("extended_name_odd", [parse("SELECT 1", "it's \"odd\" \u2603"), bind((), "it's \"odd\" \u2603"), execute(), sync()])
batches("extended_name_long", [parse("SELECT 1", "n" * 300), bind((), "n" * 300), execute(), sync()])
batches("extended_unnamed_replaced", [parse("SELECT 1"), parse("SELECT 2"), bind(), execute(), sync()], [bind(), execute(), sync()])
batches("extended_unnamed_kept_over_sync", [parse("SELECT 1"), sync()], [bind(), execute(), sync()])
batches("extended_unnamed_gone_after_query", [parse("SELECT 1"), sync()], [query("SELECT 2")], [bind(), execute(), sync()])
batches("extended_unnamed_gone_after_failed_parse", [parse("SELECT 1"), sync()], [parse("nonsense"), sync()], [bind(), execute(), sync()])
batches("extended_unnamed_closed", [parse("SELECT 1"), close("S"), bind(), execute(), sync()])
batches("extended_empty_statement", [parse(""), bind(), describe("P"), execute(), sync()], [parse(" ; "), sync()], [parse("-- x", "e"), describe("S", "e"), sync()])
batches("extended_several_statements_refused", [parse("SELECT 1; SELECT 2"), bind(), execute(), sync()], PLAIN)
batches("extended_syntax_error", [parse("SELEC"), bind(), describe("P"), execute(), sync()], PLAIN)
batches("extended_error_in_bind", [parse("SELECT $1::int"), bind(["x"]), execute(), parse("SELECT 2"), bind(), execute(), sync()], PLAIN)
batches("extended_error_in_execute", [parse("SELECT 1/$1::int"), bind(["0"]), execute(), parse("SELECT 2"), bind(), execute(), sync()], PLAIN)
batches("extended_error_between_rows", [parse("SELECT 1/(i - 3) FROM generate_series(1, 5) i"), bind(), execute(), sync()], PLAIN)
batches("extended_error_in_describe", [parse("SELECT 1"), describe("S", "x"), bind(), execute(), sync()], [describe("P", "x"), sync()])
batches("extended_error_skips_to_sync", [parse("nonsense"), parse("SELECT 1", "skipped"), close("S", "x"), flush(), sync()], [bind((), "skipped"), sync()])
batches("extended_error_in_each_batch_of_a_pipeline", [parse("nonsense"), sync(), *PLAIN, bind(["x", "y"]), sync(), *PLAIN, execute("p"), sync(), *PLAIN])
batches("extended_pipeline", [one for i in range(50) for one in (parse("SELECT %d" % i), bind(), describe("P"), execute(), sync())])
batches("extended_pipeline_one_sync", [one for i in range(50) for one in (parse("SELECT %d" % i), bind(), execute())] + [sync()])
batches("extended_pipeline_named", [one for i in range(30) for one in (parse("SELECT %d" % i, "s%d" % i), bind((), "s%d" % i), execute())] + [sync()],
        [one for i in range(30) for one in (bind((), "s%d" % i), execute(), sync())])
batches("extended_mixed_with_simple", [*PLAIN, query("SELECT 1"), *NAMED, query("SELECT 1/0"), *AGAIN, query("")])
batches("extended_query_before_sync", [parse("SELECT 1"), bind(), execute(), query("SELECT 2")], PLAIN)
batches("extended_query_before_sync_after_error", [parse("nonsense"), query("SELECT 2"), sync()], PLAIN)
batches("extended_implicit_transaction", [parse("INSERT INTO t VALUES (1, 'a')"), bind(), execute(), parse("SELECT 1/0"), bind(), execute(), sync()],
        [query("SELECT count(*) FROM t")])
batches("extended_implicit_transaction_commits", [parse("INSERT INTO t VALUES (1, 'a')"), bind(), execute(), parse("SELECT count(*) FROM t"), bind(), execute(), sync()],
        [query("SELECT count(*) FROM t")])
batches("extended_types_given", [parse("SELECT $1, $2, $3", "s", (23, 25, 1082)), describe("S", "s"), bind(["1", "x", "2020-01-01"], "s"), execute(), sync()])
batches("extended_types_derived", [parse("INSERT INTO t VALUES ($1, $2) RETURNING a", "s"), describe("S", "s"), sync()], [parse("SELECT $1"), describe("S"), sync()])
batches("extended_types_not_derivable", [parse("SELECT $1 IS NULL AND $2 IS NULL"), sync()], [parse("SELECT $3::int"), sync()], [parse("SELECT 1", "", (99999,)), sync()])
batches("extended_binary", [parse("SELECT $1::int8, $2::text, $3::bytea"), bind([struct.pack("!q", 7), b"t", b"\0\1"], "", "", (1, 0, 1), (1,)), describe("P"), execute(), sync()],
        [parse("SELECT 1, 2"), bind((), "", "", (), (0, 1)), execute(), sync()], [parse("SELECT 1"), bind((), "", "", (), (2,)), sync()])
batches("extended_null", [parse("SELECT $1::int, $2::text"), bind([None, ""]), execute(), sync()])
batches("extended_too_few_parameters", [parse("SELECT $1::int, $2::int"), bind(["1"]), execute(), sync()], PLAIN)
batches("extended_formats_do_not_match", [parse("SELECT $1::int"), bind(["1"], "", "", (0, 0)), sync()], [parse("SELECT 1"), bind((), "", "", (), (0, 0)), sync()])
batches("extended_large_parameter", [parse("SELECT length($1), $1"), bind(["p" * 1000000]), execute(), sync()], PLAIN)
batches("extended_large_statement", [parse("SELECT 1 /*" + "c" * 200000 + "*/", "big"), bind((), "big"), execute(), sync()], [bind((), "big"), execute(), sync()])
batches("extended_many_parameters", [parse("SELECT " + " + ".join("$%d::int8" % i for i in range(1, 1001))), bind([str(i) for i in range(1000)]), execute(), sync()])
batches("extended_result_none", [parse("INSERT INTO t VALUES (1, 'a')", "s"), describe("S", "s"), bind((), "s"), describe("P"), execute(), sync()])
batches("extended_execute_twice", [parse("SELECT 1"), bind(), execute(), execute(), sync()], [parse("INSERT INTO t VALUES (1, 'a')"), bind(), execute(), execute(), sync()])
batches("extended_portal_limits", [parse("SELECT generate_series(1, 5)"), bind((), "", "p"), execute("p", 2), execute("p", 2), execute("p", 2), execute("p", 2), sync()],
        [execute("p", 2), sync()])
batches("extended_portal_unnamed_limits", [parse("SELECT generate_series(1, 3)"), bind(), execute("", 1), execute("", 1), execute("", 0), sync()])
batches("extended_portal_unknown", [execute("nobody"), sync()], [describe("P", "nobody"), sync()], [close("P", "nobody"), sync()])
batches("extended_portal_taken", [parse("SELECT 1"), bind((), "", "p"), bind((), "", "p"), sync()])
batches("extended_portal_closed", [parse("SELECT 1"), bind((), "", "p"), close("P", "p"), execute("p"), sync()])
batches("extended_portals_of_two_statements", [parse("SELECT generate_series(1, 3)", "a"), parse("SELECT generate_series(7, 9)", "b"), bind((), "a", "pa"), bind((), "b", "pb"),
                                               execute("pa", 1), execute("pb", 1), execute("pa", 1), execute("pb", 0), execute("pa", 0), sync()])
batches("extended_portal_over_sync", [query("BEGIN")], [parse("SELECT generate_series(1, 5)"), bind((), "", "p"), execute("p", 2), sync()], [execute("p", 2), sync()],
        [execute("p", 2), sync()], [query("COMMIT")], [execute("p"), sync()], modes=KEEP)
batches("extended_portal_gone_after_error", [query("BEGIN")], [parse("SELECT 1"), bind((), "", "p"), sync()], [query("SELECT 1/0")], [execute("p"), sync()], [query("ROLLBACK")], modes=KEEP)
batches("extended_transaction", [parse("BEGIN"), bind(), execute(), sync()], PLAIN, [parse("COMMIT"), bind(), execute(), sync()], PLAIN, modes=KEEP)
batches("extended_transaction_in_one_pipeline", [parse("BEGIN"), bind(), execute(), sync(), *PLAIN, parse("SELECT 1/0"), bind(), execute(), sync(), *PLAIN,
                                                 parse("ROLLBACK"), bind(), execute(), sync(), *PLAIN], modes=KEEP)
batches("extended_transaction_failed", [query("BEGIN")], [parse("nonsense"), sync()], PLAIN, [parse("ROLLBACK"), bind(), execute(), sync()], PLAIN, modes=KEEP)
batches("extended_begin_and_commit_in_one_batch", [parse("BEGIN"), bind(), execute(), parse("INSERT INTO t VALUES (1, 'a')"), bind(), execute(), parse("COMMIT"), bind(), execute(), sync()])
batches("extended_begin_in_statement_mode", [parse("BEGIN"), bind(), execute(), sync()], PLAIN, modes=("statement",))
batches("extended_set", [parse("SET DateStyle = 'German'"), bind(), describe("P"), execute(), sync()], [query("SHOW DateStyle")])
batches("extended_show", [parse("SHOW DateStyle", "s"), describe("S", "s"), bind((), "s"), execute(), sync()])
batches("extended_notice", [parse("DO $$ BEGIN RAISE NOTICE 'n'; END $$"), bind(), execute(), sync()])
batches("extended_deallocate", NAMED, [query("DEALLOCATE s")], AGAIN)
batches("extended_deallocate_all", NAMED, [query("DEALLOCATE ALL")], AGAIN, NAMED)
batches("extended_discard_all", NAMED, [query("DISCARD ALL")], AGAIN, NAMED)
batches("extended_sql_prepared", [query("PREPARE q(int) AS SELECT $1 + 1")], [bind(["1"], "q"), describe("P"), execute(), sync()], [query("DEALLOCATE q")], modes=("session",))
batches("extended_sql_executes_prepared", [parse("SELECT $1::int + 1", "q"), sync()], [query("EXECUTE q(1)")], modes=("session",))
batches("extended_table_changes", [query("CREATE TABLE own2(a int)")], [parse("SELECT * FROM own2", "s"), describe("S", "s"), bind((), "s"), execute(), sync()],
        [query("ALTER TABLE own2 ADD COLUMN b int")], [bind((), "s"), execute(), sync()], [query("DROP TABLE own2")], [bind((), "s"), execute(), sync()])
batches("extended_describe_only", [parse("SELECT 1", "s"), describe("S", "s"), sync()], [describe("S", "s"), sync()], [describe("S", "s"), describe("S", "s"), sync()])
batches("extended_close_everything", [close("S", "a"), close("P", "b"), close("S"), close("P"), sync()])
batches("extended_copy_in", [parse("COPY t FROM stdin"), bind(), describe("P"), execute(), wire.copy_data(b"1\tx\n"), wire.copy_done(), sync()], [query("SELECT * FROM t")])
batches("extended_copy_in_fails", [parse("COPY t FROM stdin"), bind(), execute(), wire.copy_data(b"1\tx\n"), wire.copy_fail(), sync()], [query("SELECT * FROM t")])
batches("extended_copy_in_bad_row", [parse("COPY t FROM stdin"), bind(), execute(), wire.copy_data(b"x\n"), wire.copy_done(), sync()], [query("SELECT 1")])
batches("extended_copy_out", [query("INSERT INTO t SELECT i, 'x' FROM generate_series(1, 50) i")], [parse("COPY t TO stdout"), bind(), describe("P"), execute(), sync()], PLAIN)
batches("extended_terminates_itself", [parse("SELECT pg_terminate_backend(pg_backend_pid())"), bind(), execute(), sync()], PLAIN)


@session()
def flush_brings_what_is_due(c):
    c.ask(parse("SELECT $1::int"), flush(), until="1")
    c.ask(describe("S"), flush(), until="T")
    c.ask(bind(["1"]), flush(), until="2")
    c.ask(execute(), flush(), until="C")
    c.silent(0.1)
    c.ask(sync())
    c.ask(flush(), sync())


@session()
def flush_brings_the_error(c):
    c.ask(parse("nonsense"), flush(), until="E")
    c.ask(parse("SELECT 1"), sync())


@session(modes=KEEP)
def flush_and_a_second_client(c):
    """A batch without its Sync keeps what it has; others are not held up, and see nothing of it."""
    c.ask(parse("INSERT INTO t VALUES (1, 'a')"), bind(), execute(), flush(), until="C")
    other = c.talk.new()
    other.query("SELECT count(*) FROM t")
    c.ask(sync())
    other.query("SELECT count(*) FROM t")


@session()
def portal_suspended_by_flush(c):
    c.ask(parse("SELECT generate_series(1, 5)"), bind((), "", "p"), execute("p", 2), flush(), until="s")
    c.ask(execute("p", 2), flush(), until="s")
    c.ask(execute("p", 2), sync())


@session()
def client_leaves_in_batch(c):
    c.ask(parse("INSERT INTO t VALUES (1, 'a')"), bind(), execute(), flush(), until="C")
    c.leave()
    c.talk.wait(lambda: c.target.in_transaction() == 0)
    c.talk.new().query("SELECT count(*) FROM t")


@session()
def named_statements_of_two_clients(c):
    other = c.talk.new()
    c.ask(parse("SELECT 'first'", "s"), sync())
    other.ask(parse("SELECT 'second'", "s"), sync())
    c.ask(bind((), "s"), execute(), sync())
    other.ask(bind((), "s"), execute(), sync())
    other.ask(close("S", "s"), sync())
    c.ask(bind((), "s"), execute(), sync())


# Function calls.

INT4PL, LENGTH = 177, 1317


def fcall(name, *calls, modes=ALL, before=()):
    """Each call is answered up to ReadyForQuery."""

    def run(c):
        for sql in before:
            c.query(sql)
        for one in calls:
            c.ask(one)
        c.query("SELECT 1")

    run.__name__ = name
    session(modes=modes)(run)


fcall("function_call_text", wire.function_call(INT4PL, ["1", "2"]), wire.function_call(LENGTH, ["four"]))
fcall("function_call_binary", wire.function_call(INT4PL, ["1", "2"], 1))
fcall("function_call_null", message("F", struct.pack("!Ihhi", LENGTH, 0, 1, -1) + struct.pack("!h", 0)))
fcall("function_call_unknown", wire.function_call(99999999, []), wire.function_call(LENGTH, []))
fcall("function_call_bad_argument", wire.function_call(INT4PL, ["1", "x"]))
fcall("function_call_in_transaction", wire.function_call(INT4PL, ["1", "2"]), wire.function_call(INT4PL, ["1", "x"]), wire.function_call(INT4PL, ["1", "2"]),
      modes=KEEP, before=("BEGIN",))


# Broken messages, after a login.


def broken(name, *data, modes=("transaction",), more=True):
    """Bytes, then a Sync and a query; all that comes up to the end of the connection or the query's answer."""

    def run(c):
        c.note("-- %s" % (b"".join(data)[:60],))
        c.send(*data, *([sync(), query("SELECT 'after'")] if more else []))
        while not c.over:
            got = c.take("ZE")
            if got is not None and got.type == "Z" and any("after" in line for line in c.talk.lines[1:]):
                break

    run.__name__ = "broken_" + name
    session(modes=modes)(run)


broken("unknown_type", message("z", b"abc"))
broken("type_0", message("\0", b""))
broken("server_type", message("T", b"\0\0"))
broken("length_0", b"Q" + struct.pack("!I", 0))
broken("length_3", b"Q" + struct.pack("!I", 3))
broken("length_negative", b"Q" + struct.pack("!i", -1))
broken("length_huge", b"Q" + struct.pack("!I", 0x7FFFFFFF))
broken("sync_length_huge", b"S" + struct.pack("!I", 0x40000000))
broken("query_without_end", message("Q", b"SELECT 1"))
broken("query_empty_body", message("Q"))
broken("query_bytes_behind_end", message("Q", b"SELECT 1\0SELECT 2\0"))
broken("query_wrong_encoding", message("Q", b"SELECT '\xff\xfe'\0"))
broken("parse_empty_body", message("P"))
broken("parse_without_ends", message("P", b"namesql"))
broken("parse_without_count", message("P", b"\0SELECT 1\0"))
broken("parse_count_too_large", message("P", b"\0SELECT 1\0" + struct.pack("!h", 5)))
broken("parse_count_negative", message("P", b"\0SELECT 1\0" + struct.pack("!h", -1)))
broken("parse_bytes_behind", message("P", b"\0SELECT 1\0" + struct.pack("!h", 0) + b"x"))
broken("parse_named_without_count", message("P", b"s\0SELECT 1\0"))
broken("bind_empty_body", message("B"))
broken("bind_cut", parse("SELECT $1::int"), message("B", b"\0\0" + struct.pack("!hhi", 0, 1, 10) + b"12"))
broken("bind_count_negative", parse("SELECT 1"), message("B", b"\0\0" + struct.pack("!hh", 0, -1)))
broken("bind_length_below_null", parse("SELECT $1::int"), message("B", b"\0\0" + struct.pack("!hhih", 0, 1, -2, 0)))
broken("bind_bytes_behind", parse("SELECT 1"), message("B", b"\0\0" + struct.pack("!hhh", 0, 0, 0) + b"x"))
broken("describe_empty_body", message("D"))
broken("describe_unknown_kind", message("D", b"X\0"))
broken("describe_without_end", message("D", b"Sx"))
broken("close_unknown_kind", message("C", b"X\0"))
broken("close_without_end", message("C", b"Sx"))
broken("execute_empty_body", message("E"))
broken("execute_without_limit", parse("SELECT 1"), bind(), message("E", b"\0"))
broken("execute_limit_negative", parse("SELECT generate_series(1, 3)"), bind(), message("E", b"\0" + struct.pack("!i", -1)))
broken("sync_with_body", message("S", b"x"))
broken("flush_with_body", message("H", b"x"))
broken("function_call_empty_body", message("F"))
broken("function_call_cut", message("F", struct.pack("!Ihh", LENGTH, 0, 3)))
broken("terminate_with_body", message("X", b"x"), more=False)
broken("password_after_login", message("p", b"secret\0"))
broken("copy_data_without_copy", wire.copy_data(b"1\n"))
broken("copy_done_without_copy", wire.copy_done())
broken("copy_fail_without_copy", wire.copy_fail())


@session(modes=("transaction",))
def broken_half_a_message_then_the_end(c):
    c.send(b"Q\0\0")
    c.conn.sock.shutdown(1)
    c.end()
    c.talk.new().query("SELECT 1")
