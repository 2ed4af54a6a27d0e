"""pgweir-check as its user runs it: all passes on a good installation, and each fault is told by the test that is for it."""

import json
import os
import pty
import re
import shutil
import subprocess

import pytest

from harness import pgweir, postgres, system, wire

OK, DIFFERS, USAGE = range(3)

pytestmark = pytest.mark.skipif(not pgweir.IS_PGWEIR, reason="a tool of pgweir")

SECRETS = {user: wire.scram_secret(password) for user, password in
           {"admin": "admin-secret", "stats": "stats-secret", **postgres.PASSWORDS}.items()}
GOOD = {"auth_type": "scram-sha-256", "default_pool_size": 10, "server_lifetime": 1800, "server_idle_timeout": 300,
        "max_client_conn": 1000, "workers": 1}
# What a debug build on a busy machine may take is no question of right or wrong.
LIMITS = "connect_ratio = 1000\nthroughput_ratio = 0\nlongest_wait = 60\n"

_program = None


def program():
    global _program
    if _program is None:
        built = os.path.join(os.path.dirname(pgweir.BINARY), "pgweir-check")
        assert os.path.exists(built), "%s is not built" % built
        _program = os.path.join(system.make_directory("tool"), "pgweir-check")
        shutil.copy(built, _program)
        os.chmod(_program, 0o755)
    return _program


class Check:
    """A pgweir with its files, and the tool that looks at them."""

    def __init__(self, pw, policy=LIMITS, user="app"):
        self.pw = pw
        self.policy = os.path.join(pw.directory, "check.conf")
        self.passfile = os.path.join(pw.directory, "pgpass")
        self.user = user
        self.outputs = ""
        self.write_policy(policy)
        passwords = {"admin": "admin-secret", "stats": "stats-secret", **postgres.PASSWORDS}
        system.write_file(self.passfile, "".join("*:*:*:%s:%s\n" % item for item in passwords.items()))
        for path in (self.passfile, self.policy, pw.userlist_path, pw.ini_path):
            os.chmod(path, 0o600)

    def write_policy(self, text, rest=""):
        system.write_file(self.policy, "[policy]\n%s%s" % (text, rest))

    def argv(self, *args, pool=None):
        return [program(), "-c", self.pw.ini_path, "-f", self.policy, "-d", pool or "user=%s dbname=test" % self.user, *args]

    def __call__(self, *args, pool=None, env=None):
        done = subprocess.run(self.argv(*args, pool=pool), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              cwd="/", timeout=170, **system.popen_identity(),
                              env={**system.clean_environment(), **pgweir.SANITIZER_OPTIONS, "PGPASSFILE": self.passfile,
                                   **(env or {})})
        out, err = done.stdout.decode(), done.stderr.decode()
        assert not pgweir.REPORTS.search(err), err
        for secret in (*postgres.PASSWORDS.values(), "admin-secret", "stats-secret", "SCRAM-SHA-256$"):
            assert secret not in out + err
        return done.returncode, out, err

    def json(self, *args, **kwargs):
        code, out, err = self("--json", *args, **kwargs)
        told = json.loads(out)
        assert told["exit"] == code, err
        return {one["id"]: one for one in told["tests"]}, told

    def expect(self, test, status="fail", words="", only=True, args=(), **kwargs):
        """Exactly this test does not pass; its reason has the words. Gives the test's row."""
        results, told = self.json(*args, **kwargs)
        bad = {name: one["reason"] for name, one in results.items() if one["status"] in ("warn", "fail", "blocked")}
        assert results[test]["status"] == status, (results[test], bad)
        assert re.search(words, results[test]["reason"]), results[test]
        assert results[test]["remedy"], "no remedy"
        assert told["exit"] == DIFFERS
        if only:
            assert set(bad) == {test}, bad
        assert told["quality"] < 10
        return results[test]


