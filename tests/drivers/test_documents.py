"""The programs of docs/operations.md, "Connection strings", as they stand there but for the port, the user and the password."""

import os
import re
import sys

import pytest

from conftest import HERE, PASSWORD, USER, run
from test_java import classes  # noqa: F401

sys.path.insert(0, os.path.join(HERE, ".."))
import documents  # noqa: E402


def text_for(block, pw):
    """The block with this test's address, user and database."""
    text = re.sub(r"127\.0\.0\.1:6432/app\b", "127.0.0.1:%d/test" % pw.port, block.text)
    text = text.replace("//app@", "//%s@" % USER).replace("user=app&", "user=%s&" % USER)
    assert "6432" not in text and text != block.text
    return text


def told(command, env):
    return run(command, {**env, "PGPASSFILE": "/dev/null"}).stdout.strip()


def cases(kind):
    found = documents.blocks(kind)
    assert found
    return pytest.mark.parametrize("block", [pytest.param(one, id=one.where) for one in found])


@cases("python")
def test_python(pw, env, tmp_path, block):
    path = tmp_path / "pooled.py"
    path.write_text(text_for(block, pw))
    assert told(["/usr/bin/python3", str(path)], env) == "OK"


@cases("java")
def test_java(pw, env, tmp_path, block, classes):  # noqa: F811
    path = tmp_path / "Pooled.java"
    # libpq's programs know PGPASSWORD, pgjdbc wants it in the URL.
    path.write_text(text_for(block, pw).replace("user=%s&" % USER, "user=%s&password=%s&" % (USER, PASSWORD)))
    assert told(["java", "-cp", classes, str(path)], {**os.environ, **env}) == "OK"


@cases("js")
def test_node(pw, env, tmp_path, block):
    folder = os.path.join(HERE, "node", "node_modules")
    assert os.path.isdir(os.path.join(folder, "pg")), "run `npm ci` in tests/drivers/node first"
    path = tmp_path / "pooled.js"
    path.write_text(text_for(block, pw))
    assert told(["node", str(path)], {**env, "NODE_PATH": folder}) == "OK"
