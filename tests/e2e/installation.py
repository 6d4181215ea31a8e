#!/usr/bin/env python3
"""What `cmake --install` puts where, and that other projects find it: by find_package and by pkg-config."""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
PREFIX = Path("usr/local")

PROGRAMS = (
    "tandem-bench", "tandem-failoverd", "tandem-kv", "tandem-qemu", "tandemctl", "tandemd",
)
# Below the prefix; LIB is the library directory.
FILES = {
    *(f"bin/{program}" for program in PROGRAMS),
    "include/tandem/error_code.h",
    "include/tandem/tandem.h",
    "LIB/libtandem.so",
    "LIB/libtandem.so.0",
    "LIB/libtandem.so.VERSION",
    "LIB/cmake/Tandem/TandemConfig.cmake",
    "LIB/cmake/Tandem/TandemConfigVersion.cmake",
    "LIB/cmake/Tandem/TandemTargets.cmake",
    "LIB/pkgconfig/tandem.pc",
    "lib/systemd/system/tandem-failoverd.service",
    "lib/systemd/system/tandemd.service",
    "share/doc/tandem/tandem.conf.example",
    "share/doc/tandem/quickstart.conf",
    "share/doc/tandem/README.md",
    "share/doc/tandem/LICENSE",
    "share/doc/tandem/CHANGELOG.md",
    "share/doc/tandem/dirty-tracking.md",
    "share/doc/tandem/examples/jacobi/CMakeLists.txt",
    "share/doc/tandem/examples/jacobi/keeper.c",
    "share/man/man1/tandem-kv.1",
    "share/man/man3/libtandem.3",
    "share/man/man3/tandem_open.3",
    "share/man/man8/tandemctl.8",
}
OCF_AGENT = Path("usr/lib/ocf/resource.d/tandem/pair")
# Nothing else may come to be in these.
CLOSED = ("bin", "include", "lib/systemd/system")

SMALL_PROGRAM = """\
#include <stdio.h>
#include <tandem/tandem.h>

int main(void)
{
	struct tandem_options options = TANDEM_OPTIONS_DEFAULT;
	struct tandem_error error;
	struct tandem *tandem;

	options.pair = "none";
	options.run_directory = "/nonexistent";
	int code = tandem_open(&options, &tandem, &error);
	printf("%s: %s\\n", tandem_error_name(code), tandem_error_text(code));
	return code == TANDEM_E_SYSTEM ? 0 : 1;
}
"""


class Failure(Exception):
    pass


def run(*command, **options):
    ended = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, timeout=120, **options
    )
    if ended.returncode != 0:
        raise Failure(f"{' '.join(map(str, command))}: {ended.returncode}\n{ended.stdout}{ended.stderr}")
    return ended.stdout


class Installation:
    """A copy of what is built, below a directory of its own."""

    def __init__(self, build, root):
        self.root = root
        run("cmake", "--install", build, "--prefix", f"/{PREFIX}",
            env={**os.environ, "DESTDIR": str(root)})
        self.prefix = root / PREFIX
        found = list(self.prefix.glob("lib*/**/tandem.pc"))
        if len(found) != 1:
            raise Failure(f"tandem.pc: {found}")
        self.libraries = found[0].parent.parent
        self.version = run("pkg-config", "--modversion", found[0]).strip()

    def environment(self):
        return {**os.environ, "LD_LIBRARY_PATH": str(self.libraries),
                "PKG_CONFIG_PATH": str(self.libraries / "pkgconfig")}

    def check_files(self):
        library = str(self.libraries.relative_to(self.prefix))
        for name in FILES:
            place = name.replace("LIB", library, 1) if name.startswith("LIB") else name
            if not (self.prefix / place.replace("VERSION", self.version)).is_file():
                raise Failure(f"{place} is not installed")
        for folder in CLOSED:
            there = {str(path.relative_to(self.prefix))
                     for path in (self.prefix / folder).rglob("*") if path.is_file()}
            more = there - FILES
            if more:
                raise Failure(f"{sorted(more)} is installed, and nobody asked for it")
        if not os.access(self.root / OCF_AGENT, os.X_OK):
            raise Failure(f"{OCF_AGENT} is not there, or cannot be run")

    def check_programs(self):
        for program in PROGRAMS:
            run(self.prefix / "bin" / program, "--help")
        unit = (self.prefix / "lib/systemd/system/tandemd.service").read_text()
        if f"/{PREFIX}/bin/tandemd" not in unit:
            raise Failure(f"tandemd.service starts something else:\n{unit}")

    def check_pkg_config(self, folder):
        """A program of one file, built without CMake; the name that it is linked to outlives updates."""
        folder.mkdir()
        source, program = folder / "small.c", folder / "small"
        source.write_text(SMALL_PROGRAM)
        flags = run("pkg-config", "--cflags", "--libs", "tandem", env=self.environment()).split()
        run("cc", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", source, *flags, "-o", program)
        said = run(program, env=self.environment())
        if said != "SYSTEM: system call failed\n":
            raise Failure(f"the small program said {said!r}")
        if "[libtandem.so.0]" not in run("readelf", "-d", program):
            raise Failure("the program is not linked to libtandem.so.0")

    def check_cmake(self, folder):
        """The installed example, as a project of its own."""
        source = self.prefix / "share/doc/tandem/examples/jacobi"
        run("cmake", "-S", source, "-B", folder, f"-DCMAKE_PREFIX_PATH={self.prefix}")
        run("cmake", "--build", folder)
        said = run(folder / "jacobi", "--standalone", "--size", "64", "--iterations", "100", "--json")
        if '"iterations": 100' not in said:
            raise Failure(f"jacobi said {said!r}")

    def check_cplusplus(self):
        """The header is C++, too."""
        run("clang", "-x", "c++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only",
            f"-I{self.prefix}/include", "-include", "tandem/tandem.h", "/dev/null")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("build", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tandem-installation-") as directory:
        folder = Path(directory)
        try:
            installation = Installation(options.build, folder / "root")
            installation.check_files()
            installation.check_programs()
            installation.check_pkg_config(folder / "small")
            installation.check_cmake(folder / "build")
            installation.check_cplusplus()
        except Failure as failure:
            print(failure)
            return 1
    print("installed, found by pkg-config and find_package, built and run")
    return 0


if __name__ == "__main__":
    sys.exit(main())
