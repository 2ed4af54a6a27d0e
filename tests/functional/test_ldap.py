"""Passwords that a directory judges (compat/auth.md, section 10), against a real slapd and against sockets that hang."""

import contextlib
import socket
import threading

import pytest

from harness import postgres, slapd, system, wire

FAILED = "LDAP authentication failed"
ADMIN = {"admin": "admin-secret"}


@pytest.fixture(scope="module")
def directory(certs):
    one = slapd.Slapd(certs)
    yield one
    one.stop()


@pytest.fixture
def ldap(start, directory):
    """Starts a pgweir with auth_type=ldap; nobody is in its userlist."""

    def begin(options, databases=None, settings=None, userlist=None, **kwargs):
        settings = {"auth_type": "ldap", "auth_ldap_options": options, **(settings or {})}
        environment = {"LDAPTLS_CACERT": directory.ca, **kwargs.pop("environment", {})}
        return start(databases, settings=settings, userlist=userlist or {}, environment=environment, **kwargs)

    return begin


@contextlib.contextmanager
def silent(answer=b""):
    """A port behind which nobody speaks, or says `answer` to everything."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(200)
    taken, came = [], threading.Event()

    def serve():
        with contextlib.suppress(OSError):
            while True:
                taken.append(listener.accept()[0])
                came.set()
                if answer:
                    taken[-1].recv(4096)
                    taken[-1].sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1], came
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for one in taken:
        one.close()


def hanging(port, **more):
    return slapd.options(ldapserver="127.0.0.1", ldapport=port, ldapprefix="uid=", ldapsuffix=",dc=x", **more)


def begin_login(pw, user="app", password="app-secret", database="test"):
    """A login whose password has been sent."""
    conn = pw.raw()
    conn.send(wire.startup({"user": user, "database": database}))
    assert conn.read().body == b"\0\0\0\3"
    conn.send(wire.message("p", wire.cstr(password)))
    return conn


MODES = {
    "simple": lambda d: d.simple(),
    "search": lambda d: d.search(),
    "search by attribute": lambda d: d.search(ldapsearchattribute="sn"),
    "search by filter": lambda d: d.search(ldapsearchfilter="(&(objectClass=inetOrgPerson)(|(uid=$username)(mail=$username)))"),
    "search as somebody": lambda d: d.search(ldapbinddn=slapd.ADMIN, ldapbindpasswd=slapd.ADMIN_PASSWORD),
    "url": lambda d: slapd.options(ldapurl="ldap://127.0.0.1:%d/%s?uid?sub" % (d.port, slapd.BASE)),
    "starttls": lambda d: d.simple(ldaptls=1),
    "starttls search": lambda d: d.search(ldaptls=1),
    "ldaps": lambda d: slapd.options(ldapserver="127.0.0.1", ldapscheme="ldaps", ldapport=d.tls_port, ldapbasedn=slapd.BASE),
    "ldaps url": lambda d: slapd.options(ldapurl="ldaps://127.0.0.1:%d/%s??sub?(uid=$username)" % (d.tls_port, slapd.PEOPLE)),
    "second server": lambda d: slapd.options(ldapserver="127.0.0.1:1 127.0.0.1:%d" % d.port, ldapbasedn=slapd.BASE),
}


@pytest.mark.parametrize("mode", MODES)
def test_login(ldap, directory, mode):
    pw = ldap(MODES[mode](directory))
    conn = pw.connect("app")
    assert conn.scalar("SELECT current_user") == "app"
    for user, password in (("app", "wrong"), ("app", "app2-secret"), ("nobody", "app-secret")):
        error = pw.refused(user, password=password)
        assert (error.severity, error.sqlstate, error.message) == ("FATAL", "08P01", FAILED)
    assert pw.connect("app").scalar("SELECT current_user") == "app"


def test_the_password_logs_in_to_the_server(ldap, directory, pg):
    """scramuser has to prove himself to PostgreSQL; only his client knows the password, and no file."""
    pw = ldap(directory.search())
    assert pw.connect("scramuser").scalar("SELECT current_user") == "scramuser"
    assert pw.connect("plainuser").scalar("SELECT current_user") == "plainuser"


def test_each_login_asks_anew(ldap, directory):
    pw = ldap(directory.search())
    pw.connect("app2")
    directory.set_password("app2", "changed")
    try:
        assert pw.refused("app2").message == FAILED
        pw.connect("app2", password="changed")
    finally:
        directory.set_password("app2", postgres.PASSWORDS["app2"])
    assert pw.refused("app2", password="changed").message == FAILED


@pytest.mark.parametrize("mode", ["simple", "search"])
def test_an_empty_password_is_nobody(ldap, directory, mode):
    """A directory takes a bind without a password as one of nobody, and says yes."""
    pw = ldap(MODES[mode](directory))
    assert pw.refused("app", password="").message == "empty password returned by client"


@pytest.mark.parametrize("name", ["*", "app*", "app)(uid=*", "a\\2a", "ap/p", "(app", "app2)(|(uid=app"])
def test_names_do_not_change_a_search(ldap, directory, name):
    pw = ldap(directory.search())
    assert pw.refused(name, password="app-secret").message == FAILED
    pw.wait_log("invalid character in user name for LDAP authentication")


def test_a_name_that_two_entries_have(ldap, directory):
    """Seen only by who may look into both places."""
    pw = ldap(directory.search(ldapbinddn=slapd.READER, ldapbindpasswd="reader-secret"))
    assert pw.refused("twin", password="twin-secret").message == FAILED
    pw.wait_log('LDAP user "twin" is not unique')
    pw = ldap(directory.search())
    assert pw.refused("secretive", password="secretive-secret").message == FAILED
    pw.wait_log('LDAP user "secretive" does not exist')


def test_search_with_a_wrong_password_of_its_own(ldap, directory):
    pw = ldap(directory.search(ldapbinddn=slapd.READER, ldapbindpasswd="wrong"))
    assert pw.refused("app").message == FAILED
    line = pw.wait_log("could not perform initial LDAP bind")
    assert slapd.READER in line and "wrong" not in line


@pytest.mark.parametrize("options, phrase", [
    ("", "auth_ldap_options is null"),
    (None, "auth_ldap_options is null"),
    ("ldapserver=127.0.0.1", FAILED),
    ("ldapserver=127.0.0.1 ldapprefix=a ldapbasedn=b", FAILED),
    ("ldapserver=127.0.0.1 ldapcolour=b", FAILED),
    ("ldapserver=127.0.0.1 ldapbasedn=b ldapport=0", FAILED),
    ("ldapserver = 127.0.0.1 ldapbasedn=b", FAILED),
])
def test_options_that_cannot_be_used(ldap, options, phrase):
    pw = ldap(options)
    assert pw.refused("app").message == phrase
    pw.wait_log("WARNING.*auth_ldap_options cannot be used: ")


def test_untrusted_certificates_are_refused(ldap, directory, certs):
    for mode in ("ldaps", "starttls"):
        pw = ldap(MODES[mode](directory), environment={"LDAPTLS_CACERT": certs.other_ca})
        assert pw.refused("app").message == FAILED


def test_no_plain_password_where_tls_was_asked_for(ldap):
    """A directory that has no TLS gets no password."""
    heard = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(5)

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    conn = listener.accept()[0]
                    heard.append(conn.recv(4096))
                    # ExtendedResponse, message 1: protocolError.
                    conn.sendall(bytes.fromhex("300c02010178070a010204000400"))
                    heard.append(conn.recv(4096))
                    conn.close()

        threading.Thread(target=serve, daemon=True).start()
        pw = ldap(hanging(listener.getsockname()[1], ldaptls=1))
        assert pw.refused("app").message == FAILED
        pw.wait_log("could not start LDAP TLS session")
        listener.shutdown(socket.SHUT_RDWR)
    assert heard and not any(b"app-secret" in one for one in heard)


HANGS = {"never answers": b"", "answers by half": bytes.fromhex("30820100020101")}


@pytest.mark.parametrize("how", HANGS)
@pytest.mark.parametrize("workers", [1, 3])
def test_a_directory_that_hangs_delays_nobody_else(start, directory, how, workers):
    """Sixty logins hang at one directory: clients of other methods, and of another directory, log in meanwhile (each
    hanging login would take seconds), and those that are logged in are served."""
    with silent(HANGS[how]) as (port, came):
        pw = start({"test": {}, "quick": {}, "slow": {}}, settings={"workers": workers, "client_login_timeout": 600}, hba=(
            "host slow all all ldap %s\nhost quick all all ldap %s\nhost all all all scram-sha-256\n"
            % (hanging(port), directory.search())))
        served = pw.connect("app")
        waiting = [begin_login(pw, database="slow") for _ in range(60)]
        assert came.wait(30)
        for _ in range(3):
            assert pw.connect("app2").scalar("SELECT 1") == "1"  # SCRAM of a plain secret: offloaded, too
            assert pw.connect("app", "quick").scalar("SELECT 1") == "1"
            assert served.scalar("SELECT 1") == "1"
        assert pw.show("CLIENTS")
        assert not pw.logged("LDAP authentication failed"), "the directory should still be hanging"
        for conn in waiting:
            conn.close()


@pytest.mark.parametrize("how", HANGS)
@pytest.mark.parametrize("more", [{}, {"ldaptls": 1}, {"ldapscheme": "ldaps"}], ids=["plain", "starttls", "ldaps"])
def test_the_wait_for_a_directory_is_bounded(ldap, how, more):
    with silent(HANGS[how]) as (port, came):
        pw = ldap(hanging(port, **more), settings={"client_login_timeout": 1})
        conn = begin_login(pw)
        assert came.wait(30)
        assert conn.expect_fatal()["M"] in ("client_login_timeout", FAILED)  # libldap may see the end first


def test_a_client_that_leaves_while_a_directory_hangs(ldap):
    with silent() as (port, came):
        pw = ldap(hanging(port), settings={"client_login_timeout": 600})
        conn = begin_login(pw)
        assert came.wait(30)
        conn.close()
        pw.wait_log("client unexpected eof")


def test_hba_rules(start, directory, certs):
    pw = start({"test": {}, "other": {}}, userlist=ADMIN, environment={"LDAPTLS_CACERT": directory.ca}, hba="""
