"""Settings that no other file is about: each does what compat/settings.tsv says."""

import grp
import os

import pytest

from harness import system, wire
from harness.pgweir import SLOW


def test_disable_pqexec(start):
    """Simple queries end the connection; the extended protocol goes on."""
    pw = start(settings={"disable_pqexec": 1})
    conn = pw.connect()
    assert conn.extended("SELECT 1").scalar() == "1"
    conn.send(wire.query("SELECT 1"))
    conn.expect_fatal("PQexec disallowed")


def test_login_notify_message(start):
    pw = start(settings={"login_notify_message": "maintenance at noon"})

    def notices():
        return [m.error() for m in pw.connect().greeting if m.type == "N"]

    notice, = notices()
    assert notice["M"] == "maintenance at noon" and notice["S"] == "NOTICE"
    pw.reload(login_notify_message="")
    assert notices() == []


def test_autodb_idle_timeout(start):
    """A database that "*" made goes when nobody has used it for so long, one from the file stays."""
    pw = start({"*": {}, "named": {}}, settings={"autodb_idle_timeout": 1, "server_idle_timeout": 1})

    def names():
        return {row["name"] for row in pw.show("DATABASES")}

    conn, named = pw.connect(database="postgres"), pw.connect(database="named")
    assert {"postgres", "named"} <= names()
    conn.close()
    named.close()
    system.wait_for(lambda: "postgres" not in names(), 20, "the automatic database to go")
    assert "named" in names()
    assert pw.connect(database="postgres").scalar("SELECT 1") == "1"


def test_autodb_in_use_stays(start):
    pw = start({"*": {}, "short": {}}, settings={"autodb_idle_timeout": 1, "server_idle_timeout": 1})
    used, left = pw.connect(database="postgres"), pw.connect(database="template1")
    left.close()
    system.wait_for(lambda: "template1" not in {row["name"] for row in pw.show("DATABASES")}, 20, "the other one to go")
    assert "postgres" in {row["name"] for row in pw.show("DATABASES")}
    assert used.scalar("SELECT 1") == "1"


def test_pool_idle_timeout(start):
    """A pool, with its counters, goes when nobody has used it for so long; those in use, and the database, stay."""
    pw = start({"test": start.entry(), "other": start.entry()}, settings={"pool_idle_timeout": 1, "server_idle_timeout": 0.5, "workers": 3})

    def pools():
        return {(row["database"], row["user"]) for row in pw.show("POOLS")}

    used = pw.connect(database="other")
    used.scalar("SELECT 1")
    for _ in range(6):  # on each worker
        with pw.connect() as conn:
            conn.scalar("SELECT 1")
    assert ("test", "app") in pools()
    system.wait_for(lambda: ("test", "app") not in pools(), 20 * SLOW, "the pool to go")
    assert "test" not in {row["database"] for row in pw.show("STATS")}
    assert ("other", "app") in pools() and "test" in {row["name"] for row in pw.show("DATABASES")}
    with pw.connect() as conn:
        assert conn.scalar("SELECT 1") == "1"
    row, = [row for row in pw.show("STATS") if row["database"] == "test"]
    assert row["total_query_count"] == "1", "its counters begin anew"
    pw.reload(pool_idle_timeout=0)
    pw.wait_pool(sv_idle=0)
    assert ("test", "app") in pools()


