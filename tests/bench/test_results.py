"""Ratios, medians, goals, tables, JSON."""

import json

import pytest

import results
from workloads import BELOW_PLAIN, Workload


def run(peer, number, cost, workload="w", **more):
    kind = {"plain": "pgweir", "batched": "pgweir", "two-workers": "pgweir"}.get(peer, peer.split("-")[0])
    column = peer if kind == "pgweir" else ""
    return {"workload": workload, "peer": peer, "kind": kind, "column": column, "round": number, "cost": cost,
            "unit": "us/txn", "user": 1.0, "tps": 1000.0, "mean_ms": 2.0, "p99_ms": 3.0, **more}


def runs(**costs):
    """runs(plain=[1, 2], pgbouncer=[2, 4]): interleaved, a round at a time."""
    rounds = max(len(values) for values in costs.values())
    return [run(peer.replace("_", "-"), number, values[number]) for number in range(rounds)
            for peer, values in costs.items() if number < len(values)]


def compare(goals, **costs):
    return {(row["peer"], row["to"]): row for row in results.comparisons(runs(**costs), "w", goals)}


@pytest.mark.parametrize("values, part, wanted", [
    ([], 0.99, None), ([7], 0.99, 7), (range(1, 101), 0.99, 99), (range(1, 101), 0.5, 50), ([3, 1, 2], 1.0, 3),
    (range(1, 11), 0.99, 10)])
def test_percentile(values, part, wanted):
    assert results.percentile(values, part) == wanted


def test_ratio_is_taken_in_each_round_and_then_the_median():
    # The machine got three times slower from round to round; the ratio did not move.
    row = compare({}, plain=[1, 3, 9], pgbouncer=[2, 6, 18])[("plain", "pgbouncer")]
    assert (row["ratio"], row["low"], row["high"], row["rounds"]) == (0.5, 0.5, 0.5, 3)


def test_median_and_extremes():
    row = compare({}, plain=[1, 2, 6], pgbouncer=[2, 2, 2])[("plain", "pgbouncer")]
    assert (row["ratio"], row["low"], row["high"]) == (1.0, 0.5, 3.0)


def test_workers_are_told_of_for_a_thousand_transactions():
    summary = {"figures": results.figures([run("plain", 0, 1, handed=0.0, locks=0.002, lock_waits=0.0),
                                           run("haproxy", 0, 1)], "w"), "ratios": []}
    lines = results.workers_table(summary).splitlines()
    assert len(lines) == 3 and [cell.strip() for cell in lines[2].strip("|").split("|")] == ["w", "plain", "0", "2.00", "0"]


def test_a_round_that_failed_on_one_side_has_no_ratio():
    table = runs(plain=[1, 2], pgbouncer=[2, 4])
    table[1] = {**{k: table[1][k] for k in ("workload", "peer", "kind", "column", "round")}, "failed": "why"}
    assert results.ratios(table, "w", "plain", "pgbouncer") == [0.5]
    assert results.figures(table, "w")[1]["failed"] == "why"
    assert results.figures(table, "w")[1]["cost"] == 4


def test_a_peer_without_a_process_has_a_ratio_of_throughput_only():
    table = runs(plain=[10], direct=[None])
    table[1]["tps"] = 4000.0
    row = results.comparisons(table, "w", {})[0]
    assert (row["ratio"], row["rounds"], row["tps_ratio"]) == (None, 0, 0.25)


GOALS = {("pgbouncer", "plain"): 0.9, ("pgbouncer", "batched"): 0.7, ("haproxy", "best"): 0.8, ("plain", "two-workers"): 1.1}


def test_each_variant_has_its_own_goal():
    rows = compare(GOALS, plain=[8], batched=[8], pgbouncer=[10])
    assert rows[("plain", "pgbouncer")]["missing"] == pytest.approx(-0.1)
    assert rows[("batched", "pgbouncer")]["missing"] == pytest.approx(0.1)


def test_every_pgbouncer_is_held_against_the_goal():
    rows = compare(GOALS, plain=[8], pgbouncer=[10], pgbouncer_2=[16])
    assert rows[("plain", "pgbouncer-2")]["goal"] == 0.9


def test_the_best_of_both_is_judged_at_the_best():
    rows = compare(GOALS, plain=[9], batched=[7], haproxy=[10])
    assert rows[("plain", "haproxy")]["missing"] == pytest.approx(-0.1)
    assert rows[("batched", "haproxy")]["missing"] == pytest.approx(-0.1)