@pytest.fixture
def good(start):
    """good(settings={...}, ...): an installation in which all is well but for what the arguments change."""

    def make(settings=None, policy=LIMITS, user="app", **kwargs):
        pw = start(settings={**GOOD, "pidfile": None, **(settings or {})}, userlist=kwargs.pop("userlist", SECRETS), start=False, **kwargs)
        if (settings or {}).get("pidfile", "x") == "x":
            pw.settings["pidfile"] = os.path.join(pw.directory, "pid")
        pw.write_config()
        check = Check(pw, policy, user)
        pw.start()
        return check

    return make


# A good installation.


def test_everything_passes(good):
    check = good(databases={"test": {}, "other": {}})
    results, told = check.json("--disturb")
    assert told["exit"] == OK, [one for one in results.values() if one["status"] not in ("pass", "skip")]
    assert {name for name, one in results.items() if one["status"] == "skip"} == {"client-tls", "server-tls", "policy", "tls-versions"}
    assert sum(one["status"] == "pass" for one in results.values()) >= 25
    assert len({one["phase"] for one in results.values()}) == 6 and len(told["dimensions"]) == 5
    assert told["quality"] == 10 and set(told["dimensions"].values()) == {10}


def test_without_leave_no_client_is_disturbed(good):
    check = good()
    mark = check.pw.mark()
    results, told = check.json()
    assert told["exit"] == OK
    assert {name for name, one in results.items() if one["status"] == "unasked"} == {"pause", "reload"}
    assert not check.pw.logged(r"PAUSE|RELOAD", mark)
    assert told["dimensions"]["completeness"] < 10 and told["dimensions"]["correctness"] == 10


def test_with_tls_everywhere(good, certs, pg):
    check = good(settings={"client_tls_sslmode": "require", "client_tls_cert_file": certs.server,
                           "client_tls_key_file": certs.server_key, "server_tls_sslmode": "require"},
                 policy=LIMITS + "tls = required\nserver_tls_sslmode = require|verify-full\nlisten_backlog = >= 1\n")
    results, told = check.json()
    assert told["exit"] == OK, [one for one in results.values() if one["status"] not in ("pass", "unasked")]
    assert not [name for name, one in results.items() if one["status"] == "skip"]
    assert "TLSv1.3" in results["client-tls"]["reason"] and "TLSv1.3" in results["server-tls"]["reason"]


@pytest.mark.parametrize("mode", ["session", "statement"])
def test_other_pool_modes(good, mode):
    check = good(settings={"pool_mode": mode})
    results, told = check.json("-p", "functionality")
    assert told["exit"] == OK, [one["id"] + ": " + one["reason"] for one in results.values() if one["status"] in ("fail", "blocked", "warn")]
    assert results["pool-mode"]["reason"].startswith(mode)


# Faults, each told by its test.


def test_userlist_mode(good):
    check = good()
    os.chmod(check.pw.userlist_path, 0o644)
    results, _ = check.json("-t", "userlist,secret-modes")
    assert "mode 0644, policy 0600" in results["userlist"]["reason"]
    assert "others may read" in results["secret-modes"]["reason"]
    os.chmod(check.pw.userlist_path, 0o640)
    told = check.expect("userlist", words="mode 0640, policy 0600")
    assert told["remedy"] == "chmod 0600 " + check.pw.userlist_path
    check.write_policy(LIMITS, "userlist_mode = 0640\n")
    assert check("-q") == (OK, "", "")


@pytest.mark.parametrize("test, setting, value", [
    ("pool-size", "default_pool_size", 20), ("server-lifetime", "server_lifetime", 3600),
    ("server-idle", "server_idle_timeout", 600), ("max-clients", "max_client_conn", 100)])
def test_settings_against_the_policy(good, test, setting, value):
    check = good(settings={setting: value})
    told = check.expect(test, words="%s is %s, policy" % (setting, value))
    assert "set %s = %s and reload" % (setting, GOOD[setting]) in told["remedy"]
    check.write_policy(LIMITS, "%s = %s\n" % (setting, value))
    assert check("-q")[0] == OK


