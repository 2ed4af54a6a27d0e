"""How many instructions pgweir's own code and its libraries execute for a transaction, counted by callgrind. That is a
tenth of the cost only (the rest is the kernel's), but the count is the same on a busy machine: it shows what a change of the
code brings when the times do not.

Counted is what runs below Loop::run_once, so neither the start nor waiting; and the difference of a long and a short run,
so neither the logins.
"""

import fnmatch
import os
import re
import signal
import subprocess

from harness import postgres, system

import load
import peers
import workloads

COLLECT = "pgweir::net::Loop::run_once*"
STARTS_SLOWLY = 180  # seconds; valgrind is some fifty times slower

# name, options of pgbench, clients, transactions a client in the short run. Those whose name begins with "tls" have TLS to
# the client; a connect is a login, one query, and the end.
ROWS = (
    ("simple", ["-M", "simple"], 16, 60),
    ("extended", ["-M", "extended"], 16, 60),
    ("prepared", ["-M", "prepared"], 16, 60),
    ("tls", ["-M", "simple"], 16, 60),
    ("connect", ["-C"], 4, 25),
    ("connect-scram", ["-C", "-U", "scram"], 4, 25),
    ("tls-connect", ["-C"], 4, 10),
)


class Counted(peers.Pooler):
    """pgweir under callgrind. Its cost is not comparable to anything."""

    patience = STARTS_SLOWLY

    def counts(self):
        return os.path.join(self.directory, "callgrind")

    def command(self):
        return ["valgrind", "--tool=callgrind", "--quiet", "--toggle-collect=" + COLLECT,
                "--callgrind-out-file=" + self.counts(), *super().command()]

    def finish(self):
        """Ends it in its own time, so that it writes what it has counted; the instructions."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(STARTS_SLOWLY)
        with open(self.counts()) as file:
            return total(file.read())


def total(text):
    """The sum in a callgrind file."""
    found = re.search(r"^(?:totals|summary): (\d+)", text, re.M)
    return int(found.group(1)) if found else 0


def count(plain, name, options, clients, each):
    """Of one run."""
    counted = Counted("pgweir", plain.name, plain.postgres, plain.program, plain.certificate, plain.settings)
    try:
        counted.start()
        host, port, database = counted.address(workloads.WORKLOADS[0])
        env = system.clean_environment()
        env["PGSSLMODE"] = "require" if name.startswith("tls") else "disable"
        env["PGPASSWORD"] = peers.SCRAM_PASSWORD
        done = subprocess.run([os.path.join(postgres.binary_directory(), "pgbench"), "-n", "-h", host, "-p", str(port),
                               "-U", "bench", "-b", "select-only", *options, "-c", str(clients), "-t", str(each), database],
                              env=env, capture_output=True, text=True, timeout=300)
        if done.returncode:
            raise load.Failed(done.stderr[-1000:])
        return counted.finish()
    finally:
        counted.stop()


def per_transaction(short, long, clients, each):
    """From the counts of a run and of one three times as long."""
    if short <= 0 or long <= short:
        raise load.Failed("callgrind has counted nothing below %s" % COLLECT)
    return (long - short) / (2 * clients * each)


def choose(patterns):
    """The rows that match one of the patterns (shell wildcards), without patterns all. An unknown one is a ValueError."""
    for pattern in patterns:
        if not any(fnmatch.fnmatch(row[0], pattern) for row in ROWS):
            raise ValueError("no row matches %s; there are %s" % (pattern, " ".join(row[0] for row in ROWS)))
    return [row for row in ROWS if not patterns or any(fnmatch.fnmatch(row[0], pattern) for pattern in patterns)]


def measure(found, rows, say):
    """{variant: {row: instructions a transaction}} for each pgweir of `found`."""
    told = {}
    for peer in found:
        if peer.kind != "pgweir":
            continue
        for name, how, clients, each in rows:
            short, long = (count(peer, name, how, clients, factor * each) for factor in (1, 3))
            told.setdefault(peer.name, {})[name] = per_transaction(short, long, clients, each)
            say("%s, %s: %.0f instructions a transaction" % (peer.name, name, told[peer.name][name]))
    return told
