"""What is protected: a guest of one boot sector (tests/device/qemu_guest.S) under tandem-qemu. It boots at once, writes
its memory without end, and counts."""

import shlex
import struct

from kill.layout import PAIR
from lab import LabError
from lab.qmp import Qmp
from qemu_guest_test import COUNT_AT, MEMORY_MIB, assemble

STATE_BYTES_MAX = 2**20  # a disk that is being read has 128 KiB in its state
PAIR_OPTIONS = {"state_bytes_max": str(STATE_BYTES_MAX)}


class BootSector:
    """The protected program, as a layout wants it. Nodes in machines of their own see `folder` as
    `seen_at`, and nobody asks their QEMU anything."""

    name = "tandem-qemu"

    def __init__(self, qemu, folder, options=("--interval", "50"), seen_at=None):
        self.folder = folder
        self._seen_at = seen_at
        # The disk is read when the guest boots, and never written to.
        self._options = ["--ungated", "--disks", "replicated", *options]
        self._words = [
            str(qemu), "-accel", "tcg", "-machine", "pc", "-m", str(MEMORY_MIB), "-nodefaults",
            "-display", "none",
            "-drive", f"file={seen_at or folder}/disk,format=raw,if=ide,snapshot=on"]
        if folder:
            assemble(folder)

    def path(self, programs):
        return programs / self.name

    def arguments(self, node):
        return ["--pair", PAIR, "--run-dir", str(node.run_directory), *self._options, "--",
                *self._words, *self._own(node.name)]

    def _own(self, name):
        if self._seen_at:
            return ["-serial", f"file:{self._seen_at}/{name}.serial"]
        return ["-serial", f"file:{self.serial(name)}",
                "-qmp", f"unix:{self.socket(name)},server=on,wait=off"]

    def promote_command(self, _):
        words = shlex.join([*self._options, "--", *self._words])
        return ('exec "$TANDEM_BIN_DIR/tandem-qemu" --pair "$TANDEM_PAIR" --run-dir '
                f'"$TANDEM_RUN_DIR" {words} ' + " ".join(self._own("$TANDEM_NODE")))

    def serial(self, name):
        return self.folder / f"{name}.serial"

    def socket(self, name):
        return self.folder / f"{name}.qmp"

    def output(self, name):
        """A star for each boot, a dot for each 64 rounds."""
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
