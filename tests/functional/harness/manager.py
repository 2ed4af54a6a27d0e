"""The service manager as pgweir sees it, without one: the socket of sd_notify."""

import os
import re
import socket
import time

from . import system
from .pgweir import SLOW


class Manager:
    """The service manager's end of sd_notify."""

    def __init__(self):
        self.path = system.make_directory("notify") + "/socket"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o777)

    def expect(self, pattern, timeout=20):
        """The next notice that matches; skips others."""
        deadline, seen = time.monotonic() + timeout * SLOW, []
        while time.monotonic() < deadline:
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                seen.append(self.socket.recv(4096).decode())
            except socket.timeout:
                break
            if re.fullmatch(pattern, seen[-1]):
                return seen[-1]
        raise AssertionError("no notice matches %r: %r" % (pattern, seen))

    def silent(self, seconds):
        self.socket.settimeout(seconds)
        try:
            return not self.socket.recv(4096)
        except socket.timeout:
            return True
