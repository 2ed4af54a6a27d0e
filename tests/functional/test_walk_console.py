"""Walks the table of commands in compat/console.md (kept as tests/compat/console.tsv): each command is given to the running
program and must end with its tag and its line in the log; each error of each command is provoked. A command or error that
the lists below do not have fails, and so does an entry that the table does not have."""

import os
import re

import pytest

from harness import compat, system, wire

with open(os.path.join(compat.OWN, "console.tsv")) as own:
    TEXT = own.read()
ROWS = {cells[0]: dict(zip(("who", "tag", "errors"), cells[1:]))
        for cells in (line.split("\t") for line in TEXT.splitlines()[1:])}

SHOW, FAKES, SHUTDOWN = "SHOW topic", "SHOW/SET of fake parameters (see 5)", "SHUTDOWN"
WAITS = r"SHUTDOWN WAIT_FOR_SERVERS \| WAIT_FOR_CLIENTS"
FAKE_NAMES = ("client_encoding", "default_transaction_isolation", "standard_conforming_strings", "datestyle", "timezone")
TOPICS = sorted({row["command"].removeprefix("SHOW ") for row in compat.table("show_columns.tsv")}
                - set(FAKE_NAMES))

# What is given for each row: (what comes before, the command, its tag). Database names are those of the pgweir below.
ACCEPTED = {
    SHOW: [([], "SHOW " + topic, "SHOW") for topic in TOPICS],
    FAKES: [([], "SHOW " + name, "SHOW") for name in FAKE_NAMES] + [([], "SET %s = 'x'" % name, "SET") for name in FAKE_NAMES],
    "SET key=value": [([], "SET query_wait_timeout=77", "SET query_wait_timeout=77")],
    "RELOAD": [([], "RELOAD", "RELOAD")],
    "PAUSE [db]": [([], "PAUSE", "PAUSE"), ([], "PAUSE test", "PAUSE")],
    "RESUME [db]": [(["PAUSE"], "RESUME", "RESUME"), (["SUSPEND"], "RESUME", "RESUME"),
                    (["PAUSE test"], "RESUME test", "RESUME")],
    "SUSPEND": [([], "SUSPEND", "SUSPEND")],
    "KILL [db]": [([], "KILL", "KILL"), ([], "KILL test", "KILL")],
    "KILL_CLIENT id": [([], "KILL_CLIENT {id}", "KILL_CLIENT")],
    "RECONNECT [db]": [([], "RECONNECT", "RECONNECT"), ([], "RECONNECT test", "RECONNECT")],
    "WAIT_CLOSE [db]": [([], "WAIT_CLOSE", "WAIT_CLOSE"), ([], "WAIT_CLOSE test", "WAIT_CLOSE"),
                        (["RECONNECT"], "WAIT_CLOSE", "WAIT_CLOSE")],
    "DISABLE db": [([], "DISABLE test", "DISABLE")],
    "ENABLE db": [(["DISABLE test"], "ENABLE test", "ENABLE"), ([], "ENABLE test", "ENABLE")],
    SHUTDOWN: [([], "SHUTDOWN", None)],
    WAITS: [([], "SHUTDOWN WAIT_FOR_SERVERS", "SHUTDOWN"), ([], "SHUTDOWN WAIT_FOR_CLIENTS", "SHUTDOWN")],
}

NOWHERE, RELOADS = "no such database: X", "RELOAD failed, see logs for additional details"

# (Row, error as the table has it): what comes before, the command. X is the name that the command gives.
REFUSED = {
    (SHOW, "invalid command"): ([], "SHOW NOTHING"),
    ("SET key=value", "SET failed"): ([], "SET default_pool_size=many"),
    ("RELOAD", RELOADS): (["break the file"], "RELOAD"),
    ("PAUSE [db]", "already suspended/paused"): (["PAUSE"], "PAUSE"),
    ("PAUSE [db]", NOWHERE): ([], "PAUSE nowhere"),
    ("PAUSE [db]", "cannot pause admin db: X"): ([], "PAUSE pgbouncer"),
    ("RESUME [db]", "pooler is shutting down"): (["SHUTDOWN WAIT_FOR_CLIENTS"], "RESUME"),
    ("RESUME [db]", "pooler is not paused/suspended"): ([], "RESUME"),
    ("RESUME [db]", NOWHERE): ([], "RESUME nowhere"),
    ("RESUME [db]", "database X is not paused"): ([], "RESUME test"),
    ("SUSPEND", "already suspended/paused"): (["SUSPEND"], "SUSPEND"),
    ("SUSPEND", "cannot suspend with paused databases"): (["PAUSE test"], "SUSPEND"),
    ("KILL [db]", "already suspended/paused"): (["PAUSE"], "KILL"),
    ("KILL [db]", NOWHERE): ([], "KILL nowhere"),
    ("KILL [db]", "cannot kill admin db: X"): ([], "KILL pgbouncer"),
    ("KILL_CLIENT id", "invalid client pointer supplied"): ([], "KILL_CLIENT nonsense"),
    ("KILL_CLIENT id", "client not found"): ([], "KILL_CLIENT 999999999"),
    ("RECONNECT [db]", NOWHERE): ([], "RECONNECT nowhere"),
    ("RECONNECT [db]", "cannot reconnect admin db: X"): ([], "RECONNECT pgbouncer"),
    ("WAIT_CLOSE [db]", NOWHERE): ([], "WAIT_CLOSE nowhere"),
    ("WAIT_CLOSE [db]", "cannot wait in admin db: X"): ([], "WAIT_CLOSE pgbouncer"),
    ("DISABLE db", "a database is required"): ([], "DISABLE"),
    ("DISABLE db", NOWHERE): ([], "DISABLE nowhere"),
    ("DISABLE db", "cannot disable admin db: X"): ([], "DISABLE pgbouncer"),
    ("ENABLE db", "a database is required"): ([], "ENABLE"),
    ("ENABLE db", NOWHERE): ([], "ENABLE nowhere"),
    ("ENABLE db", "cannot enable admin db: X"): ([], "ENABLE pgbouncer"),  # the text of the next release
    (WAITS, "other word: invalid command"): ([], "SHUTDOWN WAIT_FOR_GODOT"),
}

