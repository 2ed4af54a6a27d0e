"""pgweir-userlist as its user runs it: against a real PostgreSQL in good and bad states, and with what it wrote in use."""

import fcntl
import json
import os
import pty
import re
import shutil
import signal
import socket
import stat
import subprocess
import threading

import pytest

from harness import fakeserver, pgweir, postgres, system, wire

OK, DIFFERS, USAGE, CONNECTION, SERVER, FILE = range(6)
SCRAM = wire.scram_secret("tool-secret", salt=b"tooltooltooltool")
OTHER = wire.scram_secret("tool-other", salt=b"othersaltothers1")

pytestmark = pytest.mark.skipif(not pgweir.IS_PGWEIR, reason="a tool of pgweir")

_program = None


def program():
    global _program
    if _program is None:
        built = os.path.join(os.path.dirname(pgweir.BINARY), "pgweir-userlist")
        assert os.path.exists(built), "%s is not built" % built
        _program = os.path.join(system.make_directory("tool"), "pgweir-userlist")
        shutil.copy(built, _program)
        os.chmod(_program, 0o755)
    return _program


class Tool:
    """A directory, the server it asks, and the tool run there. Only roles named t_... unless told otherwise."""

    def __init__(self, pg):
        self.pg = pg
        self.directory = system.make_directory("ul")
        self.file = os.path.join(self.directory, "userlist.txt")
        self.outputs = ""  # all that was said: no secret may be in it

    def conninfo(self, **more):
        pairs = {"host": self.pg.socket_directory, "port": self.pg.port, "user": "postgres", "dbname": "postgres", **more}
        return " ".join("%s=%s" % (k, pgweir.quote(v)) for k, v in pairs.items())

    def argv(self, *args, conninfo=None, filters=("-i", "t_*")):
        return [program(), "--no-config", "-o", self.file, "-d", conninfo or self.conninfo(), *filters, *args]

    def raw(self, argv, as_root=False, env=None, timeout=60):
        identity = {} if as_root else system.popen_identity()
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/",
                              env={**system.clean_environment(), **pgweir.SANITIZER_OPTIONS, **(env or {})},
                              timeout=timeout, **identity)
        out, err = (piece.decode("utf-8", "surrogateescape") for piece in (done.stdout, done.stderr))
        self.outputs += out + err
        assert not pgweir.REPORTS.search(err), err
        return done.returncode, out, err

    def __call__(self, *args, conninfo=None, filters=("-i", "t_*"), **kwargs):
        return self.raw(self.argv(*args, conninfo=conninfo, filters=filters), **kwargs)

    def write(self, *args, **kwargs):
        code, out, err = self(*args, **kwargs)
        assert code == OK and not err, err
        return out

    def json(self, *args, **kwargs):
        code, out, err = self("--json", *args, **kwargs)
        told = json.loads(out)
        assert told["exit"] == code
        return told

    def text(self):
        with open(self.file, encoding="utf-8", errors="surrogateescape", newline="") as text:
            return text.read()

    def entries(self):
        """The list as PgBouncer's grammar has it."""
        body = re.sub(r"(?m)^[ \t]*;.*\n?", "", self.text())
        return {u.replace('""', '"'): s.replace('""', '"')
                for u, s in re.findall(r'"((?:[^"]|"")*)"\s+"((?:[^"]|"")*)"[^\n]*', body)}

    def mode(self):
        return stat.S_IMODE(os.stat(self.file).st_mode)

    def leavings(self):
        return [name for name in os.listdir(self.directory) if name.startswith(".")]


@pytest.fixture
def tool(pg):
    one = Tool(pg)
    yield one
    assert one.leavings() == []
    for secret in (SCRAM, OTHER, *postgres.PASSWORDS.values()):
        assert secret not in one.outputs
    assert not re.search(r"md5[0-9a-f]{32}|SCRAM-SHA", one.outputs)


@pytest.fixture
def role(pg):
    """role(name, options): CREATE ROLE, dropped at the end. Without a password unless the options say one."""
    made = []

    def create(name, options="LOGIN PASSWORD '%s'" % SCRAM):
        quoted = '"%s"' % name.replace('"', '""')
        pg.query("CREATE ROLE %s %s" % (quoted, options))
        made.append(quoted)
        return quoted

    yield create
    for quoted in reversed(made):
        pg.query("DROP OWNED BY %s" % quoted)
        pg.query("DROP ROLE %s" % quoted)


# What is written.


