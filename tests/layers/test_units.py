"""What systemd's own tools say about the files of systemd/: the units are right and shut off, the account and the
directories can be made, the catalog compiles and explains each kind of record; and the manual of the units is clean."""

import configparser
import glob
import os
import re
import shutil
import subprocess

import pytest

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
SYSTEMD = os.path.join(ROOT, "systemd")
SERVICES = ("pgweir.service", "pgweir@.service")
MOST_EXPOSED = 12  # tenths, as in systemd-analyze security

pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")


def read(path):
    with open(path, encoding="utf-8") as text:
        return text.read()


def run(*command, **environment):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=120, env={**os.environ, "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0", **environment})


@pytest.fixture
def units(tmp_path):
    """The units, with programs that there are: systemd-analyze wants to see them."""
    for path in glob.glob(SYSTEMD + "/*.service") + glob.glob(SYSTEMD + "/*.socket"):
        text = re.sub(r"(?m)^(Exec\w+=)/usr/s?bin/pgweir(-\w+)?", r"\1/bin/true", read(path))
        (tmp_path / os.path.basename(path)).write_text(text)
    return tmp_path


def verify(folder, unit):
    return run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit, SYSTEMD_UNIT_PATH="%s:" % folder)


@pytest.mark.parametrize("unit", ["pgweir.service", "pgweir.socket", "pgweir@blue.service", "pgweir@blue.socket"])
def test_units_are_right(units, unit):
    done = verify(units, unit)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_wrong_unit_is_found(units):
    """An unknown key is only a warning of systemd's; here it counts."""
    text = (units / "pgweir.service").read_text().replace("NoNewPrivileges=", "NoNewPrivilege=")
    (units / "pgweir.service").write_text(text)
    assert "Unknown key 'NoNewPrivilege'" in verify(units, "pgweir.service").stdout


@pytest.mark.parametrize("unit", SERVICES)
def test_services_are_shut_off(unit):
    done = run("systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold=%d" % MOST_EXPOSED,
               os.path.join(SYSTEMD, unit))
    assert done.returncode == 0, done.stdout
    level = re.search(r"Overall exposure level for \S+: (\d+\.\d+)", done.stdout)
    assert level and float(level.group(1)) * 10 <= MOST_EXPOSED + 0.01, done.stdout


@pytest.mark.parametrize("name", ["examples/credentials.conf", "notify-reload.conf"])
def test_drop_ins_fit_the_service(units, name):
    folder = units / "pgweir.service.d"
    folder.mkdir()
    text = read(os.path.join(SYSTEMD, name))
    (folder / os.path.basename(name)).write_text(re.sub(r"(?m)^#(LoadCredential=)", r"\1", text))
    done = verify(units, "pgweir.service")
    # systemd 252 knows neither the type nor its signal, which is why that is a drop-in, for newer ones only.
    told = [line for line in done.stdout.splitlines() if "notify-reload" not in line and "ReloadSignal" not in line]
    assert told == []


@pytest.mark.parametrize("version, wanted", [("252", False), ("253", True), ("257.7", True)])
def test_notify_reload_is_installed_where_systemd_has_it(tmp_path, version, wanted):
    """systemd 252 would take the type for "simple", without an error, and be told of nothing any more."""
    (tmp_path / "CMakeLists.txt").write_text(
        'cmake_minimum_required(VERSION 3.25)\nproject(x NONE)\nset(SYSTEMD_VERSION 252)\nset(CMAKE_SOURCE_DIR "%s")\n'
        'include("%s/cmake/Install.cmake")\n' % (ROOT, ROOT))
    done = run("cmake", "-S", str(tmp_path), "-B", str(tmp_path / "b"), "-DPGWEIR_SYSTEMD_VERSION=" + version,
               "-DCMAKE_INSTALL_PREFIX=/usr")
    assert done.returncode == 0, done.stdout
    done = run("cmake", "--install", str(tmp_path / "b"), DESTDIR=str(tmp_path / "root"))
    assert done.returncode == 0, done.stdout
    found = sorted(path.parent.name for path in (tmp_path / "root").rglob("10-notify-reload.conf"))
    assert found == (["pgweir.service.d", "pgweir@.service.d"] if wanted else [])
    assert list((tmp_path / "root").rglob("pgweir.service"))


def settings(path):
    """Sections and lines of a unit, in order, without comments."""
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str
    parser.read_string(read(path))
    return [line for line in read(path).splitlines() if line and not line.startswith("#")], parser


@pytest.mark.parametrize("kind", ["service", "socket"])
def test_instances_are_as_the_one(kind):
    """What an instance has of its own is its name, in paths and words; a socket for instances has no TCP port."""
    own = re.compile(r"^(Description|After|PartOf|ExecStartPre|ExecStart|ExecReload|RuntimeDirectory|LogsDirectory|ListenStream)=")
    one, of_one = settings(os.path.join(SYSTEMD, "pgweir." + kind))
    many, of_many = settings(os.path.join(SYSTEMD, "pgweir@." + kind))
    assert [line for line in one if not own.match(line)] == [line for line in many if not own.match(line)]
    assert of_one.sections() == of_many.sections()
    assert all("%i" in line for line in many if own.match(line))


