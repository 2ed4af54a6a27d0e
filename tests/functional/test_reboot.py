"""-R: the place of the process that runs is taken, after its transactions have ended (compat/config_file.md, section 10);
and what a crash leaves behind is no obstacle."""

import os
import signal
import socket

from harness import system, wire


def again(old, start, **kwargs):
    """The same files, started with -R beside the one that runs."""
    new = start(start=False, args=["-R"], settings={**old.settings}, **kwargs)
    new.settings["auth_file"] = new.userlist_path
    new.port = old.port
    new.write_config()
    return new


def test_takes_the_place_after_the_transactions(start):
    old = start()
    old.settings["pidfile"] = os.path.join(old.directory, "pid")
    old.stop()
    old.write_config()
    old.start()
    busy, idle = old.connect(), old.connect()
    busy.query("BEGIN")
    idle.query("SELECT 1")
    new = again(old, start)
    new.start(wait=False)
    new.wait_log("is asked to let its transactions end")
    assert busy.scalar("SELECT 1") == "1"
    busy.query("COMMIT")
    old.wait_exit()
    new.wait_ready()
    assert new.logged("-R is deprecated")
    with open(os.path.join(old.directory, "pid")) as pid:
        assert int(pid.read()) == new.pid
    with new.connect() as conn:
        assert conn.scalar("SELECT 1") == "1"


def test_ends_at_once_who_does_not_end(start):
    old = start()
    busy = old.connect()
    busy.query("BEGIN")
    new = again(old, start)
    new.settings["shutdown_timeout"] = 1
    new.write_config()
    new.start()
    assert new.logged("still has work: it is told to end at once")
    old.wait_exit()
    with new.connect() as conn:
        assert conn.scalar("SELECT 1") == "1"


def test_nobody_to_take_over_from(start):
    pw = start(args=["-R"])
    assert pw.wait_log("WARNING -R is deprecated") and pw.wait_log("LOG old process not found, try to continue normally")
    assert pw.connect().scalar("SELECT 1") == "1"


def test_somebody_who_is_no_pooler(start):
    """Another program on that socket: the start ends with a reason."""
    pw = start(start=False, args=["-R"], expect_status=1)
    path = os.path.join(pw.directory, ".s.PGSQL.%d" % pw.port)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        os.chmod(path, 0o777)
        other.listen()
        pw.start(wait=False)
        conn, _ = other.accept()  # the question whether somebody serves
        conn.close()
        conn, _ = other.accept()
        conn.recv(100)
        conn.sendall(wire.message("E", b"SFATAL\0C08P01\0Mnot you\0\0"))
        conn.close()
        pw.wait_exit()
    assert pw.logged("the old process refuses: not you")


def test_what_a_crash_leaves(start):
    pw = start()
    pidfile = os.path.join(pw.directory, "pid")
    pw.stop()
    pw.write_config(pidfile=pidfile)
    pw.start()
    system.wait_for(lambda: os.path.exists(pidfile) and open(pidfile).read().strip() == str(pw.pid), 10, "its pid file")
    pw.expect_status = -signal.SIGKILL
    pw.signal(signal.SIGKILL)
    pw.wait_exit()
    pw.expect_status = 0
    assert os.path.exists(pidfile) and os.path.exists(os.path.join(pw.directory, ".s.PGSQL.%d" % pw.port))
    since = pw.mark()
    pw.start()
    pw.wait_log("process up", since)  # the unix socket is made after the TCP one, for which start() waits
    assert pw.logged("stale pidfile, removing")
    with pw.connect(unix=True) as conn:
        assert conn.scalar("SELECT 1") == "1"
    assert int(open(pidfile).read()) == pw.pid
