"""What is measured: pgweir (one process a variant), PgBouncer, HAProxy as the bare forwarder, PostgreSQL itself.

Every pooler gets the same ini file but for pgweir's own settings: one pool of 20 for each (database, user), the same
limits, the same HBA file, the same certificate, no log line for a connection. Its databases:
    bench      over TCP, transaction pooling        unix       the same through PostgreSQL's unix socket
    session    session pooling, for prepared statements of a PgBouncer before 1.21; its pool holds every client
"""

import base64
import csv
import hashlib
import hmac
import os
import re
import shutil
import signal
import socket
import subprocess
import time

from harness import postgres, system

POOL = 20
MOST_CLIENTS = 12000
SCRAM_PASSWORD = "bench-secret"

INI = """[databases]
bench = host=127.0.0.1 port={pgport} dbname=bench
unix = host={pgsocket} port={pgport} dbname=bench
session = host=127.0.0.1 port={pgport} dbname=bench pool_mode=session pool_size=64
unix_session = host={pgsocket} port={pgport} dbname=bench pool_mode=session pool_size=64
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
listen_backlog = 4096
unix_socket_dir =
auth_type = hba
auth_hba_file = {directory}/hba.conf
auth_file = {directory}/users
pool_mode = transaction
default_pool_size = {pool}
max_client_conn = {most}
client_tls_sslmode = allow
client_tls_cert_file = {certificate}
client_tls_key_file = {key}
server_tls_sslmode = disable
log_connections = 0
log_disconnections = 0
log_stats = 0
stats_users = bench
{more}
"""

# PgBouncer 1.18 knows no `all` for an address.
HBA = "host all bench 127.0.0.1/32 trust\nhost all scram 127.0.0.1/32 scram-sha-256\n"

HAPROXY = """global
    maxconn 2000
    nbthread 1
defaults
    mode tcp
    timeout connect 10s
    timeout client 1h
    timeout server 1h
listen tcp
    bind 127.0.0.1:{port}
    server pg 127.0.0.1:{pgport}
listen unix
    bind 127.0.0.1:{unix_port}
    server pg unix@{pgsocket}/.s.PGSQL.{pgport}
"""


