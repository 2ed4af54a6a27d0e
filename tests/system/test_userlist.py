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


def test_with_postgresql_down_and_no_old_list_clients_wait_until_it_is_back(machine):
    """The first start behind a boot, which empties the runtime directory: nobody has to help when PostgreSQL comes."""
    box = machine.box
    try:
        set_up(machine)
        box.run("systemctl", "stop", "pgweir.service", "postgresql@15-main")
        assert not box.exists("/run/pgweir/userlist.txt")
        assert box.run("systemctl", "start", "pgweir.service", check=False).returncode != 0
        assert "there is no old /run/pgweir/userlist.txt" in box.journal("-u", "pgweir.service", "-p", "err", "-n", "60")
        assert box.active("pgweir.socket") == "active"
        box.run("systemctl", "start", "postgresql@15-main")
        assert machine.query("SELECT current_user") == "app"
    finally:
        tear_down(machine)


def test_it_is_for_the_administrator_to_say_what_a_failure_means(machine):
    box = machine.box
    try:
        set_up(machine)
        box.run("systemctl", "restart", "pgweir.service")
        box.sh("echo 'on_failure = fail' >>/etc/pgweir/userlist.conf")
        box.run("systemctl", "stop", "postgresql@15-main", "pgweir.service")
        assert box.run("systemctl", "start", "pgweir.service", check=False).returncode != 0
        box.sh("systemctl stop pgweir.service; rm -f /run/pgweir/userlist.txt; "
               "sed -i 's/^on_failure.*/on_failure = empty/' /etc/pgweir/userlist.conf")
        box.run("systemctl", "start", "pgweir.service")
        assert box.active("pgweir.service") == "active"
        assert "has no entries" in box.journal("-u", "pgweir.service", "-p", "warning", "-n", "60")
    finally:
        tear_down(machine)


def test_an_instance_has_a_list_of_its_own(machine):
    box = machine.box
    try:
        set_up(machine)
        box.write("/etc/pgweir/one.userlist.conf", CONFIG.replace("/run/pgweir/", "/run/pgweir/one/").replace(
            "include = admin\n", ""))
        machine.write_config("one", box.read("/etc/pgweir/pgweir.ini").replace("/run/pgweir", "/run/pgweir/one") +
                             "listen_port = 6501\n")
        box.run("systemctl", "start", "pgweir@one.service")
        text = box.run("cat", "/run/pgweir/one/userlist.txt").stdout
        assert '"app" "SCRAM-SHA-256$' in text and '"admin"' not in text
        assert machine.query("SELECT current_user", port=6501) == "app"
    finally:
        box.sh("systemctl stop 'pgweir@*'; rm -f /etc/pgweir/one.*")
        tear_down(machine)


def test_without_a_configured_connection_nothing_is_written(machine):
    box = machine.box
    box.run("systemctl", "restart", "pgweir.service")
    assert not box.exists("/run/pgweir/userlist.txt")
    assert machine.query("SELECT 1") == "1"
