"""Passwords that PAM judges (compat/auth.md, section 9): a real libpam with real modules. libpam_wrapper makes it read
its service file from a directory of the test's own; pam_exec runs a script that knows the users, so each module call
can be seen, held up and answered; pam_matrix is the wrapper's own module with a file of passwords."""

import glob
import os
import signal
import threading

import pytest

from harness import pgweir, postgres, system, wire

FAILED = "PAM authentication failed"
WRAPPER = (glob.glob("/usr/lib/*/libpam_wrapper.so") or glob.glob("/usr/lib64/libpam_wrapper.so") or [None])[0]
MATRIX = (glob.glob("/usr/lib*/*/pam_wrapper/pam_matrix.so") or glob.glob("/usr/lib64/pam_wrapper/pam_matrix.so") or [None])[0]

# pam_exec gives the password on standard input, with a NUL behind it, and the rest in the environment.
SCRIPT = """#!/bin/sh
echo "$PAM_TYPE $PAM_SERVICE $PAM_USER $PAM_RHOST" >> {dir}/calls
case "$PAM_TYPE" in
auth)
  given=$(tr -d '\\0')
  case "$PAM_USER" in
  slow*) read word < {dir}/gate ;;
  esac
  grep -Fqx -- "$PAM_USER:$given" {dir}/passwords || exit 1 ;;
account)
  test "$PAM_USER" != locked || exit 1 ;;
esac
exit 0
"""

USERS = {**postgres.PASSWORDS, "locked": "locked-secret", "slow": "slow-secret", "admin": "admin-secret",
         "elsewhere": 'a "b" #c; d'}


class Pam:
    """A directory with the service file; `through` is the environment in which pgweir reads it."""

    def __init__(self):
        self.directory = system.make_directory("pam")
        script = self.path("check")
        system.write_file(script, SCRIPT.format(dir=self.directory), 0o755)
        self.write("passwords", "".join("%s:%s\n" % item for item in USERS.items()))
        self.write("calls", "")
        os.mkfifo(self.path("gate"))
        system.give(self.path("gate"))
        self.gate = os.open(self.path("gate"), os.O_RDWR)  # held open: a reader waits for its line, not for a writer
        self.service("auth required pam_exec.so expose_authtok quiet %s\naccount required pam_exec.so quiet %s\n"
                     % (script, script))

    def path(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, text):
        system.write_file(self.path(name), text, 0o644)

    def service(self, text, name="pgbouncer"):
        os.makedirs(self.path("services"), exist_ok=True)
        self.write("services/" + name, text)

    def calls(self):
        with open(self.path("calls")) as text:
            return text.read().splitlines()

    def environment(self):
        preload = WRAPPER
        if os.environ.get("PGWEIR_SANITIZER_LIBRARY"):
            preload = os.environ["PGWEIR_SANITIZER_LIBRARY"] + " " + preload
        return {"LD_PRELOAD": preload, "PAM_WRAPPER": "1", "PAM_WRAPPER_SERVICE_DIR": self.path("services")}

    def let_go(self, count=1):
        """Lets that many held up modules go on."""
        os.write(self.gate, b"\n" * count)


@pytest.fixture
def pam():
    assert WRAPPER and MATRIX, "libpam-wrapper is not installed (.ci/packages.sh)"
    pam = Pam()
    yield pam
    os.close(pam.gate)


@pytest.fixture
def by_pam(start, pam):
    def begin(databases=None, settings=None, userlist=None, **kwargs):
        return start(databases, settings={"auth_type": "pam", **(settings or {})}, userlist=userlist or {},
                     environment=pam.environment(), **kwargs)

    return begin


def begin_login(pw, user, password=None, database="test"):
    """A login whose password has been sent."""
    conn = pw.raw()
    conn.send(wire.startup({"user": user, "database": database}))
    assert conn.read().body == b"\0\0\0\3"
    conn.send(wire.message("p", wire.cstr(USERS[user] if password is None else password)))
    return conn


def test_login(by_pam, pam):
    pw = by_pam()
    assert pw.connect("app").scalar("SELECT current_user") == "app"
    assert pam.calls() == ["auth pgbouncer app 127.0.0.1", "account pgbouncer app 127.0.0.1"]
    for user, password in (("app", "wrong"), ("app", USERS["app2"]), ("nobody", "x"), ("app", "app-secret "), ("a" * 127, "x")):
        error = pw.refused(user, password=password)
        assert (error.severity, error.sqlstate, error.message) == ("FATAL", "08P01", FAILED)
    assert len([call for call in pam.calls() if call.startswith("account")]) == 1
    pw.wait_log(r"pam_authenticate\(\) failed: ")
    assert pw.connect("app").scalar("SELECT current_user") == "app"


