"""A PostgreSQL of the tests' own: made once, started on free ports, stopped at the end.

Roles and how the server wants them proven over TCP (the unix socket trusts everyone):
    postgres    trust (superuser)       app         trust
    md5user     md5                     scramuser   scram-sha-256
    plainuser   password (cleartext)    rejected    reject
    ssluser     trust, only with TLS    certuser    client certificate
Every role's password is PASSWORDS[role].
"""

import glob
import os
import shutil
import signal
import subprocess
import threading
import time

from . import system, wire

PASSWORDS = {
    "app": "app-secret",
    "app2": "app2-secret",
    "md5user": "md5-secret",
    "scramuser": "scram-secret",
    "plainuser": "plain-secret",
    "rejected": "rejected-secret",
    "ssluser": "ssl-secret",
    "certuser": "cert-secret",
    "limited": "limited-secret",
}

HBA = """
local all all trust
host all md5user all md5
host all scramuser all scram-sha-256
host all plainuser all password
host all rejected all reject
hostssl all ssluser all trust
hostnossl all ssluser all reject
hostssl all certuser all cert
host all all all trust
"""

CONF = """
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = logical
max_wal_senders = 4
max_replication_slots = 4
shared_buffers = 64MB
max_connections = 250
superuser_reserved_connections = 5
autovacuum = off
log_min_messages = warning
logging_collector = off
password_encryption = 'scram-sha-256'
max_prepared_transactions = 10
"""


def binary_directory():
    """Where initdb and postgres live; Debian keeps them out of PATH."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda p: int(p.split("/")[4]))
    if found:
        return os.path.dirname(found[-1])
    return os.path.dirname(shutil.which("initdb") or "/usr/bin/initdb")


def _run(*args, **kwargs):
    """Runs a command as the unprivileged account; its output becomes the error's text."""
    feed = {"input": kwargs.pop("input")} if "input" in kwargs else {"stdin": subprocess.DEVNULL}
    done = subprocess.run(args, **feed, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env=system.clean_environment(), cwd="/", **system.popen_identity())
    if done.returncode:
        raise RuntimeError("%s failed:\n%s" % (args[0], done.stdout.decode("utf-8", "replace")))


def make_template(directory):
    """initdb with the roles and settings above; copied for every server of the session."""
    data = os.path.join(directory, "template")
    _run(os.path.join(binary_directory(), "initdb"), "--no-sync", "-A", "trust", "-U", "postgres", "-E", "UTF8",
         "--no-locale", "-D", data)
    with open(os.path.join(data, "postgresql.conf"), "a") as conf:
        conf.write(CONF)
    system.write_file(os.path.join(data, "pg_hba.conf"), HBA)
    roles = ["CREATE ROLE %s LOGIN PASSWORD '%s'" % item for item in PASSWORDS.items() if item[0] != "md5user"]
    roles.append("CREATE ROLE md5user LOGIN PASSWORD '%s'" % wire.md5_secret("md5user", PASSWORDS["md5user"]))
    roles += ["GRANT pg_monitor TO app", "ALTER ROLE limited CONNECTION LIMIT 2"]
    public = "GRANT CREATE ON SCHEMA public TO PUBLIC"
    for database, statements in (("postgres", [*roles, public]), ("template1", [public])):
        _run(os.path.join(binary_directory(), "postgres"), "--single", "-j", "-D", data, database,
             input=";\n\n".join(statements).encode() + b";\n\n")
    return data


