"""Starts PostgreSQL and the peers, runs the workloads in turn (A B C A B C ...), reports. tests/bench/run calls it."""

import argparse
import contextlib
import json
import os
import platform
import resource
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
sys.path.insert(0, os.path.join(ROOT, "tests", "functional"))

from harness import certs, postgres, system  # noqa: E402

import instructions  # noqa: E402
import load  # noqa: E402
import peers  # noqa: E402
import plot  # noqa: E402
import results  # noqa: E402
import workloads  # noqa: E402

BUILD = os.path.join(ROOT, "build", "release", "bin")

SETTINGS = {"max_connections": 700, "shared_buffers": "256MB", "wal_level": "minimal", "max_wal_senders": 0,
            "max_replication_slots": 0, "max_wal_size": "8GB", "checkpoint_timeout": "1h", "jit": "off",
            "synchronous_commit": "off"}


def options(arguments):
    parser = argparse.ArgumentParser(prog="tests/bench/run", description="pgweir's cost beside its peers, as ratios.")
    parser.add_argument("--rounds", type=int, help="how often each workload is run on each peer (5)")
    parser.add_argument("--seconds", type=int, help="length of one run (4)")
    parser.add_argument("--scale", type=int, help="pgbench's scale; COPY moves 10 MB for each (10)")
    parser.add_argument("--only", action="append", default=[], metavar="WORKLOAD",
                        help="a name or pattern, repeatable; with --instructions of one of its rows")
    parser.add_argument("--peers", metavar="LIST", help="of pgbouncer,haproxy,direct (all); pgweir is always measured")
    parser.add_argument("--variants", metavar="LIST",
                        help="of pgweir, separated by blanks: %s, or NAME:setting=value,bin=/path (%s)"
                        % (", ".join(row.name for row in workloads.VARIANTS), workloads.DEFAULT_VARIANTS))
    parser.add_argument("--json", metavar="FILE", help="every run and the summary")
    parser.add_argument("--svg", metavar="FILE", help="the ratios as a plot")
    parser.add_argument("--show", metavar="FILE", help="run nothing: the tables (and --svg) of an earlier --json")
    parser.add_argument("--quick", action="store_true", help="one round of one second: shows that it works")
    parser.add_argument("--micro", action="store_true", help="the micro-benchmarks too")
    parser.add_argument("--instructions", action="store_true", help="count pgweir's instructions a transaction instead")
    parser.add_argument("--list", action="store_true", help="name the workloads")
    chosen = parser.parse_args(arguments)
    chosen.rounds = chosen.rounds or (1 if chosen.quick else 5)
    chosen.seconds = chosen.seconds or (1 if chosen.quick else 4)
    chosen.scale = chosen.scale or (1 if chosen.quick else 10)
    try:
        chosen.counted = instructions.choose(chosen.only) if chosen.instructions else []
        chosen.workloads = workloads.choose([] if chosen.instructions else chosen.only, chosen.quick)
        chosen.variants = [workloads.parse_variant(text) for text in (chosen.variants or workloads.DEFAULT_VARIANTS).split()]
    except ValueError as wrong:
        parser.error(str(wrong))
    if chosen.quick:
        chosen.workloads = [workloads.in_quick(row) for row in chosen.workloads]
    chosen.peers = ("pgbouncer,haproxy,direct" if chosen.peers is None else chosen.peers).split(",")
    unknown = set(chosen.peers) - {"pgbouncer", "haproxy", "direct", ""}
    if unknown:
        parser.error("unknown peer " + " ".join(unknown))
    return chosen


def say(words):
    print(words, file=sys.stderr, flush=True)


