"""Real client libraries through pgweir: transaction mode, two servers, several concurrent connections each.

The servers are shared by everybody, so a driver that gets another's answer, a lost statement or foreign state fails.
"""

import os
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "functional"))

from harness import pgweir, postgres, system  # noqa: E402
from harness.certs import Certs  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
USER, PASSWORD = "scramuser", postgres.PASSWORDS["scramuser"]


@pytest.fixture(scope="session")
def pg():
    template = postgres.make_template(system.make_directory("template"))
    server = postgres.Postgres(template, Certs(system.make_directory("certs")))
    yield server
    server.stop()


@pytest.fixture
def pw(pg, request):
    """A pgweir with pool_size 2 in front of a fresh database; clients log in by SCRAM."""
    name = pg.new_database()
    pg.query("GRANT ALL ON DATABASE %s TO %s" % (name, USER))
    one = pgweir.Pgweir({"test": {"host": pg.host, "port": pg.port, "dbname": name}},
                        settings={"default_pool_size": 2, "auth_type": "scram-sha-256", "max_client_conn": 200,
                                  **getattr(request, "param", {})})
    one.server, one.backend_database = pg, name
    yield one
    try:
        assert len(pg.backends(name)) <= 2
        one.stop()
    finally:
        pg.drop_database(name)


@pytest.fixture
def env(pw):
    """Environment for libpq programs."""
    return {**system.clean_environment(), "PGHOST": pw.host, "PGPORT": str(pw.port), "PGUSER": USER, "PGPASSWORD": PASSWORD,
            "PGDATABASE": "test", "PATH": os.environ["PATH"]}


def run(command, env, timeout=150, check=True, **kwargs):
    done = subprocess.run(command, stdin=kwargs.pop("stdin", subprocess.DEVNULL), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=env, timeout=timeout, text=True, **kwargs)
    if check:
        assert done.returncode == 0, "%s\n%s\n%s" % (" ".join(command[:3]), done.stdout[-3000:], done.stderr[-3000:])
    return done


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed and "pw" in getattr(item, "funcargs", {}):
        report.sections.append(("log of pgweir", item.funcargs["pw"].log()))
