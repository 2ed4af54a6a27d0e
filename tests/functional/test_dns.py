"""Names of servers: what they are looked up by, how long answers live, and what happens when they change or do not come.
The name server is a real one on a loopback address, which only root may open (port 53): without root these are skipped."""

import os
import socket

import pytest

from harness import system, wire
from harness.fakeserver import FakeServer
from harness.nameserver import A, SOA, NameServer
from harness.pgweir import SLOW

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can open port 53 for a name server")

NAME = "db.test.example"


@pytest.fixture
def dns():
    with NameServer() as server:
        yield server


@pytest.fixture
def servers():
    """What `who` answers with, on 127.0.0.2 and 127.0.0.3, at one port."""

    def named(name):
        def script(session):
            if session.login():
                session.serve(lambda s, sql: s.answer(name) or True if sql.startswith("SELECT 'who'") else False)

        return script

    port = system.free_port()
    with FakeServer(named("two"), host="127.0.0.2", port=port) as two:
        with FakeServer(named("three"), host="127.0.0.3", port=port) as three:
            yield two, three


def settings(dns, **more):
    return {"resolv_conf": dns.resolv_conf(), "server_tls_sslmode": "disable", **more}


def entry(servers, **more):
    return {"host": NAME, "port": servers[0].port, "dbname": "fake", **more}


def who(pw, **more):
    with pw.connect(**more) as conn:
        return conn.scalar("SELECT 'who'")


def host_row(pw, name=NAME):
    row, = [row for row in pw.show("DNS_HOSTS") if row["hostname"] == name]
    return row


def test_resolv_conf_and_what_is_shown(start, pg, db, dns):
    dns.set(NAME, "127.0.0.1")
    dns.set("other.test.example", "127.0.0.1", "::1")
    pw = start({"test": {"host": NAME, "port": pg.port, "dbname": db},
                "again": {"host": "other.test.example", "port": pg.port, "dbname": db}},
               settings=settings(dns, dns_max_ttl=500))
    assert pw.show("DNS_HOSTS") == [] and pw.show("DNS_ZONES") == []
    for database in ("test", "again"):
        assert pw.connect(database=database).scalar("SELECT 1") == "1"
    row = host_row(pw)
    assert row["addrs"] == "127.0.0.1:0" and 400 < int(row["ttl"]) <= 500
    assert set(host_row(pw, "other.test.example")["addrs"].split(",")) == {"127.0.0.1:0", "[::1]:0"}
    assert pw.show("DNS_ZONES") == [{"zonename": "test.example", "serial": "0", "count": "2"}]
    lists = {row["list"]: row["items"] for row in pw.show("LISTS")}
    assert (lists["dns_names"], lists["dns_zones"], lists["dns_queries"], lists["dns_pending"]) == ("2", "1", "0", "0")
    assert not dns.asked["test.example", SOA], "dns_zone_check_period is 0"


def test_an_answer_too_long_for_a_datagram(start, servers, dns):
    dns.short = True
    dns.set(NAME, "127.0.0.2")
    pw = start({"test": entry(servers)}, settings=settings(dns))
    assert who(pw) == "two" and dns.tcp > 0


def test_names_of_the_hosts_file_and_literals_need_no_name_server(start, pg, db, dns):
    dns.silent = True
    places = {"name": "localhost", "four": "127.0.0.1", "six": "::1"}
    pw = start({k: {"host": host, "port": pg.port, "dbname": db} for k, host in places.items()}, settings=settings(dns))
    for database in places:
        assert pw.connect(database=database).scalar("SELECT 1") == "1"


def test_a_file_that_is_not_there(start, servers):
    pw = start({"test": entry(servers)}, settings={"resolv_conf": "/nowhere/resolv.conf", "client_login_timeout": 1})
    with pytest.raises(Exception):
        who(pw)
    pw.wait_log("DNS lookup failed: %s: resolv_conf /nowhere/resolv.conf: No such file" % NAME)


