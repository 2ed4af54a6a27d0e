"""From single runs to ratios: pure functions, no clock, no process.

A run is a dict: workload, peer, kind, column, round, and what load.py tells (cost, tps, ...), or `failed` with a reason.
A ratio is pgweir's cost divided by the peer's of the same round; the report shows its median and its extremes.
"""

import json
import statistics

from workloads import BELOW_PLAIN


def percentile(values, part):
    """The smallest value that at least `part` of all do not exceed. None of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    rank = -(-len(ordered) * part // 1)  # rounded up
    return ordered[max(0, min(len(ordered), int(rank)) - 1)]


def median(values):
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def by_round(runs, workload, peer, what="cost"):
    return {run["round"]: run[what] for run in runs
            if run["workload"] == workload and run["peer"] == peer and run.get(what) is not None}


def ratios(runs, workload, ours, theirs, what="cost"):
    """One for each round in which both were measured."""
    mine, other = by_round(runs, workload, ours, what), by_round(runs, workload, theirs, what)
    return [mine[number] / other[number] for number in sorted(mine) if other.get(number)]


def peers_of(runs, workload):
    """{peer: (kind, column)} in the order in which they ran."""
    return {run["peer"]: (run["kind"], run["column"]) for run in runs if run["workload"] == workload}


def figures(runs, workload):
    """Medians for each peer of a workload."""
    rows = []
    for peer, (kind, _) in peers_of(runs, workload).items():
        mine = [run for run in runs if run["workload"] == workload and run["peer"] == peer]
        row = {"workload": workload, "peer": peer, "kind": kind, "rounds": len(mine),
               "failed": next((run["failed"] for run in mine if "failed" in run), None),
               "unit": next((run["unit"] for run in mine if "unit" in run), ""),
               "note": next((run["note"] for run in mine if run.get("note")), "")}
        for what in ("cost", "user", "switches", "tps", "mean_ms", "p50_ms", "p99_ms", "p999_ms", "handed", "locks",
                     "lock_waits"):
            row[what] = median(run.get(what) for run in mine)
        rows.append(row)
    return rows


def bound_for(goals, kind, column, other):
    """The goal of a variant of that column against a peer of that kind (or against variant `other`); None: none."""
    if kind == "pgweir":
        return goals.get((other, column))
    if (kind, column) in goals:
        return goals[(kind, column)]
    return goals.get((kind, "best")) if column in ("plain", "batched") else None


def comparisons(runs, workload, goals):
    """pgweir's ratios: each variant to each other peer, and each other variant to `plain`. `goal` is a number or None,
    `missing` by how much it is missed (negative: met with that much to spare)."""
    everybody = peers_of(runs, workload)
    rows = []
    for ours, (kind, column) in everybody.items():
        if kind != "pgweir":
            continue
        for theirs, (other_kind, other_column) in everybody.items():
            if theirs == ours or (other_kind == "pgweir" and other_column != "plain"):
                continue
            cost, speed = ratios(runs, workload, ours, theirs), ratios(runs, workload, ours, theirs, "tps")
            if not cost and not speed:
                continue
            name = "plain" if other_kind == "pgweir" else theirs
            rows.append({"workload": workload, "peer": ours, "to": theirs, "column": column, "to_kind": other_kind,
                         "ratio": median(cost), "low": min(cost, default=None), "high": max(cost, default=None),
                         "tps_ratio": median(speed), "rounds": len(cost),
                         "goal": bound_for(goals, other_kind, column, name), "missing": None})
    return judged(rows)


def judged(rows):
    """Fills `goal` and `missing`: "below plain" becomes plain's ratio, "the best of both" is judged at the best."""
    for row in rows:
        if row["goal"] == BELOW_PLAIN:
            row["goal"] = next((other["ratio"] for other in rows if other["column"] == "plain" and other["to"] == row["to"]),
                               None)
        if row["goal"] is None or row["ratio"] is None:
            continue
        best = row["ratio"]
        if row["to_kind"] == "haproxy":
            best = min(other["ratio"] for other in rows
                       if other["to"] == row["to"] and other["ratio"] and other["column"] in ("plain", "batched"))
        row["missing"] = best - row["goal"]
    return rows


# How it is shown.

