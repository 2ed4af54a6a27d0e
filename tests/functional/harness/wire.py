"""A raw client of the PostgreSQL v3 protocol.

Promises: it sends exactly the bytes it is told to and shows exactly the messages that came back, so that tests can be
hostile, pipeline at will, or stop half way. It does not hide errors: an ErrorResponse is a message like any other,
unless a helper (query, login) is asked to raise it as ServerError.
"""

import base64
import hashlib
import hmac
import os
import select
import socket
import ssl
import struct
import time

PROTOCOL_3_0 = 196608
PROTOCOL_3_2 = 196610
SSL_REQUEST = 80877103
GSSENC_REQUEST = 80877104
CANCEL_REQUEST = 80877102

DEFAULT_TIMEOUT = 30.0


class ServerError(Exception):
    """An ErrorResponse; fields by their letter (S, C, M, ...)."""

    def __init__(self, fields):
        super().__init__("%s %s: %s" % (fields.get("S"), fields.get("C"), fields.get("M")))
        self.fields = fields
        self.severity = fields.get("S")
        self.sqlstate = fields.get("C")
        self.message = fields.get("M", "")


class ConnectionClosed(Exception):
    """The peer closed the connection where a message was expected."""


class Message:
    """One typed message: `type` is a one-character string, `body` the bytes behind the length."""

    __slots__ = ("type", "body")

    def __init__(self, type_, body):
        self.type = type_
        self.body = body

    def __repr__(self):
        return "<%s %r>" % (self.type, self.body[:60])

    def error(self):
        return parse_fields(self.body)

    def row(self):
        return parse_row(self.body)

    def tag(self):
        return self.body.rstrip(b"\0").decode()


class Result:
    """What one simple query brought: per statement the rows; over all the tags, notices and the last error."""

    def __init__(self):
        self.columns = []
        self.column_types = []
        self.rows = []
        self.tags = []
        self.notices = []
        self.errors = []
        self.status = None
        self.messages = []

    @property
    def error(self):
        return self.errors[0] if self.errors else None

    def dicts(self):
        return [dict(zip(self.columns, row)) for row in self.rows]

    def scalar(self):
        return self.rows[0][0]


def parse_fields(body):
    fields = {}
    for part in body.split(b"\0"):
        if part:
            fields[chr(part[0])] = part[1:].decode("utf-8", "replace")
    return fields


def parse_row(body):
    (count,) = struct.unpack_from("!h", body)
    at, values = 2, []
    for _ in range(count):
        (length,) = struct.unpack_from("!i", body, at)
        at += 4
        if length < 0:
            values.append(None)
        else:
            values.append(body[at : at + length])
            at += length
    return values


def parse_columns(body):
    """RowDescription to a list of (name, type oid, typlen, format)."""
    (count,) = struct.unpack_from("!h", body)
    at, columns = 2, []
    for _ in range(count):
        end = body.index(b"\0", at)
        name = body[at:end].decode()
        _table, _att, oid, typlen, _typmod, fmt = struct.unpack_from("!ihihih", body, end + 1)
        columns.append((name, oid, typlen, fmt))
        at = end + 19
    return columns


# Builders of whole messages.


def cstr(text):
    return (text.encode() if isinstance(text, str) else text) + b"\0"


def message(type_, body=b""):
    return type_.encode("latin-1") + struct.pack("!I", len(body) + 4) + body


def untyped(body):
    return struct.pack("!I", len(body) + 4) + body


def startup(params, protocol=PROTOCOL_3_0):
    """`params` is a dict or a list of pairs (which may repeat a name)."""
    pairs = params.items() if isinstance(params, dict) else params
    return untyped(struct.pack("!I", protocol) + b"".join(cstr(k) + cstr(v) for k, v in pairs) + b"\0")


def ssl_request():
    return untyped(struct.pack("!I", SSL_REQUEST))


def gssenc_request():
    return untyped(struct.pack("!I", GSSENC_REQUEST))


