"""Not one answer to the wrong query: chaos (main.cpp) checks every row and reply; here it is run in many ways.

PGWEIR_CHAOS_SECONDS: how long each run takes (default 8). PGWEIR_CHAOS_SEED: another seed than 1.
PGWEIR_CHAOS_COUNTS: a file to which the line of counts of each run is added.
"""

import os
import re
import subprocess
import threading

import pytest

from harness import pgweir, system

CHAOS = os.path.join(os.path.dirname(os.environ["PGWEIR_BIN"]), "chaos")
SECONDS = int(os.environ.get("PGWEIR_CHAOS_SECONDS", "8"))
SEED = int(os.environ.get("PGWEIR_CHAOS_SEED", "1"))
MODES = {"chaos": "transaction", "chaos_session": "session", "chaos_statement": "statement"}


def front(port, workers, **settings):
    """A pgweir whose databases, one a pool mode, lie behind that port."""
    return pgweir.Pgweir({name: {"host": "127.0.0.1", "port": port, "dbname": "postgres", "pool_mode": mode}
                          for name, mode in MODES.items()},
                         settings={"auth_type": "trust", "default_pool_size": 6, "max_prepared_statements": 8,
                                   "max_client_conn": 2000, "log_connections": 0, "server_tls_sslmode": "disable", "server_login_retry": 1,
                                   "workers": workers, **settings},
                         userlist={"chaos": "", "admin": ""})


def run_chaos(port, name, *args, seconds=SECONDS):
    done = subprocess.run([CHAOS, "--port", str(port), "--seconds", str(seconds), *args], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=seconds * 1.2 + 150)
    print(done.stdout)
    if os.environ.get("PGWEIR_CHAOS_COUNTS"):
        with open(os.environ["PGWEIR_CHAOS_COUNTS"], "a") as out:
            out.write("%s: %s" % (name, done.stdout[-2000:]))
    return done


def check(pw, done):
    assert done.returncode == 0, done.stdout[-4000:] + "\n" + pw.log()
    counts = {what: int(count) for count, what in re.findall(r"(\d+) ([a-z]+)", done.stdout)}
    assert not pw.logged("impossible state"), pw.logged("impossible state")
    return counts


STORM = ["--modes", "ttsx", "--timeouts", "--console", "--kill-servers", "--clients", "32"]
TIMEOUTS = {"query_timeout": 2, "idle_transaction_timeout": 1, "query_wait_timeout": 4}


# Small messages in batches (where the kernel has io_uring) and one by one must mean the same.
@pytest.mark.parametrize("sends", ["batched", "plain"])
@pytest.mark.parametrize("workers", [1, 4])
def test_quiet_network(pg, workers, sends):
    """No kills, no bad network: nothing may go wrong but what clients bring about themselves."""
    pw = front(pg.port, workers, batched_sends=int(sends == "batched"))
    done = run_chaos(pw.port, "quiet, workers=%d, %s sends" % (workers, sends), "--clients", "32", "--modes", "ttsx", "--seed", str(SEED))
    counts = check(pw, done)
    assert counts["rows"] > 1000 and counts["replies"] > 1000
    assert not pw.logged("closing because: (server conn crashed|server answered)")
    pw.stop()


@pytest.mark.parametrize("sends", ["batched", "plain"])
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("network", ["cut", "corrupt"])
def test_storm(pg, workers, network, sends):
    """Kills, timeouts, cancels, a busy console, and a proxy in between that slices, delays and cuts; `corrupt`: it also
    breaks the protocol of servers, and pgweir must notice each time."""
    port = system.free_port()
    pw = front(port, workers, batched_sends=int(sends == "batched"), **TIMEOUTS)
    more = ["--corrupt"] if network == "corrupt" else []
    done = run_chaos(pw.port, "%s, workers=%d, %s sends" % (network, workers, sends), *STORM, *more, "--seed", str(SEED), "--proxy-port",
                     str(port), "--direct-port", str(pg.port))
    counts = check(pw, done)
    assert counts["rows"] > 500 and counts["replies"] > 1000 and counts["slices"] > 100
    assert counts["cut"] > 0 and counts["killed"] > 0 and counts["vanished"] > 0 and counts["hit"] > 0
    if network == "corrupt":
        assert counts["corrupted"] > 0 and counts["unnoticed"] == 0
    else:
        strange = pw.logged("nothing it was asked explains|not linked|unknown pkt|bad pkt header")
        assert not [line for line in strange if "administrator command" not in line]
    pw.stop()


def test_limit_holds_at_every_instant(pg):
    """8 workers, 500 clients: PostgreSQL itself never sees more connections than pool_size."""
    size = 10
    pw = front(pg.port, 8, default_pool_size=size)
    most, samples, stop = [0], [0], threading.Event()

    def sample():
        conn = pg.connect("postgres", "postgres")
        while not stop.is_set():
            now = int(conn.scalar("SELECT count(*) FROM pg_stat_activity WHERE usename = 'chaos'"))
            most[0], samples[0] = max(most[0], now), samples[0] + 1

    sampler = threading.Thread(target=sample)
    try:
        # The harness's own connection, which makes its table, is over before the sampling begins.
        assert run_chaos(pw.port, "set-up", "--clients", "1", "--direct-port", str(pg.port), seconds=1).returncode == 0
        sampler.start()
        done = run_chaos(pw.port, "limit, workers=8", "--clients", "500", "--kill-servers", "--direct-port",
                         str(pg.port), "--seed", str(SEED), "--no-setup")
    finally:
        stop.set()
        sampler.join()
    check(pw, done)
    print("limit %d, most seen %d in %d samples" % (size, most[0], samples[0]))
    assert samples[0] > 50 and 0 < most[0] <= size, (most, samples)
    pw.stop()