class Postgres:
    """One running server. `host`/`port` for TCP, `socket_directory` for the unix socket."""

    def __init__(self, template, certs=None, settings=None, hba=None, name="pg"):
        self.directory = system.make_directory(name)
        self.data = os.path.join(self.directory, "data")
        self.host = "127.0.0.1"
        self.port = system.free_port()
        self.socket_directory = self.directory
        self.log_path = os.path.join(self.directory, "log")
        self.process = None
        self._admin = None
        self._databases = 0
        self._lock = threading.Lock()
        _run("cp", "-a", template, self.data)
        options = {"port": self.port, "listen_addresses": "'127.0.0.1,::1'",
                   "unix_socket_directories": "'%s'" % self.directory}
        if certs:
            options.update(ssl="on", ssl_cert_file="'%s'" % certs.server, ssl_key_file="'%s'" % certs.server_key,
                           ssl_ca_file="'%s'" % certs.ca)
        options.update(settings or {})
        with open(os.path.join(self.data, "postgresql.conf"), "a") as conf:
            conf.writelines("%s = %s\n" % item for item in options.items())
        if hba is not None:
            system.write_file(os.path.join(self.data, "pg_hba.conf"), hba)
        self.start()

    def start(self):
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen([os.path.join(binary_directory(), "postgres"), "-D", self.data],
                                        stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                                        env=system.clean_environment(), **system.popen_identity())
        log.close()
        system.wait_for(self._ready, 60, "PostgreSQL to accept connections")

    def _ready(self):
        if self.process.poll() is not None:
            with open(self.log_path, errors="replace") as log:
                raise RuntimeError("PostgreSQL ended: " + log.read()[-2000:])
        try:
            wire.Conn(self.socket_directory, self.port).login("postgres", "postgres").terminate()
            return True
        except (OSError, wire.ServerError, wire.ConnectionClosed):
            return False

    def _drop_admin(self):
        if self._admin:
            self._admin.close()
        self._admin = None

    def stop(self, how=signal.SIGINT):
        """SIGINT is PostgreSQL's fast shutdown, SIGQUIT the immediate one."""
        self._drop_admin()
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait(60)

    def restart(self, how=signal.SIGINT):
        self.stop(how)
        self.start()

    def connect(self, user="postgres", database="postgres", password="", tcp=False, **params):
        """A direct login, past the pooler."""
        host = self.host if tcp else self.socket_directory
        return wire.Conn(host, self.port).login(user, database, password or PASSWORDS.get(user, ""), **params)

    def query(self, sql, **kwargs):
        """As superuser over one kept connection. Not for statements that must run alone in a transaction block."""
        with self._lock:
            if self._admin is None:
                self._admin = self.connect(application_name="harness")
            return self._admin.query(sql, **kwargs)

    def scalar(self, sql):
        return self.query(sql).scalar()

    def new_database(self):
        """A fresh database, so that pg_stat_activity of it shows one test's servers only."""
        self._databases += 1
        name = "t%d" % self._databases
        self.query("CREATE DATABASE %s STRATEGY file_copy" % name)
        return name

    def drop_database(self, name):
        self.query("DROP DATABASE IF EXISTS %s WITH (FORCE)" % name, check=False)

    def backends(self, database, columns="pid, usename, state, query, application_name"):
        return self.query("SELECT %s FROM pg_stat_activity WHERE datname = '%s' AND backend_type = 'client backend' "
                          "ORDER BY backend_start, pid" % (columns, database)).dicts()

    def backend_pids(self, database):
        return [int(row["pid"]) for row in self.backends(database)]

    def kill_backends(self, database):
        """pg_terminate_backend for all of them; returns how many there were."""
        return int(self.scalar("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '%s' "
                               "AND backend_type = 'client backend'" % database))

    def wait_backends(self, database, count, timeout=20.0):
        system.wait_for(lambda: len(self.backends(database)) == count, timeout,
                        "%d backends of %s" % (count, database))


class Sampler:
    """Samples the number of backends of a database all the time on a connection of its own; `highest` tells the most
    that were ever seen, `samples` how often it looked."""

    def __init__(self, postgres, database, user=None):
        self.highest = 0
        self.samples = 0
        self.history = []
        self._stop = threading.Event()
        self._conn = postgres.connect(application_name="sampler")
        self._sql = ("SELECT count(*) FROM pg_stat_activity WHERE datname = '%s' AND backend_type = 'client backend'"
                     % database) + (" AND usename = '%s'" % user if user else "")
        self._thread = threading.Thread(target=self._work, daemon=True)

    def _work(self):
        while not self._stop.is_set():
            count = int(self._conn.scalar(self._sql))
            self.history.append((time.monotonic(), count))
            self.highest = max(self.highest, count)
            self.samples += 1
            self._stop.wait(0.001)

    def longest_over(self, limit):
        """For how many seconds at a stretch the number was above `limit`."""
        longest, since = 0.0, None
        for when, count in self.history:
            if count <= limit:
                since = None
            else:
                since = when if since is None else since
                longest = max(longest, when - since)
        return longest

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(30)
        self._conn.terminate()
