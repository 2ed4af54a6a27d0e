"""auth_query: users whom only PostgreSQL knows (compat/auth.md, section 5)."""

import subprocess
import threading

import pytest

from harness import system, wire
from harness.fakeserver import FakeServer

FILE = {"admin": "admin-secret", "stats": "stats-secret"}  # nobody else is in the userlist
AUTH = {"auth_user": "postgres", "auth_type": "scram-sha-256"}
NAMED = "SELECT usename, passwd FROM pg_catalog.pg_shadow WHERE usename = $1"


@pytest.fixture
def ask(start):
    """Starts a pgweir that asks PostgreSQL for its users."""

    def begin(databases=None, settings=None, userlist=None, **kwargs):
        return start(databases, settings={**AUTH, **(settings or {})}, userlist={**FILE, **(userlist or {})}, **kwargs)

    return begin


@pytest.fixture
def role(pg):
    """Makes roles that go with the test."""
    made = []

    def make(name, options="LOGIN PASSWORD 'secret'", grants=()):
        pg.query('CREATE ROLE "%s" %s' % (name, options))
        made.append(name)
        return name

    yield make
    for name in made:
        pg.query('DROP OWNED BY "%s"; DROP ROLE "%s"' % (name, name))


def whoami(conn):
    return conn.scalar("SELECT current_user")


@pytest.mark.parametrize("auth_type, user", [("scram-sha-256", "scramuser"), ("md5", "scramuser"), ("md5", "md5user"),
                                             ("plain", "scramuser"), ("plain", "md5user"), ("trust", "app")])
def test_login(ask, auth_type, user):
    """By SCRAM the server takes the keys that the client's proof left (scramuser has to prove himself there, too)."""
    pw = ask(settings={"auth_type": auth_type})
    if (auth_type, user) in (("plain", "scramuser"),):  # a verifier proves nothing to the server
        assert "server login failed" in pw.refused(user).message
        return
    conn = pw.connect(user)
    assert whoami(conn) == user
    assert whoami(pw.connect(user)) == user


@pytest.mark.parametrize("auth_type", ["scram-sha-256", "md5", "plain"])
def test_wrong_password(ask, auth_type):
    pw = ask(settings={"auth_type": auth_type})
    for user in ("scramuser", "app") + (("md5user",) if auth_type != "scram-sha-256" else ()):
        for password in ("wrong", "md5", ""):
            error = pw.refused(user, password=password)
            assert "authentication failed" in error.message or "empty password" in error.message
    assert whoami(pw.connect("app" if auth_type != "plain" else "md5user"))


@pytest.mark.parametrize("name", ["nobody", "x' OR '1'='1", "postgres'; DROP TABLE x; --", 'a"b', "ünï", "%", "$1"])
def test_unknown_user(ask, name):
    pw = ask()
    error = pw.refused(name, password="x")
    assert (error.sqlstate, error.message) == ("08P01", "no such user")
    assert whoami(pw.connect("app")) == "app"
    assert pw.pool(user="postgres")["sv_idle"] == 1, "the server that was asked is of no more use"


def test_unknown_user_under_trust(ask):
    assert ask(settings={"auth_type": "trust"}).refused("nobody").message == "no such user"


@pytest.mark.parametrize("auth_type", ["scram-sha-256", "md5", "plain"])
@pytest.mark.parametrize("options", ["LOGIN PASSWORD 'secret' VALID UNTIL '2001-01-01'", "LOGIN", "LOGIN PASSWORD ''"])
def test_null_secret_never_matches(ask, role, auth_type, options):
    """Not even the word that PgBouncer 1.25 puts in its place."""
    role("expired", options)
    pw = ask(settings={"auth_type": auth_type})
    for password in ("secret", "md5", "", "SCRAM-SHA-256", "NULL"):
        message = pw.refused("expired", password=password).message
        assert "authentication failed" in message or "empty password" in message


def test_null_secret_is_known_under_trust(ask, role):
    role("passless", "LOGIN")
    assert whoami(ask(settings={"auth_type": "trust"}).connect("passless", password="")) == "passless"


def test_nologin_is_unknown(ask, role):
    role("resting", "NOLOGIN PASSWORD 'secret'")
    assert ask().refused("resting", password="secret").message == "no such user"


