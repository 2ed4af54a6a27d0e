"""docs/operations.md and docs/quick-reference.md do not rot: their queries, console commands and configurations are run,
each block is run by somebody, and what the prose names exists. Shell blocks are run in tests/system, programs in tests/drivers."""

import os
import re
import shutil
import subprocess
import sys
import urllib.request

import pytest
import yaml

from harness import pgweir, system

sys.path.insert(0, os.path.join(system.ROOT, "tests"))
import documents  # noqa: E402

pytestmark = pytest.mark.skipif(not pgweir.IS_PGWEIR, reason="pgweir's documents")

PAGES = {page: documents.read(page) for page in documents.PAGES}


def cases(*kinds):
    return pytest.mark.parametrize("block", [pytest.param(one, id=one.where) for one in documents.blocks(*kinds)])


def psql(text, where, user, database, password="", port=None):
    # psql -f - as a reader who pastes the block; an error ends it.
    return subprocess.run(["psql", "-X", "-v", "ON_ERROR_STOP=1", "-h", where.host, "-p", str(port or where.port), "-U", user, "-d", database,
                           "-f", "-"], input=text, text=True, capture_output=True, timeout=60,
                          env={**system.clean_environment(), "PGPASSWORD": password})


@pytest.fixture
def pw(start, db):
    """As in the documents: databases app and app_session; somebody is connected and holds a server for a moment."""
    pw = start(databases={"app": start.entry(), "app_session": start.entry(pool_mode="session", pool_size="5")},
               settings={"metrics_listen": "127.0.0.1:%d" % system.free_port(), "default_pool_size": 10})
    pw.connect(database="app").query("SELECT 1")
    return pw


# The console.


@cases("sql console")
def test_console(pw, block):
    before = ";\n".join(filter(None, (block.attributes.get("setup") or "").replace("PAUSE app session", "PAUSE app_session").split(";")))
    if before:
        done = psql(before + ";\n", pw, "admin", "pgweir", "admin-secret")
        assert done.returncode == 0, done.stderr
    done = psql(block.text, pw, "admin", "pgweir", "admin-secret")
    wanted = block.attributes.get("error")
    if wanted:
        assert done.returncode != 0 and wanted in done.stderr, done.stderr
        return
    assert done.returncode == 0 and "ERROR" not in done.stderr, done.stderr
    for topic in re.findall(r"^SHOW (\w+);", block.text, re.M):
        assert topic == "HELP" or "row" in done.stdout, "%s has no table" % topic
    # A block that pauses leaves that to the next one, and says so by its setup.
    paused = "PAUSE" in block.text and "RESUME" not in block.text
    state = psql("SHOW DATABASES;", pw, "admin", "pgweir", "admin-secret").stdout
    flags = {row.split("|")[0].strip(): row.split("|")[-2:] for row in state.splitlines() if row.startswith((" app",))}
    assert all(int(disabled) == 0 and int(flag) == paused for flag, disabled in flags.values()), state


def test_what_shows_wants_is_all_there(pw):
    """The cells about columns: SHOW's own columns have the names that the pages use."""
    columns = {}
    for topic in ("POOLS", "CLIENTS", "SERVERS", "DATABASES", "STATS_AVERAGES", "STATS", "WORKERS", "LISTS", "WAITS"):
        out = psql("SHOW %s;" % topic, pw, "stats", "pgweir", "stats-secret").stdout
        columns[topic] = {cell.strip() for cell in out.split("\n")[0].split("|")}
        if topic == "LISTS":
            columns[topic] = {line.split("|")[0].strip() for line in out.splitlines() if "|" in line}
    named = set().union(*columns.values())
    for name in ("cl_waiting", "maxwait", "paused", "disabled", "remote_pid", "link", "ptr", "mismatches", "impossible",
                 "avg_wait_time", "avg_xact_count", "avg_xact_time", "used_clients"):
        assert any("`%s`" % name in text for text in PAGES.values()), name
        assert name in named or name.replace("avg_", "") in named, name


def test_causes_are_the_pooler_s(pw):
    with open(os.path.join(system.ROOT, "daemon", "pool", "wait_log.hpp")) as file:
        causes = re.findall(r'^    \{"(\w+)", "', file.read(), re.M)
    assert len(causes) >= 10
    for cause in causes:
        assert "`%s`" % cause in PAGES["docs/operations.md"], cause


