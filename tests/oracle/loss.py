"""Which acknowledged writes are missing from what was read back.

For a cell the last acknowledged value or a later unacknowledged one is right, nothing else: a
write is lost when it was acknowledged and what was read is older than it, or was never written.
"""

from collections import defaultdict, namedtuple

from oracle.operation import Kind

Lost = namedtuple("Lost", "target cell written read")


def find(history, reads):
    """The lost writes; history may hold the reads, too."""
    writes, increments = _by_cell(history)
    lost = []
    for read in reads:
        if read.kind is Kind.COUNT:
            lost += _lost_increments(read, increments[read.target])
            continue
        for cell, sequence in zip(read.cells, read.sequences):
            lost += _lost_writes(read, cell, sequence, writes[read.target, cell])
    return lost


def _by_cell(history):
    writes, increments = defaultdict(dict), defaultdict(list)
    for operation in history:
        if operation.kind is Kind.INCR:
            increments[operation.target].append(operation)
        elif operation.kind.is_write:
            for cell, sequence in zip(operation.cells, operation.sequences):
                writes[operation.target, cell][sequence] = operation
    return writes, increments


def _lost_writes(read, cell, sequence, writes):
    earlier = [write for write in writes.values() if _is_acknowledged_before(write, read)]
    found = writes.get(sequence)
    if found is None:  # no value, a torn one or one that nobody wrote
        lost = earlier
    else:
        lost = [write for write in earlier if write is not found and found.precedes(write)]
    return [Lost(read.target, cell, write, read) for write in lost]


def _lost_increments(read, increments):
    earlier = [incr for incr in increments if _is_acknowledged_before(incr, read)]
    missing_count = max(0, len(earlier) - read.sequences[0])
    if read.sequences[0] > len(increments):
        missing_count = len(earlier)  # a number that no run of them can have reached
    return [Lost(read.target, 0, write, read) for write in earlier[len(earlier) - missing_count :]]


def _is_acknowledged_before(write, read):
    return write.returned is not None and write.returned < read.invoked
