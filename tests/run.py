"""The stages of ./run-tests. Each stage counts its own tests; the last line is the sum.

A stage that cannot run (its build fails, it hangs, its runner dies) counts as one failure, never as nothing.
"""

import argparse
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as xml

import tidy as clang_tidy

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
CORES = os.cpu_count() or 2
RESULTS = tempfile.mkdtemp(prefix="pgweir-results-")


class Count:
    def __init__(self, passed=0, failed=0, skipped=0):
        self.passed, self.failed, self.skipped = passed, failed, skipped

    def __iadd__(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        return self

    def __str__(self):
        return "%d passed, %d failed, %d skipped" % (self.passed, self.failed, self.skipped)


# Files of tests/functional that run under the sanitizers by default.
SANITIZED = ["test_cancel", "test_hostile_client", "test_limits", "test_pooling", "test_prepared", "test_server_login",
             "test_vanish", "test_wire"]


class StageFailure(Exception):
    pass


def run(command, timeout, env=None, check=True, cwd=ROOT, quiet=False):
    """Runs a command in the foreground; with `quiet` its output is kept, and shown only when it fails."""
    out = subprocess.PIPE if quiet else None
    full = {**os.environ, **(env or {})}
    try:
        done = subprocess.run(command, cwd=cwd, env=full, stdin=subprocess.DEVNULL, stdout=out,
                              stderr=subprocess.STDOUT if quiet else None, timeout=timeout)
    except subprocess.TimeoutExpired as late:
        if late.output:
            print(late.output.decode("utf-8", "replace")[-4000:])
        raise StageFailure("%s took longer than %d s" % (" ".join(command[:4]), timeout))
    if check and done.returncode:
        if quiet:
            print(done.stdout.decode("utf-8", "replace")[-8000:])
        raise StageFailure("%s ended with status %d" % (" ".join(command[:4]), done.returncode))
    return done


def junit(path):
    """Counts of a JUnit file and the names of what failed."""
    if not os.path.exists(path):
        raise StageFailure("the test runner wrote no result")
    count, bad = Count(), []
    for case in xml.parse(path).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None or case.get("status") == "fail":
            count.failed += 1
            bad.append("%s %s" % (case.get("classname", ""), case.get("name", "")))
        elif case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
            count.skipped += 1
        else:
            count.passed += 1
    for name in bad:
        print("FAILED", name)
    return count


def build(preset, target=None):
    run(["cmake", "--preset", preset], 300, quiet=True)
    run(["cmake", "--build", "--preset", preset, *(["--target", target] if target else [])], 2400)


def unit(preset):
    build(preset)
    path = os.path.join(RESULTS, "unit-%s.xml" % preset)
    env = {"ASAN_OPTIONS": "detect_stack_use_after_return=1", "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
           "TSAN_OPTIONS": "second_deadlock_stack=1", "GTEST_BRIEF": "1"}
    if json.loads(run(["ctest", "--test-dir", "build/" + preset, "--show-only=json-v1"], 120, quiet=True).stdout)["tests"]:
        run(["ctest", "--test-dir", "build/" + preset, "-j", str(CORES), "--timeout", "300", "--output-on-failure",
             "--output-junit", path, "--quiet"], 1800, env=env, check=False)
        return junit(path)
    return Count()


def bare():
    """Without PAM, LDAP and liburing: what knows of them compiles, and what needs them is refused by its name."""
    run(["cmake", "--preset", "bare"], 300, quiet=True)
    run(["cmake", "--build", "--preset", "bare", "--target", "pgweir_vouch", "unit_auth", "unit_settings",
         "daemon/CMakeFiles/pgweir_net.dir/net/send_batch.cpp.o"], 1200, quiet=True)
    count = Count()
    for room in ("auth", "settings"):
        path = os.path.join(RESULTS, "bare-%s.xml" % room)
        run(["build/bare/bin/unit_" + room, "--gtest_brief=1", "--gtest_output=xml:" + path], 300, check=False)
        count += junit(path)
    return count


def pytest(folder, name, env=None, extra=(), timeout=2400, processes=None, prefix=()):
    path = os.path.join(RESULTS, name + ".xml")
    if not glob.glob(os.path.join(ROOT, folder, "test_*.py")):
        return Count()
    many = ["-n", str(processes), "--dist", "loadfile"] if processes else []
    run([*prefix, "/usr/bin/python3", "-m", "pytest", folder, "--junitxml", path, "--timeout", "180", "-rfE",
         "--tb=short", *many, *extra], timeout, env={"PYTHONDONTWRITEBYTECODE": "1", **(env or {})}, check=False)
    return second_look(folder, path, env, extra, prefix)


def second_look(folder, path, env, extra, prefix):
    """A test with deadlines may fail on a machine that is busy with others: the few that did run once more, alone. What
    passes then counts as passed, and is named. A test that hung is never forgiven: a lost wake-up looks like that."""
    count = junit(path)
    if not 0 < count.failed <= 12:
        return count
    names = []
    for case in xml.parse(path).getroot().iter("testcase"):
        bad = case.find("failure") if case.find("failure") is not None else case.find("error")
        hung = bad is not None and any(word in (bad.get("message") or "") + (bad.text or "")
                                       for word in ("Timeout >", "TimeoutExpired"))
        if bad is not None and not hung:
            file = case.get("classname", "").split(".")[-1] + ".py"
            names.append("%s/%s::%s" % (folder, file, case.get("name", "")))
    if not names:
        return count
    again = path.replace(".xml", "-again.xml")
    run([*prefix, "/usr/bin/python3", "-m", "pytest", *names, "--junitxml", again, "--timeout", "180", "-rfE", "--tb=short",
         *extra], 1200, env={"PYTHONDONTWRITEBYTECODE": "1", **(env or {})}, check=False)
    second = junit(again)
    print("second look, alone: %d of %d passed: %s" % (second.passed, len(names), " ".join(names)))
    count.passed += second.passed
    count.failed -= second.passed
    return count


def functional(preset, options, workers=None, slow=1):
    env = {"PGWEIR_BIN": os.environ.get("PGWEIR_BIN") or os.path.join(ROOT, "build", preset, "bin", "pgweir"),
           "PGWEIR_SLOW": str(slow)}
    if workers:
        env["PGWEIR_WORKERS"] = str(workers)
    extra = ["-m", "not slow"] if options.fast or slow > 1 else []
    # Under a sanitizer the topics in which threads and memory matter most; all of them with --preset.
    if slow > 1 and not options.preset:
        extra += ["-k", " or ".join(SANITIZED)]
    return pytest("tests/functional", "functional-" + preset, env, extra, timeout=2400 * slow, processes=CORES + 1)


def differential(_):
    """The same sessions with PostgreSQL, PgBouncer and pgweir; docs/differences.md has what may differ."""
    build("debug")
    env = {"PGWEIR_BIN": os.environ.get("PGWEIR_BIN") or os.path.join(ROOT, "build/debug/bin/pgweir")}
    # Cases of one file: distributed one by one.
    return pytest("tests/differential", "differential", env, ["-n", str(CORES + 1), "--dist", "load"])


def layers(_):
    return pytest("tests/layers", "layers")


def formatting(_):
    listed = run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.cpp", "*.hpp"], 60, quiet=True)
    files = [f for f in listed.stdout.decode().split("\n") if f and os.path.exists(os.path.join(ROOT, f))]
    count = Count()
    for name in files:
        done = run(["clang-format", "--dry-run", "-Werror", name], 60, check=False, quiet=True)
        if done.returncode:
            print("FAILED clang-format", name)
            count.failed += 1
        else:
            count.passed += 1
    return count


def tidy(_):
    run(["cmake", "--preset", "debug"], 300, quiet=True)
    count = Count()
    for name, clean in clang_tidy.examine(ROOT, os.path.join(ROOT, "build", "debug"), os.path.join(RESULTS, "tidy"), CORES):
        if not clean:
            print("FAILED clang-tidy", name)
        count += Count(passed=int(clean), failed=int(not clean))
    return count


def node_modules():
    """npm packages as the lock file pins them; only when the lock has changed."""
    folder = os.path.join(ROOT, "tests", "drivers", "node")
    stamp, lock = os.path.join(folder, "node_modules", ".stamp"), os.path.join(folder, "package-lock.json")
    with open(lock) as text:
        wanted = text.read()
    if os.path.exists(stamp) and open(stamp).read() == wanted:
        return
    run(["npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"], 600, cwd=folder, quiet=True)
    with open(stamp, "w") as out:
        out.write(wanted)


def drivers(_):
    build("debug")
    if os.path.exists(os.path.join(ROOT, "tests/drivers/node/package-lock.json")):
        node_modules()
    env = {"PGWEIR_BIN": os.environ.get("PGWEIR_BIN") or os.path.join(ROOT, "build/debug/bin/pgweir")}
    return pytest("tests/drivers", "drivers", env)


def fuzz(_):
    """Every fuzzer over its seeds and then over a bounded number of inputs; a crash, hang or leak is a failure."""
    build("fuzz", "fuzzers")
    count = Count()
    for program in sorted(glob.glob(os.path.join(ROOT, "build/fuzz/bin/fuzz_*"))):
        name = os.path.basename(program)[len("fuzz_"):]
        seeds = [d for d in (os.path.join(ROOT, "tests/fuzz/seeds", name),) if os.path.isdir(d)]
        corpus, artifacts = tempfile.mkdtemp(dir=RESULTS), os.path.join(RESULTS, "fuzz-")
        done = run([program, "-runs=200000", "-max_total_time=20", "-timeout=20", "-rss_limit_mb=2048",
                    "-print_final_stats=1", "-artifact_prefix=" + artifacts, corpus, *seeds], 300, check=False,
                   quiet=True)
        text = done.stdout.decode("utf-8", "replace")
        runs = re.search(r"stat::number_of_executed_units:\s*(\d+)", text)
        print("%s: %s inputs, status %d" % (name, runs.group(1) if runs else "?", done.returncode))
        if done.returncode:
            print(text[-6000:])
            count.failed += 1
        else:
            count.passed += 1
    return count


def chaos(_):
    build("debug")
    env = {"PGWEIR_BIN": os.environ.get("PGWEIR_BIN") or os.path.join(ROOT, "build/debug/bin/pgweir")}
    seconds = int(os.environ.get("PGWEIR_CHAOS_SECONDS", "8"))  # of each case; more is the long run
    return pytest("tests/chaos", "chaos", env, ["--timeout", str(seconds * 1.2 + 300)], timeout=1200 + 12 * seconds)


def system(_):
    """The packages are built and checked, then installed in boxes with a booted systemd. That needs root's rights, and a
    machine that can boot such boxes; where it cannot, this fails: it is never skipped."""
    packages, image = os.path.join(ROOT, "build", "packages"), os.path.join(ROOT, "build", "image")
    run(["packaging/build-deb", packages], 2400, quiet=True)
    deb = glob.glob(os.path.join(packages, "pgweir_*.deb"))[0]
    count = Count(passed=1)
    for command in (["packaging/build-rpm", packages], ["packaging/build-image", image, deb]):
        try:
            run(command, 1800, quiet=True)
            count.passed += 1
        except StageFailure as failure:
            print("FAILED", failure)
            count.failed += 1
    tree = run(["tests/system/make-tree"], 1200, quiet=True).stdout.decode().strip().split("\n")[-1]
    env = {"PGWEIR_PACKAGES": packages, "PGWEIR_IMAGE": os.path.join(image, "pgweir.tar"), "PGWEIR_SYSTEM_TREE": tree,
           "PYTHONDONTWRITEBYTECODE": "1"}
    root = [] if os.geteuid() == 0 else ["sudo", "-n", "env", *("%s=%s" % item for item in env.items())]
    # One failure that says why, instead of one for every test.
    run([*root, "/usr/bin/python3", "tests/system/can_boot.py", tree], 300)
    count += pytest("tests/system", "system", env, ["-p", "no:cacheprovider"], processes=CORES, prefix=root)
    return count


def bench(_):
    """The benchmark works: its own tests, then every quick workload on every peer for a second. No figure is judged."""
    count = pytest("tests/bench", "bench")
    path = os.path.join(RESULTS, "bench.json")
    run(["tests/bench/run", "--quick", "--micro", "--json", path, "--svg", os.path.join(RESULTS, "bench.svg")], 2400,
        check=False)
    if not os.path.exists(path):
        raise StageFailure("tests/bench/run wrote no result")
    with open(path) as told:
        measured = json.load(told)["runs"]
    for one in measured:
        if "failed" in one:
            print("FAILED benchmark %s on %s: %s" % (one["workload"], one["peer"], one["failed"]))
            count.failed += 1
        else:
            count.passed += 1
    return count


def stages(options):
    table = [
        ("layers", lambda: layers(options)),
        ("format", lambda: formatting(options)),
        ("tidy", lambda: tidy(options)),
        ("unit", lambda: unit("debug")),
        ("bare", bare),
        ("functional", lambda: (build("debug"), functional("debug", options))[1]),
        ("differential", lambda: differential(options)),
        ("drivers", lambda: drivers(options)),
        ("fuzz", lambda: fuzz(options)),
        ("chaos", lambda: chaos(options)),
        ("bench", lambda: bench(options)),
        ("system", lambda: system(options)),
        ("asan-unit", lambda: unit("asan")),
        ("asan-functional", lambda: (build("asan"), functional("asan", options, workers=2, slow=3))[1]),
        ("tsan-unit", lambda: unit("tsan")),
        ("tsan-functional", lambda: (build("tsan"), functional("tsan", options, workers=4, slow=4))[1]),
    ]
    names = [name for name, _ in table]
    if options.list:
        print("\n".join(names))
        sys.exit(0)
    wanted = names
    if options.only:
        unknown = [n for n in options.only if n not in names]
        if unknown:
            sys.exit("unknown stage %s; the stages are: %s" % (unknown[0], " ".join(names)))
        wanted = options.only
    elif options.preset:
        prefix = "" if options.preset == "debug" else options.preset + "-"
        wanted = [prefix + "unit", prefix + "functional"]
    elif options.ci:
        wanted = [n for n in names if n != "tidy" and not n.startswith(("asan", "tsan"))]
    elif options.fast:
        wanted = ["layers", "format", "unit", "functional"]
    return [(name, work) for name, work in table if name in wanted]


def main():
    parser = argparse.ArgumentParser(prog="run-tests")
    parser.add_argument("--fast", action="store_true", help="only the quick stages, without slow tests")
    parser.add_argument("--only", action="append", metavar="KIND", help="only this stage (may be repeated)")
    parser.add_argument("--preset", choices=["debug", "asan", "tsan"], help="unit and functional of this preset")
    parser.add_argument("--ci", action="store_true", help="what CI runs, within an hour on two cores: all but tidy and the sanitizers")
    parser.add_argument("--list", action="store_true", help="name the stages")
    options = parser.parse_args()
    total, lines = Count(), []
    for name, work in stages(options):
        print("\n==== %s" % name, flush=True)
        begun = time.monotonic()
        try:
            count = work()
        except StageFailure as failure:
            print("FAILED stage %s: %s" % (name, failure))
            count = Count(failed=1)
        total += count
        lines.append("%-18s %s in %d s" % (name + ":", count, time.monotonic() - begun))
        print(lines[-1], flush=True)
    print("\n==== summary")
    print("\n".join(lines))
    if total.passed + total.failed == 0:
        print("no test was run")
        total.failed = 1
    print(total)
    if total.failed == 0:
        shutil.rmtree(RESULTS, ignore_errors=True)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    sys.exit(main())
