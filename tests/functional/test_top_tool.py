"""pgweir-top as its user runs it: batch mode against what SHOW says, and its screen in tmux."""

import json
import os
import re
import shutil
import subprocess
import uuid

import pytest

from harness import pgweir, system, wire

pytestmark = pytest.mark.skipif(not pgweir.IS_PGWEIR, reason="a tool of pgweir")

PROGRAM = os.path.join(os.path.dirname(pgweir.BINARY), "pgweir-top")


def conninfo(pw, unix=False):
    return "host=%s port=%s user=admin" % (pw.directory if unix else pw.host, pw.port)


def run(*args, timeout=60):
    env = {**system.clean_environment(), **pgweir.SANITIZER_OPTIONS, "PGPASSWORD": "admin-secret"}
    done = subprocess.run([PROGRAM, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env,
                          timeout=timeout * pgweir.SLOW)
    assert not pgweir.REPORTS.search(done.stderr), done.stderr
    assert "admin-secret" not in done.stdout + done.stderr
    return done.returncode, done.stdout, done.stderr


class Screen:
    """pgweir-top in a tmux of its own."""

    def __init__(self, pw, columns=80, lines=24, options="", **environment):
        self.socket = "pgweir-top-" + uuid.uuid4().hex[:8]
        self.pw = pw
        env = {**system.clean_environment(), "PGPASSWORD": "admin-secret", "TERM": "xterm-256color", **environment}
        command = "%s -i 0.3 %s -d '%s'; echo ended with $?; exec cat" % (PROGRAM, options, conninfo(pw))
        subprocess.run(["tmux", "-L", self.socket, "-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y",
                        str(lines), command], check=True, env=env)

    def tmux(self, *args):
        return subprocess.run(["tmux", "-L", self.socket, *args], check=True, capture_output=True, text=True).stdout

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def text(self):
        return self.tmux("capture-pane", "-p")

    def coloured(self):
        """Whether any cell has a colour: a parameter 30 to 37, 38 or 90 to 97 of SGR."""
        return re.search(r"\x1b\[(?:\d+;)*(?:3[0-8]|9[0-7])[;m]", self.tmux("capture-pane", "-p", "-e")) is not None

    def wait(self, *words, gone=()):
        system.wait_for(lambda: (lambda t: all(w in t for w in words) and not any(w in t for w in gone))(self.text()),
                        20 * pgweir.SLOW, "screen with %r; it is\n%s" % (words, self.text()))
        return self.text()

    def end(self):
        subprocess.run(["tmux", "-L", self.socket, "kill-server"], check=False, capture_output=True)


@pytest.fixture
def screen():
    made = []

    def open_one(*args, **kwargs):
        made.append(Screen(*args, **kwargs))
        return made[-1]

    yield open_one
    for one in made:
        one.end()


@pytest.mark.parametrize("unix", [False, True])
def test_batch_says_what_show_says(start, unix):
    pw = start(settings={"default_pool_size": 2})
    holders = [pw.connect() for _ in range(2)]
    for one in holders:
        one.query("BEGIN")
    waiter = pw.connect()
    waiter.send_query("SELECT 1") if hasattr(waiter, "send_query") else waiter.send(b"Q\0\0\0\rSELECT 1\0")
    pw.wait_pool(cl_waiting=1)
    _, out, err = run("--json", "-n", "1", "-d", conninfo(pw, unix))
    assert not err
    told = json.loads(out)
    pool = told["pools"][0]
    shown = pw.pool()
    assert (pool["database"], pool["user"], pool["pool_size"]) == ("test", "app", 2)
    assert (pool["servers_active"], pool["waiting"]) == (shown["sv_active"], shown["cl_waiting"]) == (2, 1)
    assert pool["why"] == "pool full"
    assert told["databases"][0]["reached"] == "yes"
    _, out, _ = run("-b", "-n", "1", "-d", conninfo(pw, unix))
    assert "test/app" in out and "pool full" in out and "\x1b" not in out


def test_no_console_is_exit_3_and_nonsense_is_2(start):
    code, _, err = run("-b", "-n", "1", "-d", "host=127.0.0.1 port=%d user=admin" % system.free_port())
    assert code == 3 and "refused" in err
    assert run("-b", "--no-such-option")[0] == 2
    code, _, err = run("-b", "-d", "host=x password=hunter2")
    assert code == 2 and "hunter2" not in err


def test_the_screen(start, screen):
    assert shutil.which("tmux"), "tmux is not installed"
    pw = start()
    client = pw.connect(application_name="till")
    client.query("SELECT 1")
    top = screen(pw)
    top.wait("test/app", "all is well")
    top.keys("Enter")
    top.wait("Pool test/app", "till", "CLIENT")
    top.keys("/", "nobody", "Enter")
    top.wait("none fits the filter")
    top.keys("Escape")
    top.wait("POOL", "test/app")
    top.keys("P")
    top.wait('PAUSE test')
    top.keys("n")
    top.wait("not done")
    assert [r["paused"] for r in pw.show("DATABASES") if r["name"] == "test"] == ["0"]
    top.keys("P")
    top.wait('PAUSE test')
    top.keys("y")
    top.wait("paused")
    system.wait_for(lambda: [r["paused"] for r in pw.show("DATABASES") if r["name"] == "test"] == ["1"], 20, "paused")
    top.keys("R")
    top.wait("RESUME test")
    top.keys("y")
    top.wait("all is well")
    top.keys("q")
    top.wait("ended with 0", gone=("POOL",))


def test_postgres_goes_and_comes(start, make_pg, screen):
    pg = make_pg()
    pw = start(databases={"test": {"host": pg.host, "port": pg.port, "dbname": "postgres"}})
    pw.connect(user="postgres").query("SELECT 1")
    top = screen(pw, columns=120, lines=40)
    top.wait("test/postgres", "up")
    pg.stop()
    top.wait("PostgreSQL is not reached", "DOWN", "refused")
    pg.start()
    top.wait("all is well")


def test_kill_and_reconnect_ask_first(start, screen):
    pw = start()
    victim, other = pw.connect(application_name="victim"), pw.connect(application_name="other")
    pid = other.scalar("SELECT pg_backend_pid()")
    top = screen(pw)
    top.wait("test/app")
    top.keys("C")
    top.wait("RECONNECT test", "replaced")
    top.keys("y")
    system.wait_for(lambda: other.scalar("SELECT pg_backend_pid()") != pid, 20, "another server")
    top.keys("Enter")
    top.wait("Pool test/app", "victim", "other")
    top.keys("/", "victim", "Enter")
    top.wait("victim", gone=("other",))
    top.keys("K")
    top.wait("KILL_CLIENT ", "that client is closed")
    top.keys("n")
    top.wait("not done")
    assert victim.scalar("SELECT 1") == "1"
    top.keys("K")
    top.wait("that client is closed")
    top.keys("y")
    victim.expect_fatal("admin forced disconnect")
    assert other.scalar("SELECT 1") == "1"
    top.keys("Escape", "Escape")
    top.wait("POOL", "test/app")
    top.keys("K")
    top.wait("KILL test", "all of its clients")
    top.keys("y")
    other.expect_fatal("database removed")


def test_an_exhausted_pool_and_an_idle_transaction(start, screen):
    pw = start(settings={"default_pool_size": 1, "pool_mode": "transaction"})
    limits = os.path.join(pw.directory, "top.conf")
    system.write_file(limits, "[thresholds]\nidle_transaction_seconds = 0.2 600\nwait_seconds = 0.1 600\nwaiting_clients = off\npool_percent = off\n")
    holder, waiter = pw.connect(application_name="holder"), pw.connect()
    holder.query("BEGIN")
    waiter.send(wire.query("SELECT 1"))
    top = screen(pw, columns=100, options="-c " + limits)
    top.wait("1 transaction is idle, the longest", "1 client waits, the longest", "pool full")
    top.keys("Enter")
    top.wait("Idle in transaction 1 of 1 open", "holder")
    code, out, _ = run("--json", "-n", "1", "-c", limits, "-d", conninfo(pw))
    pool = json.loads(out)["pools"][0]
    assert code == 0, "yellow is no failure"
    assert (pool["transactions_open"], pool["transactions_idle"], pool["level"]) == (1, 1, "yellow")
    assert pool["longest_idle_transaction_us"] > 200000
    system.write_file(limits, "[thresholds]\nidle_transaction_seconds = 0.1 0.2\n")
    code, out, _ = run("-b", "-n", "1", "-c", limits, "-d", conninfo(pw))
    assert code == 1 and "transaction is idle" in out, "red is one"
    holder.query("COMMIT")
    waiter.results()
    top.wait("Pool test/app", gone=("Idle in transaction",))


@pytest.mark.parametrize("setting", ["", "1"])
def test_no_color(start, screen, setting):
    pw = start(databases={"test": {}, "off": {}})
    pw.admin("PAUSE off")
    top = screen(pw, NO_COLOR=setting)
    top.wait("off: paused")
    assert top.coloured() == (setting == "")


@pytest.fixture
def three(start):
    """Pools that every order puts differently: one has many clients and servers, two many who wait, three who waits longest."""
    pw = start(databases={"one": {"pool_size": 3}, "two": {"pool_size": 2}, "three": {"pool_size": 1}},
               settings={"pool_mode": "transaction"})
    kept = []

    def fill(name, servers, idle, waiting):
        conns = [pw.connect(database=name) for _ in range(servers + idle + waiting)]
        for conn in conns[:servers]:
            conn.query("BEGIN")
        for conn in conns[servers + idle :]:
            conn.send(wire.query("SELECT 1"))
        pw.wait_pool(database=name, cl_waiting=waiting)
        kept.append(conns)

    fill("three", 1, 0, 1)
    system.wait_for(lambda: longest(pw, "three") > 600000, what="a wait that is longer than any to come")
    fill("two", 2, 0, 3)
    fill("one", 3, 4, 0)
    return pw


def longest(pw, database):
    row = pw.pool(database)
    return int(row["maxwait"]) * 1000000 + int(row["maxwait_us"])


ORDERS = {"name": ["one", "three", "two"], "servers": ["one", "two", "three"], "clients": ["one", "two", "three"],
          "waiting": ["two", "three", "one"], "longest": ["three", "two", "one"], "worst": ["three", "two", "one"]}


def rows_of(text):
    return re.findall(r"^\W*(one|two|three)/app", text, re.MULTILINE)


def test_orders_of_the_rows(three):
    limits = os.path.join(three.directory, "top.conf")
    system.write_file(limits, "[thresholds]\nwait_seconds = 0.5 600\nwaiting_clients = 3 100\npool_percent = off\n")
    common = ("-n", "1", "-d", conninfo(three))
    # Two yellow ones, of which the longer wait is the worse one above a second.
    system.wait_for(lambda: longest(three, "three") > 1000000, what="a wait of more than a second")
    for by, wanted in ORDERS.items():
        out = run("-b", "-s", by, "-c", limits, *common)[1]
        assert rows_of(out.split("POOL  ", 1)[1]) == wanted, (by, out)
        told = json.loads(run("--json", "-s", by, "-c", limits, *common)[1])
        assert [pool["database"] for pool in told["pools"]] == wanted, by
    assert rows_of(run("-b", "-f", "two", *common)[1].split("POOL  ", 1)[1]) == ["two"]
    told = json.loads(run("--json", "-f", "two/", *common)[1])
    assert [pool["database"] for pool in told["pools"]] == ["two"]
    assert {"one", "two", "three"} <= {database["database"] for database in told["databases"]}
    assert run("-b", "-s", "colour")[0] == 2


def test_the_worst_comes_first(three):
    """Red before yellow before green, whatever the names and the waits are."""
    limits = os.path.join(three.directory, "top.conf")
    system.write_file(limits, "[thresholds]\nwait_seconds = off\nwaiting_clients = 1 3\npool_percent = off\n")
    code, out, _ = run("--json", "-n", "1", "-c", limits, "-d", conninfo(three))
    told = json.loads(out)
    assert [(pool["database"], pool["level"]) for pool in told["pools"]] == [("two", "red"), ("three", "yellow"), ("one", "green")]
    assert code == 1 and told["health"][0]["level"] == told["level"] == "red"


def test_keys_for_the_order(three, screen):
    top = screen(three, columns=120, lines=40, options="-s name")

    def shows(wanted, word):
        system.wait_for(lambda: word in top.text() and rows_of(top.text().split("POOL  ", 1)[-1])[:3] == wanted, 20 * pgweir.SLOW,
                        "the order %s: %s; it is\n%s" % (word, wanted, top.text()))

    shows(ORDERS["name"], "POOL")
    top.keys("r")
    shows(ORDERS["name"][::-1], "POOL")
    top.keys("r")
    shows(ORDERS["name"], "POOL")
    for by in ("servers", "clients", "waiting", "longest"):
        top.keys("s")
        shows(ORDERS[by], "pools by " + by)
    top.keys("s")
    top.wait("pools by worst")
    top.keys("s")
    shows(ORDERS["name"], "pools by name")
    top.keys("Home", "Enter")
    top.wait("Pool one/app")
    for by in ("wait", "address", "application", "id", "state"):
        top.keys("s")
        top.wait("clients by " + by)


def test_a_console_that_lets_nobody_in(start, screen):
    pw = start(settings={"auth_type": "scram-sha-256"})
    code, _, err = run("-b", "-n", "1", "-d", conninfo(start()).replace("admin", "app"))
    assert code == 3 and "not allowed" in err, "a user without console rights"
    top = screen(pw, PGPASSWORD="hunter2")
    top.wait("authentication failed")
    assert "hunter2" not in top.text()
    top.keys("q")
    top.wait("ended with ")


KINDS = {"query", "transaction", "wait", "connect", "login"}


def test_times_traffic_and_workers(start, screen):
    pw = start(settings={"workers": 2, "pool_mode": "transaction", "default_pool_size": 1, "stats_period": 1})
    conns = [pw.connect() for _ in range(4)]
    for conn in conns:
        conn.send(wire.query("SELECT pg_sleep(0.02)"))
    for conn in conns:
        conn.results()
    shown = {row["kind"]: row for row in pw.show("LATENCIES") if row["database"] == "test"}
    assert set(shown) == KINDS
    told = json.loads(run("--json", "-n", "1", "-d", conninfo(pw))[1])
    pool = next(pool for pool in told["pools"] if pool["database"] == "test")
    found = {one["kind"]: one for one in pool["latencies"]}
    assert set(found) == KINDS
    for kind in KINDS:
        for name in ("count", "mean_us", "p50_us", "p90_us", "p99_us", "p999_us", "max_us"):
            assert found[kind][name] == int(shown[kind][name]), (kind, name)
    assert [int(worker["worker"]) for worker in told["workers"]] == [0, 1]
    assert sum(worker["clients"] for worker in told["workers"]) >= 4
    # With two looks the rates are those of between them.
    asked = subprocess.Popen([PROGRAM, "--json", "-n", "2", "-i", "1.5", "-d", conninfo(pw)], stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, text=True, env={**system.clean_environment(), "PGPASSWORD": "admin-secret"})
    assert json.loads(asked.stdout.readline())["rates"] == "averages"
    for _ in range(30):
        conns[0].query("SELECT repeat('x', 1000)")
    last = json.loads(asked.communicate(timeout=60)[0])
    assert last["rates"] == "measured"
    assert 0 < sum(worker["cpu_percent"] for worker in last["workers"]) < 220
    test = next(one for one in last["databases"] if one["database"] == "test")
    for rates in (test, last["total"]):
        assert rates["queries_per_second"] > 1 and rates["transactions_per_second"] > 1
        assert rates["sent_bytes_per_second"] > 1000 * rates["queries_per_second"] > rates["received_bytes_per_second"] > 0
    assert test["mean_query_us"] > 0 and test["mean_transaction_us"] > 0
    # On the smallest screen: the pool's times, the workers, the databases.
    top = screen(pw)
    top.wait("test/app")
    top.keys("Enter")
    shown = top.wait("Pool test/app", "P99.9", *KINDS)
    assert re.search(r"(?m)^\W*query +34 ", shown), shown
    top.keys("Escape", "w")
    top.wait("WORKER LOAD", "QUERY/S")
    top.keys("d")
    top.wait("DATABASE", "test")


def test_the_log_of_problems(start, screen):
    """What was wrong and is over, with its end, the newest first; what it hides from the small screen has a page of its own."""
    pw = start(settings={"default_pool_size": 1, "pool_mode": "transaction"})
    limits = os.path.join(pw.directory, "top.conf")
    system.write_file(limits, "[thresholds]\nwait_seconds = 0.1 600\nwaiting_clients = off\npool_percent = off\n")
    holder, waiter = pw.connect(), pw.connect()
    top = screen(pw, options="-c " + limits)
    top.wait("test/app", "all is well")
    holder.query("BEGIN")
    waiter.send(wire.query("SELECT 1"))
    top.wait("1 client waits, the longest")
    holder.query("COMMIT")
    waiter.results()
    top.wait("all is well")
    top.keys("l")
    text = top.wait("1 client waits, the longest")
    lines = [line for line in text.splitlines() if re.search(r"\d\d:\d\d:\d\d.*test/app", line)]
    assert len(lines) == 2 and "1 client waits" in lines[1], "its end above its beginning:\n" + text


def test_exit_statuses_of_what_cannot_be(start):
    pw = start()
    code, _, err = run("-b", "-n", "1", "-d", "%s dbname=test password_file=x" % conninfo(pw))
    assert code == 2 and err, "no such word in a connection string"
    code, _, err = run("-b", "-n", "1", "-d", pw.url().rsplit(" password=", 1)[0].replace("user=app", "user=admin"))
    assert code in (3, 4) and err, "a database and no console"
    with open("/dev/full", "w") as full:
        done = subprocess.run([PROGRAM, "-b", "-n", "1", "-d", conninfo(pw)], stdin=subprocess.DEVNULL, stdout=full,
                              stderr=subprocess.PIPE, text=True, env={**system.clean_environment(), "PGPASSWORD": "admin-secret"})
    assert done.returncode == 5 and "No space left on device" in done.stderr


def test_the_manual_and_the_sample_have_everything():
    with open(os.path.join(system.ROOT, "man/pgweir-top.1")) as text:
        manual = re.sub(r"\\f[A-Z]", "", text.read().replace("\\-", "-"))
    with open(os.path.join(system.ROOT, "etc/top.conf")) as text:
        limits = re.findall(r"(?m)^;?(\w+) = ", text.read())
    assert len(limits) >= 9
    code, told, _ = run("--help")
    assert code == 0 and run("--version")[0] == 0
    options = re.findall(r"--([a-z-]+)", told.split("\nExit status")[0])
    assert len(options) >= 12
    for word in ["--" + option for option in options] + limits:
        assert re.search(r"(?<![\w-])%s(?![\w-])" % word, manual), word
    for status, what in re.findall(r"(\d) ([^;:(]*)", told.split("Exit status:")[1]):
        assert re.search(r"(?m)^\.B %s$|^%s\b" % (status, status), manual), (status, what)
