"""Signals, shutdown, pause, the command line, root, the pidfile, logs."""

import os
import signal
import subprocess

import pytest

from harness import system, wire
from harness.pgweir import CONSOLE, IS_PGWEIR, runnable_binary


def gone(pw, timeout=20):
    status = pw.wait_exit(timeout)
    for conn in pw._opened:
        conn.close()
    return status


def run(*args, timeout=30):
    return subprocess.run([runnable_binary(), *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, cwd="/", timeout=timeout, env=system.clean_environment(),
                          **system.popen_identity())


def test_sigterm_waits_for_clients(start):
    pw = start()
    conn = pw.connect()
    conn.scalar("SELECT 1")
    pw.signal(signal.SIGTERM)
    pw.wait_log("got SIGTERM, shutting down, waiting for all clients disconnect")
    assert conn.scalar("SELECT 2") == "2"
    conn.query("BEGIN")
    assert conn.query("COMMIT").status == "I"
    system.wait_for(lambda: refuses(pw), 10, "the TCP listener to be gone")
    conn.terminate()
    assert gone(pw) == 0
    assert pw.wait_log("client connections dropped, exiting")


def refuses(pw):
    try:
        pw.raw().close()
        return False
    except OSError:
        return True


def test_sigint_waits_for_servers(start, pg, db):
    pw = start()
    conn, idle = pw.connect(), pw.connect()
    idle.scalar("SELECT 1")
    conn.query("BEGIN")
    pw.signal(signal.SIGINT)
    pw.wait_log("got SIGINT, shutting down, waiting for all servers connections to be released")
    assert conn.scalar("SELECT 2") == "2"
    idle.send(wire.query("SELECT 3"))
    idle.expect_fatal("server shutting down", "08P01")
    conn.query("COMMIT")
    assert gone(pw) == 0
    assert pw.wait_log("server connections dropped, exiting")
    pg.wait_backends(db, 0)


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_second_signal_ends_at_once(start, first):
    pw = start()
    conn = pw.connect()
    conn.query("BEGIN")
    pw.signal(first)
    pw.wait_log("shutting down")
    pw.signal(first)
    assert gone(pw, 10) == 0


def test_sigquit_ends_at_once(start):
    pw = start()
    pw.connect().query("BEGIN")
    pw.signal(signal.SIGQUIT)
    assert gone(pw, 10) == 0
    assert pw.wait_log("got SIGQUIT, fast exit")


def test_console_during_shutdown(start):
    pw = start()
    conn = pw.connect()
    pw.signal(signal.SIGTERM)
    pw.wait_log("got SIGTERM")
    console = pw.connect("admin", CONSOLE, unix=True)
    assert console.query("SHOW VERSION").rows
    assert "pooler is shutting down" in console.query("RESUME", check=False).error.message
    assert "pooler is shutting down" in pw.refused(unix=True).message
    console.terminate()
    conn.terminate()
    assert gone(pw) == 0


def test_pause_and_resume_by_signals(start):
    pw = start()
    conn = pw.connect()
    conn.scalar("SELECT 1")
    pw.signal(signal.SIGUSR1)
    pw.wait_log("got SIGUSR1, pausing all activity")
    pw.wait_pool(sv_idle=0)
    conn.send(wire.query("SELECT 2"))
    assert conn.silent(0.7)
    pw.signal(signal.SIGUSR2)
    pw.wait_log("got SIGUSR2, continuing from PAUSE")
    assert conn.results().scalar() == "2"


def test_user_signals_say_when_they_do_nothing(start):
    if not IS_PGWEIR:
        pytest.skip("pgweir's own texts")
    pw = start()
    pw.signal(signal.SIGUSR2)
    pw.wait_log("got SIGUSR2, but not paused/suspended")
    conn = pw.connect()
    assert conn.scalar("SELECT 1") == "1"
    pw.admin("PAUSE")
    pw.signal(signal.SIGUSR1)
    pw.wait_log("got SIGUSR1, but already paused/suspended")
    pw.signal(signal.SIGTERM)
    pw.wait_log("got SIGTERM")
    mark = pw.mark()
    pw.signal(signal.SIGUSR1)
    pw.wait_log("got SIGUSR1 while shutting down, ignoring", mark)
    pw.signal(signal.SIGUSR2)
    pw.wait_log("got SIGUSR2 while shutting down, ignoring", mark)
    conn.terminate()
    assert gone(pw) == 0


@pytest.mark.parametrize("number, phrase", [(signal.SIGTERM, "client connections dropped, exiting"),
                                            (signal.SIGINT, "server connections dropped, exiting")])
def test_shutdown_while_paused(start, number, phrase):
    """TERM waits for clients, which may leave; INT has no server to wait for, and tells who waits for one."""
    pw = start()
    conn = pw.connect()
    conn.scalar("SELECT 1")
    pw.admin("PAUSE")
    conn.send(wire.query("SELECT 2"))
    pw.wait_pool(cl_waiting=1)
    pw.signal(number)
    pw.wait_log("shutting down")
    if number == signal.SIGTERM:
        assert conn.silent(0.5) and pw.alive()
        conn.terminate()
    else:
        conn.expect_fatal("server shutting down", "08P01")
    assert gone(pw) == 0
    assert pw.wait_log(phrase)


@pytest.mark.parametrize("first, second", [(signal.SIGTERM, signal.SIGINT), (signal.SIGINT, signal.SIGTERM),
                                           (signal.SIGTERM, signal.SIGQUIT), (signal.SIGINT, signal.SIGQUIT)])
def test_second_signal_may_be_another(start, first, second):
    pw = start()
    conn = pw.connect()
    conn.query("BEGIN")
    pw.signal(first)
    pw.wait_log("shutting down")
    pw.signal(second)
    assert gone(pw, 10) == 0
    assert pw.wait_log("fast exit")


def test_reload_during_a_shutdown(start):
    pw = start()
    conn = pw.connect()
    conn.query("BEGIN")
    pw.signal(signal.SIGTERM)
    pw.wait_log("got SIGTERM")
    pw.write_config(query_wait_timeout=77)
    pw.signal(signal.SIGHUP)
    pw.wait_log("got SIGHUP, re-reading config")
    console = pw.connect("admin", CONSOLE, unix=True)
    system.wait_for(lambda: [r["value"] for r in console.query("SHOW CONFIG").dicts() if r["key"] == "query_wait_timeout"]
                    == ["77"], 10, "the new value")
    console.terminate()
    assert conn.query("COMMIT").status == "I"
    conn.terminate()
    assert gone(pw) == 0


def test_sigpipe_is_ignored(start):
    pw = start()
    pw.signal(signal.SIGPIPE)
    assert pw.connect().scalar("SELECT 1") == "1"


# Console shutdowns.


def test_console_shutdown(start):
    pw = start()
    pw.connect().query("BEGIN")
    console = pw.console()
    console.send(wire.query("SHUTDOWN"))
    assert [m for m in console.closed() if m.type in "CE"] == []
    assert gone(pw, 10) == 0


def test_console_shutdown_wait_for_clients(start):
    pw = start()
    conn = pw.connect()
    conn.scalar("SELECT 1")
    assert pw.admin("SHUTDOWN WAIT_FOR_CLIENTS").tags == ["SHUTDOWN"]
    assert conn.scalar("SELECT 1") == "1"
    conn.terminate()
    assert gone(pw) == 0


def test_console_shutdown_wait_for_servers(start):
    pw = start()
    conn = pw.connect()
    conn.query("BEGIN")
    assert pw.admin("SHUTDOWN WAIT_FOR_SERVERS").tags == ["SHUTDOWN"]
    assert conn.query("COMMIT").status == "I"
    assert gone(pw) == 0


# Files.


def test_socket_and_pidfile_are_removed(start):
    pw = start(start=False)
    path = "%s/.s.PGSQL.%d" % (pw.directory, pw.port)
    pidfile = pw.directory + "/pid"
    pw.write_config(pidfile=pidfile)
    pw.start()
    assert open(pidfile).read() == "%d\n" % pw.pid and os.path.exists(path)
    pw.signal(signal.SIGQUIT)
    assert gone(pw) == 0
    assert not os.path.exists(path) and not os.path.exists(pidfile)


def test_stale_pidfile_is_replaced(start):
    pw = start(start=False)
    pidfile = pw.directory + "/pid"
    process = subprocess.Popen(["true"])
    process.wait()
    system.write_file(pidfile, "%d\n" % process.pid, 0o644)
    pw.write_config(pidfile=pidfile)
    pw.start()
    assert pw.wait_log("stale pidfile, removing")


def test_pidfile_of_a_running_process(start):
    first = start(start=False)
    pidfile = first.directory + "/pid"
    first.write_config(pidfile=pidfile)
    first.start()
    second = start(settings={"pidfile": pidfile}, start=False, expect_status=1)
    second.start(wait=False)
    assert second.wait_exit() == 1 and second.logged("pidfile '%s' exists, another instance running" % pidfile)
    assert first.connect().scalar("SELECT 1") == "1"


def test_unix_socket_in_use(start):
    first = start()
    second = start(settings={"unix_socket_dir": first.directory, "listen_port": first.port, "listen_addr": ""}, start=False,
                   expect_status=1)
    second.start(wait=False)
    assert second.wait_exit() == 1 and second.logged("unix socket is in use, cannot continue")
    assert first.connect(unix=True).scalar("SELECT 1") == "1"


def test_port_in_use(start):
    first = start()
    second = start(settings={"listen_port": first.port}, start=False, expect_status=1)
    second.start(wait=False)
    assert second.wait_exit() == 1
    assert second.logged("cannot listen on 127.0.0.1") and second.logged("failed to listen on any address")


# Command line.


def test_version():
    done = run("-V")
    assert done.returncode == 0
    assert ("pgweir" if IS_PGWEIR else "PgBouncer") in done.stdout.decode()
    assert run("--version").stdout == done.stdout


def test_help():
    done = run("--help")
    assert done.returncode == 0 and b"Usage" in done.stdout


@pytest.mark.parametrize("args", [[], ["one.ini", "two.ini"], ["--no-such-option", "x.ini"]])
def test_wrong_usage(args):
    done = run(*args)
    assert done.returncode == 1 and done.stderr


@pytest.mark.parametrize("text, phrase", [
    ("[databases]\n", "main section missing"),
    ("[{section}]\nno_such = 1\n", "unknown parameter: .*/no_such"),
    ("[{section}]\ndefault_pool_size = many\n", r'invalid value "many" for parameter default_pool_size in configuration \(.*:2\)'),
    ("[{section}]\njust words\n", r"syntax error in configuration \(.*:2\)"),
    ("[other]\nx = 1\n", "invalid section"),
    ("[databases]\npgbouncer = host=x\n[{section}]\n", "pgbouncer"),
    ("[databases]\nx = no_such_key=1\n[{section}]\n", "no_such_key|unrecognized"),
])
def test_bad_configuration_stops_the_start(start, text, phrase):
    from harness.pgweir import SECTION

    pw = start(start=False, expect_status=1)
    system.write_file(pw.ini_path, text.replace("{section}", SECTION))
    pw.start(wait=False)
    assert pw.wait_exit() == 1
    assert pw.wait_log(phrase), pw.log()
    assert pw.wait_log("FATAL")


def test_missing_configuration(tmp_path):
    done = run("/nonexistent/pgweir.ini")
    assert done.returncode == 1 and b"/nonexistent/pgweir.ini" in done.stderr


def test_check_config(start):
    """Validates without starting, and reports every error with file and line."""
    pw = start(start=False)
    done = run("--check-config", pw.ini_path)
    assert done.returncode == 0, done.stderr
    system.write_file(pw.ini_path, pw.ini_text() + "wrong_one = 1\ndefault_pool_size = x\nwrong_two = 1\n")
    done = run("--check-config", pw.ini_path)
    text = (done.stdout + done.stderr).decode()
    last = pw.ini_text().count("\n")
    assert done.returncode == 1
    for word, line in (("wrong_one", last + 1), ("default_pool_size", last + 2), ("wrong_two", last + 3)):
        assert word in text and "%s:%d" % (pw.ini_path, line) in text, text


def test_world_readable_userlist_is_told(start):
    pw = start(start=False)
    os.chmod(pw.userlist_path, 0o644)
    pw.start(wait=True)
    assert pw.logged("userlist.txt.*(readable|chmod)") or pw.logged("(readable|permission).*userlist")


def test_root_is_refused(start):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    pw = start(start=False, expect_status=1)
    done = subprocess.run([runnable_binary(), pw.ini_path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=30, cwd="/")
    assert done.returncode == 1 and b"should not run as root" in done.stdout


def test_root_becomes_the_user_of_the_ini(start):
    if os.geteuid() != 0:
        pytest.skip("needs root")
    pw = start(start=False)
    pw.write_config(user="postgres")
    process = subprocess.Popen([runnable_binary(), pw.ini_path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, cwd="/")
    try:
        system.wait_for(lambda: not refuses(pw), 15, "it to listen")
        with open("/proc/%d/status" % process.pid) as status:
            fields = dict(line.split(":", 1) for line in status)
        account = system.unprivileged()
        assert fields["Uid"].split() == [str(account.pw_uid)] * 4
        assert fields["Gid"].split() == [str(account.pw_gid)] * 4
        assert "0" not in fields["Groups"].split()
        assert pw.connect().scalar("SELECT 1") == "1"
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(20)
        for conn in pw._opened:
            conn.close()


def root_only(path):
    os.chmod(path, 0o600)
    os.chown(path, 0, 0)


def test_root_reads_its_files_before_it_becomes_somebody_else(start, certs):
    """A key that only root may read serves; a reload, which comes later, is refused and changes nothing."""
    if os.geteuid() != 0 or not IS_PGWEIR:
        pytest.skip("needs root")
    import ssl

    folder = system.make_directory("key")
    key, cert = folder + "/server.key.pem", folder + "/server.crt.pem"
    system.write_file(key, open(certs.server_key).read())
    system.write_file(cert, open(certs.server).read())
    root_only(key)
    pw = start(settings={"user": "postgres", "client_tls_sslmode": "allow", "client_tls_cert_file": cert,
                         "client_tls_key_file": key}, as_root=True)
    context = ssl.create_default_context(cafile=certs.ca)
    old = pw.connect(tls=context).sock.getpeercert(True)
    warned = pw.logged(r"WARNING client_tls_key_file .*%s.* a reload will be refused" % key)
    assert len(warned) == 1 and not pw.logged("auth_file .*reload will be refused")
    system.write_file(cert, open(certs.server2).read())
    result = pw.reload(check=False, max_client_conn=77)
    assert result.error.sqlstate == "F0000"
    pw.wait_log('could not read client_tls_key_file "%s": Permission denied' % key)
    assert pw.connect(tls=context).sock.getpeercert(True) == old
    assert {r["key"]: r["value"] for r in pw.show("CONFIG")}["max_client_conn"] != "77"


def test_root_only_userlist_is_read_at_start_and_told(start):
    if os.geteuid() != 0 or not IS_PGWEIR:
        pytest.skip("needs root")
    pw = start(start=False, settings={"user": "postgres", "auth_type": "plain"}, as_root=True)
    root_only(pw.userlist_path)
    pw.start()
    assert pw.connect().scalar("SELECT 1") == "1"
    assert pw.wait_log("WARNING auth_file .*userlist.txt.* a reload will be refused")
    assert pw.admin("RELOAD", check=False).error.sqlstate == "F0000"
    assert pw.connect().scalar("SELECT 2") == "2"


def test_daemon_mode(start):
    pw = start(start=False)
    pidfile, logfile = pw.directory + "/pid", pw.directory + "/the.log"
    pw.write_config(pidfile=pidfile, logfile=logfile)
    done = run("-d", pw.ini_path)
    assert done.returncode == 0, done.stderr
    system.wait_for(lambda: os.path.exists(pidfile) and os.path.getsize(pidfile) and not refuses(pw), 15, "the daemon")
    pid = int(open(pidfile).read())
    assert pw.connect().scalar("SELECT 1") == "1"
    assert os.getsid(pid) != os.getsid(0)
    os.kill(pid, signal.SIGQUIT)
    system.wait_for(lambda: not os.path.exists("/proc/%d" % pid) or open("/proc/%d/stat" % pid).read().split()[2] == "Z", 15,
                    "the daemon to end")
    assert "process up" in open(logfile).read()


def test_logfile_layout(start):
    import re

    pw = start(start=False)
    logfile = pw.directory + "/the.log"
    pw.write_config(logfile=logfile)
    pw.start()
    pw.connect(application_name="x").terminate()
    pw.refused("ghost")
    system.wait_for(lambda: "client close request" in open(logfile).read(), 10, "the closing line")
    system.wait_for(lambda: "pooler error" in open(logfile).read(), 10, "the refusal")
    lines = open(logfile).read().splitlines()
    layout = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [A-Z]+ \[%d\] (FATAL|ERROR|WARNING|LOG|DEBUG|NOISE) " % pw.pid)
    assert all(layout.match(line) or line.startswith("\t") for line in lines), lines
    text = "\n".join(lines)
    assert re.search(r"LOG C-0x[0-9a-f]+: test/app@127\.0\.0\.1:\d+ login attempt: db=test user=app tls=no", text)
    assert re.search(r"LOG S-0x[0-9a-f]+: test/app@127\.0\.0\.1:\d+ new connection to server \(from 127\.0\.0\.1:\d+\)", text)
    assert re.search(r"LOG C-0x[0-9a-f]+: test/app@127\.0\.0\.1:\d+ closing because: client close request \(age=\d+s\)", text)
    assert re.search(r"WARNING C-0x[0-9a-f]+: .*pooler error: ", text)


def test_log_file_is_reopened(start):
    pw = start(start=False)
    logfile = pw.directory + "/the.log"
    pw.write_config(logfile=logfile)
    pw.start()
    os.rename(logfile, logfile + ".1")
    pw.admin("RELOAD")
    pw.connect().terminate()
    system.wait_for(lambda: os.path.exists(logfile) and "login attempt" in open(logfile).read(), 10, "the new log file")


def test_log_file_is_reopened_when_the_configuration_is_refused(start):
    """By logrotate, which cannot choose its hour: the daemon must not go on in the file that was moved away."""
    pw = start(start=False)
    logfile = pw.directory + "/the.log"
    pw.write_config(logfile=logfile)
    pw.start()
    os.rename(logfile, logfile + ".1")
    pw.write_config(logfile=logfile, pool_mode="nonsense")
    pw.signal(signal.SIGHUP)
    system.wait_for(lambda: os.path.exists(logfile) and "config file loading failed" in open(logfile).read(), 10,
                    "the new log file")


def test_newlines_cannot_forge_a_log_line(start):
    pw = start()
    pw.refused("evil\n2026-01-01 00:00:00.000 UTC [1] LOG forged", "test")
    pw.refused("app", "x\r\n2026-01-01 00:00:00.000 UTC [1] LOG forged")
    pw.wait_log("forged")
    assert not [line for line in pw.lines if line.startswith("2026-01-01 00:00:00.000")]


def test_quiet(start):
    pw = start(args=["-q"])
    pw.connect().scalar("SELECT 1")
    assert pw.lines == []