def test_settings_that_only_the_policy_file_names(good):
    check = good(policy=LIMITS + "query_wait_timeout = <= 30s\npool_mode = session|transaction\n")
    check.expect("policy", words="^query_wait_timeout is 120, policy <= 30s$")


def test_what_is_live_is_not_in_the_file(good):
    check = good()
    check.pw.admin("SET query_timeout = 77")
    assert "reload" in check.expect("drift", "warn", words="query_timeout")["remedy"]


def test_trust_lets_everybody_in(good):
    check = good(settings={"auth_type": "trust"})
    results, told = check.json()
    bad = {name for name, one in results.items() if one["status"] not in ("pass", "skip", "unasked")}
    assert bad == {"auth-type", "wrong-password", "console-password", "unknown-user"}
    assert told["dimensions"]["security"] < 6 and told["dimensions"]["correctness"] == 10


def test_plain_passwords_on_the_wire(good):
    check = good(settings={"auth_type": "plain"})
    check.expect("auth-type", words="auth_type is plain, policy scram-sha-256")


def test_plain_passwords_in_the_userlist(good):
    check = good(userlist={**SECRETS, "app2": "app2-secret"})
    check.expect("secret-kinds", words="^1 passwords stand in the clear")
    check.write_policy(LIMITS, "plain_secrets = 1\n")
    assert check("-q")[0] == OK


def test_a_database_that_does_not_answer(good):
    check = good(databases={"test": {}, "broken": {"host": "127.0.0.1", "port": system.free_port()}},
                 settings={"server_connect_timeout": 2, "query_wait_timeout": 3})
    check.expect("databases", words="^1 of 2 databases cannot be reached; broken: ")


def test_postgres_is_down(good, make_pg):
    pg = make_pg()
    check = good(databases={"test": {"host": pg.host, "port": pg.port, "dbname": "postgres"}},
                 settings={"query_wait_timeout": 3})
    pg.stop()
    results, told = check.json()
    assert told["exit"] == DIFFERS
    assert {name for name, one in results.items() if one["status"] == "fail"} == {"direct", "pooled", "databases"}
    assert "direct" in results["connect-ratio"]["reason"] or "pooled" in results["connect-ratio"]["reason"]
    assert results["connect-ratio"]["status"] == results["cancel"]["status"] == "blocked"
    assert results["pool-size"]["status"] == results["service-up"]["status"] == "pass"


def test_pgweir_is_down(good):
    check = good()
    check.pw.stop()
    results, told = check.json()
    assert {"service-up", "sockets", "pooled", "console"} <= {n for n, one in results.items() if one["status"] == "fail"}
    assert results["direct"]["status"] == "pass" and "systemctl start" in results["service-up"]["remedy"]


def test_tls_is_expected_and_off(good):
    check = good(policy=LIMITS + "tls = required\n")
    check.expect("client-tls", words="requires TLS")


def test_tls_is_offered_and_not_required(good, certs):
    check = good(settings={"client_tls_sslmode": "allow", "client_tls_cert_file": certs.server,
                           "client_tls_key_file": certs.server_key}, policy=LIMITS + "tls = required\n")
    check.expect("client-tls", words="without it is let in")


def test_old_tls_versions(good, certs):
    check = good(settings={"client_tls_sslmode": "allow", "client_tls_cert_file": certs.server,
                           "client_tls_key_file": certs.server_key, "client_tls_protocols": "all"})
    check.expect("tls-versions", words="client_tls_protocols")


def test_one_who_may_look_and_no_more(good):
    check = good(hba="host all all 127.0.0.1/32 scram-sha-256\n", settings={"auth_type": "hba", "stats_users": "app"})
    results, _ = check.json("-t", "console-rights")
    assert results["console-rights"]["status"] == "pass"
    assert "may look at figures, and no more" in results["console-rights"]["reason"]


