"""One invocation and, when it came, its response."""

import enum


class Kind(enum.Enum):
    SET = "set"
    GET = "get"
    MSET = "mset"
    MGET = "mget"
    INCR = "incr"
    COUNT = "count"  # GET of a counter

    @property
    def is_write(self):
        return self in (Kind.SET, Kind.MSET, Kind.INCR)


class Operation:
    """What one client asked of one object and what it was told.

    target     the object: ("group", number) or ("counter", number)
    cells      the cells of a group it names
    sequences  what it wrote to, or was read from, each of those cells (0: no value); a counter's
               value; None for a read or INCR without a response
    connection number of the connection, unique in a history; a server executes the operations of
               a connection in their order
    invoked, returned  monotonic nanoseconds; returned is None when no response came
    """

    __slots__ = ("kind", "target", "cells", "sequences", "connection", "node", "invoked", "returned")

    def __init__(self, kind, target, cells, sequences, connection, node, invoked, returned=None):
        self.kind = kind
        self.target = target
        self.cells = cells
        self.sequences = sequences
        self.connection = connection
        self.node = node
        self.invoked = invoked
        self.returned = returned

    def precedes(self, other):
        """True when every correct server executed this one before the other."""
        if self.connection == other.connection:
            return self.invoked < other.invoked
        return self.returned is not None and self.returned < other.invoked

    def describe(self):
        asked = f"{self.kind.value} {self.target[0]} {self.target[1]} cells {list(self.cells)}"
        when = f"{self.invoked} to {'never' if self.returned is None else self.returned}"
        return f"{asked} = {self.sequences} on {self.node} connection {self.connection}, {when}"
