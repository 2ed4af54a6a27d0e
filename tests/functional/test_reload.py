"""Reload is all or nothing, names what needs a restart, and keeps clients."""

import threading

import pytest

from harness import system, wire
from harness.pgweir import SECTION


def failed(result_or_error):
    assert result_or_error.error is not None
    assert result_or_error.error.sqlstate == "F0000"
    assert "RELOAD failed, see logs for additional details" in result_or_error.error.message


def config(pw, name):
    return {row["key"]: row["value"] for row in pw.show("CONFIG")}[name]


def test_settings_are_applied(start):
    pw = start(settings={"query_wait_timeout": 100})
    conn = pw.connect()
    assert pw.reload(query_wait_timeout=7).tags == ["RELOAD"]
    assert config(pw, "query_wait_timeout") == "7"
    assert conn.scalar("SELECT 1") == "1"


def test_sighup(start):
    import signal

    pw = start()
    mark = pw.mark()
    pw.write_config(query_wait_timeout=9)
    pw.signal(signal.SIGHUP)
    pw.wait_log("got SIGHUP, re-reading config", mark)
    system.wait_for(lambda: config(pw, "query_wait_timeout") == "9", 10, "the new value")


@pytest.mark.parametrize("line", ["no_such_setting = 1", "default_pool_size = many", "pool_mode = sometimes", "just words",
                                  "[nonsense]\nx = 1", "%include /nonexistent/file.ini", "query_timeout = -5"])
def test_a_bad_file_changes_nothing(start, line):
    """Nothing: no setting before the error, no database, no peer, no default (PEERS.md, 21)."""
    pw = start(settings={"query_wait_timeout": 33, "default_pool_size": 4, "peer_id": 1},
               peers={2: "host=127.0.0.1 port=2222", 3: "host=127.0.0.1 port=3333"})
    conn = pw.connect()
    peers = pw.show("PEERS")
    before = {row["key"]: row["value"] for row in pw.show("CONFIG")}
    databases = [row["name"] for row in pw.show("DATABASES")]
    pw.settings.update(query_wait_timeout=44, client_idle_timeout=55)
    pw.databases["added"] = pw.databases["test"]
    del pw.databases["test"]
    pw.peers = {2: "host=127.0.0.1 port=2223"}
    system.write_file(pw.ini_path, pw.ini_text() + line + "\n")
    failed(pw.admin("RELOAD", check=False))
    assert {row["key"]: row["value"] for row in pw.show("CONFIG")} == before
    assert [row["name"] for row in pw.show("DATABASES")] == databases
    assert len(peers) == 2 and pw.show("PEERS") == peers
    assert conn.scalar("SELECT 1") == "1" and pw.connect().scalar("SELECT 1") == "1"
    assert pw.wait_log(r"pgweir\.ini:\d+|/nonexistent/file\.ini"), "the file and line must be told"


def test_every_error_is_told(start):
    pw = start()
    mark = pw.mark()
    system.write_file(pw.ini_path, pw.ini_text() + "first_wrong = 1\ndefault_pool_size = x\nsecond_wrong = 2\n")
    failed(pw.admin("RELOAD", check=False))
    for word in ("first_wrong", "default_pool_size", "second_wrong"):
        assert pw.wait_log(word, mark), word


def test_a_missing_file_changes_nothing(start):
    import os

    pw = start()
    os.rename(pw.ini_path, pw.ini_path + ".away")
    failed(pw.admin("RELOAD", check=False))
    assert pw.connect().scalar("SELECT 1") == "1"
    os.rename(pw.ini_path + ".away", pw.ini_path)
    assert pw.admin("RELOAD").tags == ["RELOAD"]


def test_what_needs_a_restart_is_named(start):
    pw = start()
    mark = pw.mark()
    pw.reload(listen_addr="127.0.0.1,::1", listen_backlog=7)
    pw.wait_log("listen_addr .*restart", mark)
    pw.wait_log("listen_backlog .*restart", mark)
    assert pw.connect().scalar("SELECT 1") == "1"


def test_added_and_removed_databases(start):
    pw = start({"test": {}, "gone": {}})
    keeps, loses = pw.connect(), pw.connect(database="gone")
    loses.scalar("SELECT 1")
    del pw.databases["gone"]
    pw.databases["fresh"] = pw.databases["test"]
    mark = pw.mark()
    pw.reload()
    loses.expect_fatal("database removed", "08P01")
    assert pw.wait_log("dropping database 'gone'", mark)
    assert keeps.scalar("SELECT 1") == "1"
    assert pw.connect(database="fresh").scalar("SELECT 1") == "1"
    assert "no such database: gone" in pw.refused(database="gone").message


def test_changed_target_recycles_servers(start, pg, db):
    pw = start()
    conn, linked = pw.connect(), pw.connect()
    assert conn.scalar("SELECT current_database()") == db
    linked.query("BEGIN")
    pw.databases["test"] = {**pw.databases["test"], "dbname": "postgres"}
    pw.reload()
    assert linked.scalar("SELECT current_database()") == db
    linked.query("COMMIT")
    assert linked.scalar("SELECT current_database()") == "postgres"
    assert conn.scalar("SELECT current_database()") == "postgres"
    assert pw.connect().scalar("SELECT current_database()") == "postgres"


