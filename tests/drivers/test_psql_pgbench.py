"""psql and pgbench in all of its query modes."""

import re
import subprocess

import pytest

from conftest import run, system


def psql(env, *args, **kwargs):
    return run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *args], env, **kwargs)


def test_psql_script(env, tmp_path):
    script = tmp_path / "work.sql"
    script.write_text("""
CREATE TABLE work(id int PRIMARY KEY, what text);
BEGIN;
INSERT INTO work SELECT i, 'row ' || i FROM generate_series(1, 1000) i;
SAVEPOINT a;
DELETE FROM work;
ROLLBACK TO a;
COMMIT;
\\copy work TO '%(copy)s'
TRUNCATE work;
\\copy work FROM '%(copy)s'
SELECT count(*), min(what), max(id) FROM work;
""" % {"copy": tmp_path / "copy.txt"})
    assert psql(env, "-f", str(script)).stdout == "1000|row 1|1000\n"


def test_psql_meta_commands(env):
    psql(env, "-c", "CREATE TABLE t(a int, b text)")
    assert "public|t|table" in psql(env, "-c", "\\d").stdout
    assert "a|integer" in psql(env, "-c", "\\d t").stdout
    assert psql(env, "-c", "\\l").stdout and psql(env, "-c", "\\du").stdout and psql(env, "-c", "\\df pg_sleep").stdout


def test_psql_errors_and_notices(env):
    done = psql(env, "-c", "SELECT 1/0", check=False)
    assert done.returncode == 1 and "division by zero" in done.stderr
    assert "NOTICE:  hello" in psql(env, "-c", "DO $$ BEGIN RAISE NOTICE 'hello'; END $$").stderr


def test_psql_big_result(env):
    assert len(psql(env, "-c", "SELECT repeat('x', 5000000)").stdout) == 5000001


def test_psql_cancel(pw, env):
    """^C in psql."""
    import signal

    process = subprocess.Popen(["psql", "-X", "-c", "SELECT 'begun'", "-c", "SELECT pg_sleep(60)"], env=env, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    system.wait_for(lambda: [b for b in pw.server.backends(pw.backend_database) if "pg_sleep" in (b["query"] or "")
                             and b["state"] == "active"], what="the query to run")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert "canceling statement due to user request" in errors


def test_psql_on_the_console(pw, env):
    from harness.pgweir import CONSOLE

    text = run(["psql", "-X", "-A", "-t", "-c", "SHOW POOLS"], {**env, "PGDATABASE": CONSOLE, "PGUSER": "admin",
                                                               "PGPASSWORD": "admin-secret"}).stdout
    assert "pgbouncer|pgbouncer|" in text  # the console's own row keeps the name that monitors know


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_pgbench(pw, env, mode):
    run(["pgbench", "-i", "-s", "1", "-q"], env)
    # A thread for each client: pgbench prepares with a blocking call, in which a thread's other clients would keep the
    # servers that it waits for.
    done = run(["pgbench", "-n", "-M", mode, "-c", "12", "-j", "12", "-t", "100"], env)
    assert "number of transactions actually processed: 1200/1200" in done.stdout
    assert re.search(r"number of failed transactions: 0 ", done.stdout)
    total = psql(env, "-c", "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = (SELECT sum(delta) FROM pgbench_history), "
                            "(SELECT count(*) FROM pgbench_history)").stdout
    assert total == "t|1200\n"


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_pgbench_select_only_with_reconnects(pw, env, mode):
    run(["pgbench", "-i", "-s", "1", "-q"], env)
    done = run(["pgbench", "-n", "-S", "-C", "-M", mode, "-c", "4", "-j", "2", "-t", "25"], env)
    assert "number of transactions actually processed: 100/100" in done.stdout


def test_pgbench_pipeline(pw, env, tmp_path):
    script = tmp_path / "pipe.sql"
    script.write_text("\\startpipeline\nSELECT 1;\nSELECT 2;\nSELECT 3;\n\\endpipeline\n")
    for mode in ("extended", "prepared"):
        done = run(["pgbench", "-n", "-M", mode, "-c", "8", "-j", "2", "-t", "100", "-f", str(script)], env)
        assert "number of transactions actually processed: 800/800" in done.stdout
