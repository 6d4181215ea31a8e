"""Plays a row of the table of stalls: a pair, a guest that runs, a fault, and how long the guest stood still."""

import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from kill import wait
from kill.layout import on_loopback
from kill.node import crashes_of
from kill.pair import Pair
from kill.separated import SeparatedPair
from lab import LabError
from lab.qmp import Qmp
from qemu.boot_sector import PAIR_OPTIONS, BootSector
from qemu_guest_test import COUNT_AT

LIMIT_MS = 1000
LATE_MS = 200  # how much later than the limit the guest may run again
SETTLE_S = 0.5  # behind that, what is seen is judged
FAULT_S = 20
ALARM_S = 15
PROTECTED_S = 40
UNCONCERNED = "this node was not scheduled"  # an alarm of a busy computer
# A pause ends by its own limit, not because the session is given up before.
OPTIONS = {**PAIR_OPTIONS, "commit_timeout_ms": str(5 * LIMIT_MS), "unprotected_after_ms": "1000"}


@dataclass
class Result:
    row: str
    number: int
    limit_ms: int = LIMIT_MS
    longest_pause_ms: float = 0
    told_by: str = ""
    told_after_ms: float = 0  # since the fault was seen
    protected_s: float = 0  # from the end of the fault until the guest was protected again
    seconds: float = 0
    problems: list = field(default_factory=list)

    @property
    def is_good(self):
        return not self.problems

    def line(self):
        return (f"{self.row}: longest pause {self.longest_pause_ms:.0f} ms (limit {self.limit_ms}),"
                f" told by {self.told_by or 'nobody'} after {self.told_after_ms:.0f} ms, protected"
                f" again after {self.protected_s:.1f} s; {self.seconds:.1f} s"
                f" {'ok' if self.is_good else 'FAILED'}")


class Bed:
    """A context manager: one round of one row."""

    def __init__(self, row, programs, qemu, folder):
        self.row = row
        self.guest = BootSector(qemu, folder, ("--interval", "50", "--pause-limit", str(LIMIT_MS)))
        if row.needs_network:
            self.pair = SeparatedPair(programs, "tcp", program=self.guest, pair_options=OPTIONS)
        else:
            self.pair = Pair(on_loopback(program=self.guest, pair_options=OPTIONS), programs)
        self._qmp = None
        self._seen = 0  # bytes of the log that are not about the fault

    def __enter__(self):
        self.pair.__enter__()
        return self

    def __exit__(self, *exception):
        if self._qmp:
            self._qmp.close()
        self.pair.__exit__(*exception)
        self.pair.layout.remove()

    def log(self, name="a"):
        path = self.pair.layout.log_path(name)
        return path.read_text(errors="replace") if path.exists() else ""

    def _news(self):
        """Of node a's log, since the guest was protected."""
        return self.pair.layout.log_path("a").read_bytes()[self._seen:].decode(errors="replace")

    # -- the fault --------------------------------------------------------------------------------

    def start(self):
        armed = {name: {"TANDEM_FAILPOINT": what} for name, what in self.row.failpoints.items()}
        self.pair.b.start_controller()
        self.pair.b.start_data_plane(armed.get("tandemd"))
        self.pair.a.start(with_server=True, server_environment=armed.get("tandem-qemu"))
        self._qmp = wait.until(self._open_qmp, FAULT_S, "QEMU's control socket")

    def _open_qmp(self):
        with suppress(LabError):
            return Qmp(self.guest.socket("a"))
        return None

    def see_fault(self):
        """Until it is there."""
        if self.row.is_there_at_once:
            return
        wait.until(lambda: self._is_pair() or self._has_fault(), PROTECTED_S, "a pair, or the fault")
        length = self.pair.layout.log_path("a").stat().st_size
        if not self._has_fault():
            self._seen = length
        if self.row.act:
            first = self.pair.stats().epochs_committed
            wait.until(lambda: self.pair.stats().epochs_committed > first + 3, FAULT_S, "epochs")
            self.row.act(self.pair)
        else:
            wait.until(self._has_fault, FAULT_S, "the fault", 0.001)

    def _is_pair(self):
        stats = self.pair.stats()
        return stats is not None and stats.is_pair

    def _has_fault(self):
        (name, what), = self.row.failpoints.items() or [("", "")]
        if ":stop" in what:
            return _is_stopped(self.pair.a if name == "tandem-qemu" else self.pair.b, name)
        return ":error" in what and "; the guest runs on" in self._news()

    # -- what is seen -----------------------------------------------------------------------------

    def longest_pause_ms(self):
        """One that has not ended lasts until now."""
        found = [0]
        since = None
        for event in list(self._qmp.events):
            at = event["timestamp"]["seconds"] + event["timestamp"]["microseconds"] / 1e6
            if event["event"] == "STOP":
                since = at
            elif event["event"] == "RESUME" and since is not None:
                found.append((at - since) * 1000)
                since = None
        if since is not None:
            found.append((time.time() - since) * 1000)
        return max(found)

    def told(self):
        """(who, when by the clock of time.time()): the program's log, or an alarm that is raised."""
        for line in self._news().splitlines():
            if " error tandem-qemu: " in line:
                return "its log", datetime.fromisoformat(line.split()[0]).timestamp()
        alarms = [alarm for name in "ab" for alarm in self.pair.alarms(name)
                  if not alarm.startswith(UNCONCERNED)]
        return (alarms[0].split(":")[0], time.time()) if alarms else None

    def _count(self):
        path = self.guest.folder / "count"
        self._qmp.execute("pmemsave", val=COUNT_AT, size=4, filename=str(path))
        return path.read_bytes()

    def is_counting(self):
        first = self._count()
        with suppress(wait.Timeout):
            return bool(wait.until(lambda: self._count() != first, 2, "the guest to count"))
        return False

    def is_protected(self):
        """At either node: epochs are committed."""
        return any(self._commits(name) for name in "ab")

    def _commits(self, name):
        stats = self.pair.stats(name)
        if not stats or not stats.is_pair:
            return False
        enough = stats.epochs_committed + 3
        with suppress(wait.Timeout):
            return bool(wait.until(lambda: self.pair.stats(name).epochs_committed >= enough, 1,
                                   "epochs"))
        return False


