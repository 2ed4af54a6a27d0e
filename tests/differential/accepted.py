"""The accepted differences. docs/differences.md lists them by session, peer and pool modes, with the reason; accepted.diff
beside this file has what each one looks like, to the line. Both are held to what happens: a difference that is not listed
fails, one that no longer occurs fails, and one that looks different fails.

To write accepted.diff anew: run all of the tests with PGWEIR_REGENERATE=1, then read what has changed. To look at another
PgBouncer: PGWEIR_DIFF_PGBOUNCER=its path, PGWEIR_DIFF_PICTURES=a file of your own, and PGWEIR_REGENERATE=1.
"""

import difflib
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
DOCUMENT = os.path.join(HERE, "..", "..", "docs", "differences.md")
PICTURES = os.environ.get("PGWEIR_DIFF_PICTURES") or os.path.join(HERE, "accepted.diff")
HEADING = "## Told apart by the differential tests"
PEERS = {"PostgreSQL": "postgres", "PgBouncer 1.18": "pgbouncer"}

SEEN = {}  # (session, peer) -> {mode: picture}; of this run


def listed(text=None):
    """{(session, peer): (modes, reason)} of the table in docs/differences.md."""
    if text is None:
        with open(DOCUMENT, encoding="utf-8") as document:
            text = document.read()
    section = text.split(HEADING + "\n", 1)[1].split("\n## ", 1)[0]
    found = {}
    for line in section.split("\n"):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("| `"):
            continue
        assert len(cells) == 4, "a row has four cells: " + line
        for peer in cells[1].split(", "):
            for name in re.findall(r"`(\w+)`", cells[0]):
                key = (name, PEERS[peer])
                modes = frozenset(cells[2].split())
                assert modes and cells[3], line
                before = found.get(key)
                assert before is None or not modes & before[0], "%s is listed twice for %s" % (name, peer)
                found[key] = (modes | (before[0] if before else frozenset()), cells[3])
    return found


def picture(theirs, ours):
    """The lines that differ: `-` is what the peer says, `+` what pgweir says."""
    lines = difflib.unified_diff(theirs, ours, n=0, lineterm="")
    return [re.sub(r"(.{600}).*", r"\1...", line, flags=re.S) for line in lines if not line.startswith(("---", "+++", "@@"))]


def pictures():
    """{(session, peer, mode): lines} of accepted.diff."""
    found, into = {}, []
    if not os.path.exists(PICTURES):
        return found
    with open(PICTURES, encoding="utf-8") as kept:
        for line in kept.read().split("\n"):
            if line.startswith("== "):
                name, peer, *modes = line[3:].split()
                into = []
                for mode in modes:
                    found[name, peer, mode] = into
            elif line and not line.startswith("#"):
                into.append(line)
    return found


def join(seen):
    """Of another process of the same run."""
    for key, by_mode in seen.items():
        SEEN.setdefault(key, {}).update(by_mode)


def write():
    text = ["# What each difference listed in docs/differences.md looks like: - the peer, + pgweir. Written by the tests"
            " (PGWEIR_REGENERATE=1)."]
    for (name, peer), by_mode in sorted(SEEN.items()):
        alike = {}
        for mode, lines in sorted(by_mode.items()):
            alike.setdefault(tuple(lines), []).append(mode)
        for lines, modes in alike.items():
            if lines:
                text += ["", "== %s %s %s" % (name, peer, " ".join(modes)), *lines]
    with open(PICTURES, "w", encoding="utf-8") as out:
        out.write("\n".join(text) + "\n")
