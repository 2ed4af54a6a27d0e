"""How long things take: SHOW LATENCIES, and the same with all other figures at /metrics, as a monitor fetches them."""

import json
import os
import re
import socket
import subprocess
import urllib.error
import urllib.request

import pytest

from harness import system, wire
from harness.nameserver import NameServer

OPENMETRICS = "application/openmetrics-text;version=1.0.0"


def latencies(pw, database="test"):
    return {row["kind"]: row for row in pw.show("LATENCIES") if row["database"] == database}


def numbers(row):
    return [int(row[name]) for name in ("p50_us", "p90_us", "p99_us", "p999_us", "max_us")]


@pytest.mark.parametrize("workers", [1, 3])
def test_show_latencies(start, workers):
    pw = start(settings={"workers": workers, "default_pool_size": 1, "pool_mode": "transaction"})
    conns = [pw.connect() for _ in range(4)]
    for number, conn in enumerate(conns):
        for _ in range(5):
            conn.scalar("SELECT %d" % number)
    conns[0].query("BEGIN")
    conns[0].query("SELECT pg_sleep(0.2)")
    conns[1].send(wire.query("SELECT 1"))  # waits for the only server
    pw.wait_pool(cl_waiting=1)
    conns[0].query("COMMIT")
    conns[1].results()
    found = latencies(pw)
    assert set(found) == {"query", "transaction", "wait", "connect", "login"}
    assert int(found["query"]["count"]) == 24 and int(found["transaction"]["count"]) == 22
    assert int(found["login"]["count"]) == 4 and int(found["connect"]["count"]) >= 1
    assert int(found["wait"]["count"]) >= 1
    for row in found.values():
        assert numbers(row) == sorted(numbers(row)), "percentiles rise"
        assert int(row["mean_us"]) <= int(row["max_us"])
    assert int(found["query"]["max_us"]) >= 200000 and int(found["transaction"]["max_us"]) >= 200000
    assert int(found["query"]["p50_us"]) < 200000


def test_nothing_happened_nothing_shown(start):
    pw = start()
    assert pw.show("LATENCIES") == []


def fetch(port, path="/metrics", accept=""):
    request = urllib.request.Request("http://127.0.0.1:%d%s" % (port, path), headers={"Accept": accept} if accept else {})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def sample(text, name, **labels):
    """The value of the one sample of that name and with those labels."""
    wanted = {'%s="%s"' % item for item in labels.items()}
    found = [line.rsplit(" ", 1)[1] for line in text.splitlines() if re.split(r"[ {]", line)[0] == name
             and wanted <= set(re.findall(r'\w+="(?:[^"\\]|\\.)*"', line))]
    assert len(found) == 1, (name, labels, found)
    return float(found[0])


@pytest.fixture
def measured(start):
    port = system.free_port()
    pw = start(settings={"metrics_listen": "127.0.0.1:%d" % port, "workers": 2, "pool_mode": "transaction"})
    conns = [pw.connect() for _ in range(3)]
    for conn in conns:
        conn.scalar("SELECT 1")
    return pw, port


def test_metrics_hold_what_the_console_shows(measured):
    pw, port = measured
    kind, text = fetch(port, accept=OPENMETRICS)
    assert kind.startswith("application/openmetrics-text; version=1.0.0")
    assert text.endswith("# EOF\n")
    totals = next(row for row in pw.show("STATS_TOTALS") if row["database"] == "test")
    assert sample(text, "pgweir_queries_total", database="test") == int(totals["query_count"]) == 3
    assert sample(text, "pgweir_client_logins_total", database="test") == 3
    pool = next(row for row in pw.show("POOLS") if row["database"] == "test")
    assert sample(text, "pgweir_pool_clients_active", database="test", user=pool["user"]) == int(pool["cl_active"])
    assert sample(text, "pgweir_query_duration_seconds_count", database="test") == 3
    assert sample(text, "pgweir_query_duration_seconds_bucket", database="test", le="+Inf") == 3
    assert sample(text, "pgweir_database_paused", database="test") == 0
    assert len(re.findall(r"^pgweir_worker_clients\{", text, re.M)) == 2
    pw.admin("PAUSE test")
    assert sample(fetch(port)[1], "pgweir_database_paused", database="test") == 1


