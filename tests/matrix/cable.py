"""A network whose links between the nodes are as bad as wanted: see cable.c."""

import subprocess

from kill.network import Network, NetworkError


class CableNetwork(Network):
    """Its first and second link are taps that a process of each link joins."""

    program = None  # path of the cable, set before it is filled
    seed = 1

    def __init__(self):
        super().__init__()
        self._cables = []

    def _join_nodes(self, link, addresses):
        """The process ends with its stdin, and the taps with it."""
        cable = subprocess.Popen(
            [str(self.program), self.namespaces["a"], self.namespaces["b"], link,
             str(self.seed + len(self._cables))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._cables.append(cable)
        if cable.stdout.readline() != "ready\n":
            raise NetworkError(f"no cable for {link}")
        for name, namespace in self.namespaces.items():
            self._set_up(namespace, link, addresses[name])
            self._set_loopback_up(namespace)

    def disturb(self, loss=0.0, duplication=0.0, damage=0.0, delay_ms=(0, 0), overtaking=False):
        """Shares of all frames; delay: from, to."""
        shares = [int(share * 1e6) for share in (loss, duplication, damage)]
        delays = [int(each * 1000) for each in delay_ms]
        for cable in self._cables:
            print(*shares, *delays, int(overtaking), file=cable.stdin, flush=True)
            if cable.stdout.readline() != "ok\n":
                raise NetworkError("the cable has ended")

    def remove(self):
        for cable in self._cables:
            cable.stdin.close()
            cable.wait()
        self._cables.clear()
        super().remove()
