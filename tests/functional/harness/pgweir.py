"""pgweir under test: writes its files from Python values, starts it, watches its log, talks to its console.

PGWEIR_BIN names the program (default: build/debug/bin/pgweir); Debian's pgbouncer can stand in for it.
PGWEIR_WORKERS sets `workers`, PGWEIR_BATCHED_SENDS `batched_sends`, wherever a test does not set it itself (pgweir only).
At the end of each test the process must still live, end with status 0 when told to, and have written no report of a
sanitizer.
"""

import os
import re
import shutil
import signal
import subprocess
import threading
import time

from . import postgres, system, wire

BINARY = os.environ.get("PGWEIR_BIN") or os.path.join(system.ROOT, "build", "debug", "bin", "pgweir")
IS_PGWEIR = "pgbouncer" not in os.path.basename(BINARY)
SECTION = "pgweir" if IS_PGWEIR else "pgbouncer"
CONSOLE = SECTION

# A sanitizer makes everything slower; deadlines in the harness grow with it.
SLOW = float(os.environ.get("PGWEIR_SLOW", "1"))

REPORTS = re.compile(r"AddressSanitizer|ThreadSanitizer|LeakSanitizer|UndefinedBehaviorSanitizer|runtime error: |"
                     r"Assertion .* failed|terminate called|impossible state")

SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "abort_on_error=0:detect_stack_use_after_return=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=0:second_deadlock_stack=1",
}

_runnable = None


def runnable_binary():
    """The program's path, copied to where the unprivileged account can execute it if it cannot do so in place."""
    global _runnable
    if _runnable is None:
        check = subprocess.run(["test", "-x", BINARY], cwd="/", **system.popen_identity())
        if check.returncode == 0:
            _runnable = BINARY
        elif not os.path.exists(BINARY):
            raise RuntimeError("%s does not exist: build it or set PGWEIR_BIN" % BINARY)
        else:
            _runnable = os.path.join(system.make_directory("bin"), os.path.basename(BINARY))
            shutil.copy(BINARY, _runnable)
            os.chmod(_runnable, 0o755)
    return _runnable


def quote(value):
    """A value of a connection string: quoted when it must be."""
    text = str(value)
    return "'%s'" % text.replace("'", "''") if not text or re.search(r"[\s']", text) else text


def pairs(entry):
    return entry if isinstance(entry, str) else " ".join("%s=%s" % (k, quote(v)) for k, v in entry.items())


def key(name):
    return name if re.fullmatch(r"[A-Za-z0-9_.*-]+", name) else "'%s'" % name


def userlist_text(entries):
    double = lambda text: '"%s"' % text.replace('"', '""')
    return "".join("%s %s\n" % (double(user), double(secret)) for user, secret in entries.items())


