"""Seals of an impostor whose identity is right: each is wrong in one thing and commits nothing."""

from e2e.bad_input import colo, transport
from e2e.bad_input.colo import Run
from e2e.bad_input.field import Wrong, attack

_BAD_TRAILER = r"a trailer with a wrong magic, version or checksum"
_BAD_RUN = r"a run outside its regions, stripe or order"
_TWO_RUNS = r"a page that is in two runs"
_BAD_LIST = r"the list of runs does not match its trailer"


def _lost(reason):
    return r"session lost at epoch \d+: .*" + reason


def _wrong_seal(field, reason, channel=1, mask=2, runs=None, epoch=None, **wrong):
    """A session that pushes right pages and seals them wrongly. Close behind comes an epoch that is
    right, in slots of its own: from this peer it must not be believed any more."""
    idle = field.idle
    with idle.primary() as primary:
        epoch = idle.committed + 1 if epoch is None else epoch
        page = {16: b"\xbb" * colo.PAGE_BYTES}
        right = primary.push(epoch, page)[1]
        primary.seal(epoch, channel, mask, right if runs is None else runs, **wrong)
        if channel == 1:  # connections are not ordered against each other
            later = idle.committed + (1 if epoch % 2 == idle.committed % 2 else 2)
            primary.seal(later, 1, 2, right)
        primary.was_dropped()
    field.idle_b.expect(_lost(reason))


@attack("seal-trailer")
def seal_trailer(field):
    """Each field of a trailer."""
    committed, generation = field.idle.committed, field.idle.identity.generation
    for magic in (0, 0x314C4554):
        _wrong_seal(field, _BAD_TRAILER, magic=magic)
    for version in (0, 1, colo.VERSION - 1, colo.VERSION + 1):
        _wrong_seal(field, _BAD_TRAILER, version=version)
    for bit in (0, 13, 31):
        _wrong_seal(field, _BAD_TRAILER, crc_flip=1 << bit)
    for wrong in (0, generation - 1, generation + 1, (1 << 64) - 1):
        _wrong_seal(field, r"a trailer of another generation", generation=wrong)
    for base in (committed - 1, committed + 1, (1 << 64) - 1):
        _wrong_seal(field, r"base is not the last committed epoch", base=base)
    for channel in (0, 2, 4, 31, 32, 0xFFFFFFFF):
        _wrong_seal(field, r"a trailer names another channel", trailer_channel=channel)
    for mask in (0, 1, 4, 0x10, 2 | 0x10, 2 | 1 << 31, 0xFFFFFFFD):
        _wrong_seal(field, r"a trailer whose mask is wrong", trailer_mask=mask)


@attack("seal-epoch")
def seal_epoch(field):
    committed = field.idle.committed
    for epoch in (committed, committed - 1, 0):
        _wrong_seal(field, r"an epoch that does not grow", epoch=epoch)
    for epoch in (1 << 63, (1 << 64) - 1):
        _wrong_seal(field, r"an epoch that leaves no room to grow", epoch=epoch)
    for immediate in (0, committed + 2, committed + 3, 0xFFFFFFFF):
        _wrong_notice(field, immediate)


def _wrong_notice(field, immediate):
    """A right trailer, and a notice that names another slot or epoch. What an earlier session left
    in that slot is no seal."""
    idle = field.idle
    with idle.primary() as primary:
        runs = primary.push(idle.committed + 1, {16: b"\xbb" * colo.PAGE_BYTES})[1]
        primary.seal(idle.committed + 1, 1, 2, runs, immediate=immediate)
        primary.was_dropped()
    field.idle_b.expect(_lost("another epoch than its immediate|" + _BAD_TRAILER))


@attack("seal-counts")
def seal_counts(field):
    """More runs, state or pages than there are or may be."""
    limit = r"more runs or state than was agreed"
    for run_count in (225, 1 << 16, 0xFFFFFFFF):
        _wrong_seal(field, limit, run_count=run_count)
    _wrong_seal(field, _BAD_RUN + "|" + _BAD_LIST, run_count=64)
    _wrong_seal(field, _BAD_LIST, run_count=0)
    for state_bytes in (4097, 1 << 26, 0xFFFFFFFF):
        _wrong_seal(field, limit, state_bytes=state_bytes)
    _wrong_seal(field, r"the state blob does not match", state_bytes=10, state_crc=1)
    for pages in (0, 2, -1):
        _wrong_seal(field, _BAD_LIST, data_pages=pages)
    _wrong_seal(field, _BAD_LIST, run_crc=0)
    _wrong_seal(field, r"the state blob does not match", channel=0, mask=1, runs=[], state_bytes=8,
                state_crc=1)
    _wrong_seal(field, r"the state blob does not match", channel=0, mask=1, runs=[], state_crc=1)


