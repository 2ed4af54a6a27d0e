"""What the units rely on, without systemd: the control socket behind `systemctl reload`, the watchdog with a worker that
hangs, notices about a start that fails, a signal that comes before anybody handles it."""

import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

from harness import system, wire
from harness.manager import Manager
from harness.pgweir import IS_PGWEIR, SLOW, runnable_binary

pytestmark = pytest.mark.skipif(not IS_PGWEIR, reason="pgweir's own")


@pytest.fixture
def manager():
    one = Manager()
    yield one
    one.socket.close()


def run(*args, identity=None, **kwargs):
    return subprocess.run([runnable_binary(), *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          cwd="/", timeout=30 * SLOW, text=True, env=system.clean_environment(),
                          **(system.popen_identity() if identity is None else identity), **kwargs)


def order(path, text):
    """One order to a control socket; gives the answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.settimeout(20 * SLOW)
        sock.connect(path)
        try:
            sock.send(text)
            return sock.recv(4096)
        except (ConnectionResetError, BrokenPipeError):
            return b""


@pytest.fixture
def controlled(start):
    def begin(**kwargs):
        path = system.make_directory("control") + "/control"
        pw = start(args=["--control=" + path], **kwargs)
        pw.control = path
        return pw
    return begin


# Reload.


def test_a_good_reload_holds_when_the_command_is_back(controlled):
    pw = controlled(settings={"auth_type": "scram-sha-256"})
    pw.write_config(default_pool_size=7)
    done = run("--reload=" + pw.control)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    pw.wait_log("asked to reload by the control socket")
    assert {r["key"]: r["value"] for r in pw.show("CONFIG")}["default_pool_size"] == "7"


def test_a_refused_reload_fails_and_says_why(controlled):
    pw = controlled()
    pw.write_config(default_pool_size="many")
    done = run("--reload=" + pw.control)
    assert done.returncode == 1 and "default_pool_size" in done.stderr and "many" in done.stderr, done
    pw.wait_log("WARNING config file loading failed")
    assert pw.connect().scalar("SELECT 1") == "1"
    pw.write_config(default_pool_size=3)
    assert run("--reload=" + pw.control).returncode == 0


def test_the_reload_is_told_to_the_manager_too(controlled, manager):
    pw = controlled(environment={"NOTIFY_SOCKET": manager.path})
    manager.expect("READY=1")
    assert run("--reload=" + pw.control).returncode == 0
    manager.expect(r"RELOADING=1\nMONOTONIC_USEC=\d+")
    manager.expect("READY=1")


def test_a_refused_reload_has_an_end_for_the_manager_too(controlled, manager):
    """With Type=notify-reload systemd waits for READY=1, whatever became of the reload, and would time out."""
    pw = controlled(environment={"NOTIFY_SOCKET": manager.path})
    manager.expect("READY=1")
    pw.write_config(default_pool_size="many")
    assert run("--reload=" + pw.control).returncode == 1
    manager.expect(r"RELOADING=1\nMONOTONIC_USEC=\d+")
    manager.expect("READY=1")
    pw.signal(signal.SIGHUP)
    manager.expect(r"RELOADING=1\nMONOTONIC_USEC=\d+")
    manager.expect("READY=1")


def test_nobody_there_is_a_failure():
    done = run("--reload=/nonexistent/control")
    assert done.returncode == 1 and "no daemon takes orders there: No such file" in done.stderr


def test_only_root_and_the_same_account_are_heard(controlled):
    if os.geteuid() != 0:
        pytest.skip("only root can be several accounts")
    pw = controlled()
    os.chmod(os.path.dirname(pw.control), 0o777)
    os.chmod(pw.control, 0o777)
    stranger = {"user": 65533, "group": 65533, "extra_groups": []}
    done = run("--reload=" + pw.control, identity=stranger)
    assert done.returncode == 1 and "takes no orders from this account" in done.stderr, done
    assert run("--reload=" + pw.control, identity={}).returncode == 0


def test_orders_that_are_none(controlled):
    pw = controlled()
    for text in (b"shutdown", b"", b"reload ", b"\0" * 4096, b"hang worker 0"):
        assert order(pw.control, text) in (b"error unknown order", b"")
    assert pw.connect().scalar("SELECT 1") == "1"


def test_many_who_say_nothing_do_not_shut_it(controlled):
    """The oldest of those that are connected and silent make room."""
    pw = controlled()
    silent = []
    for _ in range(40):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.connect(pw.control)
        silent.append(sock)
    assert run("--reload=" + pw.control).returncode == 0
    for sock in silent:
        sock.close()


def test_a_stale_control_socket_is_replaced_and_removed(controlled, start):
    pw = controlled()
    other = start(start=False)
    done = run("--control=" + pw.control, other.ini_path)
    assert done.returncode == 1 and "another pgweir does" in done.stderr
    assert run("--reload=" + pw.control).returncode == 0, "the other's failure did not take ours away"
    pw.process.kill()
    pw.wait_exit()
    pw.process = None
    assert os.path.exists(pw.control)
    pw.start()
    assert run("--reload=" + pw.control).returncode == 0
    pw.signal(signal.SIGTERM)
    pw.wait_exit()
    assert not os.path.exists(pw.control)


# Complaints of ExecStartPre= and ExecReload=.


def as_in_a_unit(path, *args):
    """What the program says, line by line, when its standard error is the journal (a file stands for it)."""
    with open(path, "w+") as journal:
        facts = os.fstat(journal.fileno())
        env = {**system.clean_environment(), "JOURNAL_STREAM": "%d:%d" % (facts.st_dev, facts.st_ino)}
        done = subprocess.run([runnable_binary(), *args], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=journal,
                              cwd="/", timeout=30 * SLOW, env=env, **system.popen_identity())
        journal.seek(0)
        return done.returncode, journal.read().splitlines()


def test_complaints_have_their_priority_in_the_journal(controlled, tmp_path):
    pw = controlled()
    os.chmod(pw.userlist_path, 0o644)
    status, lines = as_in_a_unit(tmp_path / "check", "--check-config", pw.ini_path)
    assert status == 0 and len(lines) == 1 and lines[0].startswith("<4>WARNING: ") and pw.userlist_path in lines[0], lines
    pw.write_config(default_pool_size="many")
    status, lines = as_in_a_unit(tmp_path / "check", "--check-config", pw.ini_path)
    assert status == 1 and any(re.match("<3>ERROR: .*many", line) for line in lines), lines
    status, lines = as_in_a_unit(tmp_path / "reload", "--reload=" + pw.control)
    assert status == 1 and len(lines) == 1 and re.match("<3>pgweir: reload by .* failed: .*many", lines[0]), lines
    status, lines = as_in_a_unit(tmp_path / "usage", "--nonsense")
    assert status == 1 and len(lines) == 2 and all(line.startswith("<3>") for line in lines), lines


# Watchdog.


def test_a_worker_that_hangs_ends_the_signs_of_life(controlled, manager):
    pw = controlled(settings={"workers": 2}, environment={"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "1000000",
                                                          "PGWEIR_TEST_ORDERS": "1"})
    pw.expect_status = -signal.SIGKILL
    manager.expect("WATCHDOG=1")
    assert order(pw.control, b"hang worker 2") == b"error there is no such worker"
    assert order(pw.control, b"hang worker 1") == b"ok"
    pw.wait_log(r"ERROR worker 1 has not answered for \d+ ms: no sign of life to the service manager until it does")
    while not manager.silent(0.001):
        pass
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        manager.socket.settimeout(0.2)
        try:
            assert b"WATCHDOG" not in manager.socket.recv(4096)
        except socket.timeout:
            pass
    assert len(pw.logged("has not answered")) == 1
    pw.process.kill()
    pw.wait_exit()


# Starts.


def test_a_start_that_fails_says_why(start, manager):
    pw = start(start=False)
    system.write_file(pw.ini_path, "[pgweir]\nlisten_port = none\n")
    env = {**system.clean_environment(), "NOTIFY_SOCKET": manager.path}
    done = subprocess.run([runnable_binary(), pw.ini_path], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/",
                          timeout=30 * SLOW, env=env, **system.popen_identity())
    assert done.returncode == 1
    manager.expect(r"STATUS=cannot start: cannot load config file\nERRNO=22")


def test_a_signal_that_comes_too_early_waits(start):
    """Sent before main() has done anything but block it, it must not kill: the stop is then a stop."""
    pw = start(start=False)
    env = system.clean_environment()
    for number, status in ((signal.SIGHUP, None), (signal.SIGUSR1, None), (signal.SIGRTMIN, 0), (signal.SIGTERM, 0)):
        process = subprocess.Popen([runnable_binary(), pw.ini_path], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/",
                                   env=env, **system.popen_identity())
        blocked = 1 << (number - 1)

        def ready():
            with open("/proc/%d/status" % process.pid) as lines:
                mask = [line.split()[1] for line in lines if line.startswith("SigBlk")]
            return int(mask[0], 16) & blocked

        system.wait_for(ready, 10, "the signal to be blocked", interval=0.0002)
        process.send_signal(number)
        try:
            assert process.wait(3 * SLOW) == status, process.stderr.read()
        except subprocess.TimeoutExpired:
            assert status is None
            process.send_signal(signal.SIGQUIT)
            assert process.wait(20 * SLOW) == 0
        process.stderr.close()


def test_sockets_that_are_listen_addr_are_no_reason_to_warn(start):
    from test_service import activated, listening
    pw = start(start=False, settings={"listen_addr": "127.0.0.1"})
    process = activated(pw, [listening(socket.AF_INET, ("127.0.0.1", pw.port))])
    try:
        assert pw.connect().scalar("SELECT 1") == "1"
        for conn in pw._opened:
            conn.close()
    finally:
        process.send_signal(signal.SIGQUIT)
        text = process.communicate(timeout=30)[1].decode()
    assert process.returncode == 0 and "passed from service manager" in text and "listen_addr" not in text, text


# Credentials.


def test_a_credential_is_a_file_that_systemd_passes(start):
    directory = system.make_directory("credentials")
    pw = start(start=False)
    os.rename(pw.userlist_path, directory + "/userlist")
    with open(pw.ini_path) as ini:
        text = ini.read()
    system.write_file(pw.ini_path, re.sub(r"(?m)^auth_file *=.*$", "auth_file = credential:userlist", text))
    pw.environment = {"CREDENTIALS_DIRECTORY": directory}
    pw.start()
    assert pw.connect().scalar("SELECT 1") == "1"
    assert {r["key"]: r["value"] for r in pw.show("CONFIG")}["auth_file"] == directory + "/userlist"
    for value, phrase in (("credential:../x", "without /"), ("credential:", "without /")):
        assert phrase in pw.admin("SET auth_file = '%s'" % value, check=False).notices[0]["M"]


def test_a_credential_without_systemd_is_refused(start):
    pw = start(start=False)
    with open(pw.ini_path) as ini:
        text = ini.read()
    system.write_file(pw.ini_path, re.sub(r"(?m)^auth_file *=.*$", "auth_file = credential:userlist", text))
    done = run("--check-config", pw.ini_path)
    assert done.returncode == 1 and "service manager has passed none" in done.stderr, done


def test_keys_of_tls_can_be_credentials(start, certs):
    """What LoadCredential= leaves is readable for this account only, and found by its name."""
    directory = system.make_directory("credentials")
    for name, source in (("tls-cert", certs.server), ("tls-key", certs.server_key)):
        with open(source) as text:
            system.write_file(os.path.join(directory, name), text.read(), mode=0o400)
    pw = start(environment={"CREDENTIALS_DIRECTORY": directory},
               settings={"client_tls_sslmode": "require", "client_tls_cert_file": "credential:tls-cert",
                         "client_tls_key_file": "credential:tls-key"})
    context = ssl.create_default_context(cafile=certs.ca)
    assert pw.connect(tls=context).scalar("SELECT 1") == "1"


# Restart.


def test_nobody_is_refused_while_the_sockets_are_systemds(start):
    """Programs that connect for each of their queries, over five restarts: each is served, by this daemon or the next."""
    from test_service import activated, listening
    pw = start(start=False)
    sock = listening(socket.AF_INET, ("127.0.0.1", pw.port))
    sock.listen(4096)
    over, served, troubles = threading.Event(), [], []

    def work():
        while not over.is_set():
            try:
                with wire.Conn("127.0.0.1", pw.port, timeout=30 * SLOW) as conn:
                    served.append(conn.login("app", "test", pw.USERLIST["app"]).scalar("SELECT 1"))
                    conn.terminate()
            except Exception as error:
                troubles.append(error)
                return

    threads = [threading.Thread(target=work) for _ in range(4)]
    process = activated(pw, [sock])
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            before = len(served)
            system.wait_for(lambda: len(served) > before + 20 or troubles, 60 * SLOW, "clients to be served")
            process.send_signal(signal.SIGRTMIN)
            text = process.communicate(timeout=30 * SLOW)[1].decode()
            assert process.returncode == 0, text
            process = activated(pw, [sock])
        before = len(served)
        system.wait_for(lambda: len(served) > before + 20 or troubles, 60 * SLOW, "clients to be served")
    finally:
        over.set()
        for thread in threads:
            thread.join()
        process.send_signal(signal.SIGQUIT)
        process.communicate(timeout=30 * SLOW)
    assert not troubles and set(served) == {"1"}
