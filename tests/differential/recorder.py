"""A scripted session and what its client saw.

A session is a function that takes a Talk; @session registers it with the pool modes it is run in and the peers it is
compared with. Each message that arrives becomes one line (normalise.render), so that two transcripts are compared by
lines. A session never fails by itself: an end or a silence is a line, too.
"""

import ssl

import normalise
from harness import system, wire
from harness.pgweir import SLOW

MODES = ("session", "transaction", "statement")
PATIENCE = 6.0  # how long an answer may take before `silence` is noted

SESSIONS = {}


class Session:
    def __init__(self, run, modes, peers, console, login, settings):
        self.name, self.run, self.modes, self.peers = run.__name__, run, modes, peers
        self.console, self.login, self.settings = console, login, settings


def session(modes=MODES, peers=("postgres", "pgbouncer"), console=False, login=True, **settings):
    """Registers a session. `login`: it begins logged in as app. `console`: it talks to the console, compared with PgBouncer.
    `settings`: what both poolers' configuration has beside the usual (see conftest.configuration)."""

    def register(run):
        assert run.__name__ not in SESSIONS, run.__name__
        where = ("transaction",) if console and modes == MODES else modes
        against = ("pgbouncer",) if console else peers
        SESSIONS[run.__name__] = Session(run, where, against, console, login, settings)
        return run

    return register


class Line:
    """One connection of a session. What it sees goes to the transcript under its number."""

    def __init__(self, talk, number, target):
        self.talk, self.number, self.target = talk, number, target
        self.over = False
        self.rows = normalise.Rows() if talk.console else None
        self.conn = target.open()

    def note(self, text):
        self.talk.lines.append("%d %s" % (self.number, text))

    def send(self, *messages):
        """One write."""
        if self.over:
            return
        try:
            self.conn.send(*messages)
        except OSError:
            pass  # the reader notes the end

    def read(self, patience=PATIENCE):
        """The next message, or None when there is none: noted."""
        if self.over:
            return None
        try:
            return self.conn.read(patience * SLOW)
        except (wire.ConnectionClosed, ConnectionResetError, BrokenPipeError, ssl.SSLError):
            rest = bytes(self.conn.buffer)
            self.note("closed" + (" within %r" % rest if rest else ""))
        except TimeoutError:
            self.note("silence")
        self.over = True
        self.conn.close()
        return None

    def take(self, until):
        """Notes what comes up to and with the first message of a type in `until`; returns that one."""
        while True:
            got = self.read()
            if got is None:
                return None
            self.note(normalise.render(got, self.talk.known_oids, self.rows))
            if got.type in until:
                return got

    def ask(self, *messages, until="Z", times=1):
        """One write, and the answer up to `until`, that often."""
        self.note("-- %s" % b"".join(messages)[:70])
        self.send(*messages)
        for _ in range(times):
            got = self.take(until)
        return got

    def each(self, *messages, until="Z"):
        """The same messages, each in a write of its own behind a pause in which whatever is answered now arrives."""
        self.note("-- one by one: %s" % b"".join(messages)[:70])
        for one in messages:
            self.send(one)
            if not self.over:
                self.conn.silent(0.02)
        return self.take(until)

    def query(self, sql):
        return self.ask(wire.query(sql))

    def end(self):
        """Notes all that is left up to the end of the connection, which must come."""
        while self.take("") is not None:
            pass

    def leave(self):
        """An orderly end by the client."""
        self.send(wire.terminate())
        self.end()

    def drop(self):
        self.over = True
        self.conn.close()

    def silent(self, seconds=0.3):
        if not self.over:
            self.note("nothing more" if self.conn.silent(seconds) else "something more")

    # Start-up.

    def start(self, parameters, protocol=wire.PROTOCOL_3_0):
        self.send(wire.startup(parameters, protocol))

    def byte(self):
        """The one byte that answers a request for encryption."""
        try:
            self.note("byte %r" % self.conn.read_bytes(1, PATIENCE * SLOW))
        except (wire.ConnectionClosed, OSError):
            self.note("closed")
            self.over = True
        except TimeoutError:
            self.note("silence")
            self.over = True

    def tls(self, context):
        try:
            self.conn.wrap_tls(context, "localhost")
            self.note("tls")
        except (OSError, ssl.SSLError):
            self.note("no tls")
            self.over = True

    def welcome(self, user="app", password=None):
        """Authenticates as asked and notes all of it up to ReadyForQuery; the parameters sorted."""
        before, scram = len(self.talk.lines), None
        while True:
            got = self.take("RZE")
            if got is None or got.type in "ZE":
                break
            scram = self._prove(got.body, user, password or "", scram)
        if got is not None and got.type == "E":
            self.end()
        self.talk.lines[before:] = ["%d %s" % (self.number, line) for line in normalise.sort_welcome(
            [line.split(" ", 1)[1] for line in self.talk.lines[before:]])]

    def _prove(self, body, user, password, scram):
        kind = int.from_bytes(body[:4], "big")
        if kind == 3:
            self.send(wire.message("p", wire.cstr(password)))
        elif kind == 5:
            self.send(wire.message("p", wire.cstr(wire.md5_password(user, password, body[4:8]))))
        elif kind == 10:
            scram = wire.ScramClient(password)
            self.send(wire.sasl_initial("SCRAM-SHA-256", scram.first()))
        elif kind == 11:
            self.send(wire.message("p", scram.final(body[4:])))
        return scram

    def login(self, user="app", database="test", password=None, protocol=wire.PROTOCOL_3_0, **parameters):
        """A whole login, noted."""
        self.start({"user": user, **({} if database is None else {"database": database}), **parameters}, protocol)
        self.welcome(user, self.target.password(user) if password is None else password)
        return self

    def quiet_login(self, user="app", database="test", **parameters):
        """A login that is not the matter of the session."""
        try:
            self.conn.login(user, database, self.target.password(user), **parameters)
        except (wire.ServerError, wire.ConnectionClosed, OSError) as failure:
            self.note("login failed: %s" % failure)
            self.over = True
        return self

    def cancel(self):
        """Another connection asks to cancel what this one does; returns when the pooler has closed it."""
        self.cancel_with(wire.cancel_request(*self.conn.key))

    def cancel_with(self, request):
        with self.target.open() as other:
            other.send(request)
            try:
                other.closed(PATIENCE * SLOW)
            except TimeoutError:
                self.note("the cancel request's connection stays")


