"""Log files, for those who want them: logrotate moves them, the daemon goes on in a new one."""


def lines(box, path):
    return box.read(path).splitlines() if box.exists(path) else []


def test_logrotate_moves_the_file_and_the_daemon_reopens_it(machine):
    box = machine.box
    log = "/var/log/pgweir/pgweir.log"
    box.sh("rm -f /var/log/pgweir/*")
    machine.configure(more="logfile = %s\n" % log)
    box.run("systemctl", "restart", "pgweir.service")
    box.until("the log file is there", lambda: lines(box, log))
    pid = machine.main_pid()
    box.run("logrotate", "-f", "/etc/logrotate.d/pgweir")
    box.until("a new log file", lambda: box.exists(log))
    assert any("process up" in line for line in lines(box, log + ".1"))
    before = len(lines(box, log + ".1"))
    assert machine.query("SELECT 1") == "1"  # two log lines: login and the end
    box.until("the new file is written to", lambda: any("app/app" in line for line in lines(box, log)))
    assert len(lines(box, log + ".1")) == before
    assert machine.main_pid() == pid
    assert box.run("stat", "-c", "%U %a", log).stdout.strip() == "pgweir 600"
    # A configuration that is wrong just then does not keep the daemon in the file that was moved away.
    machine.configure(more="logfile = %s\npool_mode = nonsense\n" % log)
    box.run("logrotate", "-f", "/etc/logrotate.d/pgweir")
    box.until("a new log file", lambda: box.exists(log))
    machine.configure(more="logfile = %s\n" % log)
    # The next rotation compresses the older ones; what systemd runs at night does the same.
    box.sh("sed -i 's/weekly/size 1/' /etc/logrotate.d/pgweir")
    box.run("systemctl", "start", "logrotate.service")
    assert box.exists(log + ".3.gz")
    assert "error" not in box.journal("-u", "logrotate.service")


def test_the_files_of_instances_are_rotated_too(machine):
    box = machine.box
    log = "/var/log/pgweir/one/pgweir.log"
    machine.write_config("one", box.read("/etc/pgweir/pgweir.ini").replace("/run/pgweir", "/run/pgweir/one") +
                         "listen_port = 6501\nlogfile = %s\n" % log)
    try:
        box.run("systemctl", "start", "pgweir@one.service")
        pid = machine.main_pid("pgweir@one.service")
        box.run("logrotate", "-f", "/etc/logrotate.d/pgweir")
        box.until("a new log file", lambda: box.exists(log))
        assert any("process up" in line for line in lines(box, log + ".1"))
        assert machine.query("SELECT 1", port=6501) == "1"
        box.until("the new file is written to", lambda: any("app/app" in line for line in lines(box, log)))
        assert machine.main_pid("pgweir@one.service") == pid
    finally:
        box.sh("systemctl stop pgweir@one.service; rm -rf /etc/pgweir/one.ini /var/log/pgweir/one")


def test_logrotate_without_files_and_without_a_running_daemon_is_content(machine):
    box = machine.box
    box.run("systemctl", "stop", "pgweir.service", "pgweir.socket")
    box.sh("rm -f /var/log/pgweir/*")
    box.run("logrotate", "-f", "/etc/logrotate.d/pgweir")
    box.sh("echo something >/var/log/pgweir/pgweir.log; chown pgweir:pgweir /var/log/pgweir/pgweir.log")
    box.run("logrotate", "-f", "/etc/logrotate.d/pgweir")
    assert box.exists("/var/log/pgweir/pgweir.log.1")
