"""The fenced blocks of docs/operations.md and docs/quick-reference.md, and who runs each kind of them.

A fence's info string is KIND ATTRIBUTE...: the kind is one of RUNNERS; an attribute is NAME or NAME=VALUE, with an
underscore for each blank. A block of another kind, or without one, is run by nobody: that fails a test.

    sql console    psql on the console      setup=COMMAND;...  before it;  error=WORDS  the words it must fail with
    sql postgres   psql on PostgreSQL, as a superuser, in the database app
    sh             bash as root in a booted Debian with the package    status=N;  install: before the package is there
    ini pgweir     pgweir --check-config, without an error and without a warning
    conf hba       the HBA file of such a configuration
    yaml ...       promtool check config
    python, java, js   that language, with its PostgreSQL driver; prints OK
    text diagram   a picture
"""

import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
PAGES = ("docs/operations.md", "docs/quick-reference.md")
RUNNERS = {
    "sql console": "tests/functional/test_documents.py",
    "sql postgres": "tests/functional/test_documents.py",
    "ini pgweir": "tests/functional/test_documents.py",
    "conf hba": "tests/functional/test_documents.py",
    "yaml prometheus": "tests/functional/test_documents.py",
    "sh": "tests/system/test_documents.py",
    "python": "tests/drivers/test_documents.py",
    "java": "tests/drivers/test_documents.py",
    "js": "tests/drivers/test_documents.py",
    "text diagram": None,
}
FENCE = re.compile(r"^( *)(`{3,}|~{3,})([^\n]*)\n(.*?)^\1\2[ ]*$", re.M | re.S)


class Block:
    def __init__(self, page, line, info, text):
        self.page, self.line, self.text = page, line, text
        words = info.split()
        self.kind = next((kind for kind in (" ".join(words[:2]), words[0] if words else "") if kind in RUNNERS), None)
        rest = words[len(self.kind.split()):] if self.kind else words
        pairs = [word.partition("=") for word in rest]
        self.attributes = {name: value.replace("_", " ") if value else True for name, _, value in pairs}

    @property
    def where(self):
        return "%s:%d" % (os.path.basename(self.page), self.line)


def read(page):
    with open(os.path.join(HERE, "..", page), encoding="utf-8") as file:
        return file.read()


def blocks_of(page, text):
    return [Block(page, text.count("\n", 0, found.start()) + 1, found.group(3).strip(), found.group(4))
            for found in FENCE.finditer(text)]


def all_blocks():
    return [block for page in PAGES for block in blocks_of(page, read(page))]


def blocks(*kinds):
    assert all(kind in RUNNERS for kind in kinds)
    return [block for block in all_blocks() if block.kind in kinds]


def prose_of(text):
    """The page without its blocks."""
    return FENCE.sub("", text)


def table_behind(text, heading):
    """The rows of the first table whose header begins with this cell: lists of cells."""
    lines = text.split("\n")
    start = next(at for at, line in enumerate(lines) if line.startswith("| %s |" % heading))
    rows = []
    for line in lines[start + 2:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows
