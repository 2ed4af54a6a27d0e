"""A client that says goodbye (Terminate) right behind its work: PostgreSQL reads that only when it has done what came
before, so the work is done to its end here, too. Who merely breaks off is cancelled (test_vanish.py)."""

import pytest

from harness import system, wire

LOCK = 4711
INSERT = f"INSERT INTO v SELECT 1 FROM pg_advisory_lock({LOCK})"


class Bench:
    """A statement that waits for `gate`, so that it is known to run when its client leaves."""

    def __init__(self, pw, pg, db):
        self.pw, self.pg, self.db = pw, pg, db
        self.gate = pg.connect(database=db)
        self.gate.query("CREATE TABLE v(i int); GRANT ALL ON v TO public")
        self.gate.query(f"SELECT pg_advisory_lock({LOCK})")

    def wait_running(self):
        system.wait_for(lambda: self.gate.scalar("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
                        == "1", 10, "the statement")

    def open_gate(self):
        self.gate.query(f"SELECT pg_advisory_unlock({LOCK})")

    def rows(self):
        return self.gate.scalar("SELECT count(*) FROM v")

    def wait_rows(self, count):
        system.wait_for(lambda: self.rows() == count, 10, f"{count} rows")


@pytest.fixture(params=[("transaction", 1), ("transaction", 3), ("session", 1), ("session", 3)],
                ids=lambda p: f"{p[0]}-{p[1]}")
def bench(request, start, pg, db):
    mode, workers = request.param
    pw = start(settings={"default_pool_size": 1, "pool_mode": mode, "workers": workers, "client_cleanup_timeout": 60})
    return Bench(pw, pg, db)


def batch(sql):
    return wire.parse(sql) + wire.bind() + wire.execute()


WORK = {"simple": wire.query(INSERT), "extended": batch(INSERT) + wire.sync(),
        "pipeline": batch("SELECT 1") + wire.sync() + batch(INSERT) + wire.sync(),
        "behind_it_an_open_batch": wire.query(INSERT) + batch("INSERT INTO v VALUES (2)")}


@pytest.mark.parametrize("at_once", [True, False], ids=["at_once", "later"])
@pytest.mark.parametrize("work", list(WORK))
def test_what_runs_is_committed(bench, work, at_once):
    conn = bench.pw.connect()
    backend = conn.scalar("SELECT pg_backend_pid()")
    if at_once:
        conn.send(WORK[work] + wire.terminate())
        conn.close()
        bench.wait_running()
    else:
        conn.send(WORK[work])
        bench.wait_running()
        conn.terminate()
    bench.pw.wait_pool(cl_active=0)
    bench.open_gate()
    assert bench.pw.connect().scalar("SELECT pg_backend_pid()") == backend, "the server was thrown away"
    assert bench.rows() == "1"


def test_a_commit_is_done_and_what_is_open_rolled_back(bench):
    conn = bench.pw.connect()
    conn.query("BEGIN")
    conn.send(wire.query(INSERT) + wire.query("COMMIT") + wire.query("BEGIN; INSERT INTO v VALUES (2)") + wire.terminate())
    conn.close()
    bench.wait_running()
    bench.open_gate()
    assert bench.pw.connect().scalar("SELECT count(*) FROM v") == "1"


@pytest.mark.parametrize("timeout", [0, 0.5])
def test_beyond_the_budget_postgresql_is_left_to_finish(start, pg, db, timeout):
    """The server is closed, as PgBouncer does at once, and not cancelled."""
    bench = Bench(start(settings={"default_pool_size": 1, "client_cleanup_timeout": timeout}), pg, db)
    conn = bench.pw.connect()
    conn.send(wire.query(INSERT) + wire.terminate())
    conn.close()
    bench.wait_running()
    assert bench.pw.connect().scalar("SELECT 1") == "1", "the next client gets another server"
    assert bench.rows() == "0"
    bench.open_gate()
    bench.wait_rows("1")


def test_who_breaks_off_is_cancelled(bench):
    conn = bench.pw.connect()
    conn.send(wire.query(INSERT))
    bench.wait_running()
    conn.abort()
    assert bench.pw.connect().scalar("SELECT count(*) FROM v") == "0"
    bench.open_gate()
    assert bench.rows() == "0"
