"""CRC32C (RFC 3720) and SipHash-2-4 (Aumasson, Bernstein 2012), as base/ and failover/ compute them."""

_MASK = (1 << 64) - 1


def _make_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _make_table()


def crc32c(data):
    state = 0xFFFFFFFF
    for byte in data:
        state = (state >> 8) ^ _TABLE[(state ^ byte) & 0xFF]
    return state ^ 0xFFFFFFFF


def _rotate(value, bits):
    return (value << bits | value >> (64 - bits)) & _MASK


def _mix(lanes, rounds):
    a, b, c, d = lanes
    for _ in range(rounds):
        a = (a + b) & _MASK
        b = _rotate(b, 13) ^ a
        a = _rotate(a, 32)
        c = (c + d) & _MASK
        d = _rotate(d, 16) ^ c
        a = (a + d) & _MASK
        d = _rotate(d, 21) ^ a
        c = (c + b) & _MASK
        b = _rotate(b, 17) ^ c
        c = _rotate(c, 32)
    return a, b, c, d


def siphash(key, data):
    low, high = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    lanes = (low ^ 0x736F6D6570736575, high ^ 0x646F72616E646F6D,
             low ^ 0x6C7967656E657261, high ^ 0x7465646279746573)
    whole = len(data) // 8 * 8
    last = int.from_bytes(data[whole:], "little") | (len(data) & 0xFF) << 56
    words = [int.from_bytes(data[at : at + 8], "little") for at in range(0, whole, 8)]
    for word in [*words, last]:
        a, b, c, d = lanes
        a, b, c, d = _mix((a, b, c, d ^ word), 2)
        lanes = (a ^ word, b, c, d)
    a, b, c, d = lanes
    a, b, c, d = _mix((a, b, c ^ 0xFF, d), 4)
    return a ^ b ^ c ^ d
