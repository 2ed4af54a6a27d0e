"""The console. PgBouncer is the reference; its version here is older than the one that pgweir stands in for, so columns that
came since are listed as differences."""

from harness import wire
from recorder import session


def commands(name, *texts, **settings):
    """A session of commands by an administrator."""

    def run(c):
        for text in texts:
            c.query(text)

    run.__name__ = "console_" + name
    session(console=True, **settings)(run)


for topic in ("ACTIVE_SOCKETS CLIENTS CONFIG DATABASES DNS_HOSTS DNS_ZONES FDS HELP LISTS MEM POOLS SERVERS SOCKETS STATS STATS_AVERAGES "
              "STATS_TOTALS TOTALS USERS VERSION PEERS PEER_POOLS STATE").split():
    commands("show_" + topic.lower(), "SHOW " + topic)


@session(console=True)
def console_show_with_a_client(c):
    """Columns, types and states while a client and a server are linked."""
    other = c.talk.new()
    other.query("BEGIN")
    for topic in ("CLIENTS", "SERVERS", "POOLS", "DATABASES"):
        c.query("SHOW " + topic)
    other.query("ROLLBACK")


commands("words_in_any_case", "show VERSION", "Show Version", "sHoW version;", "SHOW  \t VERSION  ;  ", "\nSHOW\nVERSION\n", "SELECT VERSION", "SHOW \"VERSION\"", "\"SHOW\" VERSION")
commands("empty", "", " ", ";", ";;", "--", "/* x */")
commands("unknown", "nonsense", "SHOW", "SHOW NONSENSE", "SHOW POOLS POOLS", "SHOW POOLS; SHOW POOLS", "SELECT 1", "BEGIN", "SHOW search_path", "SHOW 1", "SHOW ''",
         "SHOW VERSION -- x", "SHOW VERSION, POOLS", "DROP DATABASE test", "SHOW \"unclosed", "\u2603")
commands("arguments_too_long", "A" * 16, "SHOW " + "A" * 64, "SHOW " + "A" * 63, "PAUSE " + "a" * 100, "SET %s = 1" % ("k" * 70), "SET listen_backlog = '%s'" % ("v" * 300))
commands("faked_parameters", "SHOW client_encoding", "SHOW default_transaction_isolation", "SHOW standard_conforming_strings", "SHOW datestyle", "SHOW timezone", "SHOW TimeZone",
         "SET client_encoding = 'UTF8'", "SET datestyle TO ISO", "SET application_name = 'x'", "SET extra_float_digits = 3", "SHOW application_name")
commands("set", "SET query_timeout = 5", "SET query_timeout=6", "SET query_timeout TO 7", "SET \"query_timeout\" = \"8\"", "SET query_timeout = '9'", "SET query_timeout = '0.5'",
         "SET pool_mode = session", "SET pool_mode = 'STATEMENT'", "set POOL_MODE = session", "SET server_reset_query = 'DISCARD ALL'", "SET server_reset_query = ''")
commands("set_errors", "SET nonsense = 1", "SET query_timeout = x", "SET query_timeout = -1", "SET query_timeout", "SET query_timeout =", "SET", "SET pool_mode = nonsense",
         "SET query_timeout = 1 2", "SET query_timeout = 'x", "SET = 1", "SET query_timeout 5", "SET max_client_conn = ''")
commands("set_not_reloadable", "SET listen_port = 1", "SET unix_socket_dir = '/x'")
commands("pause_twice", "PAUSE", "PAUSE", "RESUME", "RESUME")
commands("pause_database_twice", "PAUSE test", "PAUSE test", "RESUME test", "RESUME test")
commands("pause_unknown", "PAUSE nowhere", "RESUME nowhere", "PAUSE TEST", "RESUME test", "PAUSE pgbouncer", "RESUME pgbouncer", "PAUSE \"\"", "RESUME \"\"")
commands("pause_both", "PAUSE test", "PAUSE", "PAUSE test", "RESUME", "RESUME test")
commands("suspend_twice", "SUSPEND", "SUSPEND", "PAUSE", "RESUME", "RESUME", "SUSPEND test", "RESUME")
commands("suspend_with_paused_database", "PAUSE test", "SUSPEND", "RESUME test", "RESUME")
commands("kill", "KILL test", "RESUME", "RESUME test", "KILL nowhere", "KILL pgbouncer")
commands("kill_everything", "KILL", "RESUME", "RESUME test")
commands("kill_paused", "PAUSE", "KILL", "KILL test", "RESUME")
commands("reconnect", "RECONNECT", "RECONNECT test", "RECONNECT nowhere", "RECONNECT pgbouncer", "RECONNECT a b")
commands("wait_close", "WAIT_CLOSE", "WAIT_CLOSE test", "WAIT_CLOSE nowhere", "WAIT_CLOSE pgbouncer")
commands("disable_enable", "DISABLE test", "DISABLE test", "ENABLE test", "ENABLE test", "DISABLE", "ENABLE", "DISABLE nowhere", "ENABLE nowhere", "DISABLE pgbouncer", "ENABLE pgbouncer")
commands("reload", "RELOAD", "RELOAD;", "reload", "RELOAD x")
commands("shutdown_shapes", "SHUTDOWN NONSENSE", "SHUTDOWN a b", "SHUTDOWN 1")
commands("kill_client", "KILL_CLIENT", "KILL_CLIENT nobody", "KILL_CLIENT 999999", "KILL_CLIENT 0")


