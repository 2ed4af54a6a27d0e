"""Walks compat/messages.tsv: every row is provoked here (PROVOKED: what the client hears, or what stands in the log, has the
row's severity, SQLSTATE and key phrase), or a test that does so is named (COVERED), or pgweir does otherwise on purpose
(OTHERWISE: the test of that, and the words of docs/differences.md). What is wrong today stands in WRONG. A row in none of them fails, and so does an entry
without its row or with a test that does not exist or does not speak of the phrase."""

import os
import re

import pytest

from harness import compat, provoke, system, wire

ROWS = {row["condition"]: row for row in compat.table("messages.tsv")}
PLACES = r"\b(?:NAME|HEX|TEXT|REASON|ADDR|PORT|STEP|ERR|VERSION|INFO|FILE|LINE|IP|Ns|[NMVKPDUTRX])\b|\.\.\."

# Rows whose phrase is no text: what it is in the provoked case.
PHRASES = {
    "server login ErrorResponse": 'role "nobody_here" does not exist',
    "login_notify_message set [post-1.25.2]": "maintenance at noon",
    "console: command aimed at console db": "cannot wait in admin db: pgbouncer",
    "startup done": "process up: pgweir ..., libevent ..., tls: ...",  # our own name
    "root": "pgweir should not run as root",
    "malformed extended message": "broken Bind packet",
    "stats": "stats: N xacts/s, N queries/s, N client parses/s, N server parses/s, N binds/s, N client logins/s, in N B/s, out N B/s, "
             "xact N us, query N us, wait N us",  # client logins are of the next release
    "login rejected by cached failure": "server login has been failing, cached error: connect failed (server_login_retry)",
}


def phrase_of(condition):
    return PHRASES.get(condition, ROWS[condition]["key_phrase"])


def pattern_of(condition):
    """The phrase as a regular expression: what stands for a value matches any."""
    parts = re.split(PLACES, phrase_of(condition))
    return ".*".join(re.escape(part) for part in parts)


def words_of(condition):
    """The longest piece of the phrase that is the same in every case."""
    return max(re.split(PLACES, ROWS[condition]["key_phrase"]), key=len).strip(" :'\"(,")


PROVOKED = {
    "untracked startup parameter": provoke.untracked,  # what PostgreSQL could not take either; others are accepted
    "untracked parameter inside options": provoke.untracked_in_options,
    "unparsable options value": provoke.unparsable_options,
    "bad length or unknown protocol": provoke.unknown_protocol,
    "second StartupMessage while authenticating": provoke.second_startup,
    "password message before startup": provoke.password_first,
    "database client limit": lambda start: provoke.over(start, "max_db_client_connections"),
    "user client limit": lambda start: provoke.over(start, "max_user_client_connections"),
    "memory exhausted": provoke.memory_runs_out,
    "server login ErrorResponse": provoke.server_error,
    "server offers no usable SASL mechanism": provoke.no_usable_mechanism,
    "login rejected by cached failure": provoke.cached_failure,
    "oversized/invalid packet from server": provoke.bad_server_packet,
    "malformed extended message": provoke.broken_bind,
    "login_notify_message set [post-1.25.2]": provoke.login_notice,
    "console: unknown command": provoke.at_the_console("FROBNICATE"),
    "console: argument too long": provoke.at_the_console("PAUSE " + "x" * 64),
    "console: SET rejected": provoke.at_the_console("SET no_such = 1"),
    "console: TLS rebuild failed after SET": provoke.set_that_breaks_tls,
    "console: already paused": provoke.at_the_console("PAUSE", "PAUSE"),
    "console: RESUME without pause": provoke.at_the_console("RESUME"),
    "console: RESUME db not paused": provoke.at_the_console("RESUME test"),
    "console: unknown database": provoke.at_the_console("PAUSE nowhere"),
    "console: command aimed at console db": provoke.aimed_at_the_console,
    "console: SUSPEND with paused db": provoke.at_the_console("PAUSE test", "SUSPEND"),
    "console: DISABLE/ENABLE without db": provoke.at_the_console("ENABLE"),
    "console: KILL_CLIENT bad id": provoke.at_the_console("KILL_CLIENT nonsense"),
    "console: KILL_CLIENT no match": provoke.at_the_console("KILL_CLIENT 999999999"),
    "console: other packet type": provoke.function_call_at_the_console,
    "startup done": provoke.just_starts,
    "listener opened": provoke.just_starts,
    "listener failed": provoke.port_in_use,
    "fd limit": provoke.just_starts,
    "client login": provoke.a_client,
    "login refused, no database": provoke.refused_client(database="nowhere"),
    "user not found": provoke.refused_client("ghost"),
    "server connection opened": provoke.a_client,
    "server TLS up": provoke.server_tls,
    "any close": provoke.a_client,
    "error sent to client": provoke.refused_client("ghost"),
    "client left": provoke.a_client,
    "server closed: client left mid-work": provoke.leaves_mid_work,
    "server closed: recycled": provoke.obsolete,
    "server closed: pause": provoke.paused,
    "server closed: surplus": provoke.surplus,
    "server connect failed": provoke.no_server,
    "server refused login": provoke.refusing_server,
    "unsolicited server packet": provoke.talkative_server,
    "cancel forwarded": provoke.cancels,
    "cancel dropped": provoke.cancels_nobody,
    "auto-database": provoke.auto_database,
    "database dropped": provoke.removes_a_database,
    "config error": provoke.starts_in_vain("default_pool_size = many"),
    "config fatal": provoke.starts_in_vain("default_pool_size = many"),
    "reload failed": provoke.reload_fails,
    "auth file broken": provoke.broken_userlist,
    "HBA line bad": provoke.bad_hba_line,
    "TLS handshake": provoke.no_tls_handshake,
    "TLS reload": lambda start: provoke.set_that_breaks_tls(start)[1],
    "signal/shutdown": provoke.signals_an_end,
    "stats": lambda start: provoke.just_starts(start, stats_period=1),
    "root": provoke.as_root,
    "pidfile": provoke.foreign_pidfile,
    "socket in use": provoke.socket_in_use,
}

