"""What the lab reads in the computer's apt configuration, and which kernel package it takes."""

from device_test import expect

from lab import apt, kernel

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


test_deb822()
test_one_line()
test_choice()