def test_every_login_asks_anew(ask, role, pg):
    role("changing")
    pw = ask()
    assert whoami(pw.connect("changing", password="secret")) == "changing"
    pg.query("ALTER ROLE changing PASSWORD 'other'")
    assert "authentication failed" in pw.refused("changing", password="secret").message
    assert whoami(pw.connect("changing", password="other")) == "changing"
    pg.query("ALTER ROLE changing VALID UNTIL '2001-01-01'")
    assert "authentication failed" in pw.refused("changing", password="other").message
    pg.query("ALTER ROLE changing NOLOGIN")
    assert pw.refused("changing", password="other").message == "no such user"


def test_a_new_secret_reaches_the_server(ask, role, pg):
    """md5 towards the server, whose hba asks scramuser and md5user for a proof: the pool must use the newest secret."""
    pw = ask({"test": {}}, settings={"auth_type": "md5", "default_pool_size": 1})
    assert whoami(pw.connect("md5user")) == "md5user"
    before = pg.scalar("SELECT passwd FROM pg_shadow WHERE usename = 'md5user'")
    try:
        pg.query("SET password_encryption = 'md5'; ALTER ROLE md5user PASSWORD 'newer'; RESET password_encryption")
        assert "authentication failed" in pw.refused("md5user").message
        conn = pw.connect("md5user", password="newer")
        pw.admin("RECONNECT test")
        assert whoami(conn) == "md5user"
    finally:
        pg.query("ALTER ROLE md5user PASSWORD '%s'" % before)


@pytest.mark.parametrize("query, fault", [
    ("SELECT 1 WHERE $1 = $1", "expected 2 columns from auth_query, not 1"),
    ("SELECT 'app', 'x', $1", "expected 2 columns from auth_query, not 3"),
    ("SELECT NULL, 'x' WHERE $1 = $1", "auth_query response contained null user name"),
    ("SELECT nonsense($1)", "error response from auth_query"),
    ("SELECT 'app', 1/length($1) - 1/(length($1)-3)", "error response from auth_query"),
    ("SELEC $1", "error response from auth_query"),
    ("SELECT 'app', 'x'", "error response from auth_query"),  # it has no $1
    ("SELECT 'app', repeat('x', 100000) WHERE $1 = $1", "row of auth_query is too large"),
])
def test_a_query_that_is_of_no_use(ask, query, fault):
    pw = ask(settings={"auth_query": query})
    for _ in range(2):
        error = pw.refused("app")
        assert (error.sqlstate, error.message) == ("08P01", "bouncer config error")
    line = pw.wait_log(fault)
    assert fault != "error response from auth_query" or " ERROR " in line and "error in auth_query: ERROR: " in line, line
    assert pw.admin("SHOW VERSION").rows


def test_auth_dbname_may_be_of_the_template(ask, pg, db):
    """The entry is made, and told, when the first login asks there; one that cannot be made is a fault of the configuration."""
    there = {"test": {}, "*": "host=%s port=%d" % (pg.host, pg.port)}
    pw = ask(databases=there, settings={"auth_dbname": db})
    assert whoami(pw.connect("app")) == "app"
    assert len(pw.logged("registered new auto-database: " + db)) == 1
    assert whoami(pw.connect("app")) == "app"
    assert len(pw.logged("registered new auto-database: " + db)) == 1
    pw = ask(settings={"auth_dbname": db})
    assert pw.refused("app").message == "bouncer config error"
    pw.wait_log('authentication database "%s" is not configured' % db)


def test_two_rows_are_nobody(ask):
    """Whoever it may be: not the one that comes last, as with PgBouncer."""
    pw = ask(settings={"auth_query": "SELECT u, p FROM (VALUES ('app2', 'no'), ('app', 'yes')) v(u, p) WHERE $1 = $1"})
    for password in ("yes", "no"):
        assert pw.refused("app", password=password).message == "bouncer config error"
    assert pw.wait_log("expected one row from auth_query, not 2")


def test_the_row_names_the_user(ask):
    pw = ask(settings={"auth_query": "SELECT u, p FROM (VALUES ('md5user', 'no'), ('app', 'yes')) v(u, p) "
                                     "WHERE $1 = 'alias' AND u = 'app'"})
    assert pw.refused("app", password="yes").message == "no such user"
    assert "authentication failed" in pw.refused("alias", password="no").message
    conn = pw.connect("alias", password="yes")
    assert whoami(conn) == "app"
    assert [r["user"] for r in pw.show("CLIENTS") if r["database"] == "test"] == ["app"]