def test_connections_go_round_over_the_addresses(start, servers, dns):
    dns.set(NAME, "127.0.0.2", "127.0.0.3")
    pw = start({"test": entry(servers)}, settings=settings(dns, pool_mode="session", dns_max_ttl=1000))
    conns = [pw.connect() for _ in range(4)]
    assert sorted(conn.scalar("SELECT 'who'") for conn in conns) == ["three", "three", "two", "two"]
    assert dns.asked[NAME, A] == 1, "one answer serves them all"


def test_answers_live_for_dns_max_ttl(start, servers, dns):
    dns.set(NAME, "127.0.0.2")
    pw = start({"test": entry(servers)}, settings=settings(dns, dns_max_ttl=2))
    assert who(pw) == "two"
    dns.set(NAME, "127.0.0.3")

    def reconnected():
        pw.admin("RECONNECT")
        return who(pw)

    assert reconnected() == "two" and dns.asked[NAME, A] == 1
    system.wait_for(lambda: reconnected() == "three", 20 * SLOW, "the new address")
    assert dns.asked[NAME, A] == 2
    assert host_row(pw)["addrs"] == "127.0.0.3:0"


def test_failures_live_for_dns_nxdomain_ttl(start, servers, dns):
    pw = start({"test": entry(servers)}, settings=settings(dns, dns_nxdomain_ttl=3, server_login_retry=0.1))
    conn = pw.raw()
    conn.send(wire.startup({"user": "app", "database": "test"}))
    pw.wait_log("closing because: server DNS lookup failed")
    mark = pw.mark()
    pw.wait_log("closing because: server DNS lookup failed", since=mark)
    assert dns.asked[NAME, A] == 1, "the failure is believed"
    assert host_row(pw)["addrs"] == ""
    dns.set(NAME, "127.0.0.3")
    conn.authenticate("app", "")
    conn.read_welcome()
    assert conn.scalar("SELECT 'who'") == "three"


@pytest.mark.parametrize("trouble", ["silent", "nothing"])
def test_old_answers_serve_while_there_are_no_new_ones(start, servers, dns, trouble):
    dns.set(NAME, "127.0.0.2")
    pw = start({"test": entry(servers)}, settings=settings(dns, dns_max_ttl=0, dns_nxdomain_ttl=0))
    assert who(pw) == "two"
    asked = dns.asked[NAME, A]
    if trouble == "silent":
        dns.silent = True
    else:
        dns.set(NAME)
    pw.admin("RECONNECT")
    assert who(pw) == "two"
    assert dns.asked[NAME, A] > asked and servers[0].connections == 2
    assert host_row(pw)["addrs"] == "127.0.0.2:0"


def test_silent_name_servers_hold_up_nobody_else(start, pg, db, dns):
    """Thirty names without an answer: each lookup ends by its deadline, other databases do not feel them."""
    dns.silent = True
    databases = {"lost%d" % i: {"host": "lost%d.test.example" % i, "dbname": db} for i in range(30)}
    pw = start({**databases, "good": {"host": "127.0.0.1", "port": pg.port, "dbname": db},
                "named": {"host": "localhost", "port": pg.port, "dbname": db}},
               settings=settings(dns, server_connect_timeout=10, client_login_timeout=60))
    for name in databases:
        pw.raw().send(wire.startup({"user": "app", "database": name}))
    dns.wait_asked("lost0.test.example")
    for database in ("named", "good"):
        assert pw.connect(database=database).scalar("SELECT 1") == "1"
    assert not pw.logged("DNS lookup failed"), "the others were served before the first of them gave up"
    for name in databases:
        pw.wait_log("DNS lookup failed: %s.test.example: name lookup timed out" % name, timeout=30)