def _is_stopped(node, program):
    process = node.process_id(program)
    try:
        with open(f"/proc/{process}/stat", encoding="ascii") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


def play(row, number, programs, qemu, folder):
    """One round of the row."""
    result, begun = Result(row.name, number), time.monotonic()
    with Bed(row, programs, qemu, folder) as bed:
        try:
            _play(bed, row, result)
        except (wait.Timeout, LabError, OSError, subprocess.SubprocessError) as error:
            result.problems.append(f"{type(error).__name__}: {error}")
        result.problems += crashes_of({"a": bed.pair.a, "b": bed.pair.b}) + bed.pair.faults()
        if result.problems:
            result.problems.append(f"node a said:\n{bed.log()}\nnode b said:\n{bed.log('b')}")
    result.seconds = time.monotonic() - begun
    return result


def _play(bed, row, result):
    bed.start()
    bed.see_fault()
    since_s = time.time()
    wait.passed((LIMIT_MS + LATE_MS) / 1000 + SETTLE_S)
    if not row.ends_guest:
        _judge(bed, result)
        _see_alarm(bed, result, since_s)
    if row.heal:
        row.heal(bed.pair)
    healed = time.monotonic()
    if not row.is_there_at_once:
        wait.until(bed.is_protected, PROTECTED_S, "the guest to be protected again", 0.02)
        result.protected_s = time.monotonic() - healed
    if not row.ends_guest:
        result.longest_pause_ms = max(result.longest_pause_ms, bed.longest_pause_ms())


def _judge(bed, result):
    result.longest_pause_ms = bed.longest_pause_ms()
    if result.longest_pause_ms > LIMIT_MS + LATE_MS:
        result.problems.append(f"the guest stood still for {result.longest_pause_ms:.0f} ms")
    if not bed.is_counting():
        result.problems.append("the guest does not run")


def _see_alarm(bed, result, since_s):
    try:
        result.told_by, told_s = wait.until(bed.told, ALARM_S, "an alarm", 0.02)
        result.told_after_ms = (told_s - since_s) * 1000
    except wait.Timeout:
        result.problems.append("neither the log nor an alarm tells")


__all__ = ["LATE_MS", "LIMIT_MS", "Result", "play"]
