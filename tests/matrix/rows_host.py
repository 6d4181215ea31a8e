"""F12 and F13: the host's clock jumps, its directories are full, read-only or fail."""

import errno
import mmap
import signal
import struct
import subprocess

from kill import wait
from matrix.bed import PEER
from matrix.story import Case

CONTROLLER = "tandem-failoverd"
HOUR, DAY = 3600, 86400
JUMPS = (HOUR, -HOUR, DAY, -DAY, 0)
STROBES = 20


class HostFaults:
    """What host_faults.c does to a node's programs, from the next call on."""

    _PAGE = struct.Struct("<qIiI252s")
    READ, OPEN, WRITE, SYNC, NAME, ALLOCATE = (1 << bit for bit in range(6))

    def __init__(self, pair, name):
        path = pair.layout.directory / f"faults-{name}"
        path.write_bytes(bytes(mmap.PAGESIZE))
        with open(path, "r+b") as file:
            self._page = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        library = pair.programs.parent / "tests" / "host_faults.so"
        self.environment = {"LD_PRELOAD": str(library), "HOST_FAULTS": str(path)}

    def set_clock(self, seconds):
        self._set(seconds, 0, 0, b"")

    def fail(self, calls, error, directory):
        self._set(0, calls, error, f"{directory}/".encode())

    def heal(self):
        """How many calls were hit since the last change."""
        hit_count = self.hit_count
        self._set(0, 0, 0, b"")
        return hit_count

    @property
    def hit_count(self):
        return self._PAGE.unpack(self._page[: self._PAGE.size])[3]

    def _set(self, offset_s, calls, error, directory):
        """In an order that never joins old and new: the calls are off first and on last."""
        self._page[8:12] = bytes(4)
        packed = self._PAGE.pack(offset_s * 10**9, calls, error, 0, directory)
        self._page[12 : len(packed)] = packed[12:]
        self._page[:12] = packed[:12]


def _start_with_faults(story):
    faults = {name: HostFaults(story.pair, name) for name in "ab"}
    story.start(environment={name: each.environment for name, each in faults.items()})
    story.work()
    return faults


# ---- F12 ----

def clock_jumps(names):
    """Nothing happens, and a take-over works whatever the clocks show."""
    def play(story):
        faults = _start_with_faults(story)
        for seconds in JUMPS[:-1]:
            for name in names:
                faults[name].set_clock(seconds)
            story.strike()
            story.stays_paired(0.4, 2)
            for name in names:
                story.check(faults[name].hit_count > 0, f"node {name} never looked at its clock")
        story.prove("a")

    return Case(f"clock of {' and '.join(names)} jumps by an hour and a day", play)


def clock_strobes(story):
    """To and fro every few milliseconds, also while a take-over runs."""
    faults = _start_with_faults(story)
    for number in range(STROBES):
        for name in "ab":
            faults[name].set_clock(story.random.choice(JUMPS))
        if number == STROBES // 2:
            story.stays_paired(0.1, 2)
            story.strike()
            story.pair.signal_node("a", signal.SIGKILL)
        story.pass_time(0.02)
    story.goes_on("b")
    story.pair.restart("a")
    story.prove("b")


def host_pauses(name):
    """As a virtual machine that is moved: everything on it stands still for some seconds."""
    def play(story):
        story.start()
        story.work()
        story.pair.signal_node(name, signal.SIGSTOP)
        story.strike()
        story.pass_time(5)
        story.pair.signal_node(name, signal.SIGCONT)
        story.goes_on(PEER[name])
        if name == "a":
            wait.until(lambda: not story.pair.a.is_running("ledger"), 10, "the end of the old one")
        story.prove(PEER[name])

    return Case(f"node {name} pauses 5 s", play)


F12 = [
    clock_jumps("a"), clock_jumps("b"), clock_jumps("ab"), Case("clocks strobe", clock_strobes),
    host_pauses("a"), host_pauses("b"),
]


# ---- F13 ----

