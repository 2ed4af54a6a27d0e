"""Puts one workload on one peer and tells what it cost. The clients' own CPU time is not counted. A result is a dict:

cost, unit         microseconds of the peer's CPU a transaction, or kB of memory a client
user, switches     the user part of that cost; context switches a transaction
handed, locks,     of pgweir, a transaction: servers handed over from another worker, locks taken, and those that
lock_waits         had to wait
tps, mean_ms, p99_ms, transactions, and of pgbench also p50_ms and p999_ms

A run that did not do its work raises Failed.
"""

import contextlib
import glob
import json
import os
import re
import socket
import ssl
import struct
import subprocess
import time

from harness import postgres, system

import peers
import procfs
from results import percentile
from workloads import SCRIPTS

MICROSECONDS, KILOBYTES = "us/txn", "kB/client"


class Failed(Exception):
    pass


class Bench:
    """What every run shares: the programs, a directory for logs, how long a run is."""

    def __init__(self, seconds, directory, programs, copy_file):
        self.seconds = seconds
        self.directory = directory
        self.programs = programs  # where bench_connect and bench_crowd lie
        self.copy_file = copy_file  # what COPY reads
        self.pgbench = os.path.join(postgres.binary_directory(), "pgbench")
        self.psql = os.path.join(postgres.binary_directory(), "psql")
        for name, text in SCRIPTS.items():
            if isinstance(text, str):
                system.write_file(os.path.join(directory, name + ".sql"), text, 0o644)

    def run(self, workload, peer):
        counts = getattr(peer, "workers", dict) if workload.load in ("pgbench", "connect", "crowd") else dict
        before = counts()
        told = getattr(self, "_" + workload.load)(workload, peer)
        after = counts()
        return {**told, **{name: (after[name] - before[name]) / told["transactions"] for name in before}}

    # One log in, many transactions.

    def _pgbench(self, workload, peer):
        host, port, database = peer.address(workload)
        log = os.path.join(self.directory, "latency")
        for old in glob.glob(log + ".*"):
            os.unlink(old)
        script = SCRIPTS[workload.script]
        many = workload.script == "select"
        command = [self.pgbench, "-n", "-h", host, "-p", str(port), "-U", workload.user,
                   "-c", str(workload.clients), "-j", str(min(2, workload.clients)), "-M", workload.protocol,
                   "-T", str(self.seconds), "-P", "1", "-l", "--log-prefix", log,
                   *(["--sampling-rate", "0.2"] if many else []),
                   *(["-R", str(workload.rate)] if workload.rate else []),
                   *(script if isinstance(script, list) else ["-f", os.path.join(self.directory, workload.script + ".sql")]),
                   database]
        before = Costs(peer)
        text, seen = self._watch(command, environment(workload), peer)
        after = Costs(peer)
        done = re.search(r"transactions actually processed: (\d+)", text)
        rate = re.search(r"^tps = ([\d.]+)", text, re.M)
        mean = re.search(r"^latency average = ([\d.]+) ms", text, re.M)
        if not (done and rate and mean and int(done.group(1))):
            raise Failed("pgbench tells no result: " + text[-1000:])
        count = int(done.group(1))
        if workload.window and len(seen) > 1:
            before, after = seen[0][2], seen[-1][2]
            count = sum(tps * (now - last) for (last, _, _), (now, tps, _) in zip(seen, seen[1:]))
        return figures(before, after, count, float(rate.group(1)), float(mean.group(1)), **pgbench_latencies(log))

    def _watch(self, command, env, peer):
        """Runs pgbench; returns its output and (time, tps, costs) at each line of progress."""
        seen, lines = [], []
        with running(command, env) as process:
            for line in process.stdout:
                lines.append(line)
                progress = re.match(r"progress: ([\d.]+) s, ([\d.]+) tps", line)
                if progress:
                    seen.append((float(progress.group(1)), float(progress.group(2)), Costs(peer)))
            status = process.wait()
        text = "".join(lines)
        if status or "aborted" in text:
            raise Failed("pgbench ended with status %d: %s" % (status, text[-1000:]))
        return text, seen

    # A log in for every transaction.

    def _connect(self, workload, peer):
        host, port, database = peer.address(workload)
        target = "host=%s port=%d dbname=%s user=%s" % (host, port, database, workload.user)
        before = Costs(peer)
        done = subprocess.run([os.path.join(self.programs, "bench_connect"), target, str(workload.clients), str(self.seconds)], capture_output=True,
                              text=True, env=environment(workload), timeout=self.seconds + 60)
        after = Costs(peer)
        if done.returncode:
            raise Failed(done.stderr[-1000:])
        told = json.loads(done.stdout)
        return figures(before, after, told["transactions"], told["tps"], told["mean_ms"], p99_ms=told["p99_ms"])

    # Many log in, then all of them ask for one row, again and again; the logins are not in it.

    def _crowd(self, workload, peer):
        host, port, database = peer.address(workload)
        target = "host=%s port=%d dbname=%s user=%s" % (host, port, database, workload.user)
        command = [os.path.join(self.programs, "bench_crowd"), target, str(workload.clients), "2", str(self.seconds)]
        before, lines = None, []
        with running(command, environment(workload)) as process:
            for line in process.stdout:
                lines.append(line)
                if line == "asking\n":
                    before = Costs(peer)
                elif line.startswith("{"):
                    after = Costs(peer)
            status = process.wait(timeout=60)
        if status or not before or not lines[-1].startswith("{"):
            raise Failed("bench_crowd ended with status %d: %s" % (status, "".join(lines)[-1000:]))
        told = json.loads(lines[-1])
        return figures(before, after, told["transactions"], told["tps"], told["mean_ms"],
                       **{what: told[what] for what in ("p50_ms", "p99_ms", "p999_ms")})

    # COPY, one after the other until the time is over.

    def _copy_out(self, workload, peer):
        return self._copy(workload, peer, ["-o", "/dev/null", "-c", "COPY pgbench_accounts TO STDOUT"])

    def _copy_in(self, workload, peer):
        return self._copy(workload, peer, ["-c", "TRUNCATE bench_copy", "-c",
                                           "\\copy bench_copy FROM '%s'" % self.copy_file])

    def _copy(self, workload, peer, what):
        host, port, database = peer.address(workload)
        command = [self.psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", host, "-p", str(port), "-U", workload.user,
                   "-d", database, *what]
        times, before, begun = [], Costs(peer), time.monotonic()
        while not times or time.monotonic() - begun < self.seconds:
            start = time.monotonic()
            done = subprocess.run(command, capture_output=True, text=True, env=environment(workload), timeout=120)
            times.append((time.monotonic() - start) * 1000)
            if done.returncode:
                raise Failed(done.stderr[-1000:])
        elapsed = time.monotonic() - begun
        return figures(before, Costs(peer), len(times), len(times) / elapsed, sum(times) / len(times),
                       p99_ms=percentile(times, 0.99))

    # Memory of clients that do nothing. In a process of its own, because a pooler keeps what it once had.

    def _idle(self, workload, peer):
        fresh = peer.another()
        fresh.start()
        try:
            with contextlib.ExitStack() as opened:
                for _ in range(peers.POOL + 30):
                    opened.enter_context(idle_client(fresh, workload))
                before = procfs.memory_bytes(fresh.pid)
                begun = time.monotonic()
                for _ in range(workload.clients):
                    opened.enter_context(idle_client(fresh, workload))
                elapsed = time.monotonic() - begun
                grown = procfs.memory_bytes(fresh.pid) - before
        except OSError as error:
            raise Failed("%s: %s" % (error, fresh.output()))
        finally:
            fresh.stop()
        return {"cost": grown / 1024 / workload.clients, "unit": KILOBYTES, "transactions": workload.clients,
                "tps": workload.clients / elapsed, "mean_ms": elapsed * 1000 / workload.clients, "p99_ms": None}

    # Many entries in the files. The cost is of the whole start, or of one reload. tps and mean_ms are of the start, or
    # of the queries of one client during a reload; p99_ms is the longest of these: how long the reload stopped it.

    def _start(self, workload, peer):
        with many_entries(peer, workload) as fresh:
            elapsed = time.monotonic() - fresh.begun
            return {"cost": procfs.cpu_ns(fresh.pid) / 1000, "unit": MICROSECONDS, "transactions": 1, "tps": 1 / elapsed,
                    "mean_ms": elapsed * 1000, "p99_ms": None}

    def _reload(self, workload, peer):
        with many_entries(peer, workload) as fresh, idle_client(fresh, workload) as client:
            settle(fresh)
            before = Costs(fresh)
            fresh.reload(" pool_size=7")
            settle(fresh)
            after = Costs(fresh)
            fresh.reload(" pool_size=8")
            times, begun = [], time.monotonic()
            while time.monotonic() < begun + self.seconds:
                times.append(ask(client))
        return figures(before, after, 1, len(times) / self.seconds, sum(times) / len(times), p99_ms=max(times))


