"""Which operation comes next: random, but every write of a cell carries a new sequence."""

import random
from collections import defaultdict

from oracle import keys, resp, value
from oracle.models import CELLS
from oracle.operation import Kind, Operation


class Workload:
    """Most groups are written by one connection only (the group's number names it), so that "the
    last acknowledged write" has one meaning; the shared ones and the counters by all."""

    SHARED_ONE_IN = 12
    COUNTER_ONE_IN = 10

    def __init__(self, seed, writers_count, groups_count=1000, shared_count=16, counters_count=16):
        self._random = random.Random(seed)
        self._padding = value.Padding(seed)
        self._writers_count = writers_count
        self._groups_count = groups_count
        self._shared_count = shared_count
        self._counters_count = counters_count
        self.reads_only = False  # may be changed at any time
        self._sequences = defaultdict(int)
        self._readers = [self._get] * 2 + [self._mget]
        self._makers = self._readers * 2 + [self._set] * 11 + [self._mset] * 3

    def next(self, connection, writer):
        """An operation for the connection (it is the writer of that number) and its command."""
        if self._random.random() * self.COUNTER_ONE_IN < 1:
            return self._count(connection)
        makers = self._readers if self.reads_only else self._makers
        maker = makers[self._below(len(makers))]
        return maker(connection, self._target(writer))

    def _target(self, writer):
        if self._random.random() * self.SHARED_ONE_IN < 1:
            return ("group", self._groups_count + self._below(self._shared_count))
        owned_count = self._groups_count // self._writers_count
        return ("group", self._below(owned_count) * self._writers_count + writer)

    def _below(self, limit):
        return int(self._random.random() * limit)

    def _count(self, connection):
        number = self._below(self._counters_count)
        is_increment = not self.reads_only and self._random.random() < 0.8
        kind = Kind.INCR if is_increment else Kind.COUNT
        command = resp.encode(b"INCR" if kind is Kind.INCR else b"GET", keys.counter(number))
        return self._operation(kind, ("counter", number), (0,), None, connection), command

    def _set(self, connection, target):
        cell = self._below(CELLS)
        sequence, encoded = self._new_value(target, cell)
        command = resp.encode(b"SET", keys.group_cell(target[1], cell), encoded)
        return self._operation(Kind.SET, target, (cell,), (sequence,), connection), command

    def _mset(self, connection, target):
        arguments, sequences, cells = [b"MSET"], [], self._some_cells()
        for cell in cells:
            sequence, encoded = self._new_value(target, cell)
            arguments += (keys.group_cell(target[1], cell), encoded)
            sequences.append(sequence)
        operation = self._operation(Kind.MSET, target, cells, tuple(sequences), connection)
        return operation, resp.encode(*arguments)

    def _get(self, connection, target):
        cell = self._below(CELLS)
        command = resp.encode(b"GET", keys.group_cell(target[1], cell))
        return self._operation(Kind.GET, target, (cell,), None, connection), command

    def _mget(self, connection, target):
        return read_cells(target, self._some_cells(), connection)

    def _some_cells(self):
        return tuple(range(self._below(CELLS - 1), CELLS))

    def _new_value(self, target, cell):
        name = (target[1], cell)
        sequence = self._sequences[name] = self._sequences[name] + 1
        key = keys.group_cell(target[1], cell)
        return sequence, value.encode(key, sequence, self._padding.take())

    @staticmethod
    def _operation(kind, target, cells, sequences, connection):
        return Operation(
            kind, target, cells, sequences, connection.number, connection.node,
            connection.next_instant(),
        )


def read_cells(target, cells, connection):
    """An operation that reads cells of an object (or a counter) at once, and its command."""
    is_counter = target[0] == "counter"
    kind = Kind.COUNT if is_counter else Kind.MGET
    command = resp.encode(b"GET" if is_counter else b"MGET", *keys.of(target, cells))
    operation = Operation(
        kind, target, cells, None, connection.number, connection.node, connection.next_instant()
    )
    return operation, command
