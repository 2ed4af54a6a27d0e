"""Walks compat/settings.tsv and compat/show_columns.tsv themselves, against the running program: every setting is known in
its scopes, shows its default, says whether it can change, and refuses what it must; every SHOW has its columns, in order,
with their types. Messages and the console's commands: test_walk_messages.py and test_walk_console.py."""

import os
import subprocess

import pytest

from harness import system, wire
from harness.compat import OWN, SHARED, table
from harness.pgweir import runnable_binary

SETTINGS = table("settings.tsv")
COLUMNS = table("show_columns.tsv")
GLOBALS = [row for row in SETTINGS if row["scope"] == "global"]

# pgweir's own, see docs/differences.md and the man page.
OWN_SETTINGS = {"batched_sends", "client_cleanup_bytes", "client_cleanup_timeout", "console_extra_columns", "console_old_columns",
                "gathered_reads", "journal", "log_slow_queries", "log_slow_texts", "log_slow_transactions", "metrics_listen",
                "shutdown_timeout", "workers"}


def shown_default(row):
    """The default as SHOW CONFIG has it."""
    words = {"(unset)": None, "(empty)": "", "(command-line file)": None, "(0 or number of -v)": "0"}
    return words.get(row["default"], row["default"])


def junk_for(row):
    """What a row's type must refuse. Text is never wrong, but for a few settings that have a form."""
    kind = row["type"].split(" ")[0].split("-")[0]
    if row["name"] == "workers":
        return ["none"]
    return {"bool": ["perhaps", "1x", "1.5", ""], "int": ["ten", "5x", "1.5", ""], "uint": ["ten", "-1", ""],
            "time": ["soon", "-1", "5 apples", ""], "enum": ["nonsense", ""], "str": []}[kind]


def sample_for(row):
    """A value that is fine, other than the default where that is easy."""
    kind = row["type"].split(" ")[0].split("-")[0]
    named = {"client_tls_sslmode": "disable", "server_tls_sslmode": "disable", "auth_type": "trust", "pool_mode": "statement",
             "client_tls_protocols": "all", "server_tls_protocols": "all", "listen_addr": "127.0.0.1",
             "load_balance_hosts": "disable", "port": "5433", "host": "127.0.0.1", "pkt_buf": "8192", "peer_id": "0",
             "client_tls_dheparams": "none", "syslog_facility": "local1", "unix_socket_mode": "0700",
             "max_packet_size": "100000", "stats_period": "7", "client_tls_ecdhcurve": "none",
             "client_tls_ciphers": "fast", "server_tls_ciphers": "normal"}
    if row["name"] in named:
        return named[row["name"]]
    if kind == "str" and (row["name"].endswith("_file") or row["name"] in ("logfile", "pidfile", "resolv_conf", "conffile")):
        return ""
    if "tls13" in row["name"] or row["name"] == "unix_socket_group" or row["name"] == "user" and row["scope"] == "global":
        return None
    return {"bool": "1", "int": "3", "uint": "70000", "time": "2", "str": "word"}[kind]