COVERED = {
    "no user in StartupMessage": "test_login.py::test_user_name_rules",
    "user name over 127 bytes": "test_login.py::test_user_name_rules",
    "bad StartupMessage layout": "test_startup.py::test_missing_terminator_is_named",
    "protocol 2.0": "test_startup.py::test_protocol_2_is_refused",
    "bytes behind SSLRequest": "test_startup.py::test_bytes_behind_a_request_are_refused",
    "bytes behind GSSENCRequest": "test_startup.py::test_bytes_behind_a_request_are_refused",
    "plain client under require/verify-*": "test_tls.py::test_client_modes",
    "max_client_conn exceeded": "test_limits.py::test_max_client_conn",
    "unknown database (after authentication)": "test_login.py::test_wrong_password_is_told_before_the_unknown_database",
    "database disabled": "test_console.py::test_disable_and_enable",
    "auth database disabled": "test_auth_query.py::test_auth_dbname",
    "login while shutting down": "test_signals.py::test_console_during_shutdown",
    "console login not permitted": "test_rights.py::test_is_not_let_in",
    "trust, unknown user": "test_login.py::test_trust_needs_a_known_user",
    "cleartext/md5 password wrong or user unknown": "test_login.py::test_method_by_secret",
    "empty cleartext password": "test_login.py::test_empty_password",
    "SCRAM failure": "test_login.py::test_method_by_secret",
    "wrong SASL mechanism": "test_login.py::test_wrong_mechanism",
    "HBA reject": "test_login.py::test_hba_reject_and_no_rule",
    "no HBA rule matches": "test_login.py::test_hba_reject_and_no_rule",
    "certificate login failed": "test_tls.py::test_cert_login",
    "peer login failed": "test_login.py::test_peer",
    "PAM failure": "test_pam.py::test_login",
    "LDAP failure": "test_ldap.py::test_login",
    "auth_type=ldap without options": "test_ldap.py::test_options_that_cannot_be_used",
    "auth_query returned no row": "test_auth_query.py::test_unknown_user",
    "auth_query/auth_dbname problem, any without forced user, pam/ldap with auth_user":
        "test_auth_query.py::test_a_query_that_is_of_no_use",
    "client_login_timeout": "test_timeouts.py::test_client_login_timeout",
    "client_login_timeout while server unavailable": "test_timeouts.py::test_client_login_timeout_while_the_server_is_down",
    "server wants method the stored secret cannot do": "test_server_login.py::test_method_by_secret",
    "server SCRAM signature wrong": "test_server_login.py::test_wrong_server_signature",
    "waited longer than query_wait_timeout": "test_timeouts.py::test_query_wait_timeout",
    "queued longer than query_timeout": "test_timeouts.py::test_query_timeout",
    "running longer than query_timeout": "test_timeouts.py::test_query_timeout",
    "idle_transaction_timeout": "test_timeouts.py::test_idle_transaction_timeout",
    "transaction_timeout": "test_timeouts.py::test_transaction_timeout",
    "client_idle_timeout": "test_timeouts.py::test_client_idle_timeout",
    "BEGIN in statement mode": "test_pooling.py::test_statement_mode",
    "server connection lost while linked": "test_server_login.py::test_server_that_breaks_off",
    "tracked SET refused by server": "test_parameters.py::test_a_tracked_value_that_the_server_refuses",
    "server link recycled (fast close, replication)": "test_upkeep.py::test_server_fast_close",
    "database removed by reload or KILL": "test_console.py::test_kill",
    "KILL_CLIENT": "test_console.py::test_kill_client",
    "client must wait during SHUTDOWN WAIT_FOR_SERVERS / SIGINT": "test_signals.py::test_sigint_waits_for_servers",
    "simple query with disable_pqexec": "test_small_settings.py::test_disable_pqexec",
    "unknown packet type from client or server": "test_hostile_client.py::test_every_unknown_type",
    "suspend_timeout hit": "test_suspend.py::test_suspend_timeout_closes_who_cannot_be_flushed",
    "client queued longer than query_wait_notify": "test_timeouts.py::test_query_wait_notify",
    "console: not an admin": "test_rights.py::test_may_look_and_not_act",
    "console: faked SET": "test_console.py::test_fake_parameters",
    "console: RELOAD failed": "test_reload.py::test_a_bad_file_changes_nothing",
    "console: RESUME while shutting down": "test_signals.py::test_console_during_shutdown",
    "server closed: age": "test_upkeep.py::test_server_lifetime",
    "server closed: idle": "test_upkeep.py::test_server_idle_timeout",
    "server closed: eviction": "test_replication.py::test_counts_in_the_pool",
    "reserve used": "test_limits.py::test_reserve_pool",
}