def test_pools_come_and_go_under_load(start, pg, db):
    """Logins while their pool is being given up: none fails, and pool_size holds."""
    pw = start(settings={"pool_idle_timeout": 0.01, "server_idle_timeout": 0.01, "server_lifetime": 0, "default_pool_size": 2,
                         "workers": 3})
    for _ in range(6):
        for _ in range(5):
            conns = [pw.connect() for _ in range(4)]
            for conn in conns:
                assert conn.scalar("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                                   "AND usename = 'app'") in ("1", "2")
                conn.close()
        pw.wait_pool(cl_active=0, sv_idle=0, sv_active=0, sv_used=0)


@pytest.mark.parametrize("count", [0, 1, 1000000])
def test_sbuf_loopcnt(start, count):
    pw = start(settings={"sbuf_loopcnt": count})
    conn, other = pw.connect(), pw.connect()
    conn.send(wire.query("SELECT repeat('x', 100000) FROM generate_series(1, 300)"))
    assert other.scalar("SELECT 1") == "1"
    got = conn.read_until("Z")
    assert sum(m.type == "D" for m in got) == 300


@pytest.mark.parametrize("ttl", [100, 3000])
def test_dns_max_ttl(start, ttl):
    pw = start({"test": start.entry(host="localhost")}, settings={"dns_max_ttl": ttl, "dns_nxdomain_ttl": 7})
    assert pw.connect().scalar("SELECT 1") == "1"
    row, = [row for row in pw.show("DNS_HOSTS") if row["hostname"] == "localhost"]
    assert ttl - 60 < int(row["ttl"]) <= ttl and "127.0.0.1" in row["addrs"]


def test_dns_nxdomain_ttl(start):
    pw = start({"test": start.entry(host="does-not-exist.invalid")},
               settings={"dns_max_ttl": 7, "dns_nxdomain_ttl": 500, "client_login_timeout": 2, "server_login_retry": 1})
    conn = pw.raw()
    conn.send(wire.startup({"user": "app", "database": "test"}))
    assert pw.wait_log("does-not-exist.invalid")
    row, = [row for row in pw.show("DNS_HOSTS") if row["hostname"] == "does-not-exist.invalid"]
    assert 440 < int(row["ttl"]) <= 500


@pytest.mark.parametrize("settings, established", [
    ({"server_tls_protocols": "tlsv1.2"}, "TLSv1.2/"),
    ({"server_tls_protocols": "tlsv1.3"}, "TLSv1.3/"),
    ({"server_tls_protocols": "tlsv1.2", "server_tls_ciphers": "ECDHE-ECDSA-AES128-GCM-SHA256"},
     "TLSv1.2/ECDHE-ECDSA-AES128-GCM-SHA256"),
    ({"server_tls_protocols": "tlsv1.2", "server_tls_ciphers": "ECDHE-ECDSA-AES256-GCM-SHA384"},
     "TLSv1.2/ECDHE-ECDSA-AES256-GCM-SHA384"),
    ({"server_tls13_ciphers": "TLS_CHACHA20_POLY1305_SHA256"}, "TLSv1.3/TLS_CHACHA20_POLY1305_SHA256"),
    ({"server_tls13_ciphers": "TLS_AES_128_GCM_SHA256"}, "TLSv1.3/TLS_AES_128_GCM_SHA256"),
])
def test_server_tls_choices(start, settings, established):
    pw = start(settings={"server_tls_sslmode": "require", **settings})
    conn = pw.connect()
    assert pw.wait_log("SSL established: " + established)
    version = conn.scalar("SELECT version || '/' || cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
    assert version.startswith(established)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a process groups")
def test_unix_socket_group(start):
    account = system.unprivileged()
    group = next(g for g in grp.getgrall() if g.gr_gid not in (0, account.pw_gid))
    identity = ["setpriv", "--reuid=%d" % account.pw_uid, "--regid=%d" % account.pw_gid, "--groups=%d" % group.gr_gid]
    pw = start(settings={"unix_socket_group": group.gr_name, "unix_socket_mode": "0770"}, as_root=True, through=identity)
    found = os.stat(os.path.join(pw.directory, ".s.PGSQL.%d" % pw.port))
    assert found.st_gid == group.gr_gid and found.st_mode & 0o777 == 0o770


@pytest.mark.parametrize("most, reused", [(10000, False), (1 << 40, True)])
def test_client_cleanup_bytes(start, pg, db, most, reused):
    """How much of what a vanished client had asked for is read to save its server."""
    pw = start(settings={"default_pool_size": 1, "client_cleanup_bytes": most})
    conn, other = pw.connect(), pw.connect()
    backend = other.scalar("SELECT pg_backend_pid()")
    conn.send(wire.query("SELECT repeat('x', 8000) FROM generate_series(1, 100000)"))
    system.wait_for(lambda: [r for r in pg.backends(db, "wait_event") if r["wait_event"] == "ClientWrite"], 30,
                    "PostgreSQL to wait for room in full sockets")
    conn.abort()
    assert (other.scalar("SELECT pg_backend_pid()") == backend) == reused