def check_config(text):
    """--check-config: its status and what it says, with the numbers of the lines that have errors."""
    path = os.path.join(system.make_directory("walk"), "walk.ini")
    system.write_file(path, text)
    done = subprocess.run([runnable_binary(), "--check-config", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, env=system.clean_environment(), timeout=60, **system.popen_identity())
    lines = {int(word) for line in done.stdout.splitlines() if "ERROR" in line or "error" in line
             for word in [line.split(path + ":")[-1].split(")")[0].split(":")[0]] if word.isdigit()}
    return done.returncode, done.stdout, lines


def ini(lines, scope):
    """Lines of a scope as an ini, and the number of the first. Global ones stand alone; others are entries."""
    head = {"global": ["[databases]", "test = ", "[pgbouncer]"], "database": ["[pgbouncer]", "[databases]"],
            "user": ["[pgbouncer]", "[users]"], "peer": ["[pgbouncer]", "[peers]"]}[scope]
    return "\n".join(head + lines) + "\n", len(head) + 1


def entry(number, scope, pair):
    name = str(number + 1) if scope == "peer" else "e%d" % number
    return "%s = %s%s" % (name, "host=127.0.0.1 " if scope == "peer" and not pair.startswith("host") else "", pair)


def quoted(value):
    return "'%s'" % value


def test_the_copy_is_the_table():
    if not os.path.isdir(SHARED):
        pytest.skip("no ../shared/compat beside this checkout")
    for name in ("settings.tsv", "show_columns.tsv", "messages.tsv"):
        with open(os.path.join(SHARED, name)) as shared, open(os.path.join(OWN, name)) as own:
            assert shared.read() == own.read(), "tests/compat/%s is out of date" % name


def test_show_config_has_every_setting(start):
    pw = start()
    shown = {row["key"]: row for row in pw.show("CONFIG")}
    assert set(shown) - OWN_SETTINGS == {row["name"] for row in GLOBALS}
    assert list(shown) == sorted(shown)
    wrong = []
    for row in GLOBALS:
        got = shown[row["name"]]
        if got["default"] != shown_default(row):
            wrong.append("%s: default %r instead of %r" % (row["name"], got["default"], shown_default(row)))
        if got["changeable"] != ("yes" if row["reloadable"].startswith("yes") else "no"):
            wrong.append("%s: changeable is %s" % (row["name"], got["changeable"]))
        set_here = row["name"] in pw.settings and pw.settings[row["name"]] is not None
        same = got["value"] == got["default"] or (got["value"], got["default"]) == ("511", "0777")
        if not set_here and not same and row["name"] not in ("conffile", "verbose"):
            wrong.append("%s: value %r is not its default" % (row["name"], got["value"]))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("scope", ["global", "database", "user", "peer"])
def test_every_setting_is_accepted_in_its_scope(scope):
    lines = []
    for row in SETTINGS:
        if row["scope"] != scope or sample_for(row) is None:
            continue
        for name in [row["name"]] + ([row["aliases"]] if row["aliases"].isidentifier() else []):
            pair = "%s=%s" % (name, sample_for(row) if scope == "global" else quoted(sample_for(row)))
            lines.append(pair if scope == "global" else entry(len(lines), scope, pair))
    assert len(lines) >= {"global": 90, "database": 20, "user": 8, "peer": 3}[scope]
    status, said, _ = check_config(ini(lines, scope)[0])
    assert status == 0, said


@pytest.mark.parametrize("scope", ["global", "database", "user", "peer"])
def test_every_setting_refuses_junk(scope):
    lines = []
    for row in SETTINGS:
        if row["scope"] != scope:
            continue
        for junk in junk_for(row):
            if scope != "global" and junk in ("", "-1"):
                continue  # empty is an error of the grammar; a negative number inherits
            pair = "%s=%s" % (row["name"], junk if scope == "global" else quoted(junk))
            lines.append(pair if scope == "global" else entry(len(lines), scope, pair))
    text, first = ini(lines, scope)
    status, said, wrong = check_config(text)
    assert status == 1
    taken = [line for number, line in enumerate(lines, first) if number not in wrong]
    assert not taken, "not refused: %s\n%s" % (taken, said)


@pytest.mark.parametrize("scope", ["global", "database", "user", "peer"])
def test_settings_are_unknown_in_other_scopes(scope):
    known = {row["name"] for row in SETTINGS if row["scope"] == scope} | {"reserve_pool"}
    lines = []
    for name in sorted({row["name"] for row in SETTINGS} - known):
        lines.append(name + "=1" if scope == "global" else entry(len(lines), scope, name + "=1"))
    text, first = ini(lines, scope)
    status, said, wrong = check_config(text)
    assert status == 1
    taken = [line for number, line in enumerate(lines, first) if number not in wrong]
    assert not taken, "known where it should not be: %s\n%s" % (taken, said)


def test_set_takes_and_refuses_every_setting(start):
    """SET key='value': as in the ini; what needs a restart is accepted and changes nothing."""
    pw = start()
    console = pw.console()
    before = {row["key"]: row["value"] for row in pw.show("CONFIG")}
    fatal = {"disable_pqexec"}  # would close this console, see compat/console.md
    for row in GLOBALS:
        name, changeable = row["name"], row["reloadable"].startswith("yes")
        for junk in junk_for(row):
            got = console.query("SET %s='%s'" % (name, junk), check=False)
            assert "SET failed" in str(got.error), (name, junk)
        value = sample_for(row)
        if value is None or name in fatal or name in ("auth_file", "auth_hba_file", "auth_ident_file", "auth_type", "conffile"):
            continue
        got = console.query("SET %s='%s'" % (name, value), check=False)
        assert got.tags in (["SET %s='%s'" % (name, value)], ["SET %s=%s" % (name, value)]), (name, got.tags, got.error)
        now = {r["key"]: r["value"] for r in console.query("SHOW CONFIG").dicts()}[name]
        if not changeable:
            assert now == before[name], name
        elif value != "0700":
            expected = "***" if name == "auth_ldap_options" else value  # it may hold a password
            assert now == expected or now is None and expected == "", (name, now, expected)


def topics():
    return sorted({row["command"].removeprefix("SHOW ") for row in COLUMNS})


def test_show_has_its_columns_in_order_with_their_types(start):
    pw = start()
    console = pw.console()
    for topic in topics():
        got = console.query("SHOW " + topic)
        described = [wire.parse_columns(m.body) for m in got.messages if m.type == "T"]
        expected = [(row["column"], int(row["type_oid"]), int(row["typlen"]), 0) for row in COLUMNS
                    if row["command"] == "SHOW " + topic and row["position"] != "0"]
        assert described == ([expected] if expected else []), topic
        assert got.tags == ["SHOW"], topic
        if topic == "HELP":
            assert got.notices[0]["M"] == "Console usage"
            for other in topics():
                if not other.islower():
                    assert other in got.notices[0]["D"], "HELP does not tell of " + other