class Costs:
    """What a peer has used until now; nothing for a peer without a process of its own."""

    def __init__(self, peer):
        self.values = {"cost": procfs.cpu_ns(peer.pid) / 1000, "user": procfs.user_ns(peer.pid) / 1000,
                       "switches": procfs.switches(peer.pid)} if peer.pid else {}

    def since(self, before, count):
        """For each of `count` transactions."""
        return {name: (value - before.values[name]) / count for name, value in self.values.items()}


def figures(before, after, count, tps, mean, **latencies):
    return {"cost": None, **after.since(before, count), "unit": MICROSECONDS, "transactions": round(count), "tps": tps,
            "mean_ms": mean, **latencies}


def environment(workload):
    env = system.clean_environment()
    env.update(PGSSLMODE="require" if workload.tls else "disable", PGGSSENCMODE="disable", PGCONNECT_TIMEOUT="20",
               PGPASSWORD=peers.SCRAM_PASSWORD)
    return env


@contextlib.contextmanager
def running(command, env):
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, env=env)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()


def pgbench_latencies(prefix):
    """Percentiles in ms of pgbench's transaction logs: client, number, time in us, ..."""
    times = []
    for path in glob.glob(prefix + ".*"):
        with open(path) as log:
            times += [int(line.split(" ", 3)[2]) / 1000 for line in log]
    return {"p50_ms": percentile(times, 0.5), "p99_ms": percentile(times, 0.99), "p999_ms": percentile(times, 0.999)}


