"""The wire in transaction mode: simple and extended queries, pipelines, COPY, function calls, big messages, notices."""

import struct
import threading

import pytest

from harness import wire
from harness.pgweir import SLOW


@pytest.fixture
def pw(start):
    return start(settings={"default_pool_size": 2})


def types(messages):
    return "".join(m.type for m in messages)


def released(pw, **expected):
    pw.wait_pool(sv_active=0, cl_waiting=0, **expected)


# Simple protocol.


def test_multi_statement_query(pw):
    conn = pw.connect()
    conn.send(wire.query("SELECT 1; SELECT 2, 3; CREATE TEMP TABLE x(); DROP TABLE x"))
    got = conn.read_until("Z")
    assert types(got) == "TDCTDCCCZ"
    assert [m.tag() for m in got if m.type == "C"] == ["SELECT 1", "SELECT 1", "CREATE TABLE", "DROP TABLE"]


def test_empty_query(pw):
    conn = pw.connect()
    conn.send(wire.query(""))
    assert types(conn.read_until("Z")) == "IZ"
    conn.send(wire.query(" ; "))
    assert types(conn.read_until("Z")) == "IZ"


def test_error_is_the_servers_own(pw):
    conn = pw.connect()
    with pytest.raises(wire.ServerError) as caught:
        conn.query("SELECT * FROM nowhere")
    fields = caught.value.fields
    assert fields["C"] == "42P01" and fields["P"] == "15" and "R" in fields and "V" in fields
    assert conn.scalar("SELECT 5") == "5"
    released(pw)


def test_pipelined_simple_queries(pw):
    conn = pw.connect()
    conn.send(*[wire.query("SELECT %d" % i) for i in range(500)])
    for i in range(500):
        assert conn.results().rows == [[str(i)]]
    released(pw, cl_active=1)


def test_pipelined_simple_queries_keep_going_after_an_error(pw):
    conn = pw.connect()
    conn.send(wire.query("SELECT 1"), wire.query("SELECT 1/0"), wire.query("SELECT 3"))
    assert conn.results().rows == [["1"]]
    assert conn.results().error.sqlstate == "22012"
    assert conn.results().rows == [["3"]]


def test_query_sliced_into_single_bytes(pw):
    conn = pw.connect()
    for byte in wire.query("SELECT 'sliced'"):
        conn.send(bytes([byte]))
    assert conn.results().rows == [["sliced"]]


def test_extended_sliced_into_single_bytes(pw):
    conn = pw.connect()
    for byte in wire.parse("SELECT $1::text", "named") + wire.bind(["x"], "named") + wire.execute() + wire.sync():
        conn.send(bytes([byte]))
    assert types(conn.read_until("Z")) == "12DCZ"


def test_transaction_keeps_its_server(pw):
    conn = pw.connect()
    conn.query("BEGIN")
    pid = conn.scalar("SELECT pg_backend_pid()")
    for _ in range(20):
        with pw.connect() as other:
            assert other.scalar("SELECT pg_backend_pid()") != pid
    assert conn.scalar("SELECT pg_backend_pid()") == pid
    assert conn.query("COMMIT").status == "I"
    released(pw)


def test_failed_transaction_keeps_its_server(pw):
    conn = pw.connect()
    conn.query("BEGIN")
    pid = conn.scalar("SELECT pg_backend_pid()")
    assert conn.query("SELECT 1/0", check=False).status == "E"
    assert pw.pool()["sv_active"] == 1
    assert conn.query("SELECT 1", check=False).error.sqlstate == "25P02"
    assert conn.query("ROLLBACK").status == "I"
    assert pid
    released(pw)


# Extended protocol.


def test_extended_query(pw):
    conn = pw.connect()
    conn.send(wire.parse("SELECT $1::int + 1"), wire.describe("S"), wire.bind(["41"]), wire.describe("P"),
              wire.execute(), wire.sync())
    assert types(conn.read_until("Z")) == "1tT2TDCZ"
    released(pw)


