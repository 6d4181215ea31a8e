"""The tcp provider's bytes: hello, answer, frame (transport/core/hello.h, frame.h)."""

import struct
from collections import namedtuple

from e2e.bad_input.checksum import crc32c

HELLO_MAGIC = 0x6F6C6854
ANSWER_MAGIC = 0x736E6154
FRAME_MAGIC = 0x6D726654
VERSION = 1
CONTROL, DATA = 1, 2
HELLO_BYTES = 32
ANSWER_BYTES = 32
FRAME_BYTES = 48
MESSAGE, EXPOSE, WRITE, NOTIFY = 1, 2, 3, 4
MESSAGE_BYTES_MAX = 8192
WRITE_BYTES_MAX = 1 << 20
JOINED, VERDICT_VERSION, VERDICT_KEY, VERDICT_CHANNEL = 1, 2, 3, 4

Answer = namedtuple("Answer", "verdict version key")
Frame = namedtuple("Frame", "type memory length offset key sequence immediate")

_FRAME = struct.Struct("<IIIIQQQI")


def sealed(body):
    """With its CRC32C behind it."""
    return body + struct.pack("<I", crc32c(body))


def hello(kind=CONTROL, channel=0, channels=4, key=0, magic=HELLO_MAGIC, version=VERSION,
          reserved=bytes(11)):
    body = struct.pack("<IHBBB", magic, version, kind, channel, channels)
    return sealed(body + reserved[:3] + struct.pack("<Q", key) + reserved[3:])


def answer(verdict=JOINED, version=VERSION, key=0, magic=ANSWER_MAGIC):
    return sealed(struct.pack("<IHBxQ12x", magic, version, verdict, key))


def parse_answer(data):
    magic, version, verdict, key = struct.unpack_from("<IHBxQ", data)
    assert magic == ANSWER_MAGIC and data == sealed(data[:-4]), data
    return Answer(verdict, version, key)


def frame(kind, memory=0, length=0, offset=0, key=0, sequence=0, immediate=0, magic=FRAME_MAGIC):
    return sealed(_FRAME.pack(magic, kind, memory, length, offset, key, sequence, immediate))


def parse_frame(data):
    magic, *fields = _FRAME.unpack_from(data)
    assert magic == FRAME_MAGIC and data == sealed(data[:-4]), data
    return Frame(*fields)
