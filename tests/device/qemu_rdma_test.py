"""A guest in QEMU 11.1, in a virtual machine that is a node: its epochs go over soft-RoCE to another one, the power of
the first is lost, and the guest goes on at the second from the last epoch.

Run as `SCRIPT kill PROGRAMS`. Emulation in emulation: it takes minutes."""

import signal
import sys
from pathlib import Path

from device_test import CHECKOUT, expect, main, until

sys.path.insert(0, str(CHECKOUT / "tests"))

from e2e.lab_pair import LabPair  # noqa: E402 (the path above comes first)
from qemu.boot_sector import PAIR_OPTIONS, BootSector  # noqa: E402
from qemu_guest_test import MEMORY_MIB, assemble, check_consistent  # noqa: E402

from lab import private_qemu  # noqa: E402

SHARE = Path("/mnt/share")
PROTECTED_S = 180
EPOCHS = 5
TAKE_OVER_S = 120
# An emulated QEMU needs its time for each step; what is shown is that the epochs are right.
OPTIONS = ("--interval", "500", "--pause-limit", "30000")


def ram_of(folder):
    return next(path for path in folder.iterdir()
                if path.name.startswith("block-") and path.stat().st_size == MEMORY_MIB * 2**20)


def play(pair, guest):
    pair.start()
    stats = pair.wait_pair(PROTECTED_S)
    expect(stats.transport == "rdma", "the guest is protected over RDMA", stats)
    until(lambda: pair.stats().epochs_committed >= EPOCHS, f"{EPOCHS} epochs are committed", 120)
    until(lambda: b"." in guest.output("a"), "the guest runs", 120)
    # The one under way may be of before; from an epoch of then the guest would go on booting.
    seen = pair.stats().epochs_committed
    until(lambda: pair.stats().epochs_committed >= seen + 2, "an epoch has it running", 120)
    pair.end_primary(signal.SIGKILL)
    expect(pair.a.has_ended(), "the power of the first machine is lost")
    until(lambda: guest.output("b"), "the guest runs at the other node", TAKE_OVER_S)
    expect(b"*" not in guest.output("b"), "without having booted")
    written = len(guest.output("b"))
    until(lambda: len(guest.output("b")) > written, "and goes on", TAKE_OVER_S)
    expect(not pair.faults(), "no program reports a fault", pair.faults())
    check_consistent(ram_of(pair.end_and_take_image("b")).read_bytes())


def story_kill():
    guest = BootSector(private_qemu.obtain().program, None, OPTIONS, SHARE)
    pair = LabPair(Path(sys.argv[2]).resolve(), "rdma", program=guest)
    guest.folder = pair.layout.directory
    assemble(guest.folder)
    pair.layout.pair_options = {**pair.layout.pair_options, **PAIR_OPTIONS}
    pair.layout.write()
    is_well = False
    try:
        with pair:
            play(pair, guest)
        is_well = True
    finally:
        if not is_well:
            for node in "ab":
                path = pair.layout.log_path(node)
                print(f"--- node {node}\n{path.read_text(errors='replace') if path.exists() else ''}")
        pair.layout.remove()


main({"kill": story_kill})
