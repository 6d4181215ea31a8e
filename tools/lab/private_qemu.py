"""A QEMU newer than the computer's own: Debian packages, unpacked and never installed, with their
own C library, so that neither the system nor its release matters."""

import hashlib
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .apt import PrivateApt, machine_sources
from .errors import LabUnavailable
from .kernel import cache_folder, locked, os_release

VERSION = "11.1"
PACKAGE = "qemu-system-x86"
SUITES = ("trixie", "trixie-backports")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
PROGRAM = "qemu-system-x86_64"
LIBRARIES = "usr/lib/x86_64-linux-gnu"
DOWNLOAD_TIMEOUT_S = 900
URI_LINE = re.compile(r"'[^']+' (?P<file>\S+) \d+ SHA256:(?P<sha256>[0-9a-f]{64})")

# Modules, firmware and libraries are looked for in the folder alone. The shell becomes QEMU, so the
# process id stays.
WRAPPER = f"""\
#!/bin/sh
root=$(dirname "$(readlink -f "$0")")
export QEMU_MODULE_DIR="$root/{LIBRARIES}/qemu"
exec "$root/{LIBRARIES}/ld-linux-x86-64.so.2" --argv0 "$0" \\
	--library-path "$root/{LIBRARIES}:$root/{LIBRARIES}/pulseaudio" "$root/usr/bin/{PROGRAM}" \\
	-L "$root/usr/share/qemu" -L "$root/usr/share/seabios" -L "$root/usr/lib/ipxe/qemu" "$@"
"""


@dataclass(frozen=True)
class PrivateQemu:
    """Unpacked; `packages` are {"name", "version", "file", "sha256"} of what it is made of."""

    version: str
    folder: Path
    packages: tuple

    @property
    def program(self):
        """To be run as qemu-system-x86_64."""
        return self.folder / PROGRAM


def sources_for(system_sources, codename):
    """The suites on the mirror that the computer's own release comes from. They have to be signed
    by Debian's archive, whatever the computer trusts."""
    own = [source for source in system_sources
           if codename in source.suites and "main" in source.components.split()]
    if not own or not codename:
        raise LabUnavailable(f"/etc/apt has no source with the main component of '{codename}', "
                             f"whose mirror would have {' and '.join(SUITES)}, too")
    if not Path(KEYRING).exists():
        raise LabUnavailable(f"{KEYRING} is missing: install debian-archive-keyring")
    return [type(source)(source.uris, SUITES, "main", {"Signed-By": KEYRING}) for source in own[:1]]


def check_candidate(apt):
    """The package's whole version."""
    listed = apt.call("apt-cache", "madison", PACKAGE)
    versions = [line.split("|")[1].strip() for line in listed.splitlines() if line.count("|") == 2]
    for version in versions:
        if version.split(":")[-1].startswith(f"{VERSION}."):
            return version
    raise LabUnavailable(f"this computer's mirror has no {PACKAGE} {VERSION} in "
                         f"{' and '.join(SUITES)}, but {', '.join(versions) or 'none at all'}")


def parse_uris(text):
    """{file: SHA-256} of what apt would fetch."""
    return {match["file"]: match["sha256"] for match in URI_LINE.finditer(text)}


def describe(file, sha256):
    """A package's file is named NAME_VERSION_ARCHITECTURE.deb, with %3a for the colon."""
    name, version, _ = file.split("_")
    return {"name": name, "version": version.replace("%3a", ":"), "file": file, "sha256": sha256}


def check_archives(folder, wanted):
    """Each file is there and has the content that the signed lists name."""
    for file, sha256 in wanted.items():
        path = folder / file
        found = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "no file"
        if found != sha256:
            raise LabUnavailable(f"{path}: its SHA-256 is {found}, the signed package list has "
                                 f"{sha256}; remove the file and try again")


def unpack(archives, folder, packages, version):
    """The folder appears under its name only when its QEMU runs."""
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for archive in archives:
        subprocess.run(["dpkg-deb", "-x", archive, part], check=True)
    (part / PROGRAM).write_text(WRAPPER, encoding="ascii")
    (part / PROGRAM).chmod(0o755)
    command = [part / PROGRAM, "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if f"version {VERSION}." not in done.stdout:
        raise LabUnavailable(f"the unpacked {PACKAGE} {version} does not run: "
                             f"{done.stderr.strip() or done.stdout.strip()}")
    manifest = {"version": version, "packages": packages}
    (part / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="ascii")
    part.rename(folder)


def fetch(cache, say):
    system = os_release()
    sources = sources_for(machine_sources(), system.get("VERSION_CODENAME", ""))
    apt = PrivateApt(cache / f"apt-qemu-{VERSION}", sources)
    say(f"reading the package lists of {' and '.join(SUITES)} (own copy, the system's untouched)")
    apt.update()
    version = check_candidate(apt)
    folder = cache / "qemu" / version.split(":")[-1]
    if folder.is_dir():
        return folder
    install = ("install", "--yes", "--no-install-recommends", "-t", SUITES[-1],
               f"{PACKAGE}={version}")
    apt.call("apt-get", "clean")  # what is there already would not be named
    wanted = parse_uris(apt.call("apt-get", *install, "--print-uris",
                                 "-oAcquire::ForceHash=SHA256"))
    if not wanted:
        raise LabUnavailable(f"apt-get names no package that {PACKAGE} {version} is made of")
    say(f"downloading {PACKAGE} {version} and its libraries ({len(wanted)} packages, once)")
    apt.call("apt-get", *install, "--download-only", timeout_s=DOWNLOAD_TIMEOUT_S)
    archives = apt.folder / "cache/archives"
    check_archives(archives, wanted)
    unpack([archives / file for file in wanted], folder,
           [describe(file, sha256) for file, sha256 in sorted(wanted.items())], version)
    for file in wanted:
        (archives / file).unlink()
    return folder


def cached_folder(cache):
    """The newest that was fetched, or None."""
    def numbers(folder):
        return [int(number) for number in re.findall(r"\d+", folder.name)]

    found = [path.parent for path in (cache / "qemu").glob(f"{VERSION}.*/manifest.json")
             if not path.parent.name.endswith(".part")]
    return max(found, key=numbers, default=None)


def obtain(refresh=False, say=print):
    """The cached QEMU, unless there is none or `refresh` asks for the mirror's newest."""
    cache = cache_folder()
    with locked(cache, say):
        folder = None if refresh else cached_folder(cache)
        folder = folder or fetch(cache, say)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="ascii"))
    return PrivateQemu(manifest["version"], folder, tuple(manifest["packages"]))