def test_sync_alone(pw):
    conn = pw.connect()
    conn.send(wire.sync(), wire.sync(), wire.sync())
    for _ in range(3):
        assert types(conn.read_until("Z")) == "Z"
    assert conn.scalar("SELECT 1") == "1"


def test_binary_parameters_and_results(pw):
    conn = pw.connect()
    conn.send(wire.parse("SELECT $1::int8 * 2", types=[20]),
              wire.bind([struct.pack("!q", 1 << 40)], formats=[1], result_formats=[1]), wire.execute(), wire.sync())
    row = [m for m in conn.read_until("Z") if m.type == "D"][0].row()
    assert row == [struct.pack("!q", 1 << 41)]


def test_null_parameter(pw):
    assert pw.connect().extended("SELECT $1::text IS NULL", [None]).rows == [["t"]]


def test_flush_without_sync(pw):
    conn = pw.connect()
    conn.send(wire.parse("SELECT 7"), wire.flush())
    assert types([conn.read()]) == "1"
    conn.send(wire.bind(), wire.describe("P"), wire.flush())
    assert types([conn.read(), conn.read()]) == "2T"
    conn.send(wire.execute(), wire.flush())
    assert types([conn.read(), conn.read()]) == "DC"
    assert pw.pool()["sv_active"] == 1
    conn.send(wire.sync())
    assert conn.read().type == "Z"
    released(pw)


def test_portal_suspended_and_continued(pw):
    conn = pw.connect()
    conn.query("BEGIN")
    conn.send(wire.parse("SELECT generate_series(1, 5)"), wire.bind(portal="p"), wire.execute("p", 2), wire.flush())
    assert types(conn.read_until("s")) == "12DDs"
    conn.send(wire.execute("p", 2), wire.execute("p", 2), wire.close("P", "p"), wire.sync())
    assert types(conn.read_until("Z")) == "DDsDC3Z"
    conn.query("COMMIT")
    released(pw)