def test_a_console_that_is_open_to_everybody(good):
    check = good(settings={"auth_type": "any"}, databases={"test": {"user": "app"}})
    results, _ = check.json("-t", "console-rights,console-password")
    assert results["console-rights"]["status"] == results["console-password"]["status"] == "fail"
    assert "app is in no list and may look at figures" in results["console-rights"]["reason"]
    assert "auth_type = any lets everybody look" in results["console-rights"]["remedy"]
    assert "an administrator gets in with a wrong password" in results["console-password"]["reason"]


def test_a_rule_that_trusts_whoever_says_admin(good):
    check = good(hba="host pgweir admin 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n",
                 settings={"auth_type": "hba"}, policy=LIMITS + "auth_type = hba\n")
    told = check.expect("console-password", words="^an administrator gets in with a wrong password$")
    assert "HBA" in told["remedy"]


def test_the_tests_user_is_an_administrator(good):
    check = good(settings={"admin_users": "admin, app"})
    results, _ = check.json("-t", "console-rights")
    assert results["console-rights"]["status"] == "skip" and "use another for --pool" in results["console-rights"]["reason"]


def test_the_console_refuses(good):
    """The tool's user for the console is in neither list."""
    check = good()
    check.write_policy(LIMITS, "[connections]\nconsole = user=app dbname=pgweir\n")
    results, told = check.json()
    assert told["exit"] == DIFFERS
    assert results["console"]["status"] == "fail" and "not allowed" in results["console"]["reason"]
    assert "admin_users" in results["console"]["remedy"]
    assert results["pool-size"]["status"] == results["databases"]["status"] == "blocked"
    assert "console" in results["pool-size"]["reason"]
    assert results["pooled"]["status"] == results["direct"]["status"] == "pass"


@pytest.mark.parametrize("user, test", [("app", "pooled"), ("admin", "console")])
def test_a_wrong_password(good, user, test):
    """The pgpass file of whoever runs the tool has an old one, for pgweir only."""
    check = good()
    with open(check.passfile) as file:
        right = file.read()
    system.write_file(check.passfile, "127.0.0.1:%d:*:%s:long-forgotten\n%s" % (check.pw.port, user, right))
    os.chmod(check.passfile, 0o600)
    code, out, err = check()
    assert code == DIFFERS and "long-forgotten" not in out + err
    results, _ = check.json()
    assert results[test]["status"] == "fail" and results[test]["remedy"]
    assert re.search("(SASL|password) authentication failed", results[test]["reason"])
    others = {"pooled", "console"} - {test}
    assert all(results[name]["status"] == "pass" for name in others | {"direct", "service-up", "userlist"})


def test_an_exhausted_pool(good):
    """Others hold every server and do not let go: what needs a server says so, the rest is as ever."""
    check = good(settings={"default_pool_size": 1, "query_wait_timeout": 2}, policy=LIMITS + "default_pool_size = 1\n")
    holder = check.pw.connect("app")
    holder.query("BEGIN")
    results, told = check.json("-t", "pooled,databases,direct,console,service-up,prepared,cancel")
    assert told["exit"] == DIFFERS
    for name in ("pooled", "databases", "prepared", "cancel"):
        assert results[name]["status"] == "fail" and "query_wait_timeout" in results[name]["reason"], results[name]
        assert "SHOW WAITS" in results[name]["remedy"], "and not what else would help if this test failed"
    assert {results[name]["status"] for name in ("direct", "console", "service-up")} == {"pass"}
    holder.query("COMMIT")
    results, told = check.json("-t", "pooled,databases")
    assert told["exit"] == OK, results


def test_prepared_statements_are_not_kept(good):
    check = good(settings={"max_prepared_statements": 0})
    check.expect("prepared", words="prepared on one server, on another: ")


