"""The process from outside: command line, systemd's notices, watchdog and sockets, standard error as a journal or as a
pipe that nobody reads, log file, syslog, pid file, -R. What SIGNALS mean to clients is in test_signals.py."""

import os
import re
import signal
import socket
import stat
import subprocess
import time

import pytest

from harness import system, wire
from harness.manager import Manager
from harness.pgweir import IS_PGWEIR, SLOW, runnable_binary

pytestmark = pytest.mark.skipif(not IS_PGWEIR, reason="pgweir's own texts")


def run(*args, **kwargs):
    """Runs to the end."""
    return subprocess.run([runnable_binary(), *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, cwd="/", timeout=30 * SLOW,
                          **{"env": system.clean_environment(), **system.popen_identity(), **kwargs})


def ends(pw, timeout=20):
    status = pw.wait_exit(timeout)
    for conn in pw._opened:
        conn.close()
    return status


def refused_start(pw, *args):
    """Starts what must not start; gives its standard error."""
    done = run(*args, pw.ini_path)
    assert done.returncode == 1, done.stderr
    return done.stderr.decode()


def junk_for_tls(pw):
    """Settings with a certificate file that can be read, but is none."""
    path = pw.directory + "/junk.pem"
    system.write_file(path, "junk")
    return {"client_tls_sslmode": "require", "client_tls_cert_file": path, "client_tls_key_file": path}


# Command line.


def test_version_lines():
    lines = run("-V").stdout.decode().splitlines()
    assert re.fullmatch(r"PgBouncer 1\.25\.2 \(pgweir \d+\.\d+\.\d+\)", lines[0])
    assert lines[1].startswith("libevent 2.") and lines[2].startswith("adns: c-ares 1.")
    assert lines[3].startswith("tls: OpenSSL 3.") and lines[4:] == ["systemd: yes"]


def test_the_console_and_the_command_line_tell_the_same_version(start):
    assert start().admin("SHOW VERSION").scalar() == run("-V").stdout.decode().splitlines()[0]


def test_usage_goes_to_the_right_stream():
    help_text, none, wrong = run("--help"), run(), run("--wrong", "x.ini")
    assert help_text.stdout and not help_text.stderr
    assert not none.stdout and none.stderr.decode().splitlines()[0] == "no configuration file specified"
    assert re.search(r'\nTry ".*pgweir.* --help" for more information\.\n$', none.stderr.decode())
    assert b"unrecognized option '--wrong'" in wrong.stderr


def test_missing_file_is_told_in_the_layout_of_the_log():
    lines = run("/nonexistent.ini").stderr.decode().splitlines()
    layout = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC \[\d+\] "
    assert re.fullmatch(layout + r'ERROR could not load file "/nonexistent.ini": No such file or directory', lines[0])
    assert re.fullmatch(layout + "FATAL cannot load config file", lines[-1])


@pytest.mark.parametrize("args, settings, shown", [(["-vv"], {}, "2"), (["-v"], {"verbose": 0}, "0"), ([], {}, "0"),
                                                   (["-v"], {"verbose": 3}, "3")])
def test_verbose_of_the_command_line_is_the_default_of_the_setting(start, args, settings, shown):
    """The file's own word wins, a 0 as well; a reload comes back to it, SET changes it."""
    pw = start(args=args, settings=settings)
    value = lambda: {row["key"]: row["value"] for row in pw.show("CONFIG")}["verbose"]
    assert value() == shown
    mark = pw.mark()
    pw.connect().terminate()
    pw.wait_log("test/app@.*client close request", since=mark)
    assert bool(pw.logged(r"\] DEBUG C-0x.*: test/app@.* logged in$", since=mark)) == (shown != "0")
    assert bool(pw.logged(r"\] DEBUG .* got var: database=test$", since=mark)) == (shown != "0")
    pw.admin("SET verbose = 1")
    assert value() == "1"
    pw.admin("RELOAD")
    assert value() == shown
    mark = pw.mark()
    pw.admin("SET verbose = 0")
    if shown != "0":
        pw.wait_log(r"\] DEBUG .* got admin query: SET verbose$", since=mark)
    mark = pw.mark()
    pw.connect().terminate()
    pw.wait_log("test/app@.*client close request", since=mark)
    assert not pw.logged(r"\] (DEBUG|NOISE) ", since=mark)


def test_verbose(start):
    assert start(args=["-vv", "-q"]).lines == []
    pw = start(args=["-v"])
    pw.connect().scalar("SELECT 1")
    assert all(re.match(r"\S+ \S+ \S+ \[\d+\] (LOG|WARNING|ERROR|DEBUG) ", line) for line in pw.lines if line[0] != "\t")


def test_unknown_user(start):
    pw = start(start=False)
    assert "FATAL could not find user 'nobody-knows-me' to switch to" in refused_start(pw, "-u", "nobody-knows-me")


def test_ordinary_account_cannot_become_another(start):
    if system.unprivileged().pw_uid == 0:
        pytest.skip("there is no ordinary account")
    pw = start(start=False)
    assert "FATAL failed to assume identity of user 'root': Operation not permitted" in refused_start(pw, "-u", "root")


def test_own_account_is_fine(start):
    pw = start(args=["-u", system.unprivileged().pw_name], settings={"user": "nobody-knows-me"})
    assert pw.connect().scalar("SELECT 1") == "1"


def test_daemon_needs_a_pidfile(start):
    assert "FATAL daemon needs pidfile configured" in refused_start(start(start=False), "-d")


def test_daemon_tells_errors_before_it_leaves(start):
    pw = start(start=False, settings={"pidfile": "PIDFILE"})
    pw.write_config(pidfile=pw.directory + "/pid", logfile="/nonexistent/dir/log")
    assert "FATAL Cannot open logfile: '/nonexistent/dir/log': No such file" in refused_start(pw, "-d")
    pw.write_config(logfile=pw.directory + "/log", **junk_for_tls(pw))
    assert "FATAL TLS setup failed" in refused_start(pw, "-d")
    assert not os.path.exists(pw.directory + "/pid")


def test_check_config_prints_its_verdict(start):
    pw = start(start=False)
    done = run("--check-config", pw.ini_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"configuration is valid\n", b"")


def test_check_config_tells_warnings_and_is_content(start):
    pw = start(start=False)
    os.chmod(pw.userlist_path, 0o644)
    pw.databases["*"] = "nonsense"
    system.write_file(pw.ini_path, pw.ini_text())
    done = run("--check-config", pw.ini_path)
    text = done.stderr.decode()
    assert (done.returncode, done.stdout) == (0, b"configuration is valid\n"), text
    assert "WARNING: " in text and pw.userlist_path in text and 'template "*"' in text and "ERROR" not in text


@pytest.mark.parametrize("text", ['"app" "unterminated', None])
def test_check_config_refuses_what_a_reload_would_refuse(start, text):
    """A start goes on without a userlist that cannot be read, as PgBouncer's; a reload does not."""
    pw = start(start=False)
    if text is None:
        os.unlink(pw.userlist_path)
    else:
        system.write_file(pw.userlist_path, text)
    done = run("--check-config", pw.ini_path)
    assert done.returncode == 1 and done.stdout == b"", done
    assert pw.userlist_path in done.stderr.decode() and "ERROR: an authentication file cannot be used" in done.stderr.decode()


def test_check_config_looks_at_tls_files(start):
    pw = start(start=False)
    settings = junk_for_tls(pw)
    pw.write_config(**settings)
    done = run("--check-config", pw.ini_path)
    assert done.returncode == 1 and pw.directory + "/junk.pem" in done.stderr.decode(), done.stderr
    pw.write_config(client_tls_cert_file="/nonexistent.crt")
    done = run("--check-config", pw.ini_path)
    assert done.returncode == 1 and b"/nonexistent.crt" in done.stderr and pw.ini_path in done.stderr.decode()


def test_check_config_beside_a_running_instance(start):
    pw = start(start=False)
    pw.write_config(pidfile=pw.directory + "/pid")
    pw.start()
    assert run("--check-config", pw.ini_path).returncode == 0
    assert pw.connect().scalar("SELECT 1") == "1" and os.path.exists(pw.directory + "/pid")


# -R.


def test_reboot_needs_a_unix_socket(start):
    pw = start(start=False, settings={"unix_socket_dir": ""})
    assert "FATAL cannot reboot if unix dir not configured" in refused_start(pw, "-R")


def test_reboot_under_a_service_manager(start):
    pw = start(start=False)
    done = run("-R", pw.ini_path, env={**system.clean_environment(), "NOTIFY_SOCKET": "/nonexistent/notify"})
    assert done.returncode == 1 and b"FATAL cannot reboot under service manager" in done.stderr


# Start.


def test_start_lines(start):
    pw = start()
    up = pw.logged("process up: ")
    assert re.search(r"LOG process up: pgweir \S+ \(PgBouncer 1\.25\.2 compatible\), libevent \S+, adns: c-ares \S+, tls: OpenSSL", up[0])
    order = [pw.lines.index(pw.logged(text)[0]) for text in ("kernel file descriptor limit", "listening on 127", "process up")]
    assert order == sorted(order)


def test_descriptor_limit_is_raised(start):
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] < 0:
        pytest.skip("no hard limit")
    pw = start(through=["prlimit", "--nofile=%d:%d" % (min(256, before[1]), before[1])])
    assert pw.wait_log(r"kernel file descriptor limit: %d \(hard: %d\); max_client_conn: \d+, max expected fd use: \d+"
                     % (before[1], before[1]))
    with open("/proc/%d/limits" % pw.pid) as limits:
        assert re.search(r"Max open files +%d +%d" % (before[1], before[1]), limits.read())


