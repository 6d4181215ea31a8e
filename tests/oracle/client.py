"""The oracle client: several connections to one node at a time, one history of everything."""

import select
import time

from oracle import models
from oracle.connection import Connection
from oracle.tally import Tally
from oracle.workload import Workload, read_cells

_READ_BACK_IN_FLIGHT = 64


class Client:
    """Used from one thread. Every call returns by its deadline."""

    def __init__(self, seed, connections_count=16, in_flight_max=16, **workload_options):
        self.history = []
        self.tally = Tally()
        self._connections_count = connections_count
        self._in_flight_max = in_flight_max
        self.workload = Workload(seed, connections_count, **workload_options)
        self._numbers_used = 0
        self._connections = []

    def connect(self, node, address, count=None):
        """New connections to a node; raises OSError when it does not listen."""
        connections = []
        for _ in range(count or self._connections_count):
            connections.append(Connection(self._numbers_used, node, address, self.tally))
            self._numbers_used += 1
        self._connections += connections
        return connections

    def close(self):
        for connection in self._connections:
            connection.close()

    def load(self, connections, until, deadline_seconds):
        """Keeps every connection busy until until() is true, all are closed or time is up.
        True when until() was the reason."""
        deadline = time.monotonic() + deadline_seconds
        while time.monotonic() < deadline:
            if until():
                return True
            for writer, connection in enumerate(connections):
                self._fill(connection, writer)
            if not self.exchange(connections, 0.02):
                return until()
        return False

    def _fill(self, connection, writer):
        missing = self._in_flight_max - len(connection.waiting)
        if not connection.is_open or missing < self._in_flight_max // 2:
            return
        for _ in range(missing):
            operation, command = self.workload.next(connection, writer)
            self.history.append(operation)
            connection.ask(operation, command)

    def exchange(self, connections, timeout_seconds):
        """Sends what is queued and takes what arrives, once. False when no connection is open."""
        poll = select.poll()
        by_descriptor = {}
        for connection in connections:
            connection.flush()
            if connection.is_open:
                events = select.POLLIN | (select.POLLOUT if connection.has_unsent else 0)
                poll.register(connection, events)
                by_descriptor[connection.fileno()] = connection
        if not by_descriptor:
            return False
        for descriptor, events in poll.poll(timeout_seconds * 1000):
            if events & ~select.POLLOUT:
                by_descriptor[descriptor].receive()
        return True

    def drain(self, connections, deadline_seconds):
        """Takes responses, asks nothing new; True when nothing is in flight on open connections."""
        deadline = time.monotonic() + deadline_seconds
        while any(connection.is_open and connection.waiting for connection in connections):
            if time.monotonic() > deadline:
                return False
            self.exchange(connections, 0.02)
        return True

    def read_back(self, connections, deadline_seconds):
        """Reads every object of the history; the operations that did it, or None when it failed."""
        left = sorted({operation.target for operation in self.history}, reverse=True)
        reads = []
        deadline = time.monotonic() + deadline_seconds
        while time.monotonic() < deadline:
            for connection in connections:
                while left and len(connection.waiting) < _READ_BACK_IN_FLIGHT:
                    reads.append(self.read_object(connection, left.pop()))
            if not left and all(not connection.waiting for connection in connections):
                return reads if all(read.returned is not None for read in reads) else None
            if not self.exchange(connections, 0.1):
                return None
        return None

    def read_object(self, connection, target):
        """Queues one read of a whole object."""
        cells = (0,) if target[0] == "counter" else tuple(range(models.CELLS))
        operation, command = read_cells(target, cells, connection)
        self.history.append(operation)
        connection.ask(operation, command)
        return operation
