"""Small histories written down by hand or at random, for the oracle's own tests."""

import itertools
import random

from oracle.models import CELLS, Counter, Group
from oracle.operation import Kind, Operation

REGISTER = ("group", 1)
NUMBER = ("counter", 1)


def set_(sequence, invoked, returned, connection=0, node="a", cell=0):
    return Operation(Kind.SET, REGISTER, (cell,), (sequence,), connection, node, invoked, returned)


def get(sequence, invoked, returned, connection=1, node="a", cell=0):
    return Operation(Kind.GET, REGISTER, (cell,), (sequence,), connection, node, invoked, returned)


def mset(sequences, invoked, returned, connection=0, node="a"):
    cells = tuple(range(len(sequences)))
    return Operation(Kind.MSET, REGISTER, cells, sequences, connection, node, invoked, returned)


def mget(sequences, invoked, returned, connection=1, node="a"):
    cells = tuple(range(len(sequences)))
    return Operation(Kind.MGET, REGISTER, cells, sequences, connection, node, invoked, returned)


def incr(value, invoked, returned, connection=0, node="a"):
    sequences = None if value is None else (value,)
    return Operation(Kind.INCR, NUMBER, (0,), sequences, connection, node, invoked, returned)


def count(value, invoked, returned, connection=1, node="a"):
    return Operation(Kind.COUNT, NUMBER, (0,), (value,), connection, node, invoked, returned)


def has_order(model, operations):
    """Linearizability by its definition: tries every order of every choice of what happened."""
    answered = [operation for operation in operations if operation.returned is not None]
    unanswered = [
        operation
        for operation in operations
        if operation.returned is None and operation.kind.is_write
    ]
    for size in range(len(unanswered) + 1):
        for happened in itertools.combinations(unanswered, size):
            for order in itertools.permutations(answered + list(happened)):
                if _keeps_time(order) and _is_legal(model, order):
                    return True
    return False


def _keeps_time(order):
    return not any(
        later.precedes(earlier) for earlier, later in itertools.combinations(order, 2)
    )


def _is_legal(model, order):
    state = model.INITIAL
    for operation in order:
        state = model.step(state, operation)
        if state is None:
            return False
    return True


class RandomHistory:
    """A few overlapping operations with responses that are plausible and often wrong."""

    def __init__(self, seed):
        self._random = random.Random(seed)

    def group(self, size):
        self._written = {cell: [0] for cell in range(CELLS)}
        return Group, self._spread(size, self._group_operation)

    def counter(self, size):
        return Counter, self._spread(size, self._counter_operation)

    def _spread(self, size, make):
        """At most one operation in flight on a connection, as most clients do; a response may be
        missing, and then the connection is not used again."""
        free_at = {connection: 0 for connection in range(3)}
        operations = []
        for _ in range(size):
            if not free_at:
                break
            connection = self._random.choice(list(free_at))
            invoked = free_at[connection] + self._random.randint(1, 4) * 10 + connection
            returned = invoked + self._random.randint(1, 12) * 10
            free_at[connection] = returned
            if self._random.random() < 0.15:
                returned = None
                del free_at[connection]
            operations.append(make(size, connection, invoked, returned))
        return operations

    def _group_operation(self, size, connection, invoked, returned):
        cell = self._random.randrange(2)
        kind = self._random.choice("sssggmM")
        if kind == "s":
            return set_(self._new(cell), invoked, returned, connection, cell=cell)
        if kind == "g":
            return get(self._old(cell), invoked, returned, connection, cell=cell)
        if kind == "m":
            return mset((self._new(0), self._new(1)), invoked, returned, connection)
        return mget((self._old(0), self._old(1)), invoked, returned, connection)

    def _new(self, cell):
        self._written[cell].append(self._written[cell][-1] + 1)
        return self._written[cell][-1]

    def _old(self, cell):
        return self._random.choice(self._written[cell][-3:])

    def _counter_operation(self, size, connection, invoked, returned):
        if self._random.random() < 0.7:
            value = None if returned is None else self._random.randint(1, max(2, size - 1))
            return incr(value, invoked, returned, connection)
        return count(self._random.randint(0, size // 2), invoked, returned, connection)
