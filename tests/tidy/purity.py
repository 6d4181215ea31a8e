#!/usr/bin/env python3
"""A core that cannot link against a clock, a socket or an allocator cannot use one: which symbols
do the archives of the cores leave to others?"""

import re
import subprocess
import sys

import sources

PURE = {
    "memcpy", "memmove", "memset", "memcmp", "bcmp", "memchr", "memrchr", "memmem",
    "strlen", "strnlen", "strcmp", "strncmp", "strchr", "strrchr", "strstr", "strspn", "strcspn",
    "__memcpy_chk", "__memmove_chk", "__memset_chk",
    "__assert_fail", "__stack_chk_fail", "_GLOBAL_OFFSET_TABLE_", "__popcountdi2",
    # libsodium: functions of their arguments alone
    "crypto_auth_hmacsha256_init", "crypto_auth_hmacsha256_update", "crypto_auth_hmacsha256_final",
    "sodium_memcmp", "sodium_bin2base64", "sodium_base642bin",
    "__cpu_model", "__cpu_indicator_init",  # which instructions the processor has
}
INSTRUMENTS = re.compile(
    r"^_*(start|stop)?_*(asan|ubsan|tsan|lsan|sanitizer|sancov|gcov|llvm_gcov|llvm_profile|llvm_prf)"
)


def symbols(archive):
    """Undefined as {symbol: member}, and defined."""
    listing = subprocess.run(
        ["nm", "-g", archive], capture_output=True, text=True, check=True
    ).stdout
    undefined, defined, member = {}, set(), "?"
    for line in listing.splitlines():
        if line.endswith(":"):
            member = line[:-1]
            continue
        fields = line.split()
        if len(fields) == 2 and fields[0] in "Uvw":
            undefined.setdefault(fields[1], member)
        elif len(fields) == 3:
            defined.add(fields[2])
    return undefined, defined


def check(*archives):
    listed = {archive: symbols(archive) for archive in archives}
    of_cores = set().union(*(defined for _, defined in listed.values())) if listed else set()
    mistakes = [
        f"{archive}: {member} uses {symbol}, which no core has"
        for archive, (undefined, _) in listed.items()
        for symbol, member in sorted(undefined.items())
        if symbol not in of_cores and symbol not in PURE and not INSTRUMENTS.match(symbol)
    ]
    return mistakes, len(archives)


if __name__ == "__main__":
    sys.exit(sources.finish(*check(*sys.argv[1:])))