def test_writes_what_postgres_stores(tool, role):
    role("t_scram")
    role("t_md5", "LOGIN PASSWORD '%s'" % wire.md5_secret("t_md5", "x"))
    out = tool.write()
    assert tool.entries() == {"t_scram": SCRAM, "t_md5": wire.md5_secret("t_md5", "x")}
    assert out.splitlines()[:2] == ["+ t_md5", "+ t_scram"]
    assert out.splitlines()[2].startswith("%s: written: 2 added, 0 changed, 0 removed, 0 unchanged" % tool.file)
    assert tool.mode() == 0o600 and os.stat(tool.file).st_uid == system.unprivileged().pw_uid


def test_says_what_changed_and_leaves_alone_what_did_not(tool, role, pg):
    for name in ("t_a", "t_b", "t_c"):
        role(name)
    tool.write()
    before = os.stat(tool.file)
    assert "up to date: 0 added, 0 changed, 0 removed, 3 unchanged" in tool.write()
    assert os.stat(tool.file).st_ino == before.st_ino and os.stat(tool.file).st_mtime_ns == before.st_mtime_ns
    pg.query("ALTER ROLE t_a PASSWORD '%s'; ALTER ROLE t_b NOLOGIN" % OTHER)
    role("t_d")
    assert tool.write().splitlines()[:3] == ["+ t_d", "~ t_a", "- t_b"]
    assert tool.entries() == {"t_a": OTHER, "t_c": SCRAM, "t_d": SCRAM}


ODD = ['t_quote"inside', "t_two words", "t_a,b", "t_'; drop", "t_ünï→日本", "t_new\nline", "t_back\\slash", "t_semi;colon",
       "t_tab\there", 't_""', "t_#hash", "t_\x1b[31mred"]


def test_odd_names_reach_the_file_and_the_daemon_and_never_steer_a_terminal(tool, role, start):
    for name in ODD:
        role(name)
    out = tool.write()
    assert tool.entries() == {name: SCRAM for name in ODD}
    assert "\x1b" not in out and '+ "t_new\\nline"\n' in out and '+ "t_\\x1b[31mred"\n' in out
    assert json.loads(tool("--json")[1])["unchanged"] == len(ODD)
    told = tool.json("-n", filters=("-i", "/no such/", "--allow-empty"))
    assert sorted(told["removed"]) == sorted(ODD)
    pw = start(settings={"auth_type": "scram-sha-256", "auth_file": tool.file})
    for name in ODD:
        with wire.Conn(pw.host, pw.port) as client:  # PostgreSQL's own HBA trusts these over TCP
            assert client.login(name, "test", "tool-secret").query("SELECT current_user").scalar() == name


def test_who_cannot_log_in_is_left_out(tool, role):
    role("t_ok", "LOGIN PASSWORD '%s' VALID UNTIL 'infinity'" % SCRAM)
    role("t_later", "LOGIN PASSWORD '%s' VALID UNTIL '2999-01-01'" % SCRAM)
    role("t_past", "LOGIN PASSWORD '%s' VALID UNTIL '2001-01-01'" % SCRAM)
    role("t_never", "LOGIN PASSWORD '%s' VALID UNTIL '-infinity'" % SCRAM)
    role("t_group", "NOLOGIN PASSWORD '%s'" % SCRAM)
    role("t_null", "LOGIN")
    out = tool.write("-v")
    assert set(tool.entries()) == {"t_ok", "t_later"}
    assert "left out: 2 expired, 1 without a password" in out
    for line in ("t_past: left out, expired", "t_never: left out, expired", "t_group: left out, no login",
                 "t_null: left out, no password"):
        assert "  %s\n" % line in out
    tool.write("--empty-secrets")
    assert tool.entries() == {"t_ok": SCRAM, "t_later": SCRAM, "t_null": ""}


def test_filters(tool, role, pg):
    for name in ("t_app_1", "t_app_2", "t_report", "t_boss"):
        role(name)
    group = role("t_team", "NOLOGIN")
    inner = role("t_inner", "NOLOGIN")
    pg.query("GRANT %s TO %s; GRANT %s TO t_app_1; GRANT %s TO t_report; ALTER ROLE t_boss SUPERUSER"
             % (group, inner, inner, group))
    pg.query("CREATE DATABASE t_only STRATEGY file_copy")
    try:
        pg.query("REVOKE CONNECT ON DATABASE t_only FROM PUBLIC")
        pg.query("GRANT CONNECT ON DATABASE t_only TO t_app_2")

        def listed(*filters):
            told = tool.json("-n", "--overwrite", "--allow-empty", filters=filters)
            return {name for name in told["added"] if name.startswith("t_")}

        everybody = {"t_app_1", "t_app_2", "t_report", "t_boss"}
        assert listed() == everybody
        assert listed("-i", "t_app_?", "-i", "t_rep*") == {"t_app_1", "t_app_2", "t_report"}
        assert listed("-i", "/^t_(app|rep)/", "-x", "*_2") == {"t_app_1", "t_report"}
        assert listed("-m", "t_team") == {"t_app_1", "t_report"}, "membership through a group, superusers are no members"
        assert listed("--not-member-of", "t_inner") == everybody - {"t_app_1"}
        assert listed("-D", "t_only") == {"t_app_2", "t_boss"}
        assert listed("-D", "t_only", "-D", "postgres") == everybody
        assert listed("--no-superusers") == everybody - {"t_boss"}
        for flag, what in (("-m", "role"), ("--not-member-of", "role"), ("-D", "database")):
            code, _, err = tool("-n", flag, 'no "such')
            assert code == SERVER and 'there is no %s "no \\"such"' % what in err
    finally:
        pg.query("DROP DATABASE t_only")


