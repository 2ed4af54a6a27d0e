"""node's `pg` and `postgres`. The packages are pinned by node/package-lock.json; ./run-tests installs them."""

import os

import pytest

from conftest import HERE, run


@pytest.mark.parametrize("library", ["pg", "postgres"])
def test_node(env, library):
    folder = os.path.join(HERE, "node")
    assert os.path.isdir(os.path.join(folder, "node_modules", library)), "run `npm ci` in tests/drivers/node first"
    username = {**env, "PGUSERNAME": env["PGUSER"]}
    assert run(["node", os.path.join(folder, library + ".js")], username).stdout.strip() == "OK"