@contextlib.contextmanager
def database(directory, scale):
    """A private PostgreSQL with pgbench's tables, the roles, and the file that COPY reads."""
    template = postgres.make_template(system.make_directory("template"))
    server = postgres.Postgres(template, settings=SETTINGS)
    try:
        for statement in ("CREATE ROLE bench LOGIN SUPERUSER", "CREATE ROLE scram LOGIN", "CREATE DATABASE bench",
                          "GRANT pg_read_all_data TO scram"):
            server.query(statement)
        tool = os.path.join(postgres.binary_directory(), "pgbench")
        subprocess.run([tool, "-i", "-q", "-s", str(scale), "-h", server.socket_directory, "-p", str(server.port), "-U",
                        "bench", "bench"], check=True, capture_output=True, env=system.clean_environment())
        path = os.path.join(directory, "accounts")
        psql = os.path.join(postgres.binary_directory(), "psql")
        subprocess.run([psql, "-X", "-q", "-h", server.socket_directory, "-p", str(server.port), "-U", "bench", "-d",
                        "bench", "-c", "CREATE UNLOGGED TABLE bench_copy (LIKE pgbench_accounts)", "-c",
                        "\\copy pgbench_accounts TO '%s'" % path], check=True, capture_output=True,
                       env=system.clean_environment())
        yield server, path
    finally:
        server.stop()