def scram_secret(password, salt=b"pgweir benchmark", iterations=4096):
    """The verifier that PostgreSQL would store, so that no pooler has to derive it from the password at each login."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    text = lambda raw: base64.b64encode(raw).decode()
    return "SCRAM-SHA-256$%d:%s$%s:%s" % (iterations, text(salt), text(stored), text(server))


class Peer:
    """One thing to connect to. `kind`: pgweir, pgbouncer, haproxy, direct; `column`: see workloads.Variant."""

    kind = "direct"
    column = ""
    pid = None  # of the process whose CPU time counts; PostgreSQL's own does not

    def __init__(self, name, postgres):
        self.name = name
        self.postgres = postgres
        self.version = ""

    def address(self, workload):
        """(host, port, database) for a client of that workload."""
        if workload.database == "unix":
            return self.postgres.socket_directory, self.postgres.port, "bench"
        return self.postgres.host, self.postgres.port, "bench"

    def note(self, _workload):
        """What is unlike the others, in a few words."""
        return ""

    def start(self):
        pass

    def stop(self):
        pass

    def alive(self):
        return True


class Program(Peer):
    """A peer with a process of its own, run as the unprivileged account."""

    patience = 20  # seconds for its start

    def __init__(self, name, postgres, program):
        super().__init__(name, postgres)
        self.directory = system.make_directory("bench")
        self.port = system.free_port()
        self.program = self._reachable(program)
        self.process = None

    def _reachable(self, program):
        """A copy that the unprivileged account can execute, wherever the original lies."""
        if program.startswith("/usr/"):
            return program
        copy = os.path.join(self.directory, os.path.basename(program))
        shutil.copy(program, copy)
        os.chmod(copy, 0o755)
        return copy

    def command(self):
        raise NotImplementedError

    def start(self):
        command = self.command()
        self.begun = time.monotonic()
        with open(os.path.join(self.directory, "output"), "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                                            env=system.clean_environment(), **system.popen_identity())
        self.pid = self.process.pid
        try:
            system.wait_for(self._listens, self.patience, "%s to listen" % self.name)
        except AssertionError:
            self.stop()
            raise RuntimeError("%s did not start:\n%s" % (self.name, self.output()))

    def _listens(self):
        if not self.alive():
            raise AssertionError("it ended")
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
            return True
        except OSError:
            return False

    def output(self):
        with open(os.path.join(self.directory, "output"), errors="replace") as log:
            return log.read()[-3000:]

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        if self.alive():
            # The immediate end: pgweir and PgBouncer since 1.23 wait for their clients at SIGTERM.
            self.process.send_signal(signal.SIGQUIT if self.kind == "pgweir" else signal.SIGTERM)
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)

    def address(self, _workload):
        return "127.0.0.1", self.port, "bench"


class Pooler(Program):
    """pgweir or PgBouncer: the same ini file for both."""

    def __init__(self, kind, name, postgres, program, certificate, settings=None, column=""):
        super().__init__(name, postgres, program)
        self.kind, self.column = kind, column
        self.certificate = certificate
        self.settings = dict(settings or {})
        self.entries = 0  # so many more databases and users in the files
        told = subprocess.run([self.program, "--version"], capture_output=True, text=True, env=system.clean_environment())
        found = re.search(r"(\d+)\.(\d+)[.\w]*", told.stdout)
        own = re.search(r"pgweir ([\d.]+\w*)", told.stdout)  # behind the PgBouncer that it stands for
        self.version = own.group(1) if own else found.group(0) if found else ""
        self.maps_statements = kind == "pgweir" or (found and (int(found.group(1)), int(found.group(2))) >= (1, 21))
        if kind == "pgbouncer" and self.maps_statements:
            self.settings.setdefault("max_prepared_statements", 200)

    def command(self):
        ini = os.path.join(self.directory, "%s.ini" % self.kind)
        self.write_files(ini)
        return [self.program, ini]

    def write_files(self, ini, options=""):
        """`options`: of each of the `entries` databases."""
        secret = scram_secret(SCRAM_PASSWORD)
        system.write_file(os.path.join(self.directory, "hba.conf"), HBA)
        system.write_file(os.path.join(self.directory, "users"), '"bench" ""\n"scram" "%s"\n' % secret
                          + "".join('"user%d" "%s"\n' % (number, secret) for number in range(self.entries)))
        more = "\n".join("%s = %s" % item for item in self.settings.items())
        many = "".join("db%d = host=127.0.0.1 port=%d dbname=bench%s\n" % (number, self.postgres.port, options)
                       for number in range(self.entries))
        system.write_file(ini, INI.replace("[databases]\n", "[databases]\n" + many).format(
            pgport=self.postgres.port, pgsocket=self.postgres.socket_directory, port=self.port, pool=POOL,
            most=MOST_CLIENTS, directory=self.directory, certificate=self.certificate[0], key=self.certificate[1],
            more=more))

    def _session(self, workload):
        return workload.protocol == "prepared" and not self.maps_statements

    def address(self, workload):
        database = workload.database
        if self._session(workload):
            database = "unix_session" if database == "unix" else "session"
        return "127.0.0.1", self.port, database

    def note(self, workload):
        return "session pooling, a server for each client" if self._session(workload) else ""

    def workers(self):
        """pgweir's own counts, summed over its workers: transactions that a server of another worker was handed over for,
        locks that were taken, and those of them that had to wait. Nothing of PgBouncer."""
        if self.kind != "pgweir":
            return {}
        told = subprocess.run(
            [os.path.join(postgres.binary_directory(), "psql"), "-X", "-A", "-F", ",", "-h", "127.0.0.1", "-p",
             str(self.port), "-U", "bench", "-d", "pgweir", "-P", "footer=off", "-c", "SHOW WORKERS"],
            capture_output=True, text=True, env=system.clean_environment(), timeout=20)
        rows = list(csv.DictReader(told.stdout.splitlines()))
        return {name: sum(int(row[column]) for row in rows)
                for name, column in (("handed", "sent_servers"), ("locks", "locks"), ("lock_waits", "lock_waits"))
                if rows and column in rows[0]}

    def another(self):
        """A second process with the same settings, for a workload that needs a fresh one."""
        return Pooler(self.kind, self.name, self.postgres, self.program, self.certificate, self.settings, self.column)

    def reload(self, options):
        """Begins to read its files anew."""
        self.write_files(os.path.join(self.directory, "%s.ini" % self.kind), options)
        self.process.send_signal(signal.SIGHUP)


class Forwarder(Program):
    """HAProxy in TCP mode: what it costs only to carry the bytes. One server connection for each client."""

    kind = "haproxy"

    def __init__(self, postgres, program):
        super().__init__("haproxy", postgres, program)
        self.unix_port = system.free_port()
        told = subprocess.run([program, "-v"], capture_output=True, text=True)
        found = re.search(r"\d+\.\d+\.\d+", told.stdout)
        self.version = found.group(0) if found else ""

    def command(self):
        path = os.path.join(self.directory, "haproxy.cfg")
        system.write_file(path, HAPROXY.format(port=self.port, unix_port=self.unix_port,
                                               pgport=self.postgres.port, pgsocket=self.postgres.socket_directory))
        return [self.program, "-db", "-f", path]

    def address(self, workload):
        return "127.0.0.1", self.unix_port if workload.database == "unix" else self.port, "bench"