class Talk:
    """One run of one session with one target."""

    def __init__(self, target, known_oids=(), console=False, mode="session"):
        self.target, self.known_oids, self.console, self.mode = target, known_oids, console, mode
        self.lines, self.connections = [], []

    def raw(self):
        """A connection on which nothing has been said."""
        self.connections.append(Line(self, len(self.connections) + 1, self.target))
        return self.connections[-1]

    def new(self, user="app", database="test", **parameters):
        return self.raw().quiet_login(user, database, **parameters)

    def admin(self, user="admin", **parameters):
        """A connection to the console."""
        return self.new(user, "pgbouncer", **parameters)

    def wait(self, condition):
        """Until a fact about PostgreSQL holds (asked directly, past the pooler); noted when it does not come true."""
        try:
            system.wait_for(condition, PATIENCE * SLOW)
        except AssertionError:
            self.lines.append("- not reached")

    def finish(self):
        """Every connection still open is ended by Terminate; whatever comes then is noted."""
        for one in self.connections:
            if not one.over:
                one.leave()


def play(one, target, known_oids=(), mode="session"):
    """Runs a session with a target; returns its transcript."""
    talk = Talk(target, known_oids, one.console, mode)
    try:
        if one.login:
            first = talk.admin() if one.console else talk.new()
        else:
            first = talk.raw()
        one.run(first)
        talk.finish()
    finally:
        for line in talk.connections:
            line.conn.close()
    return talk.lines