@session(console=True)
def console_shutdown(c):
    c.send(wire.query("SHUTDOWN"))
    c.end()


@session(console=True)
def console_pause_waits_for_transactions(c):
    other = c.talk.new()
    other.query("BEGIN")
    c.send(wire.query("PAUSE"))
    c.silent()
    other.query("SELECT 1")
    other.query("COMMIT")
    c.take("Z")
    other.send(wire.query("SELECT 2"))
    other.silent()
    c.query("RESUME")
    other.take("Z")


@session(console=True)
def console_pause_database_waits_for_transactions(c):
    other = c.talk.new()
    other.query("BEGIN")
    c.send(wire.query("PAUSE test"))
    c.silent()
    other.query("COMMIT")
    c.take("Z")
    other.send(wire.query("SELECT 2"))
    other.silent()
    c.query("RESUME test")
    other.take("Z")


@session(console=True)
def console_kill_with_a_client(c):
    other = c.talk.new()
    other.query("BEGIN")
    c.query("KILL test")
    other.end()
    c.query("RESUME test")
    c.talk.new().query("SELECT 1")


@session(console=True)
def console_kill_with_an_idle_client(c):
    other = c.talk.new()
    c.query("KILL test")
    other.end()
    c.query("RESUME test")


@session(console=True)
def console_disable_with_clients(c):
    other = c.talk.new()
    c.query("DISABLE test")
    other.query("SELECT 1")
    third = c.talk.raw()
    third.login()
    c.query("ENABLE test")
    c.talk.raw().login()


@session(console=True)
def console_reconnect_with_a_client(c):
    other = c.talk.new()
    other.query("BEGIN")
    c.query("RECONNECT test")
    c.send(wire.query("WAIT_CLOSE test"))
    c.silent()
    other.query("COMMIT")
    c.take("Z")
    other.query("SELECT 1")


@session(console=True)
def console_suspend_with_a_client(c):
    other = c.talk.new()
    other.query("SELECT 1")
    c.query("SUSPEND")
    other.send(wire.query("SELECT 2"))
    other.silent()
    c.query("RESUME")
    other.take("Z")


# Rights.

STATS_MAY_NOT = ("PAUSE", "PAUSE test", "RESUME", "RESUME test", "SUSPEND", "KILL test", "KILL", "RECONNECT", "RECONNECT test", "WAIT_CLOSE", "DISABLE test", "ENABLE test", "RELOAD",
                 "SHUTDOWN", "SET query_timeout = 1", "SHOW FDS", "PAUSE nowhere", "DISABLE", "RELOAD x", "SHUTDOWN x", "SUSPEND x")


@session(console=True, login=False)
def console_rights_of_stats_users(c):
    c.quiet_login("stats", "pgbouncer")
    for text in STATS_MAY_NOT:
        c.query(text)


@session(console=True, login=False)
def console_what_stats_users_may(c):
    c.quiet_login("stats", "pgbouncer")
    for text in ("SHOW VERSION", "SHOW client_encoding", "SET datestyle = 'ISO'", "SHOW HELP", "nonsense", ""):
        c.query(text)


def console_login(name, user, password=None, **settings):
    def run(c):
        c.login(user, "pgbouncer", password)

    run.__name__ = "console_login_" + name
    session(console=True, login=False, **settings)(run)


console_login("admin", "admin")
console_login("stats", "stats")
console_login("nobody", "app")
console_login("unknown_user", "nobody")
console_login("password", "admin", auth_type="md5")
console_login("wrong_password", "admin", "wrong", auth_type="md5")
console_login("nobody_wrong_password", "app", "wrong", auth_type="md5")
console_login("scram_wrong_password", "admin", "wrong", auth_type="scram-sha-256")
console_login("any_admin", "admin", auth_type="any")
console_login("any_stats", "stats", auth_type="any")
console_login("any_other", "app", auth_type="any")
console_login("pseudo_user_over_tcp", "pgbouncer")


