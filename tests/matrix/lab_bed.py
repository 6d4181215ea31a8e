"""The nodes of a round in virtual machines with soft-RoCE: what ends is a whole host."""

import contextlib
import itertools
import multiprocessing.util
import tempfile
from pathlib import Path

from e2e.lab_pair import LabLayout, LabNode, LabPair
from kill import wait
from kill.layout import free_ports
from matrix.bed import Ledger, Sink, Watched
from lab import Lab, LabError, LabUnavailable  # e2e.lab_pair has put its folder into the path

_HOST = "10.0.2.2"  # this computer, as a machine sees it
_SHARE = Path("/mnt/share")
BOOT_SECONDS = 300  # two machines on a busy computer
_STEP_US = 4000  # of an emulated processor
_HEARTBEATS = {"a": "10.78.0.1", "b": "10.78.0.2"}  # where they are not to go with the data
_LOSE_POWER = Path(__file__).with_name("lose_power.py")


class _Machines:
    """Those of all rounds that this process plays: to boot them takes longer than many a round."""

    def __init__(self):
        self._share = Path(tempfile.mkdtemp(prefix="tandem-lab-share-"))
        self._numbers = itertools.count(1)
        self.lab = Lab(2, share=self._share, say=lambda text: None)
        multiprocessing.util.Finalize(None, self._close, exitpriority=1)

    def new_folder(self):
        """For a round, as this computer and as the machines see it."""
        name = f"round-{next(self._numbers)}"
        (self._share / name).mkdir()
        return self._share / name, _SHARE / name

    def make_ready(self):
        """They run, and nothing is left of the round before."""
        for machine in self.lab.machines.values():
            if machine.is_running():
                machine.cont()
            else:
                machine.start()
        for machine in self.lab.machines.values():
            machine.wait_ready(BOOT_SECONDS)
            machine.check("rm -rf /run/tandem /dev/shm/tandem")

    def _close(self):
        self.lab.close()
        with contextlib.suppress(OSError):
            self._share.rmdir()  # unless logs of a round are kept


_machines = None


def machines():
    global _machines
    _machines = _machines or _Machines()
    return _machines


class MatrixNode(LabNode):
    """A failpoint of a program may say NAME:power:COUNT: the machine loses its power there."""

    def _spawn(self, program, arguments, environment=None):
        if ":power:" in (failpoint := (environment or {}).get("TANDEM_FAILPOINT", "")):
            environment = {**environment, "LOSE_POWER": "1",
                           "TANDEM_FAILPOINT": failpoint.replace(":power:", ":stop:")}
        super()._spawn(program, arguments, environment)

    def _launcher(self, environment):
        return f"/usr/bin/python3 -I -S {_LOSE_POWER} " if "LOSE_POWER" in (environment or {}) else ""

    def exit_statuses(self):
        """As subprocess says them: a signal is negative."""
        return {program: 128 - status if status is not None and status > 128 else status
                for program, status in super().exit_statuses().items()}

    def command(self, text, timeout_seconds=20):
        """Of an operator on that machine; its output."""
        return self._machine.check(text, timeout_seconds)

    def begin(self, text):
        """The same, without waiting for its end."""
        return self._machine.spawn(text)

    def kill_programs(self):
        """Also what was promoted."""
        super().kill_programs()
        self._machine.run(f"pkill -KILL -x {self.program.name}", 20)

    def end_round(self):
        """A machine that does not follow is none for the next round."""
        if not self._machine.is_running():
            return
        try:
            self._machine.cont()
            self.kill_programs()
        except LabError:
            self._machine.kill()


class LabMatrixPair(Watched, LabPair):
    """A context manager."""

    pace = 3

    def __init__(self, programs, provider="rdma", has_own_heartbeats=False):
        port = free_ports()
        self._sink_at = f"127.0.0.1:{port}"
        directory, share = machines().new_folder()
        layout = LabLayout(provider, Ledger(f"{_HOST}:{port}", _STEP_US), directory, share,
                           _HEARTBEATS if has_own_heartbeats else None)
        self._use(machines().lab, layout, programs, MatrixNode)
        self._has_own_heartbeats = has_own_heartbeats
        self.nodes = {"a": self.a, "b": self.b}
        self.sink = None

    def __enter__(self):
        machines().make_ready()
        if self._has_own_heartbeats:
            for name, node in self.nodes.items():
                node.command(f"ip address replace {_HEARTBEATS[name]}/24 dev rdma0")
        self.sink = Sink(self._sink_at)
        return self

    def __exit__(self, *_):
        for node in self.nodes.values():
            node.end_round()
        if self.sink:
            self.sink.close()

    def says(self, name):
        try:
            return super().says(name)
        except LabError:
            return {}  # its power was lost meanwhile

    def is_paired(self, owner):
        for name, node in self.nodes.items():
            if node.has_ended():
                raise wait.Timeout(f"the machine of node {name} has ended")
        return super().is_paired(owner)

    def _pair_status(self, name):
        return None if self.nodes[name].has_ended() else super()._pair_status(name)

    def program_id(self, name):
        """Of the one that was started; True stands for it."""
        return True if self.nodes[name].is_running(self.nodes[name].program.name) else None

    def is_program_stopped(self, name, program):
        return "T" in self.nodes[name].command(f"ps -o state= -C {program} || true")


def spoil():
    """Nobody knows what a round that failed has left in the machines."""
    for machine in machines().lab.machines.values():
        machine.kill()


__all__ = ["LabMatrixPair", "LabUnavailable", "spoil"]
