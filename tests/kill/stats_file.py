"""What the engine of a protected program leaves in RUN_DIR/PAIR.stats; it survives its death.

The layout is struct tandem_stats of base/include/tandem/stats_page.h.
"""

import struct
from collections import namedtuple

PHASES = ("run", "scan", "push", "seal", "wait", "apply", "reply")

_MAGIC = 0x35737461746E6174
_COUNTS = 22
_FORMAT = struct.Struct(f"<QQIIIIII{_COUNTS}Q16s128s16s")
_CHANNEL = struct.Struct("<IIQIIQ192s")
CHANNEL_STATES = ("down", "joining", "up", "lost")
_CHANNELS = 16
_HISTOGRAM_STEPS = 32
_HISTOGRAM = struct.Struct("<QQQ%dI" % (_HISTOGRAM_STEPS * 40))
_LIFE = struct.Struct("<I4x")
_HISTOGRAM_NAMES = ("pause", "scan", "stage", "slowed", "apply_wait", "push", "commit", "apply")

Stats = namedtuple(
    "Stats",
    "incarnation process_id phase is_pair channel_count pace is_staging generation epochs_committed"
    " epochs_aborted epoch_committed pages_pushed zero_pages bytes_pushed copy_since_ns"
    " copy_is_comparing copy_bytes_total copy_bytes_done copy_bytes_equal copy_bytes_per_s copy_held_ns"
    " pages_staged pages_beside pages_vain pauses_misfit stages_short committed_ns held_since_ns behind_since_ns transport transport_detail tracker channels histograms",
)
Channel = namedtuple(
    "Channel", "state rail bytes inflight_count lost_count oldest_posted_ns first_error"
)


class Histogram:
    """Values in nanoseconds, in buckets of about 3 % width."""

    def __init__(self, data, offset):
        self.count, self.max, self.sum, *self._buckets = _HISTOGRAM.unpack_from(data, offset)

    def at(self, per_mille):
        """Upper edge of the bucket that holds it, never above the largest value; 0 when empty."""
        rank = max(1, (self.count * per_mille + 999) // 1000)
        seen = 0
        for bucket, count in enumerate(self._buckets):
            seen += count
            if self.count and seen >= rank:
                return min(self.max, _upper_edge(bucket))
        return self.max


def _upper_edge(bucket):
    if bucket < _HISTOGRAM_STEPS:
        return bucket
    shift = bucket // _HISTOGRAM_STEPS - 1
    return ((_HISTOGRAM_STEPS + bucket % _HISTOGRAM_STEPS + 1) << shift) - 1


def read(path):
    """The Stats of a file; None when there is none yet."""
    try:
        return parse(path.read_bytes())
    except OSError:
        return None


def _channel(data, index):
    state, *numbers, first_error = _CHANNEL.unpack_from(data, _FORMAT.size + index * _CHANNEL.size)
    name = CHANNEL_STATES[state] if state < len(CHANNEL_STATES) else "unknown"
    return Channel(name, *numbers, first_error.split(b"\0")[0].decode(errors="replace"))


def parse(data):
    """The Stats; None when the bytes are of another layout or not all there."""
    first_histogram = _FORMAT.size + _CHANNELS * _CHANNEL.size
    if len(data) < first_histogram + len(_HISTOGRAM_NAMES) * _HISTOGRAM.size + _LIFE.size:
        return None
    magic, incarnation, process_id, phase, is_pair, channels, pace, is_staging, *rest = _FORMAT.unpack_from(data)
    if magic != _MAGIC or phase >= len(PHASES):
        return None
    texts = [text.split(b"\0")[0].decode(errors="replace") for text in rest[_COUNTS:]]
    histograms = {
        name: Histogram(data, first_histogram + index * _HISTOGRAM.size)
        for index, name in enumerate(_HISTOGRAM_NAMES)
    }
    return Stats(
        incarnation, process_id, PHASES[phase], bool(is_pair), channels, pace, bool(is_staging),
        *rest[:_COUNTS], *texts,
        [_channel(data, index) for index in range(min(channels, _CHANNELS))], histograms,
    )
