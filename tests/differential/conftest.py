"""Fixtures of the differential tests: certificates, and a PostgreSQL with the tables that the sessions use."""

import ast
import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "functional")]

from harness import postgres, system  # noqa: E402
from harness.certs import Certs  # noqa: E402

TABLES = """
CREATE TABLE t(a int, b text); CREATE VIEW v AS SELECT 1 AS a;
CREATE TABLE u(a int PRIMARY KEY NOT NULL CHECK (a > 0)); CREATE TABLE d(a int UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE secret(a int);
CREATE FUNCTION f(int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1 / ($1 - 1); END';
CREATE PROCEDURE p_commits() LANGUAGE plpgsql AS 'BEGIN INSERT INTO t VALUES (1, ''p''); COMMIT; END';
CREATE PROCEDURE p_fails() LANGUAGE plpgsql AS 'BEGIN INSERT INTO t VALUES (1, ''p''); COMMIT; PERFORM 1/0; END';
GRANT ALL ON t, v, u, d TO PUBLIC;
"""


@pytest.fixture(scope="session")
def certs():
    return Certs(system.make_directory("certs"))


@pytest.fixture(scope="session")
def pg(certs):
    """A server with the database `test`. `known_oids`: tables that are there before any session. `empty()`: as at first."""
    server = postgres.Postgres(postgres.make_template(system.make_directory("template")), certs)
    server.query("CREATE DATABASE test")
    keeper = server.connect(database="test", application_name="keeper")
    keeper.query(TABLES)
    server.known_oids = {int(row[0]) for row in keeper.query("SELECT oid FROM pg_class").rows}
    server.empty = lambda: keeper.query("TRUNCATE t, u, d; DROP TABLE IF EXISTS own1, own2")
    yield server
    keeper.close()
    server.stop()


def pytest_sessionfinish(session):
    """With PGWEIR_REGENERATE=1 the differences that were seen are written down, to be read and listed."""
    import accepted

    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["seen"] = repr(accepted.SEEN)
    elif os.environ.get("PGWEIR_REGENERATE") and accepted.SEEN:
        accepted.write()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """What a process of xdist has seen."""
    import accepted

    accepted.join(ast.literal_eval(getattr(node, "workeroutput", {}).get("seen", "{}")))
