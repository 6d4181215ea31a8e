"""The cable between two machines, as two ends of a pair of datagram sockets that outlive them.

Nothing is lost between running machines: the sender waits. A frozen or dead machine reads nothing,
and a sender that waits for it would be a fault of its own that no real network has: its packets
stay allocated, and soft-RoCE of Linux 6.12 was seen to crash when they outlive their queue pair.
So a machine's end is emptied while it cannot do that itself.
"""

import select
import socket
import threading

LARGEST_FRAME = 65536
POLL_S = 0.05


class End:
    def __init__(self, own):
        self.socket = own
        self.socket.setblocking(False)
        self._thread = None
        self._dropping = threading.Event()

    def fileno(self):
        return self.socket.fileno()

    def drop(self):
        """What arrives from now on is lost."""
        if not self._dropping.is_set():
            self._dropping.set()
            self._thread = threading.Thread(target=self._empty, daemon=True)
            self._thread.start()

    def keep(self):
        """What arrives from now on is the machine's."""
        self._dropping.clear()
        if self._thread:
            self._thread.join()
            self._thread = None

    def close(self):
        self.keep()
        self.socket.close()

    def _empty(self):
        while self._dropping.is_set():
            if select.select([self.socket], [], [], POLL_S)[0]:
                try:
                    self.socket.recv(LARGEST_FRAME)
                except OSError:
                    pass


def make_wire():
    """Its two ends."""
    return tuple(End(own) for own in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