@attack("seal-runs")
def seal_runs(field):
    """Lists of runs that are no list of pages. At page 208 the region of 5 pages begins."""
    cases = (
        [Run(17, 1, colo.DATA), Run(16, 1, colo.DATA)],  # out of order
        [Run(16, 2, colo.DATA), Run(17, 1, colo.ZERO)],  # overlapping
        [Run(16, 1, colo.DATA), Run(16, 1, colo.DATA)],  # twice
        [Run(16, 17, colo.DATA)],  # over a stripe's end
        [Run(31, 2, colo.DATA)],
        [Run(16, 0, colo.DATA)],  # empty
        [Run(16, 0xFFFFFFFF, colo.ZERO)],
        [Run(208 + 5, 1, colo.DATA)],  # behind the second region's end
        [Run(208, 6, colo.ZERO)],
        [Run(224, 1, colo.DATA)],  # behind the last page
        [Run(1 << 63, 1, colo.DATA)],
        [Run((1 << 64) - 1, 1, colo.ZERO)],
        [Run((1 << 64) - 16, 16, colo.ZERO)],
        [Run(16, 1, 0)],  # unknown kinds
        [Run(16, 1, 3)],
        [Run(16, 1, 0xFFFFFFFF)],
    )
    for runs in cases:
        _wrong_seal(field, _BAD_RUN, runs=runs)
    idle = field.idle
    for region_end in (Run(200, 1, colo.DATA), Run(198, 3, colo.ZERO)):  # behind the first region's
        with idle.primary() as primary:
            primary.seal(idle.committed + 1, 0, 1, [region_end])
            primary.was_dropped()
        field.idle_b.expect(_lost(_BAD_RUN))


@attack("seal-two-lists")
def seal_two_lists(field):
    """A page that two channels list."""
    idle = field.idle
    for kind in (colo.DATA, colo.ZERO):
        with idle.primary() as primary:
            epoch = idle.committed + 1
            primary.seal(epoch, 1, 0b110, [Run(16, 3, colo.ZERO)])
            primary.seal(epoch, 2, 0b110, [Run(18, 1, kind)])
            primary.was_dropped()
        field.idle_b.expect(_lost(_TWO_RUNS))


@attack("fence-wrong")
def fence_wrong(field):
    """FENCE of no channel, of one that there is not, of an epoch before the committed one; and a
    trailer whose mask names a channel that FENCE has named."""
    idle = field.idle
    generation = idle.identity.generation
    for mask, epoch in ((0, idle.committed), (0x10, idle.committed), (1 << 31 | 2, idle.committed),
                        (2, idle.committed - 1)):
        with idle.primary() as primary:
            primary.send_message(colo.fence(generation, epoch, mask))
            primary.was_dropped()
        field.idle_b.expect(_lost(r"a FENCE of no channel, of an epoch before the committed one"))
    with idle.primary() as primary:
        primary.send_message(colo.fence(generation, idle.committed, 4))
        if primary.read_message(colo.FENCED).fields != (idle.committed, 4):
            raise Wrong("FENCED says something else")
        primary.seal(idle.committed + 1, 1, 0b110, [Run(16, 1, colo.ZERO)])
        primary.was_dropped()
    field.idle_b.expect(_lost(r"a trailer whose mask names a fenced channel"))


@attack("seal-list-damaged")
def seal_list_damaged(field):
    """The list in the slot is another than the trailer speaks of."""
    idle, rng = field.idle, field.rng
    right = colo.run_list([Run(16, 1, colo.DATA), Run(20, 3, colo.DATA)])
    for _ in range(12):
        at = rng.randrange(len(right))
        damaged = right[:at] + bytes([right[at] ^ 1 << rng.randrange(8)]) + right[at + 1 :]
        with idle.primary() as primary:
            primary.seal(idle.committed + 1, 1, 2, [Run(16, 1, colo.DATA), Run(20, 3, colo.DATA)],
                         listed=damaged)
            primary.was_dropped()
        field.idle_b.expect(_lost(_BAD_RUN + "|" + _BAD_LIST))


