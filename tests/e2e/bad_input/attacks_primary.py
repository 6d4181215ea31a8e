"""The primary's side of a session: a secondary that answers with wrong bytes. The program serves on
alone and believes in no copy."""

from e2e.bad_input import colo, transport, wires
from e2e.bad_input.field import Wrong, attack

_FAILED = r"the program's session failed: "


def _expect(field, pattern):
    field.victim_a.expect(_FAILED + ".*" + pattern)
    field.pace()


def _answered(field, pattern, data):
    """The hello of the control connection is answered by these bytes."""
    with field.victim.visit() as visit:
        visit.answer(data)
        visit.was_dropped()
    _expect(field, pattern)


@attack("primary-join")
def wrong_answers(field):
    answer = transport.answer
    _answered(field, r"speaks version 3", answer(version=3))
    _answered(field, r"speaks version 1", answer(version=1)[:32])
    _answered(field, r"wrong checksum", answer(session=5)[:-1] + b"\0")
    _answered(field, r"wrong magic", field.rng.randbytes(32))
    _answered(field, r"out of its range", answer(verdict=99))
    _answered(field, r"out of its range", answer(session=0))
    _answered(field, r"out of its range", answer(verdict=transport.VERDICT_KEY, session=5))
    _answered(field, r"another key for this pair", answer(verdict=transport.VERDICT_KEY))
    _answered(field, r"cannot serve it now", answer(verdict=transport.VERDICT_BUSY))
    _answered(field, r"has not proven that it holds the key", answer(session=5))
    _answered(field, r"has not proven that it holds the key",
              answer(session=5, nonce=field.rng.randbytes(16), proof=field.rng.randbytes(16)))
    with field.victim.visit() as visit:
        visit.answer(answer(session=5)[:20])
    _expect(field, r"closed|reset|left")
    with field.victim.visit() as visit:
        visit.join(answer=answer(verdict=transport.VERDICT_CHANNEL))
        visit.was_dropped()
    _expect(field, r"the channel is up")
    with field.victim.visit() as visit:
        visit.join(answer=answer(session=77, proof=bytes(16)))
        visit.was_dropped()
    _expect(field, r"the answer is of another session")


def _greeted(field, pattern, misbehave):
    """The session has joined and HELLO was read."""
    with field.victim.visit() as visit:
        visit.join()
        visit.read_hello()
        misbehave(visit)
        visit.was_dropped()
    _expect(field, pattern)


@attack("primary-frames")
def wrong_frames(field):
    def frame(**fields):
        kind = fields.pop("kind", transport.EXPOSE)
        return lambda visit: visit.send_frame(kind, **fields)

    rng = field.rng
    _greeted(field, r"wrong magic number", lambda visit: wires.send(visit.control, rng.randbytes(96)))
    for fields in (dict(memory=256, offset=4096, key=1), dict(memory=1, offset=0, key=1),
                   dict(memory=1, offset=4096, key=0), dict(offset=4096, key=1, immediate=1)):
        _greeted(field, r"out of its range", frame(**fields))
    _greeted(field, r"wrong length", frame(offset=4096, key=1, length=8))
    _greeted(field, r"wrong sequence", frame(offset=4096, key=1, sequence=4))
    _greeted(field, r"unknown frame type", frame(kind=9))
    for kind in (transport.WRITE, transport.NOTIFY):
        _greeted(field, r"does not belong", frame(kind=kind, offset=0, key=1, length=16))

    def expose_twice(visit):
        visit.expose()
        visit.send_frame(transport.EXPOSE, memory=0, offset=4096, key=9)

    def say_untagged(visit):
        head = transport.frame(transport.MESSAGE, length=4)
        wires.send(visit.control, head + b"abcd" + rng.randbytes(16))

    _greeted(field, r"exposed twice", expose_twice)
    _greeted(field, r"a wrong tag", say_untagged)
    _greeted(field, r"wrong magic number", lambda visit: wires.send(visit.data[2], rng.randbytes(96)))


@attack("primary-exposures")
def wrong_exposures(field):
    """Memories that are missing, too small, too large; their sizes decide what would be written."""
    def sizes(wrong):
        def misbehave(visit):
            visit.expose(sizes=wrong)
            visit.welcome()
        return misbehave

    other = r"exposed other sizes than our regions have"
    for size in (0, 4096, (1 << 64) - 1, 1 << 63):
        _greeted(field, other, sizes({0: size}))
        _greeted(field, other, sizes({colo.SLOTS_ID: size}))