@session(console=True, login=False)
def console_login_with_parameters(c):
    c.login("admin", "pgbouncer", application_name="psql", client_encoding="LATIN1", DateStyle="German")
    c.query("SHOW client_encoding")


# The protocol.


@session(console=True)
def console_pipelined(c):
    c.ask(wire.query("SHOW VERSION"), wire.query("nonsense"), wire.query("PAUSE nowhere"), wire.query("SHOW VERSION"), times=4)


@session(console=True)
def console_query_in_two_writes(c):
    whole = wire.query("SHOW VERSION")
    c.send(whole[:9])
    c.conn.silent(0.1)
    c.send(whole[9:])
    c.take("Z")


@session(console=True)
def console_extended(c):
    c.ask(wire.parse("SHOW VERSION"), wire.bind(), wire.describe("P"), wire.execute(), wire.sync())


def odd(name, *messages):
    def run(c):
        c.ask(*messages)
        c.query("SHOW VERSION")

    run.__name__ = "console_odd_" + name
    session(console=True)(run)


odd("sync", wire.sync())
odd("flush", wire.flush(), wire.query("SHOW VERSION"))
odd("describe", wire.describe("S"), wire.sync())
odd("copy_data", wire.copy_data(b"x"), wire.query("SHOW VERSION"))
odd("function_call", wire.function_call(1, []))
odd("unknown_type", wire.message("z", b""))
odd("query_without_end", wire.message("Q", b"SHOW VERSION"))
odd("password", wire.message("p", b"x\0"))


@session(console=True)
def console_terminate(c):
    c.leave()
    c.talk.admin().query("SHOW VERSION")


@session(console=True)
def console_cancel_resumes(c):
    """A cancel request with a console client's key ends PAUSE."""
    other = c.talk.new()
    other.query("BEGIN")
    c.send(wire.query("PAUSE"))
    c.silent()
    c.cancel()
    other.query("COMMIT")
    other.query("SELECT 1")
    c.talk.admin().query("RESUME")
    c.drop()


# Limits and timeouts with their texts.


@session(modes=("transaction",), peers=("pgbouncer",), query_wait_timeout=1, default_pool_size=1)
def limit_query_wait_timeout(c):
    c.query("BEGIN")
    other = c.talk.new()
    other.send(wire.query("SELECT 1"))
    other.end()
    c.query("ROLLBACK")


@session(modes=("transaction",), peers=("pgbouncer",), query_timeout=1)
def limit_query_timeout(c):
    c.send(wire.query("SELECT pg_sleep(10)"))
    c.end()


@session(modes=("transaction",), peers=("pgbouncer",), idle_transaction_timeout=1)
def limit_idle_transaction_timeout(c):
    c.query("BEGIN")
    c.end()


@session(modes=("transaction",), peers=("pgbouncer",), client_idle_timeout=1)
def limit_client_idle_timeout(c):
    c.query("SELECT 1")
    c.end()


@session(modes=("transaction",), peers=("pgbouncer",), login=False, client_login_timeout=1)
def limit_client_login_timeout(c):
    c.end()


@session(modes=("transaction",), peers=("pgbouncer",), disable_pqexec=1)
def limit_disable_pqexec(c):
    c.ask(wire.parse("SELECT 1"), wire.bind(), wire.execute(), wire.sync())
    c.send(wire.query("SELECT 1"))
    c.end()


@session(modes=("transaction",), peers=("pgbouncer",), max_packet_size=20000)
def limit_max_packet_size(c):
    c.query("SELECT 1")
    c.send(wire.query("SELECT '%s'" % ("x" * 30000)))
    c.end()


@session(modes=("transaction",))
def server_is_killed_while_idle(c):
    c.query("SELECT 1")
    c.target.kill_servers()
    c.query("SELECT 2")
    c.query("SELECT 3")


@session()
def server_is_killed_in_query(c):
    c.send(wire.query("SELECT pg_sleep(30)"))
    c.talk.wait(lambda: c.target.running("SELECT pg_sleep(30)") == 1)
    c.target.kill_servers()
    c.end()


@session(modes=("session", "transaction"))
def server_is_killed_in_transaction(c):
    c.query("BEGIN")
    c.target.kill_servers()
    c.end()
