"""Boxes with the freshly built package. What runs here is what a user of the package has: apt, systemctl, journalctl.

PGWEIR_PACKAGES is the folder with the built .deb (build/packages). Everything here needs root and a kernel that lets
systemd-nspawn boot; where it does not, the tests fail and say so.
"""

import glob
import os
import shutil
import subprocess
import sys
import tempfile

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
sys.path.insert(0, HERE)

from harness.box import Box  # noqa: E402
from harness.machine import LATER, Machine  # noqa: E402


def output_of(*command, **options):
    done = subprocess.run(command, text=True, capture_output=True, stdin=subprocess.DEVNULL, **options)
    assert done.returncode == 0, "%s: status %d\n%s%s" % (" ".join(command), done.returncode, done.stdout, done.stderr)
    return done.stdout


@pytest.fixture(scope="session")
def tree():
    assert os.geteuid() == 0, "tests/system boots containers and needs root: run ./run-tests --only system"
    return os.environ.get("PGWEIR_SYSTEM_TREE") or output_of(os.path.join(HERE, "make-tree"), timeout=900).strip()


@pytest.fixture(scope="session")
def deb():
    folder = os.environ.get("PGWEIR_PACKAGES") or os.path.join(ROOT, "build", "packages")
    found = glob.glob(os.path.join(folder, "pgweir_*.deb"))
    assert len(found) == 1, "one pgweir_*.deb is wanted in %s: run packaging/build-deb" % folder
    return found[0]


def version_of(path):
    return output_of("dpkg-deb", "-f", path, "Version").strip()


@pytest.fixture(scope="session")
def share(deb, tmp_path_factory):
    """What boxes see as /mnt: /mnt/repo, signed, with the package, and /mnt/newer, which has a later one, too."""
    top = tempfile.mkdtemp(prefix="pgweir-share-")
    os.chmod(top, 0o755)
    newer = repack(deb, os.path.join(top, "work"), version_of(deb) + "+later")
    for name, packages in (("repo", [deb]), ("newer", [deb, newer])):
        output_of(os.path.join(ROOT, "packaging", "make-repo"), os.path.join(top, name), *packages,
                  env={**os.environ, "PGWEIR_REPO_URI": "file:/mnt/" + name})
    yield top
    shutil.rmtree(top, ignore_errors=True)


def repack(deb, work, version):
    """The same package under another version, with other configuration files: what an upgrade does is the business of its
    scripts and units."""
    os.makedirs(work)
    tree = os.path.join(work, "tree")
    output_of("dpkg-deb", "--raw-extract", deb, tree)
    control = os.path.join(tree, "DEBIAN", "control")
    with open(control) as file:
        lines = file.read().splitlines(keepends=True)
    with open(control, "w") as file:
        file.writelines("Version: %s\n" % version if line.startswith("Version:") else line for line in lines)
    for name in ("pgweir.ini", "pgweir_hba.conf"):
        with open(os.path.join(tree, "etc", "pgweir", name), "a") as file:
            file.write(LATER)
    target = os.path.join(work, "pgweir_%s_%s.deb" % (version, output_of("dpkg", "--print-architecture").strip()))
    output_of("dpkg-deb", "--root-owner-group", "--build", "-Znone", tree, target)
    return target


@pytest.fixture
def box(tree, share):
    """A fresh box without the package."""
    with Box(tree, share) as box:
        yield box


@pytest.fixture(scope="module")
def shared_machine(tree, share):
    with Box(tree, share) as box:
        machine = Machine(box)
        machine.set_up_postgres()
        machine.install()
        yield machine


@pytest.fixture
def machine(shared_machine):
    """A box with PostgreSQL and the package, configured and running. One a file: what a test changes is put back."""
    shared_machine.reset()
    yield shared_machine


@pytest.fixture
def fresh_machine(box):
    """As `machine`, in a box of its own."""
    machine = Machine(box)
    machine.set_up_postgres()
    machine.install()
    machine.reset()
    yield machine
