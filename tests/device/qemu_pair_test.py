"""An unmodified QEMU 11.1 under tandem-qemu: while the other node does not answer, the guest runs on. That its host is
killed is in tests/qemu.

Ended by its signal, tandem-qemu ends its QEMU and says that all is well.

A QEMU that takes over and cannot start, or cannot load the devices' state, leaves the image as it was: the guest goes on in
it, its memory sent or shared, as soon as one can. One that cannot have the guest's disk yet waits for it.

Run as `SCRIPT STORY PROGRAMS`, PROGRAMS being where tandem-qemu and tandemd are."""

import contextlib
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from device_test import CHECKOUT, expect, main, status_at, until

sys.path.insert(0, str(CHECKOUT / "tests"))

from kill.layout import on_loopback  # noqa: E402 (the path above comes first)
from kill.pair import Pair  # noqa: E402
from qemu.boot_sector import PAIR_OPTIONS, BootSector  # noqa: E402
from qemu_guest_test import MEMORY_MIB, check_consistent  # noqa: E402

from lab import private_qemu  # noqa: E402
from lab.qmp import Qmp  # noqa: E402
from qemu_bench.stops import windows_ms  # noqa: E402

LOSS_MS = 1000  # a node that is silent for so long is given up
PROMOTE_MS = 40000
TAKE_OVER_S = 30
DEVICE = "virtio-rng-pci"


class Late(BootSector):
    """Each start of the QEMU that takes over has the words that it finds then, and keeps its image."""

    def __init__(self, qemu, folder, memory):
        super().__init__(qemu, folder, ("--interval", "50", "--memory", memory))
        self.more = folder / "more"
        self.state = folder / "state"

    def _own(self, name):
        return [*super()._own(name), "-machine", "memory-backend=ram", "-object",
                f"memory-backend-file,id=ram,size={MEMORY_MIB}M,share=on,mem-path={self.folder}/{name}.ram"]

    def arguments(self, node):
        return [*super().arguments(node), "-device", DEVICE]

    def protect_group(self):
        command = (f'mkdir {self.folder}/try-$$; cp "$TANDEM_IMAGE_DIR"/block-* {self.folder}/try-$$; '
                   f'echo "$TANDEM_STATE_FILE" > {self.state}; '
                   f"{self.promote_command(None)} $(cat {self.more})")
        escaped = command.replace("\\", "\\\\").replace('"', '\\"')
        return f'promote = {{ command = "{escaped}"; timeout_ms = {PROMOTE_MS}; }};'

    def give(self, *words):
        new = self.more.with_suffix(".new")
        new.write_text(shlex.join(words))
        new.rename(self.more)

    @contextlib.contextmanager
    def holds_disk(self):
        """Another QEMU has it, to write to."""
        path = self.folder / "holder.qmp"
        with subprocess.Popen([self._words[0], "-machine", "pc", "-m", "8", "-nodefaults", "-display", "none", "-S",
                               "-drive", f"file={self.folder}/disk,format=raw,if=ide",
                               "-qmp", f"unix:{path},server=on,wait=off"], stdin=subprocess.DEVNULL) as process:
            try:
                until(lambda: status_at(path) == "prelaunch", "another QEMU has the disk, and waits")
                yield
            finally:
                process.kill()

    def tries(self):
        """Of each the RAM blocks by name, as it found them."""
        return [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in self.folder.glob("try-*")]


def protect(pair):
    pair.start()
    pair.wait_pair()
    print("ok: the guest is protected", flush=True)


def play_ahead(pair, guest):
    protect(pair)
    until(lambda: b"." in guest.output("a"), "the guest runs")
    with Qmp(guest.socket("a")) as qmp:
        pair.b.signal_program("tandemd", signal.SIGSTOP)
        until(lambda: not pair.stats().is_pair, "the other node is given up")
        qmp.wait_event("RESUME", TAKE_OVER_S, after_count=len(qmp.events))
        windows = windows_ms(qmp.events)
    expect(windows and max(windows) < LOSS_MS, "and the guest did not stand still until then",
           windows)
    committed = pair.stats().epochs_committed
    pair.b.signal_program("tandemd", signal.SIGCONT)
    until(lambda: pair.stats().is_pair and pair.stats().epochs_committed > committed,
          "it is copied again")
    expect(not pair.faults(), "no program reports a fault", pair.faults())


def play_stop(pair, guest):
    protect(pair)
    until(lambda: guest.count("a") > 0, "the guest runs")
    pair.a.signal_program(guest.name, signal.SIGTERM)
    until(lambda: not pair.a.is_running(guest.name), "it ends")
    expect(pair.a.exit_status(guest.name) == 0, "well", pair.a.exit_status(guest.name))
    expect(guest.count("a") == 0, "and so has its QEMU")
    expect(not pair.faults(), "no program reports a fault", pair.faults())


def failures(pair):
    return pair.layout.log_path("b").read_text(errors="replace").count("starting it again")


def unstarted(pair):
    """Why the guest does not run yet at the node that took over; None: nothing is told of it."""
    pairs = (pair.status("b") or {}).get("pairs") or [{}]
    return (pairs[0].get("guest") or {}).get("unstarted")


def play_late(pair, guest):
    guest.give("-chardev", f"file,id=absent,path={guest.folder}/absent/file")
    protect(pair)
    until(lambda: b"." in guest.output("a"), "the guest runs")
    before = until(lambda: guest.count("a"), "and says how far it is")
    epochs = pair.stats().epochs_committed
    until(lambda: pair.stats().epochs_committed > epochs + 1, "epochs are committed")
    pair.a.signal_all(signal.SIGKILL)
    until(lambda: failures(pair) > 0, "a QEMU that lacks a file cannot start", TAKE_OVER_S)
    guest.give()
    seen = failures(pair)
    until(lambda: failures(pair) > seen + 1, "one that lacks a device cannot load", TAKE_OVER_S)
    with guest.holds_disk():
        guest.give("-device", DEVICE)
        told = until(lambda: unstarted(pair), "one that has all, but for the disk, waits for that", TAKE_OVER_S)
        expect("lock" in told, "and its status says so", told)
        expect(not guest.output("b"), "while nothing runs")
    until(lambda: guest.output("b"), "one that has all goes on", TAKE_OVER_S)
    until(lambda: unstarted(pair) == "", "and its status says no more of it")
    expect(b"*" not in guest.output("b"), "without having booted")
    first, *others = guest.tries()
    expect(len(others) > 1 and all(other == first for other in others), "each had the same image")
    ram = next(block for block in first.values() if len(block) == MEMORY_MIB * 2**20)
    count = check_consistent(ram)
    expect(count >= before, "of the last epoch", (before, count))
    until(lambda: guest.count("b") > count, "and the guest counts on from there")
    expect(not Path(guest.state.read_text().strip()).exists(), "and no other one can be made of its image")
    expect(not pair.faults(), "no program reports a fault", pair.faults())


def story(play, make=BootSector):
    program = private_qemu.obtain().program
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        guest = make(program, Path(name))
        layout = on_loopback(program=guest, pair_options=PAIR_OPTIONS)
        is_well = False
        try:
            with Pair(layout, Path(sys.argv[2])) as pair:
                play(pair, guest)
            is_well = True
        finally:
            if not is_well:
                for node in "ab":
                    print(f"--- node {node}\n{layout.log_path(node).read_text(errors='replace')}")
            layout.remove()


def story_late():
    for memory in ("stream", "shared"):
        story(play_late, lambda *where, memory=memory: Late(*where, memory))


main({"ahead": lambda: story(play_ahead), "stop": lambda: story(play_stop), "late": story_late})
