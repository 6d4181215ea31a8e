"""tandemd's data port, where anybody can knock. It is the port of the healthy pair's session."""

import struct
import time

from e2e.bad_input import colo, transport, wires
from e2e.bad_input.field import Wrong, attack
from e2e.bad_input.grounds import Lonely
from e2e.bad_input.primary import Joined, TurnedAway
from e2e.bad_input.vitals import processor_seconds

FLOOD_SECONDS = 15  # for a hundred writes, which take half a second where nothing else runs


def _send_and_expect_end(field, data, pattern):
    """Bytes to the door; it ends the connection and says why in one line."""
    with wires.connect(field.healthy.door) as connection:
        wires.send(connection, data)
        reply = wires.read_until_closed(connection)
    field.b.expect(pattern)
    field.pace()
    return reply


@attack("door-silence")
def silence(field):
    with wires.connect(field.healthy.door) as connection:
        wires.read_until_closed(connection)
    field.b.expect(r"dropped: no hello within the time to connect")


@attack("door-random")
def random_bytes(field):
    for length in (32, 33, 48, 500, 70000):
        _send_and_expect_end(field, field.rng.randbytes(length), r"its hello has wrong magic number")
    for data in (field.rng.randbytes(1), field.rng.randbytes(5), transport.hello()[:63]):
        with wires.connect(field.healthy.door) as connection:
            connection.sendall(data)
        field.b.expect(r"dropped: it left without a hello")


@attack("door-hello")
def wrong_hellos(field):
    right = transport.hello()
    for magic in (0, transport.FRAME_MAGIC, transport.HELLO_MAGIC ^ 1):
        _send_and_expect_end(field, transport.hello(magic=magic), r"wrong magic number")
    for version in (0, 1, 3, 65535):
        reply = _send_and_expect_end(
            field, transport.hello(version=version), rf"it speaks version {version}, this side version 2"
        )
        if transport.parse_answer(reply).verdict != transport.VERDICT_VERSION:
            raise Wrong(f"answered {reply!r}")
    for at in (6, 8, 12, 28, 31, 47, 60, 63):
        flipped = bytearray(right)
        flipped[at] ^= 0x40
        _send_and_expect_end(field, flipped, r"wrong checksum")
    data = dict(kind=transport.DATA, session=1, attempt=1)
    for channels in (0, 17, 255):
        for fields in ({}, data):
            _send_and_expect_end(field, transport.hello(**fields, channels=channels),
                                 r"out of its range")
    for fields in (dict(kind=0), dict(kind=3), dict(session=1), dict(channel=1), dict(attempt=1),
                   dict(data, channel=4), dict(data, session=0), dict(data, attempt=0),
                   dict(data, name=b"somebody"), dict(reserved=b"\1" + bytes(14)),
                   dict(reserved=bytes(14) + b"\1")):
        _send_and_expect_end(field, transport.hello(**fields), r"out of its range")


@attack("door-key")
def wrong_keys(field):
    """Who holds no key of this node, and who knows the name of one only."""
    no_key = r"refused: the peer holds another key for this pair \(key_file differs\)"
    for name in (bytes(8), transport.key_id(bytes(16)), field.rng.randbytes(8)):
        reply = _send_and_expect_end(field, transport.hello(name=name), no_key)
        if transport.parse_answer(reply).verdict != transport.VERDICT_KEY:
            raise Wrong(f"answered {reply!r}")
    for proof in (transport.proof(field.rng.randbytes(16)), bytes(32),
                  transport.proof(bytes(16))[:-1] + b"\xff", field.rng.randbytes(32)):
        with wires.connect(field.healthy.door) as control:
            control.sendall(transport.hello(name=transport.key_id(field.healthy.door.key)))
            wires.read_exactly(control, transport.ANSWER_BYTES)
            wires.send(control, proof)
            wires.read_until_closed(control)
        field.b.expect(r"has not proven that it holds the key|its proof has wrong")
        field.pace()


