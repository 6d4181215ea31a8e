"""Rounds with one guest that goes from node to node: the host that runs it is killed, the guest goes on at the other
one, reboots, and is protected again when the killed host is back with nothing in its memory."""

import random
import shutil
import signal
import time
from dataclasses import dataclass, field

from guest import VmError
from kill import stats_file, wait
from kill.layout import on_loopback
from kill.node import Node, crashes_of, faults_in
from lab import LabError
from qemu.guests import NodeGuest, Started

RAM_MIB, MEMORY_MIB, HOT_MIB = 96, 24, 16
PAGES = MEMORY_MIB * 256
GUEST = {"memory_mib": MEMORY_MIB, "hot_mib": HOT_MIB, "rate": 3000, "random": 1, "tick_ms": 50}
EPOCHS_BEFORE = 5  # committed in the round before the host may be killed
RANDOM_SECONDS = 1.5  # within which the moment of the kill lies
PROTECTED_S = 60
TAKE_OVER_S = 60
REBOOT_S = 90
TICKS_AFTER = 5
CLOCK_SLACK_S = 2  # of a guest whose emulated processor shares a core with everything else
# The state of an emulated machine is some 20 KiB, and 128 KiB more for a disk.
PAIR_OPTIONS = {"state_bytes_max": str(2**20)}
WAYS = {"started": Started}


@dataclass
class Result:
    number: int
    killed: str = ""  # the node
    phase: str = ""  # of its epoch, when it was killed
    stood_still: bool = False  # the guest, when its host was killed
    epochs_committed: int = 0
    epoch: int = 0  # that the guest went on from
    step: int = 0  # pages that the guest had written in that epoch
    lost_steps: int = 0  # that it told of on the killed host and had not done in that epoch
    failover_ms: float = 0  # from the kill to the guest's first word
    wrong_pages: int = 0
    reboot_s: float = 0
    seconds: float = 0
    problems: list = field(default_factory=list)
    directory: str = ""

    @property
    def is_good(self):
        return not self.problems

    def line(self, total):
        return (f"[{self.number:3}/{total}] node {self.killed} killed in {self.phase or '?':5}, guest"
                f" {'standing' if self.stood_still else 'running':8}: epoch {self.epoch}, step"
                f" {self.step}, {self.wrong_pages} wrong pages, goes on after {self.failover_ms:.0f}"
                f" ms, reboots in {self.reboot_s:.1f} s; {self.seconds:.1f} s"
                f" {'ok' if self.is_good else 'FAILED'}")


