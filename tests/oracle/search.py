"""The search for an order that explains a history of one object.

Wing and Gong's algorithm with Lowe's memory of visited configurations: take operations out of the
history one by one, each one invoked before anything left in it had returned, as long as the model
agrees; go back when nothing fits. A configuration (set of taken operations, state) is tried once.
An operation without a response may be taken at any time after its invocation, or never.
"""

import enum
from collections import namedtuple

Outcome = namedtuple("Outcome", "verdict stuck_at")


class Verdict(enum.Enum):
    LINEARIZABLE = "linearizable"
    NOT_LINEARIZABLE = "not linearizable"
    UNDECIDED = "undecided"  # the search was given up; never counts as a pass


class _Entry:
    """The invocation or the return of an operation in a doubly linked list by time."""

    __slots__ = ("operation", "index", "bit", "before_bit", "other", "previous", "next")

    def __init__(self, operation, index):
        self.operation = operation
        self.index = index
        self.bit = 1 << index
        self.before_bit = 0  # what must be taken earlier
        self.other = None  # an invocation's return; None for the return itself
        self.previous = None
        self.next = None


class Search:
    def __init__(self, model, operations, steps_max):
        self._model = model
        self._operations = sorted(model.reduce(operations), key=lambda entry: entry.invoked)
        self._steps_max = steps_max
        self._left_count = sum(1 for operation in self._operations if operation.returned is not None)
        self._head = self._link()

    def _link(self):
        """The list of entries; equal times count as overlapping, so invocations go first."""
        last_of = {}
        last_unanswered = None
        events = []
        for index, operation in enumerate(self._operations):
            entry = _Entry(operation, index)
            entry.before_bit = last_of.get(operation.connection, 0)
            last_of[operation.connection] = entry.bit
            if self._model.are_interchangeable(operation):
                if last_unanswered is not None:
                    entry.before_bit |= last_unanswered
                last_unanswered = entry.bit
            events.append((operation.invoked, 0, index, entry))
            if operation.returned is not None:
                entry.other = _Entry(operation, index)
                events.append((operation.returned, 1, index, entry.other))
            else:
                entry.other = entry
        events.sort(key=lambda event: event[:3])
        head = _Entry(None, 0)
        last = head
        for _, _, _, entry in events:
            entry.previous = last
            last.next = entry
            last = entry
        return head

    def run(self):
        state, taken = self._model.INITIAL, 0
        left_count, steps = self._left_count, 0
        deepest, stuck_at = len(self._operations) + 1, None
        stack, visited = [], set()
        entry = self._head.next
        while left_count > 0:
            steps += 1
            if steps > self._steps_max:
                return Outcome(Verdict.UNDECIDED, stuck_at)
            if entry.other is None:  # a return: what it belongs to should have been taken by now
                if left_count < deepest:
                    deepest, stuck_at = left_count, entry.operation
                if not stack:
                    return Outcome(Verdict.NOT_LINEARIZABLE, stuck_at)
                entry, state, left_count = self._take_back(stack)
                taken &= ~entry.bit
                entry = entry.next
                continue
            after = self._try(entry, state, taken, visited)
            if after is None:
                entry = entry.next
                continue
            stack.append((entry, state, left_count))
            state, taken = after, taken | entry.bit
            left_count -= entry.other is not entry
            _lift(entry)
            entry = self._head.next
        return Outcome(Verdict.LINEARIZABLE, None)

    def _try(self, entry, state, taken, visited):
        if entry.before_bit & taken != entry.before_bit:
            return None
        after = self._model.step(state, entry.operation)
        if after is None:
            return None
        configuration = (taken | entry.bit, after)
        if configuration in visited:
            return None
        visited.add(configuration)
        return after

    @staticmethod
    def _take_back(stack):
        entry, state, left_count = stack.pop()
        _unlift(entry)
        return entry, state, left_count


def _lift(entry):
    _unlink(entry)
    if entry.other is not entry:
        _unlink(entry.other)


def _unlift(entry):
    if entry.other is not entry:
        _relink(entry.other)
    _relink(entry)


def _unlink(entry):
    entry.previous.next = entry.next
    if entry.next is not None:
        entry.next.previous = entry.previous


def _relink(entry):
    entry.previous.next = entry
    if entry.next is not None:
        entry.next.previous = entry