@attack("primary-welcome")
def wrong_welcomes(field):
    def say(data_of):
        def misbehave(visit):
            visit.expose()
            visit.say(data_of(visit))
        return misbehave

    unreadable = r"a message that cannot be read"
    right = colo.welcome(field.victim.generation, 5, 0, 0, 1)
    for data in (right[:-1], right + b"\0", field.rng.randbytes(45), right[:40] + b"\2" + right[41:],
                 colo.welcome(1, 5, 0, 0, 2), colo.message(colo.WELCOME, 1, bytes(25), version=1),
                 colo.message(99, 1), colo.message(colo.REFUSED, 1, b"\0" * 4 + b"r" * 160)):
        _greeted(field, unreadable, say(lambda visit, data=data: data))
    for generation in (0, field.victim.generation + 1, (1 << 64) - 1):
        _greeted(field, r"of another generation",
                 say(lambda visit, g=generation: colo.welcome(g, 5, 0, 0, 1)))
    for epoch in (1 << 20, 1 << 63, (1 << 64) - 1):
        _greeted(field, r"an epoch that was never sealed", say(
            lambda visit, e=epoch: colo.welcome(visit.generation, 5, visit.incarnation, e, 0)))
    for data in (colo.pong(1, 0, 0), colo.said(colo.COMMITTED, 1, 1), colo.said(colo.APPLIED, 1, 1),
                 colo.ping(1, 1)):
        _greeted(field, r"a message out of turn", say(lambda visit, data=data: data))
    for code, reason in ((-5, b"go away"), (1 << 30, b"\x1b[2J\r\n\xff"), (-1 << 31, b"%s%n%s"), (0, b"")):
        _greeted(field, r"refused by the secondary: ",
                 say(lambda visit, c=code, r=reason: colo.refused(1, c, r)))


@attack("primary-words")
def wrong_words(field):
    """A session that is up, and words that no right secondary says then."""
    generation = field.victim.generation

    def after_welcome(pattern, data):
        with field.victim.visit() as visit:
            visit.join()
            visit.read_hello()
            visit.expose()
            visit.say(visit.welcoming(), data)
            visit.swallow()
        _expect(field, pattern)

    for epoch in (0, 1, 1 << 40, (1 << 64) - 1):
        after_welcome(r"COMMITTED of an epoch that is not sealed",
                      colo.said(colo.COMMITTED, generation, epoch))
        after_welcome(r"APPLIED of an epoch that is neither sealed nor the last committed",
                      colo.said(colo.APPLIED, generation, epoch))
    for number in (1 << 32, (1 << 64) - 1):
        after_welcome(r"a ping that was never sent", colo.pong(generation, 0, number))
    for data in (colo.welcome(generation, 5, 0, 0, 1), colo.refused(generation, -5, b"no")):
        after_welcome(r"a message out of turn|refused by the secondary", data)
    after_welcome(r"a primary's message from the secondary", colo.ping(generation, 1))
    after_welcome(r"cannot be read", field.rng.randbytes(60))
    after_welcome(r"wrong length", b"")


@attack("primary-digests")
def wrong_digests(field):
    """Digests that nobody asked for, and an image that is said to hold something and never told of."""
    generation = field.victim.generation

    def after_welcome(pattern, is_fresh, data_of):
        with field.victim.visit() as visit:
            visit.join()
            visit.read_hello()
            visit.expose()
            visit.welcome(is_fresh=is_fresh)
            data = data_of(min(visit.layout.page_count, colo.DIGESTS_MAX))
            if data:
                visit.say(data)
            visit.swallow()
        _expect(field, pattern)

    def digests(first, more=0, **given):
        return lambda count: colo.digests(generation, first, count + more, **given)

    unasked = r"DIGESTS that COMPARE did not ask for"
    after_welcome(unasked, 1, digests(0))
    for first, more in ((1, 0), (0, -1), (1 << 40, 0), ((1 << 64) - 1, 0)):
        after_welcome(unasked, 0, digests(first, more))
    for given in (0, 1, 241):
        after_welcome(r"cannot be read", 0, digests(0, given=given))
    after_welcome(r"cannot be read", 0, lambda count: colo.digests(generation, 0, 241))
    after_welcome(r"was not answered by DIGESTS in time|the secondary is silent", 0, lambda count: None)
    after_welcome(r"a primary's message from the secondary", 0,
                  lambda count: colo.compare(generation, 0, 1))


@attack("primary-silence")
def silence(field):
    """Answers that never come: each has its deadline."""
    victim = field.victim
    with victim.visit() as visit:
        visit.was_dropped()
    _expect(field, r"not joined in time \(connect timeout 1000 ms\): the hello was not answered")
    with victim.visit() as visit:
        visit.join()
        visit.was_dropped()
    _expect(field, r"HELLO was not answered in time|silent")
    with victim.visit() as visit:
        visit.join()
        visit.read_hello()
        visit.expose()
        visit.welcome()
        visit.swallow()
    _expect(field, r"was not answered by COMMITTED in time|the secondary is silent")
    with victim.visit() as visit:  # and nothing is read: writes do not leave
        visit.join()
        visit.read_hello()
        visit.expose()
        visit.welcome()
        visit.was_dropped()
    _expect(field, r"no byte moved|in time|silent|push")
    if victim.stats().is_pair:
        raise Wrong("PAIR with a secondary that said nothing")
