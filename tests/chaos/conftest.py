"""The wrong-answer harness against a real PostgreSQL. PGWEIR_CHAOS_SECONDS makes each run longer (default 8)."""

import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "functional"))

from harness import postgres, system  # noqa: E402
from harness.certs import Certs  # noqa: E402


@pytest.fixture(scope="session")
def pg():
    template = postgres.make_template(system.make_directory("template"))
    server = postgres.Postgres(template, Certs(system.make_directory("certs")))
    server.query("CREATE ROLE chaos LOGIN SUPERUSER")
    yield server
    server.stop()
