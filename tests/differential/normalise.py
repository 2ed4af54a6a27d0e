"""What must differ between two servers that say the same, and how it is made equal. This table is all of it: whatever else
differs is a difference. Each row: the name by which docs/differences.md tells of it, what it does, why it must."""

import struct
import zlib

from harness import wire


class Row:
    def __init__(self, name, why):
        self.name, self.why = name, why


TABLE = [
    Row("cancel keys", "BackendKeyData keeps its length only: process ids and secrets are random"),
    Row("notifier", "the process id in a NotificationResponse is dropped; channel and payload stay"),
    Row("order of the welcome", "the ParameterStatus messages before the first ReadyForQuery are sorted by name: their order "
        "means nothing, and a pooler sends first what it tracks last"),
    Row("salts and nonces", "of authentication requests stay the kind, the mechanisms, the iterations and the length of the "
        "salt: the rest is random"),
    Row("oids of own tables", "a table that the session has made itself is called `own` in a RowDescription: its oid is new "
        "each time; tables that were there before keep theirs"),
    Row("version of the console", "the console's server_version keeps `/bouncer` only"),
    Row("end of a connection", "an orderly end and a reset are both `closed`: which one it is depends on what lay unread in "
        "the kernel of the side that closed"),
    Row("values of SHOW", "on the console, values of rows are compared in columns that tell of configuration or state; counters, "
        "times, addresses, process ids and sizes become `*`; columns and types are compared always"),
]

AUTH_KINDS = {0: "ok", 3: "cleartext", 5: "md5", 10: "sasl", 11: "sasl continue", 12: "sasl final"}


def authentication(body):
    (kind,) = struct.unpack_from("!I", body)
    text = AUTH_KINDS.get(kind, str(kind))
    if kind == 10:
        text += " %r" % body[4:]
    elif kind == 11:
        parts = dict(item.split(b"=", 1) for item in body[4:].split(b","))
        text += " salt of %d, %s iterations" % (len(parts[b"s"]), parts[b"i"].decode())
    elif kind in (5, 12):
        text += ", %d bytes" % (len(body) - 4)
    elif len(body) > 4:
        text += " %r" % body[4:]
    return "R " + text


def fields(kind, body):
    """An error or notice with all of its fields, in their order."""
    assert body.endswith(b"\0\0"), body
    parts = [part.decode("utf-8", "backslashreplace").replace("\n", "\\n") for part in body[:-2].split(b"\0")]
    return "%s %s" % (kind, " | ".join("%s=%s" % (part[:1], part[1:]) for part in parts))


def description(body, known_oids):
    """A RowDescription, byte for byte but for oids of tables that are not among `known_oids`."""
    (count,) = struct.unpack_from("!h", body)
    at, columns = 2, []
    for _ in range(count):
        end = body.index(b"\0", at)
        table, number, oid, length, modifier, form = struct.unpack_from("!IhIhih", body, end + 1)
        whose = table if table < 16384 or table in known_oids else "own"
        columns.append("%s(table %s.%d type %d/%d/%d format %d)" % (body[at:end].decode("utf-8", "backslashreplace"), whose,
                                                                   number, oid, length, modifier, form))
        at = end + 19
    assert at == len(body), body
    return "T " + ", ".join(columns)


# Columns of SHOW whose values do not depend on time, place and load.
STABLE = set("""database user name force_user pool_mode paused disabled state key default changeable auth_type
    client_encoding default_transaction_isolation standard_conforming_strings datestyle timezone""".split())


class Rows:
    """Remembers the columns of the console's last result, to know which values to keep."""

    def __init__(self):
        self.columns = []

    def show(self, got):
        """The line of a row, or None when it is none."""
        if got.type == "T":
            self.columns = [column[0] for column in wire.parse_columns(got.body)]
            return None
        if got.type == "D":
            values = got.row()
            kept = ["%s=%r" % (name, value) if name in STABLE else "*" for name, value in zip(self.columns, values)]
            return "D " + " ".join(kept) if len(kept) == len(values) else None
        return None


def render(got, known_oids=(), rows=None):
    """One message as a line of text that is equal when the messages are."""
    if rows is not None:
        line = rows.show(got)
        if line is not None:
            return line
    if got.type == "R":
        return authentication(got.body)
    if got.type in "EN":
        return fields(got.type, got.body)
    if got.type == "S" and got.body.startswith(b"server_version\0") and got.body.endswith(b"/bouncer\0"):
        return "S server_version .../bouncer"
    if got.type == "K":
        return "K %d bytes" % len(got.body)
    if got.type == "A":
        return "A %r" % got.body[4:]
    if got.type == "T":
        return description(got.body, known_oids)
    if got.type == "D" and len(got.body) > 400:
        return "D of %d bytes, checksum %d" % (len(got.body), zlib.crc32(got.body))
    return "%s %r" % (got.type, got.body)


def sort_welcome(lines):
    """The ParameterStatus lines of a welcome in the order of their names."""
    parameters = sorted(line for line in lines if line.startswith("S "))
    if not parameters:
        return lines
    first = next(i for i, line in enumerate(lines) if line.startswith("S "))
    rest = [line for line in lines if not line.startswith("S ")]
    return rest[:first] + parameters + rest[first:]