def test_the_userlist_goes_first(ask):
    """Its users are not asked for; one without a secret there is."""
    pw = ask(settings={"auth_query": "SELECT $1::text, 'from the query'"}, userlist={"app": "from the file", "app2": ""})
    assert "authentication failed" in pw.refused("app", password="from the query").message
    assert whoami(pw.connect("app", password="from the file")) == "app"
    assert pw.pool(user="postgres")["sv_idle"] == 0
    assert whoami(pw.connect("app2", password="from the query")) == "app2"


def test_auth_dbname(ask, start):
    pw = ask({"test": {}, "names": {}, "other": {"auth_dbname": "names"}}, settings={"auth_dbname": "names"})
    assert whoami(pw.connect("app")) == "app"
    assert pw.pool("names", "postgres")["sv_idle"] == 1
    pw.admin("DISABLE names")
    assert pw.refused("app").message == 'authentication database "names" is disabled'
    pw.admin("ENABLE names")
    assert whoami(pw.connect("app", database="other")) == "app"


def test_auth_dbname_that_does_not_exist(ask):
    pw = ask(settings={"auth_dbname": "nowhere"})
    assert pw.refused("app").message == "bouncer config error"
    assert pw.wait_log('authentication database "nowhere" is not configured')


def test_settings_of_the_entry(ask):
    pw = ask({"test": {"auth_user": "app2", "auth_query": "SELECT $1::text, current_user::text"}, "plain": {}},
             settings={"auth_user": None, "auth_type": "plain"})
    assert whoami(pw.connect("app", password="app2")) == "app"
    assert pw.pool(user="app2")["sv_idle"] == 1
    assert "authentication failed" in pw.refused("app", database="plain", password="app2").message


def test_a_database_that_does_not_exist(ask):
    pw = ask()
    assert "authentication failed" in pw.refused("app", database="nowhere").message
    assert pw.pool(user="postgres")["sv_idle"] == 0


def test_automatic_database(ask):
    pw = ask({"*": {}})
    assert whoami(pw.connect("app", database="postgres")) == "app"


def test_console_user_by_query(ask):
    pw = ask({"test": {}, "names": {}}, settings={"auth_dbname": "names", "admin_users": "admin, app"})
    conn = pw.connect("app", database="pgbouncer")
    assert conn.query("SHOW VERSION").rows
    assert pw.refused("scramuser", database="pgbouncer").message == "not allowed"
    assert pw.refused("nobody", database="pgbouncer").message == "no such user"


def test_console_user_without_a_database_to_ask(ask):
    pw = ask(settings={"admin_users": "admin, app"})
    assert pw.refused("app", database="pgbouncer").message == "bouncer config error"
    assert pw.admin("SHOW VERSION").rows


def test_hba_sees_the_name_that_the_query_gives(ask):
    pw = ask(settings={"auth_type": "hba", "auth_query": "SELECT 'app', 'yes' WHERE $1 IN ('app', 'alias')"},
             hba="host test app 127.0.0.1/32 scram-sha-256\nhost all admin all trust\n")
    assert whoami(pw.connect("alias", password="yes")) == "app"
    assert pw.refused("nobody", password="yes").message == "no such user"


def test_nothing_of_the_client_reaches_that_server(ask):
    """Nor of another one, who has used the same server before."""
    query = ("SELECT $1::text, concat_ws('|', current_setting('application_name'), current_setting('client_encoding'), "
             "current_setting('search_path'), current_setting('DateStyle'))")
    pw = ask(settings={"auth_query": query, "auth_type": "plain", "default_pool_size": 1}, userlist={"postgres": "own"})
    sets = {"client_encoding": "LATIN1", "DateStyle": "German", "application_name": "evil", "search_path": "evil, public"}
    other = pw.connect("postgres", password="own", **sets)
    assert other.scalar("SHOW search_path") == "evil, public" and other.scalar("SHOW client_encoding") == "LATIN1"
    assert whoami(pw.connect("app", password='|UTF8|"$user", public|ISO, MDY', **sets)) == "app"
    assert pw.pool(user="postgres")["sv_idle"] == 1
    assert other.scalar("SHOW search_path") == "evil, public" and other.scalar("SHOW client_encoding") == "LATIN1"


@pytest.mark.parametrize("mode", ["session", "transaction", "statement"])
def test_pool_modes(ask, mode):
    pw = ask(settings={"pool_mode": mode, "default_pool_size": 1})
    for _ in range(3):
        conn = pw.connect("app")
        assert whoami(conn) == "app"
        conn.terminate()


