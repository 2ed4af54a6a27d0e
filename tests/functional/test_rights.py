"""The console's rights: every command and every kind of user (CVE-2026-6667 was a command without a check). What each
kind may do is said once, in KINDS; a row of the daemon's table that COMMANDS does not name fails a test."""

import os
import re

import pytest

from harness import system, wire
from harness.pgweir import CONSOLE, IS_PGWEIR

READ = ["SHOW " + topic for topic in
        "ACTIVE_SOCKETS CLIENTS CONFIG DATABASES DNS_HOSTS DNS_ZONES LISTS MEM PEERS PEER_POOLS POOLS SERVERS SOCKETS STATE "
        "STATS STATS_AVERAGES STATS_TOTALS TOTALS USERS VERSION WORKERS LATENCIES WAITS TRANSACTIONS HELP".split()
        if IS_PGWEIR or topic not in ("WORKERS", "LATENCIES", "WAITS", "TRANSACTIONS")]
ACT = ["PAUSE", "RESUME", "PAUSE test", "RESUME test", "KILL test", "RESUME test", "KILL_CLIENT 999999999", "RECONNECT",
       "RECONNECT test", "RELOAD", "SET query_wait_timeout = 99", "DISABLE test", "ENABLE test", "WAIT_CLOSE",
       "WAIT_CLOSE test", "SUSPEND", "RESUME", "KILL", "RESUME", "SHOW FDS"]
SHUTDOWN = ["SHUTDOWN WAIT_FOR_CLIENTS", "SHUTDOWN WAIT_FOR_SERVERS", "SHUTDOWN"]

# Kind: settings, user, way ("tcp", "unix" as another account, "own" by unix as pgweir's account), what it gets.
# NOBODY is somebody without the right; GHOST is not known at all.
ADMIN, STATS, NOBODY, GHOST = "admin", "stats", "nobody", "ghost"
KINDS = {
    "in admin_users": ({}, "admin", "tcp", ADMIN),
    "in admin_users, by unix": ({}, "admin", "unix", ADMIN),
    "in stats_users": ({}, "stats", "tcp", STATS),
    "in both lists": ({"admin_users": "admin, stats"}, "stats", "tcp", ADMIN),
    "in neither list": ({}, "app", "tcp", NOBODY),
    "in neither list, lists empty": ({"admin_users": "", "stats_users": ""}, "admin", "tcp", NOBODY),
    "unknown": ({}, "ghost", "tcp", GHOST),
    "another case": ({}, "Admin", "tcp", GHOST),
    "a part of a name": ({}, "adm", "tcp", GHOST),
    "in neither list, own account": ({}, "app", "own", NOBODY),
    "in stats_users, own account": ({}, "stats", "own", STATS),
    "pseudo user, own account": ({}, "pgbouncer", "own", ADMIN),
    "pseudo user, by tcp": ({}, "pgbouncer", "tcp", GHOST),
    "pseudo user, another account": ({}, "pgbouncer", "unix", GHOST),
    "any: in neither list": ({"auth_type": "any"}, "app", "tcp", STATS),
    "any: unknown": ({"auth_type": "any"}, "ghost", "tcp", STATS),
    "any: in admin_users": ({"auth_type": "any"}, "admin", "tcp", ADMIN),
    "any: in stats_users": ({"auth_type": "any"}, "stats", "tcp", STATS),
    "any: pseudo user, by tcp": ({"auth_type": "any"}, "pgbouncer", "tcp", STATS),
    "trust: in neither list": ({"auth_type": "trust"}, "app", "tcp", NOBODY),
    "trust: unknown": ({"auth_type": "trust"}, "ghost", "tcp", GHOST),
    "trust: in stats_users": ({"auth_type": "trust"}, "stats", "tcp", STATS),
}
if IS_PGWEIR:
    KINDS["pseudo user of our name, own account"] = ({}, "pgweir", "own", ADMIN)
    KINDS["pseudo user of our name, by tcp"] = ({}, "pgweir", "tcp", GHOST)


def arrives(pw, way):
    if way == "tcp":
        return pw.raw()
    if way == "own":
        with system.unprivileged_identity():
            return pw.raw(unix=True)
    if os.geteuid() != 0:
        pytest.skip("only root can be another account than pgweir's")
    return pw.raw(unix=True)


