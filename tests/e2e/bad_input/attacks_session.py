"""An impostor whose identity is right: HELLOs that differ from the right one in one thing, messages
out of turn, and writes that do not fit."""

from e2e.bad_input import colo, transport
from e2e.bad_input.colo import Region
from e2e.bad_input.field import Wrong, attack
from e2e.bad_input.primary import Joined, Refused


def _refused_hello(field, pattern, **wrong):
    """A HELLO that is refused in words; a right session in between lets the next be told, too."""
    idle = field.idle
    with Joined(idle.door) as joined:
        joined.send_message(idle.identity.hello(**wrong))
        _, data = joined.read_frame()
        message = colo.parse(data)
        if message.type != colo.REFUSED:
            raise Wrong(f"HELLO with {wrong} was answered by type {message.type}")
        joined.was_dropped()
    field.idle_b.expect(pattern)
    with idle.primary() as primary:
        if primary.committed != idle.committed:
            raise Wrong(f"epoch {primary.committed} after {wrong}")
    field.pace()


_UNREADABLE = rf"session lost at epoch \d+: \d+ bytes that are no message of version {colo.VERSION}"


@attack("hello-identity")
def hello_identity(field):
    identity = field.idle.identity
    for generation in (0, identity.generation - 1):
        _refused_hello(field, r"refused: the generation has passed", generation=generation)
    for generation in (identity.generation + 1, 1 << 63, (1 << 64) - 1):
        _refused_hello(field, r"refused: this node does not know that generation",
                       generation=generation)
    _refused_hello(field, r"refused: an incarnation is never 0", incarnation=0)
    for incarnation in (identity.incarnation ^ 1, field.idle.incarnation, (1 << 64) - 1):
        _refused_hello(field, r"refused: the register names another incarnation",
                       incarnation=incarnation)