host other all all ldap ldapserver=127.0.0.1 ldapcolour=red
host test app2 all ldap %s   # STARTTLS
host test all all ldap %s
local all all ldap %s
host all admin all scram-sha-256
""" % (directory.search(ldaptls=1), directory.simple(), directory.search()))
    assert pw.connect("app").scalar("SELECT current_user") == "app"
    assert pw.connect("app2").scalar("SELECT current_user") == "app2"
    assert pw.connect("app", unix=True).scalar("SELECT current_user") == "app"
    assert pw.refused("app", password="no").message == FAILED
    assert pw.refused("app", "other").message == FAILED
    pw.wait_log('hba line 2: invalid LDAP option: "ldapcolour"')
    pw.wait_log("the LDAP options cannot be used")
    assert pw.show("CLIENTS")


def test_the_last_proof_counts_at_the_server(start, directory):
    """By LDAP on a unix socket, by a record of the userlist over TCP: each proves himself to PostgreSQL by his own."""
    pw = start(userlist={**ADMIN, "scramuser": postgres.PASSWORDS["scramuser"]},
               hba="local all all ldap %s\nhost all all all scram-sha-256\n" % directory.search())
    for unix in (True, False, True):
        assert pw.connect("scramuser", unix=unix).scalar("SELECT 1") == "1"
        pw.admin("RECONNECT")


def test_console(ldap, directory):
    pw = ldap(directory.search())
    assert pw.show("VERSION")
    assert pw.refused("app", "pgweir").message == "not allowed"
    assert pw.refused("admin", "pgweir", password="wrong").message == FAILED


def test_not_together_with_auth_query(ldap, directory):
    """An auth_user of the entry itself is a contradiction; the one for all databases is for whom LDAP does not judge."""
    databases = {"test": {}, "own": {"auth_user": "postgres"}}
    pw = ldap(directory.search(), databases, settings={"auth_user": "postgres"})
    assert pw.connect("app").scalar("SELECT current_user") == "app"
    assert pw.refused("nobody", password="x").message == FAILED
    assert pw.refused("app", "own").message == "bouncer config error"
    pw.wait_log("LDAP can't be used together with database authentication")


def test_hba_rules_beside_auth_query(start, directory):
    databases = {"test": {}, "own": {"auth_user": "postgres"}, "asked": {}}
    pw = start(databases, settings={"auth_user": "postgres"}, userlist=ADMIN, hba=(
        "host asked all all scram-sha-256\nhost all all all ldap %s\n" % directory.search()))
    assert pw.connect("scramuser").scalar("SELECT current_user") == "scramuser"
    assert pw.connect("scramuser", "asked").scalar("SELECT current_user") == "scramuser"
    assert pw.refused("app", "own").message == "bouncer config error"
    assert pw.refused("nobody", password="x").message == FAILED
    assert pw.refused("nobody", "asked", password="x").message == "no such user"


def test_a_forced_user_keeps_his_own_secret(ldap, directory):
    pw = ldap(directory.search(), databases={"test": {"user": "scramuser", "password": postgres.PASSWORDS["scramuser"]}})
    assert pw.connect("app").scalar("SELECT current_user") == "scramuser"
    assert pw.refused("app", password="wrong").message == FAILED


def test_options_are_reloaded_and_set(ldap, directory):
    pw = ldap("ldapserver=127.0.0.1 ldapport=1 ldapbasedn=dc=x", userlist=ADMIN, settings={"stats_users": "app"})
    assert pw.refused("app").message == FAILED
    pw.write_config(auth_ldap_options=directory.simple())
    pw.signal(1)
    pw.wait_log("re-reading config")
    system.wait_for(lambda: accepted(pw), 15, "the new directory is asked")
    assert pw.admin("RELOAD") is not None
    pw.write_config(auth_ldap_options="ldapcolour=red")
    with pytest.raises(wire.ServerError):
        pw.admin("RELOAD")
    assert accepted(pw)


def accepted(pw):
    try:
        pw.connect("app").terminate()
        return True
    except wire.ServerError:
        return False


def test_secrets_are_told_nowhere(ldap, directory):
    pw = ldap(directory.search(ldapbinddn=slapd.ADMIN, ldapbindpasswd=slapd.ADMIN_PASSWORD), settings={"verbose": 3},
              args=["-vv"])
    pw.connect("scramuser").scalar("SELECT 1")
    pw.refused("app", password="planted-wrong")
    shown = "\n".join(str(pw.show(t)) for t in ("CONFIG", "CLIENTS", "SERVERS", "POOLS", "USERS", "DATABASES"))
    told = shown + pw.log(10000)
    for secret in (slapd.ADMIN_PASSWORD, "directory,", "planted-wrong", postgres.PASSWORDS["scramuser"]):
        assert secret not in told


def test_a_directory_that_talks_nonsense(ldap):
    for answer in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x30\x84\xff\xff\xff\xff" + b"A" * 100, b"\0" * 64,
                   bytes.fromhex("300c020101610702010a04000400"), b"\x30\x80\x00\x00"):
        with silent(answer) as (port, came):
            pw = ldap(hanging(port), settings={"client_login_timeout": 2})
            message = pw.refused("app").message
            assert message in (FAILED, "client_login_timeout")
            pw.stop()


def test_the_end_does_not_wait_for_a_directory(ldap):
    with silent() as (port, came):
        pw = ldap(hanging(port))
        begin_login(pw)
        assert came.wait(30)
        pw.signal(3)
        assert pw.wait_exit() == 0