def test_what_a_service_must_say():
    """What each of these is for stands beside it in the unit."""
    for unit in SERVICES:
        lines, parser = settings(os.path.join(SYSTEMD, unit))
        service, head = parser["Service"], parser["Unit"]
        assert head["StartLimitIntervalSec"] == "0", "a unit that is given up takes its socket with it"
        assert head["PartOf"] == unit.replace("@", "@%i").replace("service", "socket"), "a socket whose service runs cannot start"
        assert service["RuntimeDirectoryPreserve"] == "yes", "socket files lie there"
        assert service["KillSignal"] == "SIGRTMIN" and service["KillMode"] == "mixed"
        assert service["SuccessExitStatus"] == "SIGRTMIN"
        assert service["Type"] == "notify" and service["NotifyAccess"] == "main"
        assert int(service["WatchdogSec"].rstrip("s")) > 0 and service["Restart"] == "on-failure"
        assert "LogRateLimitIntervalSec" in service and service["LogRateLimitIntervalSec"] != "0", "0 is no limit's name"
        assert "Also" not in parser["Install"], "the socket would be restarted with the service by the packages"
        order = [line.split("=")[0] for line in lines if line.startswith("Exec")]
        assert order == ["ExecStartPre", "ExecStartPre", "ExecStart", "ExecReload"]
        assert any("--check-config" in line for line in lines if line.startswith("ExecStartPre="))
        assert any("pgweir-userlist" in line for line in lines if line.startswith("ExecStartPre="))


def test_the_account_can_be_made(tmp_path):
    done = run("systemd-sysusers", "--dry-run", "--root=%s" % tmp_path, os.path.join(SYSTEMD, "pgweir.sysusers"))
    assert done.returncode == 0 and "pgweir" in done.stdout, done.stdout


def test_the_directories_can_be_made(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "pgweir").mkdir(mode=0o755)
    (tmp_path / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\npgweir:x:%d:%d::/:/bin/sh\n" % (os.geteuid(), os.getegid()))
    (tmp_path / "etc" / "group").write_text("root:x:0:\npgweir:x:%d:\n" % os.getegid())
    text = read(os.path.join(SYSTEMD, "pgweir.tmpfiles"))
    if os.geteuid() != 0:
        text = text.replace(" root ", " pgweir ")
    (tmp_path / "pgweir.conf").write_text(text)
    done = run("systemd-tmpfiles", "--create", "--root=%s" % tmp_path, str(tmp_path / "pgweir.conf"))
    assert (done.returncode, done.stdout) == (0, "")
    assert (tmp_path / "run" / "pgweir").stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / "etc" / "pgweir").stat().st_mode & 0o7777 == 0o750, "passwords may lie there"


def message_ids():
    text = read(os.path.join(ROOT, "daemon", "service", "message_ids.cpp"))
    return dict(re.findall(r'\{"(\w+)", "([0-9a-f]{32})"\}', text))


def test_the_catalog_compiles_and_explains_each_kind(tmp_path):
    folder = tmp_path / "usr" / "lib" / "systemd" / "catalog"
    folder.mkdir(parents=True)
    shutil.copy(os.path.join(SYSTEMD, "pgweir.catalog"), folder)
    done = run("journalctl", "--update-catalog", "--root=%s" % tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    ids = message_ids()
    assert len(ids) > 90
    done = run("journalctl", "--dump-catalog", "--root=%s" % tmp_path)
    texts = dict(re.findall(r"(?ms)^-- ([0-9a-f]{32})\n(.*?)(?=^-- [0-9a-f]{32}$|\Z)", done.stdout))
    assert set(texts) == set(ids.values())
    for kind, number in ids.items():
        head, _, body = texts[number].partition("\n\n")
        assert "Subject: " in head and "Defined-By: pgweir" in head and "man:pgweir.service(8)" in head, kind
        assert len(body.split()) > 1, kind


def test_the_catalog_speaks_of_fields_that_there_are():
    manual = read(os.path.join(ROOT, "man", "pgweir.service.8"))
    fields = set(re.findall(r"@(\w+)@", read(os.path.join(SYSTEMD, "pgweir.catalog"))))
    assert fields and not [field for field in fields if field not in manual]


FIELD = r"(?:CLIENT|SERVER)_\w+|REPEATED\w*|LOST|WORKER|POOL|DATABASE|USER|REASON|SQLSTATE"


def test_every_field_is_in_the_manual():
    sources = glob.glob(os.path.join(ROOT, "daemon", "*", "*.cpp")) + glob.glob(os.path.join(ROOT, "daemon", "*", "*.hpp"))
    fields = set()
    for path in sources:
        fields |= set(re.findall(r'(?:\badd\(|\{|field)"([A-Z]+(?:_[A-Z]+)*)",', read(path)))
    fields = {name for name in fields if re.fullmatch(FIELD, name)}
    assert {"CLIENT_ADDR", "SERVER_PID", "SQLSTATE", "REASON", "POOL", "WORKER", "REPEATED", "LOST"} <= fields
    manual = read(os.path.join(ROOT, "man", "pgweir.service.8"))
    assert not [field for field in fields if "PGWEIR_" + field not in manual]


@pytest.mark.parametrize("page", sorted(os.path.basename(p) for p in glob.glob(os.path.join(ROOT, "man", "*.[1-8]"))))
def test_manual_pages_are_clean(page):
    done = subprocess.run(["groff", "-man", "-ww", "-Tutf8", "-Z", os.path.join(ROOT, "man", page)], text=True, timeout=60,
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, "")
