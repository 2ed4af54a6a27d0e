"""Hostile clients after login: lengths, unknown types, oversize, floods. The process lives, others are served."""

import random
import struct
import threading

import pytest

from harness import system, wire

LENGTHS = [0, 1, 2, 3, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFB]


@pytest.fixture
def pw(start):
    return start(settings={"default_pool_size": 2, "max_packet_size": 1 << 20})


def fine(pw):
    conn = pw.connect()
    assert conn.scalar("SELECT 1") == "1"
    conn.terminate()


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("kind", list("QPBDECSHFdcfXp"))
def test_bad_length(pw, kind, length):
    """CVE-2026-6664: each length in each message."""
    conn = pw.connect()
    conn.send(kind.encode() + struct.pack("!I", length) + b"SELECT 1\0" * 4)
    conn.sock.shutdown(1)
    got = conn.closed()
    assert all(m.type in "E" for m in got[-1:]), got
    fine(pw)


def test_bad_header_is_named(pw):
    conn = pw.connect()
    conn.send(b"Q" + struct.pack("!I", 3) + b"xxxx")
    conn.expect_fatal("bad packet header", "08P01")


def test_over_max_packet_size(pw):
    conn = pw.connect()
    conn.send(b"Q" + struct.pack("!I", (1 << 20) + 5))
    conn.expect_fatal("bad packet header", "08P01")
    fine(pw)


def test_every_unknown_type(pw):
    known = set(b"QPBDECSHFdcfXp")
    for kind in range(256):
        if kind in known:
            continue
        conn = pw.connect()
        conn.send(bytes([kind]) + struct.pack("!I", 4))
        conn.expect_fatal("unknown pkt", "08P01")
    fine(pw)


def test_password_message_after_login(pw):
    conn = pw.connect()
    conn.send(wire.message("p", b"x\0"))
    conn.sock.shutdown(1)
    conn.closed()
    fine(pw)


def test_lengths_inside_messages(pw):
    """4 GiB in an inner length, negative counts, strings without end."""
    bodies = [
        ("B", b"\0\0" + struct.pack("!hhi", 0, 1, 0x7FFFFFFF)), ("B", b"\0\0" + struct.pack("!hhi", 0, 1, -2)),
        ("B", b"\0\0" + struct.pack("!hh", -1, -1)), ("B", b"\0\0" + struct.pack("!hh", 32767, 32767)),
        ("B", b"x" * 5000), ("P", b"x" * 5000), ("P", b"\0\0" + struct.pack("!h", 32767)), ("P", b"\0\0" + struct.pack("!h", -1)),
        ("D", b"S" + b"x" * 5000), ("D", b"S"), ("C", b"P" + b"x" * 5000), ("E", b"x" * 5000), ("Q", b"x" * 5000), ("Q", b""),
        ("F", b"\0"), ("F", struct.pack("!Ihh", 1, 0, 32767)), ("F", struct.pack("!IhhiI", 1, 0, 1, 0x7FFFFFFF, 0)), ("f", b"x"),
        ("S", b"extra"), ("H", b"extra"), ("c", b"extra"), ("X", b"extra"),
    ]
    for kind, body in bodies:
        conn = pw.connect()
        conn.send(wire.message(kind, body), wire.sync())
        conn.sock.shutdown(1)
        conn.closed()
    fine(pw)
    pw.wait_pool(sv_active=0, cl_active=0)


def test_copy_messages_out_of_place(pw):
    """They are dropped when there is no COPY, take no server, and leave the connection in order."""
    conn = pw.connect()
    conn.send(wire.copy_data(b"x"), wire.copy_done(), wire.copy_fail("x"), wire.query("SELECT 1"))
    assert conn.results().rows == [["1"]]
    conn.send(wire.copy_data(b"x" * 100000))
    pw.wait_pool(sv_active=0)
    assert conn.scalar("SELECT 2") == "2"


def test_random_bytes_after_login(pw):
    source = random.Random(7)
    for _ in range(100):
        conn = pw.connect()
        try:
            conn.send(source.randbytes(source.randint(1, 400)))
            conn.sock.shutdown(1)
        except OSError:
            pass
        conn.closed()
    fine(pw)
    pw.wait_pool(sv_active=0, cl_active=0)


def test_random_messages_after_login(pw):
    """Right frames, random bodies, in random order: neither a crash nor an answer to somebody else."""
    source = random.Random(11)
    makers = [lambda: wire.parse("SELECT 1", source.choice(["", "a", "b"])), lambda: wire.bind([], source.choice(["", "a", "b"])),
              wire.execute, wire.sync, wire.flush, lambda: wire.describe("S", source.choice(["", "a"])), lambda: wire.describe("P"),
              lambda: wire.close("S", source.choice(["", "a", "b"])), lambda: wire.query("SELECT 1"), lambda: wire.query("SELECT 1/0"),
              lambda: wire.copy_data(b"1\n"), wire.copy_done, lambda: wire.query("COPY (SELECT 1) TO STDOUT"),
              lambda: wire.query("BEGIN"), lambda: wire.query("ROLLBACK"), lambda: wire.function_call(177, [1, 1])]
    for round_number in range(60):
        conn = pw.connect()
        conn.send(*[source.choice(makers)() for _ in range(source.randint(1, 40))])
        if round_number % 3 == 0:
            conn.abort()
        else:
            conn.sock.shutdown(1)
            conn.closed()
    for _ in range(4):
        fine(pw)
    pw.wait_pool(sv_active=0, cl_active=0)


def test_client_that_never_reads(pw):
    """A pipeline whose answers nobody reads: bounded memory, others go on, and the server comes back at the end."""
    before = system.resident_kib(pw.pid)
    conn = pw.connect()
    conn.sock.settimeout(1)
    batch = wire.query("SELECT repeat('x', 100000)") * 100
    try:
        for _ in range(50):
            conn.sock.send(batch)
    except OSError:
        pass
    for _ in range(10):
        fine(pw)
    assert system.resident_kib(pw.pid) - before < 20 * 1024
    conn.abort()
    pw.wait_pool(sv_active=0)


def test_half_a_message(pw):
    """Clients that stop in the middle of a message cost nobody anything once they are gone."""
    conns = [pw.connect() for _ in range(20)]
    for conn in conns:
        conn.send(b"Q" + struct.pack("!I", 1000) + b"SELECT")
    for conn in conns:
        conn.abort()
    for _ in range(5):
        fine(pw)
    pw.wait_pool(sv_active=0, cl_active=0, cl_waiting=0)


def test_login_storm(start):
    pw = start(settings={"auth_type": "scram-sha-256", "max_client_conn": 50})
    errors = []

    def storm():
        for _ in range(20):
            try:
                with wire.Conn(pw.host, pw.port) as conn:
                    conn.login("app", "test", "app-secret")
                    conn.scalar("SELECT 1")
            except wire.ServerError as error:
                if "max_client_conn" not in error.message:
                    errors.append(error)
            except (wire.ConnectionClosed, ConnectionResetError):
                errors.append("closed without a word")

    threads = [threading.Thread(target=storm) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors[:3]
    fine(pw)
