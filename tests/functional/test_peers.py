"""Peers: a cancel request that lands on another process reaches the one that has the client (compat/wire.md, section 6)."""

import socket
import struct
import threading

import pytest

from harness import system, wire
from harness.fakeserver import closed_port


def cancel(pw, key, unix=False):
    conn = pw.raw(unix=unix)
    conn.send(wire.cancel_request(*key))
    return conn


def fleet(start, count=2, settings=None, host=None, listed=None, **options):
    """`count` processes with the ids 1, 2, ... that know each other."""
    all_ = [start(settings={"peer_id": number + 1, **(settings or {})}, **options) for number in range(count)]
    for one in all_:
        one.peers = {number + 1: "host=%s port=%d" % (host(peer) if host else "127.0.0.1", peer.port)
                     for number, peer in enumerate(all_) if listed is None or number + 1 in listed}
        one.reload()
    return all_


def sleeps(pg, db, pw, **params):
    conn = pw.connect(**params)
    conn.send(wire.query("SELECT pg_sleep(60)"))
    system.wait_for(lambda: [r for r in pg.backends(db) if r["state"] == "active" and "pg_sleep" in r["query"]], 20, "it")
    return conn


def maker(key):
    return key[0] >> 16 & 0xff | key[0] & 0xff00


def hops(key):
    return key[1][3] & 3


@pytest.mark.parametrize("workers", [1, 3])
def test_reaches_the_process_that_has_the_client(start, pg, db, workers):
    pws = fleet(start, 3, settings={"workers": workers})
    for number, owner in enumerate(pws):
        for other in pws:
            conn = sleeps(pg, db, owner)
            assert (maker(conn.key), hops(conn.key)) == (number + 1, 3)
            assert cancel(other, conn.key).closed() == []
            assert conn.results().error.sqlstate == "57014"
            assert conn.scalar("SELECT 1") == "1"
            conn.terminate()


def test_large_id(start, pg, db):
    one = start(settings={"peer_id": 16383})
    two = start(settings={"peer_id": 258}, peers={16383: "host=127.0.0.1 port=%d" % one.port})
    conn = sleeps(pg, db, one)
    assert maker(conn.key) == 16383
    cancel(two, conn.key)
    assert conn.results().error.sqlstate == "57014"


def test_by_unix_socket(start, pg, db):
    pws = fleet(start, host=lambda peer: peer.directory)
    conn = sleeps(pg, db, pws[0])
    cancel(pws[1], conn.key)
    assert conn.results().error.sqlstate == "57014"


def test_among_processes_that_share_a_port(start, pg, db):
    """The kernel gives each connection to any of them; each is reached by its own unix socket."""
    port = system.free_port()
    one = start(settings={"peer_id": 1, "so_reuseport": 1, "listen_port": port})
    two = start(settings={"peer_id": 2, "so_reuseport": 1, "listen_port": port})
    for pw in (one, two):
        pw.peers = {n + 1: "host=%s port=%d" % (p.directory, port) for n, p in enumerate((one, two))}
        pw.write_config()
        with pw.raw(unix=True).login("admin", "pgweir", "admin-secret") as console:
            console.query("RELOAD")
    seen = set()
    for _ in range(40):
        conn = sleeps(pg, db, one)
        seen.add(maker(conn.key))
        cancel(one, conn.key)
        assert conn.results().error.sqlstate == "57014"
        conn.terminate()
    assert seen == {1, 2}


def test_waiting_client_of_another(start, pg, db):
    """The answer of the other process counts: a client in its queue is answered at once."""
    pws = fleet(start, settings={"default_pool_size": 1})
    blocker = sleeps(pg, db, pws[0])
    waiting = pws[0].connect()
    waiting.send(wire.query("SELECT 1"))
    pws[0].wait_pool(cl_waiting=1)
    cancel(pws[1], waiting.key)
    assert waiting.results().error.sqlstate == "57014"
    cancel(pws[1], blocker.key)
    assert blocker.results().error.sqlstate == "57014"


def test_keys_that_nobody_has_made(start):
    """Nothing is sent for them, and the connection is closed without a word."""
    pw = start(settings={"peer_id": 1}, peers={1: "host=127.0.0.1 port=1", 2: "host=127.0.0.1 port=%d" % closed_port()})
    assert cancel(pw, (0x01070000, b"abc\x03")).closed() == []
    pw.wait_log("could not find peer to forward request to")
    assert cancel(pw, (0x01020000, b"abc\x00")).closed() == []
    pw.wait_log("failed to forward cancel request because its TTL was exhausted")
    assert cancel(pw, (0x01010000, b"abc\x03")).closed() == []
    pw.wait_log("closing because: failed cancel request")
    since = pw.mark()
    assert cancel(pw, (0x01020000, b"abc\x03")).closed() == []
    pw.wait_log("peer-2@127.0.0.1:.*cancel request failed", since=since)