def test_locked_account(by_pam, pam):
    """The password is right, the account phase says no."""
    pw = by_pam()
    assert pw.refused("locked", password=USERS["locked"]).message == FAILED
    pw.wait_log(r"pam_acct_mgmt\(\) failed: ")
    assert [call.split()[0] for call in pam.calls()] == ["auth", "account"]


def test_empty_password(by_pam, pam):
    pw = by_pam()
    assert pw.refused("app", password="").message == "empty password returned by client"
    assert pam.calls() == []


def test_unix_socket(by_pam, pam):
    pw = by_pam()
    assert pw.connect("app", unix=True).scalar("SELECT 1") == "1"
    assert pam.calls()[0] == "auth pgbouncer app unix"


def test_the_userlist_is_not_read(by_pam):
    pw = by_pam(userlist={"app": "in-the-file", "onlyinfile": "x"})
    assert pw.refused("app", password="in-the-file").message == FAILED
    assert pw.refused("onlyinfile", password="x").message == FAILED
    pw.connect("app", password=USERS["app"])


def test_the_password_logs_in_to_the_server(by_pam):
    pw = by_pam()
    assert pw.connect("scramuser").scalar("SELECT current_user") == "scramuser"


def test_a_password_that_looks_like_a_hash_is_a_password(by_pam, pam, pg):
    """What PAM accepted is sent as it is, not taken as the md5 secret of its shape: it is no way to pass the hash on."""
    hashed = wire.md5_secret("md5user", postgres.PASSWORDS["md5user"])
    pam.write("passwords", "md5user:%s\n" % hashed)
    pw = by_pam(settings={"server_login_retry": 0.1})
    assert "password authentication failed" in pw.refused("md5user", password=hashed).message


def test_each_login_asks_anew(by_pam, pam):
    pw = by_pam()
    pw.connect("app").scalar("SELECT 1")
    pam.write("passwords", "app:changed\n")
    assert pw.refused("app", password=USERS["app"]).message == FAILED
    pw.connect("app", password="changed")


def test_a_forced_user(by_pam):
    pw = by_pam({"test": {"user": "app2"}})
    assert pw.connect("app").scalar("SELECT current_user") == "app2"
    assert pw.refused("app", password="wrong").message == FAILED


def test_console(by_pam):
    pw = by_pam()
    assert pw.show("VERSION")
    assert pw.refused("admin", "pgweir", password="wrong").message == FAILED
    assert pw.refused("app", "pgweir", password=USERS["app"]).message == "not allowed"
    with system.unprivileged_identity():
        conn = pw.raw(unix=True)
    conn.login("pgbouncer", "pgbouncer", "").query("SHOW VERSION")


def test_not_together_with_auth_query(by_pam, pam):
    """As with LDAP: an auth_user of the entry itself is a contradiction."""
    pw = by_pam({"test": {}, "own": {"auth_user": "postgres"}}, settings={"auth_user": "postgres"})
    assert pw.refused("app", "own", password=USERS["app"]).message == "bouncer config error"
    pw.wait_log("PAM can't be used together with database authentication")
    assert pam.calls() == []
    pw.connect("app")


@pytest.mark.parametrize("workers", [1, 3])
def test_a_slow_module_delays_nobody_else(by_pam, pam, workers):
    """Modules that are held up: others log in by PAM meanwhile, and those that are logged in are served."""
    pw = by_pam(settings={"workers": workers})
    served = pw.connect("app")
    waiting = [begin_login(pw, "slow") for _ in range(5)]
    system.wait_for(lambda: len([c for c in pam.calls() if "slow" in c]) == 5, 30, "five modules at work")
    for _ in range(3):
        assert pw.connect("app2").scalar("SELECT 1") == "1"
        assert served.scalar("SELECT 1") == "1"
    for conn in waiting:
        assert conn.silent(0.01)
    pam.let_go(5)
    outcomes = [conn.read().type for conn in waiting]  # there is no such role: the server says so
    assert outcomes == ["E"] * 5
    assert len([c for c in pam.calls() if c.startswith("account pgbouncer slow")]) == 5


def test_the_wait_for_a_module_is_bounded(by_pam, pam):
    pw = by_pam(settings={"client_login_timeout": 1})
    begin_login(pw, "slow").expect_fatal("client_login_timeout")
    pam.let_go()
    pw.connect("app")