def test_every_family_has_type_and_help(measured):
    _, port = measured
    text = fetch(port, accept=OPENMETRICS)[1]
    families = re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M)
    assert len(families) > 50 and len({name for name, _ in families}) == len(families)
    helped = set(re.findall(r"^# HELP (\S+) \S", text, re.M))
    units = dict(re.findall(r"^# UNIT (\S+) (\S+)$", text, re.M))
    for name, kind in families:
        assert name in helped, name
        for unit in ("seconds", "bytes"):
            assert name.endswith("_" + unit) == (units.get(name) == unit), name
    suffixes = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"], "info": ["_info"]}
    allowed = {name + suffix for name, kind in families for suffix in suffixes[kind]}
    for line in text.splitlines():
        if not line.startswith("#"):
            assert re.split(r"[ {]", line)[0] in allowed, line


def test_promtool_finds_nothing(measured):
    _, port = measured
    kind, text = fetch(port)
    assert kind.startswith("text/plain; version=0.0.4")
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stdout and not done.stderr, done.stdout + done.stderr


def test_prometheus_scrapes_it(measured, tmp_path):
    pw, port = measured
    web = system.free_port()
    (tmp_path / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: pgweir\n  static_configs:\n"
        "  - targets: ['127.0.0.1:%d']\n" % port)
    process = subprocess.Popen(
        ["prometheus", "--config.file=%s" % (tmp_path / "prometheus.yml"), "--storage.tsdb.path=%s" % (tmp_path / "data"),
         "--web.listen-address=127.0.0.1:%d" % web], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def asked(expression):
        try:
            return fetch(web, "/api/v1/query?query=" + expression)[1]
        except (OSError, urllib.error.URLError):
            return ""

    try:
        system.wait_for(lambda: '"1"' in asked("up{job=%22pgweir%22}"), 60, "Prometheus has scraped")
        assert '"3"' in asked("pgweir_client_logins_total{database=%22test%22}")
        assert "pgweir_query_duration_seconds_bucket" in asked("pgweir_query_duration_seconds_bucket")
    finally:
        process.terminate()
        process.wait(20)


MONITORING = os.path.join(system.ROOT, "packaging", "monitoring")


def test_alert_rules():
    for what, file in (("check", "pgweir.rules.yml"), ("test", "rules_test.yml")):
        done = subprocess.run(["promtool", what, "rules", file], cwd=MONITORING, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and "SUCCESS" in done.stdout, done.stdout + done.stderr


def test_rules_and_dashboard_ask_for_figures_that_there_are(start):
    port = system.free_port()
    pw = start(settings={"metrics_listen": "127.0.0.1:%d" % port, "default_pool_size": 1, "pool_mode": "transaction"})
    holder, waiter = pw.connect(), pw.connect()
    holder.query("BEGIN")
    waiter.send(wire.query("SELECT 1"))
    pw.wait_pool(cl_waiting=1)
    holder.query("COMMIT")
    waiter.results()
    text = fetch(port)[1]
    there = {re.split(r"[ {]", line)[0] for line in text.splitlines() if not line.startswith("#")}
    with open(os.path.join(MONITORING, "grafana-dashboard.json")) as file:
        dashboard = json.load(file)
    with open(os.path.join(MONITORING, "pgweir.rules.yml")) as file:
        rules = file.read()
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked += [variable["query"] for variable in dashboard["templating"]["list"]] + re.findall(r"expr: .*(?:\n {12}.*)*", rules)
    names = set(re.findall(r"\bpgweir_\w+", " ".join(asked)))
    assert len(names) > 20 and names <= there, names - there


def test_other_paths_and_a_second_pgweir(start):
    port = system.free_port()
    start(settings={"metrics_listen": "127.0.0.1:%d" % port}).wait_log("metrics at http://127.0.0.1:%d/metrics" % port)
    with pytest.raises(urllib.error.HTTPError) as raised:
        fetch(port, "/")
    assert raised.value.code == 404
    second = start(settings={"metrics_listen": "127.0.0.1:%d" % port})
    second.wait_log("metrics_listen: cannot listen on 127.0.0.1:%d: Address already in use" % port)
    assert second.connect().scalar("SELECT 1") == "1"


def test_reload_moves_it(start):
    port, other = system.free_port(), system.free_port()
    pw = start()
    pw.admin("SET metrics_listen = '127.0.0.1:%d'" % port)
    assert "pgweir_build_info" in fetch(port)[1]
    pw.admin("SET metrics_listen = '127.0.0.1:%d'" % other)
    assert "pgweir_build_info" in fetch(other)[1]
    with pytest.raises(OSError):
        fetch(port)
    pw.admin("SET metrics_listen = ''")
    with pytest.raises(OSError):
        fetch(other)


@pytest.mark.parametrize("value", ["9127", "localhost:9127", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "::1:9127",
                                   "[::1]", "127.0.0.1:9127x"])
def test_wrong_addresses_are_told(start, value):
    pw = start()
    with pytest.raises(wire.ServerError, match="SET failed"):
        pw.admin("SET metrics_listen = '%s'" % value)
    pw.wait_log("must be addresses with ports, like 127.0.0.1:9127")


def test_a_slow_monitor_stops_nobody(measured):
    pw, port = measured
    silent = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(20)]
    for conn in silent:
        conn.sendall(b"GET /metrics HTTP/1.1\r\n")  # and no more
    assert pw.connect().scalar("SELECT 1") == "1"
    assert "pgweir_build_info" in fetch(port)[1]
    for conn in silent:
        conn.close()


def waits(pw):
    return {row["cause"]: row for row in pw.show("WAITS") if row["database"] == "test"}


@pytest.mark.parametrize("workers", [1, 2])
def test_why_it_waits_pool_full(start, workers):
    pw = start(settings={"default_pool_size": 1, "pool_mode": "transaction", "workers": workers, "query_wait_notify": 1})
    holder, waiter = pw.connect(), pw.connect()
    holder.query("BEGIN")
    waiter.send(wire.query("SELECT 1"))
    pw.wait_pool(cl_waiting=1)
    assert waits(pw)["pool_full"]["waiting"] == "1"
    notice = waiter.read()
    assert notice.type == "N" and b"client being queued" in notice.body
    assert b"DEvery server that pool_size allows works for other clients." in notice.body
    holder.query("COMMIT")
    waiter.results()
    found = waits(pw)
    assert found["pool_full"]["waiting"] == "0"
    assert int(found["pool_full"]["wait_time_us"]) > 1000000
    pw.wait_log(r"waited \d+ ms for a server: .*pool_full \d+ ms")


def test_causes_add_up_to_the_waits(start):
    pw = start(settings={"default_pool_size": 2, "pool_mode": "transaction", "workers": 2})
    conns = [pw.connect() for _ in range(8)]
    for number in range(10):
        for conn in conns:
            conn.send(wire.query("SELECT pg_sleep(0.002)"))
        for conn in conns:
            conn.results()
    total = next(int(row["wait_time"]) for row in pw.show("STATS_TOTALS") if row["database"] == "test")
    found = waits(pw)
    assert total > 0 and sum(int(row["wait_time_us"]) for row in found.values()) == total
    assert "pool_full" in found


def test_why_it_waits_database_limit(start):
    pw = start(databases={"test": {"max_db_connections": 1}}, settings={"pool_mode": "transaction"})
    holder, waiter = pw.connect(user="app"), pw.connect(user="app")
    holder.query("BEGIN")
    waiter.send(wire.query("SELECT 1"))
    pw.wait_pool(cl_waiting=1)
    system.wait_for(lambda: waits(pw).get("database_limit", {}).get("waiting") == "1", what="the cause is known")
    holder.query("COMMIT")
    waiter.results()


def test_why_it_waits_paused(start):
    pw = start(settings={"pool_mode": "transaction"})
    conn = pw.connect()
    conn.scalar("SELECT 1")
    pw.admin("PAUSE test")
    conn.send(wire.query("SELECT 1"))
    pw.wait_pool(cl_waiting=1)
    assert waits(pw)["paused"]["waiting"] == "1"
    pw.admin("RESUME test")
    conn.results()
    assert int(waits(pw)["paused"]["wait_time_us"]) > 0


def test_why_it_waits_connecting(start):
    """The server accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        pw = start(databases={"test": {"host": "127.0.0.1", "port": silent.getsockname()[1]}})
        conn = pw.raw()
        conn.send(wire.startup({"user": "app", "database": "test"}))
        pw.wait_pool(cl_waiting=1)
        assert waits(pw)["connecting"]["waiting"] == "1"


def test_why_it_waits_user_limit(start):
    pw = start(users={"app": {"max_user_connections": 1}}, settings={"pool_mode": "transaction"})
    holder, waiter = pw.connect(), pw.connect()
    holder.query("BEGIN")
    waiter.send(wire.query("SELECT 1"))
    system.wait_for(lambda: waits(pw).get("user_limit", {}).get("waiting") == "1", what="the cause is known")
    holder.query("COMMIT")
    waiter.results()
    assert int(waits(pw)["user_limit"]["wait_time_us"]) > 0


def test_why_it_waits_login_retry(start):
    """PostgreSQL is away, and the next try is a minute off: who waits from an earlier login waits for that."""
    pw = start(databases={"test": {"host": "127.0.0.1", "port": system.free_port()}},
               settings={"server_login_retry": 60, "query_wait_notify": 1})
    conn = pw.raw()
    conn.send(wire.startup({"user": "app", "database": "test"}))
    system.wait_for(lambda: waits(pw).get("login_retry", {}).get("waiting") == "1", what="the cause is known")
    pw.wait_log("Connection refused")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can open port 53 for a name server")
def test_why_it_waits_dns(start, pg):
    with NameServer() as dns:
        dns.silent = True
        pw = start(databases={"test": {"host": "db.test.example", "port": pg.port}}, settings={"resolv_conf": dns.resolv_conf()})
        conn = pw.raw()
        conn.send(wire.startup({"user": "app", "database": "test"}))
        dns.wait_asked("db.test.example")
        system.wait_for(lambda: waits(pw).get("dns", {}).get("waiting") == "1", what="the cause is known")


@pytest.mark.parametrize("workers", [1, 3])
def test_why_it_waits_checking(start, pg, db, workers):
    """The only server is at its reset query, which somebody holds up, when the next client comes; with several workers
    that one is another worker's."""
    keeper = pg.connect(database=db)
    keeper.query("SELECT pg_advisory_lock(77)")
    pw = start(settings={"pool_mode": "session", "default_pool_size": 1, "workers": workers,
                         "server_reset_query": "SELECT pg_advisory_lock(77); SELECT pg_advisory_unlock_all()"})
    first, second = pw.connect(), pw.connect()
    first.query("SELECT 1")
    first.close()
    pw.wait_pool(sv_tested=1)
    second.send(wire.query("SELECT 1"))
    system.wait_for(lambda: waits(pw).get("checking", {}).get("waiting") == "1", what="the cause is known")
    keeper.query("SELECT pg_advisory_unlock(77)")
    second.results()
    assert int(waits(pw)["checking"]["wait_time_us"]) > 0


def test_why_it_waits_hand_over(start):
    """The only server rests on the worker of one client when the client of the other worker wants it."""
    pw = start(settings={"pool_mode": "transaction", "default_pool_size": 1, "workers": 2})
    conns = [pw.connect() for _ in range(2)]
    for conn in conns * 10:
        assert conn.scalar("SELECT 1") == "1"
    assert int(waits(pw)["hand_over"]["wait_time_us"]) > 0


CAUSES = ("pool_full", "database_limit", "user_limit", "connecting", "dns", "login_retry", "checking", "hand_over", "auth_query",
          "paused", "other")


@pytest.mark.parametrize("workers", [1, 3])
def test_extra_columns_of_show_pools(start, workers):
    """Off by default: whoever counts PgBouncer's columns goes on. They say what SHOW WAITS says."""
    pw = start(settings={"default_pool_size": 1, "pool_mode": "transaction", "workers": workers})
    holder, waiters = pw.connect(), [pw.connect() for _ in range(3)]
    holder.query("BEGIN")
    plain = pw.admin("SHOW POOLS").columns
    assert plain[-1] == "load_balance_hosts" and "wait_cause" not in plain
    pw.admin("SET console_extra_columns = 1")
    shown = pw.admin("SHOW POOLS")
    assert shown.columns == [*plain, "wait_cause", *("wait_" + cause for cause in CAUSES)]
    assert pw.pool()["wait_cause"] == "", "nobody waits"
    assert pw.console().extended("SHOW POOLS").columns == plain, "who describes it first gets what was described"
    for waiter in waiters:
        waiter.send(wire.query("SELECT 1"))
    pw.wait_pool(cl_waiting=3, wait_cause="pool_full")
    holder.query("COMMIT")
    for waiter in waiters:
        waiter.results()
    told = pw.pool()
    assert told["wait_cause"] == "" and told["wait_pool_full"] > 0
    assert {cause: told["wait_" + cause] for cause in CAUSES if told["wait_" + cause] > 0} == \
        {cause: int(row["wait_time_us"]) for cause, row in waits(pw).items() if row["wait_time_us"] != "0"}
    console = pw.pool("pgbouncer")
    assert console["wait_cause"] == "" and not any(console["wait_" + cause] for cause in CAUSES)
    pw.admin("SET console_extra_columns = 0")
    assert pw.admin("SHOW POOLS").columns == plain


def test_metrics_of_waits(start):
    port = system.free_port()
    pw = start(settings={"console_extra_columns": 1, "metrics_listen": "127.0.0.1:%d" % port, "default_pool_size": 1, "pool_mode": "transaction", "workers": 2})
    holder, waiters = pw.connect(), [pw.connect() for _ in range(3)]
    holder.query("BEGIN")
    for waiter in waiters:
        waiter.send(wire.query("SELECT 1"))
    pw.wait_pool(cl_waiting=3)
    labels = {"database": "test", "user": "app", "cause": "pool_full"}
    text = fetch(port)[1]
    assert sample(text, "pgweir_wait_cause_clients", **labels) == 3
    assert sample(text, "pgweir_pool_clients_waiting", database="test", user="app") == 3
    assert sample(text, "pgweir_pool_transactions_open", database="test", user="app") == 1
    assert sample(text, "pgweir_pool_transactions_idle", database="test", user="app") == 1
    holder.query("COMMIT")
    for waiter in waiters:
        waiter.results()
    text = fetch(port)[1]
    assert sample(text, "pgweir_wait_cause_clients", **labels) == 0
    parts = sum(int(row["wait_time_us"]) for row in waits(pw).values())
    counted = [float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith("pgweir_wait_cause_time_seconds_total{")]
    assert sum(counted) == pytest.approx(parts / 1e6)
    assert sample(text, "pgweir_wait_time_seconds_total", database="test") == pytest.approx(parts / 1e6)
    assert sample(text, "pgweir_pool_transactions_open", database="test", user="app") == 0
