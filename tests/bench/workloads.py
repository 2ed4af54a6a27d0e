"""The workloads, the goals that issue 3 sets for them, and the variants of pgweir, as rows of tables. Data only.

A goal is a bound of pgweir's cost divided by the peer's in the same round. Its key names the peer and the column:
    ("pgbouncer", "plain")      variants whose column is plain          ("pgbouncer", "batched")   sends batched
    ("haproxy", "best")         the best of both                        ("plain", "two-workers")   against variant plain
"""

import dataclasses
import fnmatch

BELOW_PLAIN = "below plain"  # instead of a number: lower than the ratio of variant `plain` to the same peer

PROXIES = ("pgweir", "pgbouncer", "haproxy", "direct")
NO_FORWARDER = ("pgweir", "pgbouncer", "direct")  # HAProxy opens a server connection for every client
POOLERS = ("pgweir", "pgbouncer")


@dataclasses.dataclass(frozen=True)
class Workload:
    name: str
    title: str
    # pgbench, connect (log in, one query, leave), crowd (many clients), copy_out, copy_in, idle (memory), start, reload
    load: str = "pgbench"
    script: str = "select"      # a row of SCRIPTS
    clients: int = 16           # start, reload: entries in the files
    protocol: str = "simple"    # pgbench -M
    rate: int = 0               # pgbench -R; 0: as fast as it goes
    tls: bool = False           # between client and pooler
    user: str = "bench"         # scram: proves a password to the pooler
    database: str = "bench"     # unix: the pooler reaches PostgreSQL through its unix socket
    window: bool = False        # leave out the first second: many logins
    peers: tuple = PROXIES
    goals: dict = dataclasses.field(default_factory=dict)
    quick: bool = False         # part of --quick


# pgbench scripts; `select` and `tpcb` are pgbench's own.
SCRIPTS = {
    "select": ["-b", "select-only"],
    "tpcb": ["-b", "tpcb-like"],
    "rows": "SELECT aid, bid, abalance FROM pgbench_accounts LIMIT 50000;\n",
    "wide": "SELECT repeat('x', 100000) FROM generate_series(1, 100);\n",
}


def goals(plain=None, batched=None, forwarder=None, workers=None):
    """One row of issue 3's table."""
    rows = {("pgbouncer", "plain"): plain, ("pgbouncer", "batched"): batched, ("haproxy", "best"): forwarder,
            ("plain", "two-workers"): workers}
    return {key: bound for key, bound in rows.items() if bound is not None}


