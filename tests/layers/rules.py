"""The rules of the house as functions: text in, complaints out. test_layers.py runs them over the tree and over bad
samples, which each rule must catch."""

import os
import re

# DESIGN, section 2. tools is not a library; a room of the table may include itself.
ROOMS = {
    "base": (),
    "wire": ("base",),
    "auth": ("base",),
    "net": ("base",),
    "settings": ("base", "auth"),
    "vouch": ("base", "auth"),
    "track": ("base", "wire"),
    "pool": ("base", "wire", "settings", "track"),
    "session": ("base", "wire", "net", "settings", "track", "pool"),
    "login": ("base", "wire", "auth", "net", "settings", "vouch", "track", "pool", "session"),
    "relay": ("base", "wire", "net", "settings", "track", "pool", "session"),
    "admin": ("base", "wire", "net", "settings", "track", "pool", "session"),
    "workers": ("base", "wire", "auth", "net", "settings", "track", "pool", "session", "login", "relay", "admin"),
    "service": ("base", "wire", "auth", "net", "settings", "track", "pool", "session", "login", "relay", "admin",
                "workers"),
    "tools": ("base", "auth", "settings"),
}

# Headers that only some rooms may see.
OWNED = (
    (re.compile(r"^(event2/|event\.h|evutil\.h|evdns\.h)"), ("net",), "libevent"),
    (re.compile(r"^ares(_\w+)?\.h"), ("net",), "c-ares"),
    (re.compile(r"^openssl/ssl\.h"), ("net",), "openssl/ssl.h"),
    (re.compile(r"^systemd/"), ("service",), "systemd"),
    (re.compile(r"^(iniparser\.h|dictionary\.h|iniparser/)"), ("settings",), "iniparser"),
    (re.compile(r"^(ldap|lber)\.h|^security/"), ("vouch",), "libldap and libpam"),
    (re.compile(r"^libpq-fe\.h"), ("tools",), "libpq"),
)