def test_more_workers_are_compared_with_plain_only():
    rows = compare(GOALS, plain=[10], two_workers=[12], pgbouncer=[10])
    assert rows[("two-workers", "plain")]["missing"] == pytest.approx(0.1)
    assert rows[("two-workers", "pgbouncer")]["goal"] is None
    assert ("plain", "two-workers") not in rows


def test_below_plain():
    goals = {("pgbouncer", "plain"): 0.9, ("pgbouncer", "batched"): BELOW_PLAIN}
    rows = compare(goals, plain=[8], batched=[9], pgbouncer=[10])
    assert rows[("batched", "pgbouncer")]["goal"] == 0.8
    assert rows[("batched", "pgbouncer")]["missing"] == pytest.approx(0.1)
    # Without plain there is nothing to be below.
    assert compare(goals, batched=[9], pgbouncer=[10])[("batched", "pgbouncer")]["missing"] is None


@pytest.mark.parametrize("value, wanted", [
    (None, "-"), (0, "0"), (0.456, "0.46"), (1.0, "1.00"), (17.12, "17.1"), (123.4, "123"), (8200.4, "8,200"),
    (-0.5, "-0.50"), (0.001, "0.00")])
def test_number(value, wanted):
    assert results.number(value) == wanted


def test_verdict():
    assert results.verdict({"missing": None}) == ""
    assert results.verdict({"missing": -0.123}) == "met by 0.12"
    assert results.verdict({"missing": 0.0}) == "met by 0.00"
    assert results.verdict({"missing": 0.123}) == "missed by 0.12"


def test_grid_is_aligned():
    lines = results.grid(["name", "cost"], [["a", "1.5"], ["long name", "100"]]).split("\n")
    assert lines == ["| name      | cost |", "|-----------|-----:|", "| a         |  1.5 |", "| long name |  100 |"]


def test_summary_has_every_workload_in_order_and_says_what_failed():
    table = runs(plain=[1], pgbouncer=[2]) + [run("plain", 0, None, "second", failed="broken")]
    summary = results.summarize(table, [Workload("second", "2"), Workload("never", "3"), Workload("w", "1")])
    assert [row["workload"] for row in summary["figures"]] == ["second", "w", "w"]
    text = results.figures_table(summary)
    assert "FAILED" in text.split("\n")[2] and "FAILED" not in text.split("\n")[3]


def test_unfairness():
    assert results.unfairness({"p50_ms": 2.0, "p999_ms": 6.0}) == 3
    assert results.unfairness({"p50_ms": None, "p999_ms": None}) is None


def test_ratios_table():
    table = results.ratios_table(results.summarize(runs(plain=[8, 9], pgbouncer=[10, 10]), [Workload("w", "", goals=GOALS)]))
    assert table.split("\n")[2].split() == "| w | plain | pgbouncer | 0.85 | 0.80 to 0.90 | 1.00 | 0.90 | met by 0.05 |".split()


def test_overview():
    table = runs(plain=[8, 9], two_workers=[9, 9], pgbouncer=[10, 10], haproxy=[None, None])
    lines = results.overview_table(results.summarize(table, [Workload("w", "", goals=GOALS)])).split("\n")
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["workload", "pgweir", "cost", "to pgbouncer", "to plain"]
    assert cells[2] == ["w", "plain", "8.50 us/txn", "0.85 (0.80-0.90), goal 0.90", ""]
    assert cells[3] == ["w", "two-workers", "9.00 us/txn", "0.90 (0.90-0.90)", "1.06 (1.00-1.12), goal 1.10"]


def test_json():
    table = runs(plain=[1], pgbouncer=[2])
    told = json.loads(results.to_json(table, results.summarize(table, [Workload("w", "")]), {"revision": "abc"}))
    assert told["about"] == {"revision": "abc"}
    assert told["runs"] == table
    assert told["ratios"][0]["ratio"] == 0.5 and told["figures"][1]["cost"] == 2


def test_crowds_beside_their_own_best():
    summary = {"figures": [{"workload": "few", "peer": "plain", "tps": 1000.0}, {"workload": "many", "peer": "plain", "tps": 900.0},
                           {"workload": "few", "peer": "pgbouncer", "tps": 500.0}, {"workload": "other", "peer": "plain", "tps": 9000.0},
                           {"workload": "many", "peer": "pgbouncer", "tps": None}]}
    lines = results.crowds_table(summary, ["few", "many", "never run"]).splitlines()
    assert [cell.strip() for cell in lines[0].strip("|").split("|")] == ["peer", "few", "many"]
    assert [cell.strip() for cell in lines[2].strip("|").split("|")] == ["plain", "1,000 (1.00)", "900 (0.90)"]
    assert [cell.strip() for cell in lines[3].strip("|").split("|")] == ["pgbouncer", "500 (1.00)", "-"]