def test_servers_leave_an_address_that_is_gone(start, servers, dns):
    """Also those of a host list, and not the others."""
    dns.set(NAME, "127.0.0.2", "127.0.0.3")
    pw = start({"test": entry(servers, host=NAME + ",127.0.0.2", pool_size=6)},
               settings=settings(dns, pool_mode="session", dns_max_ttl=1000, dns_zone_check_period=0.2))
    dns.serials["test.example"] = 1
    conns = [pw.connect() for _ in range(5)]
    for conn in conns:
        conn.scalar("SELECT 'who'")

    def places():
        return sorted(row["addr"] for row in pw.show("SERVERS") if row["close_needed"] == "0")

    held = places()
    assert "127.0.0.3" in held and "127.0.0.2" in held
    system.wait_for(lambda: pw.show("DNS_ZONES")[0]["serial"] == "1", 20, "the zone's serial number")
    dns.set(NAME, "127.0.0.2")
    dns.serials["test.example"] = 2
    system.wait_for(lambda: places() == [one for one in held if one != "127.0.0.3"], 20, "servers to be marked")
    for conn in conns:
        conn.scalar("SELECT 'who'")  # they are not cut
        conn.close()
    system.wait_for(lambda: {row["addr"] for row in pw.show("SERVERS")} == {"127.0.0.2"}, 20, "them to be closed")


def test_zones_are_watched(start, servers, dns):
    dns.set(NAME, "127.0.0.2")
    dns.serials["test.example"] = 2026112800
    pw = start({"test": entry(servers)}, settings=settings(dns, dns_max_ttl=3600, dns_zone_check_period=0.2))
    assert who(pw) == "two"
    system.wait_for(lambda: pw.show("DNS_ZONES") == [{"zonename": "test.example", "serial": "2026112800", "count": "1"}],
                    20, "the serial number")
    dns.set(NAME, "127.0.0.3")
    asked = dns.asked["test.example", SOA]
    dns.wait_asked("test.example", SOA, more_than=asked + 1)
    assert who(pw) == "two" and dns.asked[NAME, A] == 1, "the zone has not changed"
    dns.serials["test.example"] += 1
    pw.wait_log(r"DNS zone test.example has changed \(serial 2026112801\)")
    system.wait_for(lambda: who(pw) == "three", 20, "the new address, without RECONNECT and before dns_max_ttl")


def test_a_zone_without_a_serial_number_is_told_of_once(start, servers, dns):
    dns.set(NAME, "127.0.0.2")
    pw = start({"test": entry(servers)}, settings=settings(dns, dns_zone_check_period=0.1))
    assert who(pw) == "two"
    dns.wait_asked("test.example", SOA, more_than=2)
    assert len(pw.logged("DNS zone test.example: no serial number")) == 1
    assert who(pw) == "two"


def test_a_dead_address_is_waited_for_once(start, servers, dns):
    """One of two addresses swallows every packet: the first connection learns it, later ones do not try it first."""
    dead = socket.socket()
    dead.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    dead.bind(("127.0.0.4", servers[0].port))
    dead.listen(0)
    fill = [socket.socket() for _ in range(4)]
    for one in fill:
        one.setblocking(False)
        one.connect_ex(("127.0.0.4", servers[0].port))
    dns.set(NAME, "127.0.0.4", "127.0.0.3")
    pw = start({"test": entry(servers, pool_size=8)},
               settings=settings(dns, pool_mode="session", server_connect_timeout=4, dns_max_ttl=1000))
    conns = []
    for _ in range(2):  # one of the two begins with the dead address
        conns.append(pw.connect())
        assert conns[-1].scalar("SELECT 'who'") == "three"
    pw.wait_log(r"127\.0\.0\.4:\d+: timeout")
    mark = pw.mark()
    for _ in range(5):
        conns.append(pw.connect())
        assert conns[-1].scalar("SELECT 'who'") == "three"
    assert not pw.logged(r"127\.0\.0\.4", since=mark)
    assert servers[1].connections >= 7