@pytest.mark.parametrize("workers", [1, 3])
def test_another_forced_user_is_in_force_for_clients_of_before(start, workers):
    """Their next server is his; they kept the old one until they left."""
    pw = start({"test": {"user": "app"}}, settings={"workers": workers})
    idle, linked, unused, session = pw.connect("postgres"), pw.connect(), pw.connect(), pw.connect()
    assert [conn.scalar("SELECT current_user") for conn in (idle, linked)] == ["app", "app"]
    linked.extended("SELECT current_user", name="who")
    linked.query("BEGIN")
    pw.databases["test"]["user"] = "app2"
    pw.reload()
    assert linked.scalar("SELECT current_user") == "app"
    linked.query("COMMIT")
    linked.send(wire.bind(statement="who"), wire.execute(), wire.sync())
    assert linked.results().scalar() == "app2"
    assert [conn.scalar("SELECT current_user") for conn in (idle, unused)] == ["app2", "app2"]
    pools = {row["user"]: row for row in pw.show("POOLS") if row["database"] == "test"}
    assert int(pools["app"]["cl_active"]) == 1 and int(pools["app2"]["cl_active"]) == 3
    assert {row["user"] for row in pw.show("SERVERS")} == {"app2"}
    # Without a forced user, new clients are themselves; those of before stay who they were made.
    del pw.databases["test"]["user"]
    pw.reload()
    assert session.scalar("SELECT current_user") == "app"
    assert idle.scalar("SELECT current_user") == "app2"
    assert pw.connect("postgres").scalar("SELECT current_user") == "postgres"


def test_an_equal_file_recycles_nothing(start):
    pw = start()
    conn = pw.connect()
    before = conn.scalar("SELECT pg_backend_pid()")
    for _ in range(3):
        pw.reload()
    assert conn.scalar("SELECT pg_backend_pid()") == before


def test_a_missing_userlist_keeps_the_old_one(start):
    """Or refuses the reload; in no case is everybody locked out or let in."""
    import os

    pw = start(settings={"auth_type": "md5"})
    os.unlink(pw.userlist_path)
    pw.admin("RELOAD", check=False)
    pw.wait_log("auth_file")
    assert pw.connect().scalar("SELECT 1") == "1"
    pw.refused(password="wrong")


def test_pool_mode_is_reloaded(start):
    pw = start(settings={"pool_mode": "session", "default_pool_size": 1})
    one = pw.connect()
    one.scalar("SELECT 1")
    pw.reload(pool_mode="transaction")
    one.scalar("SELECT 1")
    assert pw.connect().scalar("SELECT 1") == "1"


def test_reload_under_load(start):
    import threading

    pw = start(settings={"default_pool_size": 2})
    stop, errors = threading.Event(), []

    def work():
        try:
            conn = pw.connect()
            while not stop.is_set():
                assert conn.scalar("SELECT 'x'") == "x"
        except Exception as failure:
            errors.append(failure)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for i in range(20):
        pw.reload(default_pool_size=1 + i % 4, server_lifetime=3600 - i)
    stop.set()
    for thread in threads:
        thread.join()
    assert not errors, errors[:2]


def test_include(start):
    pw = start(start=False)
    extra = pw.directory + "/extra.ini"
    system.write_file(extra, "query_wait_timeout = 77\n")
    system.write_file(pw.ini_path, pw.ini_text() + "%include " + extra + "\n")
    pw.start()
    assert config(pw, "query_wait_timeout") == "77"


def test_both_section_names(start):
    """`[pgbouncer]` and `[pgweir]` are one."""
    for section in {"pgbouncer", SECTION}:
        pw = start(start=False)
        system.write_file(pw.ini_path, pw.ini_text().replace("[%s]" % SECTION, "[%s]" % section))
        pw.start()
        assert pw.connect().scalar("SELECT 1") == "1"


def test_ten_thousand_databases_and_users(start):
    """They all hold after the start, each change holds after a reload, and a client works all the while. (How long that
    takes is measured by tests/bench, workloads many-start and many-reload.)"""
    pw = start(start=False)
    entry = pw.databases["test"]
    pw.databases.update(("db%d" % n, dict(entry)) for n in range(10_000))
    pw.userlist.update(("user%d" % n, "secret-%d" % n) for n in range(10_000))
    pw.settings["auth_type"] = "scram-sha-256"
    pw.write_config()
    pw.start()
    assert pw.connect(database="db0").scalar("SELECT 1") == "1"
    conn = pw.connect(database="db9999")
    busy, stop = [], threading.Event()
    working = threading.Thread(target=lambda: busy.extend(conn.scalar("SELECT 1") for _ in iter(stop.is_set, True)))
    working.start()
    try:
        del pw.databases["db5000"]
        pw.databases["another"] = dict(entry)
        for n in range(0, 5000):
            pw.databases["db%d" % n]["pool_size"] = 3
        pw.userlist["user77"] = "changed"
        before = len(busy)
        assert pw.reload().tags == ["RELOAD"]
        system.wait_for(lambda: len(busy) > before + 10, 30, "queries after the reload")
    finally:
        stop.set()
        working.join()
    assert set(busy) == {"1"}
    shown = {row["name"]: row for row in pw.show("DATABASES")}
    assert len([name for name in shown if name.startswith("db")]) == 9999 and "db5000" not in shown
    assert shown["db4999"]["pool_size"] == "3" and shown["db5001"]["pool_size"] != "3"
    assert pw.connect(database="another").scalar("SELECT 1") == "1"
    assert "no such database: db5000" in str(pw.refused(database="db5000"))
    assert "SASL authentication failed" in str(pw.refused(user="user77", password="secret-77", database="test"))
