"""The bed of the rdma table: a host is a virtual machine with soft-RoCE, one boot for all rows."""

import itertools
import re
import sys
import time
from pathlib import Path

from .peer import ANSWER_S, Peer
from .verdict import SLACK_S, Failed, end, expect

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from lab import Lab, LabError, LabTimeout, LabUnavailable  # noqa: E402 (the path comes first)

FIRST_PORT = 7500
LISTENER, WRITER = "a", "b"
DEVICE, LINK = "rxe0", "rdma0"
WHOLE_S = 60


class LabPeer(Peer):
    """Commands go through a pipe that has a name in the machine."""

    numbers = itertools.count(1)

    def __init__(self, name, machine, command):
        super().__init__(name)
        self.machine = machine
        self._pipe = f"/tmp/stuck-{next(self.numbers)}"
        # exec: signals go to the program itself.
        self._process = machine.spawn(
            f"mkfifo {self._pipe} && exec {command} <> {self._pipe}", on_output=self.take)

    def tell(self, command):
        self.machine.check(f"echo '{command}' > {self._pipe}", ANSWER_S)

    def send_signal(self, number):
        self._process.send_signal(number)

    def wait(self, timeout_s):
        try:
            return self._process.wait(timeout_s).status
        except LabTimeout as error:
            raise Failed(f"{self.name} hangs: it did not end within {timeout_s:g} s") from error

    @property
    def is_running(self):
        return not self._process.ended.is_set()

    def close(self):
        if self.is_running:
            self._process.send_signal(9)
            self.wait(SLACK_S)


class Bed:
    """A context manager; rows share the machines and leave them as they were."""

    def __init__(self, build, kernel_version=None):
        self.build = build
        self.kernel_version = kernel_version
        self.peers = []
        self._ports = itertools.count(FIRST_PORT)

    def __enter__(self):
        self.lab = Lab(machine_count=2, kernel_version=self.kernel_version)
        try:
            self.lab.start()
        except BaseException:
            self.lab.close()
            raise
        return self

    def __exit__(self, *_):
        self.lab.close()

    def machine(self, host):
        return self.lab.machines[host]

    def close_peers(self):
        peers, self.peers = self.peers, []
        for peer in peers:
            peer.close()

    # -- peers ----------------------------------------------------------------------------------

    def start(self, host, mode, **options):
        """Each listener has a port of its own, which the writers after it connect to."""
        if mode == "listen":
            self.port = next(self._ports)
        name = "listener" if mode == "listen" else "writer"
        words = " ".join(f"{key}={value}" for key, value in options.items())
        command = (f"{self.build}/tests/stuck_peer {mode} rdma {self.machine(LISTENER).address}"
                   f" {self.port} {words}")
        peer = LabPeer(name, self.machine(host), command)
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

    def set_link(self, host, state):
        """As an operator would, in the machine."""
        self.machine(host).check(f"ip link set {LINK} {state}")

    def pull_cable(self, host):
        self.machine(host).set_link(False)

    def plug_cable(self, host):
        self.machine(host).set_link(True)

    def remove_address(self, host):
        self.machine(host).check(f"ip address flush dev {LINK}")

    def add_address(self, host):
        self.machine(host).check(f"ip address add {self.machine(host).address}/24 dev {LINK}")

    def renew_device(self, host):
        """Soft-RoCE of Linux 6.12 puts the queue pair that connection management sends
        through into ERR when it has no route, as on a link that is down, and leaves it there: only
        a new device joins again. Real devices keep theirs."""
        machine = self.machine(host)
        if not re.search(r"type GSI state ERR", machine.check("rdma resource show qp")):
            return
        print(f"  {host}: soft-RoCE's management queue pair is in ERR, its device is made anew",
              flush=True)
        machine.check(f"rdma link delete {DEVICE}")
        machine.check(f"rdma link add {DEVICE} type rxe netdev {LINK}")

    def wait_whole(self, connect_ms=5000):
        """Until a new session joins. A request of connection management that was lost comes again
        after 4.3 s, so a first attempt may well end by its time."""
        for host in (LISTENER, WRITER):
            self.renew_device(host)
        since = time.monotonic()
        while True:
            listener = self.start(LISTENER, "listen", connect_ms=connect_ms)
            listener.hear(("listening",))
            writer = self.start(WRITER, "connect", connect_ms=connect_ms)
            event = writer.hear(("up", "lost"), connect_ms / 1000 + SLACK_S)
            end(writer, listener)
            if event["event"] == "up":
                print(f"  a new session joins after {time.monotonic() - since:.1f} s", flush=True)
                return
            expect(time.monotonic() < since + WHOLE_S, "a new session joins", event)

    def complaints(self):
        """What the kernels should never have said."""
        found = ""
        for host in (LISTENER, WRITER):
            found += self.machine(host).run("dmesg | grep -E 'BUG:|lockup|Oops|hung task'").text
        return found


__all__ = ["Bed", "LISTENER", "LabError", "LabUnavailable", "WRITER"]
