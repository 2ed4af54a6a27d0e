"""auth_type = pam within the sandbox of the packaged unit: modules that the account pgweir may use, and pam_unix, which needs a
drop-in (pgweir.service(8), SANDBOX)."""

import pytest

from harness.machine import PASSWORD

SCRIPT = """#!/bin/sh
# pam_exec gives the password on standard input, with a NUL behind it.
test "$PAM_USER:$(tr -d '\\0')" = "app:$(cat /etc/pgweir/app-password)"
"""
BY_SCRIPT = "auth required pam_exec.so expose_authtok quiet /usr/local/sbin/check-password\naccount required pam_permit.so\n"
BY_SHADOW = "auth required pam_unix.so nodelay\naccount required pam_unix.so\n"


@pytest.fixture
def by_pam(machine):
    """by_pam(SERVICE) restarts pgweir with auth_type = pam and that service."""
    box = machine.box

    def begin(service, drop_in=None):
        box.write("/etc/pam.d/pgbouncer", service, 0o644)
        machine.write_config("pgweir", box.read("/etc/pgweir/pgweir.ini").replace("auth_type = scram-sha-256", "auth_type = pam"))
        if drop_in:
            machine.drop_in(drop_in)
        box.run("systemctl", "restart", "pgweir.service")
        return machine

    yield begin
    box.run("rm", "-f", "/etc/pam.d/pgbouncer")


def login(machine, user, password):
    """psql's status, and what it printed."""
    done = machine.box.run("env", "PGPASSWORD=" + password, "psql", "-XAtq", "-h", "127.0.0.1", "-p", "6432", "-U", user,
                           "-d", "app", "-c", "SELECT current_user", check=False)
    return done.returncode, (done.stdout + done.stderr).strip()


def test_a_program_judges(by_pam, machine):
    """The unit as it is packaged: modules load, run their programs and read what the account pgweir may."""
    box = machine.box
    box.write("/usr/local/sbin/check-password", SCRIPT, 0o755)
    box.write("/etc/pgweir/app-password", PASSWORD)
    by_pam(BY_SCRIPT)  # makes the files in /etc/pgweir the group's
    assert login(machine, "app", PASSWORD) == (0, "app")
    for user, password in (("app", "wrong"), ("admin", PASSWORD)):
        status, text = login(machine, user, password)
        assert status == 2 and "PAM authentication failed" in text


def test_the_accounts_of_the_machine_need_the_group_shadow(by_pam, machine):
    box = machine.box
    box.run("useradd", "carol")
    box.run("chpasswd", input="carol:carol-secret\n")
    machine.sql("CREATE ROLE carol LOGIN PASSWORD 'carol-secret'")
    by_pam(BY_SHADOW)
    status, text = login(machine, "carol", "carol-secret")
    assert status == 2 and "PAM authentication failed" in text
    by_pam(BY_SHADOW, "[Service]\nSupplementaryGroups=shadow\n")
    assert login(machine, "carol", "carol-secret") == (0, "carol")
    assert "PAM authentication failed" in login(machine, "carol", "wrong")[1]
    box.run("usermod", "--expiredate", "2001-01-01", "carol")
    assert "PAM authentication failed" in login(machine, "carol", "carol-secret")[1]
