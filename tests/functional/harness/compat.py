"""The tables of compat/: read from ../shared/compat beside the checkout when they are there, else from the copies in
tests/compat. And what an existing test says, for tables of the tests that name others."""

import ast
import csv
import functools
import os
import re

from . import system

SHARED = os.path.join(os.path.dirname(system.ROOT), "shared", "compat")
OWN = os.path.join(system.ROOT, "tests", "compat")


def table(name):
    place = SHARED if os.path.exists(os.path.join(SHARED, name)) else OWN
    with open(os.path.join(place, name), newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def console_commands(text):
    """The table of commands in console.md, as rows of tests/compat/console.tsv."""
    lines = text.split("## 4. Commands", 1)[1].split("###", 1)[0].split("\n")
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines if line.startswith("|")]
    return "".join("\t".join(row) + "\n" for row in [["command", "who", "tag", "errors"], *rows[2:]])


@functools.lru_cache(maxsize=None)
def _parsed(file):
    path = os.path.join(system.ROOT, "tests", "functional", file)
    if not os.path.exists(path):
        return None
    with open(path) as source:
        lines = source.read().split("\n")
    tests, rest = {}, list(lines)
    for node in ast.parse("\n".join(lines)).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            first = min([node.lineno] + [d.lineno for d in node.decorator_list])
            tests[node.name] = "\n".join(lines[first - 1 : node.end_lineno])
            rest[first - 1 : node.end_lineno] = [""] * (node.end_lineno - first + 1)
    return tests, "\n".join(rest)


def source_of(name):
    """What `test_file.py::test_name` may use: its own text with decorators, and what belongs to no test of that file.
    None: there is no such test."""
    file, _, test = name.partition("::")
    found = _parsed(file)
    if found is None or test not in found[0]:
        return None
    return found[0][test] + "\n" + found[1]
