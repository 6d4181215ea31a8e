#!/usr/bin/env python3
"""Each public header compiles alone, and twice, with strict warnings and without our flags."""

import subprocess
from concurrent.futures import ThreadPoolExecutor

import sources


def compile_twice(root, compiler, path):
    name = "/".join(path.parts[2:])
    folders = [f"-I{root / room / 'include'}" for room in sources.ROOMS]
    ended = subprocess.run(
        [compiler, "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only",
         *folders, "-x", "c", "-"],
        input=f"#include <{name}>\n#include <{name}>\nint only_a_header;\n",
        capture_output=True, text=True, check=False,
    )
    first = next((line for line in ended.stderr.splitlines() if "error" in line), ended.stderr)
    return f"{path}: {first}" if ended.returncode != 0 else None


def check(root, compiler="cc"):
    root = sources.Path(root)
    paths = [
        path
        for path in sources.files(root, "*.h")
        if len(path.parts) > 3 and path.parts[1:3] == ("include", "tandem")
    ]
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda path: compile_twice(root, compiler, path), paths))
    return [result for result in results if result], len(paths)


if __name__ == "__main__":
    sources.main(check)
