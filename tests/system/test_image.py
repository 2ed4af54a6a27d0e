"""The container image: its entry point is run as a container engine would, with what the image itself says: user, entry
point, health check. PGWEIR_IMAGE is the archive that packaging/build-image leaves
(build/image/pgweir.tar)."""

import json
import os
import shutil
import subprocess
import tempfile
import uuid

import pytest
import yaml

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
INSIDE = "/mnt/image"


@pytest.fixture(scope="module")
def image(share):
    """The image's configuration; its file system is unpacked where boxes see it as /mnt/image."""
    archive = os.environ.get("PGWEIR_IMAGE") or os.path.join(ROOT, "build", "image", "pgweir.tar")
    assert os.path.exists(archive), "there is no %s: run packaging/build-image" % archive
    parts, top = tempfile.mkdtemp(), os.path.join(share, "image")
    os.makedirs(top)
    subprocess.run(["tar", "-x", "-f", archive, "-C", parts], check=True)
    with open(os.path.join(parts, "manifest.json")) as file:
        manifest = json.load(file)[0]
    for layer in manifest["Layers"]:
        subprocess.run(["tar", "-x", "--numeric-owner", "-p", "-f", os.path.join(parts, layer), "-C", top], check=True)
    with open(os.path.join(parts, manifest["Config"])) as file:
        config = json.load(file)["config"]
    shutil.rmtree(parts)
    yield config
    shutil.rmtree(top)


class Container:
    def __init__(self, machine, image, *environment, properties=()):
        self.box, self.unit = machine.box, "container-%s" % uuid.uuid4().hex[:8]
        # The account is the image's own: systemd would look for it outside.
        accounts = dict(line.split(":")[:3:2] for line in self.box.read(INSIDE + "/etc/passwd").splitlines())
        uid = accounts.get(image["User"], image["User"])
        self.becomes = ["setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", "--no-new-privs", "--bounding-set", "-all"]
        variables = [*(image.get("Env") or []), *environment]
        # /run/pgweir is memory that everybody may write to, as the compose file has it.
        self.box.run("systemd-run", "-q", "--unit", self.unit, "-p", "RootDirectory=" + INSIDE, "-p", "MountAPIVFS=yes",
                     "-p", "TemporaryFileSystem=/run/pgweir:mode=0777", "-p", "KillSignal=" + image["StopSignal"],
                     *(word for one in properties for word in ("-p", one)),
                     *("--setenv=" + one for one in variables), "/usr/bin/" + self.becomes[0], *self.becomes[1:],
                     *image["Entrypoint"])

    def execute(self, *command):
        """As `docker exec`: in the same file system, as the same user."""
        pid = self.box.show(self.unit, "MainPID")
        return self.box.run("nsenter", "-t", pid, "-m", "--root=/proc/%s/root" % pid, *self.becomes, *command, check=False)

    def log(self):
        return self.box.journal("-u", self.unit)

    def stop(self):
        self.box.run("systemctl", "stop", self.unit, check=False)


@pytest.fixture
def secrets(machine, image):
    path = machine.box.path(INSIDE + "/etc/pgweir/userlist.txt")
    with open(path, "w") as file:
        file.write(machine.userlist())
    subprocess.run(["chown", "--reference", os.path.dirname(path), path], check=True)
    os.chmod(path, 0o640)
    yield
    os.unlink(path)


def test_the_image_is_not_root_and_says_how_it_is_used(image):
    assert image["User"] not in ("", "0", "root")
    assert "6432/tcp" in image["ExposedPorts"]
    assert image["Healthcheck"]["Test"][0] in ("CMD", "CMD-SHELL")
    assert image["StopSignal"] in ("SIGRTMIN", "RTMIN")


def test_the_entry_point_serves_from_its_environment_alone(machine, image, secrets):
    container = Container(machine, image, "PGWEIR_HOST=127.0.0.1", "PGWEIR_SET_listen_port=7001",
                          "PGWEIR_SET_pool_mode=transaction", "PGWEIR_SET_admin_users=admin")
    try:
        machine.box.until("it listens", lambda: ":7001" in machine.box.run("ss", "-Hltn").stdout or
                          machine.box.active(container.unit) == "failed")
        assert machine.box.active(container.unit) == "active", container.log()
        assert machine.query("SELECT current_user", port=7001) == "app"
        shown = dict(line.split("|")[:2] for line in machine.console("SHOW CONFIG", port=7001).splitlines())
        assert shown["pool_mode"] == "transaction"
        check = image["Healthcheck"]["Test"][1:]
        command = check[0].split() if len(check) == 1 else check
        assert container.execute(*command, "7001").returncode == 0
        assert container.execute(*command, "7999").returncode != 0
    finally:
        container.stop()
    assert machine.box.show(container.unit, "Result") in ("success", ""), container.log()


def test_the_compose_file_runs_it_beside_a_postgresql(machine, image):
    """There is no Docker engine here: what the file says of pgweir's service is given to systemd, and "postgres", the name
    of the other service, is the box's own PostgreSQL."""
    with open(os.path.join(ROOT, "packaging", "docker", "compose.yaml")) as file:
        compose = yaml.safe_load(file)
    service, beside = compose["services"]["pgweir"], compose["services"]["postgres"]
    assert os.path.exists(os.path.join(ROOT, "packaging", "docker", service["build"]["context"],
                                       service["build"]["dockerfile"]))
    assert service["environment"]["PGWEIR_HOST"] in compose["services"] and beside["healthcheck"]
    assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["tmpfs"] == ["/run/pgweir:mode=0777"]
    assert set(service["secrets"]) == {"userlist"} <= set(compose["secrets"])
    assert service["ports"] == ["127.0.0.1:6432:6432"]
    box = machine.box
    box.run("systemctl", "stop", "pgweir.socket", "pgweir.service")
    box.write("/root/secret", machine.userlist(), 0o644)
    box.write("/root/hosts", "127.0.0.1 localhost postgres\n", 0o644)
    box.sh("mkdir -p %s/run/secrets; touch %s/run/secrets/userlist %s/etc/hosts" % (INSIDE, INSIDE, INSIDE))
    container = Container(machine, image, *("%s=%s" % item for item in service["environment"].items()), properties=[
        "ReadOnlyPaths=/", "BindReadOnlyPaths=/root/secret:/run/secrets/userlist", "BindReadOnlyPaths=/root/hosts:/etc/hosts"])
    try:
        box.until("it listens", lambda: ":6432" in box.run("ss", "-Hltn").stdout or box.active(container.unit) == "failed")
        assert machine.query("SELECT current_user") == "app", container.log()
        check = image["Healthcheck"]["Test"]
        assert container.execute(*(check[1].split() if len(check) == 2 else check[1:])).returncode == 0
    finally:
        container.stop()
        box.sh("rm -rf %s/run/secrets" % INSIDE)


def test_without_a_server_the_entry_point_says_what_it_wants(machine, image):
    container = Container(machine, image)
    box = machine.box
    box.until("it has ended", lambda: box.active(container.unit) in ("failed", "inactive"))
    assert "PGWEIR_HOST" in container.log()
