"""Logins that fail, and those of each method that do not. The texts and SQLSTATEs are PgBouncer's; PostgreSQL has its own."""

from harness import wire
from recorder import session


def attempt(name, user="app", database="test", password=None, extra=None, **settings):
    """One login; what the client sees of it, and a query if it succeeds."""

    def run(c):
        c.login(user, database, password, **(extra or {}))
        if not c.over:
            c.query("SELECT current_user")

    run.__name__ = name
    session(modes=("transaction",), peers=("pgbouncer",), login=False, **settings)(run)


METHODS = {"plain": "plain", "md5": "md5", "scram": "scram-sha-256", "trust": "trust"}

for word, method in METHODS.items():
    attempt("auth_%s_right" % word, auth_type=method)
    attempt("auth_%s_wrong_password" % word, password="wrong", auth_type=method)
    attempt("auth_%s_empty_password" % word, password="", auth_type=method)
    attempt("auth_%s_unknown_user" % word, user="nobody", password="x", auth_type=method)
    attempt("auth_%s_unknown_database" % word, database="nowhere", auth_type=method)
    attempt("auth_%s_unknown_database_wrong_password" % word, database="nowhere", password="wrong", auth_type=method)
    attempt("auth_%s_unknown_user_unknown_database" % word, user="nobody", database="nowhere", password="x", auth_type=method)
    attempt("auth_%s_secret_is_md5" % word, user="md5user", auth_type=method, stored="md5")
    attempt("auth_%s_secret_is_md5_wrong_password" % word, user="md5user", password="wrong", auth_type=method, stored="md5")
    attempt("auth_%s_secret_is_scram" % word, user="scramuser", auth_type=method, stored="scram")
    attempt("auth_%s_secret_is_scram_wrong_password" % word, user="scramuser", password="wrong", auth_type=method, stored="scram")
    attempt("auth_%s_secret_is_empty" % word, user="postgres", password="x", auth_type=method)

attempt("auth_any_anybody", user="nobody", auth_type="any")
attempt("auth_any_forced_user", user="nobody", database="forced", auth_type="any")
attempt("auth_user_name_long", user="u" * 130)
attempt("auth_database_name_long", database="d" * 130)
attempt("auth_reserved_name", database="pgbouncer")
attempt("auth_forced_user", database="forced")
attempt("auth_forced_user_wrong_password_at_server", database="forced_wrong")
attempt("auth_server_has_no_such_role", user="onlyhere")
attempt("auth_server_has_no_such_database", database="missing")
attempt("auth_server_rejects", user="rejected", auth_type="trust")
attempt("auth_server_wants_tls", user="ssluser", auth_type="trust")
attempt("auth_server_wants_md5", user="md5user", auth_type="plain")
attempt("auth_server_wants_scram", user="scramuser", auth_type="plain")
attempt("auth_server_wants_cleartext", user="plainuser", auth_type="plain")
attempt("auth_server_wants_scram_but_only_md5_is_known", user="scramuser", auth_type="md5", stored="wrong md5")
attempt("auth_hba_reject", user="app", hba="host all app 127.0.0.1/32 reject\n")
attempt("auth_hba_no_rule", user="app", hba="host all app2 127.0.0.1/32 trust\n")
attempt("auth_hba_trust", user="app", hba="host test app 127.0.0.1/32 trust\n")
attempt("auth_hba_password", user="app", hba="host all all 127.0.0.1/32 password\n")
attempt("auth_hba_password_wrong", user="app", password="wrong", hba="host all all 127.0.0.1/32 password\n")
attempt("auth_hba_md5_wrong", user="app", password="wrong", hba="host all all 0.0.0.0/0 md5\n")
attempt("auth_hba_scram_wrong", user="app", password="wrong", hba="host all all 0.0.0.0/0 scram-sha-256\n")
attempt("auth_hba_cert_without_tls", user="app", hba="host all all 0.0.0.0/0 cert\n")
attempt("auth_hba_peer_over_tcp", user="app", hba="host all all 0.0.0.0/0 peer\n")
attempt("auth_hba_hostssl_without_tls", user="app", hba="hostssl all all 0.0.0.0/0 trust\n")
attempt("auth_hba_unknown_database", database="nowhere", hba="host all all 0.0.0.0/0 trust\n")
attempt("auth_hba_first_rule_counts", user="app", hba="host all app 0.0.0.0/0 reject\nhost all all 0.0.0.0/0 trust\n")
attempt("auth_limit_of_clients", max_client_conn=0)
attempt("auth_database_disabled", disable="test")
attempt("auth_query_no_such_user", user="stranger", password="x", auth_type="plain", auth_user="postgres")
attempt("auth_query_right", user="app2", auth_type="md5", auth_user="postgres", known=("postgres",))
attempt("auth_query_wrong_password", user="app2", password="wrong", auth_type="md5", auth_user="postgres", known=("postgres",))
attempt("auth_query_broken", user="app2", auth_type="md5", auth_user="postgres", known=("postgres",), auth_query="SELECT nonsense")
attempt("auth_query_three_columns", user="app2", auth_type="md5", auth_user="postgres", known=("postgres",), auth_query="SELECT $1, $1, $1")
attempt("auth_ignored_parameter", extra={"nonsense": "1"}, ignore_startup_parameters="nonsense")


