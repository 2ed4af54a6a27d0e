"""The shell blocks of docs/operations.md and docs/quick-reference.md, in the order of the pages, as root in a booted Debian: what
is written there about apt, systemctl, journalctl, psql and pgweir's tools is what happens."""

import os
import sys

import pytest

from harness.machine import PASSWORD, Machine

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import documents  # noqa: E402

BLOCKS = documents.blocks("sh")
INSTALL = [one for one in BLOCKS if "install" in one.attributes]


def run(box, block):
    done = box.run("env", "HOME=/root", "bash", "-euo", "pipefail", "-c", block.text, check=False, timeout=150)
    told = done.stdout + done.stderr
    wanted = int(block.attributes.get("status", 0))
    assert done.returncode == wanted, "%s: status %d\n%s\n%s\n%s" % (
        block.where, done.returncode, block.text, told, box.journal("-u", "pgweir.service", "-n", "40"))
    assert PASSWORD not in told and "SCRAM-SHA-256$" not in told, block.where
    return done.stdout


@pytest.fixture(scope="module")
def deployed(tree, share):
    """A box in which the reader has followed the steps of the section Deployment."""
    from harness.box import Box
    with Box(tree, share) as box:
        machine = Machine(box)
        machine.set_up_postgres()
        box.sh("rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*; mkdir -p /srv; ln -s /mnt/repo /srv/pgweir")
        escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
        box.write("/root/.pgpass", "".join("*:*:*:%s:%s\n" % (name, escaped) for name in ("app", "admin", "stats")), 0o600)
        for block in INSTALL:
            run(box, block)
        # What a busy machine may take is no question of right or wrong.
        box.sh("sed -i 's/^\\[policy\\]$/&\\nconnect_ratio = 1000\\nthroughput_ratio = 0\\nlongest_wait = 60/' /etc/pgweir/check.conf")
        yield machine


def test_the_steps_of_the_deployment_lead_to_a_pooler_that_serves(deployed):
    assert len(INSTALL) >= 4
    assert deployed.query("SELECT current_user") == "app"
    assert deployed.console("SHOW VERSION").startswith("PgBouncer 1.25")


@pytest.mark.parametrize("block", [pytest.param(one, id=one.where) for one in BLOCKS if one not in INSTALL])
def test_shell(deployed, block):
    run(deployed.box, block)
    # Whatever a block has done, the pooler serves.
    assert deployed.query("SELECT current_user") == "app"


def test_what_the_pages_say_of_the_output(deployed):
    box = deployed.box
    # "journalctl -F" names reasons and addresses; the check writes JSON that has a score.
    assert "127.0.0.1" in box.journal("-u", "pgweir", "-F", "PGWEIR_CLIENT_ADDR")
    assert '"quality"' in box.read("/root/pgweir-check.json")
    assert box.run("runuser", "-u", "pgweir", "--", "psql", "-XAtc", "SHOW STATE", "-h", "/run/pgweir", "-p", "6432",
                   "pgweir").stdout.startswith("active|yes")