# PostgreSQL.


@cases("sql postgres")
def test_postgres(pg, pw, db, block):
    text = block.text.replace("'app'", "'%s'" % db)
    try:
        done = psql(text, pg, "postgres", db)
        assert done.returncode == 0 and "ERROR" not in done.stderr, done.stderr
    finally:
        pg.query("DROP ROLE IF EXISTS leaver")


# Configurations.


@pytest.fixture
def folder(certs):
    """What stands in for /etc/pgweir."""
    path = system.make_directory("etc")
    system.write_file(os.path.join(path, "userlist.txt"), '"app" "app-secret"\n"admin" "admin-secret"\n')
    system.write_file(os.path.join(path, "pgweir_hba.conf"), "local all all scram-sha-256\n")
    for name, source in (("server.crt", certs.server), ("server.key", certs.server_key), ("ca.crt", certs.ca)):
        shutil.copy(source, os.path.join(path, name))
    for name in os.listdir(path):
        shutil.chown(os.path.join(path, name), **({"user": system.popen_identity()["user"]} if system.popen_identity().get("user") else {}))
        os.chmod(os.path.join(path, name), 0o600)
    return path


def check_config(folder, ini):
    path = os.path.join(folder, "pgweir.ini")
    system.write_file(path, ini.replace("/etc/pgweir", folder).replace("/run/pgweir", folder))
    done = subprocess.run([pgweir.runnable_binary(), "--check-config", path], text=True, capture_output=True, timeout=30, cwd="/",
                          env=system.clean_environment(), **system.popen_identity())
    told = done.stdout + done.stderr
    assert done.returncode == 0 and "WARNING" not in told and "ERROR" not in told, told


@cases("ini pgweir")
def test_configuration(folder, block):
    check_config(folder, block.text)


@cases("conf hba")
def test_hba(folder, block):
    system.write_file(os.path.join(folder, "pgweir_hba.conf"), block.text)
    check_config(folder, "[databases]\napp = host=127.0.0.1\n[pgweir]\nauth_type = hba\nauth_hba_file = /etc/pgweir/pgweir_hba.conf\n"
                         "auth_file = /etc/pgweir/userlist.txt\n")


