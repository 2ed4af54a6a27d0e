"""A booted Debian with a real systemd, in a container of systemd-nspawn. Writes go to memory and end with the box.

It promises: Box(...) returns when systemd says that it has started everything; close() leaves no process, mount or
cgroup behind. It has no network but its own loopback, so boxes run beside each other. It needs root.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))


class BoxError(Exception):
    pass


def poll(probe, seconds):
    """What probe() says as soon as it says something, None when it has not within that time."""
    end = time.monotonic() + seconds
    while True:
        told = probe()
        if told or time.monotonic() > end:
            return told or None
        time.sleep(0.05)


class Box:
    def __init__(self, tree, share):
        self.share = share
        self.name = "pgweir-%d-%d" % (os.getpid(), time.monotonic_ns() % 10**9)
        self.log_path = os.path.join(tempfile.mkdtemp(prefix="pgweir-box-"), "console.log")
        self.init = None
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                # Whoever kills the tests ends the box, too.
                ["setpriv", "--pdeathsig", "TERM", "unshare", "--mount", "--cgroup", "bash",
                 os.path.join(HERE, "boot.sh"), self.name, tree, share],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            self._wait_for_boot(90)
        except BaseException:
            self.close()
            raise

    def _wait_for_boot(self, seconds):
        if not poll(self._booted, seconds):
            raise BoxError("the box has not booted within %d s:\n%s" % (seconds, self.console()))

    def _booted(self):
        if self.process.poll() is not None:
            raise BoxError("systemd-nspawn ended with status %d: this machine cannot boot a box (it needs root, cgroup v2 "
                           "and name spaces):\n%s" % (self.process.returncode, self.console()))
        # Only once PID 1 is systemd itself; --wait blocks until the boot is over.
        self.init = self.init or self._find_init()
        return self.init and self.run("systemctl", "is-system-running", "--wait", check=False,
                                      timeout=60).stdout.strip() in ("running", "degraded")

    def _find_init(self):
        pid = self.process.pid
        try:
            with open("/proc/%d/task/%d/children" % (pid, pid)) as told:
                children = told.read().split()
            with open("/proc/%s/comm" % children[0]) as told:
                return children[0] if told.read().strip() == "systemd" else None
        except (OSError, IndexError):
            return None

    def console(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()[-4000:]

    def argv(self, *command):
        """The command as it is run inside, from the host."""
        return ["nsenter", "-t", self.init, "-a", "env", "-C", "/", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "SYSTEMD_COLORS=0", "SYSTEMD_PAGER=cat", *command]

    def run(self, *command, check=True, timeout=120, input=None, user=None):
        """Runs a command inside; a status other than 0 is an error unless `check` is False. Output is text."""
        if user:
            command = ("setpriv", "--reuid", user, "--regid", user, "--init-groups", *command)
        done = subprocess.run(self.argv(*command), text=True, capture_output=True, timeout=timeout,
                              **({"input": input} if input is not None else {"stdin": subprocess.DEVNULL}))
        if check and done.returncode:
            raise BoxError("%s: status %d\n%s%s" % (" ".join(command), done.returncode, done.stdout, done.stderr))
        return done

    def sh(self, script, **options):
        return self.run("bash", "-c", script, **options)

    def start(self, *command, **options):
        """A command inside that runs beside the test."""
        return subprocess.Popen(self.argv(*command), **options)

    def path(self, inside):
        """A file of the box, seen from the host."""
        return "/proc/%s/root%s" % (self.init, inside)

    def read(self, inside):
        with open(self.path(inside)) as file:
            return file.read()

    def write(self, inside, text, mode=None):
        with open(self.path(inside), "w") as file:
            file.write(text)
        if mode is not None:
            os.chmod(self.path(inside), mode)

    def exists(self, inside):
        return self.run("test", "-e", inside, check=False).returncode == 0

    def host_argv(self, *command):
        """A program of the host in the network of the box: its loopback is the box's."""
        return ["nsenter", "-t", self.init, "-n", *command]

    # --- systemd ---

    def active(self, unit):
        return self.run("systemctl", "is-active", unit, check=False).stdout.strip()

    def show(self, unit, name):
        return self.run("systemctl", "show", unit, "-P", name).stdout.strip()

    def journal(self, *arguments):
        """What the journal holds, all that was sent so far included."""
        self.run("journalctl", "--sync")
        return self.run("journalctl", "--no-pager", "-q", *arguments).stdout

    def until(self, what, probe, seconds=20):
        """Waits for something that nothing announces. Returns what probe() said."""
        told = poll(probe, seconds)
        if told is None:
            raise BoxError("not within %d s: %s\n%s" % (seconds, what, self.journal("-n", "60")))
        return told

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                if self.init:
                    os.kill(int(self.init), signal.SIGKILL)
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(10)
        self._remove_cgroups()
        shutil.rmtree(os.path.dirname(self.log_path), ignore_errors=True)

    def _remove_cgroups(self):
        for top in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup"):
            for folder, _, _ in os.walk(os.path.join(top, self.name), topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