def test_loop_ends(start):
    """Two processes that send each other what is a third's: three steps, and no more."""
    one, two = start(settings={"peer_id": 1}), start(settings={"peer_id": 2})
    one.peers, two.peers = {3: "host=127.0.0.1 port=%d" % two.port}, {3: "host=127.0.0.1 port=%d" % one.port}
    one.reload()
    two.reload()
    assert cancel(one, (0x01030000, b"abc\x03")).closed() == []
    two.wait_log("its TTL was exhausted")
    for pw in (one, two):
        assert pw.show("PEER_POOLS")[0]["cl_active_cancel_req"] == "0"


class Deaf:
    """A peer that accepts and says nothing; `requests` are what it got."""

    def __init__(self):
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.requests = []
        self.open = []
        threading.Thread(target=self._work, daemon=True).start()

    def _work(self):
        while True:
            try:
                conn, _ = self.sock.accept()
            except OSError:
                return
            self.open.append(conn)
            self.requests.append(conn.recv(16, socket.MSG_WAITALL))

    def close(self):
        self.sock.close()
        for conn in self.open:
            conn.close()


def test_pool_size_of_a_peer(start):
    """So many requests at a time; the others wait for their turn, and for no longer than cancel_wait_timeout."""
    deaf = Deaf()
    pw = start(settings={"peer_id": 1, "cancel_wait_timeout": 0},
               peers={2: "host=127.0.0.1 port=%d pool_size=2" % deaf.port, 3: "host=127.0.0.1 port=%d" % deaf.port})
    rows = {r["peer_id"]: r for r in pw.show("PEERS")}
    assert (rows["2"]["host"], rows["2"]["port"], rows["2"]["pool_size"]) == ("127.0.0.1", str(deaf.port), "2")
    assert rows["3"]["pool_size"] == "20"
    asked = [cancel(pw, (0x01020000 + n, b"abc\x03")) for n in range(5)]

    def row():
        return [r for r in pw.show("PEER_POOLS") if r["peer_id"] == "2"][0]
    expected = {"peer_id": "2", "cl_active_cancel_req": "2", "cl_waiting_cancel_req": "3", "sv_active_cancel": "2",
                "sv_login": "0"}
    system.wait_for(lambda: row() == expected, 20, "two on their way and three that wait")
    assert len(deaf.requests) == 2
    assert all(struct.unpack("!IIIB", r[:13])[1] == 80877102 and r[15] & 3 == 2 for r in deaf.requests)
    for count in range(5):
        system.wait_for(lambda: len(deaf.requests) > count, 20, "request %d" % count)
        deaf.open[count].close()
    for conn in asked:
        assert conn.closed() == []
    system.wait_for(lambda: row()["cl_active_cancel_req"] == "0", 20, "the end of all")
    deaf.close()


def test_deaf_peer_costs_its_requests_only(start, pg, db):
    deaf = Deaf()
    pw = start(settings={"peer_id": 1, "cancel_wait_timeout": 1}, peers={2: "host=127.0.0.1 port=%d" % deaf.port})
    conn = cancel(pw, (0x01020000, b"abc\x03"))
    with pw.connect() as other:
        assert other.scalar("SELECT 1") == "1"
    assert conn.closed() == []
    pw.wait_log("closing because: cancel_wait_timeout")
    deaf.close()


def test_short_keys_among_peers(start):
    """PgBouncer sends on keys of the old form only; so does a client of protocol 3.2 get one in a fleet."""
    pw = start(settings={"peer_id": 1})
    conn = pw.raw()
    conn.login("app", "test", pw.USERLIST["app"], protocol=(3 << 16) | 2)
    assert len(conn.key[1]) == 4


def test_key_of_before_the_reload_that_gave_a_number(start, pg, db):
    pw = start()
    conn = sleeps(pg, db, pw)
    pw.reload(peer_id=5)
    cancel(pw, conn.key)
    assert conn.results().error.sqlstate == "57014"


def test_reload_adds_changes_and_removes(start, pg, db):
    one = start(settings={"peer_id": 1})
    two = start(settings={"peer_id": 2})
    assert two.show("PEERS") == [] and two.show("PEER_POOLS") == []
    two.peers = {1: "host=127.0.0.1 port=%d" % closed_port()}
    two.reload()
    two.peers = {1: "host=127.0.0.1 port=%d pool_size=1" % one.port}
    two.reload()
    conn = sleeps(pg, db, one)
    cancel(two, conn.key)
    assert conn.results().error.sqlstate == "57014"
    two.peers = {}
    two.reload()
    assert two.show("PEERS") == [] and two.show("PEER_POOLS") == []


def test_own_id_in_the_list(start, pg, db):
    pw = start(settings={"peer_id": 1}, peers={1: "host=127.0.0.1 port=%d" % closed_port()})
    conn = sleeps(pg, db, pw)
    cancel(pw, conn.key)
    assert conn.results().error.sqlstate == "57014"
