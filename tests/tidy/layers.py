#!/usr/bin/env python3
"""Who may include whom: DESIGN's arrows, what a core may see, where a library may be named."""

import re

import sources

SEES = {
    "base": {"base"},
    "transport": {"base", "transport"},
    "colo": {"base", "transport", "colo"},
    "failover": {"base", "failover"},
    "conf": {"base", "conf"},
    "qemu": {"base", "qemu"},
    "node": {"base", "transport", "colo", "failover", "conf", "qemu", "node"},
    "examples": {"base", "colo", "examples"},
}
# Everything else of the system is a clock, a thread, a descriptor, stdio or an allocation.
CORE_SYSTEM = {
    "stdbool.h", "stddef.h", "stdint.h", "stdatomic.h", "stdalign.h", "limits.h", "string.h",
    "inttypes.h",
}
# Libraries of functions that depend on their arguments alone.
CORE_LIBRARIES = {"sodium/crypto_auth_hmacsha256.h", "sodium/utils.h"}
# Headers of base that have a pure part: constants and plain structs.
CORE_BASE_BANNED = {"log.h", "memory.h", "failpoint.h"}
LIBRARIES = (
    (re.compile(r"^(infiniband|rdma)/"), ("transport/rdma",)),
    (re.compile(r"^sodium(/|\.h$)"), ("base/core",)),
    (re.compile(r"^libconfig\.h$"), ("conf/shell",)),
    (re.compile(r"^lmdb\.h$"), ("examples/tandem-kv",)),
    (re.compile(r"^json-c/"), ("failover/shell", "qemu/shell", "node")),
    (re.compile(r"^curl/"), ("failover/shell",)),
    (re.compile(r"^netlink/"), ("qemu/shell",)),
    (
        re.compile(r"^event2/"),
        ("failover/shell", "colo/shell", "transport/shell", "qemu/shell", "node", "examples"),
    ),
)
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)


def owners(root):
    """Public header -> room."""
    found = {}
    for path in sources.files(root, "*.h"):
        parts = path.parts
        if len(parts) > 3 and parts[1:3] == ("include", "tandem"):
            found["/".join(parts[2:])] = parts[0]
    return found


def includes(text):
    for match in _INCLUDE.finditer(sources.blank(text, keep_strings=True)):
        yield text.count("\n", 0, match.start(2)) + 1, match.group(1) == '"', match.group(2)


def check_core(path, is_quoted, header):
    if is_quoted:
        return "a core may not see a shell" if "shell/" in header else None
    if header.startswith("tandem/"):
        name = header.split("/", 1)[1]
        return "a core may not see this header" if name in CORE_BASE_BANNED else None
    return None if header in CORE_SYSTEM | CORE_LIBRARIES else "a core may not see the system"


def check_include(owner_of, path, is_quoted, header):
    room = path.parts[0]
    if is_quoted and header.startswith("tandem/"):
        return "public headers are included with <>"
    if header.startswith("tandem/"):
        owner = owner_of.get(header)
        if owner is None:
            return "no room has this header"
        if owner not in SEES[room]:
            return f"{room} may not know {owner}"
    for pattern, places in LIBRARIES:
        is_place = any(str(path).startswith(place + "/") for place in places)
        if pattern.search(header) and not is_place:
            return f"only {', '.join(places)} may name this library"
    if "include" in path.parts and re.match(r"event2/|infiniband/|rdma/", header):
        return "a public header shows no library's types"
    if "core" in path.parts[1:-1]:
        return check_core(path, is_quoted, header)
    return None


def check_quoted(root, path, header):
    """A quoted include is found from the file's folder or the room's, and stays in the room."""
    room = (root / path.parts[0]).resolve()
    for base in ((root / path).parent, root / path.parts[0]):
        target = (base / header).resolve()
        if target.is_file():
            return None if target.is_relative_to(room) else "a quoted include leaves the room"
    return "no such file in this room"


def check(root):
    root = sources.Path(root)
    owner_of = owners(root)
    mistakes, checked = [], 0
    for path in sources.files(root, "*.c", "*.h"):
        if path.parts[0] not in SEES:
            continue
        checked += 1
        for line, is_quoted, header in includes(sources.read(root, path)):
            why = check_include(owner_of, path, is_quoted, header)
            if why is None and is_quoted:
                why = check_quoted(root, path, header)
            if why:
                mistakes.append(f"{path}:{line}: {header}: {why}")
    return mistakes, checked


if __name__ == "__main__":
    sources.main(check)