WORKLOADS = (
    Workload("select-simple-16", "select, simple protocol, 16 clients", goals=goals(0.95, 0.80, 0.80, 1.10), quick=True),
    Workload("select-simple-64", "select, simple protocol, 64 clients", clients=64, goals=goals(0.82, 0.66, 0.78, 1.20)),
    Workload("select-extended-16", "select, extended protocol, 16 clients", protocol="extended",
             goals=goals(0.96, 0.82, 0.82, 1.10)),
    Workload("select-extended-64", "select, extended protocol, 64 clients", protocol="extended", clients=64,
             goals=goals(0.70, 0.60, 0.75, 1.20)),
    Workload("select-prepared-16", "select, prepared, 16 clients", protocol="prepared",
             goals=goals(0.78, 0.60, 0.77, 1.10), quick=True),
    Workload("select-prepared-64", "select, prepared, 64 clients", protocol="prepared", clients=64,
             goals=goals(0.64, 0.50, 0.76, 1.20)),
    Workload("select-simple-1", "select, 1 client", clients=1, goals=goals(0.95, 0.95, 0.92)),
    Workload("select-part-load", "select, 16 clients, 2,000 a second", rate=2000, goals=goals(0.95, 0.95, 0.92)),
    Workload("select-simple-1000", "select, 1,000 clients over 20 servers", clients=1000, window=True,
             peers=POOLERS, goals=goals(0.70, 0.60)),
    Workload("select-simple-200", "select, 200 clients over 20 servers", clients=200, window=True, peers=POOLERS),
    Workload("select-simple-2000", "select, 2,000 clients over 20 servers", clients=2000, window=True, peers=POOLERS),
    Workload("crowd-20", "a client for each of 20 servers", load="crowd", clients=20, peers=POOLERS, quick=True),
    Workload("crowd-200", "10 clients for each of 20 servers", load="crowd", clients=200, peers=POOLERS),
    Workload("crowd-2000", "100 clients for each of 20 servers", load="crowd", clients=2000, peers=POOLERS),
    Workload("tpcb-16", "pgbench's tpcb-like, 16 clients", script="tpcb", goals=goals(0.95, 0.88, 0.95)),
    Workload("rows-50000", "50,000 small rows, 2 clients", script="rows", clients=2, goals=goals(0.60, None, 0.88),
             quick=True),
    Workload("wide-100kB", "100 rows of 100 kB, 2 clients", script="wide", clients=2, goals=goals(0.28, None, 0.70)),
    Workload("copy-out", "COPY out, 100 MB", load="copy_out", clients=1, goals=goals(0.50, None, 0.90), quick=True),
    Workload("copy-in", "COPY in, 100 MB", load="copy_in", clients=1, goals=goals(0.50, None, 0.90)),
    Workload("connect-trust", "connect, one query, leave: trust", load="connect", clients=4, peers=NO_FORWARDER,
             goals=goals(0.90), quick=True),
    Workload("connect-scram", "connect, one query, leave: SCRAM", load="connect", clients=4, user="scram", peers=POOLERS,
             goals=goals(0.90)),
    Workload("connect-tls", "connect, one query, leave: TLS", load="connect", clients=4, tls=True, peers=POOLERS,
             goals=goals(0.72)),
    Workload("tls-simple-16", "TLS: select, simple protocol, 16 clients", tls=True, peers=POOLERS,
             goals=goals(0.92, BELOW_PLAIN), quick=True),
    Workload("tls-prepared-16", "TLS: select, prepared, 16 clients", tls=True, protocol="prepared", peers=POOLERS,
             goals=goals(0.72, BELOW_PLAIN)),
    Workload("tls-rows-50000", "TLS: 50,000 small rows, 2 clients", tls=True, script="rows", clients=2, peers=POOLERS,
             goals=goals(0.55, BELOW_PLAIN)),
    Workload("tls-wide-100kB", "TLS: 100 rows of 100 kB, 2 clients", tls=True, script="wide", clients=2, peers=POOLERS,
             goals=goals(0.36, BELOW_PLAIN)),
    Workload("idle-plain", "memory per idle client, 5,000 clients", load="idle", clients=5000, peers=POOLERS,
             goals=goals(0.30), quick=True),
    Workload("idle-tls", "memory per idle client, 5,000 TLS clients", load="idle", clients=5000, tls=True, peers=POOLERS,
             goals=goals(0.85)),
    Workload("many-start", "start with 10,000 databases and users", load="start", clients=10000, peers=POOLERS, quick=True),
    Workload("many-reload", "reload of 10,000 databases and users", load="reload", clients=10000, peers=POOLERS, quick=True),
    Workload("unix-simple-16", "unix socket to PostgreSQL: select, simple, 16", database="unix",
             goals=goals(0.95, 0.80, 0.80)),
    Workload("unix-simple-64", "unix socket to PostgreSQL: select, simple, 64", database="unix", clients=64,
             goals=goals(0.82, 0.66, 0.78)),
    Workload("unix-prepared-64", "unix socket to PostgreSQL: select, prepared, 64", database="unix", clients=64,
             protocol="prepared", goals=goals(0.64, 0.50, 0.76)),
)


@dataclasses.dataclass(frozen=True)
class Variant:
    """pgweir with some settings; each is a process of its own. `column`: which goals are its own, empty for none."""
    name: str
    settings: dict = dataclasses.field(default_factory=dict)
    column: str = ""
    binary: str = ""  # another program than the one that was built


# The first two are what is measured unless --variants says more: a system call for each send, and sends batched by
# io_uring (the default of pgweir).
VARIANTS = (
    Variant("plain", {"workers": 1, "batched_sends": 0}, "plain"),
    Variant("batched", {"workers": 1, "batched_sends": 1}, "batched"),
    Variant("two-workers", {"workers": 2, "batched_sends": 0}, "two-workers"),
)
DEFAULT_VARIANTS = "plain batched"


def parse_variant(text, known=VARIANTS):
    """`NAME`, a row of the table, or `NAME:setting=value,bin=/path`: that row, or a new one, with more settings."""
    name, _, rest = text.partition(":")
    base = next((row for row in known if row.name == name), None)
    if base is None and not rest:
        raise ValueError("unknown variant %s; known: %s" % (name, " ".join(row.name for row in known)))
    base = base or Variant(name, {"workers": 1})
    settings, binary = dict(base.settings), base.binary
    for item in filter(None, rest.split(",")):
        key, equals, value = item.partition("=")
        if not equals:
            raise ValueError("a variant is NAME:setting=value,...; not %r" % item)
        if key == "bin":
            binary = value
        else:
            settings[key] = value
    return Variant(name, settings, base.column, binary)


def choose(patterns, quick=False):
    """The rows that match one of the patterns (shell wildcards), in the table's order; without patterns all of them, or
    those of --quick. An unknown pattern is a ValueError."""
    for pattern in patterns:
        if not fnmatch.filter([row.name for row in WORKLOADS], pattern):
            raise ValueError("no workload matches %s; --list names them" % pattern)
    if not patterns:
        return [row for row in WORKLOADS if row.quick or not quick]
    return [row for row in WORKLOADS if any(fnmatch.fnmatch(row.name, pattern) for pattern in patterns)]


def in_quick(workload):
    """The same workload, small enough for --quick."""
    return dataclasses.replace(workload, clients=min(workload.clients, 100), window=False)