def _fill(path):
    """Until not one more byte fits."""
    with open(path / "filler", "wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


def _make_full(story, directory, names):
    _fill(directory)
    return (directory / "filler").unlink


def _make_fail(calls, error):
    def fail(story, directory, names):
        for name in names:
            story.faults[name].fail(calls, error, directory)
        return lambda: sum(story.faults[name].heal() for name in names)

    return fail


_CHANGES = HostFaults.OPEN | HostFaults.WRITE | HostFaults.NAME | HostFaults.ALLOCATE
WAYS = {
    "full": _make_full,
    "read-only": _make_fail(_CHANGES, errno.EROFS),
    "EIO": _make_fail(_CHANGES | HostFaults.READ | HostFaults.SYNC, errno.EIO),
}
EACH_CALL = {"open": HostFaults.OPEN, "write": HostFaults.WRITE, "fsync": HostFaults.SYNC,
             "link": HostFaults.NAME, "reading": HostFaults.READ}


def _start_on(story, directory, size):
    story.pair.mount(directory, size)
    story.faults = _start_with_faults(story)


def _lose_arbiter(story, make):
    directory = story.pair.layout.arbiter
    _start_on(story, directory, "256k")
    mend = make(story, directory, "ab")
    story.strike()
    story.stays_paired(1.0, 2)
    story.end_node("a")
    story.waits_for_arbiter("b")
    story.check(mend() != 0, "no call was hit")
    story.goes_on("b")


def arbiter_fails(way):
    """No decision that cannot be recorded; a healthy pair does not need one."""
    return Case(f"arbiter's storage: {way}", lambda story: _lose_arbiter(story, WAYS[way]))


def arbiter_call_fails(call):
    make = _make_fail(EACH_CALL[call], errno.EIO)
    return Case(f"arbiter's storage: EIO of {call}", lambda story: _lose_arbiter(story, make))


def run_directory_fails(way, name):
    def play(story):
        directory = story.pair.layout.nodes[name].run_directory
        _start_on(story, directory, "1m")
        mend = WAYS[way](story, directory, name)
        story.strike()
        story.stays_paired(1.0, 2)
        mend()
        story.prove("a")

    return Case(f"run directory of {name}: {way}", play)


def run_directory_full_of_taker(story):
    """What the promoted program writes there has had its room since the copy was made."""
    directory = story.pair.layout.nodes["b"].run_directory
    _start_on(story, directory, "1m")
    _make_full(story, directory, "b")
    story.strike()
    story.end_node("a")
    story.goes_on("b")


def run_directory_fails_taker(way):
    """The promoted program could not live there, and would take the copy with it: no take-over
    before it can."""
    def play(story):
        directory = story.pair.layout.nodes["b"].run_directory
        _start_on(story, directory, "1m")
        mend = WAYS[way](story, directory, "b")
        story.strike()
        story.end_node("a")
        story.hears("b", f"{directory}/kv.register: ")
        story.is_silent()
        story.check(mend() != 0, "no call was hit")
        story.goes_on("b")

    return Case(f"run directory of the taking node: {way}", play)


def image_directory_small(story):
    """No room for a copy: never a pair, and the primary goes on; with room it becomes one."""
    directory = story.pair.layout.nodes["b"].image_directory
    story.pair.mount(directory, "512k")
    for name in "ba":
        story.pair.restart(name)
    story.pair.a.start_server()
    wait.until(lambda: story.pair.life("a"), 10, "a primary")
    story.pair.sink.tell("ask")
    story.strike()
    story.goes_on("a")
    story.hears("b", "make the file system larger")
    story.pass_time(1.0)
    story.check(not story.pair.stats("a").is_pair, "PAIR without room for the copy")
    subprocess.run(["mount", "-o", "remount,size=8m", str(directory)], check=True, timeout=20)
    story.prove("a")


def image_directory_full(story):
    """The copy has its room already, and so has the state."""
    directory = story.pair.layout.nodes["b"].image_directory
    _start_on(story, directory, "4m")
    _make_full(story, directory, "b")
    story.strike()
    story.stays_paired(0.5, 2)
    story.end_node("a")
    story.goes_on("b")


F13 = [
    *(arbiter_fails(way) for way in WAYS), *(arbiter_call_fails(call) for call in EACH_CALL),
    *(run_directory_fails(way, name) for way in WAYS for name in "ab"),
    Case("run directory of the taking node: full", run_directory_full_of_taker),
    *(run_directory_fails_taker(way) for way in WAYS if way != "full"),
    Case("image directory too small", image_directory_small),
    Case("image directory full during a take-over", image_directory_full),
]