@attack("seal-twice")
def seal_twice(field):
    """A channel that seals twice: before the epoch is complete, and after it is committed."""
    idle = field.idle
    with idle.primary() as primary:
        epoch = idle.committed + 1
        for _ in range(2):
            primary.seal(epoch, 1, 0b110, [Run(16, 1, colo.ZERO)])
        primary.was_dropped()
    field.idle_b.expect(_lost("a channel sealed twice"))
    with idle.primary() as primary:
        idle.commit(primary, {16: idle.page()})
        primary.committed -= 1
        primary.seal(idle.committed, 1, 2, [Run(16, 1, colo.ZERO)])
        primary.was_dropped()
    field.idle_b.expect(_lost("base is not the last committed epoch"))
    with idle.primary() as primary:
        idle.commit(primary, {16: idle.page()})
        primary.seal(idle.committed, 1, 2, [Run(16, 1, colo.ZERO)])
        primary.was_dropped()
    field.idle_b.expect(_lost("an epoch that does not grow"))


@attack("seal-disagree")
def seal_disagree(field):
    """Two channels of one epoch whose trailers do not say the same."""
    idle = field.idle
    for wrong in (dict(trailer_mask=0b111), dict(trailer_mask=0b010 | 0b100 | 0b1000),
                  dict(epoch=idle.committed + 3)):
        with idle.primary() as primary:
            epoch = idle.committed + 1
            primary.seal(epoch, 1, 0b110, [Run(16, 1, colo.ZERO)])
            fields = dict(epoch=epoch, channel=2, mask=0b110, runs=[Run(32, 1, colo.ZERO)])
            primary.seal(**{**fields, **wrong})
            primary.was_dropped()
        field.idle_b.expect(_lost("trailers disagree"))
    for wrong in (dict(state_bytes=3), dict(state_crc=3)):
        with idle.primary() as primary:
            primary.write_state(epoch, b"state")
            primary.seal(epoch, 0, 0b011, [], b"state")
            primary.seal(epoch, 1, 0b011, [Run(16, 1, colo.ZERO)], b"state", **wrong)
            primary.was_dropped()
        field.idle_b.expect(_lost("trailers disagree"))


@attack("seal-incomplete")
def seal_incomplete(field):
    """Epochs that never complete are nothing, also when later sessions complete them."""
    idle = field.idle
    epoch = idle.committed + 1
    with idle.primary() as primary:
        primary.seal(epoch, 1, 0b110, [Run(16, 4, colo.ZERO)])
        primary.ping(1)
    with idle.primary() as primary:
        primary.seal(epoch, 2, 0b110, [Run(32, 4, colo.ZERO)])
        primary.ping(2)
    if idle.image_problems():
        raise Wrong("halves of two sessions made an epoch")


@attack("seal-notice-flood")
def notice_flood(field):
    """Notices without trailers, as fast as they go."""
    idle = field.idle
    with idle.primary() as primary:
        blank = bytes(colo.TRAILER_BYTES)
        for count in range(3000):
            channel = count % 4
            offset = primary.layout.trailer_offset(idle.committed + 1, channel)
            if not primary.write(channel, colo.SLOTS_ID, offset, blank, transport.NOTIFY,
                                 idle.committed + 1):
                break
        primary.was_dropped()
    field.idle_b.expect(_lost(_BAD_TRAILER))


@attack("seal-random")
def seal_random(field):
    """Right epochs of which one byte, written to the slots, is another; mostly nothing commits, and
    what commits is exactly what was right."""
    idle, rng = field.idle, field.rng
    for _ in range(40):
        with idle.primary() as primary:
            epoch = idle.committed + 1
            runs = primary.push(epoch, {80: b"\xcc" * 4096})[1]
            listed = colo.run_list(runs)
            trailer = colo.trailer(idle.identity.generation, epoch, idle.committed, 1, 2, runs)
            at = rng.randrange(len(trailer))
            trailer = trailer[:at] + bytes([trailer[at] ^ 1 << rng.randrange(8)]) + trailer[at + 1 :]
            primary.write(1, colo.SLOTS_ID, primary.layout.runs_offset(epoch, 1), listed)
            primary.write(1, colo.SLOTS_ID, primary.layout.trailer_offset(epoch, 1), trailer,
                          transport.NOTIFY, epoch)
            primary.was_dropped()
        field.idle_b.expect(_lost(_BAD_TRAILER))
