"""Values that show when they are torn: key, sequence, padding of random size, checksum."""

import random
import zlib

_BLOCK_BYTES = 1 << 16


class Padding:
    """Slices of a random block: most are small, some span several pages of the database."""

    LARGE_ONE_IN = 64
    SMALL_BYTES = 200
    LARGE_BYTES = 6000

    def __init__(self, seed):
        self._random = random.Random(seed)
        self._block = self._random.randbytes(_BLOCK_BYTES).hex().encode()

    def take(self):
        large = self._random.random() * self.LARGE_ONE_IN < 1
        limit = self.LARGE_BYTES if large else self.SMALL_BYTES
        size = int(self._random.random() * limit)
        start = int(self._random.random() * _BLOCK_BYTES)
        return self._block[start : start + size]


def encode(key, sequence, padding):
    body = b"%s|%d|%d|%s|" % (key, sequence, len(padding), padding)
    return body + b"%08x" % zlib.crc32(body)


def decode(key, value):
    """The sequence of a value read for a key; None when it is torn or belongs to another key."""
    body, checksum = value[:-8], value[-8:]
    if b"%08x" % zlib.crc32(body) != checksum:
        return None
    fields = body.split(b"|")
    if len(fields) != 5 or fields[0] != key or int(fields[2]) != len(fields[3]):
        return None
    return int(fields[1])