@cases("yaml prometheus")
def test_prometheus_configuration(tmp_path, block):
    path = tmp_path / "prometheus.yml"
    path.write_text(block.text)
    done = subprocess.run(["promtool", "check", "config", str(path)], text=True, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


# What the prose names.


def test_topics_settings_and_metrics_exist(pw):
    told = psql("SHOW HELP;", pw, "admin", "pgweir", "admin-secret").stderr
    topics = set(re.search(r"SHOW (\S+)", told).group(1).split("|"))
    settings = {line.split("|")[0].strip() for line in psql("SHOW CONFIG;", pw, "admin", "pgweir", "admin-secret").stdout.splitlines()}
    with urllib.request.urlopen("http://%s/metrics" % pw.settings["metrics_listen"], timeout=20) as answer:
        metrics = answer.read().decode()
    for page, text in PAGES.items():
        prose = documents.prose_of(text)
        assert not set(re.findall(r"\bSHOW ([A-Z_]+)\b", prose)) - topics, page
        for name, value in re.findall(r"`(\w+) = [^`]*`|`([a-z]+_[a-z_]+)`", prose):
            if re.fullmatch(r"(max|min|default|server|client|query|idle|reserve|auth|listen|log|pool_mode|unix|metrics)_\w+", name or value):
                known = (name or value) in settings or (name or value) in KNOWN_OTHERWISE
                assert known, "%s names the setting %s, which there is not" % (page, name or value)
        for name in re.findall(r"\bpgweir_[a-z]+_\w+", prose):
            assert name in metrics or name == "pgweir_hba", "%s names the metric %s" % (page, name)


# Kinds of log records, columns and PostgreSQL's settings that look like a setting of pgweir.
KNOWN_OTHERWISE = {"max_connections", "log_statement", "server_lost", "server_fatal", "client_percent",
                   "idle_transaction_seconds"}


def test_kinds_of_records_exist():
    with open(os.path.join(system.ROOT, "systemd", "pgweir.catalog")) as file:
        kinds = set(re.findall(r"^# (\w+)$", file.read(), re.M))
    with open(os.path.join(system.ROOT, "daemon", "session", "reasons.cpp")) as file:
        kinds |= set(re.findall(r'Reason::k\w+, "(\w+)"', file.read()))
    text = PAGES["docs/operations.md"]
    named = set(re.findall(r"PGWEIR_KIND=(\w+)", text))
    for row in documents.table_behind(text, "kind in the log"):
        named |= set(re.findall(r"`(\w+)`", row[0]))
    assert len(named) >= 15 and not named - kinds, named - kinds


def rules():
    with open(os.path.join(system.ROOT, "packaging", "monitoring", "pgweir.rules.yml")) as file:
        return {rule["alert"]: rule for group in yaml.safe_load(file)["groups"] for rule in group["rules"]}


def test_the_alert_matrix_is_that_of_the_rules():
    rows = documents.table_behind(PAGES["docs/operations.md"], "alert")
    known = rules()
    assert [row[0].strip("`") for row in rows] == list(known)
    for name, severity, after, threshold, look in rows:
        rule = known[name.strip("`")]
        assert severity == rule["labels"]["severity"], name
        assert after == rule.get("for", "at once"), name
        assert threshold.strip("`") in re.sub(r"\s+", " ", rule["expr"]), (name, rule["expr"])
        assert look, name


def test_the_thresholds_are_those_of_pgweir_top():
    with open(os.path.join(system.ROOT, "etc", "top.conf")) as file:
        limits = dict(re.findall(r"^;?(\w+) = (\d+ \d+)$", file.read(), re.M))
    rows = documents.table_behind(PAGES["docs/operations.md"], "figure")
    assert {row[0].strip("`"): "%s %s" % (row[1], row[2]) for row in rows} == limits


# The pages as a whole.


def test_every_block_is_run_by_somebody():
    for block in documents.all_blocks():
        assert block.kind, "nobody runs the block at %s" % block.where
        runner = documents.RUNNERS[block.kind]
        if runner:
            with open(os.path.join(system.ROOT, runner)) as file:
                assert '"%s"' % block.kind in file.read(), "%s does not run %s" % (runner, block.kind)
    counted = sum(text.count("\n```") for text in PAGES.values())
    assert counted == 2 * len(documents.all_blocks()), "a fence is not closed, or not seen"


def test_a_block_that_nobody_runs_is_seen():
    for info in ("", "bash", "sql", "console sql"):
        assert documents.blocks_of("page.md", "```%s\nSHOW POOLS;\n```\n" % info)[0].kind is None
    one = documents.blocks_of("page.md", "\n```sql console error=no_such_database\nPAUSE x;\n```\n")[0]
    assert (one.kind, one.attributes, one.line) == ("sql console", {"error": "no such database"}, 2)


def test_there_are_at_least_twenty_queries():
    text = PAGES["docs/operations.md"]
    monitoring = text[text.index("\n## Monitoring"):text.index("\n### Alert thresholds")]
    kinds = [one.kind for one in documents.blocks_of("docs/operations.md", monitoring)]
    assert kinds.count("sql console") >= 10 and kinds.count("sql postgres") >= 10


def test_every_part_has_its_heading():
    heads = re.findall(r"^## (.*)$", PAGES["docs/operations.md"], re.M)
    assert heads == ["Overview", "Architecture", "Configuration and sizing", "Deployment", "Connection strings", "Monitoring",
                     "Troubleshooting", "Performance tuning", "Security", "Disaster recovery", "Routines"]


def test_the_manual_of_pgweir_deploy_has_what_its_help_has():
    told = subprocess.run(["bash", os.path.join(system.ROOT, "packaging", "deploy"), "--help"], capture_output=True, text=True, check=True).stdout
    with open(os.path.join(system.ROOT, "man", "pgweir-deploy.8")) as file:
        manual = file.read().replace("\\-", "-")
    options = set(re.findall(r"--[a-z-]+", told))
    assert len(options) >= 10
    for option in options:
        assert re.search(r"(?m)^\.B.*%s" % option, manual), option
    statuses = re.findall(r"(\d) \w", told.split("exit status:")[1])
    assert statuses == list("0123456")
    assert [status for status in statuses if "\n.TP\n%s\n" % status in manual] == statuses
    wrong = subprocess.run(["bash", os.path.join(system.ROOT, "packaging", "deploy"), "--postgres=password=x1y2"], capture_output=True, text=True)
    assert wrong.returncode == 2 and "x1y2" not in wrong.stdout + wrong.stderr
