"""Slow queries and transactions in the log: what is told of them, of whom, and when not."""

import re

import pytest

from harness import system, wire

QUERY = r"slow query: (\d+)\.(\d{3}) ms"
SLOW = {"pool_mode": "transaction", "log_slow_queries": "100ms"}


def slow_lines(pw):
    return [line for line in pw.lines if "slow query: " in line or "slow transaction: " in line]


def micros(text):
    return [int(ms) * 1000 + int(us) for ms, us in re.findall(r"(\d+)\.(\d{3}) ms", text)]


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("mode", ["transaction", "session", "statement"])
def test_a_slow_query(start, workers, mode):
    pw = start(settings={**SLOW, "pool_mode": mode, "workers": workers})
    conn = pw.connect(application_name="nightly\x01report")
    conn.query("SELECT 1")
    pid = conn.scalar("SELECT pg_backend_pid() FROM pg_sleep(0.2)")
    line = pw.wait_log(QUERY)
    assert re.search(r"C-0x\w+: test/app@127\.0\.0\.1:\d+ slow query: ", line)
    assert "server pid %s, " % pid in line and "application_name 'nightly?report'" in line
    assert micros(line)[0] >= 200000
    assert "pg_sleep" not in line, "texts are told when asked for only"
    conn.query("SELECT 2")
    assert len(slow_lines(pw)) == 1


def test_off_by_default_and_after_a_reload(start):
    pw = start(settings={"pool_mode": "transaction"})
    conn = pw.connect()
    conn.query("SELECT pg_sleep(0.15)")
    pw.reload(log_slow_queries="100ms")
    conn.query("SELECT pg_sleep(0.15)")
    pw.wait_log(QUERY)
    pw.reload(log_slow_queries="10min")
    conn.query("SELECT pg_sleep(0.15)")
    pw.reload(log_slow_queries="0")
    conn.query("SELECT pg_sleep(0.15)")
    pw.reload(log_slow_transactions="100ms")
    conn.query("SELECT pg_sleep(0.15)")
    pw.wait_log("slow transaction: ")
    assert len(slow_lines(pw)) == 2


def test_user_beats_database_beats_global(start):
    pw = start(
        databases={"test": {"log_slow_queries": "100ms"}, "quiet": {"log_slow_queries": "0"}},
        users={"postgres": {"log_slow_queries": "100ms"}},
        settings={"pool_mode": "transaction", "log_slow_queries": "10min"},
    )
    for database, user in (("quiet", "app"), ("test", "app"), ("quiet", "postgres")):
        conn = pw.connect(user=user, database=database)
        conn.query("SELECT pg_sleep(0.15)")
    pw.wait_log("quiet/postgres@.*slow query")
    assert [re.search(r"(\w+/\w+)@", line).group(1) for line in slow_lines(pw)] == ["test/app", "quiet/postgres"]


@pytest.mark.parametrize("workers", [1, 3])
def test_the_waits_add_up(start, workers):
    pw = start(settings={**SLOW, "default_pool_size": 1, "workers": workers, "log_slow_transactions": "1ms"})
    holder, waiter = pw.connect(), pw.connect()
    holder.query("BEGIN")
    waiter.send(wire.query("SELECT 'waiter' FROM pg_sleep(0.1)"))
    pw.wait_pool(cl_waiting=1)
    holder.query("SELECT pg_sleep(0.3)")
    holder.query("COMMIT")
    waiter.results()
    line = pw.wait_log(r"slow query: .* of which it waited .*pool_full ")
    took, waited, *parts = micros(line)
    assert sum(parts) == waited and took > waited >= 300000
    assert took - waited >= 100000, "and the rest was the query's own"
    line = pw.wait_log(r"slow transaction: .*after it had waited .*pool_full ")
    took, waited, *parts = micros(line)
    assert sum(parts) == waited >= 300000 and took >= 100000
    waiter.query("SELECT pg_sleep(0.15)")
    system.wait_for(lambda: len([line for line in slow_lines(pw) if "slow query" in line]) == 3, what="the third line")
    assert "waited" not in [line for line in slow_lines(pw) if "slow query" in line][-1], "that was another one's wait"


def test_a_slow_transaction_of_quick_queries(start):
    pw = start(settings={"pool_mode": "transaction", "log_slow_transactions": "300ms", "log_slow_texts": 1})
    conn = pw.connect()
    conn.query("BEGIN")
    conn.query("SELECT 'the slowest' FROM pg_sleep(0.2)")
    conn.query("SELECT pg_sleep(0.15)")
    conn.query("COMMIT")
    line = pw.wait_log("slow transaction: ")
    assert micros(line)[0] >= 350000 and line.endswith("SELECT 'the slowest' FROM pg_sleep(0.2)")
    conn.query("SELECT 1")
    assert len(slow_lines(pw)) == 1


def extended(sql, name=""):
    return wire.parse(sql, name) + wire.bind(statement=name) + wire.execute() + wire.sync()


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_texts_of_either_protocol_and_of_a_pipeline(start, mode):
    pw = start(settings={**SLOW, "pool_mode": mode, "log_slow_texts": 1})
    conn = pw.connect()
    conn.query("SELECT 'simple' FROM pg_sleep(0.15)")
    conn.send(extended("SELECT 'extended' FROM pg_sleep(0.15)", "one"))
    conn.results()
    conn.send(
        extended("SELECT 'quick'")
        + extended("SELECT 'second' FROM pg_sleep(0.15)")
        + wire.query("SELECT 'third' FROM pg_sleep(0.15)")
        + extended("SELECT 'broken' FROM nowhere")
        + extended("SELECT 'last' FROM pg_sleep(0.15)")
    )
    for _ in range(5):
        conn.results()
    system.wait_for(lambda: len(slow_lines(pw)) == 5, what="five lines")
    assert re.findall(r": SELECT '(\w+)'", "\n".join(slow_lines(pw))) == ["simple", "extended", "second", "third", "last"]