def number(value, digits=3):
    """Three significant digits, never in scientific notation."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    size = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    if size >= digits:
        return "{:,.0f}".format(value)
    return "%.*f" % (digits - max(size, 1) if size else digits - 1, value)


def verdict(row):
    if row["missing"] is None:
        return ""
    if row["missing"] <= 0:
        return "met by %.2f" % abs(row["missing"])
    return "missed by %.2f" % row["missing"]


def grid(heads, rows):
    """A Markdown table that also reads as plain text: columns padded, figures to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max([len(head), *(len(row[at]) for row in cells)]) for at, head in enumerate(heads)]
    figure = [all(row[at][:1] in "-0123456789" for row in cells if row[at]) for at in range(len(heads))]

    def line(row):
        return "| " + " | ".join(cell.rjust(width) if right else cell.ljust(width)
                                 for cell, width, right in zip(row, widths, figure)) + " |"

    rule = "|" + "|".join("-" * (width + 1) + (":" if right else "-") for width, right in zip(widths, figure)) + "|"
    return "\n".join([line(heads), rule, *(line(row) for row in cells)])


def unfairness(row):
    """How much longer than the median one in a thousand waits; None where that was not measured."""
    return row["p999_ms"] / row["p50_ms"] if row.get("p50_ms") and row.get("p999_ms") else None


def figures_table(summary):
    rows = [[row["workload"], row["peer"], number(row["cost"]), row["unit"] if row["cost"] is not None else "",
             number(row["user"]), number(row.get("switches")), number(row["tps"], 4), number(row["mean_ms"]), number(row["p99_ms"]),
             number(unfairness(row)), "FAILED" if row["failed"] else row["note"]] for row in summary["figures"]]
    return grid(["workload", "peer", "cost", "unit", "of it user", "switches", "tps", "mean ms", "p99 ms", "p99.9/p50", "note"], rows)


def workers_table(summary):
    """What pgweir's workers had to do with each other, for 1,000 transactions."""
    def thousand(value):
        return number(1000 * value) if value is not None else "-"

    rows = [[row["workload"], row["peer"], *(thousand(row.get(what)) for what in ("handed", "locks", "lock_waits"))]
            for row in summary["figures"] if row.get("locks") is not None]
    return grid(["workload", "pgweir", "servers handed over", "locks", "of them waited"], rows)


def crowds_table(summary, names):
    """A row for each peer, a column for each of the workloads `names`: its throughput, and the share of its best there."""
    mine = [row for row in summary["figures"] if row["workload"] in names and row["tps"]]
    columns = [name for name in names if any(row["workload"] == name for row in mine)]
    rows = []
    for peer in dict.fromkeys(row["peer"] for row in mine):
        speeds = {row["workload"]: row["tps"] for row in mine if row["peer"] == peer}
        best = max(speeds.values())
        rows.append([peer, *("%s (%.2f)" % (number(speeds[name]), speeds[name] / best) if name in speeds else "-"
                             for name in columns)])
    return grid(["peer", *columns], rows)


def ratios_table(summary):
    rows = [[row["workload"], row["peer"], row["to"], number(row["ratio"]),
             "%s to %s" % (number(row["low"]), number(row["high"])) if row["ratio"] is not None else "",
             number(row["tps_ratio"]), number(row["goal"]), verdict(row)] for row in summary["ratios"]]
    return grid(["workload", "pgweir", "to", "cost ratio", "spread", "tps ratio", "goal", "verdict"], rows)


def overview_table(summary):
    """A row for each workload and variant: what it costs, and the ratio to each peer with its spread and its goal."""
    compared = [row for row in summary["ratios"] if row["ratio"] is not None]
    others = list(dict.fromkeys("plain" if row["to_kind"] == "pgweir" else row["to"] for row in compared))
    rows = []
    for workload, ours in dict.fromkeys((row["workload"], row["peer"]) for row in compared):
        mine = next(row for row in summary["figures"] if (row["workload"], row["peer"]) == (workload, ours))
        cells = []
        for other in others:
            row = next((row for row in compared if (row["workload"], row["peer"], row["to"]) == (workload, ours, other)), None)
            cells.append("" if row is None else "%s (%s-%s)%s" % (
                number(row["ratio"]), number(row["low"]), number(row["high"]),
                ", goal " + number(row["goal"]) if row["goal"] is not None else ""))
        rows.append([workload, ours, "%s %s" % (number(mine["cost"]), mine["unit"]), *cells])
    return grid(["workload", "pgweir", "cost", *("to " + other for other in others)], rows)


def summarize(runs, workloads):
    """Everything the report shows, for `workloads` in that order; those that were not run are left out."""
    ran = [row for row in workloads if any(run["workload"] == row.name for run in runs)]
    return {"figures": [row for one in ran for row in figures(runs, one.name)],
            "ratios": [row for one in ran for row in comparisons(runs, one.name, one.goals)]}


def to_json(runs, summary, about):
    return json.dumps({"about": about, **summary, "runs": runs}, indent=1) + "\n"