def test_nobody_fits_is_a_mistake(tool, role):
    role("t_one")
    tool.write()
    before = tool.text()
    code, out, err = tool(filters=("-i", "t_typo*"))
    assert code == SERVER and "no role with a password fits the filters" in err and tool.text() == before
    tool.write("--allow-empty", filters=("-i", "t_typo*"))
    assert tool.entries() == {}


# The old file.


def test_comments_order_and_what_is_kept_stay(tool, role):
    for name in ("t_a", "t_b", "t_z"):
        role(name)
    system.write_file(tool.file, """; pgweir-userlist: managed
; my own comment

"t_z" "old" ; who is this?
; pgweir-userlist: keep
"hand" "made"
"t_gone" "x"
; pgweir-userlist: keep begin
"t_b" "not the server's"
"other" "y" tail
; pgweir-userlist: keep end
"behind" "z" ; pgweir-userlist: keep
""")
    out = tool.write("-v")
    assert tool.text() == """; pgweir-userlist: managed
; my own comment

"t_z" "%s" ; who is this?
; pgweir-userlist: keep
"hand" "made"
; pgweir-userlist: keep begin
"t_b" "not the server's"
"other" "y" tail
; pgweir-userlist: keep end
"behind" "z" ; pgweir-userlist: keep
"t_a" "%s"
""" % (SCRAM, SCRAM)
    assert out.splitlines()[:7] == ["+ t_a", "~ t_z", "- t_gone", "= behind", "= hand", "= other", "= t_b"]
    assert "4 kept by hand" in out
    assert "up to date" in tool.write()


def test_a_list_written_by_hand_is_not_taken_over_unasked(tool, role):
    role("t_a")
    system.write_file(tool.file, '"mine" "secret-of-mine"\n')
    code, _, err = tool()
    assert code == FILE and "was written by hand, and 1 of its entries would be removed" in err
    assert tool.text() == '"mine" "secret-of-mine"\n'
    code, out, err = tool("-n")
    assert code == OK and "- mine" in out and "--adopt" in err
    tool.write("--adopt")
    assert set(tool.entries()) == {"t_a"}
    tool.write()


@pytest.mark.parametrize("text, words", [
    ('"open" "never ends\n', ":1: "), ("no quotes\n", ":1: "), ('; fine\n"a" "b"\n"c"\n"d" "e"\n', ":3: "),
    ('"a" "b"\n; pgweir-userlist: kepe\n"c" "d"\n', ":2: a mark"), ("; pgweir-userlist: keep end\n", ":1: a mark"),
])
def test_a_broken_file_is_not_touched(tool, role, text, words):
    role("t_a")
    system.write_file(tool.file, text)
    code, _, err = tool()
    assert code == FILE and tool.file + words in err and "never ends" not in err
    assert tool.text() == text
    tool.write("--overwrite")
    assert set(tool.entries()) == {"t_a"}


def test_a_wrong_mode_is_mended(tool, role):
    role("t_a")
    tool.write()
    os.chmod(tool.file, 0o644)
    code, out, _ = tool("--check")
    assert code == DIFFERS and "mode 0644, should be 0600" in out
    assert tool.mode() == 0o644
    code, out, err = tool()
    assert code == OK and tool.mode() == 0o600
    assert "the group of %s could read it" % tool.file in err
    tool.write("--mode", "0640")
    assert tool.mode() == 0o640


def test_check_and_dry_run_change_nothing(tool, role):
    role("t_a")
    for args, code in ((("--check",), DIFFERS), (("-n",), OK)):
        assert tool(*args)[0] == code and os.listdir(tool.directory) == []
    tool.write()
    assert tool("--check")[0] == OK
    role("t_b")
    before = os.stat(tool.file)
    code, out, _ = tool("--check")
    assert code == DIFFERS and "+ t_b\n" in out and "not up to date" in out
    code, out, _ = tool("--dry-run")
    assert code == OK and "+ t_b\n" in out and "would be written" in out
    assert os.stat(tool.file) == before or os.stat(tool.file).st_mtime_ns == before.st_mtime_ns
    assert tool("--check", "--dry-run")[0] == USAGE


