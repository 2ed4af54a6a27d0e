"""What the values of SHOW mean, and what the log says of commands, beyond what the walks look at: each test here is a
difference from PgBouncer that was found by running the two side by side."""

import os
import signal

import pytest

from harness import system, wire
from harness.pgweir import CONSOLE


def row_of(rows, **wanted):
    found = [row for row in rows if all(row[k] == v for k, v in wanted.items())]
    assert len(found) == 1, (wanted, rows)
    return found[0]


def counts(console, user="admin"):
    """current_client_connections of the console's entry, and of a user."""
    return (int(row_of(console.query("SHOW DATABASES").dicts(), name="pgbouncer")["current_client_connections"]),
            int(row_of(console.query("SHOW USERS").dicts(), name=user)["current_client_connections"]))


def test_console_clients_are_idle_and_counted(start):
    """No server is linked to them: they are idle, as in PgBouncer. They count in their database and for their user."""
    pw = start()
    one, two = pw.console(), pw.console()
    assert counts(one) == (2, 2)
    assert {r["state"] for r in one.query("SHOW CLIENTS").dicts() if r["database"] == "pgbouncer"} == {"idle"}
    two.terminate()
    system.wait_for(lambda: counts(one) == (1, 1), 15, "the seat to be given back")
    other = pw.console("stats")
    assert counts(one, "stats") == (2, 1)
    other.close()


def test_console_of_the_own_account_is_counted(start):
    pw = start()
    with system.unprivileged_identity():
        console = pw.connect("pgbouncer", CONSOLE, unix=True)
    assert counts(console, "pgbouncer") == (1, 1)


@pytest.mark.parametrize("setting", ["max_user_client_connections", "max_db_client_connections"])
def test_limits_of_clients_hold_at_the_console_but_not_for_admins(start, setting):
    pw = start(settings={setting: 1})
    stats = pw.console("stats")
    error = pw.refused("stats", CONSOLE)
    assert (error.sqlstate, error.message) == ("08P01", "client connections exceeded (%s)" % setting)
    admins = [pw.console() for _ in range(3)]
    assert counts(admins[0]) == (4, 3)
    # Who has no right at the console hears that, and takes nobody's seat.
    assert pw.refused("app", CONSOLE).message == "not allowed"
    assert counts(admins[0]) == (4, 3)
    for conn in (stats, *admins[1:]):
        conn.terminate()
    system.wait_for(lambda: counts(admins[0]) == (1, 1), 15, "the seats to be given back")


def test_statistics_of_the_console(start):
    """Commands are queries and transactions, logins count, nothing is forwarded."""
    pw = start()
    pw.console().terminate()
    console = pw.console()
    for _ in range(3):
        console.query("SHOW VERSION")
    row = row_of(console.query("SHOW STATS").dicts(), database="pgbouncer")
    assert (row["total_query_count"], row["total_xact_count"]) == ("3", "3")
    assert (row["total_received"], row["total_sent"], row["total_client_login_count"]) == ("0", "0", "2")
    totals = {r["name"]: r["value"] for r in console.query("SHOW TOTALS").dicts()}
    assert (totals["total_client_bytes"], totals["total_client_login_count"]) == ("0", "2")


def test_averages_of_the_console_are_of_the_last_period(start):
    """They were of all the time since the start, and so were those of SHOW TOTALS."""
    pw = start(settings={"stats_period": 1})
    console = pw.console()
    for _ in range(400):
        console.query("SHOW VERSION")

    def quiet():
        row = row_of(console.query("SHOW STATS").dicts(), database="pgbouncer")
        totals = {r["name"]: int(r["value"]) for r in console.query("SHOW TOTALS").dicts()}
        return int(row["avg_query_count"]) < 100 and totals["avg_query_count"] < 100

    system.wait_for(quiet, 30, "the averages to fall")


def test_kinds_of_shutdown_in_the_log(start):
    """The kind is no database's name: no quotes. A later one replaces an earlier one, and the end is told once."""
    pw = start()
    client, console = pw.connect(), pw.console(unix=True)
    for command in ("SHUTDOWN WAIT_FOR_CLIENTS", "shutdown wait_for_clients"):
        assert console.query(command).tags == ["SHUTDOWN"]
    client.close()
    console.close()
    assert pw.wait_exit() == 0
    assert len(pw.logged(r" LOG SHUTDOWN WAIT_FOR_CLIENTS command issued$")) == 2
    assert len(pw.logged("client connections dropped, exiting")) == 1


def test_numbers_of_entries_are_decimal(start):
    """As atoi reads them; 010 was eight."""
    pw = start({"test": {"pool_size": "010", "max_db_connections": "+08", "min_pool_size": "00"}},
               users={"app": "pool_size=011 max_user_connections='09'"})
    row = row_of(pw.show("DATABASES"), name="test")
    assert (row["pool_size"], row["max_connections"], row["min_pool_size"]) == ("10", "8", "0")
    row = row_of(pw.show("USERS"), name="app")
    assert (row["pool_size"].strip(), row["max_user_connections"]) == ("11", "9")


NEGATIVE = ["default_pool_size", "min_pool_size", "reserve_pool_size", "query_wait_notify", "max_prepared_statements",
            "tcp_keepcnt", "tcp_keepidle", "tcp_keepintvl", "tcp_user_timeout", "sbuf_loopcnt", "verbose", "max_client_conn"]


def test_negative_numbers_count_as_none(start):
    """No installation of PgBouncer is refused for them: it goes by them as by 0."""
    pw = start(settings=dict.fromkeys(NEGATIVE, -1))
    with pytest.raises(wire.ServerError, match="max_client_conn"):
        pw.connect()
    console = pw.console()
    shown = {row["key"]: row["value"] for row in console.query("SHOW CONFIG").dicts()}
    assert {name: shown[name] for name in NEGATIVE} == dict.fromkeys(NEGATIVE, "0")
    assert console.query("SET max_client_conn = '100'").tags
    assert [pw.connect().scalar("SELECT 1") for _ in range(25)] == ["1"] * 25  # no limit of the pool


def test_signals_that_do_nothing_in_a_shutdown(start):
    pw = start()
    client = pw.connect()
    client.query("BEGIN")
    pw.signal(signal.SIGINT)
    pw.wait_log("got SIGINT, shutting down")
    os.kill(pw.pid, signal.SIGUSR2)
    pw.wait_log("got SIGUSR2 while shutting down, ignoring")
    client.query("COMMIT")
    assert pw.wait_exit() == 0
