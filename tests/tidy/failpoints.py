#!/usr/bin/env python3
"""The failpoints of the table in base, of the code and of docs/testing.md are the same."""

import re

import sources

TABLE = "base/include/tandem/failpoint_table.h"
DOCUMENT = "docs/testing.md"

_ROW = re.compile(r'\bX\((\w+), (NOTHING|ERROR|SKIP), "([^"]*)"\)')
_PASSAGE = re.compile(r"\b(?:TANDEM_FAILPOINT(?:_FIRES)?|tandem_failpoint_pass)\(([^;]*?)\)", re.DOTALL)


def table(text):
    """[(name, what it obeys, where)] of the header."""
    return _ROW.findall(text)


def passed(text):
    """Names that code passes, each as often as it stands there."""
    code = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    return [name for call in _PASSAGE.findall(code) for name in re.findall(r'"(\w+)"', call)]


def line(name, obeys, where):
    more = {"NOTHING": "", "ERROR": "`error`", "SKIP": "`skip`"}[obeys]
    return f"| `{name}` | {where} | {more} |"


def compare(rows, code, document):
    """code: {name: places}."""
    names = [name for name, _, _ in rows]
    mistakes = [f"{TABLE}: {name} stands twice" for name in sorted(set(names)) if names.count(name) > 1]
    mistakes += [f"{TABLE}: no code passes {name}" for name in names if name not in code]
    mistakes += [f"{place}: the failpoint {name} is not in {TABLE}"
                 for name, places in sorted(code.items()) if name not in names for place in places]
    lines = set(document.split("\n"))
    mistakes += [f"{DOCUMENT} lacks the line: {line(*row)}" for row in rows if line(*row) not in lines]
    told = re.findall(r"^\| `(\w+)` \|.*\|$", _section(document), re.MULTILINE)
    mistakes += [f"{DOCUMENT}: {name} is not in {TABLE}" for name in told if name not in names]
    return mistakes


def _section(document):
    return document.partition("\n## Failpoints\n")[2].partition("\n## ")[0]


def check(root):
    rows = table(sources.read(root, TABLE))
    code = {}
    for path in sources.files(root, "*.c"):
        if path.parts[0] in sources.ROOMS and path.parts[0] != "base":
            for name in passed(sources.read(root, path)):
                code.setdefault(name, []).append(path)
    return compare(rows, code, sources.read(root, DOCUMENT)), len(rows)


if __name__ == "__main__":
    sources.main(check)