def cancel_request(pid, key):
    return untyped(struct.pack("!II", CANCEL_REQUEST, pid) + key)


def query(sql):
    return message("Q", cstr(sql))


def parse(sql, name="", types=()):
    return message("P", cstr(name) + cstr(sql) + struct.pack("!h", len(types)) + b"".join(struct.pack("!I", t) for t in types))


def bind(params=(), statement="", portal="", formats=(), result_formats=()):
    body = cstr(portal) + cstr(statement)
    body += struct.pack("!h", len(formats)) + b"".join(struct.pack("!h", f) for f in formats)
    body += struct.pack("!h", len(params))
    for value in params:
        if value is None:
            body += struct.pack("!i", -1)
        else:
            raw = value if isinstance(value, bytes) else str(value).encode()
            body += struct.pack("!i", len(raw)) + raw
    body += struct.pack("!h", len(result_formats)) + b"".join(struct.pack("!h", f) for f in result_formats)
    return message("B", body)


def describe(kind="P", name=""):
    return message("D", kind.encode() + cstr(name))


def execute(portal="", limit=0):
    return message("E", cstr(portal) + struct.pack("!i", limit))


def close(kind="S", name=""):
    return message("C", kind.encode() + cstr(name))


def sync():
    return message("S")


def flush():
    return message("H")


def terminate():
    return message("X")


def copy_data(data):
    return message("d", data)


def copy_done():
    return message("c")


def copy_fail(reason="no"):
    return message("f", cstr(reason))


def function_call(oid, args, result_format=0):
    body = struct.pack("!Ih", oid, 0) + struct.pack("!h", len(args))
    for value in args:
        raw = value if isinstance(value, bytes) else str(value).encode()
        body += struct.pack("!i", len(raw)) + raw
    return message("F", body + struct.pack("!h", result_format))


def md5_password(user, password, salt):
    inner = hashlib.md5(password.encode() + user.encode()).hexdigest()
    return "md5" + hashlib.md5(inner.encode() + salt).hexdigest()


def md5_secret(user, password):
    return "md5" + hashlib.md5(password.encode() + user.encode()).hexdigest()


