#!/usr/bin/env python3
"""libtandem exports exactly what the installed headers mark with TANDEM_API, and what its list of
symbols names: what is added or removed shows in a review."""

import re
import subprocess

import sources

HEADERS = ("colo/include/tandem/tandem.h", "base/include/tandem/error_code.h")
LIST = "colo/libtandem.symbols"
_DECLARED = re.compile(r"TANDEM_API\s+(?!__attribute)[^;{(]*?\b(tandem_\w+)\s*\(")


def declared(root):
    return {
        name
        for header in HEADERS
        if (sources.Path(root) / header).is_file()
        for name in _DECLARED.findall(sources.blank(sources.read(root, header)))
    }


def exported(library):
    listing = subprocess.run(
        ["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True
    ).stdout
    names = {line.split()[-1].split("@")[0] for line in listing.splitlines() if line}
    # Instrumented builds add their own.
    return {name for name in names if not re.match(r"^_", name)}


def check(root, library):
    wanted, found = declared(root), exported(library)
    listed = set(sources.read(root, LIST).split())
    mistakes = [f"{name} is declared, but not exported" for name in wanted - found]
    mistakes += [f"{name} is exported, but not declared" for name in found - wanted]
    mistakes += [f"{LIST}: {name} is exported, but not listed" for name in found - listed]
    mistakes += [f"{LIST}: {name} is listed, but not exported" for name in listed - found]
    return sorted(mistakes), len(wanted)


if __name__ == "__main__":
    sources.main(check)
