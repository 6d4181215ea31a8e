"""The tcp provider's bytes: hello, answer, proof, frame (transport/core/hello.h, handshake.h,
frame.h)."""

import hashlib
import hmac
import struct
from collections import namedtuple

from e2e.bad_input.checksum import crc32c

HELLO_MAGIC = 0x6F6C6854
ANSWER_MAGIC = 0x736E6154
PROOF_MAGIC = 0x66727054
FRAME_MAGIC = 0x6D726654
VERSION = 2
CONTROL, DATA = 1, 2
HELLO_BYTES = 64
ANSWER_BYTES = 64
PROOF_BYTES = 32
FRAME_BYTES = 56
TAG_BYTES = 16
MESSAGE, EXPOSE, WRITE, NOTIFY, BATCH = 1, 2, 3, 4, 5
MESSAGE_BYTES_MAX = 8192
WRITE_BYTES_MAX = 1 << 20
JOINED, VERDICT_VERSION, VERDICT_KEY, VERDICT_SESSION, VERDICT_TOKEN = 1, 2, 3, 4, 5
VERDICT_CHANNEL, VERDICT_ATTEMPT, VERDICT_BUSY = 6, 7, 8

Hello = namedtuple("Hello", "kind channel channels attempt session key_id value")
Answer = namedtuple("Answer", "verdict version session nonce proof")
Frame = namedtuple("Frame", "type memory length offset key sequence immediate extents table")

_FRAME = struct.Struct("<IIIIQQQIII")


def sealed(body):
    """With its CRC32C behind it."""
    return body + struct.pack("<I", crc32c(body))


def _derive(key, purpose, data=b""):
    return hmac.new(key, purpose.encode() + b"\0" + data, hashlib.sha256).digest()


def key_id(key):
    return _derive(key, "tandem key id")[:8]


class Secrets:
    """What both sides of a session derive from the pair's key and the two hellos."""

    def __init__(self, key, channels, session, connecting_nonce, listening_nonce):
        transcript = struct.pack("<IIQ", VERSION, channels, session)
        root = _derive(key, "tandem session", transcript + connecting_nonce + listening_nonce)
        self.connecting_proof = _derive(root, "proof of the connecting side")[:16]
        self.listening_proof = _derive(root, "proof of the listening side")[:16]
        self._connecting_key = _derive(root, "messages of the connecting side")
        self._listening_key = _derive(root, "messages of the listening side")
        self._channel_key = _derive(root, "data channels")

    def token(self, channel, attempt, is_answer=False):
        purpose = "answer" if is_answer else "join"
        return _derive(self._channel_key, purpose, struct.pack("<II", channel, attempt))[:16]

    def tag(self, is_listening_side, sequence, head, payload):
        key = self._listening_key if is_listening_side else self._connecting_key
        data = struct.pack("<Q", sequence) + head + payload
        return hmac.new(key, data, hashlib.sha256).digest()[:16]


def hello(kind=CONTROL, channel=0, channels=4, session=0, attempt=0, value=bytes(16),
          name=bytes(8), magic=HELLO_MAGIC, version=VERSION, reserved=bytes(15)):
    """`value` is the nonce of a control hello, the token of a data one; `name` the key's id."""
    head = struct.pack("<IHBBB", magic, version, kind, channel, channels)
    body = struct.pack("<IQ8s16s", attempt, session, name, value)
    return sealed(head + reserved[:3] + body + reserved[3:])


def parse_hello(data):
    magic, _, kind, channel, channels, attempt, session, name, value = struct.unpack_from(
        "<IHBBB3xIQ8s16s", data)
    assert magic == HELLO_MAGIC and data == sealed(data[:-4]), data
    return Hello(kind, channel, channels, attempt, session, name, value)


def answer(verdict=JOINED, version=VERSION, session=0, nonce=bytes(16), proof=bytes(16),
           magic=ANSWER_MAGIC):
    return sealed(struct.pack("<IHBxQ16s16s12x", magic, version, verdict, session, nonce, proof))


def parse_answer(data):
    magic, version, *fields = struct.unpack_from("<IHBxQ16s16s", data)
    assert magic == ANSWER_MAGIC and data == sealed(data[:-4]), data
    return Answer(fields[0], version, *fields[1:])


def proof(value):
    return sealed(struct.pack("<I16s8x", PROOF_MAGIC, value))


def frame(kind, memory=0, length=0, offset=0, key=0, sequence=0, immediate=0, extents=0, table=0,
          magic=FRAME_MAGIC):
    return sealed(_FRAME.pack(magic, kind, memory, length, offset, key, sequence, immediate, extents,
                              table))


def parse_frame(data):
    magic, *fields = _FRAME.unpack_from(data)
    assert magic == FRAME_MAGIC and data == sealed(data[:-4]), data
    return Frame(*fields)
