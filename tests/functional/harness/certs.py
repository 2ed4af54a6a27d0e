"""Certificates for the TLS tests, made once a session with the openssl command line."""

import os
import subprocess

from . import system


class Certs:
    """ca, other_ca; server (localhost, 127.0.0.1), wrong_host, client certificates by common name; all PEM paths."""

    def __init__(self, directory):
        self.directory = directory
        self.ca = self._authority("ca")
        self.other_ca = self._authority("other_ca")
        self.server, self.server_key = self.issue("server", "localhost", "DNS:localhost,IP:127.0.0.1,IP:::1")
        self.server2, self.server2_key = self.issue("server2", "localhost", "DNS:localhost,IP:127.0.0.1")
        self.wrong, self.wrong_key = self.issue("wrong", "elsewhere.example", "DNS:elsewhere.example")

    def path(self, name):
        return os.path.join(self.directory, name)

    def _run(self, *args):
        subprocess.run(["openssl", *args], check=True, capture_output=True, stdin=subprocess.DEVNULL)

    def _key(self, name):
        key = self.path(name + ".key")
        self._run("ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", key)
        os.chmod(key, 0o600)
        system.give(key)
        return key

    def _authority(self, name):
        key, cert = self._key(name), self.path(name + ".pem")
        self._run("req", "-x509", "-new", "-key", key, "-days", "30", "-subj", "/CN=pgweir test " + name, "-out", cert)
        system.give(cert)
        return cert

    def issue(self, name, common_name, san=None, authority="ca"):
        """A certificate signed by `authority`; returns (certificate, key)."""
        key, request, cert = self._key(name), self.path(name + ".csr"), self.path(name + ".pem")
        self._run("req", "-new", "-key", key, "-subj", "/CN=" + common_name, "-out", request)
        extra = []
        if san:
            system.write_file(self.path(name + ".ext"), "subjectAltName=%s\n" % san)
            extra = ["-extfile", self.path(name + ".ext")]
        self._run("x509", "-req", "-in", request, "-CA", self.path(authority + ".pem"), "-CAkey",
                  self.path(authority + ".key"), "-CAcreateserial", "-days", "30", "-out", cert, *extra)
        system.give(cert)
        return cert, key

    def client(self, common_name, authority="ca", san=None):
        name = "client_%s_%s" % (common_name, authority)
        if os.path.exists(self.path(name + ".pem")):
            return self.path(name + ".pem"), self.path(name + ".key")
        return self.issue(name, common_name, san, authority)