class Chain:
    """A context manager; play() is one round."""

    def __init__(self, bed, programs, way, qemu, memory="stream", words=(), pair_options=None,
                 **settings):
        self.bed = bed
        self.program = WAYS[way](bed, qemu, memory, ("--interval", "50", *words),
                                 **{"ram_mib": RAM_MIB, **GUEST, **settings})
        self.layout = on_loopback(program=self.program,
                                  pair_options=PAIR_OPTIONS | (pair_options or {}))
        self.nodes = {name: Node(self.layout, self.layout.nodes[name], programs) for name in "ab"}
        self.primary, self.other = "a", "b"
        self.guest = None
        self.keeps_files = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for node in self.nodes.values():
            node.kill()
        if self.guest:
            self.guest.close()
        self.layout.remove(keep_files=self.keeps_files)
        self.program.close()

    def start(self):
        self.nodes["b"].start(with_server=False)
        self.nodes["a"].start(with_server=True)
        self.guest = NodeGuest(self.program.places["a"], "a")
        self.guest.wait_tick()

    def stats(self, name):
        return stats_file.read(self.layout.nodes[name].stats_path)

    def wait_protected(self):
        def protected():
            stats = self.stats(self.primary)
            return stats if stats and stats.is_pair else None

        first = wait.until(protected, PROTECTED_S, f"PAIR on node {self.primary}")
        enough = first.epochs_committed + EPOCHS_BEFORE
        wait.until(lambda: self.stats(self.primary).epochs_committed >= enough, PROTECTED_S,
                   f"{EPOCHS_BEFORE} epochs more")

    # -- a round ----------------------------------------------------------------------------------

    def play(self, number, seed):
        """The moment of the kill is the seed's."""
        result = Result(number, killed=self.primary)
        begun = time.monotonic()
        try:
            self.wait_protected()
            wait.passed(random.Random(f"{seed}/{number}").uniform(0, RANDOM_SECONDS))
            old, killed_at = self._kill()
            self._see_take_over(result, old, killed_at)
            self._see_reboot(result)
            self._bring_back()
            result.problems += [line for name in "ab" for line in faults_in(self.layout.log_path(name))]
            result.problems += crashes_of(self.nodes)
        except (VmError, LabError, wait.Timeout, OSError, ValueError) as error:
            result.problems.append(f"{type(error).__name__}: {error}")
        result.seconds = time.monotonic() - begun
        if result.problems:
            self.keeps_files = True
            result.directory = str(self.layout.directory)
        return result

    def _kill(self):
        """Everything of the primary's host at once. The guest as it was heard, and when."""
        killed_at = time.monotonic()
        self.nodes[self.primary].signal_all(signal.SIGKILL)
        old, self.guest = self.guest, None
        return old, killed_at

    def _see_take_over(self, result, old, killed_at):
        killed = self.primary
        self.primary, self.other = self.other, self.primary
        self.guest = NodeGuest(self.program.places[self.primary], self.primary, TAKE_OVER_S)
        first = self.guest.wait_tick(TAKE_OVER_S, after=0)
        result.failover_ms = (time.monotonic() - killed_at) * 1000
        old.close()
        self._note_end(result, killed, old)
        self._judge_going_on(result, old, first)
        self._judge_memory(result, first)
        result.lost_steps = max(0, old.ticks()[-1]["step"] - result.step)

    def _note_end(self, result, killed, old):
        stats = self.stats(killed)
        result.phase, result.epochs_committed = stats.phase, stats.epochs_committed
        result.stood_still = bool(old.pauses()) and old.pauses()[-1][1] is None
        result.epoch = self.program.promoted_epoch(self.primary)
        if result.epoch < stats.epoch_committed:
            result.problems.append(f"epoch {stats.epoch_committed} was committed, and the guest went on"
                                   f" from {result.epoch}")

    def _judge_going_on(self, result, old, first):
        """What was heard before an epoch that is known to be committed is in it; the guest's clocks
        and counts go on from there. An epoch is committed before the guest stops for the next."""
        stops = [stopped for stopped, _ in old.pauses()]
        before = [tick for tick in old.ticks() if len(stops) > 1 and tick["heard_s"] < stops[-2]]
        if not before:
            result.problems.append("nothing was heard of the guest before an epoch")
            return
        self.guest.wait_line("tick", TAKE_OVER_S, after=TICKS_AFTER)
        ticks = [before[-1], *self.guest.ticks()]
        for key in ("step", "monotonic_ns", "uptime_ns", "tick"):
            values = [tick[key] for tick in ticks]
            if values != sorted(values):
                result.problems.append(f"{key} does not go on: {values[:4]}")
        if any(tick["boot"] != first["boot"] for tick in ticks):
            result.problems.append("the guest has booted")
        late_s = (first["uptime_ns"] - old.ticks()[-1]["uptime_ns"]) / 1e9
        if late_s > CLOCK_SLACK_S:
            result.problems.append(f"its uptime jumped by {late_s:.1f} s")

    def _judge_memory(self, result, first):
        answer = self.guest.ask("verify")
        result.wrong_pages += answer["wrong_count"]
        if answer["verified"] != PAGES or any("wrong" in line for line in self.guest.lines):
            result.problems.append(f"the guest's memory is wrong: {answer}")
        found = self.bed.read_memory(self._image(), "--boot", first["boot"])
        result.step = found["step"]
        result.wrong_pages += found["wrong_count"]
        if found["wrong_count"] or found["torn_count"] > 1 or found["step"] > first["step"]:
            result.problems.append(f"the epoch is wrong: {found}, and its guest went on with {first}")

    def _image(self):
        """Of the RAM, at the node that has promoted it."""
        folder = self.program.epoch_folder(self.primary)
        return next(path for path in folder.iterdir() if path.stat().st_size == RAM_MIB * 2**20)

    def _see_reboot(self, result):
        boot, begun = self.guest.ticks()[-1]["boot"], time.monotonic()
        after = len(self.guest.lines)
        self.guest.tell("reboot")
        wait.until(lambda: any(line.get("boot", boot) != boot for line in self.guest.lines[after:]),
                   REBOOT_S, "the guest to reboot")
        result.reboot_s = time.monotonic() - begun
        answer = self.guest.ask("verify")
        result.wrong_pages += answer["wrong_count"]
        if answer["wrong_count"]:
            result.problems.append(f"the rebooted guest's memory is wrong: {answer}")

    def _bring_back(self):
        """As after a loss of power: its memory is empty."""
        node = self.layout.nodes[self.other]
        self.nodes[self.other].kill()
        shutil.rmtree(node.run_directory, ignore_errors=True)
        shutil.rmtree(node.image_directory, ignore_errors=True)
        self.program.forget(self.other)
        self.nodes[self.other].start(with_server=False)
