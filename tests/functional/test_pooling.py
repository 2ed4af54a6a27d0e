"""Pooling: modes and where they are chosen, forced users, the fallback database, order of service."""

import threading
import time

import pytest

from harness import system, wire


def pid(conn):
    return conn.scalar("SELECT pg_backend_pid()")


# Modes.


def test_transaction_mode_shares(start):
    pw = start(settings={"default_pool_size": 1})
    one, two = pw.connect(), pw.connect()
    assert pid(one) == pid(two) == pid(one)


def test_session_mode_keeps_the_server_until_the_client_leaves(start):
    pw = start(settings={"pool_mode": "session", "default_pool_size": 2})
    one, two = pw.connect(), pw.connect()
    first, second = pid(one), pid(two)
    assert first != second and pid(one) == first
    three = pw.connect()
    three.send(wire.query("SELECT pg_backend_pid()"))
    pw.wait_pool(cl_waiting=1)
    one.terminate()
    assert three.results().scalar() == first


def test_session_mode_resets_the_server(start):
    pw = start(settings={"pool_mode": "session", "default_pool_size": 1})
    with pw.connect() as one:
        one.query("SET statement_timeout = '17s'; CREATE TEMP TABLE mine(); PREPARE s AS SELECT 1")
        server = pid(one)
    two = pw.connect()
    assert two.scalar("SHOW statement_timeout") == "0"
    assert two.scalar("SELECT count(*) FROM pg_prepared_statements") == "0"
    assert two.query("SELECT * FROM mine", check=False).error.sqlstate == "42P01"
    assert pid(two) == server


def test_statement_mode(start):
    pw = start(settings={"pool_mode": "statement", "default_pool_size": 1})
    one, two = pw.connect(), pw.connect()
    assert pid(one) == pid(two)
    assert one.query("SELECT 1; SELECT 2").tags == ["SELECT 1", "SELECT 1"]
    one.send(wire.query("BEGIN"))
    one.expect_fatal("transaction blocks not allowed in statement pooling mode", "08P01")
    assert two.scalar("SELECT 1") == "1"


def test_statement_mode_error_keeps_the_client(start):
    pw = start(settings={"pool_mode": "statement"})
    conn = pw.connect()
    assert conn.query("SELECT 1/0", check=False).error.sqlstate == "22012"
    assert conn.scalar("SELECT 1") == "1"


def test_statement_mode_closes_the_server_it_was_begun_on(start, pg, db):
    pw = start(settings={"pool_mode": "statement", "default_pool_size": 1})
    conn = pw.connect()
    conn.send(wire.query("BEGIN"))
    conn.expect_fatal()
    other = pw.connect()
    assert other.query("SELECT 1").status == "I"
    assert all(row["state"] != "idle in transaction" for row in pg.backends(db))


def test_pool_mode_per_database(start):
    pw = start({"tx": {}, "sess": {"pool_mode": "session"}, "stmt": {"pool_mode": "statement"}},
               settings={"pool_mode": "transaction"})
    rows = {}
    for name in ("tx", "sess", "stmt"):
        pw.connect(database=name).scalar("SELECT 1")
    for row in pw.show("POOLS"):
        rows[row["database"]] = row["pool_mode"]
    assert rows["tx"] == "transaction" and rows["sess"] == "session" and rows["stmt"] == "statement"


def test_pool_mode_per_user_beats_the_database(start):
    pw = start({"test": {"pool_mode": "statement"}}, users={"app": {"pool_mode": "session"}})
    conn = pw.connect()
    conn.scalar("SELECT 1")
    assert pw.pool(user="app")["pool_mode"] == "session"
    assert pw.pool(user="app")["sv_active"] == 1
    other = pw.connect("app2")
    other.send(wire.query("BEGIN"))
    other.expect_fatal("transaction blocks not allowed")


# Pools.


def test_one_pool_a_database_and_user(start):
    pw = start({"one": {}, "two": {}})
    pids = {pid(pw.connect(user, database)) for user in ("app", "app2") for database in ("one", "two")}
    assert len(pids) == 4


def test_forced_user(start):
    pw = start({"test": {"user": "app2"}})
    assert pw.connect("app").scalar("SELECT current_user") == "app2"
    one, two = pw.connect("app"), pw.connect("md5user")
    assert pid(one) == pid(two)
    assert [r["user"] for r in pw.show("POOLS") if r["database"] == "test"] == ["app2"]


