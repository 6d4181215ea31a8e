#!/usr/bin/env python3
"""Nothing is left for later without an issue, and no code sleeps in a comment."""

import re

import sources

# Spelled so that this file does not find itself.
_LATER = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b")
_TEXT_FILES = ("*.c", "*.h", "*.py", "*.sh", "*.cmake", "CMakeLists.txt", "*.conf", "*.md")
_STATEMENT = re.compile(
    r"""^[\s*/]*(
        (if|for|while|switch)\s*\(.*\)\s*\{?      # a head with nothing behind it
      | (return|goto|break|continue)\b[^.]*;
      | [A-Za-z_][\w.\->\[\]*\s]*[-+|&^]?=[^=].*; # an assignment
      | [a-z_][a-z0-9_]*\(.*\);                   # a call
      | \#\s*(include|define|if|ifdef|endif)\b.*
      | [{}]\s*
    )\s*(\*/)?\s*$""",
    re.VERBOSE,
)


def dead_code(text):
    """(line, code) of comment lines that a compiler would take."""
    for first, comment in sources.comments(text):
        for offset, line in enumerate(comment.split("\n")):
            if _STATEMENT.match(line) and re.search(r"[A-Za-z{}]", line):
                yield first + offset, line.strip()


def check(root):
    mistakes, checked = [], 0
    for path in sources.files(root, *_TEXT_FILES):
        checked += 1
        text = sources.read(root, path)
        for number, line in enumerate(text.split("\n"), 1):
            if _LATER.search(line):
                mistakes.append(f"{path}:{number}: {line.strip()[:80]}: write an issue instead")
        if path.suffix in (".c", ".h"):
            mistakes += [
                f"{path}:{number}: code in a comment: {line[:80]}"
                for number, line in dead_code(text)
            ]
    return mistakes, checked


if __name__ == "__main__":
    sources.main(check)
