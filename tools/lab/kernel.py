"""A stock Debian kernel: chosen, downloaded once, unpacked beside the checkout's cache."""

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .apt import PrivateApt, machine_sources
from .errors import LabUnavailable

# PAGEMAP_SCAN, which the default dirty tracker uses, came with this version.
OLDEST_DEFAULT = (6, 7)
STOCK_NAME = re.compile(r"linux-image-(?P<release>\d+\.\d+[\d.+~a-z-]*-amd64)")
OTHER_FLAVOUR = re.compile(r"-(cloud|rt|dbg)\b|-unsigned")


@dataclass(frozen=True)
class Kernel:
    """An unpacked kernel package."""

    release: str
    folder: Path

    @property
    def image(self):
        return self.folder / "boot" / f"vmlinuz-{self.release}"

    @property
    def modules(self):
        for parent in ("lib", "usr/lib"):
            path = self.folder / parent / "modules" / self.release
            if path.is_dir():
                return path
        raise LabUnavailable(f"no modules in {self.folder}; remove that folder and try again")


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base).resolve() / "tandem" / "lab"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabUnavailable(f"cannot create {folder}: {error.strerror}; "
                             "set XDG_CACHE_HOME to a folder that can be written") from error
    return folder


@contextlib.contextmanager
def locked(folder, say):
    """One process at a time fills the cache; the lock goes with its holder."""
    with open(folder / "lock", "w", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another lab that fills the cache")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def os_release():
    fields = {}
    for line in Path("/etc/os-release").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition("=")
        fields[name] = value.strip('"')
    return fields


def version_of(name):
    """Sortable numbers of a stock kernel's package name, or None for every other package."""
    match = STOCK_NAME.fullmatch(name)
    if not match or OTHER_FLAVOUR.search(name):
        return None
    numbers = re.findall(r"\d+", match["release"].removesuffix("-amd64"))
    return tuple(map(int, numbers))


def default_wanted(system):
    """Debian 12's backports have 6.12; elsewhere None, the oldest at or above OLDEST_DEFAULT."""
    is_debian_12 = (system.get("ID"), system.get("VERSION_ID")) == ("debian", "12")
    return (6, 12) if is_debian_12 else None


def sources_for(system, wanted):
    """Debian 12 itself has 6.1 only: what is newer lies in the backports of the same mirror."""
    codename = system.get("VERSION_CODENAME", "")
    own = [source for source in machine_sources()
           if "main" in source.components.split()
           and any(suite.split("-")[0].split("/")[0] == codename for suite in source.suites)]
    if not own or not codename:
        raise LabUnavailable(f"/etc/apt has no source with the main component of '{codename}', "
                             "where the lab's kernel would come from")
    if default_wanted(system) and wanted >= OLDEST_DEFAULT:
        return [source.of(f"{codename}-backports") for source in own if codename in source.suites]
    return own


def choose(names, wanted):
    """The newest package of the wanted version; without one, of the oldest version that will do."""
    versions = {version: name for name in names if (version := version_of(name))}
    if wanted:
        fitting = [version for version in versions if version[:2] == wanted]
    else:
        enough = sorted(version for version in versions if version[:2] >= OLDEST_DEFAULT)
        fitting = [version for version in enough if version[:2] == enough[0][:2]]
    return versions[max(fitting)] if fitting else None


def fetch(cache, system, wanted, say):
    """Downloads and unpacks the kernel; the folder appears under its name only when complete."""
    label = ".".join(map(str, wanted)) if wanted else "default"
    apt = PrivateApt(cache / f"apt-{label}", sources_for(system, wanted))
    say("reading the package lists of this computer's mirror (own copy, the system's is untouched)")
    apt.update()
    package = choose(apt.names("linux-image-"), wanted)
    if not package:
        raise LabUnavailable(f"this computer's mirror has no stock amd64 kernel {label}; "
                             "ask for another version")
    release = package.removeprefix("linux-image-")
    folder = cache / "kernels" / release
    if not folder.is_dir():
        say(f"downloading {package} (about 70 to 100 MB, once)")
        archive = apt.download(package)
        unpack(archive, release, folder)
        archive.unlink()
    return Kernel(release, folder)


def unpack(archive, release, folder):
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["dpkg-deb", "-x", archive, part], check=True)
    base = part if (part / "lib/modules").is_dir() else part / "usr"
    subprocess.run(["depmod", "-b", base, release], check=True)
    part.rename(folder)


def obtain(wanted_text=None, refresh=False, say=print):
    """The kernel to boot, by MAJOR.MINOR; the cached one unless `refresh` asks for the newest."""
    system = os_release()
    wanted = tuple(map(int, wanted_text.split("."))) if wanted_text else default_wanted(system)
    cache = cache_folder()
    with locked(cache, say):
        present = [path.name for path in (cache / "kernels").glob("*-amd64")]
        package = choose([f"linux-image-{name}" for name in present], wanted)
        if package and not refresh:
            release = package.removeprefix("linux-image-")
            return Kernel(release, cache / "kernels" / release)
        return fetch(cache, system, wanted, say)
