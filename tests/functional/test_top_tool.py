"""pgweir-top as its user runs it: batch mode against what SHOW says, and its screen in tmux."""

import json
import os
import shutil
import subprocess
import uuid

import pytest

from harness import pgweir, system

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

    def __init__(self, pw, columns=80, lines=24):
        self.socket = "pgweir-top-" + uuid.uuid4().hex[:8]
        self.pw = pw
        env = {**system.clean_environment(), "PGPASSWORD": "admin-secret", "TERM": "xterm-256color"}
        command = "%s -i 0.3 -d '%s'; echo ended with $?; exec sleep 600" % (PROGRAM, conninfo(pw))
        subprocess.run(["tmux", "-L", self.socket, "-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y",
                        str(lines), command], check=True, env=env)

    def tmux(self, *args):
        return subprocess.run(["tmux", "-L", self.socket, *args], check=True, capture_output=True, text=True).stdout

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def text(self):
        return self.tmux("capture-pane", "-p")

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