def test_text_of_a_prepared_statement(start):
    pw = start(settings={**SLOW, "log_slow_texts": 1})
    conn = pw.connect()
    conn.send(wire.parse("SELECT 'prepared' FROM pg_sleep(0.15)", "named") + wire.sync())
    conn.results()
    conn.send(wire.bind(statement="named") + wire.execute() + wire.sync())
    conn.results()
    assert pw.wait_log(QUERY).endswith(": SELECT 'prepared' FROM pg_sleep(0.15)")


@pytest.mark.parametrize(
    "sql",
    [
        "ALTER ROLE nobody_at_all PASSWORD 'hunter2'",
        "alter role nobody_at_all encrypted /* x */ password 'hunter2'",
        "CREATE USER MAPPING FOR app SERVER nowhere OPTIONS (user 'x', passWORD 'hunter2')",
        "SELECT 'hunter2' AS " + "a" * 3000 + "password",
        "SELECT 'postgresql://app:hunter2@127.0.0.1/test'",
        "SELECT U&\"\\0070assword\" 'hunter2'",
    ],
)
def test_no_secret_in_a_text(start, sql):
    pw = start(settings={**SLOW, "log_slow_queries": "1us", "log_slow_transactions": "1us", "log_slow_texts": 1})
    conn = pw.connect()
    for send in (wire.query(sql), extended(sql)):
        conn.send(send)
        conn.results()
    pw.wait_log("slow transaction: .*not shown: it may hold a secret")
    assert not pw.logged("hunter2")


def test_a_text_is_cut_and_its_controls_are_shown_as_others(start):
    pw = start(settings={**SLOW, "log_slow_texts": 1})
    conn = pw.connect()
    conn.query("SELECT pg_sleep(0.15) /* \x1b[2J\r" + "\u20ac" * 100000 + " */")
    line = pw.wait_log(QUERY)
    assert "/* ?[2J?\u20ac" in line and line.endswith("\u20ac...")
    assert len(line.split(": SELECT", 1)[1].encode()) < 1100


def test_copy_is_one_query(start):
    pw = start(settings={**SLOW, "log_slow_texts": 1})
    conn = pw.connect()
    conn.query("CREATE TABLE slow_copy (x int)")
    conn.send(wire.query("COPY slow_copy FROM STDIN"))
    while conn.read().type != "G":
        pass
    assert conn.silent(0.2)
    conn.send(wire.copy_data(b"1\n") + wire.copy_done())
    conn.results()
    assert pw.wait_log(QUERY).endswith(": COPY slow_copy FROM STDIN")
    assert len(slow_lines(pw)) == 1


def test_a_storm_is_told_shortly(start):
    pw = start(settings={"pool_mode": "transaction", "log_slow_queries": "1us", "workers": 1})
    conn = pw.connect()
    for _ in range(1000):
        conn.query("SELECT 1")
    line = pw.wait_log(r"more slow queries and transactions", timeout=30)
    assert "test/app: 980 more slow queries and transactions in 10 seconds were not told one by one" in line
    assert len(slow_lines(pw)) == 20


def transactions(pw):
    return next(row for row in pw.show("TRANSACTIONS") if row["database"] == "test")


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_idle_in_transaction_is_seen(start, workers, mode):
    pw = start(settings={"pool_mode": mode, "workers": workers, "default_pool_size": 4})
    idle, failed, busy, free = [pw.connect() for _ in range(4)]
    free.query("SELECT 1")
    idle.query("BEGIN")
    failed.query("BEGIN")
    failed.send(wire.query("SELECT 1/0"))
    failed.results()
    busy.send(wire.query("SELECT pg_sleep(60)"))
    system.wait_for(lambda: transactions(pw)["open"] == "3", what="three open transactions")
    first = transactions(pw)
    assert first["idle"] == "2"
    system.wait_for(lambda: int(transactions(pw)["longest_idle_us"]) > 300000, what="one idles for a while")
    later = transactions(pw)
    assert int(later["longest_us"]) >= int(later["longest_idle_us"]) > int(first["longest_idle_us"])
    idle.query("COMMIT")
    failed.query("ROLLBACK")
    after = transactions(pw)
    assert (after["open"], after["idle"], after["longest_idle_us"]) == ("1", "0", "0")
    busy.close()


def test_idle_behind_a_flush_is_idle_in_transaction(start):
    pw = start(settings={"pool_mode": "transaction"})
    conn = pw.connect()
    conn.send(wire.parse("SELECT 1") + wire.bind() + wire.execute() + wire.flush())
    while conn.read().type != "C":
        pass
    assert transactions(pw)["idle"] == "1"
    conn.send(wire.sync())
    conn.results()
    assert transactions(pw)["open"] == "0"


def test_slow_ones_are_counted(start):
    pw = start(settings={**SLOW, "log_slow_transactions": "100ms", "workers": 3})
    conns = [pw.connect() for _ in range(3)]
    for conn in conns:
        conn.send(wire.query("SELECT pg_sleep(0.15)"))
    for conn in conns:
        conn.results()
        conn.query("SELECT 1")
    row = transactions(pw)
    assert (row["slow_queries"], row["slow_transactions"]) == ("3", "3")
