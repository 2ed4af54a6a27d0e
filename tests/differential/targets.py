"""What a session talks to: PostgreSQL itself, PgBouncer, pgweir. Each pooler is started for one session with the same ini."""

import os
import ssl

from harness import pgweir, wire

# By hand another version can be looked at; the list of accepted differences is about Debian's.
PGBOUNCER = os.environ.get("PGWEIR_DIFF_PGBOUNCER", "/usr/sbin/pgbouncer")

STORED = {
    "md5": {"md5user": wire.md5_secret("md5user", pgweir.Pgweir.USERLIST["md5user"])},
    "scram": {"scramuser": wire.scram_secret(pgweir.Pgweir.USERLIST["scramuser"])},
    "wrong md5": {"scramuser": wire.md5_secret("scramuser", pgweir.Pgweir.USERLIST["scramuser"])},
}


class Target:
    """Facts about the server are asked directly, past any pooler."""

    def __init__(self, pg, certs):
        self.pg, self.certs = pg, certs

    def _count(self, condition):
        return int(self.pg.scalar("SELECT count(*) FROM pg_stat_activity WHERE datname = 'test' AND backend_type = 'client backend' "
                                  "AND pid <> pg_backend_pid() AND application_name <> 'keeper' AND " + condition))

    def running(self, sql):
        """How many backends are at work on this statement, and wait (asleep, or for the client)."""
        return self._count("state = 'active' AND query = '%s' AND wait_event IS NOT NULL" % sql)

    def in_transaction(self):
        return self._count("state LIKE 'idle in transaction%'")

    def kill_servers(self):
        self.pg.query("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = 'test' AND "
                      "backend_type = 'client backend' AND application_name <> 'keeper'")

    def password(self, user):
        return pgweir.Pgweir.USERLIST.get(user, "")

    def tls_context(self, common_name=None, authority="ca"):
        context = ssl.create_default_context(cafile=self.certs.ca)
        if common_name:
            context.load_cert_chain(*self.certs.client(common_name, authority))
        return context

    def stop(self):
        pass


class Direct(Target):
    name = "postgres"

    def open(self):
        return wire.Conn(self.pg.host, self.pg.port)


class Pooled(Target):
    """One of the poolers. `extra` are a session's settings; those that are no settings are taken out of it first."""

    def __init__(self, pg, certs, name, mode, extra):
        super().__init__(pg, certs)
        self.name, extra = name, dict(extra)
        self.pooler = pgweir.Pgweir(self._databases(), start=False, hba=extra.pop("hba", None), userlist=self._userlist(extra),
                                    program=PGBOUNCER if name == "pgbouncer" else pgweir.runnable_binary())
        self.to_disable = extra.pop("disable", None)
        settings = {"pool_mode": mode, "default_pool_size": 4}
        if "tls" in extra:
            settings.update(client_tls_sslmode=extra.pop("tls"), client_tls_cert_file=certs.server, client_tls_key_file=certs.server_key,
                            client_tls_ca_file=certs.ca)
        self.pooler.write_config(**{**settings, **extra})

    def _databases(self):
        entry = {"host": self.pg.host, "port": self.pg.port}
        return {"test": {**entry, "dbname": "test"}, "missing": {**entry, "dbname": "missing"},
                "forced": {**entry, "dbname": "test", "user": "app2"},
                "forced_wrong": {**entry, "dbname": "test", "user": "md5user", "password": "wrong"}}

    @staticmethod
    def _userlist(extra):
        users = {**pgweir.Pgweir.USERLIST, "onlyhere": "onlyhere-secret", **STORED.get(extra.pop("stored", None), {})}
        known = extra.pop("known", None)
        return users if known is None else {name: users[name] for name in (*known, "admin", "stats")}

    def start(self):
        self.pooler.start(wait=False)

    def ready(self):
        self.pooler.wait_ready()
        if self.to_disable:
            self.pooler.connect("admin", "pgbouncer").query("DISABLE " + self.to_disable)

    def open(self):
        return wire.Conn(self.pooler.host, self.pooler.port)

    def stop(self):
        self.pooler.stop()