def test_a_link_stays_a_link(tool, role):
    role("t_a")
    real = os.path.join(system.make_directory("real"), "list")
    system.write_file(real, "")
    os.symlink(real, tool.file)
    if os.geteuid() == 0:
        os.lchown(tool.file, system.unprivileged().pw_uid, -1)
    tool.write()
    assert os.path.islink(tool.file) and set(tool.entries()) == {"t_a"} and not os.path.islink(real)
    os.unlink(real)
    tool.write()
    assert os.path.islink(tool.file) and os.path.exists(real)


def test_a_read_only_directory(tool, role):
    role("t_a")
    tool.write()
    role("t_b")
    before = tool.text()
    os.chmod(tool.directory, 0o555)
    try:
        assert tool("--check")[0] == DIFFERS
        code, _, err = tool()
        assert code == FILE and "Permission denied" in err and tool.text() == before
    finally:
        os.chmod(tool.directory, 0o755)


def test_places_that_cannot_be_written(tool, role):
    role("t_a")
    for path, words in (("/no/such/directory/list", "could not open the directory"), ("/dev/null", "no regular file"),
                        (tool.directory + "/", "is no name of a file")):
        code, _, err = tool("-o", path)
        assert code == FILE and words in err, path
    os.mkdir(tool.file)
    assert tool()[0] == FILE
    os.rmdir(tool.file)
    os.mkfifo(tool.file, 0o666)
    os.chmod(tool.file, 0o666)
    assert tool()[0] == FILE
    os.unlink(tool.file)


root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@root_only
def test_root_keeps_the_owner_or_takes_the_one_named(tool, role):
    role("t_a")
    account = system.unprivileged()
    tool.write(as_root=True)
    assert os.stat(tool.file).st_uid == 0
    tool.write("--owner", account.pw_name, as_root=True)
    facts = os.stat(tool.file)
    assert (facts.st_uid, facts.st_gid, tool.mode()) == (account.pw_uid, account.pw_gid, 0o600)
    role("t_b")
    tool.write(as_root=True)
    facts = os.stat(tool.file)
    assert (facts.st_uid, facts.st_gid) == (account.pw_uid, account.pw_gid)
    tool.write("--owner", "12345:54321", as_root=True)
    assert (os.stat(tool.file).st_uid, os.stat(tool.file).st_gid) == (12345, 54321)
    assert tool("--owner", "nobody-of-that-name", as_root=True)[0] == USAGE
    os.chown(tool.file, account.pw_uid, account.pw_gid)
    code, _, err = tool("--owner", "root")
    assert code == FILE and "could not give" in err


@root_only
def test_root_does_not_follow_the_link_of_another_account(tool, role):
    role("t_a")
    victim = os.path.join(system.make_directory("victim"), "shadow")
    with open(victim, "w") as out:
        out.write("; precious\n")
    os.symlink(victim, tool.file)
    os.lchown(tool.file, system.unprivileged().pw_uid, -1)
    code, _, err = tool(as_root=True)
    assert code == FILE and "link of another account" in err
    with open(victim) as text:
        assert text.read() == "; precious\n"


