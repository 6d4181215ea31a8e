"""What each object does when one operation at a time is applied to it."""

from oracle.operation import Kind

CELLS = 4


class Group:
    """A few registers that are read and written one by one or together, in one transaction."""

    INITIAL = (0,) * CELLS

    @staticmethod
    def step(state, operation):
        """The state after the operation, or None when its response contradicts the state."""
        if operation.kind is Kind.SET or operation.kind is Kind.MSET:
            after = list(state)
            for cell, sequence in zip(operation.cells, operation.sequences):
                after[cell] = sequence
            return tuple(after)
        for cell, sequence in zip(operation.cells, operation.sequences):
            if state[cell] != sequence:
                return None
        return state

    @staticmethod
    def reduce(operations):
        """Leaves out what can have no influence: reads without a response, and writes without one
        whose values nobody saw (a run with such a write is as good without it)."""
        seen = set()
        for operation in operations:
            if not operation.kind.is_write and operation.returned is not None:
                seen.update(zip(operation.cells, operation.sequences))
        return [
            operation
            for operation in operations
            if operation.returned is not None
            or (
                operation.kind.is_write
                and not seen.isdisjoint(zip(operation.cells, operation.sequences))
            )
        ]

    @staticmethod
    def are_interchangeable(operation):
        """Without a response two writes still differ by their values."""
        return False


class Counter:
    """A number that starts at 0 and only grows."""

    INITIAL = 0

    @staticmethod
    def step(state, operation):
        if operation.kind is Kind.INCR:
            after = state + 1
            return after if operation.sequences is None or operation.sequences[0] == after else None
        return state if operation.sequences[0] == state else None

    @staticmethod
    def reduce(operations):
        return [
            operation
            for operation in operations
            if operation.returned is not None or operation.kind is Kind.INCR
        ]

    @staticmethod
    def are_interchangeable(operation):
        """Of several INCR without a response the earliest invoked may stand for any other."""
        return operation.returned is None