def test_dbname_maps_the_name(start, db):
    assert start({"alias": {}}).connect(database="alias").scalar("SELECT current_database()") == db


def test_fallback_database(start, pg, db):
    pw = start({"*": "host=%s port=%d" % (pg.host, pg.port), "test": {}})
    assert pw.connect(database="postgres").scalar("SELECT current_database()") == "postgres"
    assert pw.connect(database=db).scalar("SELECT current_database()") == db
    assert pw.wait_log("registered new auto-database: postgres")
    error = pw.refused(database="no_such_database_there")
    assert error.sqlstate == "3D000", error


def test_no_fallback_no_database(start):
    pw = start()
    error = pw.refused(database="nowhere")
    assert (error.severity, error.sqlstate) == ("FATAL", "08P01") and "no such database: nowhere" in error.message


def test_names_arrive_whole(start, pg):
    """Upper case, quotes, semicolons and hashes in names and values survive the ini."""
    pg.query('CREATE DATABASE "MyDB"')
    try:
        pw = start({"MyDB": {}, "my db": {"connect_query": "SELECT 'a;b#c'"}, "UPPER": "host=%s port=%d dbname=MyDB"
                    % (pg.host, pg.port), "MyDB": "host=%s port=%d" % (pg.host, pg.port)})
        assert pw.connect(database="MyDB").scalar("SELECT current_database()") == "MyDB"
        assert pw.connect(database="UPPER").scalar("SELECT current_database()") == "MyDB"
        assert pw.connect(database="my db").scalar("SELECT 1") == "1"
        pw.refused(database="mydb")
        pw.stop()
    finally:
        pg.drop_database('"MyDB"')


def test_connect_query_runs_once_a_server(start):
    pw = start({"test": {"connect_query": "SET statement_timeout = '123s'; SELECT 1"}}, settings={"default_pool_size": 1})
    for _ in range(3):
        assert pw.connect().scalar("SHOW statement_timeout") == "123s" or pw.connect().scalar("SHOW statement_timeout") == "2min 3s"


# Order of service.


def test_first_come_first_served(start):
    pw = start(settings={"default_pool_size": 1})
    holder = pw.connect()
    holder.query("BEGIN")
    clients = [pw.connect() for _ in range(12)]
    holder.query("CREATE TABLE fifo(place serial, who int)")
    holder.query("COMMIT; BEGIN")
    for number, conn in enumerate(clients):
        conn.send(wire.query("INSERT INTO fifo(who) VALUES (%d)" % number))
        pw.wait_pool(cl_waiting=number + 1)
        # Between workers, waiters that came within 5 ms count as having come together (pool.hpp: kQueueSlack).
        seen = time.monotonic()
        system.wait_for(lambda: time.monotonic() > seen + 0.006, interval=0.002)
    holder.query("COMMIT")
    for conn in clients:
        conn.results()
    assert holder.query("SELECT who FROM fifo ORDER BY place").rows == [[str(i)] for i in range(12)]


def test_a_busy_client_does_not_starve_a_waiter(start):
    pw = start(settings={"default_pool_size": 1})
    busy = [pw.connect() for _ in range(4)]
    stop = threading.Event()

    def work(conn):
        while not stop.is_set():
            conn.scalar("SELECT 1")

    threads = [threading.Thread(target=work, args=(conn,)) for conn in busy]
    for thread in threads:
        thread.start()
    try:
        late = pw.connect()
        for _ in range(50):
            late.query("SELECT 2", timeout=5)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_idle_servers_last_in_first_out(start):
    pw = start(settings={"default_pool_size": 3, "workers": 1})  # the order is each worker's own
    conns = [pw.connect() for _ in range(3)]
    for conn in conns:
        conn.query("BEGIN")
    pids = [pid(conn) for conn in conns]
    for conn in conns:
        conn.query("COMMIT")
    assert [pid(conns[0]) for _ in range(4)] == [pids[2]] * 4


def test_a_used_server_serves_the_other_worker(start):
    """What has rested for server_check_delay is still the pool's, whichever worker has it; it is checked before."""
    pw = start(settings={"default_pool_size": 1, "workers": 2, "server_check_delay": 1, "query_wait_timeout": 20})
    here, there = pw.connect(), pw.connect()
    assert all(int(row["clients"]) > 0 for row in pw.show("WORKERS"))  # one each
    first = pid(here)
    pw.wait_pool(sv_used=1)
    assert pid(there) == first
    pw.wait_pool(sv_used=1)
    assert pid(here) == first


