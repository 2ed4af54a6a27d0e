"""A box with PostgreSQL and pgweir as an administrator would set them up: package, configuration, queries."""

import textwrap

from harness.box import BoxError

PASSWORD = "it's \"secret\" #1;"

# What the later version of the package has at the end of its configuration files, see conftest.repack.
LATER = "# the later version's\n"
# Without a terminal dpkg cannot ask about a file that both sides have changed: as unattended upgrades do.
UPGRADE = ["apt-get", "upgrade", "-y", "-q", "-o", "Dpkg::Options::=--force-confold"]

INI = """\
[databases]
app = host=127.0.0.1 port=5432

[pgweir]
listen_addr = 127.0.0.1
unix_socket_dir = /run/pgweir
auth_type = scram-sha-256
auth_file = /etc/pgweir/userlist.txt
admin_users = admin
stats_users = stats
pool_mode = transaction
"""


def quoted(text):
    return '"%s"' % text.replace('"', '""')


class Machine:
    def __init__(self, box):
        self.box = box

    def set_up_postgres(self):
        box = self.box
        box.until("PostgreSQL is up", lambda: self.sql("SELECT 1", check=False).returncode == 0, 60)
        literal = "'%s'" % PASSWORD.replace("'", "''")
        for role in ("app", "admin", "stats"):
            self.sql("CREATE ROLE %s LOGIN PASSWORD %s" % (role, literal))
        self.sql("CREATE DATABASE app OWNER app")

    def sql(self, text, check=True, database="postgres"):
        """As the superuser, directly."""
        return self.box.run("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", text, user="postgres", check=check)

    def add_repository(self, name="repo"):
        self.box.sh("rm -rf /etc/apt/sources.list /etc/apt/sources.list.d/*; cp /mnt/%s/pgweir.sources "
                    "/etc/apt/sources.list.d/; apt-get update -q" % name)

    def install(self):
        self.add_repository()
        self.box.run("apt-get", "install", "-y", "-q", "pgweir")

    def userlist(self):
        return "".join("%s %s\n" % (quoted(name), quoted(PASSWORD)) for name in ("app", "admin", "stats"))

    def configure(self, ini=INI, more=""):
        """Replaces the configuration; `more` is appended to [pgweir]."""
        self.box.write("/etc/pgweir/userlist.txt", self.userlist())
        self.write_config("pgweir", ini + textwrap.dedent(more))

    def write_config(self, name, text):
        """/etc/pgweir/NAME.ini, with owner and mode as the package gives them."""
        self.box.write("/etc/pgweir/%s.ini" % name, text)
        self.box.sh("chown root:pgweir /etc/pgweir/*; chmod 640 /etc/pgweir/*")

    def drop_in(self, text, unit="pgweir.service", name="test"):
        """What `systemctl edit` would leave; reset() takes it away."""
        self.box.sh("mkdir -p /etc/systemd/system/%s.d" % unit)
        self.box.write("/etc/systemd/system/%s.d/%s.conf" % (unit, name), textwrap.dedent(text))
        self.box.run("systemctl", "daemon-reload")

    def reset(self):
        """Package, configuration and units as after an installation and a first configuration, everything running."""
        box = self.box
        box.sh("rm -rf /etc/systemd/system/pgweir*.d /etc/systemd/system/pgweir.*; systemctl daemon-reload; "
               "systemctl unmask -q pgweir.socket pgweir.service; systemctl stop 'pgweir@*' pgweir.service pgweir.socket; "
               "systemctl reset-failed; systemctl start postgresql@15-main; "
               "find /run/pgweir -mindepth 1 -delete 2>/dev/null; true")
        self.configure()
        box.sh("systemctl enable -q pgweir.socket pgweir.service; systemctl start pgweir.socket pgweir.service")

    def psql(self, text, user="app", database="app", host="127.0.0.1", port=6432, check=True, timeout=30, shape="-XAtq"):
        """One query through pgweir. `shape` are psql's options about its output."""
        done = self.box.run("env", "PGPASSWORD=" + PASSWORD, "PGCONNECT_TIMEOUT=15", "psql", shape, "-v",
                            "ON_ERROR_STOP=1", "-h", host, "-p", str(port), "-U", user, "-d", database, "-c", text,
                            check=False, timeout=timeout)
        if check and done.returncode:
            raise BoxError("%s: %s%s\n%s" % (text, done.stdout, done.stderr,
                                             self.box.journal("-u", "pgweir.service", "-n", "40")))
        return done

    def query(self, text, **options):
        return self.psql(text, **options).stdout.strip()

    def console(self, text, user="admin", **options):
        return self.query(text, user=user, database="pgweir", **options)

    def version(self):
        return self.box.run("dpkg-query", "-W", "-f", "${Version}", "pgweir").stdout

    def main_pid(self, unit="pgweir.service"):
        return int(self.box.show(unit, "MainPID"))