class Pgweir:
    """One process. `settings`, `databases`, `users`, `peers` are the ini's sections; change them and call
    write_config() and reload()."""

    USERLIST = {"postgres": "", "admin": "admin-secret", "stats": "stats-secret", **postgres.PASSWORDS}

    def __init__(self, databases=None, settings=None, users=None, userlist=None, hba=None, ident=None, peers=None,
                 args=(), start=True, environment=None, expect_status=0, through=(), as_root=False, program=None):
        self.program = program  # another pooler than the one under test
        self.is_pgweir = IS_PGWEIR if program is None else "pgbouncer" not in os.path.basename(program)
        self.directory = system.make_directory("pw")
        self.host = "127.0.0.1"
        self.port = system.free_port()
        self.ini_path = os.path.join(self.directory, "pgweir.ini")
        self.userlist_path = os.path.join(self.directory, "userlist.txt")
        self.hba_path = os.path.join(self.directory, "hba.conf")
        self.ident_path = os.path.join(self.directory, "ident.conf")
        self.databases = dict(databases or {})
        self.users = dict(users or {})
        self.peers = dict(peers or {})
        self.userlist = dict(self.USERLIST if userlist is None else userlist)
        self.hba = hba
        self.ident = ident
        self.args = list(args)
        self.environment = environment or {}
        self.through = list(through)  # a program that starts the daemon: prlimit and its options
        self.expect_status = expect_status
        self.as_root = as_root  # it has to become somebody else itself
        self.settings = {"listen_addr": "127.0.0.1", "listen_port": self.port, "unix_socket_dir": self.directory,
                         "auth_type": "trust", "auth_file": self.userlist_path, "pool_mode": "transaction",
                         "admin_users": "admin", "stats_users": "stats"}
        if hba is not None:
            self.settings.update(auth_type="hba", auth_hba_file=self.hba_path)
        if ident is not None:
            self.settings.update(auth_ident_file=self.ident_path)
        if self.is_pgweir and os.environ.get("PGWEIR_WORKERS"):
            self.settings["workers"] = os.environ["PGWEIR_WORKERS"]
        if self.is_pgweir and os.environ.get("PGWEIR_BATCHED_SENDS"):
            self.settings["batched_sends"] = os.environ["PGWEIR_BATCHED_SENDS"]
        self.settings.update(settings or {})
        self.lines = []
        self._changed = threading.Condition()
        self._opened = []
        self.process = None
        self.write_config()
        if start:
            self.start()

    # Files.

    def ini_text(self):
        text = ["[databases]"] + ["%s = %s" % (key(k), pairs(v)) for k, v in self.databases.items()]
        if self.users:
            text += ["[users]"] + ["%s = %s" % (key(k), pairs(v)) for k, v in self.users.items()]
        if self.peers:
            text += ["[peers]"] + ["%s = %s" % (k, pairs(v)) for k, v in self.peers.items()]
        text += ["[%s]" % (SECTION if self.program is None else "pgbouncer")]
        text += ["%s = %s" % item for item in self.settings.items() if item[1] is not None]
        return "\n".join(text) + "\n"

    def write_config(self, **settings):
        """Applies `settings` and writes every file anew (no reload)."""
        self.settings.update(settings)
        system.write_file(self.ini_path, self.ini_text())
        system.write_file(self.userlist_path, userlist_text(self.userlist))
        if self.hba is not None:
            system.write_file(self.hba_path, self.hba)
        if self.ident is not None:
            system.write_file(self.ident_path, self.ident)

    # Process.

    def start(self, wait=True):
        env = system.clean_environment()
        env.update(SANITIZER_OPTIONS)
        env.update(self.environment)
        self.process = subprocess.Popen([*self.through, self.program or runnable_binary(), *self.args, self.ini_path],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, cwd="/", env=env,
                                        **({} if self.as_root else system.popen_identity()))
        self._reader = threading.Thread(target=self._read_log, args=(self.process.stdout,), daemon=True)
        self._reader.start()
        if wait:
            self.wait_ready()

    def _read_log(self, stream):
        for raw in stream:
            with self._changed:
                self.lines.append(raw.decode("utf-8", "replace").rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def wait_ready(self, timeout=30.0):
        """Until it accepts connections and has said that all of its listeners are up (a log line; waited for at most
        five seconds). Woken by each log line, and at the latest every 20 ms."""
        deadline = time.monotonic() + timeout * SLOW
        while True:
            if self.process.poll() is not None:
                self._reader.join(5)
                raise RuntimeError("pgweir ended with status %s:\n%s" % (self.process.returncode, self.log()))
            try:
                self.raw().close()
                if self.logged("process up") or "-q" in self.args or time.monotonic() > deadline - 25 * SLOW:
                    return
            except OSError:
                pass
            if time.monotonic() > deadline:
                raise RuntimeError("pgweir does not accept connections:\n" + self.log())
            with self._changed:
                self._changed.wait(0.02)

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def wait_exit(self, timeout=30.0):
        """The exit status, once the process has ended by itself."""
        status = self.process.wait(timeout * SLOW)
        self._reader.join(10)
        return status

    def stop(self):
        """Immediate shutdown; checks the exit status and that no sanitizer complained."""
        for conn in self._opened:
            conn.close()
        self._opened = []
        if self.process is None:
            return
        died = self.process.poll()
        if died is None:
            self.signal(signal.SIGQUIT if self.is_pgweir else signal.SIGTERM)
            try:
                self.process.wait(30 * SLOW)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                self.process = None
                raise AssertionError("pgweir did not end within 30 s of its quit signal:\n" + self.log())
        self._reader.join(10)
        status = self.process.returncode
        self.process = None
        reports = [line for line in self.lines if REPORTS.search(line)]
        assert not reports, "sanitizer or assertion report:\n" + "\n".join(self.lines[-400:])
        fine = (self.expect_status,) if self.is_pgweir else (self.expect_status, 1)  # PgBouncer 1.18 ends with 1
        assert status in fine, "pgweir ended with status %s:\n%s" % (status, self.log())

    # Log.

    def log(self, count=80):
        return system.log_tail(self.lines, count)

    def mark(self):
        """A place in the log to search from."""
        return len(self.lines)

    def logged(self, pattern, since=0):
        return [line for line in self.lines[since:] if re.search(pattern, line)]

    def wait_log(self, pattern, since=0, timeout=15.0):
        """Waits for a log line; returns the first that matches."""
        deadline = time.monotonic() + timeout * SLOW
        with self._changed:
            while True:
                found = self.logged(pattern, since)
                if found:
                    return found[0]
                left = deadline - time.monotonic()
                if left <= 0 or (not self.alive() and not self._reader.is_alive()):
                    raise AssertionError("no log line matches %r:\n%s" % (pattern, self.log()))
                self._changed.wait(min(left, 0.5))

    # Connections.

    def raw(self, unix=False, host=None, timeout=None):
        """A connection on which nothing has been said yet."""
        where = self.settings["unix_socket_dir"] if unix or not self.settings["listen_addr"] else (host or self.host)
        conn = wire.Conn(where, int(self.settings["listen_port"]), timeout=(timeout or wire.DEFAULT_TIMEOUT) * SLOW)
        self._opened.append(conn)
        return conn

    def connect(self, user="app", database="test", password=None, unix=False, host=None, tls=None, **params):
        """A logged-in connection."""
        conn = self.raw(unix=unix, host=host)
        if tls is not None:
            conn.start_tls(tls, "localhost")
        if password is None:
            password = self.USERLIST.get(user, "")
        return conn.login(user, database, password, **params)

    def refused(self, user="app", database="test", password=None, unix=False, **params):
        """A login that must fail; returns the ServerError."""
        try:
            self.connect(user, database, password, unix=unix, **params)
        except wire.ServerError as error:
            return error
        raise AssertionError("login of %s to %s succeeded" % (user, database))

    def console(self, user="admin", **params):
        return self.connect(user, CONSOLE, **params)

    def admin(self, sql, check=True):
        """One console command on a connection of its own."""
        conn = self.console()
        try:
            return conn.query(sql, check=check)
        finally:
            conn.terminate()

    def show(self, topic):
        return self.admin("SHOW " + topic).dicts()

    def pool(self, database="test", user=None):
        """The row of SHOW POOLS as numbers; zeroes when there is no such pool yet."""
        rows = [r for r in self.show("POOLS") if r["database"] == database and user in (None, r["user"])]
        if not rows:
            return dict.fromkeys(("cl_active", "cl_waiting", "sv_active", "sv_idle", "sv_used", "sv_tested",
                                  "sv_login"), 0)
        return {k: int(v) if v is not None and re.fullmatch(r"-?\d+", v) else v for k, v in rows[0].items()}

    def wait_pool(self, timeout=15.0, database="test", user=None, **expected):
        """Until SHOW POOLS has the given numbers."""
        system.wait_for(lambda: all(self.pool(database, user)[k] == v for k, v in expected.items()), timeout * SLOW,
                        "pool %r; it is %r" % (expected, self.pool(database, user)))

    def reload(self, check=True, **settings):
        self.write_config(**settings)
        return self.admin("RELOAD", check=check)

    def url(self, database="test", user="app"):
        """A libpq connection string."""
        return "host=%s port=%d dbname=%s user=%s password=%s" % (
            self.host, self.port, database, user, self.USERLIST.get(user, ""))
