"""One pipelined client connection that records what it asks and what it is told."""

import socket
import time
from collections import deque

from oracle import keys, resp, value
from oracle.operation import Kind

_RECV_BYTES = 1 << 18


class Connection:
    """Non-blocking; is_open turns False when the server went away, why_closed says how."""

    def __init__(self, number, node, address, tally, timeout_seconds=10.0):
        self.number = number
        self.node = node
        self.is_open = True
        self.why_closed = ""
        self.waiting = deque()  # operations without a response, oldest first
        self._tally = tally
        self._socket = socket.create_connection(address, timeout_seconds)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setblocking(False)
        self._unsent = bytearray()
        self._unparsed = b""
        self._last_invoked = 0

    def fileno(self):
        return self._socket.fileno()

    @property
    def has_unsent(self):
        return bool(self._unsent)

    def next_instant(self):
        """Now, and later than every earlier operation of this connection."""
        self._last_invoked = max(time.monotonic_ns(), self._last_invoked + 1)
        return self._last_invoked

    def ask(self, operation, command):
        """Queues a command; flush() sends what is queued."""
        self.waiting.append(operation)
        self._unsent += command

    def flush(self):
        while self._unsent and self.is_open:
            try:
                sent = self._socket.send(self._unsent)
            except BlockingIOError:
                return
            except OSError as error:
                self.close(str(error))
                return
            del self._unsent[:sent]

    def receive(self):
        """Takes what has arrived and completes operations."""
        try:
            data = self._socket.recv(_RECV_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self.close(str(error))
            return
        if not data:
            self.close("closed by the server")
            return
        now = time.monotonic_ns()
        self._consume(self._unparsed + data if self._unparsed else data, now)

    def _consume(self, data, now):
        position = 0
        try:
            while position < len(data):
                parsed = resp.parse(data, position)
                if parsed is None:
                    break
                reply, position = parsed
                if not self.waiting:
                    raise resp.ProtocolError("a reply without a request")
                self._complete(self.waiting.popleft(), reply, now)
        except resp.ProtocolError as error:
            self._tally.protocol_errors += 1
            self.close(str(error))
            return
        self._unparsed = data[position:]

    def _complete(self, operation, reply, now):
        """An error reply leaves the operation without a response: it may have had its effect."""
        self._tally.count_reply(now)
        if isinstance(reply, resp.ReplyError):
            self._tally.count_error(reply)
        elif operation.kind.is_write:
            if operation.kind is Kind.INCR:
                operation.sequences = (reply,)
            operation.returned = now
            self._tally.acknowledged_writes += len(operation.cells)
        else:
            self._complete_read(operation, reply, now)

    def _complete_read(self, operation, reply, now):
        if operation.kind is Kind.COUNT:
            operation.sequences = (int(reply) if reply is not None else 0,)
            operation.returned = now
            return
        values = reply if operation.kind is Kind.MGET else [reply]
        sequences = []
        for key, read in zip(keys.of(operation.target, operation.cells), values):
            sequences.append(self._decode(key, read))
        operation.sequences = tuple(sequences)
        operation.returned = now

    def _decode(self, key, read):
        if read is None:
            return 0
        sequence = value.decode(key, read)
        if sequence is None:
            self._tally.count_torn(key, read)
            return -1  # no write ever wrote it: the history is rejected, too
        return sequence

    def close(self, why="closed by the oracle"):
        if self.is_open:
            self.is_open = False
            self.why_closed = why
            self._socket.close()