# Condition: the test of what pgweir does instead, and words of docs/differences.md that tell of it.
OTHERWISE = {
    "resource exhaustion at login": ("test_walk_messages.py::test_descriptors_run_out",
                                     "hears 53300 `no more connections allowed (file descriptor limit)`"),
    "replication server login failed": ("test_replication.py::test_refused_by_the_server",
                                        "a refusal has its words and SQLSTATE, behind `login failed: `"),
    "named Parse reuse": ("test_prepared.py::test_errors_about_names_keep_pgbouncers_words_as_detail",
                          "PostgreSQL's error (42P05, 26000), with PgBouncer's words as its detail"),
    "Bind/Describe of unknown statement": ("test_prepared.py::test_errors_about_names_keep_pgbouncers_words_as_detail",
                                           "PostgreSQL's error (42P05, 26000), with PgBouncer's words as its detail"),
    "console: extended protocol": ("test_console.py::test_extended_protocol", "simple protocol | the extended one as well"),
    "console: fragmented query": ("test_console.py::test_pipelined_and_fragmented_queries", "a command may arrive in pieces"),
}

# Further phrases, of the column `note`: provoked here, or the test that does.
ALSO = {
    ("malformed extended message", "broken Parse"): provoke.broken("P", b""),
    ("malformed extended message", "Bind"): provoke.broken("B", b""),
    ("malformed extended message", "Describe"): provoke.broken("D", b""),
    ("malformed extended message", "Close packet"): provoke.broken("C", b""),
    ("client left", "client unexpected eof"): provoke.client_is_cut_off,
    ("server closed: recycled", "database configuration changed"): provoke.reconnects_at_rest,
    ("server closed: recycled", "connect string changed"): provoke.reconnects_in_login,
    ("server connect failed", "connect timeout"): "test_timeouts.py::test_server_connect_timeout",
    ("server connect failed", "server DNS lookup failed"): "test_dns.py::test_failures_live_for_dns_nxdomain_ttl",
    ("server connect failed", "server refused SSL"): "test_tls.py::test_server_refuses_tls",
    ("cancel dropped", "cancel request for idle client"): provoke.cancels_a_client_at_rest,
    ("cancel dropped", "cancel_wait_timeout"): "test_timeouts.py::test_cancel_wait_timeout",
    ("cancel dropped", "TTL was exhausted"): "test_peers.py::test_loop_ends",
    ("cancel dropped", "could not find peer"): "test_peers.py::test_keys_that_nobody_has_made",
    ("config error", "syntax error in configuration (FILE:LINE)"): provoke.starts_in_vain("just words"),
    ("config error", "unknown parameter: pgbouncer/K"): provoke.starts_in_vain("no_such_setting = 1"),
    ("auth file broken", "could not open auth_file P: ERR"): provoke.no_userlist,
    ("signal/shutdown", "got SIGINT, ..."): "test_signals.py::test_sigint_waits_for_servers",
    ("signal/shutdown", "client connections dropped, exiting"): "test_signals.py::test_sigterm_waits_for_clients",
    ("signal/shutdown", "server connections dropped, exiting"): "test_signals.py::test_sigint_waits_for_servers",
}

