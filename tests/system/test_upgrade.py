"""A new version, and back to the old one, while clients come and go: nobody who connects is turned away."""

import json
import os
import subprocess

from harness.machine import PASSWORD, UPGRADE

LOAD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "load.py")


GOODBYE = "57P01"  # terminating connection due to administrator command


class Load:
    def __init__(self, box):
        self.process = subprocess.Popen(box.host_argv("/usr/bin/python3", LOAD, "6432", PASSWORD), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def until_more_are_served(self, count):
        self.process.stdin.write("%d\n" % count)
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "ok\n", "no more clients are served"

    def end(self):
        out, _ = self.process.communicate(timeout=120)
        told = json.loads(out)
        print(told)
        return told


def judge(told):
    refused = {kind: count for kind, count in told["failures"].items() if kind.startswith("connect: ")}
    assert refused == {}
    # In the middle of its session a client may be told that the daemon goes down; never is it just cut.
    assert set(told["failures"]) <= {"query: " + GOODBYE}, told
    assert told["served"] > 50


def test_upgrade_and_downgrade_under_load_refuse_nobody(fresh_machine):
    machine, box = fresh_machine, fresh_machine.box
    first = machine.version()
    machine.add_repository("newer")
    socket_since = box.show("pgweir.socket", "ActiveEnterTimestampMonotonic")
    for step, version in (("upgrade", first + "+later"), ("downgrade", first)):
        pid, load = machine.main_pid(), Load(box)
        load.until_more_are_served(100)
        if step == "upgrade":
            box.run(*UPGRADE)
        else:
            box.run("apt-get", "install", *UPGRADE[2:], "--allow-downgrades", "pgweir=" + version)
        load.until_more_are_served(100)
        told = load.end()
        assert machine.version() == version
        assert machine.main_pid() not in (0, pid), "the service was not restarted by the " + step
        judge(told)
        assert box.show("pgweir.socket", "ActiveEnterTimestampMonotonic") == socket_since, "the socket was restarted"
        starts = box.journal("-u", "pgweir.service", "-o", "cat", "--grep", "Started pgweir").splitlines()
    assert len(starts) <= 5, starts  # install, configuration, and one for each step
    assert box.run("systemctl", "--failed", "--no-legend").stdout == ""


def test_restarts_under_load_refuse_nobody_and_say_goodbye(machine):
    box = machine.box
    load = Load(box)
    for _ in range(3):
        load.until_more_are_served(100)
        box.run("systemctl", "restart", "pgweir.service")
    load.until_more_are_served(100)
    told = load.end()
    judge(told)
    # The sessions that were held idle got a clean FATAL, not a bare end of stream.
    assert set(told["held"]) == {GOODBYE}, told["held"]


def test_a_crash_under_load_refuses_nobody(machine):
    box = machine.box
    load = Load(box)
    load.until_more_are_served(100)
    box.run("systemctl", "kill", "--kill-whom=main", "--signal=KILL", "pgweir.service")
    load.until_more_are_served(100)
    told = load.end()
    connects = [kind for kind in told["failures"] if "refused" in kind]
    assert connects == [], told
    assert box.show("pgweir.service", "NRestarts") == "1"
