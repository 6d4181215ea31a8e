"""An unmodified QEMU 11.1 under tandem-qemu: its host is killed, and the guest goes on at the other node from the last
epoch, as a moment of itself and without having booted.

Ended by its signal, tandem-qemu ends its QEMU and says that all is well.

Run as `SCRIPT STORY PROGRAMS`, PROGRAMS being where tandem-qemu and tandemd are."""

import shlex
import signal
import struct
import sys
import tempfile
from pathlib import Path

from device_test import CHECKOUT, expect, main, until

sys.path.insert(0, str(CHECKOUT / "tests"))

from kill.layout import PAIR, on_loopback  # noqa: E402 (the path above comes first)
from kill.pair import Pair  # noqa: E402
from qemu_guest_test import COUNT_AT, MEMORY_MIB, assemble, check_consistent  # noqa: E402

from lab import LabError, private_qemu  # noqa: E402
from lab.qmp import Qmp  # noqa: E402

EPOCHS = 20  # before the host is killed
STATE_BYTES_MAX = 2**20  # a disk that is being read has 128 KiB in its state


class Guest:
    """The protected program, as the harness wants it."""

    name = "tandem-qemu"

    def __init__(self, program, folder):
        self.folder = folder
        self.words = [
            str(program), "-accel", "tcg", "-machine", "pc", "-m", str(MEMORY_MIB), "-nodefaults",
            "-display", "none", "-drive", f"file={assemble(folder)},format=raw,if=ide,snapshot=on"]

    def path(self, programs):
        return programs / self.name

    def arguments(self, node):
        return ["--pair", PAIR, "--run-dir", str(node.run_directory), "--ungated", "--interval",
                "50", "--", *self.words, *self._own(node.name)]

    def _own(self, name):
        return ["-serial", f"file:{self.serial(name)}",
                "-qmp", f"unix:{self.socket(name)},server=on,wait=off"]

    def promote_command(self, _):
        words = " ".join(shlex.quote(word) for word in self.words)
        return ('exec "$TANDEM_BIN_DIR/tandem-qemu" --pair "$TANDEM_PAIR" --run-dir '
                f'"$TANDEM_RUN_DIR" --ungated --interval 50 -- {words} '
                + " ".join(self._own("$TANDEM_NODE")))

    def serial(self, name):
        return self.folder / f"{name}.serial"

    def socket(self, name):
        return self.folder / f"{name}.qmp"

    def output(self, name):
        return self.serial(name).read_bytes() if self.serial(name).exists() else b""

    def count(self, name):
        """Of the running guest; 0 where it cannot be asked yet."""
        path = self.folder / f"{name}.count"
        try:
            with Qmp(self.socket(name)) as qmp:
                qmp.execute("pmemsave", val=COUNT_AT, size=4, filename=str(path))
        except LabError:
            return 0
        return struct.unpack("<I", path.read_bytes())[0]


def check_take_over(pair, guest):
    pair.end_primary(signal.SIGKILL)
    until(pair.a.has_ended, "the first host is dead")
    until(lambda: b"." in guest.output("b"), "the guest runs at the other node", 60)
    expect(b"*" not in guest.output("b"), "without having booted")
    image = pair.layout.nodes["b"].image_directory / PAIR
    ram = next(path for path in image.iterdir()
               if path.name.startswith("block-") and path.stat().st_size == MEMORY_MIB * 2**20)
    epoch_count = check_consistent(ram.read_bytes())
    until(lambda: guest.count("b") > epoch_count, "it counts on from there")
    with Qmp(guest.socket("b")) as qmp:
        qmp.execute("system_reset")
    until(lambda: b"*." in guest.output("b"), "it can reboot")


def protect(pair):
    pair.start()
    pair.wait_pair()
    print("ok: the guest is protected", flush=True)


def play_kill(pair, guest):
    protect(pair)
    until(lambda: pair.stats().epochs_committed >= EPOCHS, f"{EPOCHS} epochs are committed")
    until(lambda: b"." in guest.output("a"), "the guest runs")
    first = guest.count("a")
    until(lambda: guest.count("a") > first, "and goes on while it is protected")
    check_take_over(pair, guest)
    expect(not pair.faults(), "no program reports a fault", pair.faults())


def play_stop(pair, guest):
    protect(pair)
    until(lambda: guest.count("a") > 0, "the guest runs")
    pair.a.signal_program(guest.name, signal.SIGTERM)
    until(lambda: not pair.a.is_running(guest.name), "it ends")
    expect(pair.a.exit_status(guest.name) == 0, "well", pair.a.exit_status(guest.name))
    expect(guest.count("a") == 0, "and so has its QEMU")
    expect(not pair.faults(), "no program reports a fault", pair.faults())


def story(play):
    program = private_qemu.obtain().program
    with tempfile.TemporaryDirectory() as name:
        guest = Guest(program, Path(name))
        layout = on_loopback(program=guest, pair_options={"state_bytes_max": str(STATE_BYTES_MAX)})
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


main({"kill": lambda: story(play_kill), "stop": lambda: story(play_stop)})
