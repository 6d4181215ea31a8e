#!/usr/bin/env python3
"""Each function that is exported and each program that is installed has a man page, and mandoc finds
nothing wrong with any."""

import subprocess
import sys
from pathlib import Path

import exports
import sources


def lint(page):
    """What mandoc complains about."""
    ended = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, text=True, check=False
    )
    said = (ended.stdout + ended.stderr).splitlines()
    if ended.returncode != 0 and not said:
        said = [f"mandoc ended with {ended.returncode}"]
    return said


def check(folder, library, *programs):
    folder = Path(folder)
    pages = sorted(folder.glob("man*/*"))
    there = {page.stem for page in pages}
    wanted = exports.exported(library) | set(programs) | {"libtandem"}
    mistakes = [f"{name} has no man page" for name in sorted(wanted - there)]
    mistakes += [f"{name} has a man page, and is not there" for name in sorted(there - wanted)]
    for page in pages:
        mistakes += [f"{page.name}: {line}" for line in lint(page)]
    return mistakes, len(pages)


if __name__ == "__main__":
    sys.exit(sources.finish(*check(*sys.argv[1:])))
