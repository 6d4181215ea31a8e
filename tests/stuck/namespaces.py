"""The bed of the tcp table: a host is a network namespace, the cable a veth pair."""

import re
import subprocess

from kill.network import Network, NetworkError

from .peer import LocalPeer
from .verdict import Failed

PORT = 7480
LISTENER, WRITER = "a", "b"
LINK = "between"


class Bed:
    """A context manager. `listener` and `writer` are there after join()."""

    def __init__(self, build):
        self.build = build
        self.peers = []

    def __enter__(self):
        self.network = Network()
        self.network.add()
        return self

    def __exit__(self, *_):
        for peer in self.peers:
            peer.close()
        self.network.remove()

    # -- peers ----------------------------------------------------------------------------------

    def start(self, host, mode, **options):
        name = "listener" if mode == "listen" else "writer"
        words = [f"{key}={value}" for key, value in options.items()]
        command = ["ip", "netns", "exec", self.network.namespaces[host],
                   f"{self.build}/tests/stuck_peer", mode, "tcp", self.network.between[LISTENER],
                   str(PORT), *words]
        peer = LocalPeer(name, command)
        self.peers.append(peer)
        return peer

    def join(self, **options):
        """A writer that streams on each channel of a listener."""
        channels = options.setdefault("channels", 3)
        listener = self.start(LISTENER, "listen", **options)
        listener.hear(("listening",))
        writer = self.start(WRITER, "connect", stream=1, **options)
        for channel in range(channels):
            listener.hear(("receiving",), channel=channel)
        return listener, writer

    # -- faults ---------------------------------------------------------------------------------

    def run(self, host, *command):
        """In that host's namespace; what it printed."""
        ended = subprocess.run(["ip", "netns", "exec", self.network.namespaces[host], *command],
                               capture_output=True, text=True, timeout=20, check=False)
        if ended.returncode:
            raise Failed(f"{' '.join(command)} in {host}: {ended.stderr.strip()}")
        return ended.stdout

    def set_link(self, host, state):
        self.run(host, "ip", "link", "set", LINK, state)

    def remove_address(self, host):
        self.run(host, "ip", "address", "flush", "dev", LINK)

    def delete_link(self, host):
        self.run(host, "ip", "link", "delete", LINK)

    def data_port(self):
        """The writer's port of the connection that has sent most: a data channel's."""
        lines = self.run(WRITER, "ss", "-tinH", "state", "established").splitlines()
        found = []
        for address, details in zip(lines[::2], lines[1::2]):
            local = re.search(r":(\d+)\s+\S+:" + str(PORT), address)
            sent = re.search(r"bytes_sent:(\d+)", details)
            if local and sent:
                found.append((int(sent[1]), int(local[1])))
        if not found:
            raise Failed(f"no data connection among {lines}")
        return max(found)[1]

    def filter_port(self, port, what):
        """What the listener's host does with packets from that port of the writer's: `drop` or
        `reject with tcp reset`."""
        rules = ("table inet stuck { chain input { type filter hook input priority 0;"
                 f" tcp sport {port} {what}; }}; }}")
        self.run(LISTENER, "nft", rules)

    def unfilter(self):
        self.run(LISTENER, "nft", "delete", "table", "inet", "stuck")


__all__ = ["Bed", "LISTENER", "NetworkError", "PORT", "WRITER"]