def test_a_small_descriptor_limit(good):
    check = good(settings={"max_client_conn": 1000}, through=["prlimit", "--nofile=1050:1050"])
    assert "LimitNOFILE=" in check.expect("descriptors", words="may open 1050 descriptors and may need 1074")["remedy"]


def test_an_ini_that_others_may_change(good):
    check = good()
    os.chmod(check.pw.ini_path, 0o666)
    check.expect("secret-modes", words="others may change it")


def test_an_invalid_ini(good):
    check = good()
    with open(check.pw.ini_path, "a") as ini:
        ini.write("pool_mode = sometimes\n")
    pool = check.pw.url("test", "app").replace(" password=app-secret", "")
    results, told = check.json(pool=pool)
    assert results["config-valid"]["status"] == "fail" and "pool_mode" in results["config-valid"]["reason"]
    assert results["userlist"]["status"] == "blocked" and results["pooled"]["status"] == "pass"


def test_a_client_waits_too_long(good):
    check = good(settings={"pool_size": None}, databases={"test": {}, "small": {"pool_size": 1}}, policy="longest_wait = 0.01\n")
    holder = check.pw.connect("app", "small")
    holder.query("BEGIN")
    waiter = check.pw.connect("app", "small")
    waiter.send(wire.query("SELECT 1"))
    check.pw.wait_pool(database="small", cl_waiting=1)
    system.wait_for(lambda: check.pw.pool("small")["maxwait"] >= 1, 20, "a wait of a second")
    results, _ = check.json("-t", "waiting")
    assert results["waiting"]["status"] == "fail" and "small/app" in results["waiting"]["reason"]


def test_ratios_beyond_the_policy(good):
    check = good(policy="connect_ratio = 0\nthroughput_ratio = 1000\n")
    results, _ = check.json("-p", "performance")
    assert results["connect-ratio"]["status"] == results["throughput"]["status"] == "fail"
    assert "policy at most 0.00" in results["connect-ratio"]["reason"]


def test_pause_that_cannot_be_is_undone(good):
    check = good()
    check.write_policy(LIMITS, "[connections]\nconsole = user=stats dbname=pgweir\n")
    results, _ = check.json("-t", "pause", "--disturb")
    assert results["pause"]["status"] == "fail" and "admin access needed" in results["pause"]["reason"]
    assert check.pw.connect("app").query("SELECT 1").scalar() == "1"


# How it is used.


def test_text_fits_80_columns_and_has_remedies(good):
    check = good(settings={"default_pool_size": 20})
    code, out, err = check()
    assert code == DIFFERS and not err and "\x1b" not in out
    assert max(len(line) for line in out.splitlines() if check.pw.directory not in line) <= 80, out
    assert re.search(r"(?m)^  FAIL     pool-size        default_pool_size is 20, policy 10\n {28}> set default_pool_size = 10", out), out
    assert re.search(r"(?m)^  quality \d\.\d of 10: \d+ passed, 1 failed, ", out), out
    assert [line for line in out.splitlines() if re.match(r"[a-z]", line)] == [
        "prerequisites", "connectivity", "configuration", "functionality", "performance", "security", "quality"]


def test_selection(good):
    check = good()
    results, told = check.json("-p", "security", "-t", "cancel,direct")
    asked = {name for name, one in results.items() if one["status"] != "unasked"}
    assert {results[name]["phase"] for name in asked} == {"security", "functionality", "connectivity"}
    assert {"cancel", "direct"} < asked and told["dimensions"]["completeness"] < 6
    for args in (["-p", "speed"], ["-t", "nothing"], ["--timeout", "1"], ["x"], ["--nonsense"],
                 ["-d", "user=x password=hidden-word"], ["--no-policy"]):
        code, out, err = check(*args)
        assert code == USAGE and "error:" in err and not out and "hidden-word" not in err, args