# What pgweir does not do as the table has it, and nothing says that it is meant so: to be repaired, or written down.
WRONG = {}


def param(*values):
    """A case of a test, marked if its last value is in WRONG."""
    reason = WRONG.get(values[-1])
    return pytest.param(*values, marks=[pytest.mark.xfail(strict=True, reason=reason)] if reason else [])


def provoked(*where):
    """Rows that are provoked here and are told there."""
    return [param(condition) for condition in PROVOKED if condition in ROWS and ROWS[condition]["where"] in where]


def patience(condition):
    return 3 if condition in WRONG else 15


def test_every_row_has_its_test():
    lists = [PROVOKED, COVERED, OTHERWISE]
    known = [condition for one in lists for condition in one]
    assert not set(ROWS) - set(known), "rows that nothing provokes: %s" % sorted(set(ROWS) - set(known))
    assert not set(known) - set(ROWS), "entries without a row: %s" % sorted(set(known) - set(ROWS))
    assert len(known) == len(set(known)), "entries in two lists: %s" % sorted({c for c in known if known.count(c) > 1})


def test_the_named_tests_speak_of_their_rows():
    wrong = []
    for condition, name in COVERED.items():
        source = compat.source_of(name)
        if source is None:
            wrong.append("%s: there is no %s" % (condition, name))
        elif words_of(condition) not in source:
            wrong.append("%s: %s does not say %r" % (condition, name, words_of(condition)))
    assert not wrong, "\n".join(wrong)


def test_what_is_otherwise_is_told():
    with open(os.path.join(system.ROOT, "docs", "differences.md")) as file:
        told = file.read()
    for condition, (name, words) in OTHERWISE.items():
        assert compat.source_of(name) is not None, "%s: there is no %s" % (condition, name)
        assert words in told, condition


@pytest.mark.parametrize("condition", provoked("client", "both"))
def test_client_is_told(start, condition):
    row = ROWS[condition]
    heard, pw = PROVOKED[condition](start)
    assert heard["S"] == row["severity"]
    assert re.search(pattern_of(condition), heard["M"]), heard
    if len(row["sqlstate"]) == 5:
        assert heard["C"] == row["sqlstate"]
    else:
        assert re.fullmatch("[0-9A-Z]{5}", heard["C"])
    if row["where"] == "both":
        assert pw.wait_log("pooler error: .*" + pattern_of(condition))
    if hasattr(pw, "fake"):
        pw.fake.stop()


@pytest.mark.parametrize("condition", provoked("log"))
def test_log_tells(start, request, condition):
    function = PROVOKED[condition]
    more = [request.getfixturevalue("certs")] if function is provoke.no_tls_handshake else []
    pw = function(start, *more)
    assert pw.wait_log(" %s .*%s" % (ROWS[condition]["severity"], pattern_of(condition)), timeout=patience(condition))
    if hasattr(pw, "fake"):
        pw.fake.stop()


def test_descriptors_run_out(start):
    """Who has no descriptor is told so; who is inside is served."""
    pw = start(through=["prlimit", "--nofile=120:120"], settings={"max_client_conn": 1000})
    inside = []
    with pytest.raises(wire.ServerError) as refused:
        for _ in range(200):
            inside.append(pw.connect())
    assert (refused.value.severity, refused.value.sqlstate) == ("FATAL", "53300")
    assert refused.value.message == "no more connections allowed (file descriptor limit)"
    assert inside[0].scalar("SELECT 1") == "1"


@pytest.mark.parametrize("condition, phrase", [param(*row) for row in ALSO])
def test_note_column(start, condition, phrase):
    assert phrase in ROWS[condition]["note"]
    how = ALSO[condition, phrase]
    fixed = max(re.split(PLACES, phrase), key=len).strip(" :(,")
    if isinstance(how, str):
        assert compat.source_of(how) is not None, "there is no " + how
        assert fixed in compat.source_of(how)
        return
    pw = how(start)
    assert pw.wait_log(re.escape(fixed), timeout=patience(phrase))
    if hasattr(pw, "fake"):
        pw.fake.stop()