def scram_secret(password, iterations=4096, salt=b"0123456789abcdef"):
    """The verifier text that PostgreSQL stores in pg_authid."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    b64 = lambda raw: base64.b64encode(raw).decode()
    stored = hashlib.sha256(client_key).digest()
    return "SCRAM-SHA-256$%d:%s$%s:%s" % (iterations, b64(salt), b64(stored), b64(server_key))


class ScramClient:
    """The client's half of SCRAM-SHA-256 (RFC 5802), without channel binding."""

    def __init__(self, password, gs2=b"n,,", user=b"", nonce=None):
        self.password = password
        self.gs2 = gs2
        self.nonce = nonce or base64.b64encode(os.urandom(18))
        self.bare = b"n=" + user + b",r=" + self.nonce
        self.server_first = None

    def first(self):
        return self.gs2 + self.bare

    def final(self, server_first):
        self.server_first = server_first
        parts = dict(item.split(b"=", 1) for item in server_first.split(b","))
        if not parts[b"r"].startswith(self.nonce):
            raise AssertionError("server nonce does not extend ours: %r" % server_first)
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), base64.b64decode(parts[b"s"]), int(parts[b"i"]))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        stored_key = hashlib.sha256(client_key).digest()
        without_proof = b"c=" + base64.b64encode(self.gs2) + b",r=" + parts[b"r"]
        auth = self.bare + b"," + server_first + b"," + without_proof
        signature = hmac.digest(stored_key, auth, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        server_key = hmac.digest(salted, b"Server Key", "sha256")
        self.expected = b"v=" + base64.b64encode(hmac.digest(server_key, auth, "sha256"))
        return without_proof + b",p=" + base64.b64encode(proof)

    def check(self, server_final):
        if server_final != self.expected:
            raise AssertionError("wrong server signature")


def sasl_initial(mechanism, payload):
    return message("p", cstr(mechanism) + struct.pack("!i", len(payload)) + payload)


class Conn:
    """One connection. Every read has a deadline; nothing waits for ever."""

    def __init__(self, host="127.0.0.1", port=5432, timeout=DEFAULT_TIMEOUT, sock=None):
        """`host` starting with / is the directory of a unix socket, as in libpq; `sock` is an open socket instead."""
        self.timeout = timeout
        self.buffer = bytearray()
        self.params = {}
        self.key = None
        self.auth_types = []
        self.negotiated = None
        self.greeting = []
        if sock is not None:
            self.sock = sock
            self.sock.settimeout(timeout)
        elif host.startswith("/"):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(timeout)
            self.sock.connect("%s/.s.PGSQL.%d" % (host, port))
        else:
            self.sock = socket.create_connection((host, port), timeout=timeout)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # Raw bytes.

    def send(self, *chunks):
        self.sock.sendall(b"".join(chunks))

    def _fill(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer within the deadline; buffered %r" % bytes(self.buffer[:200]))
        self.sock.settimeout(left)
        try:
            data = self.sock.recv(262144)
        except socket.timeout:
            raise TimeoutError("no answer within the deadline; buffered %r" % bytes(self.buffer[:200]))
        finally:
            try:
                self.sock.settimeout(self.timeout)
            except OSError:
                pass
        if not data:
            raise ConnectionClosed("connection closed; buffered %r" % bytes(self.buffer[:200]))
        self.buffer += data

    def read_bytes(self, count, timeout=None):
        deadline = time.monotonic() + (timeout or self.timeout)
        while len(self.buffer) < count:
            self._fill(deadline)
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def read(self, timeout=None):
        """The next message."""
        deadline = time.monotonic() + (timeout or self.timeout)
        while len(self.buffer) < 5:
            self._fill(deadline)
        kind = chr(self.buffer[0])
        (length,) = struct.unpack_from("!I", self.buffer, 1)
        while len(self.buffer) < length + 1:
            self._fill(deadline)
        body = bytes(self.buffer[5 : length + 1])
        del self.buffer[: length + 1]
        return Message(kind, body)

    def read_until(self, types="Z", timeout=None):
        """All messages up to and with the first one of `types`."""
        got = []
        while True:
            one = self.read(timeout)
            got.append(one)
            if one.type in types:
                return got

    def silent(self, seconds):
        """True when nothing arrives for that long (an end of stream counts as an arrival)."""
        if self.buffer:
            return False
        if isinstance(self.sock, ssl.SSLSocket) and self.sock.pending():
            return False
        return not select.select([self.sock], [], [], seconds)[0]

    def closed(self, timeout=None):
        """Reads away what is left and returns it once the peer has closed."""
        got = []
        while True:
            try:
                got.append(self.read(timeout))
            except (ConnectionClosed, ConnectionResetError, BrokenPipeError, ssl.SSLError):
                return got

    def expect_fatal(self, phrase=None, sqlstate=None, timeout=None):
        """Reads to the end of the connection; the last message must be a FATAL with that phrase and SQLSTATE."""
        got = self.closed(timeout)
        assert got and got[-1].type == "E", "no ErrorResponse before the end: %r" % got
        fields = got[-1].error()
        assert fields.get("S") == "FATAL", fields
        if phrase is not None:
            assert phrase in fields.get("M", ""), fields
        if sqlstate is not None:
            assert fields.get("C") == sqlstate, fields
        return fields

    # TLS.

    def ask_tls(self):
        """SSLRequest; returns the one byte of the answer."""
        self.send(ssl_request())
        return self.read_bytes(1)

    def wrap_tls(self, context, server_hostname=None):
        assert not self.buffer, "plain bytes behind the answer to SSLRequest"
        self.sock = context.wrap_socket(self.sock, server_hostname=server_hostname)

    def start_tls(self, context, server_hostname=None):
        answer = self.ask_tls()
        if answer != b"S":
            raise AssertionError("TLS refused: %r" % answer)
        self.wrap_tls(context, server_hostname)

    # Login.

    def authenticate(self, user, password):
        """Answers whatever is asked until AuthenticationOk; raises ServerError for an ErrorResponse."""
        scram = None
        while True:
            got = self.read()
            if got.type == "E":
                raise ServerError(got.error())
            if got.type == "v":
                self.negotiated = got.body
                continue
            if got.type == "N":
                continue
            assert got.type == "R", got
            (kind,) = struct.unpack_from("!I", got.body)
            self.auth_types.append(kind)
            if kind == 0:
                return
            if kind == 3:
                self.send(message("p", cstr(password)))
            elif kind == 5:
                self.send(message("p", cstr(md5_password(user, password, got.body[4:8]))))
            elif kind == 10:
                assert b"SCRAM-SHA-256\0" in got.body, got
                scram = ScramClient(password)
                self.send(sasl_initial("SCRAM-SHA-256", scram.first()))
            elif kind == 11:
                self.send(message("p", scram.final(got.body[4:])))
            elif kind == 12:
                scram.check(got.body[4:])
            else:
                raise AssertionError("unknown authentication request %d" % kind)

    def login(self, user, database, password="", protocol=PROTOCOL_3_0, **params):
        pairs = {"user": user}
        if database is not None:
            pairs["database"] = database
        pairs.update(params)
        self.send(startup(pairs, protocol))
        self.authenticate(user, password)
        self.read_welcome()
        return self

    def read_welcome(self):
        self.greeting = []
        while True:
            got = self.read()
            self.greeting.append(got)
            if got.type == "S":
                name, value = got.body.split(b"\0")[:2]
                self.params[name.decode()] = value.decode()
            elif got.type == "K":
                self.key = (struct.unpack_from("!I", got.body)[0], got.body[4:])
            elif got.type == "E":
                raise ServerError(got.error())
            elif got.type == "Z":
                assert got.body == b"I", got
                return

    # Queries.

    def results(self, timeout=None):
        """Reads one answer up to ReadyForQuery as a Result. Text values are decoded."""
        result = Result()
        while True:
            got = self.read(timeout)
            result.messages.append(got)
            if got.type == "T":
                columns = parse_columns(got.body)
                result.columns = [c[0] for c in columns]
                result.column_types = [(c[1], c[2]) for c in columns]
                result.rows = []
            elif got.type == "D":
                result.rows.append([None if v is None else v.decode("utf-8", "replace") for v in got.row()])
            elif got.type == "C":
                result.tags.append(got.tag())
            elif got.type == "E":
                result.errors.append(ServerError(got.error()))
                if result.errors[-1].severity in ("FATAL", "PANIC"):
                    raise result.errors[-1]
            elif got.type == "N":
                result.notices.append(got.error())
            elif got.type == "S":
                name, value = got.body.split(b"\0")[:2]
                self.params[name.decode()] = value.decode()
            elif got.type == "Z":
                result.status = got.body.decode()
                return result

    def query(self, sql, check=True, timeout=None):
        """A simple query. With `check` the first error is raised (after ReadyForQuery was read)."""
        self.send(query(sql))
        result = self.results(timeout)
        if check and result.error:
            raise result.error
        return result

    def scalar(self, sql):
        return self.query(sql).scalar()

    def extended(self, sql, params=(), name="", types=(), check=True):
        """Parse, Bind, Describe, Execute, Sync in one write."""
        self.send(parse(sql, name, types), bind(params, name), describe("P"), execute(), sync())
        result = self.results()
        if check and result.error:
            raise result.error
        return result

    def wait_readable(self, timeout=None):
        return bool(self.buffer) or bool(select.select([self.sock], [], [], timeout or self.timeout)[0])

    # Ends.

    def terminate(self):
        try:
            self.send(terminate())
        except OSError:
            pass
        self.close()

    def abort(self):
        """Ends with a TCP reset, as a crashed machine's kernel would."""
        try:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
        self.close()

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass
