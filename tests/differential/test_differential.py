"""What a client sees through pgweir is what it sees of PostgreSQL itself and of PgBouncer, but for the accepted differences."""

import os
import re

import pytest

import accepted
import normalise
import sessions_console  # noqa: F401
import sessions_extended  # noqa: F401
import sessions_login  # noqa: F401
import sessions_simple  # noqa: F401
import sessions_startup  # noqa: F401
from recorder import SESSIONS, play
from targets import Direct, Pooled

CASES = [(name, mode) for name, one in SESSIONS.items() for mode in one.modes]
REGENERATE = os.environ.get("PGWEIR_REGENERATE")


def transcripts(one, mode, pg, certs):
    """{target: lines}; the poolers start beside each other, the sessions run one after the other."""
    poolers = [Pooled(pg, certs, name, mode, one.settings) for name in ("pgweir", "pgbouncer") if name == "pgweir" or name in one.peers]
    targets = poolers + ([Direct(pg, certs)] if "postgres" in one.peers else [])
    seen = {}
    try:
        for target in poolers:
            target.start()
        for target in poolers:
            target.ready()
        for target in targets:
            pg.empty()
            seen[target.name] = play(one, target, pg.known_oids, mode)
    finally:
        for target in poolers:
            target.stop()
    return seen


@pytest.mark.parametrize("name,mode", CASES)
def test_session(name, mode, pg, certs):
    one = SESSIONS[name]
    seen = transcripts(one, mode, pg, certs)
    assert len(seen["pgweir"]) > 0
    table, kept, wrong = accepted.listed(), accepted.pictures(), []
    for peer in one.peers:
        found = accepted.picture(seen[peer], seen["pgweir"])
        accepted.SEEN.setdefault((name, peer), {})[mode] = found
        modes, _ = table.get((name, peer), (frozenset(), ""))
        if found and mode not in modes:
            wrong.append("not listed: %s differs from %s in %s mode (- %s, + pgweir):\n%s" % (name, peer, mode, peer, "\n".join(found)))
        elif not found and mode in modes:
            wrong.append("listed, but %s does not differ from %s in %s mode any more" % (name, peer, mode))
        elif found != kept.get((name, peer, mode), []) and not REGENERATE:
            wrong.append("%s differs from %s in %s mode in another way than accepted.diff says:\n%s" % (name, peer, mode, "\n".join(found)))
    if wrong:
        pytest.fail("\n\n".join(wrong) + "\n\nall that pgweir's client saw:\n" + "\n".join(line[:300] for line in seen["pgweir"][:80]), pytrace=False)


def test_the_list_names_only_what_is_run():
    cases = {(name, peer): set(one.modes) for name, one in SESSIONS.items() for peer in one.peers}
    for (name, peer), (modes, _) in accepted.listed().items():
        assert (name, peer) in cases, "%s is not compared with %s" % (name, peer)
        assert modes <= cases[name, peer], "%s is not run in all of %s" % (name, sorted(modes))
    for name, peer, mode in accepted.pictures():
        assert mode in cases.get((name, peer), ()), "accepted.diff has %s %s %s, which is not run" % (name, peer, mode)


def test_the_normalisations_are_documented():
    with open(accepted.DOCUMENT, encoding="utf-8") as document:
        text = document.read()
    told = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", text.split("### What is made equal first", 1)[1].split("\n#", 1)[0], re.M)[1:]
    assert [cell.strip() for cell, _ in told if not cell.startswith("---")] == [row.name for row in normalise.TABLE]


def test_there_are_enough_sessions():
    assert len(SESSIONS) >= 80
