#!/usr/bin/env python3
"""Calls that were a mistake once: each with what to write instead."""

import re
from collections import Counter

import sources

WAITS = {
    name: "wait for the thing itself, with a deadline"
    for name in ("sleep", "usleep", "nanosleep", "clock_nanosleep")
}
TEXTS = {
    "sprintf": "snprintf", "vsprintf": "vsnprintf", "strcpy": "snprintf or memcpy",
    "strcat": "snprintf", "gets": "fgets", "atoi": "strtol with its checks",
    "atol": "strtol with its checks", "atoll": "strtoll with its checks",
    "alloca": "a bounded array", "strtok": "strtok_r",
}
MEMORY = {
    name: "tandem_memory_*"
    for name in ("malloc", "calloc", "realloc", "reallocarray", "free", "strdup", "strndup",
                 "asprintf", "vasprintf", "aligned_alloc", "posix_memalign")
}
# A library that hands out memory wants it back its own way. File, call: how often; not more, and
# not less, so that the list stays true.
ALLOWED = {
    ("failover/shell/admin.c", "free"): 1,  # evbuffer_readln
    ("qemu/shell/qmp.c", "free"): 1,
}
_CALL = re.compile(r"(?<![\w.>])([a-z_]+)\s*\(")


def banned_in(path):
    """Tests are programs of their own: they may copy texts, but not wait blindly."""
    if path.parts[0] == "tests":
        return WAITS
    if path.parts[0] == "base":
        return {**WAITS, **TEXTS}
    return {**WAITS, **TEXTS, **MEMORY}


def calls(text):
    for match in _CALL.finditer(sources.blank(text)):
        yield text.count("\n", 0, match.start()) + 1, match.group(1)


def check(root, allowed=None):
    allowed = ALLOWED if allowed is None else allowed
    mistakes, seen, checked = [], Counter(), 0
    for path in sources.files(root, "*.c", "*.h"):
        checked += 1
        instead = banned_in(path)
        for line, name in calls(sources.read(root, path)):
            if name not in instead:
                continue
            key = (str(path), name)
            seen[key] += 1
            if seen[key] > allowed.get(key, 0):
                mistakes.append(f"{path}:{line}: {name}(): write {instead[name]}")
    for (path, name), count in allowed.items():
        if seen[path, name] < count:
            mistakes.append(
                f"tests/tidy/banned.py: {path} calls {name}() {seen[path, name]} times, "
                f"{count} are allowed: shorten the list"
            )
    return mistakes, checked


if __name__ == "__main__":
    sources.main(check)
