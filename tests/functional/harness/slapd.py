"""A real directory (slapd) of a test's own on a loopback port: users below ou=people,dc=example,dc=net with the
passwords of the roles in postgres.PASSWORDS, others NAME-secret. TLS with the test's certificates, on a port of its own (ldaps) and by STARTTLS."""

import os
import shutil
import signal
import socket
import subprocess

from . import postgres, system

BASE = "dc=example,dc=net"
PEOPLE = "ou=people," + BASE
ADMIN = "cn=admin," + BASE
ADMIN_PASSWORD = "directory, \"secret\" #1"
READER = "cn=reader," + BASE

CONFIG = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile {dir}/slapd.pid
argsfile {dir}/slapd.args
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile {cert}
TLSCertificateKeyFile {key}
TLSCACertificateFile {ca}
TLSVerifyClient never
database mdb
suffix "{base}"
rootdn "{admin}"
rootpw "{password}"
directory {dir}/db
access to attrs=userPassword by anonymous auth by * none
access to dn.subtree="ou=hidden,{base}" by dn="{reader}" read by anonymous auth by * none
access to * by * read
"""

PERSON = """
dn: uid={name},{where}
objectClass: inetOrgPerson
uid: {name}
cn: {name} of the test
sn: {name}
mail: {name}@example.net
userPassword: {password}
"""


def ldif(users):
    text = """dn: {base}
objectClass: dcObject
objectClass: organization
dc: example
o: example

dn: {people}
objectClass: organizationalUnit
ou: people

dn: ou=hidden,{base}
objectClass: organizationalUnit
ou: hidden

dn: {reader}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword: reader-secret
""".format(base=BASE, people=PEOPLE, reader=READER)
    for name, where in users:
        text += PERSON.format(name=name, where=where, password=postgres.PASSWORDS.get(name, name + "-secret"))
    return text


class Slapd:
    def __init__(self, certs):
        self.directory = system.make_directory("ldap")
        self.port, self.tls_port = system.free_port(), system.free_port()
        os.mkdir(os.path.join(self.directory, "db"))
        # The certificates' directory may be nobody else's to read.
        files = {}
        for key, path in (("cert", certs.server), ("key", certs.server_key), ("ca", certs.ca)):
            files[key] = shutil.copy(path, os.path.join(self.directory, key + ".pem"))
            os.chmod(files[key], 0o600 if key == "key" else 0o644)
        self.ca = files["ca"]
        config = os.path.join(self.directory, "slapd.conf")
        system.write_file(config, CONFIG.format(dir=self.directory, base=BASE, admin=ADMIN, reader=READER,
                                                password=ADMIN_PASSWORD.replace('"', '\\"'), **files))
        entries = os.path.join(self.directory, "entries.ldif")
        users = [("app", PEOPLE), ("app2", PEOPLE), ("scramuser", PEOPLE), ("plainuser", PEOPLE), ("admin", PEOPLE), ("zoë", PEOPLE), ("twin", PEOPLE),
                 ("twin", "ou=hidden," + BASE), ("secretive", "ou=hidden," + BASE)]
        system.write_file(entries, ldif(users))
        subprocess.run(["slapadd", "-q", "-f", config, "-l", entries], check=True, capture_output=True)
        urls = "ldap://127.0.0.1:%d ldaps://127.0.0.1:%d" % (self.port, self.tls_port)
        self.process = subprocess.Popen(["slapd", "-d", "none", "-f", config, "-h", urls],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        system.wait_for(lambda: self.process.poll() is not None or listens(self.tls_port), 30, "slapd listens")
        if self.process.poll() is not None:
            raise RuntimeError("slapd did not start: " + self.process.stderr.read().decode())

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)

    def options(self, **more):
        return options(ldapserver="127.0.0.1", ldapport=self.port, **more)

    def simple(self, **more):
        return self.options(ldapprefix="uid=", ldapsuffix="," + PEOPLE, **more)

    def search(self, **more):
        return self.options(ldapbasedn=BASE, **more)

    def set_password(self, user, password):
        subprocess.run(["ldappasswd", "-x", "-H", "ldap://127.0.0.1:%d" % self.port, "-D", ADMIN, "-w", ADMIN_PASSWORD,
                        "-s", password, "uid=%s,%s" % (user, PEOPLE)], check=True, capture_output=True)


def options(**pairs):
    """The text of ldap options, every value quoted."""
    return " ".join('%s="%s"' % (k, str(v).replace('"', '""')) for k, v in pairs.items())


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False
