"""packaging/deploy on one host: fresh install, a repeated run, an upgrade, a health check that fails, the way back."""

import os

import pytest

from harness.machine import PASSWORD, Machine

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "packaging", "deploy")
OK, PREFLIGHT, USAGE, PACKAGE, CONFIG, HEALTH, NOTHING = range(7)


class Host:
    def __init__(self, box):
        self.box, self.machine, self.script = box, Machine(box), "/root/deploy"
        self.machine.set_up_postgres()
        box.sh("rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*")
        with open(SCRIPT) as file:
            box.write("/root/deploy", file.read(), 0o755)
        box.write("/root/.pgpass", "*:*:*:app:%s\n" % PASSWORD, 0o600)

    def deploy(self, *args, status=OK):
        done = self.box.run("env", "HOME=/root", self.script, *args, check=False, timeout=150)
        told = done.stdout + done.stderr
        assert done.returncode == status, told
        assert PASSWORD not in told and "SCRAM-SHA-256$" not in told and "\x1b" not in told
        return told

    def state(self):
        """All that a run could change."""
        return self.box.sh("find /etc /var/lib/pgweir-deploy /var/lib/dpkg/status -type f -not -path '/etc/ssl/*' -exec sha256sum {} + 2>/dev/null "
                           "| sort -k2; systemctl show pgweir.service -P MainPID").stdout


@pytest.fixture
def host(box):
    return Host(box)


def test_fresh_again_upgraded_and_back(host):
    box, machine = host.box, host.machine
    args = ["--repository=/mnt/repo/pgweir.sources", "--database=app", "--admin=admin", "--check=host=127.0.0.1 user=app dbname=app"]
    before = host.state()
    assert "would" in host.deploy("--dry-run", *args)
    assert host.state() == before, "a dry run has changed something"
    told = host.deploy(*args)
    assert "psql -h 127.0.0.1 -p 6432" in told
    first = machine.version()
    assert machine.query("SELECT current_user") == "app"
    assert machine.console("SHOW STATE").startswith("active|yes")
    assert box.run("stat", "-c", "%a %U:%G", "/etc/pgweir/userlist.txt").stdout.strip() == "640 root:pgweir"

    before = host.state()
    host.deploy(*args)
    assert host.state() == before, "a second run has changed something"

    newer = box.sh("ls /mnt/newer/pool/*later*.deb").stdout.strip()
    host.deploy("--package=" + newer, "--dry-run")
    assert host.state() == before
    host.deploy("--package=" + newer)
    assert machine.version() == first + "+later" and machine.query("SELECT 1") == "1"

    # What happened behind the upgrade to the configuration is undone with it. The package of before has been kept.
    box.sh("rm -rf /etc/apt/sources.list.d/* /var/lib/apt/lists/* /var/cache/apt/archives/*.deb")
    box.sh("echo 'default_pool_size = 3' >>/etc/pgweir/pgweir.ini")
    host.deploy("--rollback")
    assert machine.version() == first and machine.query("SELECT 1") == "1"
    assert "default_pool_size = 3" not in box.read("/etc/pgweir/pgweir.ini")
    assert "no version before" in host.deploy("--rollback", status=NOTHING)


def test_the_way_back_without_the_earlier_package(host):
    """It came by other ways, and is in no repository: the upgrade says so, and so does --rollback, which takes its file. The
    script is the one that the package has installed, which replaces itself."""
    box, machine = host.box, host.machine
    older, newer = (box.sh("ls /mnt/newer/pool/*.deb | grep %s later" % option).stdout.strip() for option in ("-v", "-e"))
    box.run("apt-get", "install", "-y", "-q", older)
    box.sh("rm -rf /etc/apt/sources.list.d/* /var/lib/apt/lists/* /var/cache/apt/archives/*.deb")
    host.script = "pgweir-deploy"
    host.deploy("--package=" + older, "--database=app")  # it is installed: configuration and userlist only
    first = machine.version()
    name = "pgweir_%s_%s.deb" % (first, box.run("dpkg", "--print-architecture").stdout.strip())
    told = host.deploy("--package=" + newer)
    assert "for --rollback you will need its file, " + name in told
    told = host.deploy("--rollback", status=NOTHING)
    assert "was not kept" in told and name in told and "--rollback --package=FILE" in told
    assert "is not of version " + first in host.deploy("--rollback", "--package=" + newer, status=PREFLIGHT)
    assert machine.version() == first + "+later"
    host.deploy("--rollback", "--package=" + older)
    assert machine.version() == first
    assert "no version before" in host.deploy("--rollback", status=NOTHING)


def test_what_is_wrong_is_told(host):
    box = host.box
    host.deploy("--nonsense", status=USAGE)
    host.deploy("--postgres=password=x", status=USAGE)
    assert "apt knows no pgweir" in host.deploy(status=PACKAGE)
    box.run("systemctl", "stop", "postgresql@15-main")
    assert "PostgreSQL cannot be reached" in host.deploy("--repository=/mnt/repo/pgweir.sources", status=PREFLIGHT)
    box.run("systemctl", "start", "postgresql@15-main")
    box.until("PostgreSQL is up", lambda: host.machine.sql("SELECT 1", check=False).returncode == 0, 60)
    # Healthy but for a user who is not let in.
    told = host.deploy("--repository=/mnt/repo/pgweir.sources", "--database=app", "--include=admin",
                       "--check=host=127.0.0.1 user=app dbname=app", status=HEALTH)
    assert "pgweir-check is not content" in told and "--rollback" in told
    box.sh("echo 'pool_mode = nonsense' >>/etc/pgweir/pgweir.ini")
    assert "nonsense" in host.deploy(status=CONFIG)