def test_many_at_once_through_one_server(ask):
    pw = ask(settings={"default_pool_size": 1, "max_client_conn": 200})
    failed = []

    def log_in():
        try:
            conn = pw.connect("app")
            assert whoami(conn) == "app"
            conn.terminate()
        except Exception as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=log_in) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert pw.pool(user="postgres")["sv_idle"] == 1


def waiting(pw, user="app"):
    """A login that waits for a server to be asked."""
    conn = pw.raw()
    conn.send(wire.startup({"user": user, "database": "test"}))
    return conn


@pytest.fixture
def full(ask):
    """The only server that could be asked is taken."""
    pw = ask(settings={"default_pool_size": 1, "query_wait_timeout": 2}, userlist={"postgres": ""}, hba=None)
    pw.reload(auth_type="trust")
    holder = pw.connect("postgres")
    holder.query("BEGIN")
    pw.reload(auth_type="scram-sha-256")
    return pw, holder


def test_the_wait_is_bounded(full):
    pw, holder = full
    conn = waiting(pw)
    system.wait_for(lambda: pw.pool(user="postgres")["cl_waiting"] == 1, 10, "the login in the queue")
    conn.expect_fatal("query_wait_timeout")
    holder.query("COMMIT")
    assert whoami(pw.connect("app")) == "app"


@pytest.mark.parametrize("leave", ["close", "abort"])
def test_who_leaves_while_waiting_is_noticed(full, leave):
    pw, holder = full
    conn = waiting(pw)
    system.wait_for(lambda: pw.pool(user="postgres")["cl_waiting"] == 1, 10, "the login in the queue")
    getattr(conn, leave)()
    system.wait_for(lambda: pw.pool(user="postgres")["cl_waiting"] == 0, 10, "its place to be free")
    holder.query("COMMIT")
    assert whoami(pw.connect("app")) == "app"


def test_who_waits_is_served_in_turn(full):
    pw, holder = full
    conn = waiting(pw)
    system.wait_for(lambda: pw.pool(user="postgres")["cl_waiting"] == 1, 10, "the login in the queue")
    holder.query("COMMIT")
    conn.authenticate("app", pw.USERLIST["app"])
    conn.read_welcome()
    assert whoami(conn) == "app"


def waits(pw):
    return {row["cause"]: row for row in pw.show("WAITS") if row["user"] == "postgres"}


def booked(pw):
    """By the cause, what has been waited for servers of the pool that is asked; all pools' causes add up to the whole."""
    total = next(int(row["wait_time"]) for row in pw.show("STATS_TOTALS") if row["database"] == "test")
    rows = [row for row in pw.show("WAITS") if row["database"] == "test"]
    assert sum(int(row["wait_time_us"]) for row in rows) == total
    return {row["cause"]: int(row["wait_time_us"]) for row in rows if row["user"] == "postgres"}


@pytest.mark.parametrize("workers", [1, 3])
def test_its_wait_has_a_cause(ask, workers):
    """A login that waits for a server of its lookup's pool waits for auth_query; what that waits for is in the log. The
    client hears of it in its welcome, because before that it would take a NOTICE for nonsense."""
    pw = ask(settings={"default_pool_size": 1, "query_wait_notify": 1, "workers": workers, "console_extra_columns": 1},
             userlist={"postgres": "own"})
    holder = pw.connect("postgres", password="own")
    holder.query("BEGIN")
    before = booked(pw)
    conn = waiting(pw)
    system.wait_for(lambda: waits(pw).get("auth_query", {}).get("waiting") == "1", what="the cause is known")
    pool = pw.pool(user="postgres")
    assert pool["cl_waiting"] == 1 and pool["wait_cause"] == "auth_query"
    assert all(row["waiting"] == "0" for cause, row in waits(pw).items() if cause != "auth_query"), waits(pw)
    system.wait_for(lambda: pw.pool(user="postgres")["maxwait"] >= 3, what="a wait that is long")
    holder.query("COMMIT")
    holder.terminate()
    conn.authenticate("app", pw.USERLIST["app"])
    conn.read_welcome()
    told = [message.body for message in conn.greeting if message.type == "N"]
    assert len(told) == 1 and b"MLogin has waited " in told[0], told
    after = booked(pw)
    assert after["auth_query"] - before.get("auth_query", 0) >= 3000000
    assert after.get("pool_full", 0) == before.get("pool_full", 0), "no second booking beside it"
    pw.wait_log(r"waited \d+ ms for a server: auth_query \d+ ms, of which for a server to ask: .*pool_full \d+ ms")