@attack("door-join")
def wrong_joins(field):
    """Data connections of no session, of another shape, without a token, twice."""
    data = dict(kind=transport.DATA, attempt=1)
    for session in (1, field.rng.getrandbits(64) | 1):
        reply = _send_and_expect_end(field, transport.hello(**data, session=session),
                                     r"dropped: refused: there is no such session")
        if transport.parse_answer(reply).verdict != transport.VERDICT_SESSION:
            raise Wrong(f"answered {reply!r}")
    # Attempt and state are its session's to judge, which tells it to nobody but who asks.
    with Joined(field.healthy.door, channels=2) as joined:
        for hello, verdict in (
            (joined.data_hello(0, 2, value=bytes(16)), transport.VERDICT_TOKEN),
            (joined.data_hello(0, 2, value=joined.secrets.token(1, 2)), transport.VERDICT_TOKEN),
            (joined.data_hello(0, 2, value=joined.secrets.token(0, 2, True)), transport.VERDICT_TOKEN),
            (joined.data_hello(0), transport.VERDICT_ATTEMPT),
            (joined.data_hello(1, 7), transport.VERDICT_CHANNEL),
        ):
            with wires.connect(field.healthy.door) as connection:
                wires.send(connection, hello)
                reply = wires.read_until_closed(connection)
            if transport.parse_answer(reply).verdict != verdict:
                raise Wrong(f"{verdict} was expected, answered {reply!r}")
            if verdict == transport.VERDICT_TOKEN:
                field.b.expect(r"dropped: refused: the token is not of this session")
    field.b.expect(r"ended before HELLO: .*closed by the peer")


@attack("door-half-joined")
def half_joined(field):
    """Hundreds of sessions that prove nothing, their data connections, and as many silent ones."""
    connections = []
    for index in range(300):
        control = wires.connect(field.healthy.door)
        connections.append(control)
        if index % 3 == 0:
            continue
        control.sendall(transport.hello(channels=16,
                                        name=transport.key_id(field.healthy.door.key)))
        try:
            answer = transport.parse_answer(wires.read_exactly(control, transport.ANSWER_BYTES))
        except wires.Closed:
            continue  # a later one took its place
        data = wires.connect(field.healthy.door)
        connections.append(data)
        data.sendall(transport.hello(transport.DATA, channel=3, channels=16, attempt=1,
                                     session=answer.session))
    for connection in connections:
        wires.read_until_closed(connection)
        connection.close()
    field.b.expect(r"refused: .*dropped")
    field.b.accept(r"refused")


@attack("guest-silence")
def guest_silence(field):
    with Joined(field.healthy.door) as joined:
        joined.was_dropped()
    field.b.expect(r"ended: no HELLO within 2000 ms")


def _first_message(field, data, pattern):
    with Joined(field.healthy.door) as joined:
        joined.send_message(data)
        joined.was_dropped()
    field.b.expect(pattern)
    field.pace()


@attack("guest-hello")
def wrong_first_messages(field):
    """A joined session whose first message is no HELLO that this node can read."""
    no_hello = r"refused: its first message is no HELLO of this version"
    regions = [colo.Region("map", 16)]
    right = colo.hello("kv", 2, 5, regions)
    rng = field.rng
    for length in (1, 4, 15, 16, 80, len(right) - 1):
        _first_message(field, right[:length], no_hello)
    _first_message(field, right + b"\0", no_hello)
    _first_message(field, rng.randbytes(200), no_hello)
    _first_message(field, rng.randbytes(transport.MESSAGE_BYTES_MAX), no_hello)
    for at in rng.sample(range(len(right)), 8):
        _first_message(field, right[:at] + bytes([right[at] ^ 1 << rng.randrange(8)]) + right[at + 1 :],
                       no_hello)
    for head in (dict(magic=0), *(dict(version=colo.VERSION + step) for step in (-1, 1))):
        _first_message(field, colo.hello("kv", 2, 5, regions, **head), no_hello)
    for count in (65, 1000, 0xFFFFFFFF):
        _first_message(field, colo.hello("kv", 2, 5, regions * min(count, 65), count=count), no_hello)
    for other in (colo.ping(2, 1), colo.welcome(2, 1, 1, 0, 1), colo.said(colo.COMMITTED, 2, 9),
                  colo.message(0, 2), colo.message(99, 2)):
        _first_message(field, other, no_hello)
    unended = colo.message(colo.HELLO, 2, b"k" * 32 + struct.pack("<QQQIIII", 5, 0, 0, 4, 16, 0, 0)
                           + bytes(colo.NEEDS_BYTES))
    _first_message(field, unended, no_hello)
    endless = b"Q" * colo.NEEDS_BYTES
    _first_message(field, colo.hello("kv", 2, 5, regions, needs=endless), no_hello)


@attack("guest-other-pair")
def other_pair(field):
    for name in ("", "other", "../kv", "kv\n", "k" * 31):
        with Joined(field.healthy.door) as joined:
            joined.send_message(colo.hello(name, 2, 5, [colo.Region("map", 16)]))
            _, data = joined.read_frame()
            if colo.parse(data).type != colo.REFUSED:
                raise Wrong(f"answered {data!r}")
            joined.was_dropped()
        field.b.expect(r"refused: pair .*: this node does not serve that pair")
        field.pace()


