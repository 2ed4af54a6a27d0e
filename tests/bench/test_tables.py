"""The tables of workloads and variants, and reading /proc."""

import hashlib
import os
import subprocess
import sys

import pytest

import bench
import instructions
import load
import peers
import procfs
import workloads


def test_names_are_unique():
    names = [row.name for row in workloads.WORKLOADS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("row", workloads.WORKLOADS, ids=lambda row: row.name)
def test_every_row_can_be_run(row):
    assert hasattr(load.Bench, "_" + row.load)
    assert row.script in workloads.SCRIPTS
    assert set(row.peers) <= set(workloads.PROXIES)
    columns = {variant.column for variant in workloads.VARIANTS} | {"plain", "batched", "best"}
    for peer, column in row.goals:
        assert peer in ("pgbouncer", "haproxy", "plain") and column in columns
        assert peer == "plain" or peer in row.peers


def test_goals_of_the_issue():
    goals = {row.name: row.goals for row in workloads.WORKLOADS}
    assert goals["select-simple-64"] == {("pgbouncer", "plain"): 0.82, ("pgbouncer", "batched"): 0.66,
                                         ("haproxy", "best"): 0.78, ("plain", "two-workers"): 1.20}
    assert goals["idle-tls"] == {("pgbouncer", "plain"): 0.85}


def test_choose():
    assert [row.name for row in workloads.choose(["copy-*", "tpcb-16"])] == ["tpcb-16", "copy-out", "copy-in"]
    assert workloads.choose([]) == list(workloads.WORKLOADS)
    quick = workloads.choose([], quick=True)
    assert quick and len(quick) < len(workloads.WORKLOADS)
    with pytest.raises(ValueError, match="nothing"):
        workloads.choose(["nothing"])


def test_variant_of_the_table():
    assert workloads.parse_variant("plain") == workloads.VARIANTS[0]


def test_variant_with_more_settings():
    row = workloads.parse_variant("plain:max_packet_size=9,bin=/x/pgweir")
    assert (row.name, row.column, row.binary) == ("plain", "plain", "/x/pgweir")
    assert row.settings == {"workers": 1, "batched_sends": 0, "max_packet_size": "9"}
    assert workloads.VARIANTS[0].settings == {"workers": 1, "batched_sends": 0}


def test_new_variant():
    row = workloads.parse_variant("four:workers=4")
    assert (row.settings, row.column) == ({"workers": "4"}, "")


@pytest.mark.parametrize("text", ["what", "plain:workers"])
def test_bad_variant(text):
    with pytest.raises(ValueError):
        workloads.parse_variant(text)


def test_options():
    chosen = bench.options(["--quick", "--only", "copy-*", "--variants", "plain two-workers", "--peers", "haproxy"])
    assert (chosen.rounds, chosen.seconds, chosen.peers) == (1, 1, ["haproxy"])
    assert [row.name for row in chosen.variants] == ["plain", "two-workers"]
    assert bench.options([]).rounds == 5
    assert [row.column for row in bench.options([]).variants] == ["plain", "batched"]


@pytest.mark.parametrize("arguments", [["--only", "x"], ["--peers", "odyssey"], ["--variants", "x"]])
def test_wrong_options_are_refused(arguments):
    with pytest.raises(SystemExit) as end:
        bench.options(arguments)
    assert end.value.code == 2


def test_scram_secret_is_a_verifier_of_the_password():
    kind, salt, keys = peers.scram_secret("pencil", b"salt").split("$")
    assert (kind, salt) == ("SCRAM-SHA-256", "4096:c2FsdA==")
    salted = hashlib.pbkdf2_hmac("sha256", b"pencil", b"salt", 4096)
    client = peers.hmac.digest(salted, b"Client Key", "sha256")
    assert keys.split(":")[0] == peers.base64.b64encode(hashlib.sha256(client).digest()).decode()


def test_latencies(tmp_path):
    for number, lines in enumerate((range(1, 51), range(51, 101))):
        (tmp_path / ("log.1.%d" % number)).write_text("".join("3 7 %d 0 17 18\n" % (time * 1000) for time in lines))
    assert load.pgbench_latencies(str(tmp_path / "log")) == {"p50_ms": 50, "p99_ms": 99, "p999_ms": 100}
    assert load.pgbench_latencies(str(tmp_path / "none"))["p99_ms"] is None


def test_cpu_time_of_a_process_with_threads_and_children():
    # 0.2 s in a thread, 0.2 s in a child.
    work = "import threading, subprocess, sys, time\ndef spin():\n e = time.process_time() + 0.2\n while time.process_time() < e: pass\n"
    program = work + ("t = threading.Thread(target=spin); t.start(); t.join()\n"
                      "c = subprocess.Popen([sys.executable, '-c', %r])\nprint('go', flush=True)\ninput()\nc.kill()\nc.wait()\n"
                      % (work + "spin()\nprint('go', flush=True)\ntime.sleep(60)"))
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"go\n" and process.stdout.readline() == b"go\n"
        assert len(procfs.family(process.pid)) == 2
        assert 0.38e9 < procfs.cpu_ns(process.pid) < 5e9  # the thread has ended; its time counts
        assert 0 < procfs.user_ns(process.pid) < 5e9
        assert procfs.switches(process.pid) >= 2  # each has slept at least once
        assert procfs.memory_bytes(process.pid) > 1_000_000
    finally:
        process.communicate(b"\n", timeout=30)


def test_a_process_that_is_gone_costs_nothing():
    process = subprocess.Popen(["true"])
    process.wait()
    assert procfs.cpu_ns(process.pid) == procfs.switches(process.pid) == procfs.memory_bytes(process.pid) == 0


def test_costs_are_told_for_each_transaction():
    class Sleeper:
        pid = os.getpid()

    before = load.Costs(Sleeper)
    before.values = {"cost": 100.0, "user": 50.0, "switches": 3}
    after = load.Costs(Sleeper)
    after.values = {"cost": 500.0, "user": 60.0, "switches": 23}
    told = load.figures(before, after, 10, 1.0, 2.0, p99_ms=3.0)
    assert (told["cost"], told["user"], told["switches"], told["transactions"]) == (40.0, 1.0, 2.0, 10)
    assert load.figures(load.Costs(peers.Peer("direct", None)), load.Costs(peers.Peer("direct", None)), 1, 1, 1)["cost"] is None


def test_choose_instructions():
    assert [row[0] for row in bench.options(["--instructions", "--only", "*connect"]).counted] == ["connect", "tls-connect"]
    assert bench.options(["--instructions"]).counted == list(instructions.ROWS)
    with pytest.raises(ValueError, match="connect-scram"):
        instructions.choose(["select-*"])


def test_instructions():
    assert instructions.total("events: Ir\nfn=(1)\n1 2\n\ntotals: 1234\n") == 1234
    assert instructions.total("") == 0
    # 1,000 for the start and 50 a transaction.
    assert instructions.per_transaction(1000 + 50 * 160, 1000 + 50 * 480, 16, 10) == 50
    with pytest.raises(load.Failed):
        instructions.per_transaction(0, 0, 16, 10)


def test_no_peers():
    assert bench.options(["--peers", ""]).peers == [""]


def test_stat_with_blanks_in_the_name(tmp_path):
    path = tmp_path / "stat"
    path.write_text("7 (a) b (c)) S " + " ".join(["0"] * 10) + " 3 4 " + " ".join(["0"] * 30))
    tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    assert procfs._ticks(str(path)) == (3 * tick, 4 * tick)
