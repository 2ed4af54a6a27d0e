"""Not one answer to the wrong query: chaos (main.cpp) checks every row and reply; here it is run in many ways."""

import os
import re
import subprocess
import threading

import pytest

from harness import pgweir, system

CHAOS = os.path.join(os.path.dirname(os.environ["PGWEIR_BIN"]), "chaos")
SECONDS = int(os.environ.get("PGWEIR_CHAOS_SECONDS", "8"))


def front(pg, workers, **settings):
    return pgweir.Pgweir({"chaos": {"host": pg.host, "port": pg.port, "dbname": "postgres"}},
                         settings={"auth_type": "trust", "pool_mode": "transaction", "default_pool_size": 6,
                                   "max_prepared_statements": 8, "max_client_conn": 2000, "server_tls_sslmode": "disable",
                                   "workers": workers, **settings},
                         userlist={"chaos": "", "admin": ""})


def run_chaos(port, *args):
    done = subprocess.run([CHAOS, "--port", str(port), *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=SECONDS + 120)
    print(done.stdout)
    return done


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("kill", [False, True])
def test_no_wrong_answer(pg, workers, kill):
    pw = front(pg, workers)
    extra = ["--kill-servers", "--direct-port", str(pg.port)] if kill else []
    done = run_chaos(pw.port, "--seconds", str(SECONDS), "--clients", "32", "--seed", str(workers + 10 * kill), *extra)
    assert done.returncode == 0, done.stdout
    checked = re.search(r"(\d+) replies and (\d+) rows checked, 0 wrong, 0 stuck", done.stdout)
    assert checked and int(checked.group(2)) > 1000
    assert not [line for line in pw.log().splitlines() if "impossible state" in line]
    pw.stop()


def test_limit_holds_at_every_instant(pg):
    """8 workers, 500 clients: PostgreSQL itself never sees more connections than pool_size."""
    size = 10
    pw = front(pg, 8, default_pool_size=size)
    most, samples, stop = [0], [0], threading.Event()

    def sample():
        conn = pg.connect("postgres", "postgres")
        while not stop.is_set():
            now = int(conn.scalar("SELECT count(*) FROM pg_stat_activity WHERE usename = 'chaos'"))
            most[0], samples[0] = max(most[0], now), samples[0] + 1

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        done = run_chaos(pw.port, "--seconds", str(SECONDS), "--clients", "500", "--kill-servers", "--direct-port",
                         str(pg.port))
    finally:
        stop.set()
        sampler.join()
    assert done.returncode == 0, done.stdout
    assert samples[0] > 50 and 0 < most[0] <= size, (most, samples)
    pw.stop()
