"""Fixtures of the functional tests. Session: `certs`, `pg`. Test: `db` (a fresh database), `start` (starts a pgweir)."""

import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from harness import pgweir, postgres, system  # noqa: E402
from harness.certs import Certs  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than a few seconds; left out by run-tests --fast")


@pytest.fixture(scope="session")
def certs():
    return Certs(system.make_directory("certs"))


@pytest.fixture(scope="session")
def pg_template():
    return postgres.make_template(system.make_directory("template"))


@pytest.fixture(scope="session")
def pg(pg_template, certs):
    server = postgres.Postgres(pg_template, certs)
    yield server
    server.stop()


@pytest.fixture
def make_pg(pg_template, certs):
    """Starts a PostgreSQL of the test's own, which it may stop and restart."""
    made = []

    def make(**kwargs):
        made.append(postgres.Postgres(pg_template, certs, **kwargs))
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def db(pg):
    name = pg.new_database()
    yield name
    pg.drop_database(name)


@pytest.fixture
def start(pg, db, request):
    """start(settings={...}, databases={...}, ...) starts a pgweir; the database `test` is a fresh one unless given.
    Each one is stopped and checked at the end; its log is shown when the test has failed."""
    started = request.node.pgweirs = []

    def begin(databases=None, **kwargs):
        if databases is None:
            databases = {"test": entry()}
        else:
            databases = {k: entry(**v) if isinstance(v, dict) and "host" not in v else v for k, v in databases.items()}
        one = pgweir.Pgweir(databases, **{**kwargs, "start": False})
        started.append(one)
        if kwargs.get("start", True):
            one.start()
        return one

    def entry(**options):
        return {"host": pg.host, "port": pg.port, "dbname": db, **options}

    begin.entry = entry
    yield begin
    problems = []
    for one in started:
        try:
            one.stop()
        except AssertionError as problem:
            problems.append(str(problem))
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed:
        for one in getattr(item, "pgweirs", ()):
            report.sections.append(("log of pgweir on port %s" % one.settings["listen_port"], one.log()))
