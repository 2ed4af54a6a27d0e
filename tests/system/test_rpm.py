"""The rpm, installed by rpm into a booted system. The box is a Debian, whose libraries no rpm has brought: --nodeps."""

import glob
import os
import re
import shutil
import subprocess

import pytest

from harness.machine import Machine

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
INSTALL = ["rpm", "--nodeps", "-U"]


@pytest.fixture(scope="session")
def rpm(share):
    """The package, as boxes see it."""
    folder = os.environ.get("PGWEIR_PACKAGES") or os.path.join(ROOT, "build", "packages")
    found = [path for path in glob.glob(os.path.join(folder, "pgweir-*.rpm")) if "debug" not in path]
    assert len(found) == 1, "one pgweir-*.rpm is wanted in %s: run packaging/build-rpm" % folder
    shutil.copy(found[0], os.path.join(share, "pgweir.rpm"))
    return "/mnt/pgweir.rpm"


def test_deb_and_rpm_hold_the_same_files(deb, rpm, share):
    def names(command, pattern):
        told = subprocess.run(command, text=True, capture_output=True, check=True).stdout
        return {name for name in re.findall(pattern, told, re.M)}

    def known(found):
        """Without documentation, folders and debug links, and whatever the distributions call their folders of units."""
        return {re.sub(r"^(/usr)?/lib/", "/lib/", name).removesuffix(".gz") for name in found
                if not re.search(r"/doc/|/licenses/|/lintian/|/\.build-id|^/etc/pgweir$|^/var/log/", name)}

    of_deb = known(names(["dpkg-deb", "-c", deb], r"^[^d].* \.(/\S+)$"))
    of_rpm = known(names(["rpm", "-qlp", "--noghost", os.path.join(share, "pgweir.rpm")], r"^(/\S+)$"))
    assert of_rpm == of_deb


def test_install_use_upgrade_and_removal(box, rpm):
    machine = Machine(box)
    machine.set_up_postgres()
    box.run(*INSTALL, rpm)
    assert box.run("systemctl", "is-enabled", "pgweir.socket").stdout.strip() == "enabled"  # this system's preset
    assert box.sh("stat -c '%a %U:%G' /etc/pgweir /etc/pgweir/pgweir.ini /etc/pgweir/userlist.txt").stdout.split("\n")[:3] == [
        "750 root:pgweir", "640 root:pgweir", "640 root:pgweir"]
    assert box.run("rpm", "-V", "--nodeps", "pgweir").stdout == ""

    machine.configure()
    box.run("systemctl", "start", "pgweir.socket")
    assert machine.query("SELECT 1") == "1"
    pid, socket_since = machine.main_pid(), box.show("pgweir.socket", "ActiveEnterTimestampMonotonic")
    machine.write_config("one", box.read("/etc/pgweir/pgweir.ini").replace("/run/pgweir", "/run/pgweir/one"))
    box.run("systemctl", "enable", "-q", "--now", "pgweir@one.socket")
    assert machine.query("SELECT 1", host="/run/pgweir/one") == "1"
    instance = machine.main_pid("pgweir@one.service")

    # The same version again, as an upgrade: the daemon is restarted, the socket is not, the configuration stays.
    box.run(*INSTALL, "--force", rpm)
    assert machine.query("SELECT 2") == "2"
    assert machine.main_pid() not in (0, pid)
    assert box.show("pgweir.socket", "ActiveEnterTimestampMonotonic") == socket_since
    assert "app = host" in box.read("/etc/pgweir/pgweir.ini")
    # And so are the templates' instances that run.
    assert machine.main_pid("pgweir@one.service") not in (0, instance)
    assert machine.query("SELECT 3", host="/run/pgweir/one") == "3"

    box.run("rpm", "-e", "pgweir")
    assert box.run("pidof", "pgweir", check=False).stdout == ""
    assert ":6432" not in box.run("ss", "-Hltn").stdout
    assert not box.exists("/usr/lib/systemd/system/pgweir.service")
    assert box.run("systemctl", "list-units", "--all", "--no-legend", "pgweir*").stdout == ""
    assert box.sh("find /etc/systemd/system /run/pgweir -name '*pgweir*' 2>/dev/null || true").stdout == ""
    # What the administrator has written is kept.
    assert "app = host" in box.read("/etc/pgweir/pgweir.ini.rpmsave")
    assert '"app"' in box.sh("cat /etc/pgweir/userlist.txt*").stdout