def test_limit_that_does_not_suffice_is_warned_of(start):
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if not 0 < limit < 1 << 20:
        pytest.skip("the limit of this machine suffices for everybody")
    pw = start(settings={"max_client_conn": limit + 1})
    assert pw.wait_log("WARNING the file descriptor limit of %d is less than" % limit)


def test_umask_and_directory_stay(start):
    pw = start()
    with open("/proc/%d/status" % pw.pid) as status:
        mask = re.search(r"Umask:\s+(\d+)", status.read()).group(1)
    own = os.umask(0)
    os.umask(own)
    assert int(mask, 8) == own and os.readlink("/proc/%d/cwd" % pw.pid) == "/"


# systemd.


@pytest.fixture
def manager():
    one = Manager()
    yield one
    one.socket.close()


def test_notices_of_a_life(start, manager):
    pw = start(environment={"NOTIFY_SOCKET": manager.path}, settings={"stats_period": 1})
    manager.expect("READY=1")
    manager.expect(r"STATUS=running: 0 clients, 0 waiting, 0 servers, 0 queries/s")
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    pw.signal(signal.SIGHUP)
    notice = manager.expect(r"RELOADING=1\nMONOTONIC_USEC=\d+")
    assert before <= int(notice.rsplit("=", 1)[1]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    manager.expect("READY=1")
    conn = pw.connect()
    pw.signal(signal.SIGTERM)
    manager.expect("STOPPING=1")
    conn.terminate()
    assert ends(pw) == 0


def test_a_reload_that_fails_is_over_too(start, manager):
    pw = start(environment={"NOTIFY_SOCKET": manager.path})
    manager.expect("READY=1")
    system.write_file(pw.ini_path, "[nonsense\n")
    pw.signal(signal.SIGHUP)
    manager.expect(r"RELOADING=1\nMONOTONIC_USEC=\d+")
    manager.expect("READY=1")
    assert pw.connect().scalar("SELECT 1") == "1"


def test_watchdog_is_fed(start, manager):
    pw = start(environment={"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "1000000"})
    manager.expect("READY=1")
    for _ in range(3):
        begin = time.monotonic()
        manager.expect("WATCHDOG=1")
        assert time.monotonic() - begin < 1 * SLOW
    pw.signal(signal.SIGSTOP)
    try:
        system.wait_for(lambda: system.stopped(pw.pid), what="the process to stop")
        while not manager.silent(0.001):
            pass
        assert manager.silent(1.5), "a process that hangs does not say that it lives"
    finally:
        pw.signal(signal.SIGCONT)
    manager.expect("WATCHDOG=1")


def listening(family, address, both=False):
    sock = socket.socket(family, socket.SOCK_STREAM)
    if both:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(address)
    if family == socket.AF_UNIX:
        os.chmod(address, 0o777)
    sock.listen(16)
    return sock


def activated(pw, sockets):
    """Starts `pw` as systemd does: the sockets from descriptor 3 on, LISTEN_PID its own pid."""
    starter = ("import os,sys\n"
               "fds=[int(x) for x in sys.argv[1].split(',')]\n"
               "high=[os.dup2(fd, 100+at) for at,fd in enumerate(fds)]\n"
               "[os.dup2(fd, 3+at) for at,fd in enumerate(high)]\n"
               "[os.close(fd) for fd in high]\n"
               "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(fds)))\n"
               "os.execv(sys.argv[2], sys.argv[2:])\n")
    numbers = [s.fileno() for s in sockets]
    return subprocess.Popen(["/usr/bin/python3", "-c", starter, ",".join(map(str, numbers)), runnable_binary(), pw.ini_path],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/",
                            pass_fds=numbers, env=system.clean_environment(), **system.popen_identity())


def test_socket_activation(start):
    pw = start(start=False, settings={"listen_addr": "127.0.0.1, 127.0.0.2"})
    path = "%s/.s.PGSQL.%d" % (pw.directory, pw.port)
    sockets = [listening(socket.AF_INET, ("127.0.0.1", pw.port)), listening(socket.AF_UNIX, path)]
    waiting = pw.raw()  # connects before anybody is there
    process = activated(pw, sockets)
    try:
        assert waiting.login("app", "test", pw.USERLIST["app"]).scalar("SELECT 1") == "1"
        assert pw.connect(unix=True).scalar("SELECT 2") == "2"
        for conn in pw._opened:
            conn.close()
    finally:
        process.send_signal(signal.SIGQUIT)
        text = process.communicate(timeout=30)[1].decode()
    assert process.returncode == 0, text
    for number in (3, 4):
        assert "LOG socket passed from service manager (fd %d)" % number in text
    assert re.search("WARNING .*listen_addr.*ignored", text)
    assert os.path.exists(path), "the socket unit's file is the socket unit's"


def test_an_ipv6_listener_of_the_ini_takes_ipv6_only(start):
    """As PgBouncer's, and so `*` can have one of each."""
    pw = start(start=False, settings={"listen_addr": "::"})
    pw.host = "::1"
    pw.start()
    assert pw.connect(host="::1").scalar("SELECT 1") == "1"
    with pytest.raises(ConnectionRefusedError):
        pw.raw(host="127.0.0.1")


def test_ipv4_clients_of_a_socket_for_both_families(start):
    """`ListenStream=6432` makes one: an IPv4 client comes as ::ffff:127.0.0.1, and is 127.0.0.1 to rules, tables and logs."""
    pw = start(start=False, hba="host all all 127.0.0.1/32 trust\nhost all admin ::1/128 trust\n",
               settings={"application_name_add_host": 1})
    process = activated(pw, [listening(socket.AF_INET6, ("::", pw.port), both=True)])
    try:
        conn = pw.connect(application_name="here")
        port = conn.sock.getsockname()[1]
        assert conn.scalar("SHOW application_name") == "here - 127.0.0.1:%d" % port
        with pytest.raises(wire.ServerError, match="no authentication method is found"):
            pw.connect(host="::1")
        row = next(r for r in pw.connect("admin", "pgweir", host="::1").query("SHOW CLIENTS").dicts() if r["user"] == "app")
        assert (row["addr"], row["port"], row["local_addr"]) == ("127.0.0.1", str(port), "127.0.0.1")
        for opened in pw._opened:
            opened.close()
    finally:
        process.send_signal(signal.SIGQUIT)
        text = process.communicate(timeout=30)[1].decode()
    assert process.returncode == 0, text
    assert "test/app@127.0.0.1:%d login attempt" % port in text and "ffff" not in text, text


def test_sockets_of_no_use_are_left_alone(start):
    pw = start(start=False)
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    process = activated(pw, [datagrams, listening(socket.AF_INET, ("127.0.0.1", pw.port))])
    try:
        assert pw.connect().scalar("SELECT 1") == "1"
        for conn in pw._opened:
            conn.close()
    finally:
        process.send_signal(signal.SIGQUIT)
        text = process.communicate(timeout=30)[1].decode()
    assert process.returncode == 0 and "passed from service manager (fd 4)" in text and "(fd 3)" not in text, text


# Standard error.


class Stderr:
    """pgweir with a standard error of our making."""

    def __init__(self, pw, write_end, **environment):
        self.pw = pw
        self.process = subprocess.Popen([runnable_binary(), pw.ini_path], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=write_end, cwd="/",
                                        env={**system.clean_environment(), **environment}, **system.popen_identity())

    def __enter__(self):
        def up():
            try:
                self.pw.raw().close()
                return True
            except OSError:
                return False

        system.wait_for(up, 20 * SLOW, "pgweir to listen")
        return self.process

    def __exit__(self, *_):
        for conn in self.pw._opened:
            conn.close()
        self.process.send_signal(signal.SIGQUIT)
        assert self.process.wait(20 * SLOW) == 0


def test_journal_gets_priorities(start):
    pw = start(start=False)
    read_end, write_end = os.pipe()
    info = os.fstat(write_end)
    with Stderr(pw, write_end, JOURNAL_STREAM="%d:%d" % (info.st_dev, info.st_ino)):
        pw.refused("evil\n<0>panic")
    os.close(write_end)
    with os.fdopen(read_end, "rb") as stream:
        lines = stream.read().decode().splitlines()
    assert [line for line in lines if re.match(r"<6>process up: pgweir", line)]
    assert [line for line in lines if re.match(r"<4>C-0x[0-9a-f]+: .*", line)], lines
    assert all(re.match(r"<[2-7]>", line) for line in lines), lines
    assert [line for line in lines if "panic" in line and re.match(r"<[46]>\t<0>panic", line)]


def test_a_standard_error_nobody_reads_stops_nothing(start):
    """A pipe that is full, with the blocking mode that pipes have: queries and logins go on."""
    pw = start(start=False)
    read_end, write_end = os.pipe()
    with Stderr(pw, write_end):
        begin = time.monotonic()
        for _ in range(1000):
            pw.connect().terminate()
        assert time.monotonic() - begin < 30 * SLOW
        taken = os.read(read_end, 1 << 20).decode()
        assert "lost" not in taken
        pw.connect().terminate()
        system.wait_for(lambda: b"log lines were lost here" in os.read(read_end, 1 << 20), 10 * SLOW, "the confession")
    os.close(read_end)
    os.close(write_end)


def test_a_standard_error_that_is_gone_stops_nothing(start):
    pw = start(start=False)
    read_end, write_end = os.pipe()
    with Stderr(pw, write_end) as process:
        os.close(read_end)
        os.close(write_end)
        for _ in range(20):
            assert pw.connect().scalar("SELECT 1") == "1"
        assert process.poll() is None


# Log file and settings.


def test_log_file_that_cannot_be_opened_at_start(start):
    pw = start(start=False, settings={"logfile": "/nonexistent/dir/log"})
    assert "Cannot open logfile: '/nonexistent/dir/log': No such file" in refused_start(pw)


def test_log_file_that_cannot_be_opened_at_reload(start):
    pw = start(start=False)
    logfile = pw.directory + "/log"
    pw.write_config(logfile=logfile)
    pw.start()
    pw.reload(logfile="/nonexistent/dir/log")
    pw.wait_log("ERROR Cannot open logfile: '/nonexistent/dir/log'")
    pw.connect(application_name="still-logged").terminate()
    system.wait_for(lambda: "closing because: client close request" in open(logfile).read().split("nonexistent")[-1], 10,
                    "the old log file to go on")


def test_log_file_is_private_to_writers(start):
    pw = start(start=False)
    logfile = pw.directory + "/log"
    pw.write_config(logfile=logfile)
    pw.start()
    assert stat.S_IMODE(os.stat(logfile).st_mode) & 0o022 == 0


def test_verbosity_changes_at_run_time(start):
    pw = start()
    for value, wanted in ((2, True), (0, False)):
        pw.admin("SET verbose = %d" % value)
        mark = pw.mark()
        pw.connect().terminate()
        pw.wait_log("client close request", since=mark)
        if not wanted:
            assert not pw.logged(r"\] (DEBUG|NOISE) ", since=mark)


def test_world_readable_pidfile_with_the_right_mode(start):
    pw = start(start=False)
    pw.write_config(pidfile=pw.directory + "/pid")
    pw.start()
    assert stat.S_IMODE(os.stat(pw.directory + "/pid").st_mode) == 0o644


def test_pidfile_in_a_missing_directory(start):
    pw = start(start=False, settings={"pidfile": "/nonexistent/dir/pid"})
    assert "FATAL could not open pidfile '/nonexistent/dir/pid': No such file" in refused_start(pw)


def test_pidfile_of_somebody_else_is_not_removed(start):
    pw = start(start=False)
    pidfile = pw.directory + "/pid"
    pw.write_config(pidfile=pidfile)
    pw.start()
    system.write_file(pidfile, "1\n", 0o644)
    pw.signal(signal.SIGQUIT)
    assert ends(pw) == 0 and open(pidfile).read() == "1\n"


def test_signals_that_come_in_a_burst(start):
    pw = start()
    conn = pw.connect()
    for _ in range(50):
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE):
            pw.signal(number)
    pw.signal(signal.SIGUSR2)
    assert conn.scalar("SELECT 1") == "1"


def test_abstract_unix_socket(start):
    name = "@pgweir-test-%d" % os.getpid()
    first = start(start=False, settings={"unix_socket_dir": name})
    first.start()
    assert first.logged("listening on unix:%s" % name)
    second = start(start=False, settings={"unix_socket_dir": name, "listen_port": first.port, "listen_addr": ""})
    assert "FATAL unix socket is in use, cannot continue" in refused_start(second)
    assert "FATAL cannot reboot with abstract Unix socket" in refused_start(second, "-R")


# The manual.


def test_manual_names_every_option_and_is_clean():
    path = os.path.join(system.ROOT, "man", "pgweir.8")
    with open(path, encoding="utf-8") as source:
        manual = source.read().replace("\\-", "-")
    options = re.findall(r"--[a-z-]+", run("--help").stdout.decode())
    assert len(options) >= 8
    assert [option for option in options if option not in manual] == []
    try:
        done = subprocess.run(["groff", "-man", "-ww", "-Tutf8", "-Z", path], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE)
    except FileNotFoundError:
        pytest.skip("groff is not installed")
    assert done.stderr == b""