def begins(start, kind):
    """A pgweir, and a connection to its console that has not logged in."""
    settings, user, way, rights = KINDS[kind]
    pw = start({"test": {"user": "app"}}, settings={"auth_type": "md5", **settings})  # `any` needs a forced user
    return pw, arrives(pw, way), user, rights


def of(*rights):
    return pytest.mark.parametrize("kind", [kind for kind, row in KINDS.items() if row[3] in rights])


@of(NOBODY)
def test_is_not_let_in(start, kind):
    """Refused before any password is asked for, under either name of the console."""
    pw, conn, user, _ = begins(start, kind)
    for name in (CONSOLE, "pgbouncer"):
        conn.send(wire.startup({"user": user, "database": name}))
        got = conn.read_until("E")
        assert [m.type for m in got] == ["E"] and got[0].error()["M"] == "not allowed"
        conn = arrives(pw, KINDS[kind][2])


@of(GHOST)
def test_is_asked_like_anybody_and_fails(start, kind):
    """Whom nobody knows is not told whether the console would have him: it is the same exchange as for a database."""
    pw, conn, user, _ = begins(start, kind)
    trust = "trust" in kind
    for name in (CONSOLE, "pgbouncer", "test"):
        conn.send(wire.startup({"user": user, "database": name}))
        if not trust:
            assert conn.read().type == "R"
            conn.send(wire.message("p", wire.cstr("md5" + 32 * "0")))
        error = conn.read()
        assert error.type == "E"
        assert error.error()["M"] == ('"trust" authentication failed' if trust else "password authentication failed")
        conn = arrives(pw, KINDS[kind][2])


def denied(result):
    return result.error is not None and "admin access needed" in result.error.message


@of(STATS)
def test_may_look_and_not_act(start, kind):
    pw, console, user, _ = begins(start, kind)
    client = pw.connect("app", password=pw.USERLIST["app"])
    client.scalar("SELECT 1")
    console.login(user, CONSOLE, pw.USERLIST.get(user, ""))
    for command in READ:
        assert console.query(command).tags == ["SHOW"], command
    for command in ACT + SHUTDOWN:
        result = console.query(command, check=False)
        assert denied(result) and (result.error.severity, result.error.sqlstate) == ("ERROR", "08P01"), command
        extended = console.extended(command, check=False)
        assert denied(extended), command
    assert client.scalar("SELECT 1") == "1" and pw.alive(), "nothing has happened to anybody"
    shown = {row[0]: row[1] for row in console.query("SHOW CONFIG").rows}
    assert shown["query_wait_timeout"] == "120"
    assert console.query("SHOW STATE").rows[0][0:2] == ["active", "yes"]


@of(ADMIN)
def test_may_act(start, kind):
    _, console, user, _ = begins(start, kind)
    console.login(user, CONSOLE, "" if user in ("pgbouncer", "pgweir") else {"admin": "admin-secret", "stats": "stats-secret"}[user])
    if KINDS[kind][2] == "own":
        assert console.auth_types == [0], "who owns the process need not prove it"
    for command in READ + ACT:
        result = console.query(command, check=False)
        assert not denied(result), command
        if result.error:
            assert re.search("not paused|client not found|already", result.error.message), (command, result.error)


@pytest.mark.parametrize("command", SHUTDOWN)
def test_an_admin_may_shut_down(start, command):
    pw = start()
    console = pw.console()
    console.send(wire.query(command))
    if command != "SHUTDOWN":
        assert console.results().tags
    console.terminate()
    assert pw.wait_exit() == 0


@pytest.mark.skipif(not IS_PGWEIR, reason="reads pgweir's help")
def test_the_lists_name_every_row_of_the_daemon(start):
    """HELP is made from the daemon's tables: a command or topic that is new there must be put into the lists above."""
    (notice,) = start().admin("SHOW HELP").notices
    lines = [line.strip() for line in notice["D"].split("\n") if line.strip()]
    topics = set(lines[0].split(" ", 1)[1].split("|"))
    assert {"SHOW " + topic for topic in topics} == {c for c in READ + ACT if c.startswith("SHOW ")}
    words = {re.match("[A-Z_]+", line).group() for line in lines[1:]}
    assert words == {command.split()[0] for command in ACT + SHUTDOWN if not command.startswith("SHOW ")}