HARD_LINES = 800
RELAY_LINES = 500
HARD_FUNCTION = 60

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def strip(text):
    """The text with comments and the insides of literals blanked; lines and columns stay where they are."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9A-Fa-f])\'(?:\\.|[^\'\\\n])+\'', re.S)

    def blank(found):
        piece = found.group(0)
        if piece[0] in "\"'R":
            first = piece.index('"') if '"' in piece and piece[0] == "R" else 0
            return piece[: first + 1] + re.sub(r"[^\n]", "_", piece[first + 1 : -1]) + piece[-1]
        return re.sub(r"[^\n]", " ", piece)

    return pattern.sub(blank, text)


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def include_edges(room, text):
    """Wrong edges of one file of `room`."""
    bad = []
    for found in INCLUDE.finditer(re.sub(r"//[^\n]*", "", text)):
        style, name = found.groups()
        where = line_of(text, found.start())
        for pattern, rooms, what in OWNED:
            if pattern.match(name) and room not in rooms:
                bad.append("%d: %s belongs to %s only" % (where, what, "/".join(rooms)))
        if style == "<":
            if name.split("/")[0] in ROOMS and "/" in name and name.endswith(".hpp"):
                bad.append('%d: include "%s" with quotes' % (where, name))
            continue
        other = name.split("/")[0]
        if "/" not in name:
            bad.append('%d: include "%s" must name its room' % (where, name))
        elif other not in ROOMS:
            bad.append('%d: unknown room in "%s"' % (where, name))
        elif other != room and other not in ROOMS[room]:
            bad.append("%d: %s may not include %s" % (where, room, name))
    return bad


def tool_edges(path, text):
    """Wrong edges between the tools: below daemon/tools a folder includes only itself and common."""
    folder = path.split("/")[2]
    return ["%d: the tool %s may not include %s" % (line_of(text, found.start()), folder, found.group(2))
            for found in INCLUDE.finditer(text)
            if found.group(2).startswith("tools/") and found.group(2).split("/")[1] not in (folder, "common")]


def too_long(path, text):
    limit = RELAY_LINES if path.endswith("relay/relay.cpp") else HARD_LINES
    lines = text.count("\n")
    return ["%d lines, at most %d are allowed" % (lines, limit)] if lines > limit else []


# DESIGN, section 8: `T name = co_await f(args);`, `co_await f(args);`, nothing else.
AWAIT_FORM = re.compile(r"(?:(?:const\s+)?[A-Za-z_][\w:<>,\s*&]*?[\w>&*]\s+[A-Za-z_]\w*\s*=\s*|[A-Za-z_]\w*\s*=\s*)?"
                        r"co_await\s+[A-Za-z_][\w.:>-]*(?:<[^;(){}]*>)?\([^{};]*\)$", re.S)


def statements_with(text, word):
    """(offset, statement) for every occurrence of a word; a statement runs from the last of ; { } to the next ;."""
    for found in re.finditer(r"\b%s\b" % word, text):
        begin = max(text.rfind(c, 0, found.start()) for c in ";{}") + 1
        end = text.find(";", found.start())
        yield found.start(), text[begin : end if end >= 0 else len(text)].strip()


def coroutine_form(text):
    """Every co_await in the one allowed form; every coroutine declares a local on its first line."""
    bad, code = [], strip(text)
    for at, statement in statements_with(code, "co_await"):
        if re.search(r"\boperator\s*$", code[max(0, at - 20) : at]):
            continue
        statement = re.sub(r"^(?:case\b[^:]*|default)\s*:(?!:)\s*", "", statement)
        if statement.count("co_await") > 1:
            bad.append("%d: more than one co_await in a statement" % line_of(code, at))
        elif re.search(r"\[[^\]]*\]\s*[({]", statement):
            bad.append("%d: a lambda in a co_await statement" % line_of(code, at))
        elif not AWAIT_FORM.match(statement):
            bad.append("%d: co_await not in the form `T name = co_await f(args);`: %s"
                       % (line_of(code, at), " ".join(statement.split())[:80]))
    for name, start, body in functions(code):
        if not re.search(r"\bco_(await|return|yield)\b", body):
            continue
        first = re.sub(r"\s+", " ", body.strip()).split(";")[0].strip()
        if not re.match(r"(?:\[\[\w+\]\] )?(?:const |static |auto |struct )*[A-Za-z_][\w:<>,*& ]*[ &*>][A-Za-z_]\w*(?: ?(?:=|\{|\().*)?$", first) \
                or re.match(r"(return|co_return|co_await|if|for|while|switch|delete|throw)\b", first):
            bad.append("%d: the first line of coroutine %s must declare a local" % (line_of(code, start), name))
    for found in re.finditer(r"\bawait_suspend\s*\(", code):
        before = code[max(0, found.start() - 60) : found.start()]
        if not re.search(r"\bbool\s+(?:[\w:]+::)?$", before) and not re.search(r"[.>]\s*$", before):
            bad.append("%d: await_suspend must return bool" % line_of(code, found.start()))
    return bad


FUNCTION = re.compile(r"(?:^|\n)[ \t]*(?:template\s*<[^;{}]*>\s*)?(?:[A-Za-z_~][\w:<>,&*\s\[\]]*?[\s&*>:])?"
                      r"(?P<name>(?:[A-Za-z_]\w*::)*(?:~?[A-Za-z_]\w*|operator\s*\S+))\s*\((?P<args>[^;{}]*?)\)"
                      r"\s*(?:const|noexcept|override|final|&&?|->\s*[\w:<>,\s*&]+|\s)*(?::\s*[^;{}]*(?:\{[^{}]*\}[^;{}]*)*)?\{")
NOT_FUNCTIONS = {"if", "for", "while", "switch", "catch", "return", "sizeof", "static_assert", "else", "do"}


def functions(code):
    """(name, offset, body) of the functions of stripped code, found by their braces."""
    at = 0
    while True:
        found = FUNCTION.search(code, at)
        if not found:
            return
        if found.group("name") in NOT_FUNCTIONS:
            at = found.start("name") + len(found.group("name"))
            continue
        depth, end = 1, found.end()
        while depth and end < len(code):
            depth += {"{": 1, "}": -1}.get(code[end], 0)
            end += 1
        yield found.group("name"), found.start("name"), code[found.end() : end - 1]
        at = end


def long_functions(text):
    code = strip(text)
    return ["%d: %s has %d lines, at most %d are allowed" % (line_of(code, start), name, body.count("\n"), HARD_FUNCTION)
            for name, start, body in functions(code) if body.count("\n") > HARD_FUNCTION + 1]


LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|`((?:daemon|tests|docs|etc|man|cmake|systemd|packaging|debian|rpm|\.ci)/[\w./-]*\w)`")


def broken_links(root, folder, text):
    """Links of a Markdown page: files must exist, and behind # the named symbol must occur in the file (or, in a
    Markdown file, be a heading)."""
    bad = []
    for found in LINK.finditer(re.sub(r"```.*?```", lambda m: re.sub(r"[^\n]", " ", m.group(0)), text, flags=re.S)):
        target = found.group(1) or found.group(2)
        if re.match(r"[a-z]+:", target):
            continue
        path, _, symbol = target.partition("#")
        base = root if found.group(2) else os.path.join(root, folder)
        full = os.path.normpath(os.path.join(base, path)) if path else None
        where = line_of(text, found.start())
        if full and not os.path.exists(full):
            bad.append("%d: %s does not exist" % (where, path))
        elif symbol:
            with open(full, encoding="utf-8") if full else _Text(text) as source:
                content = source.read()
            if (full or ".md").endswith(".md"):
                heads = [re.sub(r"[^\w\- ]", "", h.strip().lower()).replace(" ", "-")
                         for h in re.findall(r"^#+\s*(.*)$", content, re.M)]
                known = symbol in heads
            else:
                known = re.search(r"\b%s\b" % re.escape(symbol.split("::")[-1]), content) is not None
            if not known:
                bad.append("%d: %s does not name %s" % (where, path, symbol))
    return bad


class _Text:
    def __init__(self, text):
        self.text = text

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def read(self):
        return self.text
