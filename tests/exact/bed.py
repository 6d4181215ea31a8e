"""The nodes of a round with the checker as the protected program."""

import ctypes
import errno
import json
import os
import signal
import socket
import subprocess

from kill import register
from kill.layout import PAIR, on_loopback
from kill.node import crashes_of
from kill.pair import Pair

# Other work on the computer must not look like a fault. No round waits for these: the end of a
# process is seen at once.
PAIR_OPTIONS = {
    "heartbeat_interval_ms": "50",
    "heartbeat_misses": "60",
    "solo_after_ms": "5000",
    "commit_timeout_ms": "4000",
}
# An emulated machine with RDMA is slow.
MACHINE_OPTIONS = {
    "heartbeat_interval_ms": "100",
    "heartbeat_misses": "50",
    "solo_after_ms": "15000",
    "connect_timeout_ms": "10000",
    "commit_timeout_ms": "5000",
}
_PIDFD_GETFD = 438
_LIBC = ctypes.CDLL(None, use_errno=True)


class Checker:
    """The protected program."""

    name = "checker"

    def __init__(self, seed, has_storm=False):
        self.seed = seed
        self._more = ["--storm"] if has_storm else []

    def path(self, programs):
        return programs.parent / "tests" / self.name

    def arguments(self, node):
        return ["--seed", str(self.seed), "--pair", PAIR, "--run-dir", str(node.run_directory),
                *self._more]

    def promote_command(self, _nodes):
        return ('exec "$TANDEM_BIN_DIR/../tests/checker" --pair "$TANDEM_PAIR"'
                f' --run-dir "$TANDEM_RUN_DIR" {" ".join(self._more)}')


class CheckedPair(Pair):
    def __init__(self, programs, seed, combination, has_storm=False, options=None,
                 address="127.0.0.1"):
        is_rdma = combination["provider"] == "rdma"
        more = {"channels": combination["channels"], "capture": f'"{combination["capture"]}"',
                "push_interval_us": combination["push_interval_us"],
                **(MACHINE_OPTIONS if is_rdma else PAIR_OPTIONS), **(options or {})}
        super().__init__(
            on_loopback(address, program=Checker(seed, has_storm), tracker=combination["tracker"],
                        provider=combination["provider"], pair_options=more),
            programs,
        )
        self.nodes = {"a": self.a, "b": self.b}

    def acked(self, name="a"):
        """The number of the newest step that was acknowledged."""
        try:
            data = (self.layout.nodes[name].run_directory / "acked").read_bytes()
        except OSError:
            return 0
        return int.from_bytes(data[:8], "little")

    def record(self):
        """The newest in the register, or None."""
        return register.newest(self.layout.arbiter / PAIR)

    def verdict(self, name="b"):
        """What the promoted checker found, or None."""
        try:
            return json.loads((self.layout.nodes[name].run_directory / "verdict").read_text())
        except OSError:
            return None

    def kill_program(self):
        self.a.signal_program("checker", signal.SIGKILL)

    def advice(self, name):
        return (self._pair_status(name) or {}).get("unblock") or ""

    def state(self, name):
        return (self._pair_status(name) or {}).get("state") or ""

    def is_stopped(self, name, program):
        process = self.nodes[name].process_id(program)
        try:
            with open(f"/proc/{process}/stat", encoding="ascii") as stat:
                return stat.read().rpartition(")")[2].split()[0] == "T"
        except OSError:
            return False

    def break_session(self):
        if self.layout.provider == "rdma":  # whose connections are no sockets
            command = [str(self.programs / "tandemctl"), "yank", PAIR, "--node", "a",
                       "--config", str(self.layout.configuration_path)]
            subprocess.run(command, capture_output=True, timeout=20, check=False)
        for descriptor in self._connections():
            self._shut(descriptor)

    def break_channel(self):
        """Ends one of its data connections; the control connection was the first to be made."""
        self._shut(max(self._connections(), default=-1))

    def _process(self):
        process = self.a.process_id("checker")
        if process is None:
            raise ProcessLookupError(errno.ESRCH, "the checker has ended")
        return process

    def _shut(self, descriptor):
        """One that is gone already has what it was to get."""
        pidfd = -1
        try:
            pidfd = os.pidfd_open(self._process())
            own = _LIBC.syscall(_PIDFD_GETFD, pidfd, descriptor, 0)
            if own < 0:
                raise OSError(ctypes.get_errno(), "pidfd_getfd")
            with socket.socket(fileno=own) as connection:
                connection.shutdown(socket.SHUT_RDWR)
        except OSError as error:
            if error.errno not in (errno.EBADF, errno.ESRCH, errno.ENOTCONN, errno.ENOTSOCK):
                raise
        finally:
            if pidfd >= 0:
                os.close(pidfd)

    def _connections(self):
        """Descriptors of the program's connections to the secondary."""
        process = self.a.process_id("checker")
        peer = f":{self.layout.nodes['b'].port:04X}"
        try:
            with open(f"/proc/{process}/net/tcp", encoding="ascii") as table:
                rows = [row.split() for row in table.readlines()[1:]]
        except OSError:  # it is gone
            return []
        inodes = {f"socket:[{row[9]}]" for row in rows if row[2].endswith(peer) and row[3] == "01"}
        folder = f"/proc/{process}/fd"
        names = os.listdir(folder) if inodes else []
        return [int(name) for name in names if _link(f"{folder}/{name}") in inodes]

    def crashes(self):
        return crashes_of(self.nodes)


def _link(path):
    try:
        return os.readlink(path)
    except OSError:
        return ""