def tls_context():
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@contextlib.contextmanager
def idle_client(peer, workload):
    """A client that has logged in and waits. Only what trust needs of the protocol."""
    host, port, database = peer.address(workload)
    with contextlib.ExitStack() as opened:
        client = opened.enter_context(socket.create_connection((host, port), 20))
        if workload.tls:
            client.sendall(struct.pack("!ii", 8, 80877103))
            if client.recv(1) != b"S":
                raise OSError("TLS refused")
            client = opened.enter_context(IDLE_TLS.wrap_socket(client))
        body = b"".join(word + b"\0" for word in (b"user", workload.user.encode(), b"database", database.encode())) + b"\0"
        client.sendall(struct.pack("!ii", len(body) + 8, 196608) + body)
        received = b""
        while not received.endswith(b"Z\0\0\0\x05I"):
            more = client.recv(4096)
            if not more or b"FATAL" in more:
                raise OSError("login failed: %r" % (received + more))
            received += more
        yield client


IDLE_TLS = tls_context()


def ask(client):
    """One query of an idle client; milliseconds."""
    begun = time.monotonic()
    client.sendall(b"Q\0\0\0\x0dSELECT 1\0")
    received = b""
    while not received.endswith(b"Z\0\0\0\x05I"):
        more = client.recv(4096)
        if not more:
            raise OSError("the pooler left")
        received += more
    return (time.monotonic() - begun) * 1000


@contextlib.contextmanager
def many_entries(peer, workload):
    """A fresh process with so many more databases and users as the workload has clients."""
    fresh = peer.another()
    fresh.entries, fresh.patience = workload.clients, 180
    try:
        fresh.start()
        yield fresh
    except OSError as error:
        raise Failed("%s: %s" % (error, fresh.output()))
    finally:
        fresh.stop()


def settle(peer, patience=60):
    """Until it has done what it was doing: until it uses next to nothing for a while."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        before = procfs.cpu_ns(peer.pid)
        time.sleep(0.5)
        if procfs.cpu_ns(peer.pid) - before < 5_000_000:
            return
    raise Failed("%s does not come to rest" % peer.name)