def test_deep_pipeline(pw):
    conn = pw.connect()
    depth = 3000
    batch = [wire.parse("SELECT $1::int")]
    batch += [wire.bind([i]) + wire.execute() + (wire.sync() if i % 10 == 9 else b"") for i in range(depth)]
    writer = threading.Thread(target=conn.send, args=batch)
    writer.start()
    seen = []
    for _ in range(depth // 10):
        seen += [int(m.row()[0]) for m in conn.read_until("Z") if m.type == "D"]
    writer.join()
    assert seen == list(range(depth))
    released(pw)


def test_error_in_mid_pipeline(pw):
    conn = pw.connect()
    one = lambda sql: wire.parse(sql) + wire.bind() + wire.execute()
    conn.send(one("SELECT 1"), one("SELECT 1/0"), one("SELECT 3"), wire.sync(), one("SELECT 4"), wire.sync())
    assert types(conn.read_until("Z")) == "12DC1EZ"  # Bind plans, so it is Bind that divides
    got = conn.read_until("Z")
    assert types(got) == "12DCZ" and got[2].row() == [b"4"]
    released(pw)


def test_error_in_parse_skips_to_sync(pw):
    conn = pw.connect()
    conn.send(wire.parse("SELEC 1"), wire.bind(), wire.describe("P"), wire.execute(), wire.close("P"), wire.sync(),
              wire.query("SELECT 2"))
    assert types(conn.read_until("Z")) == "EZ"
    assert conn.results().rows == [["2"]]
    released(pw)


def test_many_syncs_with_errors_between(pw):
    conn = pw.connect()
    out = b""
    for i in range(200):
        bad = i % 3 == 0
        out += wire.parse("SELECT %d%s" % (i, "/0" if bad else "")) + wire.bind() + wire.execute() + wire.sync()
    conn.send(out)
    for i in range(200):
        got = conn.read_until("Z")
        if i % 3 == 0:
            assert "E" in types(got)
        else:
            assert [m.row() for m in got if m.type == "D"] == [[str(i).encode()]]
    released(pw)


def test_mixed_simple_and_extended_pipeline(pw):
    conn = pw.connect()
    conn.send(wire.query("SELECT 1"), wire.parse("SELECT 2"), wire.bind(), wire.execute(), wire.sync(),
              wire.query("SELECT 3"), wire.sync())
    assert conn.results().rows == [["1"]]
    assert [m.row() for m in conn.read_until("Z") if m.type == "D"] == [[b"2"]]
    assert conn.results().rows == [["3"]]
    assert types(conn.read_until("Z")) == "Z"


def test_query_in_the_middle_of_an_unsynced_batch(pw):
    conn = pw.connect()
    conn.send(wire.parse("SELECT 1"), wire.bind(), wire.execute(), wire.query("SELECT 2"), wire.sync())
    assert types(conn.read_until("Z")) == "12DCTDCZ"
    assert types(conn.read_until("Z")) == "Z"
    released(pw)


def test_implicit_transaction_of_a_pipeline_is_one(pw, pg, db):
    conn = pw.connect()
    conn.query("CREATE TABLE p(i int)")
    one = lambda sql: wire.parse(sql) + wire.bind() + wire.execute()
    conn.send(one("INSERT INTO p VALUES (1)"), one("INSERT INTO p VALUES (1/0)"), wire.sync())
    conn.read_until("Z")
    assert conn.scalar("SELECT count(*) FROM p") == "0"


# COPY.


def test_copy_out(pw):
    conn = pw.connect()
    conn.send(wire.query("COPY (SELECT generate_series(1, 10000)) TO STDOUT"))
    got = conn.read_until("Z")
    assert types(got) == "H" + "d" * 10000 + "cCZ"
    assert conn.scalar("SELECT 1") == "1"
    released(pw)


def start_copy(conn, table="c"):
    conn.query("CREATE TABLE IF NOT EXISTS %s(i int)" % table)
    conn.send(wire.query("COPY %s FROM STDIN" % table))
    assert conn.read().type == "G"


def test_copy_in(pw):
    conn = pw.connect()
    start_copy(conn)
    pieces = b"".join(b"%d\n" % i for i in range(20000))
    conn.send(*[wire.copy_data(pieces[i : i + 777]) for i in range(0, len(pieces), 777)])
    assert pw.pool()["sv_active"] == 1
    conn.send(wire.copy_done())
    assert types(conn.read_until("Z")) == "CZ"
    assert conn.scalar("SELECT count(*) FROM c") == "20000"
    released(pw)


def test_copy_in_with_everything_glued(pw):
    conn = pw.connect()
    conn.query("CREATE TABLE c(i int)")
    conn.send(wire.query("COPY c FROM STDIN"), wire.copy_data(b"1\n2\n"), wire.copy_done(), wire.query("SELECT sum(i) FROM c"))
    assert types(conn.read_until("Z")) == "GCZ"
    assert conn.results().rows == [["3"]]
    released(pw)


def test_copy_fail(pw):
    conn = pw.connect()
    start_copy(conn)
    conn.send(wire.copy_data(b"1\n"), wire.copy_fail("changed my mind"))
    got = conn.read_until("Z")
    assert types(got) == "EZ" and "changed my mind" in got[0].error()["M"]
    assert conn.scalar("SELECT count(*) FROM c") == "0"
    released(pw)


def test_copy_in_error_then_late_data(pw):
    """The server gives up early and is released; what the client still sends must neither take a server nor hang it."""
    conn = pw.connect()
    start_copy(conn)
    conn.send(wire.copy_data(b"not a number\n" * 100))
    got = conn.read_until("Z")
    assert types(got) == "EZ" and got[0].error()["C"] == "22P02"
    conn.send(*[wire.copy_data(b"1\n") for _ in range(1000)], wire.copy_done())
    released(pw)
    assert pw.pool()["sv_active"] == 0
    assert conn.scalar("SELECT 3") == "3"
    released(pw)


def test_copy_in_error_with_everything_glued(pw):
    conn = pw.connect()
    conn.query("CREATE TABLE c(i int)")
    for end in (wire.copy_done(), wire.copy_fail("x")):
        conn.send(wire.query("COPY c FROM STDIN"), wire.copy_data(b"bad\n"), wire.copy_data(b"1\n"), end, wire.query("SELECT 9"))
        assert types(conn.read_until("Z")) == "GEZ"
        assert conn.results().rows == [["9"]]
    released(pw)


def test_copy_in_by_extended_protocol(pw):
    conn = pw.connect()
    conn.query("CREATE TABLE c(i int)")
    conn.send(wire.parse("COPY c FROM STDIN"), wire.bind(), wire.execute(), wire.sync())
    assert types([conn.read() for _ in range(3)]) == "12G"
    conn.send(wire.copy_data(b"5\n"), wire.copy_done(), wire.sync())
    assert types(conn.read_until("Z")) == "CZ"
    assert conn.scalar("SELECT i FROM c") == "5"
    released(pw)


def test_copy_in_by_extended_protocol_fails(pw):
    conn = pw.connect()
    conn.query("CREATE TABLE c(i int)")
    conn.send(wire.parse("COPY c FROM STDIN"), wire.bind(), wire.execute(), wire.sync())
    assert types([conn.read() for _ in range(3)]) == "12G"
    conn.send(wire.copy_data(b"bad\n"), wire.copy_done(), wire.sync())
    assert types(conn.read_until("Z")) == "EZ"
    assert conn.scalar("SELECT 1") == "1"
    released(pw)


def test_two_copies_in_one_query(pw):
    conn = pw.connect()
    conn.query("CREATE TABLE c(i int)")
    conn.send(wire.query("COPY c FROM STDIN; SELECT 8; COPY c TO STDOUT; COPY c FROM STDIN"))
    assert conn.read().type == "G"
    conn.send(wire.copy_data(b"1\n"), wire.copy_done())
    assert types(conn.read_until("G")) == "CTDCHdcCG"
    conn.send(wire.copy_data(b"2\n"), wire.copy_done())
    assert types(conn.read_until("Z")) == "CZ"
    assert conn.scalar("SELECT sum(i) FROM c") == "3"


# Function calls, large objects.


def test_function_call(pw, pg):
    conn = pw.connect()
    oid = int(conn.scalar("SELECT 'int4pl'::regproc::oid"))
    conn.send(wire.function_call(oid, [40, 2]))
    got = conn.read_until("Z")
    assert types(got) == "VZ" and got[0].body == struct.pack("!i", 2) + b"42"
    conn.send(wire.function_call(1 << 30, []))
    assert types(conn.read_until("Z")) == "EZ"
    conn.send(wire.function_call(oid, [1, 1]), wire.query("SELECT 6"))
    assert types(conn.read_until("Z")) == "VZ"
    assert conn.results().rows == [["6"]]
    released(pw)


def test_large_object_in_a_transaction(pw):
    conn = pw.connect()
    conn.query("BEGIN")
    functions = dict(conn.query("SELECT proname, oid FROM pg_proc WHERE proname IN ('lo_creat', 'lo_open', 'lowrite', 'loread', 'lo_lseek')").rows)
    call = lambda name, *args: wire.function_call(int(functions[name]), args)

    def value(*message):
        conn.send(*message)
        got = conn.read_until("Z")
        assert types(got) == "VZ", got
        return got[0].body[4:]

    oid = value(call("lo_creat", -1))
    fd = value(call("lo_open", oid, 0x60000))
    assert value(call("lowrite", fd, b"hello")) == b"5"
    assert value(call("lo_lseek", fd, 0, 0)) == b"0"
    assert b"68656c6c6f" in value(call("loread", fd, 100)) 
    conn.query("COMMIT")
    released(pw)


# Asynchronous messages.


def test_notices_pass(pw):
    conn = pw.connect()
    result = conn.query("DO $$ BEGIN RAISE NOTICE 'one'; RAISE WARNING 'two'; END $$")
    assert [n["M"] for n in result.notices] == ["one", "two"]


def test_notify_in_session_mode(start):
    pw = start(settings={"pool_mode": "session"})
    listener, sender = pw.connect(), pw.connect()
    listener.query("LISTEN room")
    sender.query("NOTIFY room, 'hello'")
    got = listener.read()
    assert got.type == "A" and got.body[4:] == b"room\0hello\0"


def test_notify_within_a_transaction(pw):
    conn = pw.connect()
    conn.query("BEGIN; LISTEN room; NOTIFY room, 'x'")
    got = conn.query("COMMIT")
    assert "A" in types(got.messages)
    conn.query("UNLISTEN *")


def test_notification_for_an_idle_server_hurts_nobody(pw, pg, db):
    """LISTEN in transaction mode leaves a subscription on the server; its notifications must not reach a stranger."""
    with pw.connect() as conn:
        conn.query("LISTEN room")
    released(pw)
    with pg.connect(database=db) as direct:
        direct.query("NOTIFY room, 'for nobody'")
    conn = pw.connect()
    assert conn.scalar("SELECT 1") == "1"
    assert pw.alive()


# Sizes.


@pytest.mark.parametrize("size", [1, 2047, 4091, 4095, 4096, 4097, 65531, 65536, 1 << 20, 5 << 20])
def test_result_sizes(pw, size):
    conn = pw.connect()
    assert len(conn.scalar("SELECT repeat('x', %d)" % size)) == size
    assert conn.scalar("SELECT length('%s')" % ("y" * size)) == str(size)
    assert conn.extended("SELECT length($1)", ["z" * size]).rows == [[str(size)]]
    released(pw)


@pytest.mark.slow
def test_100_mb_both_ways_without_gathering(pw):
    """100 MB in one message each way; the pooler's memory must not grow by anything like that."""
    from harness import system

    conn = pw.connect()
    conn.scalar("SELECT 1")
    before = system.resident_kib(pw.pid)
    size = 100 << 20
    peak, done = [0], threading.Event()

    def watch():
        while not done.is_set():
            peak[0] = max(peak[0], system.resident_kib(pw.pid))
            done.wait(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        conn.send(wire.query("SELECT length('%s'), repeat('a', %d)" % ("b" * size, size)))
        length, text = conn.results(timeout=120).rows[0]
        assert length == str(size) and len(text) == size
    finally:
        done.set()
        watcher.join()
    allowed = 40 if SLOW == 1 else 300  # MB; the address sanitizer keeps what was freed, up to 256 of them
    assert peak[0] - before < allowed * 1024, "grew by %d KiB" % (peak[0] - before)
    released(pw)


def test_slow_reader_does_not_make_the_pooler_grow(pw):
    """Back-pressure: a client that does not read stops its server, and costs no memory."""
    from harness import system

    conn = pw.connect()
    conn.scalar("SELECT 1")
    before = system.resident_kib(pw.pid)
    conn.send(wire.query("SELECT repeat('x', 10000) FROM generate_series(1, 20000)"))
    conn.wait_readable()
    with pw.connect() as other:
        assert other.scalar("SELECT 2") == "2"
    for _ in range(20):
        assert pw.pool()["sv_active"] == 1
    assert system.resident_kib(pw.pid) - before < 20 * 1024
    assert len(conn.results(timeout=60).rows) == 20000
    released(pw)


def test_long_answer_to_one_client_does_not_stop_others(pw):
    conn, other = pw.connect(), pw.connect()
    conn.send(wire.query("SELECT repeat('x', 1000) FROM generate_series(1, 100000)"))
    for i in range(50):
        assert other.scalar("SELECT %d" % i) == str(i)
    assert len(conn.results(timeout=60).rows) == 100000
