"""What primary and secondary say (colo/core/wire.h) and where it lies (colo/core/layout.h)."""

import struct
from collections import namedtuple

from e2e.bad_input.checksum import crc32c
from e2e.bad_input.transport import sealed

WIRE_MAGIC = 0x314C4F43
TRAILER_MAGIC = 0x314C4553
VERSION = 5
HELLO, WELCOME, REFUSED, PING, PONG, COMMITTED, APPLIED, FENCE, FENCED, COMPARE, DIGESTS = range(1, 12)
DIGESTS_MAX = 240
FEW_PAGES = 32  # of those APPLIED says COMMITTED, too
PAGE_BYTES = 4096
NEEDS_BYTES = 96
STRIPE_PAGES = 16
SLOTS_ID = 255
TRAILER_BYTES = 96
STATE_BYTES_LIMIT = 1 << 26
DATA, ZERO = 1, 2

Region = namedtuple("Region", "name pages")
Message = namedtuple("Message", "type generation fields")
Run = namedtuple("Run", "first count kind")


def name_bytes(text):
    """As a name lies in a message; longer ones lose their end."""
    return text.encode().ljust(32, b"\0")[:32]


def message(kind, generation, body=b"", magic=WIRE_MAGIC, version=VERSION):
    return sealed(struct.pack("<IHHQ", magic, version, kind, generation) + body)


def hello(pair, generation, incarnation, regions, peer=0, epoch=0, channels=4, state_max=4096,
          count=None, stripe_pages=STRIPE_PAGES, needs=b"", **head):
    body = name_bytes(pair) + struct.pack("<QQQIII", incarnation, peer, epoch, channels,
                                           stripe_pages, state_max)
    body += struct.pack("<I", len(regions) if count is None else count)
    for region in regions:
        body += name_bytes(region.name) + struct.pack("<Q", region.pages)
    body += needs.ljust(NEEDS_BYTES, b"\0")
    return message(HELLO, generation, body, **head)


def ping(generation, number):
    return message(PING, generation, struct.pack("<Q", number))


def fence(generation, epoch, mask):
    return message(FENCE, generation, struct.pack("<QI", epoch, mask))


def compare(generation, first, count):
    return message(COMPARE, generation, struct.pack("<QI", first, count))


def digests(generation, first, count, given=None):
    """Right in number, but for as many as are given."""
    data = b"\x5a" * 16 * (count if given is None else given)
    return message(DIGESTS, generation, struct.pack("<QI", first, count) + data)


def welcome(generation, incarnation, copy, epoch, is_fresh):
    return message(WELCOME, generation, struct.pack("<QQQB", incarnation, copy, epoch, is_fresh))


def refused(generation, code, reason):
    return message(REFUSED, generation, struct.pack("<i160s", code, reason))


def pong(generation, epoch, number):
    return message(PONG, generation, struct.pack("<QQ", epoch, number))


def said(kind, generation, epoch):
    """COMMITTED or APPLIED."""
    took_ns = struct.pack("<Q", 0) if kind == APPLIED else b""
    return message(kind, generation, struct.pack("<Q", epoch) + took_ns)


_BODIES = {WELCOME: "<QQQB", REFUSED: "<i160s", PONG: "<QQ", COMMITTED: "<Q", APPLIED: "<QQ",
           PING: "<Q", HELLO: "<32sQQQIIII", FENCE: "<QI",
           FENCED: "<QI", COMPARE: "<QI", DIGESTS: "<QI"}


def parse(data):
    magic, version, kind, generation = struct.unpack_from("<IHHQ", data)
    assert magic == WIRE_MAGIC and version == VERSION and data == sealed(data[:-4]), data
    return Message(kind, generation, struct.unpack_from(_BODIES[kind], data, 16))


class Layout:
    """The same numbers as struct tandem_layout."""

    def __init__(self, regions, channels=4, state_max=4096):
        self.regions = regions
        self.channels = channels
        self.first_page = []
        page = 0
        for region in regions:
            self.first_page.append(page)
            page += -(-region.pages // STRIPE_PAGES) * STRIPE_PAGES
        self.page_count = page
        self.runs_max = page
        self._state_bytes = _pages(state_max)
        self._slot_bytes = PAGE_BYTES + _pages(self.runs_max * 8)
        self.parity_bytes = self._state_bytes + channels * self._slot_bytes

    def channel(self, page):
        return page // STRIPE_PAGES % self.channels

    def region(self, page):
        """Index of the region and the page within it."""
        index = max(i for i, first in enumerate(self.first_page) if first <= page)
        return index, page - self.first_page[index]

    def state_offset(self, epoch):
        return epoch % 2 * self.parity_bytes

    def trailer_offset(self, epoch, channel):
        return self.state_offset(epoch) + self._state_bytes + channel * self._slot_bytes

    def runs_offset(self, epoch, channel):
        return self.trailer_offset(epoch, channel) + PAGE_BYTES


def _pages(size):
    return -(-size // PAGE_BYTES) * PAGE_BYTES


def run_list(runs):
    return b"".join(struct.pack("<Q", (run.first | run.count << 40 | run.kind << 56) % (1 << 64))
                    for run in runs)


def trailer(generation, epoch, base, channel, mask, runs, state=b"", magic=TRAILER_MAGIC,
            version=VERSION, run_count=None, run_crc=None, data_pages=None, state_bytes=None,
            state_crc=None, crc_flip=0):
    """A right trailer, but for what is given by name."""

    def given(value, right):
        return right if value is None else value

    pages = sum(run.count for run in runs if run.kind == DATA)
    body = struct.pack(
        "<IIQQQIIIIQII", magic, version, generation, epoch, base, channel, mask,
        given(run_count, len(runs)), given(run_crc, crc32c(run_list(runs))),
        given(data_pages, pages) % (1 << 64), given(state_bytes, len(state)),
        given(state_crc, crc32c(state)),
    )
    body = body.ljust(TRAILER_BYTES - 4, b"\0")
    return body + struct.pack("<I", crc32c(body) ^ crc_flip)