def test_a_used_server_of_the_other_worker_is_evicted(start, db):
    pw = start({"test": {}, "other": {}}, users={"app2": {}},
               settings={"max_user_connections": 1, "workers": 2, "server_check_delay": 1, "query_wait_timeout": 20})
    here, there = pw.connect(), pw.connect(database="other")
    assert here.scalar("SELECT 1") == "1"
    pw.wait_pool(sv_used=1)
    assert there.scalar("SELECT 1") == "1"


def test_server_round_robin(start):
    pw = start(settings={"default_pool_size": 3, "server_round_robin": 1, "workers": 1})
    conns = [pw.connect() for _ in range(3)]
    for conn in conns:
        conn.query("BEGIN")
    pids = [pid(conn) for conn in conns]
    for conn in conns:
        conn.query("COMMIT")
    assert [pid(conns[0]) for _ in range(6)] == pids * 2


def test_many_clients_over_few_servers(start):
    pw = start(settings={"default_pool_size": 3, "max_client_conn": 300})
    errors = []

    def work(number):
        try:
            conn = pw.connect()
            for i in range(30):
                assert conn.scalar("SELECT %d" % (number * 1000 + i)) == str(number * 1000 + i)
            conn.terminate()
        except Exception as failure:
            errors.append(failure)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors[:3]
    assert pw.pool()["sv_idle"] <= 3


# Addresses.


def test_unix_socket(start):
    pw = start()
    assert pw.connect(unix=True).scalar("SELECT 1") == "1"


def test_ipv6_and_several_addresses(start):
    pw = start(settings={"listen_addr": "127.0.0.1, ::1"})
    assert pw.connect(host="::1").scalar("SELECT 1") == "1"
    assert pw.connect(host="127.0.0.1").scalar("SELECT 1") == "1"


def test_star_listens_everywhere(start):
    pw = start(settings={"listen_addr": "*"})
    assert pw.connect(host="::1").scalar("SELECT 1") == "1"
    assert pw.connect(host="127.0.0.1").scalar("SELECT 1") == "1"


def test_unix_socket_only(start):
    pw = start(settings={"listen_addr": ""})
    assert pw.connect(unix=True).scalar("SELECT 1") == "1"


def test_unix_socket_mode(start):
    import os
    import stat

    pw = start(settings={"unix_socket_mode": "0770"})
    path = "%s/.s.PGSQL.%d" % (pw.directory, pw.port)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o770


def begin_a_copy_that_fails(conn, rest=60000):
    """Leaves the client in the middle of a CopyData message, its COPY already refused. Returns what it still owes."""
    data = wire.copy_data(b"2\n" * (rest // 2))
    conn.send(wire.copy_data(b"not a number\n") + data[:1000])
    assert [m.type for m in conn.read_until("Z")] == ["E", "Z"]
    return data[1000:] + wire.copy_done()


def test_a_server_is_free_when_the_rest_of_a_failed_copy_has_come(start):
    pw = start(settings={"default_pool_size": 1})
    conn, other = pw.connect(), pw.connect()
    conn.query("CREATE TABLE c(i int)")
    conn.send(wire.query("COPY c FROM STDIN"))
    assert conn.read().type == "G"
    rest = begin_a_copy_that_fails(conn)
    other.send(wire.query("SELECT 1"))
    pw.wait_pool(cl_waiting=1)
    conn.send(rest)
    assert other.results().scalar() == "1"


def test_nothing_is_put_into_the_middle_of_a_message(start):
    """Statements are evicted at a ReadyForQuery, but not while half of a client's message is under way."""
    pw = start(settings={"default_pool_size": 1, "max_prepared_statements": 1})
    conn = pw.connect()
    conn.query("CREATE TABLE c(i int)")
    conn.send(wire.parse("SELECT 1", "a") + wire.parse("SELECT 2", "b") + wire.sync() + wire.query("COPY c FROM STDIN"))
    conn.read_until("G")
    conn.send(begin_a_copy_that_fails(conn) + wire.query("SELECT 7"))
    assert [m.row() for m in conn.read_until("Z") if m.type == "D"] == [[b"7"]]
