"""Packages from the computer's own mirrors, without a change to the computer's own apt state."""

import re
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path

from .errors import LabUnavailable

UPDATE_TIMEOUT_S = 300
DOWNLOAD_TIMEOUT_S = 900
KEPT_FIELDS = ("Signed-By", "Trusted", "Check-Valid-Until")


@dataclass(frozen=True)
class Source:
    """One place that apt takes binary packages from."""

    uris: str
    suites: tuple
    components: str
    fields: dict = field(default_factory=dict, hash=False)

    def of(self, *suites):
        return replace(self, suites=suites)

    def stanza(self):
        lines = ["Types: deb", f"URIs: {self.uris}", f"Suites: {' '.join(self.suites)}"]
        if self.components:
            lines.append(f"Components: {self.components}")
        lines += [f"{name}: {value}" for name, value in self.fields.items()]
        return "\n".join(lines) + "\n"


def parse_deb822(text):
    """The enabled binary sources of a .sources file."""
    for block in re.split(r"\n[ \t]*\n", text):
        fields, name = {}, None
        for line in block.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in (" ", "\t") and name:
                fields[name] += "\n" + line
            elif ":" in line:
                name, value = line.split(":", 1)
                name = name.strip().title()
                fields[name] = value.strip()
        if "deb" not in fields.get("Types", "").split():
            continue
        if fields.get("Enabled", "yes").lower() in ("no", "false", "0"):
            continue
        kept = {name: fields[name] for name in KEPT_FIELDS if name in fields}
        suites = tuple(fields.get("Suites", "").split())
        yield Source(fields.get("Uris", ""), suites, fields.get("Components", ""), kept)


ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^]]*)\]\s+)?"
                      r"(?P<uri>\S+)\s+(?P<suite>\S+)(?P<rest>.*)")


def parse_list(text):
    """The binary sources of a sources.list file."""
    for line in text.splitlines():
        match = ONE_LINE.match(line.split("#")[0].strip())
        if not match:
            continue
        options = dict(o.split("=", 1) for o in (match["options"] or "").split() if "=" in o)
        options = {name.title(): value for name, value in options.items()}
        kept = {name: options[name] for name in KEPT_FIELDS if name in options}
        yield Source(match["uri"], (match["suite"],), match["rest"].strip(), kept)


def machine_sources():
    """What this computer's own apt configuration names, in its order."""
    script = "apt-config shell LIST Dir::Etc::sourcelist/f PARTS Dir::Etc::sourceparts/d"
    command = f'eval "$({script})"; printf "%s\\n" "$LIST" "$PARTS"'
    try:
        listed = subprocess.run(["sh", "-c", command], check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        raise LabUnavailable("the lab's kernel comes as a Debian package, and apt-config does not "
                             f"run here: {error.stderr.strip()}") from error
    single, parts = (Path(line) for line in listed.stdout.splitlines()[:2])
    files = [single, *(sorted(parts.iterdir()) if parts.is_dir() else [])]
    sources = []
    for file in files:
        if not file.is_file():
            continue
        if file.suffix == ".sources":
            sources += parse_deb822(file.read_text())
        elif file.suffix == ".list":
            sources += parse_list(file.read_text())
    return sources


class PrivateApt:
    """An apt with its own source list, state and cache under one folder."""

    def __init__(self, folder, sources):
        self.folder = folder
        for name in ("etc/parts", "state/lists/partial", "cache/archives/partial", "packages"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "etc/lab.sources").write_text("\n".join(s.stanza() for s in sources))
        settings = {
            "Dir::Etc::sourcelist": folder / "etc/lab.sources",
            "Dir::Etc::sourceparts": folder / "etc/parts",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": folder / "etc/parts",
            "Dir::State": folder / "state",
            "Dir::State::status": "/dev/null",
            "Dir::Cache": folder / "cache",
            "APT::Sandbox::User": "",
            "APT::Update::Error-Mode": "any",
            "APT::Get::List-Cleanup": "true",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "Acquire::http::Timeout": "30",
        }
        self.options = [f"-o{name}={value}" for name, value in settings.items()]

    def call(self, program, *arguments, timeout_s=60, cwd=None):
        command = [program, "-q", *self.options, *arguments]
        try:
            done = subprocess.run(command, cwd=cwd, timeout=timeout_s, check=True, text=True,
                                  stdin=subprocess.DEVNULL, capture_output=True)
        except subprocess.TimeoutExpired as error:
            raise LabUnavailable(f"{program} {arguments[0]} took longer than {timeout_s} s; "
                                 "check the network and the mirror of this computer") from error
        except subprocess.CalledProcessError as error:
            detail = "\n  ".join(error.stderr.strip().splitlines()[-5:])
            raise LabUnavailable(f"{program} {arguments[0]} failed; check the network and the "
                                 f"sources in /etc/apt:\n  {detail}") from error
        return done.stdout

    def update(self):
        self.call("apt-get", "update", timeout_s=UPDATE_TIMEOUT_S)

    def names(self, prefix):
        return self.call("apt-cache", "pkgnames", prefix).split()

    def download(self, package):
        """The path of the package's .deb, checked against the signed index."""
        folder = self.folder / "packages"
        for old in folder.iterdir():
            old.unlink()
        self.call("apt-get", "download", package, timeout_s=DOWNLOAD_TIMEOUT_S, cwd=folder)
        (path,) = folder.glob("*.deb")
        return path