def test_the_end_while_a_module_is_slow(by_pam, pam):
    """Nobody waits for the module, and no library is cleaned up under it; all else that an end leaves behind is in order."""
    pidfile = pam.path("pid")
    system.give(pam.directory)
    pw = by_pam(settings={"pidfile": pidfile, "logfile": pam.path("log")})
    begin_login(pw, "slow")
    system.wait_for(lambda: "auth pgbouncer slow 127.0.0.1" in pam.calls(), 30, "the module at work")
    assert os.path.exists(pidfile)
    pw.signal(signal.SIGQUIT)
    assert pw.wait_exit() == 0
    with open(pam.path("log")) as log:
        last = log.read().splitlines()[-1]
    assert last.endswith("LOG not waiting for 1 thread(s) that PAM, a directory or a name server holds up"), last
    assert not os.path.exists(pidfile)
    assert not glob.glob(pw.directory + "/.s.PGSQL.*")


def test_an_end_with_nothing_held_up(by_pam):
    pw = by_pam()
    pw.connect("app")
    pw.signal(signal.SIGQUIT)
    assert pw.wait_exit() == 0
    assert not pw.logged("not waiting for")


def test_a_client_that_leaves_while_a_module_is_slow(by_pam, pam):
    pw = by_pam()
    conn = begin_login(pw, "slow")
    system.wait_for(lambda: pam.calls(), 30, "the module at work")
    conn.close()
    pw.wait_log("client unexpected eof")
    pam.let_go()
    pw.connect("app")


def test_more_logins_than_threads(by_pam, pam):
    """Forty at once: they wait for a thread, and all get their answer."""
    pw = by_pam(settings={"default_pool_size": 5})
    outcomes = []

    def log_in(number):
        try:
            pw.connect("app", password=USERS["app"] if number % 2 else "wrong").terminate()
            outcomes.append(True)
        except wire.ServerError as error:
            outcomes.append(error.message)

    threads = [threading.Thread(target=log_in, args=(n,)) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, outcomes)) == [FAILED] * 20 + ["True"] * 20


def test_a_delay_that_a_module_asks_for_holds_no_thread(by_pam, pam):
    """pam_faildelay of three seconds: far more failing logins than threads wait it out together, and who has the right
    password is let in meanwhile."""
    pam.service("auth optional pam_faildelay.so delay=3000000\n"
                "auth required pam_exec.so expose_authtok quiet {0}\naccount required pam_permit.so\n".format(pam.path("check")))
    pw = by_pam(settings={"client_login_timeout": 100})
    failing = [begin_login(pw, "app", "wrong") for _ in range(20)]
    system.wait_for(lambda: len(pam.calls()) == 20, 60, "all of them to be judged")
    assert not pw.logged("login failed|authentication failed"), "none is told before its delay is over"
    assert pw.connect("app").scalar("SELECT 1") == "1"
    for conn in failing:
        conn.expect_fatal(FAILED)


def test_no_service_file_lets_nobody_in(by_pam, pam):
    pam.service("auth required pam_deny.so\naccount required pam_deny.so\n", "other")
    os.remove(pam.path("services/pgbouncer"))
    pw = by_pam()
    assert pw.refused("app", password=USERS["app"]).message == FAILED


def test_pam_matrix(by_pam, pam):
    """Another module, with users and passwords in its own file: name:password:service."""
    pam.write("matrix", "app:app-secret:pgbouncer\napp2:app2-secret:sshd\n")
    pam.service("auth required {0} passdb={1}\naccount required {0} passdb={1}\n".format(MATRIX, pam.path("matrix")))
    pw = by_pam()
    assert pw.connect("app").scalar("SELECT current_user") == "app"
    assert pw.refused("app", password="wrong").message == FAILED
    assert pw.refused("nobody", password="app-secret").message == FAILED
    assert pw.refused("app2", password="app2-secret").message == FAILED  # his account is for another service


def test_secrets_are_told_nowhere(by_pam, pam):
    pw = by_pam(settings={"verbose": 3}, args=["-vv"])
    pw.connect("scramuser").scalar("SELECT 1")
    pw.refused("app", password="planted-wrong")
    told = pw.log(10000) + "".join(str(pw.show(t)) for t in ("CONFIG", "CLIENTS", "SERVERS", "USERS", "FDS"))
    assert "planted-wrong" not in told and USERS["scramuser"] not in told


def test_odd_passwords_arrive_whole(by_pam, pam):
    pw = by_pam({"test": {"user": "app"}})
    assert pw.connect("elsewhere", password=USERS["elsewhere"]).scalar("SELECT 1") == "1"
    long = "x" * 400
    pam.write("passwords", "app:%s\n" % long)
    assert pw.connect("app", password=long).scalar("SELECT 1") == "1"
