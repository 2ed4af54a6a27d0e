"""The house rules hold in the tree, and each rule catches a bad sample."""

import glob
import os
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rules  # noqa: E402

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


def sources():
    found = glob.glob(os.path.join(ROOT, "daemon", "*", "*")) + glob.glob(os.path.join(ROOT, "daemon", "tools", "*", "*"))
    return sorted(os.path.relpath(p, ROOT) for p in found if p.endswith((".cpp", ".hpp")))


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as text:
        return text.read()


def complain(check):
    bad = ["%s:%s" % (path, line) for path in sources() for line in check(path, read(path))]
    assert not bad, "\n" + "\n".join(bad)


def test_every_folder_is_a_room():
    rooms = [os.path.basename(p) for p in glob.glob(os.path.join(ROOT, "daemon", "*")) if os.path.isdir(p)]
    assert set(rooms) <= set(rules.ROOMS)
    inside = [p for p in glob.glob(os.path.join(ROOT, "daemon", "*", "*", "*.[ch]pp")) if "/daemon/tools/" not in p]
    assert not inside, "a room has no rooms inside, but for a folder each of the tools"
    assert not glob.glob(os.path.join(ROOT, "daemon", "tools", "*.[ch]pp")), "what tools share is in tools/common"


def test_one_version():
    said = rules.re.search(r'kVersion = "([\d.]+)"', read("daemon/base/version.hpp")).group(1)
    assert "project(pgweir VERSION %s " % said in read("CMakeLists.txt")


