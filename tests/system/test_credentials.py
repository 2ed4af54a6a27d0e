"""Secrets that only root can read reach the daemon as credentials of its unit."""


def test_userlist_and_key_as_credentials(machine):
    """Neither file can be read by the account pgweir; ExecStartPre's check and the daemon see them all the same."""
    box = machine.box
    box.write("/root/userlist.txt", machine.userlist(), 0o600)
    assert box.run("cat", "/etc/ssl/private/ssl-cert-snakeoil.key", user="pgweir", check=False).returncode != 0
    machine.drop_in("""\
        [Service]
        LoadCredential=userlist:/root/userlist.txt
        LoadCredential=tls-key:/etc/ssl/private/ssl-cert-snakeoil.key
        """)
    machine.write_config("pgweir", box.read("/etc/pgweir/pgweir.ini").replace(
        "auth_file = /etc/pgweir/userlist.txt", "auth_file = credential:userlist") +
        "client_tls_sslmode = require\nclient_tls_key_file = credential:tls-key\n"
        "client_tls_cert_file = /etc/ssl/certs/ssl-cert-snakeoil.pem\n")
    box.run("rm", "/etc/pgweir/userlist.txt")
    box.run("systemctl", "restart", "pgweir.service")
    assert machine.query("SELECT current_user") == "app"
    assert "SSL connection" in machine.query("\\conninfo")
    # A reload reads them again, from where systemd has put them.
    box.run("systemctl", "reload", "pgweir.service")
    assert machine.query("SELECT 1") == "1"


def test_a_missing_credential_fails_the_start_and_leaves_the_socket(machine):
    """systemd's 243/CREDENTIALS. Clients wait in the socket's queue until somebody brings the file."""
    box = machine.box
    box.run("systemctl", "stop", "pgweir.service")
    box.run("rm", "-f", "/root/missing")
    machine.drop_in("[Service]\nLoadCredential=userlist:/root/missing\n")
    assert box.run("systemctl", "start", "pgweir.service", check=False).returncode != 0
    assert box.show("pgweir.service", "ExecMainStatus") == "243" or "243/CREDENTIALS" in box.journal("-u", "pgweir.service")
    assert box.active("pgweir.socket") == "active"
    box.write("/root/missing", machine.userlist(), 0o600)
    assert machine.query("SELECT 'there'") == "there"


def test_a_credential_may_have_a_value_to_fall_back_on(machine):
    box = machine.box
    box.run("rm", "-f", "/root/missing")
    machine.drop_in("""\
        [Service]
        LoadCredential=userlist:/root/missing
        SetCredential=userlist:; nobody yet
        """)
    machine.write_config("pgweir", box.read("/etc/pgweir/pgweir.ini").replace(
        "auth_file = /etc/pgweir/userlist.txt", "auth_file = credential:userlist"))
    box.run("systemctl", "restart", "pgweir.service")
    assert machine.psql("SELECT 1", check=False).returncode != 0
    box.write("/root/missing", machine.userlist(), 0o600)
    box.run("systemctl", "restart", "pgweir.service")
    assert machine.query("SELECT 1") == "1"


def test_a_credential_that_the_unit_does_not_pass_is_named(machine):
    box = machine.box
    machine.write_config("pgweir", box.read("/etc/pgweir/pgweir.ini").replace(
        "auth_file = /etc/pgweir/userlist.txt", "auth_file = credential:userlist"))
    assert box.run("systemctl", "restart", "pgweir.service", check=False).returncode != 0
    assert "LoadCredential=" in box.journal("-u", "pgweir.service", "-n", "30")
