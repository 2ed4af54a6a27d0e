"""A PostgreSQL that does what a test's script says: wrong replies, long nonces, cuts, silence.

    with FakeServer(script) as fake: ...

`script(session)` runs in a thread of its own for every connection. Session gives the bricks; an exception that escapes
the script is kept in `fake.failures` and raised at the end (a closed peer is no failure).
"""

import socket
import ssl
import struct
import threading

from . import system, wire


class Session(wire.Conn):
    """The server's end of one connection."""

    def __init__(self, sock, server):
        super().__init__(sock=sock)
        self.server = server
        self.startup = None

    def read_untyped(self):
        (length,) = struct.unpack("!I", self.read_bytes(4))
        return self.read_bytes(length - 4)

    def read_startup(self, tls_answer=b"N"):
        """Answers SSLRequest with `tls_answer` (TLS starts after b"S" if the server has a context), then reads the
        StartupMessage into a dict. A cancel request gives {"cancel": (pid, key)}."""
        while True:
            body = self.read_untyped()
            (code,) = struct.unpack_from("!I", body)
            if code in (wire.SSL_REQUEST, wire.GSSENC_REQUEST):
                self.send(tls_answer)
                if tls_answer == b"S" and self.server.tls:
                    self.sock = self.server.tls.wrap_socket(self.sock, server_side=True)
                continue
            if code == wire.CANCEL_REQUEST:
                self.startup = {"cancel": (struct.unpack_from("!I", body, 4)[0], body[8:])}
            else:
                words = [w.decode() for w in body[4:].split(b"\0")]
                self.startup = dict(zip(words[0::2], words[1::2]))
            return self.startup

    def auth(self, kind, extra=b""):
        self.send(wire.message("R", struct.pack("!I", kind) + extra))

    def parameter(self, name, value):
        self.send(wire.message("S", wire.cstr(name) + wire.cstr(value)))

    def key_data(self, pid, key):
        self.send(wire.message("K", struct.pack("!I", pid) + key))

    def ready(self, status="I"):
        self.send(wire.message("Z", status.encode()))

    def error(self, _order="SVCM", **fields):
        """An ErrorResponse with just these fields, e.g. error(S="FATAL", C="28000", M="no")."""
        self.send(error_message("E", fields))

    def welcome(self, pid=None, key=b"\1\2\3\4"):
        """AuthenticationOk, the usual parameters, key data, ReadyForQuery."""
        self.auth(0)
        for name, value in (("server_version", "15.0"), ("server_encoding", "UTF8"), ("client_encoding", "UTF8"),
                            ("DateStyle", "ISO, MDY"), ("TimeZone", "UTC"), ("integer_datetimes", "on"),
                            ("standard_conforming_strings", "on"), ("application_name", ""),
                            ("IntervalStyle", "postgres")):
            self.parameter(name, value)
        self.key_data(pid or self.server.next_pid(), key)
        self.ready()

    def login(self):
        """The ordinary start: startup, trust, welcome. Returns False for a cancel request."""
        if "cancel" in self.read_startup():
            self.server.cancels.append(self.startup["cancel"])
            return False
        self.welcome()
        return True

    def answer(self, *values, tag="SELECT 1", status="I", names=None):
        """One row of text columns, tag and ReadyForQuery in one write."""
        self.send(answer_bytes(*values, tag=tag, status=status, names=names))

    def serve(self, reply=None):
        """Answers simple queries until the client goes. `reply(session, sql)` may answer itself and return True."""
        while True:
            got = self.read(timeout=600)
            if got.type == "X":
                return
            if got.type == "Q":
                sql = got.body[:-1].decode("utf-8", "replace")
                self.server.queries.append(sql)
                if reply and reply(self, sql):
                    continue
                if not sql.strip():
                    self.send(wire.message("I"), wire.message("Z", b"I"))
                elif sql.upper().startswith(("SET", "DISCARD", "ROLLBACK")):
                    self.send(wire.message("C", wire.cstr(sql.split()[0].upper())), wire.message("Z", b"I"))
                else:
                    self.answer("1")


def answer_bytes(*values, tag="SELECT 1", status="I", names=None):
    return (row_description(names or ["c%d" % i for i in range(len(values))]) + data_row(values)
            + wire.message("C", wire.cstr(tag)) + wire.message("Z", status.encode()))


def error_message(kind, fields):
    return wire.message(kind, b"".join(k.encode() + wire.cstr(v) for k, v in fields.items()) + b"\0")


def row_description(names):
    body = struct.pack("!h", len(names))
    for name in names:
        body += wire.cstr(name) + struct.pack("!ihihih", 0, 0, 25, -1, -1, 0)
    return wire.message("T", body)


def data_row(values):
    body = struct.pack("!h", len(values))
    for value in values:
        raw = None if value is None else value if isinstance(value, bytes) else str(value).encode()
        body += struct.pack("!i", -1) if raw is None else struct.pack("!i", len(raw)) + raw
    return wire.message("D", body)


class FakeServer:
    def __init__(self, script, tls=None, backlog=128, host="127.0.0.1", port=None):
        self.script = script
        self.tls = tls
        self.host = host
        self.port = port or system.free_port()
        self.queries = []
        self.cancels = []
        self.failures = []
        self.connections = 0
        self._pids = 1000
        self._lock = threading.Lock()
        self._sessions = []
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((self.host, self.port))
        self._listener.listen(backlog)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def next_pid(self):
        with self._lock:
            self._pids += 1
            return self._pids

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.connections += 1
                session = Session(sock, self)
                self._sessions.append(session)
            threading.Thread(target=self._run, args=(session,), daemon=True).start()

    def _run(self, session):
        try:
            self.script(session)
        except (wire.ConnectionClosed, OSError, ssl.SSLError, TimeoutError):
            pass
        except Exception as failure:  # kept for the test to look at
            self.failures.append(failure)
        finally:
            session.close()

    @property
    def entry(self):
        """This server as a [databases] entry."""
        return {"host": self.host, "port": self.port, "dbname": "fake"}

    def close_all(self):
        with self._lock:
            for session in self._sessions:
                try:
                    session.sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                session.close()
            self._sessions = []

    def stop(self):
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        self.close_all()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.stop()
        if kind is None and self.failures:
            raise self.failures[0]


def closed_port():
    """A port on which nothing listens."""
    return system.free_port()