def test_no_merge_is_half_done():
    """debian/control once was on main with both sides of a conflict in it: no program of the debug build reads it."""
    found = subprocess.run(["git", "grep", "-nE", "^(<{7}|>{7}) "], cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 1, found.stdout + found.stderr


def test_edges():
    complain(lambda path, text: rules.include_edges(path.split("/")[1], text))


def test_edges_of_tools():
    complain(lambda path, text: rules.tool_edges(path, text) if path.startswith("daemon/tools/") else [])


def test_file_length():
    complain(rules.too_long)


def test_coroutine_form():
    complain(lambda path, text: rules.coroutine_form(text))


def test_function_length():
    complain(lambda path, text: rules.long_functions(text))


def test_no_sleep_in_the_daemon():
    complain(lambda path, text: ["a sleep in the daemon"] if path.split("/")[1] != "tools" and rules.re.search(
        r"\b(usleep|nanosleep|this_thread::sleep_\w+)\s*\(", rules.strip(text)) else [])


# A test waits for an event or polls a condition with a deadline; only the helpers that poll may sleep.
SLEEP = rules.re.compile(r"\b(?:time\.sleep|asyncio\.sleep|usleep|nanosleep|this_thread::sleep_\w+|setTimeout|Thread\.sleep)\s*\(")
SLEEPERS = ("tests/functional/harness/system.py", "tests/system/harness/box.py", "tests/unit/support/wait.hpp")


def test_no_sleep_in_the_tests():
    found = [p for ending in ("cpp", "hpp", "py", "js", "java")
             for folder in ("unit", "functional", "differential", "drivers", "fuzz", "system")
             for p in glob.glob(os.path.join(ROOT, "tests", folder, "**", "*." + ending), recursive=True)]
    paths = sorted(os.path.relpath(p, ROOT) for p in found if "node_modules" not in p)
    assert all(len(SLEEP.findall(read(path))) == 1 for path in SLEEPERS)
    assert not [path for path in paths if path not in SLEEPERS and SLEEP.search(read(path))]


PAGES = [p for p in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md") if
         os.path.exists(os.path.join(ROOT, p))] + sorted(
    os.path.relpath(p, ROOT) for p in glob.glob(os.path.join(ROOT, "docs", "**", "*.md"), recursive=True))


@pytest.mark.parametrize("page", PAGES)
def test_links(page):
    assert rules.broken_links(ROOT, os.path.dirname(page), read(page)) == []


# Bad samples.


@pytest.mark.parametrize("room, text, words", [
    ("wire", '#include "pool/pool.hpp"\n', "wire may not include"),
    ("relay", '#include "auth/scram.hpp"\n', "relay may not include"),
    ("login", '#include "relay/relay.hpp"\n', "login may not include"),
    ("pool", '#include "kitchen/sink.hpp"\n', "unknown room"),
    ("pool", '#include "rules.hpp"\n', "must name its room"),
    ("pool", "#include <base/bytes.hpp>\n", "with quotes"),
    ("session", "#include <event2/event.h>\n", "libevent"),
    ("workers", "#include <ares.h>\n", "c-ares"),
    ("auth", "#include <openssl/ssl.h>\n", "openssl/ssl.h"),
    ("workers", "#include <systemd/sd-daemon.h>\n", "systemd"),
    ("admin", "#include <iniparser.h>\n", "iniparser"),
    ("login", "#include <libpq-fe.h>\n", "libpq"),
    ("login", "#include <ldap.h>\n", "libldap"),
    ("auth", "#include <security/pam_appl.h>\n", "libpam"),
    ("settings", '#include "vouch/ldap.hpp"\n', "settings may not include"),
])
def test_bad_edge_is_caught(room, text, words):
    assert any(words in line for line in rules.include_edges(room, text))


def test_good_edges_pass():
    text = '#include "pool/rules.hpp"\n\n#include <openssl/crypto.h>\n#include <string>\n#include "track/reply_queue.hpp"\n'
    assert rules.include_edges("pool", text) == []
    assert rules.include_edges("wire", '// #include "pool/pool.hpp"\n') == []


def test_bad_tool_edge_is_caught():
    text = '#include "tools/%s/x.hpp"\n'
    assert rules.tool_edges("daemon/tools/check/main.cpp", text % "userlist")
    assert rules.tool_edges("daemon/tools/common/x.cpp", text % "userlist")
    assert not rules.tool_edges("daemon/tools/check/main.cpp", text % "common" + text % "check")


def test_long_file_is_caught():
    assert rules.too_long("daemon/wire/x.cpp", "\n" * 801) and not rules.too_long("daemon/wire/x.cpp", "\n" * 800)
    assert rules.too_long("daemon/relay/relay.cpp", "\n" * 501)


GOOD_COROUTINE = """
net::Task<Result<int>> read_startup(Login& login, int limit) {
  int left = limit;
  co_await net::readable(login.stream);
  Result<std::string> packet = co_await read_packet(login, left);
  left = co_await net::offload<int>(login.loop, left);
  if (!packet) co_return packet.error();
  // a comment: if (co_await bad())
  co_return left;
}
"""


def test_good_coroutine_passes():
    assert rules.coroutine_form(GOOD_COROUTINE) == []


@pytest.mark.parametrize("line", [
    "if (co_await ready(x)) left = 1;",
    "while (co_await ready(x)) left = 1;",
    "co_return co_await ready(x);",
    "return co_await ready(x);",
    "int n = 1 + co_await ready(x);",
    "int n = co_await ready(x) + 1;",
    "int n = use(co_await ready(x));",
    "int n = co_await ready(co_await other(x));",
    "co_await ready(Options{1, 2});",
    "co_await ready([&] { return 1; });",
    "auto n = (co_await ready(x)).value();",
    "Result<int> n = (co_await ready(x));",
])
def test_bad_await_is_caught(line):
    text = "Task<int> f(int x) {\n  int left = 0;\n  %s\n  co_return left;\n}\n" % line
    assert rules.coroutine_form(text)


def test_coroutine_without_first_local_is_caught():
    for first in ("co_await ready(x);", "if (x) co_return 1;", "x = 3;", "use(x);"):
        assert any("first line" in line for line in
                   rules.coroutine_form("Task<int> f(int x) {\n  %s\n  co_return 1;\n}\n" % first)), first


def test_await_suspend_must_return_bool():
    assert rules.coroutine_form("struct A {\n  void await_suspend(std::coroutine_handle<> h);\n};\n")
    assert not rules.coroutine_form("struct A {\n  bool await_suspend(std::coroutine_handle<> h) noexcept;\n};\n")


def test_long_function_is_caught():
    body = "  work();\n" * 62
    assert rules.long_functions("void f(int a) {\n%s}\n" % body)
    assert rules.long_functions("Client::Client(int a)\n    : a_(a), b_{2} {\n%s}\n" % body)
    assert rules.long_functions("auto Pool::take(const std::string& name) const noexcept -> Result<int> {\n%s}\n" % body)
    assert not rules.long_functions("void f(int a) {\n%s}\n" % ("  work();\n" * 60))
    assert not rules.long_functions("namespace pgweir {\nstruct A {\n%s};\n}\n" % ("  int a;\n" * 80))


def test_broken_link_is_caught(tmp_path):
    (tmp_path / "daemon").mkdir()
    (tmp_path / "daemon" / "a.cpp").write_text("void known() {}\n")
    check = lambda text: rules.broken_links(str(tmp_path), "", text)
    assert check("[a](daemon/a.cpp#known) and `daemon/a.cpp`\n# Top\n[t](#top)") == []
    assert check("[a](daemon/b.cpp)") and check("`daemon/b.cpp`")
    assert check("[a](daemon/a.cpp#unknown)") and check("[a](#nowhere)")


@pytest.mark.parametrize("name", ["userlist.txt", "etc/userlist-prod.txt", "server.key", "ssl/root.crt", "client.pem",
                                  "id.p12", "pgweir.ini.bak", "pgweir.ini~", "pgweir.log", "pgweir.log.1", "core.123"])
def test_secrets_and_leftovers_stay_out_of_version_control(name):
    if subprocess.run(["git", "-C", ROOT, "rev-parse"], capture_output=True).returncode:
        pytest.skip("not a git tree: a source archive")
    assert subprocess.run(["git", "-C", ROOT, "check-ignore", "-q", "--no-index", name]).returncode == 0
    for kept in ("etc/userlist.example", "etc/pgweir.ini", "daemon/base/result.hpp"):
        assert subprocess.run(["git", "-C", ROOT, "check-ignore", "-q", "--no-index", kept]).returncode == 1