def everybody(chosen, server, certificate):
    """The peers that were asked for, not started. The variants of pgweir first."""
    built = os.environ.get("PGWEIR_BIN") or os.path.join(BUILD, "pgweir")
    found = [peers.Pooler("pgweir", row.name, server, os.path.abspath(row.binary or built), certificate, row.settings,
                          row.column) for row in chosen.variants]
    programs = [shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin") for name in ("pgbouncer", "haproxy")]
    if "pgbouncer" in chosen.peers:
        if programs[0]:
            found.append(peers.Pooler("pgbouncer", "pgbouncer", server, programs[0], certificate))
            found[-1].name += "-" + found[-1].version
        if os.environ.get("PGBOUNCER"):
            other = peers.Pooler("pgbouncer", "pgbouncer", server, os.path.abspath(os.environ["PGBOUNCER"]), certificate)
            other.name += "-" + other.version
            other.name += "-other" if other.name in [peer.name for peer in found] else ""
            found.append(other)
    if "haproxy" in chosen.peers and programs[1]:
        found.append(peers.Forwarder(server, programs[1]))
    if "direct" in chosen.peers:
        found.append(peers.Peer("direct", server))
    return found


def measure(bench, workload, peer, number):
    """One run as a row for results.py. Done once more when it fails (a run of a second on a busy machine may not get to
    its first transaction); a second failure is a row too."""
    row = attempt(bench, workload, peer, number)
    return attempt(bench, workload, peer, number) if "failed" in row else row


def attempt(bench, workload, peer, number):
    row = {"workload": workload.name, "peer": peer.name, "kind": peer.kind, "column": peer.column, "round": number,
           "note": peer.note(workload)}
    try:
        row.update(bench.run(workload, peer))
    except (load.Failed, subprocess.TimeoutExpired, OSError, ValueError, RuntimeError) as error:
        row["failed"] = str(error)
        say("FAILED %s on %s: %s" % (workload.name, peer.name, error))
    if not peer.alive():
        row["failed"] = "%s ended" % peer.name
        say("%s ended; started again\n%s" % (peer.name, peer.output()))
        peer.start()
    return row


def measure_all(chosen, bench, found, runs):
    """Appends to `runs`, so that an interrupted measurement is not lost."""
    total = len(chosen.workloads)
    for at, workload in enumerate(chosen.workloads):
        asked = [peer for peer in found if peer.kind in workload.peers and not (workload.load == "idle" and not peer.pid)]
        if not any(peer.kind != "pgweir" for peer in asked) and len(asked) < 2:
            say("%s: nothing to compare with, only figures" % workload.name)
        for number in range(chosen.rounds):
            for peer in asked:
                runs.append(measure(bench, workload, peer, number))
        rows = results.comparisons(runs, workload.name, workload.goals)
        say("[%d/%d] %-20s %s" % (at + 1, total, workload.name, ", ".join(
            "%s/%s %s" % (row["peer"], row["to"], results.number(row["ratio"])) for row in rows if row["ratio"])))


def about(chosen, found, began):
    revision = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return {"began": began, "rounds": chosen.rounds, "seconds": chosen.seconds, "scale": chosen.scale,
            "quick": chosen.quick, "revision": revision.stdout.strip(), "kernel": platform.release(),
            "cores": os.cpu_count(), "load": os.getloadavg(),
            "peers": {peer.name: peer.version for peer in found},
            "variants": {row.name: row.settings for row in chosen.variants}}


def micro():
    program = os.path.join(BUILD, "bench_micro")
    if not os.path.exists(program):
        say("no micro-benchmarks: libbenchmark-dev was missing when the release preset was configured")
        return 1
    return subprocess.run([program, "--benchmark_color=false"], stdin=subprocess.DEVNULL).returncode


def report(summary, told):
    print("\nFigures: medians of %d rounds of %d s. Cost: CPU time of the pooler a transaction, or memory a client.\n"
          % (told["rounds"], told["seconds"]))
    print(results.figures_table(summary))
    if any(row.get("locks") is not None for row in summary["figures"]):
        print("\npgweir's workers among each other, for 1,000 transactions, logins and ticks included.\n")
        print(results.workers_table(summary))
    crowds = [row.name for row in workloads.WORKLOADS if row.load == "crowd"]
    if any(row["workload"] in crowds for row in summary["figures"]):
        print("\nMany clients over few servers: transactions a second, beside each one's own best.\n")
        print(results.crowds_table(summary, crowds))
    print("\nRatios: pgweir's cost divided by the peer's in the same round; median, smallest and largest.\n")
    print(results.ratios_table(summary))
    print("\nThe same, a line a workload.\n")
    print(results.overview_table(summary))
    versions = [version for peer, version in told["peers"].items() if peer.startswith("pgbouncer")]
    if versions and not any(version.startswith("1.25") for version in versions):
        print("\nThe goals are meant against PgBouncer 1.25: PGBOUNCER=/path measures one that was built elsewhere.")
    sys.stdout.flush()


def draw(path, summary, told):
    with open(path, "w") as out:
        out.write(plot.svg(summary, {row.name: row.title for row in workloads.WORKLOADS},
                           "pgweir %s: cost beside its peers" % told["revision"]))


def show(chosen):
    """An earlier run once more."""
    with open(chosen.show) as file:
        told = json.load(file)
    report(told, told["about"])
    if chosen.svg:
        draw(chosen.svg, told, told["about"])


def count_instructions(chosen, found):
    try:
        told = instructions.measure(found, chosen.counted, say)
    except (load.Failed, RuntimeError, subprocess.TimeoutExpired) as error:
        say("FAILED: %s" % error)
        return 1
    names = [row[0] for row in chosen.counted]
    print(results.grid(["pgweir", *names], [[name, *(results.number(row[one]) for one in names)] for name, row in told.items()]))
    if chosen.json:
        with open(chosen.json, "w") as out:
            json.dump({"instructions": told}, out, indent=1)
    return 0


def main():
    chosen = options(sys.argv[1:])
    if chosen.list:
        print("\n".join("%-20s %s" % (row.name, row.title) for row in chosen.workloads))
        return 0
    if chosen.show:
        show(chosen)
        return 0
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    began = time.strftime("%Y-%m-%d %H:%M:%S")
    directory = system.make_directory("bench")
    authority = certs.Certs(system.make_directory("certs"))
    with contextlib.ExitStack() as stack:
        say("starting PostgreSQL and the peers")
        server, copy_file = stack.enter_context(database(directory, chosen.scale))
        found = everybody(chosen, server, (authority.server, authority.server_key))
        if chosen.instructions:
            return count_instructions(chosen, found)
        for peer in found:
            stack.callback(peer.stop)
            peer.start()
        say("measuring " + ", ".join("%s %s" % (peer.name, peer.version) for peer in found))
        bench = load.Bench(chosen.seconds, directory, BUILD, copy_file)
        runs, status = [], 0
        try:
            measure_all(chosen, bench, found, runs)
        except (KeyboardInterrupt, SystemExit):
            say("interrupted: what follows is what was measured until now")
            status = 130
        told = about(chosen, found, began)
    summary = results.summarize(runs, chosen.workloads)
    report(summary, told)
    if chosen.json:
        with open(chosen.json, "w") as out:
            out.write(results.to_json(runs, summary, told))
    if chosen.svg:
        draw(chosen.svg, summary, told)
    failed = any("failed" in run for run in runs)
    if chosen.micro:
        failed = micro() != 0 or failed
    return status or (1 if failed else 0)


if __name__ == "__main__":
    sys.exit(main())
