#!/usr/bin/env python3
"""libtandem exports exactly what <tandem/tandem.h> marks with TANDEM_API."""

import re
import subprocess

import sources

HEADER = "colo/include/tandem/tandem.h"
_DECLARED = re.compile(r"TANDEM_API\s+(?!__attribute)[^;{(]*?\b(tandem_\w+)\s*\(")


def declared(text):
    return set(_DECLARED.findall(sources.blank(text)))


def exported(library):
    listing = subprocess.run(
        ["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True
    ).stdout
    names = {line.split()[-1].split("@")[0] for line in listing.splitlines() if line}
    # Instrumented builds add their own.
    return {name for name in names if not re.match(r"^_", name)}


def check(root, library):
    wanted, found = declared(sources.read(root, HEADER)), exported(library)
    mistakes = [f"{HEADER}: {name} is declared, but not exported" for name in wanted - found]
    mistakes += [f"{library}: {name} is exported, but not declared" for name in found - wanted]
    return sorted(mistakes), len(wanted)


if __name__ == "__main__":
    sources.main(check)
