"""What the lab reads in the computer's apt configuration, and which packages it takes."""

import hashlib
import tempfile
from pathlib import Path

from device_test import expect

from lab import LabUnavailable, apt, kernel, private_qemu

DEB822 = """\
# a comment
Types: deb deb-src
URIs: http://mirror.example/debian
# another
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/example.gpg

Types: deb
Enabled: no
URIs: http://mirror.example/off
Suites: bookworm
Components: main

Types: deb-src
URIs: http://mirror.example/source
Suites: bookworm
Components: main

types: deb
uris: http://mirror.example/inline
suites: bookworm
components: main
signed-by:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
"""

ONE_LINE = """\
# deb http://mirror.example/commented bookworm main
deb http://mirror.example/plain bookworm main contrib # trailing
deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/signed bookworm-updates main
deb-src http://mirror.example/source bookworm main
nonsense
"""

PACKAGES = [
    "linux-image-6.1.0-9-amd64", "linux-image-6.1.0-50-amd64", "linux-image-6.1.0-50-amd64-dbg",
    "linux-image-6.12.9+deb12-amd64", "linux-image-6.12.95+deb12-amd64",
    "linux-image-6.12.99+deb12-amd64-unsigned", "linux-image-6.12.99+deb12-cloud-amd64",
    "linux-image-6.12.99+deb12-rt-amd64", "linux-image-6.16.3+deb12-amd64", "linux-image-amd64",
]


def test_deb822():
    sources = list(apt.parse_deb822(DEB822))
    expect([source.uris.rsplit("/", 1)[1] for source in sources] == ["debian", "inline"],
           "disabled and source-only stanzas are left out", sources)
    expect(sources[0].suites == ("bookworm", "bookworm-updates"), "suites are a list", sources[0])
    stanza = sources[0].of("bookworm-backports").stanza()
    expect("Suites: bookworm-backports\n" in stanza
           and "Signed-By: /usr/share/keyrings/example.gpg\n" in stanza, "the key follows", stanza)
    expect(sources[1].stanza().endswith("-----\n .\n abc\n"), "an inline key follows", sources[1])


def test_one_line():
    sources = list(apt.parse_list(ONE_LINE))
    expect([source.uris.rsplit("/", 1)[1] for source in sources] == ["plain", "signed"],
           "comments and source lines are left out", sources)
    expect(sources[0].components == "main contrib", "a trailing comment is none", sources[0])
    expect(sources[1].fields == {"Signed-By": "/k.gpg"}, "the key's option is kept", sources[1])


def test_choice():
    for wanted, package in (((6, 1), "linux-image-6.1.0-50-amd64"),
                            ((6, 12), "linux-image-6.12.95+deb12-amd64"),
                            (None, "linux-image-6.12.95+deb12-amd64"), ((5, 10), None)):
        chosen = kernel.choose(PACKAGES, wanted)
        expect(chosen == package, f"{wanted} takes {package}", chosen)


def test_private_sources():
    system = [apt.Source("http://mirror.example/other", ("stable",), "main"),
              apt.Source("http://mirror.example/debian", ("bookworm", "bookworm-updates"),
                         "main contrib", {"Trusted": "yes"})]
    (source,) = private_qemu.sources_for(system, "bookworm")
    expect(source.uris == "http://mirror.example/debian", "QEMU comes from the same mirror", source)
    expect(source.suites == private_qemu.SUITES, "of other suites", source)
    expect(source.fields == {"Signed-By": private_qemu.KEYRING},
           "which Debian has to have signed, whatever else is trusted here", source)
    try:
        private_qemu.sources_for(system, "sid")
        expect(False, "a computer without a mirror has no QEMU")
    except LabUnavailable as error:
        expect("'sid'" in str(error), "a computer without a mirror has no QEMU")


def test_archives():
    content = b"a package"
    sha256 = hashlib.sha256(content).hexdigest()
    line = f"'http://mirror.example/a.deb' a_1%3a2-3_amd64.deb {len(content)} SHA256:{sha256}\n"
    wanted = private_qemu.parse_uris(f"Reading package lists...\n{line}")
    expect(wanted == {"a_1%3a2-3_amd64.deb": sha256}, "what apt would fetch is read", wanted)
    described = private_qemu.describe(*next(iter(wanted.items())))
    expect((described["name"], described["version"]) == ("a", "1:2-3"), "and told", described)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a_1%3a2-3_amd64.deb"
        for found in (None, b"another package", content):
            if found:
                path.write_bytes(found)
            try:
                private_qemu.check_archives(Path(folder), wanted)
                expect(found == content, "a package with the right content is taken")
            except LabUnavailable as error:
                expect(found != content and sha256 in str(error), f"{found} is refused", error)


test_deb822()
test_one_line()
test_choice()
test_private_sources()
test_archives()