def test_list_help_version():
    run = lambda *args: subprocess.run([program(), *args], stdout=subprocess.PIPE, check=True).stdout.decode()
    listed = run("--list")
    assert len(re.findall(r"(?m)^  [a-z-]+ ", listed)) == len(json.loads(run("--list", "--json"))) >= 25
    assert max(map(len, listed.splitlines())) <= 80
    assert "Exit status" in run("--help") and run("--version").startswith("pgweir-check ")


@pytest.mark.parametrize("text, words", [
    ("[policy]\nnonsense = 1\n", "nonsense: neither a setting"), ("[policy]\npool_mode = >= session\n", "only numbers"),
    ("[policy]\ntls = perhaps\n", "auto, required or off"), ("[policy]\nconnect_ratio = -1\n", "not negative"),
    ("[policy]\nserver_lifetime = soon\n", "server_lifetime"), ("[nonsense]\na = b\n", "unknown in"),
    ("[connections]\npool = password\n", "cannot be read")])
def test_wrong_policies(good, text, words):
    check = good()
    system.write_file(check.policy, text)
    code, _, err = check()
    assert code == USAGE and words in err, err


def test_a_password_in_the_policy_file(good):
    check = good()
    check.write_policy(LIMITS, "[connections]\npool = user=app dbname=test password=app-secret\n"
                               "console = user=admin password=admin-secret dbname=pgweir\n")
    os.chmod(check.policy, 0o644)
    argv = [program(), "-c", check.pw.ini_path, "-f", check.policy, "-p", "connectivity"]
    done = subprocess.run(argv, capture_output=True, env={**system.clean_environment(), "PGPASSFILE": "/nonexistent"}, cwd="/",
                          **system.popen_identity())
    assert done.returncode == OK, done.stdout
    assert b"may be read by every user" in done.stderr and b"-secret" not in done.stdout + done.stderr


def test_colours_only_on_a_terminal_and_never_with_no_color(good):
    check = good()

    def on_terminal(**env):
        parent, child = pty.openpty()
        subprocess.run(check.argv("-t", "config-valid"), stdin=subprocess.DEVNULL, stdout=child, stderr=child, cwd="/",
                       env={**system.clean_environment(), "TERM": "xterm", **env}, **system.popen_identity())
        os.close(child)
        seen = b""
        while True:
            try:
                piece = os.read(parent, 65536)
            except OSError:
                break
            seen += piece
        os.close(parent)
        return seen

    assert b"\x1b[32mok" in on_terminal()
    assert b"\x1b" not in on_terminal(NO_COLOR="1")


def test_the_manual_and_the_sample_have_everything():
    with open(os.path.join(system.ROOT, "man/pgweir-check.1")) as text:
        manual = re.sub(r"\\f[A-Z]", "", text.read().replace("\\-", "-"))
    with open(os.path.join(system.ROOT, "etc/check.conf")) as text:
        sample = text.read()
    told = subprocess.run([program(), "--help"], stdout=subprocess.PIPE, check=True).stdout.decode()
    for option in re.findall(r"--([a-z-]+)", told.split("\nExit status")[0].split("\n\n", 1)[1]):
        assert "--" + option in manual, option
    for test in json.loads(subprocess.run([program(), "--list", "--json"], stdout=subprocess.PIPE, check=True).stdout):
        assert re.search(r'(?m)^\.BR? %s( |$)' % test["id"], manual), test["id"]
    for limit in ("userlist_mode", "tls", "plain_secrets", "connect_ratio", "throughput_ratio", "longest_wait"):
        assert limit in manual and re.search(r"(?m)^;?%s = " % limit, sample), limit


def test_the_sample_is_valid(good):
    check = good()
    with open(os.path.join(system.ROOT, "etc/check.conf")) as text:
        sample = text.read()
    for text in (sample, re.sub(r"(?m)^;(\w+ = )", r"\1", sample)):
        system.write_file(check.policy, text)
        code, _, err = check("-t", "config-valid")
        assert code == OK, err
