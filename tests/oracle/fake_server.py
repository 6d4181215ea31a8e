"""A key-value server in memory for the oracle's own tests: correct, or wrong in a chosen way."""

import select
import socket
import threading

from oracle import resp


class FakeServer:
    """Answers on a loopback port from a thread of its own until stop()."""

    def __init__(self, store=None):
        self.store = dict(store or {})
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = self._listener.getsockname()
        self._clients = {}  # socket -> unparsed bytes
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self):
        """Ends it as SIGKILL ends a process: connections close, requests stay unanswered."""
        self._wake_writer.send(b"x")
        self._thread.join()
        for each in [*self._clients, self._listener, self._wake_reader, self._wake_writer]:
            each.close()

    def _serve(self):
        while True:
            ready, _, _ = select.select(
                [self._listener, self._wake_reader, *self._clients], [], []
            )
            if self._wake_reader in ready:
                return
            for each in ready:
                if each is self._listener:
                    self._clients[each.accept()[0]] = b""
                else:
                    self._answer(each)

    def _answer(self, client):
        data = client.recv(1 << 16)
        if not data:
            del self._clients[client]
            client.close()
            return
        data = self._clients[client] + data
        position, replies = 0, []
        while (parsed := resp.parse(data, position)) is not None:
            replies.append(self.execute(*parsed[0]))
            position = parsed[1]
            if position == len(data):
                break
        self._clients[client] = data[position:]
        client.setblocking(True)
        client.sendall(b"".join(replies))

    def execute(self, name, *arguments):
        if name in (b"SET", b"MSET"):
            for key, written in zip(arguments[::2], arguments[1::2]):
                self.write(key, written)
            return b"+OK\r\n"
        if name == b"GET":
            return self._bulk(arguments[0])
        if name == b"MGET":
            return b"*%d\r\n" % len(arguments) + b"".join(self._bulk(key) for key in arguments)
        if name == b"INCR":
            after = int(self.store.get(arguments[0], b"0")) + 1
            self.store[arguments[0]] = b"%d" % after
            return b":%d\r\n" % after
        return b"-ERR unknown command\r\n"

    def write(self, key, written):
        self.store[key] = written

    def _bulk(self, key):
        found = self.store.get(key)
        return b"$-1\r\n" if found is None else b"$%d\r\n%s\r\n" % (len(found), found)
