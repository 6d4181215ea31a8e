"""What controllers say: to data planes (base/tandem/control.h), to each other
(failover/core/heartbeat.h), and what the register holds (failover/core/record.h)."""

import struct

from e2e.bad_input.checksum import siphash
from e2e.bad_input.colo import name_bytes
from e2e.bad_input.transport import sealed

CONTROL_MAGIC = 0x6C637474
CONTROL_VERSION = 6
CONTROL_BYTES = 1280
(ATTACH, READY, REPORT, SESSION_UP, SESSION_LOST, COPIED, FENCED, FAILED, QUIESCED) = range(1, 10)
(WELCOME, LEAD, HALT, STAND_BY, FENCE, ACTIVATE, YANK, QUIESCE) = range(32, 40)
FROM_PLANE = range(ATTACH, QUIESCED + 1)
FROM_CONTROLLER = range(WELCOME, QUIESCE + 1)
PROGRAM, STANDBY = 1, 2

_FIXED = struct.Struct("<IHBBBBBBBBBiIQQQQQQ32s256s")
TEXT_AT = _FIXED.size - 256
PAIR_AT = TEXT_AT - 32
PEER_BEAT_AT = 1094  # a byte, and 8 of its age

HEARTBEAT_MAGIC = 0x62687474
HEARTBEAT_VERSION = 3
HEARTBEAT_BYTES = 312
RECORD_MAGIC = 0x63727474
RECORD_BYTES = 108
SOLO, PAIR = 1, 2
ABSENT, ALIVE, SILENT = range(3)
SETTLED, MAINTENANCE, HAS_RECORD = 1, 2, 4


def control(kind, plane=0, pair="", incarnation=0, process_id=0, answers=0, is_pair=0,
            has_session=0, has_copy=0, status=0, peer=0, generation=0, epoch=0, heard_age_ns=0,
            lease_left_ns=0, text=b"", magic=CONTROL_MAGIC, version=CONTROL_VERSION):
    body = _FIXED.pack(magic, version, kind, plane, answers, is_pair, has_session, has_copy,
                       0, 0, 0, status, process_id, incarnation, peer, generation, epoch,
                       heard_age_ns, lease_left_ns, name_bytes(pair), text)
    return body.ljust(CONTROL_BYTES, b"\0")


def parse_control(data):
    """(type, text) of a message of the controller."""
    fields = _FIXED.unpack_from(data)
    return fields[2], fields[-1].split(b"\0")[0].decode(errors="replace")


def record(pair, generation, owner, owner_incarnation, copy_incarnation=0, decision=1):
    return sealed(
        struct.pack("<IHHQQQQ", RECORD_MAGIC, 1, PAIR if copy_incarnation else SOLO, generation,
                    owner_incarnation, copy_incarnation, decision)
        + name_bytes(pair) + name_bytes(owner)
    )


def heartbeat(key, pair, node, instance, sequence, echo=0, echo_sequence=0, link=0, flags=SETTLED, state=4,
              program=(ABSENT, 0, 0), standby=(ABSENT, 0, 0), known_record=b"",
              magic=HEARTBEAT_MAGIC, version=HEARTBEAT_VERSION, tag_flip=0):
    body = struct.pack("<IH", magic, version) + name_bytes(pair) + name_bytes(node)
    body += struct.pack("<QQQQBBB", instance, echo, echo_sequence, sequence, link,
                        flags | (HAS_RECORD if known_record else 0), state)
    for plane in (program, standby):
        body += struct.pack("<BQQ", *plane)
    body = (body + known_record.ljust(RECORD_BYTES, b"\0")).ljust(HEARTBEAT_BYTES - 8, b"\0")
    return body + struct.pack("<Q", siphash(key, body) ^ tag_flip)


def heartbeat_instance(data):
    """Of a heartbeat that was received."""
    return struct.unpack_from("<Q", data, 6 + 64)[0]