@attack("guest-frames")
def wrong_frames(field):
    """Frames before HELLO, on the control connection and on a data connection."""

    def one(index, data, pattern):
        with Joined(field.healthy.door) as joined:
            wires.send(joined.connection(index), data)
            joined.was_dropped()
        field.b.expect(pattern)
        field.pace()

    frame, rng = transport.frame, field.rng
    one(0, rng.randbytes(transport.FRAME_BYTES), r"wrong magic number")
    one(1, rng.randbytes(4096), r"wrong magic number")
    flipped = bytearray(frame(transport.MESSAGE, length=10))
    flipped[13] ^= 1
    one(0, flipped, r"wrong header checksum")
    for kind in (0, 6, 0xFFFFFFFF):
        one(0, frame(kind, length=10), r"unknown frame type")
    for length in (0, transport.MESSAGE_BYTES_MAX + 1, 0xFFFFFFFF):
        one(0, frame(transport.MESSAGE, length=length), r"wrong length")
    for fields in (dict(memory=1), dict(offset=1), dict(key=1), dict(immediate=1)):
        one(0, frame(transport.MESSAGE, length=10, **fields), r"out of its range")
    one(0, frame(transport.WRITE, length=10), r"does not belong")
    one(0, frame(transport.EXPOSE, offset=4096, key=7), r"does not belong")
    one(1, frame(transport.MESSAGE, length=10), r"does not belong")
    one(0, frame(transport.MESSAGE, length=10, sequence=1), r"wrong sequence number")
    with Joined(field.healthy.door) as joined:
        wires.send(joined.control, frame(transport.MESSAGE, length=1) + rng.randbytes(17))
        joined.was_dropped()
    field.b.expect(r"control channel: frame 0 has a wrong tag")
    for kind in (transport.WRITE, transport.NOTIFY):
        one(2, frame(kind, length=4096), r"memory that is not exposed")
        one(2, frame(kind, memory=256, length=4096), r"out of its range")
    one(4, frame(transport.WRITE, length=0), r"wrong length")
    one(4, frame(transport.WRITE, length=transport.WRITE_BYTES_MAX + 1), r"wrong length")
    one(0, frame(transport.MESSAGE, length=8)[:20], r"ended before HELLO|no HELLO within")


@attack("guests-by-hundreds")
def guests(field):
    """More joined sessions than the door keeps waiting for their HELLO; the later ones are refused."""
    sessions = []
    for _ in range(100):
        try:
            sessions.append(Joined(field.healthy.door, channels=1))
        except (TurnedAway, wires.Closed):
            continue  # its session had gone before its data connection came
    if len(sessions) < 64:
        raise Wrong(f"only {len(sessions)} sessions joined")
    for joined in sessions:
        joined.was_dropped()
        joined.close()
    field.b.expect(r"refused: 64 others wait for their HELLO")
    field.b.accept(r"refused|no HELLO within")


@attack("hello-flood")
def hello_flood(field):
    """HELLOs for the healthy pair that are refused, one after the other, from guests who stay: the
    session that is up goes on meanwhile."""
    load = field.healthy.load
    before, started, guests = load.count, time.monotonic(), []
    try:
        while load.count < before + 100:
            if time.monotonic() > started + FLOOD_SECONDS:
                raise Wrong(f"{load.count - before} writes in {FLOOD_SECONDS} s under a flood of refused HELLOs")
            joined = Joined(field.healthy.door, channels=1)
            guests.append(joined)
            joined.send_message(colo.hello("kv", 1, 5, [colo.Region("map", 16)]))
            if len(guests) > 50:
                guests.pop(0).close()
    finally:
        for joined in guests:
            joined.close()
    field.b.expect(r"refused: the generation has passed")


@attack("hello-without-controller")
def hello_without_controller(field):
    """A standby that waits for its controller rests, also when a HELLO waits for it."""
    lonely = Lonely(field.programs)
    try:
        lonely.start()
        with Joined(lonely.door) as joined:
            joined.send_message(colo.hello("kv", 1, 5, [colo.Region("map", 16)]))
            time.sleep(0.2)
            before = processor_seconds(lonely.process_id)
            time.sleep(1)
            used = processor_seconds(lonely.process_id) - before
            if used > 0.5:
                raise Wrong(f"tandemd used {used:.2f} s of a processor in a second of waiting")
    finally:
        problems = lonely.end()
    if problems:
        raise Wrong(problems)