def with_tls(name, common_name=None, user="certuser", authority="ca", **settings):
    def run(c):
        c.send(wire.ssl_request())
        c.byte()
        c.tls(c.target.tls_context(common_name, authority))
        c.login(user)
        if not c.over:
            c.query("SELECT 1")

    run.__name__ = name
    session(modes=("transaction",), peers=("pgbouncer",), login=False, tls="verify-full", **settings)(run)


with_tls("auth_cert_right", "app", "app", auth_type="cert")
with_tls("auth_cert_other_name", "app2", "app", auth_type="cert")
with_tls("auth_cert_unknown_user", "nobody", "nobody", auth_type="cert")
with_tls("auth_cert_hba_right", "app", "app", hba="hostssl all all 0.0.0.0/0 cert\n")
with_tls("auth_cert_hba_other_name", "app2", "app", hba="hostssl all all 0.0.0.0/0 cert\n")
with_tls("auth_cert_hba_trust_over_tls", "app2", "app", hba="hostssl all all 0.0.0.0/0 trust\n")


@session(modes=("transaction",), peers=("pgbouncer",), login=False, auth_type="cert", tls="verify-full")
def auth_cert_without_tls(c):
    c.login()


@session(modes=("transaction",), peers=("pgbouncer",), login=False, auth_type="plain")
def auth_startup_instead_of_password(c):
    c.start({"user": "app", "database": "test"})
    c.take("R")
    c.start({"user": "app", "database": "test"})
    c.end()


@session(modes=("transaction",), peers=("pgbouncer",), login=False, auth_type="plain")
def auth_query_instead_of_password(c):
    c.start({"user": "app", "database": "test"})
    c.take("R")
    c.send(wire.query("SELECT 1"))
    c.end()


@session(modes=("transaction",), peers=("pgbouncer",), login=False, auth_type="plain")
def auth_client_leaves_instead_of_password(c):
    c.start({"user": "app", "database": "test"})
    c.take("R")
    c.send(wire.terminate())
    c.end()


def sasl(name, *answers):
    """A SCRAM exchange with these messages of the client's."""

    def run(c):
        c.start({"user": "app", "database": "test"})
        c.take("R")
        for one in answers:
            c.send(one)
            c.take("RE")
        c.end()

    run.__name__ = name
    session(modes=("transaction",), peers=("pgbouncer",), login=False, auth_type="scram-sha-256")(run)


FIRST = b"n,,n=app,r=abcdefghijklmnopqrstuvwx"
sasl("auth_sasl_mechanism_unknown", wire.sasl_initial("PLAIN", b"\0app\0app-secret"))
sasl("auth_sasl_mechanism_plus", wire.sasl_initial("SCRAM-SHA-256-PLUS", FIRST))
sasl("auth_sasl_channel_binding", wire.sasl_initial("SCRAM-SHA-256", b"p=tls-server-end-point,,n=app,r=abcdefghijklmnopqrstuvwx"))
sasl("auth_sasl_authzid", wire.sasl_initial("SCRAM-SHA-256", b"n,a=other,n=app,r=abcdefghijklmnopqrstuvwx"))
sasl("auth_sasl_extension", wire.sasl_initial("SCRAM-SHA-256", b"n,,m=x,n=app,r=abcdefghijklmnopqrstuvwx"))
sasl("auth_sasl_no_nonce", wire.sasl_initial("SCRAM-SHA-256", b"n,,n=app,r="))
sasl("auth_sasl_garbage", wire.sasl_initial("SCRAM-SHA-256", b"garbage"))
sasl("auth_sasl_cut", wire.message("p", b"SCRAM-SHA-256\0\0\0\0\x50" + FIRST))
sasl("auth_sasl_password_instead", wire.message("p", b"app-secret\0"))
sasl("auth_sasl_proof_wrong", wire.sasl_initial("SCRAM-SHA-256", FIRST), wire.message("p", b"c=biws,r=abcdefghijklmnopqrstuvwx,p=" + b"A" * 43 + b"="))
sasl("auth_sasl_final_garbage", wire.sasl_initial("SCRAM-SHA-256", FIRST), wire.message("p", b"garbage"))
