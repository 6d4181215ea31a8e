#!/usr/bin/env python3
"""clang-format has nothing to change; `clang-format -i FILE` repairs."""

import re
import shutil
import subprocess

import sources


def check(root, program="clang-format"):
    if not shutil.which(program):
        return [f"{program} is not installed (tools/install-dependencies)"], 1
    paths = sources.files(root, "*.c", "*.h")
    ended = subprocess.run(
        [program, "--dry-run", "-Werror", "--ferror-limit=1", *map(str, paths)],
        cwd=root, capture_output=True, text=True, check=False,
    )
    lines = re.findall(r"^(\S+:\d+):\d+: error: .*$", ended.stderr, re.MULTILINE)
    mistakes = [f"{line}: not as clang-format writes it" for line in lines]
    if ended.returncode != 0 and not mistakes:
        mistakes = [ended.stderr.strip() or f"{program} failed"]
    return mistakes, len(paths)


if __name__ == "__main__":
    sources.main(check)