# The first of two texts for the same: see docs/differences.md, session console_disable_enable.
REPLACED = {("ENABLE db", "cannot disable admin db: X"): "the text of the next release (of the command that was given)"}

NO_ADMIN = {SHOW, FAKES}  # what everybody on the console may


def errors_of(row):
    """Texts in backquotes, or the whole cell."""
    cell = ROWS[row]["errors"]
    return re.findall("`([^`]*)`", cell) or ([cell] if cell else [])


def begin(start):
    """A pgweir in use, and a console on its unix socket, which stays open during a shutdown."""
    pw = start({"test": {}, "other": {}})
    conn = pw.connect()
    assert conn.scalar("SELECT 1") == "1"
    return pw, pw.console(unix=True)


def prepare(pw, console, before):
    for step in before:
        if step == "break the file":
            system.write_file(pw.ini_path, pw.ini_text() + "no_such_setting = 1\n")
        else:
            console.query(step)


def log_line(command):
    """'NAME command issued' or "NAME 'db' command issued"."""
    word, _, rest = command.partition(" ")
    return r" LOG .*%s .*command issued" % word if rest else r" LOG .*%s command issued" % word


def test_the_copy_is_the_table():
    path = os.path.join(compat.SHARED, "console.md")
    if not os.path.exists(path):
        pytest.skip("no ../shared/compat beside this checkout")
    with open(path) as shared:
        assert compat.console_commands(shared.read()) == TEXT, "tests/compat/console.tsv is out of date"


def test_every_command_and_error_has_its_test():
    assert set(ACCEPTED) == set(ROWS)
    told = {(row, text) for row in ROWS for text in errors_of(row)}
    assert told == set(REFUSED) | set(REPLACED)
    with open(os.path.join(system.ROOT, "docs", "differences.md")) as file:
        differences = file.read()
    assert all(words in differences for words in REPLACED.values())


def test_the_tags_are_those_of_the_table():
    for row, tries in ACCEPTED.items():
        tags = re.findall("`([^`]*)`", ROWS[row]["tag"])
        for _, command, tag in tries:
            allowed = [command] if "echoed text" in ROWS[row]["tag"] else tags or [None]
            assert tag in allowed, command


@pytest.mark.parametrize("row", sorted(set(ROWS) - {SHUTDOWN}))
def test_command_ends_with_its_tag(start, row):
    for before, command, tag in ACCEPTED[row]:
        pw, console = begin(start)
        prepare(pw, console, before)
        ids = [r["id"] for r in pw.show("CLIENTS") if r["database"] == "test"] if "{id}" in command else [""]
        mark = pw.mark()
        result = console.query(command.format(id=ids[0]))
        assert result.tags == [tag], command
        assert result.status == "I"
        if row not in NO_ADMIN:
            assert pw.wait_log(log_line(command), mark), command
        if row == FAKES and command.startswith("SET"):
            assert [n["M"] for n in result.notices] == ["SET ignored"]
        if "SHUTDOWN" in command:
            for conn in pw._opened:
                conn.close()
            assert pw.wait_exit() == 0
        pw.stop()


def test_shutdown_just_closes(start):
    pw, console = begin(start)
    console.send(wire.query("SHUTDOWN"))
    assert console.closed() == []
    assert pw.wait_exit() == 0
    assert pw.logged(log_line("SHUTDOWN"))


@pytest.mark.parametrize("row, text", sorted(REFUSED))
def test_error(start, row, text):
    before, command = REFUSED[row, text]
    pw, console = begin(start)
    prepare(pw, console, before)
    result = console.query(command, check=False)
    error = result.error
    sqlstate = re.search(r"\*\*(\w{5})\*\*", ROWS[row]["errors"])
    assert (error.severity, error.sqlstate) == ("ERROR", sqlstate.group(1) if sqlstate else "08P01")
    expected = re.sub(r"\bX\b", command.split()[-1], text)
    if "invalid command" in text:
        expected = "invalid command '%s', use SHOW HELP;" % command
    assert error.message == expected
    assert not result.tags and result.status == "I"
    assert pw.wait_log("ERROR .*" + re.escape(expected)), "every error is logged"
    assert pw.wait_log("WARNING .*pooler error: " + re.escape(expected))
    assert console.query("SHOW VERSION").rows, "the console goes on"


def test_rights(start):
    """Who may what, as the table has it; what an admin alone may is refused before it is looked at, but for three."""
    pw, _ = begin(start)
    console = pw.console("stats")
    for row, tries in ACCEPTED.items():
        for _, command, tag in tries:
            result = console.query(command.format(id=1), check=False)
            if row in NO_ADMIN and command != "SHOW FDS":
                assert "admin" in ROWS[row]["who"] or ROWS[row]["who"] == "all"
                assert result.tags == [tag], command
            else:
                assert (result.error.sqlstate, result.error.message) == ("08P01", "admin access needed"), command
    for command in ("RELOAD x", "SUSPEND x", "SHUTDOWN x"):
        assert console.query(command, check=False).error.message == "invalid command '%s', use SHOW HELP;" % command
