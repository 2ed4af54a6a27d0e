"""The userlist written from PostgreSQL's roles before the daemon starts, with PostgreSQL up and down."""

CONFIG = """\
[userlist]
connection = host=/var/run/postgresql user=pgweir dbname=postgres
output = /run/pgweir/userlist.txt
include = app
include = admin
"""


def set_up(machine):
    box = machine.box
    machine.sql("DO $$ BEGIN CREATE ROLE pgweir LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
    machine.sql("GRANT SELECT ON pg_catalog.pg_authid TO pgweir")
    box.write("/etc/pgweir/userlist.conf", CONFIG)
    box.sh("chown root:pgweir /etc/pgweir/userlist.conf; chmod 640 /etc/pgweir/userlist.conf")
    machine.write_config("pgweir", box.read("/etc/pgweir/pgweir.ini").replace(
        "auth_file = /etc/pgweir/userlist.txt", "auth_file = /run/pgweir/userlist.txt"))


def tear_down(machine):
    machine.box.sh("systemctl start postgresql@15-main; sed -i '2,$d' /etc/pgweir/userlist.conf; rm -f /run/pgweir/userlist.txt")


def test_a_fresh_userlist_before_every_start(machine):
    box = machine.box
    try:
        set_up(machine)
        box.run("systemctl", "restart", "pgweir.service")
        text = box.run("cat", "/run/pgweir/userlist.txt").stdout
        assert '"app" "SCRAM-SHA-256$' in text and '"admin"' in text and '"stats"' not in text and '"postgres"' not in text
        assert box.run("stat", "-c", "%a %U", "/run/pgweir/userlist.txt").stdout.strip() == "600 pgweir"
        # With SCRAM secrets alone the pooler logs in on behalf of its clients: no password stands anywhere.
        assert machine.query("SELECT current_user") == "app"
        journal = box.journal("-u", "pgweir.service", "-n", "60")
        assert "SCRAM-SHA-256$" not in journal
    finally:
        tear_down(machine)


def test_with_postgresql_down_the_service_starts_with_the_old_list(machine):
    box = machine.box
    try:
        set_up(machine)
        box.run("systemctl", "restart", "pgweir.service")
        before = box.run("cat", "/run/pgweir/userlist.txt").stdout
        # The instance: postgresql.service only tells it to stop, and does not wait.
        box.run("systemctl", "stop", "postgresql@15-main")
        box.run("systemctl", "restart", "pgweir.service")
        assert box.active("pgweir.service") == "active"
        assert box.run("cat", "/run/pgweir/userlist.txt").stdout == before
        assert "pgweir-userlist" in box.journal("-u", "pgweir.service", "-p", "warning", "-n", "60")
        # PostgreSQL comes back; nobody does anything to pgweir.
        box.run("systemctl", "start", "postgresql@15-main")
        assert machine.query("SELECT current_user") == "app"
    finally:
        tear_down(machine)


def test_without_a_configured_connection_nothing_is_written(machine):
    box = machine.box
    box.run("systemctl", "restart", "pgweir.service")
    assert not box.exists("/run/pgweir/userlist.txt")
    assert machine.query("SELECT 1") == "1"