@attack("hello-regions")
def hello_regions(field):
    """Region tables outside the limits: counts, names that are no file names, sizes."""
    limits = r"refused: the region table is out of its limits"
    _refused_hello(field, limits, regions=[])
    for name in ("", "../../etc/passwd", "state.blob", "a/b", ".", "..", "Map", "map\n", "m ap",
                 "\x7f", "caf\xe9"):
        _refused_hello(field, limits, regions=[Region(name, 16)])
    _refused_hello(field, limits, regions=[Region("map", 16), Region("map", 16)])
    for pages in (0, (1 << 32) + 1, 1 << 52, 1 << 63, (1 << 64) - 1):
        _refused_hello(field, limits, regions=[Region("ok", 1), Region("map", pages)])
    for stripe_pages in (0, 257, 0xFFFFFFFF):
        _refused_hello(field, limits, stripe_pages=stripe_pages)
    for channels in (0, 17, 255, 0xFFFFFFFF):
        _refused_hello(field, limits, channels=channels)
    for state_max in (colo.STATE_BYTES_LIMIT + 1, 0xFFFFFFFF):
        _refused_hello(field, limits, state_max=state_max)
    others = r"refused: the regions of one life of a program are fixed"
    _refused_hello(field, others, regions=[Region("other", 16)])
    _refused_hello(field, others, stripe_pages=colo.STRIPE_PAGES // 2)


@attack("hello-channels")
def hello_channels(field):
    """A HELLO that counts other channels than the session has: what it then seals is refused."""
    idle = field.idle
    hello = idle.identity.hello(channels=16)
    with idle.primary(hello) as primary:
        primary.layout = colo.Layout(idle.identity.regions, 16, idle.identity.state_max)
        primary.seal(idle.committed + 1, 0, 1 << 9, [], trailer_channel=9)
        primary.was_dropped()
    field.idle_b.expect(r"session lost at epoch \d+: a trailer names another channel")


@attack("hello-twice")
def hello_twice(field):
    idle = field.idle
    for data in (idle.identity.hello(), colo.welcome(2, 1, 1, 0, 0), colo.refused(2, -5, b"no"),
                 colo.pong(2, 1, 1), colo.said(colo.COMMITTED, 2, 1), colo.said(colo.APPLIED, 2, 1)):
        with idle.primary() as primary:
            primary.send_message(data)
            primary.was_dropped()
        field.idle_b.expect(r"session lost at epoch \d+: a message out of turn")
    with Joined(idle.door) as joined:
        joined.send_message(colo.ping(2, 1))
        joined.was_dropped()
    field.idle_b.expect(r"refused: its first message is no HELLO")


@attack("message-bytes")
def message_bytes(field):
    """A welcomed session whose next message is damaged."""
    idle, rng = field.idle, field.rng
    right = colo.ping(idle.identity.generation, 1)
    damaged = [right[:-1], right + b"\0", rng.randbytes(28), rng.randbytes(8192), right[:1],
               colo.message(colo.PING, 2, bytes(8), version=1), colo.message(colo.PING, 2, bytes(8), magic=1),
               colo.message(77, 2)]
    damaged += [right[:at] + bytes([right[at] ^ 0x10]) + right[at + 1 :] for at in (0, 5, 9, 20, 27)]
    for data in damaged:
        with idle.primary() as primary:
            primary.send_message(data)
            primary.was_dropped()
        field.idle_b.expect(_UNREADABLE)


@attack("compare")
def compare(field):
    """COMPARE of pages that are not there, of too many, and digests from who has no image."""
    idle = field.idle
    generation = idle.identity.generation
    pages = colo.Layout(idle.identity.regions).page_count
    absent = r"session lost at epoch \d+: a COMPARE after a commit, or of pages that are not there"
    wrong = [(absent, colo.compare(generation, first, count)) for first, count in (
        (pages, 1), (pages - 1, 2), ((1 << 64) - 1, 1), ((1 << 64) - 240, 240), (1 << 63, 1))]
    wrong += [(_UNREADABLE, colo.compare(generation, 0, count))
              for count in (0, colo.DIGESTS_MAX + 1, 0xFFFFFFFF)]
    wrong += [(_UNREADABLE, colo.digests(generation, 0, 3, given)) for given in (0, 2, 4)]
    wrong += [(r"session lost at epoch \d+: a message out of turn", colo.digests(generation, 0, 1))]
    for pattern, data in wrong:
        with idle.primary() as primary:
            primary.send_message(data)
            primary.was_dropped()
        field.idle_b.expect(pattern)
    with idle.primary() as primary:
        for first in range(pages):
            primary.send_message(colo.compare(generation, first, 1))
            if primary.read_message(colo.DIGESTS).fields != (first, 1):
                raise Wrong(f"no digest of page {first}")


@attack("ping-flood")
def ping_flood(field):
    """Pings without end whose answers nobody takes: the session ends, nothing grows."""
    idle = field.idle
    with idle.primary() as primary:
        pings = bytearray()
        for number in range(1, 301):
            data = colo.ping(idle.identity.generation, number)
            sequence = primary.sequences[0] + number - 1
            head = transport.frame(transport.MESSAGE, length=len(data), sequence=sequence)
            pings += head + data + primary.secrets.tag(False, sequence, head, data)
        primary.control.sendall(pings)
        for number in range(1, 301):
            if primary.read_message(colo.PONG).fields != (idle.committed, number):
                raise Wrong(f"no answer to ping {number}")


def _bad_frame(field, pattern, channel, **fields):
    """One frame on a data connection that must end the session; bytes behind it are not read."""
    idle = field.idle
    with idle.primary() as primary:
        kind = fields.pop("type", transport.WRITE)
        payload = fields.pop("payload", b"\xee" * 4096)
        memory = fields.get("memory", 0)
        fields.setdefault("key", primary.memories.get(memory, (0, 1))[1])
        primary.send_frame(1 + channel, kind, payload, **fields)
        primary.was_dropped()
    field.idle_b.expect(r"session lost at epoch \d+: .*data channel \d+: frame \d+ has " + pattern)


@attack("write-target")
def write_target(field):
    """Writes to memories that are not there, outside of those that are, or with a wrong key."""
    for memory in (2, 100, 254):
        _bad_frame(field, r"a memory that is not exposed", 0, memory=memory)
    for memory in (256, 0xFFFFFFFF):
        _bad_frame(field, r"a field out of its range", 1, memory=memory)
    size = 200 * colo.PAGE_BYTES
    for offset in (size - 4095, size, 1 << 40, 1 << 63, (1 << 64) - 1, (1 << 64) - 4096):
        _bad_frame(field, r"a range outside the exposed memory", 2, offset=offset)
    _bad_frame(field, r"a range outside the exposed memory", 2, memory=1, length=1 << 20,
               payload=b"")
    for key in (0, 1, field.rng.getrandbits(64)):
        _bad_frame(field, r"wrong memory key", 3, key=key)
    with field.idle.primary() as primary:
        other_key = primary.memories[1][1]
    _bad_frame(field, r"wrong memory key", 3, key=other_key)


@attack("write-frame")
def write_frame(field):
    """Lengths, sequence numbers and types that do not fit."""
    for length in (0, transport.WRITE_BYTES_MAX + 1, 0x80000000, 0xFFFFFFFF):
        _bad_frame(field, r"wrong length", 0, length=length)
    for sequence in (1, 2, 1 << 32, (1 << 64) - 1):
        _bad_frame(field, r"wrong sequence number", 1, sequence=sequence)
    _bad_frame(field, r"a field out of its range", 2, immediate=5)
    for kind in (transport.MESSAGE, transport.EXPOSE):
        _bad_frame(field, r"a f", 3, type=kind, key=7, offset=4096, payload=b"")
    for kind in (0, 6, 255):
        _bad_frame(field, r"unknown frame type", 3, type=kind)


@attack("frame-order")
def frame_order(field):
    """Frames that are repeated, left out and exchanged within a run of right ones."""
    idle = field.idle
    for order in ((0, 1, 1), (0, 2), (1, 0), (0, 1, 2, 1), (0, 1, 0)):
        with idle.primary() as primary:
            for sequence in order:
                primary.write(1, 0, 16 * colo.PAGE_BYTES, b"\xaa" * 4096, sequence=sequence)
            primary.was_dropped()
        field.idle_b.expect(r"session lost .*wrong sequence number")


@attack("frame-cut")
def frame_cut(field):
    """A session that ends in the middle of a frame or says bytes that are none."""
    idle, rng = field.idle, field.rng
    with idle.primary() as primary:
        primary.data[0].sendall(rng.randbytes(100000))
        primary.was_dropped()
    field.idle_b.expect(r"session lost .*wrong magic number")
    for data in (transport.frame(transport.WRITE, 0, 4096, 0, 1)[:30], rng.randbytes(1)):
        with idle.primary() as primary:
            primary.data[1].sendall(data)
            primary.data[1].close()
            primary.control.close()
            for connection in (primary.data[0], *primary.data[2:]):
                connection.close()
    with idle.primary() as primary:
        half = transport.frame(transport.WRITE, 0, 4096, 0, primary.memories[0][1]) + bytes(2000)
        primary.data[0].sendall(half)


@attack("cache-scribble")
def cache_scribble(field):
    """Right writes all over cache and slots that are never sealed, then sessions that end."""
    idle, rng = field.idle, field.rng
    for _ in range(3):
        with idle.primary() as primary:
            for _ in range(40):
                page = rng.randrange(200)
                primary.write_page(page, rng.randbytes(4096))
                channel = rng.randrange(4)
                primary.write(channel, colo.SLOTS_ID, rng.randrange(8) * 4096, rng.randbytes(4096))
            primary.ping(1)


@attack("session-replaced")
def session_replaced(field):
    """A second session of the same primary ends the first, whatever that was doing."""
    idle = field.idle
    with idle.primary() as first:
        first.push(idle.committed + 1, {3: idle.page(), 17: idle.page()})
        with idle.primary() as second:
            first.was_dropped()
            second.ping(9)
    try:
        with Joined(idle.door) as joined:
            joined.send_message(idle.identity.hello(generation=1))
    except Refused:
        pass
    field.idle_b.expect(r"refused: the generation has passed")
