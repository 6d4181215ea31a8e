"""What was heard on the wire and is said again, and probes [P1], [P2], [P3] that go wrong."""

import secrets
import struct

from e2e.bad_input import colo, transport, wires
from e2e.bad_input.field import Wrong, attack
from e2e.bad_input.primary import Joined

PROBE_MAGIC = 0x62707474
ASK, READY, REFUSED, ECHO, ARRIVED = range(1, 6)
_PROBE = struct.Struct("<IHBBQ32s96s16x")


def probe(kind, number=0, pair=b"", magic=PROBE_MAGIC, version=1):
    return _PROBE.pack(magic, version, kind, 0, number, pair, b"")


class Recorded:
    """A session of the right peer, and what it said to join."""

    def __init__(self, door):
        nonce = secrets.token_bytes(16)
        self.hello = transport.hello(channels=1, value=nonce, name=transport.key_id(door.key))
        self.control = wires.connect(door)
        self.control.sendall(self.hello)
        answer = self._answer(self.control)
        known = transport.Secrets(door.key, 1, answer.session, nonce, answer.nonce)
        self.proof = transport.proof(known.connecting_proof)
        self.control.sendall(self.proof)
        self.data_hello = transport.hello(
            transport.DATA, channels=1, session=answer.session, attempt=1, value=known.token(0, 1)
        )
        self.data = wires.connect(door)
        self.data.sendall(self.data_hello)
        if self._answer(self.data).verdict != transport.JOINED:
            raise Wrong("the recorded session did not join")

    @staticmethod
    def _answer(connection):
        return transport.parse_answer(wires.read_exactly(connection, transport.ANSWER_BYTES))

    def close(self):
        self.control.close()
        self.data.close()


@attack("stranger-replay")
def replay(field):
    """Every byte of a session that joined, said again on new connections."""
    door = field.healthy.door
    recorded = Recorded(door)
    with wires.connect(door) as control:
        wires.send(control, recorded.hello + recorded.proof)
        wires.read_until_closed(control)
    field.b.expect(r"has not proven that it holds the key|its proof has wrong")
    with wires.connect(door) as data:
        wires.send(data, recorded.data_hello)
        reply = wires.read_until_closed(data)
    if transport.parse_answer(reply).verdict != transport.VERDICT_ATTEMPT:
        raise Wrong(f"a repeated data hello was answered {reply!r}")
    recorded.close()
    field.b.expect(r"ended before HELLO: .*closed by the peer")
    with wires.connect(door) as data:
        wires.send(data, recorded.data_hello)
        reply = wires.read_until_closed(data)
    if transport.parse_answer(reply).verdict != transport.VERDICT_SESSION:
        raise Wrong(f"a data hello of a session that ended was answered {reply!r}")
    field.b.expect(r"there is no such session")


class Probe(Joined):
    """A probe under way."""

    def __init__(self, door, pair=b"kv"):
        super().__init__(door)
        self.send_message(probe(ASK, pair=pair))

    def read_answer(self):
        """(type, number, text) of the next message; exposures are read past."""
        while True:
            frame, data = self.read_frame()
            if frame.type == transport.MESSAGE:
                _, _, kind, _, number, _, text = _PROBE.unpack(data)
                return kind, number, text.rstrip(b"\0").decode()

    def expect(self, kind, number):
        answer = self.read_answer()
        if answer[:2] != (kind, number):
            raise Wrong(f"{(kind, number)} was expected, the probe answered {answer}")


@attack("stranger-probe")
def probes(field):
    """Probes by who may, in the wrong way; the pairs must not feel them."""
    door, probed = field.healthy.door, r"pair kv: probed by"
    with Probe(door, b"other") as one:
        one.expect(REFUSED, 0)
        one.was_dropped()
    field.b.expect(r"probe of .* refused: pair other: this node does not serve that pair")
    with Probe(door) as one:
        one.expect(READY, 0)
        field.b.expect(probed)
        one.send_message(probe(ECHO, 77))
        one.expect(ECHO, 77)
        with Probe(door) as other:
            other.expect(REFUSED, 1)
            other.was_dropped()
        field.b.expect(r"probe of .* refused: pair kv: another probe is under way")
        one.send_message(probe(ECHO, (1 << 64) - 1))
        one.expect(ECHO, (1 << 64) - 1)
    for wrong in (probe(ASK, pair=b"kv"), probe(READY), probe(9), probe(ECHO, magic=1),
                  probe(ECHO, version=2), probe(ECHO)[:-1], field.rng.randbytes(160),
                  colo.ping(2, 1)):
        with _next_probe(field, door) as one:
            field.b.expect(probed)
            one.send_message(wrong)
            one.was_dropped()


def _next_probe(field, door):
    """The end of the one before may still be on its way."""
    while True:
        one = Probe(door)
        kind, _, text = one.read_answer()
        if kind == READY:
            return one
        one.close()
        field.b.expect(r"another probe is under way")
        if "another probe" not in text:
            raise Wrong(f"the probe was refused: {text}")
        field.pace()


@attack("stranger-probe-flood")
def probe_flood(field):
    """A probe that asks and never listens, and one that writes where nothing is exposed."""
    door, probed = field.healthy.door, r"pair kv: probed by"
    with _next_probe(field, door) as one:
        field.b.expect(probed)
        one.control.settimeout(wires.WAIT_SECONDS)
        for number in range(1 << 20):
            if not one.send_message(probe(ECHO, number)):
                break
        else:
            raise Wrong("a million echoes were taken from who reads none")
    with _next_probe(field, door) as one:
        field.b.expect(probed)
        one.send_frame(1, transport.WRITE, bytes(4096), memory=0, offset=4 << 20, key=1)
        one.was_dropped()
    with _next_probe(field, door) as one:
        field.b.expect(probed)
        one.send_frame(1, transport.NOTIFY, bytes(4096), memory=7, offset=0, key=1)
        one.was_dropped()