def test_so_has_the_wait_for_the_answer(ask, pg, db):
    keeper = pg.connect(database=db)
    keeper.query("SELECT pg_advisory_lock(78)")
    pw = ask(settings={"auth_query": "SELECT $1::text, 'x' || pg_advisory_xact_lock(78)", "auth_type": "plain"})
    conn = waiting(pw)
    system.wait_for(lambda: waits(pw).get("auth_query", {}).get("waiting") == "1", what="the cause is known")
    pw.wait_pool(user="postgres", sv_tested=1, cl_waiting=0)  # it has its server
    keeper.query("SELECT pg_advisory_unlock(78)")
    conn.authenticate("app", "x")
    conn.read_welcome()
    assert waits(pw)["auth_query"]["waiting"] == "0"
    assert booked(pw)["auth_query"] > 0


def test_libpq_gets_in_after_a_long_lookup(ask):
    pw = ask(settings={"default_pool_size": 1, "query_wait_notify": 1}, userlist={"postgres": "own"})
    holder = pw.connect("postgres", password="own")
    holder.query("BEGIN")
    psql = subprocess.Popen(["psql", "-XAtc", "SELECT current_user", pw.url()],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    system.wait_for(lambda: pw.pool(user="postgres")["maxwait"] >= 3, what="a wait that is long")
    holder.query("COMMIT")
    holder.terminate()
    out, err = psql.communicate(timeout=60)
    assert (psql.returncode, out) == (0, "app\n") and "Login has waited" in err, err


def test_pause_holds_it(full):
    pw, holder = full
    holder.query("COMMIT")
    pw.reload(query_wait_timeout=60)
    pw.admin("PAUSE")
    conn = waiting(pw)
    system.wait_for(lambda: pw.pool(user="postgres")["cl_waiting"] == 1, 10, "the login in the queue")
    pw.admin("RESUME")
    conn.authenticate("app", pw.USERLIST["app"])
    conn.read_welcome()


def test_a_slow_query_costs_its_client_only(ask, pg, db):
    """Who leaves while PostgreSQL thinks; client_login_timeout; a server that is killed meanwhile."""
    query = "SELECT $1::text, 'x' || pg_sleep(CASE WHEN $1 = 'slow' THEN 30 ELSE 0 END)"
    pw = ask(settings={"auth_query": query, "auth_type": "plain", "client_login_timeout": 3, "default_pool_size": 2})

    def asking():
        return [row for row in pg.backends(db) if "pg_sleep" in row["query"] and row["state"] == "active"]

    conn = waiting(pw, "slow")
    system.wait_for(asking, 10, "the question")
    assert whoami(pw.connect("app", password="x")) == "app"
    conn.close()
    pg.kill_backends(db)
    system.wait_for(lambda: not pg.backends(db), 10, "all servers to go")
    conn = waiting(pw, "slow")
    system.wait_for(asking, 10, "the question")
    pg.kill_backends(db)
    conn.expect_fatal("terminating connection due to administrator command")
    waiting(pw, "slow").expect_fatal("client_login_timeout")
    system.wait_for(lambda: not asking(), 20, "the question to end with its login")
    assert whoami(pw.connect("app", password="x")) == "app"


def test_a_server_that_talks_nonsense(start):
    """A row before its columns, an answer twice: that server is closed, the client told, the process lives."""

    def nonsense(conn):
        conn.login()
        conn.read()
        conn.send(wire.message("D", b"\0\2\0\0\0\3app\0\0\0\1x") + wire.message("Z", b"I"))

    with FakeServer(nonsense) as fake:
        pw = start({"test": fake.entry, "good": {}}, settings={**AUTH, "auth_type": "plain", "server_tls_sslmode": "disable"},
                   userlist=FILE)
        assert pw.refused("app", password="x").severity == "FATAL"
        assert whoami(pw.connect("md5user", database="good")) == "md5user"


def test_a_server_that_cannot_be_had(start):
    port = system.free_port()
    pw = start({"test": start.entry(host="127.0.0.1", port=port)}, userlist=FILE,
               settings={**AUTH, "client_login_timeout": 3, "server_login_retry": 1})
    assert pw.refused("app").message in ("client_login_timeout", "server login has been failing, cached error: connect failed "
                                         "(server_login_retry)", "client_login_timeout (server down)")


def test_secrets_are_not_told(ask):
    pw = ask(settings={"verbose": 2})
    pw.connect("app").terminate()
    pw.refused("scramuser", password="wrong")
    log = "\n".join(pw.lines)
    assert "SCRAM-SHA-256$" not in log and "app-secret" not in log