def test_runs_side_by_side_and_what_killed_ones_left(tool, role):
    for at in range(20):
        role("t_%02d" % at)
    left = os.path.join(tool.directory, ".userlist.txt.pgweir-userlist-0011223344556677")
    system.write_file(left, '"a" "secret"')
    system.write_file(os.path.join(tool.directory, "bystander"), "x")
    codes, torn = [], []
    done = threading.Event()

    def watch():
        while not done.is_set():
            try:
                if len(re.findall(r'(?m)^"t_\d\d" "SCRAM[^"]+"$', tool.text())) != 20:
                    torn.append(tool.text())
            except FileNotFoundError:
                pass

    watcher = threading.Thread(target=watch)
    watcher.start()
    runs = [threading.Thread(target=lambda n=n: codes.append(tool("--overwrite", "--mode", "06%d0" % (n % 2 * 4))[0]))
            for n in range(8)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    done.set()
    watcher.join()
    assert codes == [OK] * 8 and not torn
    assert sorted(os.listdir(tool.directory)) == ["bystander", "userlist.txt"]


def test_waits_for_the_run_before_it(tool, role):
    role("t_a")
    directory = os.open(tool.directory, os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    run = subprocess.Popen(tool.argv(), stdout=subprocess.DEVNULL, env=system.clean_environment(), cwd="/",
                           **system.popen_identity())
    system.wait_for(lambda: "userlist.txt" in str([os.readlink("/proc/%d/fd/%s" % (run.pid, fd))
                                                   for fd in os.listdir("/proc/%d/fd" % run.pid)]) or
                    tool.directory in str([os.readlink("/proc/%d/fd/%s" % (run.pid, fd))
                                           for fd in os.listdir("/proc/%d/fd" % run.pid)]), 20, "the run to get there")
    assert tool("--check")[0] == DIFFERS, "--check waits for nobody"
    assert run.poll() is None and not os.path.exists(tool.file)
    os.close(directory)
    assert run.wait(60) == OK and os.path.exists(tool.file)


# PostgreSQL in bad states.


def test_postgres_is_down(tool, role):
    role("t_a")
    away = "host=127.0.0.1 port=%d user=postgres" % system.free_port()
    code, _, err = tool(conninfo=away)
    assert code == CONNECTION and "no connection to PostgreSQL" in err and "refused" in err
    assert os.listdir(tool.directory) == []
    for args in ((), ("--keep-old-on-failure",), ("--on-failure=keep",)):
        assert tool(*args, conninfo=away)[0] == CONNECTION, "there is no old file to keep"
    code, _, err = tool("--on-failure=empty", conninfo=away)
    assert code == OK and "has no entries" in err and tool.entries() == {} and tool.mode() == 0o600
    tool.write()
    before = tool.text()
    assert tool(conninfo=away)[0] == CONNECTION and tool.text() == before
    for how in ("keep", "empty"):
        code, out, err = tool("--on-failure", how, conninfo=away)
        assert code == OK and "warning" in err and "stays as it was" in err and tool.text() == before
    told = tool.json("-k", conninfo=away)
    assert told["status"] == "kept_old" and "refused" in told["error"] and told["server"] is None
    assert tool("-k", "--check", conninfo=away)[0] == CONNECTION, "a check that could not look is no success"


def test_wrong_password_and_unknown_database(tool):
    tcp = tool.conninfo(host="127.0.0.1", user="scramuser")
    code, _, err = tool(conninfo=tcp, env={"PGPASSWORD": "wrong-word"})
    assert code == CONNECTION and "password authentication failed" in err and "wrong-word" not in err
    code, _, err = tool(conninfo=tool.conninfo(dbname="no_such_db"))
    assert code == CONNECTION and "no_such_db" in err


def test_rights_pg_authid_pg_shadow_or_neither(tool, role, pg):
    role("t_a")
    helper = role("t_helper", "LOGIN")
    as_helper = tool.conninfo(user="t_helper")
    code, _, err = tool(conninfo=as_helper)
    assert code == SERVER and "role t_helper may not read the secrets in pg_authid or pg_shadow" in err
    assert "GRANT SELECT (oid, rolpassword) ON pg_catalog.pg_authid TO t_helper" in err
    try:
        pg.query("GRANT SELECT ON pg_catalog.pg_shadow TO %s" % helper)
        tool.write(conninfo=as_helper)
        assert tool.entries() == {"t_a": SCRAM}
        assert tool("--source=pg_authid", conninfo=as_helper)[0] == SERVER
        pg.query("REVOKE SELECT ON pg_catalog.pg_shadow FROM %s" % helper)
        pg.query("GRANT SELECT (oid, rolpassword) ON pg_catalog.pg_authid TO %s" % helper)
        assert "up to date" in tool.write(conninfo=as_helper)
        assert tool("--source=pg_shadow", conninfo=as_helper)[0] == SERVER
    finally:
        pg.query("REVOKE ALL ON pg_catalog.pg_shadow FROM %s" % helper)
        pg.query("REVOKE SELECT (oid, rolpassword) ON pg_catalog.pg_authid FROM %s" % helper)
    assert "up to date" in tool.write("--source=pg_shadow")


def test_a_search_path_cannot_lead_it_astray(tool, role, pg, db):
    role("t_a")
    with pg.connect(database=db) as admin:
        admin.query("CREATE FUNCTION public.has_column_privilege(text, text, text) RETURNS bool LANGUAGE sql AS 'SELECT 1/0=1'")
        admin.query("CREATE VIEW public.pg_authid AS SELECT 1 AS oid")
        admin.query("CREATE FUNCTION public.trap(timestamptz, timestamptz) RETURNS bool LANGUAGE sql AS 'SELECT 1/0=1'")
        admin.query("CREATE OPERATOR public.< (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = public.trap)")
        admin.query("ALTER DATABASE %s SET search_path = public, pg_catalog" % db)
    tool.write(conninfo=tool.conninfo(dbname=db))
    assert set(tool.entries()) == {"t_a"}


@pytest.mark.slow
def test_a_server_that_never_answers(tool):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent_server = "host=127.0.0.1 port=%d user=x" % silent.getsockname()[1]
        code, _, err = tool("--connect-timeout=2", conninfo=silent_server, timeout=30)
        assert code == CONNECTION and "timeout expired" in err


@pytest.mark.slow
def test_a_server_that_stops_answering_behind_the_login(tool, make_pg):
    own = make_pg()
    tool.pg = own
    own.query("CREATE ROLE t_a LOGIN PASSWORD '%s'" % SCRAM)
    tool.write()
    before = tool.text()
    # An exclusive lock on pg_authid: the query waits for it, and the server ends it.
    with own.connect() as other:
        other.query("BEGIN")
        other.query("LOCK pg_catalog.pg_auth_members IN ACCESS EXCLUSIVE MODE")
        code, _, err = tool("--statement-timeout=1", timeout=30)
        assert code == SERVER and "timeout" in err and tool.text() == before
        code, _, err = tool("--statement-timeout=1", "-k", timeout=30)
        assert code == OK and "timeout" in err and tool.text() == before


@pytest.mark.slow
def test_a_backend_that_is_stopped_behind_the_login(tool, make_pg):
    own = make_pg()
    tool.pg = own
    with own.connect() as other:
        other.query("BEGIN")
        other.query("LOCK pg_catalog.pg_auth_members IN ACCESS EXCLUSIVE MODE")
        run = subprocess.Popen(tool.argv("--statement-timeout=2"), stderr=subprocess.PIPE, env=system.clean_environment(),
                               cwd="/", **system.popen_identity())
        find = "SELECT pid FROM pg_stat_activity WHERE application_name = 'pgweir-userlist' AND wait_event_type = 'Lock'"
        pid = int(system.wait_for(lambda: own.query(find).rows, 20, "the backend to wait")[0][0])
        os.kill(pid, signal.SIGSTOP)
        try:
            _, err = run.communicate(timeout=30)
            assert run.returncode == CONNECTION and b"no answer within 5 s" in err
        finally:
            os.kill(pid, signal.SIGCONT)


# Configuration.


def config(tool, text, mode=0o600):
    path = os.path.join(tool.directory, "tool.conf")
    system.write_file(path, text, mode)
    return path


def test_everything_from_a_file(tool, role):
    role("t_a")
    role("t_b, c")
    role("t_x")
    path = config(tool, "[userlist]\nconnection = %s\noutput = %s\ninclude = t_a\ninclude = t_b, c\nmode = 0640\n"
                  % (tool.conninfo(), tool.file))
    assert tool.raw([program(), "-c", path])[0] == OK
    assert set(tool.entries()) == {"t_a", "t_b, c"} and tool.mode() == 0o640
    assert tool.raw([program(), "-c", path, "-i", "t_x", "--mode=0600"])[0] == OK, "the command line beats the file"
    assert set(tool.entries()) == {"t_x"} and tool.mode() == 0o600


def test_a_password_in_the_file_is_never_in_sight(tool, role, pg):
    role("t_a")
    role("t_reader", "LOGIN SUPERUSER PASSWORD 'tool-secret'")
    hidden = tool.conninfo(user="t_reader", password="pass-in-file")
    path = config(tool, "[userlist]\nconnection = %s\noutput = %s\ninclude = t_a\n" % (hidden, tool.file), 0o644)
    code, _, err = tool.raw([program(), "-c", path])
    assert code == OK and "holds a password and may be read by every user" in err
    code, _, err = tool(conninfo=hidden)
    assert code == USAGE and "a password on the command line" in err
    for bad in ("host=x password=two pass-in-file", "postgresql://u:pass-in-file@[x", "password='pass-in-file"):
        code, _, err = tool(conninfo=bad)
        assert code == USAGE and "cannot be read" in err
        code, _, err = tool.raw([program(), "-c", config(tool, "[userlist]\nconnection = %s\n" % bad)])
        assert code == USAGE and "cannot be read" in err
    assert "pass-in-file" not in tool.outputs


def test_pgpass_and_service_files(tool, role):
    role("t_a")
    role("t_reader", "LOGIN SUPERUSER PASSWORD '%s'" % SCRAM)
    service = os.path.join(tool.directory, "service.conf")
    system.write_file(service, "[lists]\nhost=%s\nport=%d\nuser=postgres\ndbname=postgres\n"
                      % (tool.pg.socket_directory, tool.pg.port))
    assert tool(conninfo="service=lists", env={"PGSERVICEFILE": service})[0] == OK
    assert "t_a" in tool.entries()


@pytest.mark.parametrize("text, words", [
    ("[userlist]\nowner =\n", "tool.conf:2: owner: it is empty"), ("[userlist]\nmode = 0644\n", "none of 0600"),
    ("[userlist]\nfilter = x\n", "tool.conf:2: unknown setting filter"), ("[other]\n", "unknown section [other]"),
    ("[userlist]\nconnect_timeout = soon\n", "no number of seconds"), ("[userlist]\ninclude = /(/\n", "pattern /(/"),
    ("[userlist]\non_failure = hope\n", "none of fail, keep, empty"), ("x = 1\n", "before the first section"),
    ("[userlist]\nallow_empty = maybe\n", "neither 1 nor 0"), ("[userlist]\nsource = pg_user\n", "none of auto"),
])
def test_wrong_configuration(tool, text, words):
    code, _, err = tool.raw([program(), "-c", config(tool, text)])
    assert code == USAGE and words in err, err


def test_wrong_usage(tool):
    for args, words in ((["-c", "/no/such.conf"], "No such file"), (["--colour"], "unknown or ambiguous"),
                        (["list.txt"], "is no option"), (["-o"], "needs a value"), (["-o", ""], "it is empty")):
        code, _, err = tool.raw([program(), *args])
        assert code == USAGE and words in err and "--help" in err


def test_if_configured(tool, role):
    role("t_a")
    path = config(tool, "[userlist]\noutput = %s\n; connection = service=x\n" % tool.file)
    code, out, _ = tool.raw([program(), "--if-configured", "-c", path])
    assert (code, out) == (OK, "not configured\n") and not os.path.exists(tool.file)
    path = config(tool, "[userlist]\noutput = %s\nconnection = %s\n" % (tool.file, tool.conninfo()))
    assert tool.raw([program(), "--if-configured", "-c", path])[0] == OK and os.path.exists(tool.file)
    assert tool.raw([program(), "--if-configured", "--no-config"])[:2] == (OK, "not configured\n")
    assert tool.raw([program(), "--if-configured", "-c", "/no/such.conf"])[:2] == (OK, "not configured\n")


def test_before_a_service_the_old_list_is_kept_unless_something_else_is_said(tool, role):
    role("t_a")
    tool.write()
    text = "[userlist]\noutput = %s\nconnection = host=127.0.0.1 port=%d\n" % (tool.file, system.free_port())
    before = [program(), "--if-configured", "-c"]
    code, _, err = tool.raw([*before, config(tool, text)])
    assert code == OK and "stays as it was" in err
    assert tool.raw([*before, config(tool, text), "--on-failure=fail"])[0] == CONNECTION
    assert tool.raw([*before, config(tool, text + "on_failure = fail\n")])[0] == CONNECTION
    assert tool.raw([program(), "-c", config(tool, text)])[0] == CONNECTION
    os.unlink(tool.file)
    assert tool.raw([*before, config(tool, text)])[0] == CONNECTION, "there is none to keep"


def test_help_version_quiet_and_a_full_disk(tool, role):
    role("t_a")
    code, out, _ = tool.raw([program(), "--help"])
    assert code == OK and "--keep-old-on-failure" in out and "Exit status" in out
    assert re.fullmatch(r"pgweir-userlist \d+\.\d+\.\d+\n", tool.raw([program(), "-V"])[1])
    assert tool("-q")[:2] == (OK, "")
    with open("/dev/full", "w") as full:
        done = subprocess.run([program(), "--help"], stdout=full, stderr=subprocess.PIPE)
        assert done.returncode == FILE and b"No space left on device" in done.stderr


def on_terminal(argv, env):
    """What the program writes when its output is a terminal."""
    master, slave = pty.openpty()
    run = subprocess.Popen(argv, stdout=slave, stderr=slave, stdin=subprocess.DEVNULL, cwd="/",
                           env={**system.clean_environment(), "TERM": "xterm", **env}, **system.popen_identity())
    os.close(slave)
    out = b""
    while True:
        try:
            piece = os.read(master, 4096)
        except OSError:
            break
        if not piece:
            break
        out += piece
    os.close(master)
    run.wait(30)
    return out.decode()


def test_colours_only_on_a_terminal_and_never_with_no_color(tool, role):
    role("t_a")
    assert "\x1b[32m+ t_a\x1b[0m" in on_terminal(tool.argv("-n"), {})
    assert "\x1b" not in on_terminal(tool.argv("-n"), {"NO_COLOR": "1"})
    assert "\x1b" not in on_terminal(tool.argv("-n"), {"TERM": "dumb"})
    assert "\x1b" not in tool("-n", env={"TERM": "xterm"})[1]


def test_the_journal_gets_priorities(tool):
    path = os.path.join(tool.directory, "journal")
    with open(path, "wb") as journal:
        facts = os.fstat(journal.fileno())
        subprocess.run([program(), "--nonsense"], stderr=journal,
                       env={**system.clean_environment(), "JOURNAL_STREAM": "%d:%d" % (facts.st_dev, facts.st_ino)})
    with open(path) as text:
        assert text.readline().startswith("<3>pgweir-userlist: error: ")


# With the daemon.


def test_clients_log_in_by_scram_with_what_was_written(tool, start, pg):
    """Pass-through: PostgreSQL asks for SCRAM too, and no password is written down anywhere."""
    tool.write(filters=("-i", "scramuser"))
    assert list(tool.entries().values())[0].startswith("SCRAM-SHA-256$")
    pw = start(settings={"auth_type": "scram-sha-256", "auth_file": tool.file})
    with wire.Conn(pw.host, pw.port) as client:
        client.login("scramuser", "test", postgres.PASSWORDS["scramuser"])
        assert client.query("SELECT current_user").scalar() == "scramuser"
    with wire.Conn(pw.host, pw.port) as client:
        with pytest.raises(wire.ServerError):
            client.login("scramuser", "test", "not the password")


def test_a_reload_takes_the_new_list(tool, role, start):
    role("t_a")
    system.write_file(tool.file, '; pgweir-userlist: keep\n"admin" "admin-secret"\n')
    tool.write()
    pw = start(settings={"auth_type": "scram-sha-256", "auth_file": tool.file})
    role("t_b")
    tool.write()
    pw.reload()
    with wire.Conn(pw.host, pw.port) as client:
        assert client.login("t_b", "test", "tool-secret").query("SELECT 1").scalar() == "1"


# What is installed, and what the documents say.


def test_install_puts_everything_in_place(tool):
    build = os.path.dirname(os.path.dirname(pgweir.BINARY))
    if not os.path.exists(os.path.join(build, "cmake_install.cmake")):
        pytest.skip("%s is no build folder" % build)
    root = os.path.join(tool.directory, "root")
    subprocess.run(["cmake", "--install", build, "--prefix", "/usr"], env={**os.environ, "DESTDIR": root}, check=True,
                   stdout=subprocess.DEVNULL)
    found = {os.path.relpath(os.path.join(folder, name), root) for folder, _, names in os.walk(root) for name in names}
    assert {"usr/sbin/pgweir", "usr/bin/pgweir-userlist", "usr/share/man/man1/pgweir-userlist.1",
            "usr/share/man/man5/pgweir.ini.5", "usr/share/man/man8/pgweir.8"} <= found
    assert {"pgweir.ini", "pgweir_hba.conf", "userlist.conf"} <= {os.path.basename(p) for p in found if "etc/" in p}


def test_the_manual_and_the_sample_have_every_option():
    with open(os.path.join(system.ROOT, "man/pgweir-userlist.1")) as text:
        manual = re.sub(r"\\f[A-Z]", "", text.read().replace("\\-", "-"))
    with open(os.path.join(system.ROOT, "etc/userlist.conf")) as text:
        sample = text.read()
    told = subprocess.run([program(), "--help"], stdout=subprocess.PIPE, check=True).stdout.decode()
    options = re.findall(r"--([a-z-]+)", told.split("\nExit status")[0])
    assert len(options) >= 29
    for option in options:
        assert "--" + option in manual, option
    strings = {"config", "no-config", "if-configured", "keep-old-on-failure", "check", "dry-run", "adopt", "overwrite",
               "json", "quiet", "verbose", "version", "help"}
    for option in set(options) - strings:
        key = option.replace("-", "_")
        assert re.search(r"(?m)^;?%s = " % key, sample), key
        assert re.search(r"\b%s\b" % key, manual), key


def test_the_sample_configures_nothing_and_is_valid(tool):
    path = os.path.join(tool.directory, "sample.conf")
    with open(os.path.join(system.ROOT, "etc/userlist.conf")) as text:
        sample = text.read()
    system.write_file(path, sample)
    assert tool.raw([program(), "--if-configured", "-c", path])[:2] == (OK, "not configured\n")
    system.write_file(path, re.sub(r"(?m)^;(\w+ = )", r"\1", sample))
    code, _, err = tool.raw([program(), "-n", "-c", path, "-d", "host=/nowhere", "--owner", "root"])
    assert code in (CONNECTION, FILE), err
