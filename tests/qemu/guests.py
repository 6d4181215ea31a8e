"""What is protected: the guest of tests/guest under tandem-qemu, as a layout wants its program."""

import shlex
import shutil
import tempfile
import time
from pathlib import Path

from guest import Console, Places, VmError, command_line
from kill.layout import PAIR
from lab import LabError
from lab.qmp import Qmp

JOIN_S = 30


class Started:
    """tandem-qemu starts the QEMU, with the guest's RAM in the stream or shared. `options` are its
    own words, `settings` those of command_line() and of the guest. close() ends it."""

    name = "tandem-qemu"

    def __init__(self, bed, qemu, memory, options=(), **settings):
        self.bed = bed
        self._qemu = qemu
        self._options = ["--ungated", "--memory", memory, *options]
        self._settings = settings
        self._shared = None
        if memory == "shared":
            self._shared = Path(tempfile.mkdtemp(prefix="tandem-test-", dir="/dev/shm"))
        self.places = {name: Places(bed.folder, name) for name in "ab"}

    def close(self):
        if self._shared:
            shutil.rmtree(self._shared, ignore_errors=True)

    def path(self, programs):
        return programs / self.name

    def _words(self, name):
        memory = self._shared / name if self._shared else None
        return [*self._options, "--",
                *command_line(self.bed, self._qemu, self.places[name], memory=memory,
                              **self._settings)]

    def arguments(self, node):
        return ["--pair", PAIR, "--run-dir", str(node.run_directory), *self._words(node.name)]

    def promote_command(self, nodes):
        """A command has room for no QEMU's command line: a script for each node. The epoch is kept
        as it was: where RAM is shared the guest is about to run in it."""
        for name in nodes:
            folder = self.epoch_folder(name)
            self._script(name).write_text(
                f'mkdir -p {folder}; cp "$TANDEM_IMAGE_DIR"/block-* {folder}\n'
                f'echo "$TANDEM_EPOCH" > {self._epoch_path(name)}\n'
                'exec "$TANDEM_BIN_DIR/tandem-qemu" --pair "$TANDEM_PAIR" --run-dir'
                f' "$TANDEM_RUN_DIR" {shlex.join(self._words(name))}\n')
        return f"exec sh {self.bed.folder}/promote-$TANDEM_NODE"

    def _script(self, name):
        return self.bed.folder / f"promote-{name}"

    def _epoch_path(self, name):
        return self.bed.folder / f"{name}.epoch"

    def epoch_folder(self, name):
        """The images that the guest of the node was made of."""
        return (self._shared or self.bed.folder) / f"{name}-epoch"

    def promoted_epoch(self, name):
        """The epoch that the guest of the node was made of."""
        return int(self._epoch_path(name).read_text())

    def forget(self, name):
        """Nothing is left of what the node's host had in its memory."""
        places = self.places[name]
        shutil.rmtree(self.epoch_folder(name), ignore_errors=True)
        if self._shared:
            (self._shared / name).unlink(missing_ok=True)
        for path in (places.serial, places.qmp, places.console, self._epoch_path(name)):
            path.unlink(missing_ok=True)


class NodeGuest(Console):
    """The guest of a pair where it runs; its QEMU is being started. `qmp` is its control socket."""

    def __init__(self, places, name, timeout_s=JOIN_S):
        super().__init__(name)
        self._places = places
        deadline = time.monotonic() + timeout_s
        self._join(places.serial, deadline)
        self.qmp = self._open_qmp(deadline)

    def _open_qmp(self, deadline):
        while True:
            try:
                return Qmp(self._places.qmp)
            except LabError as error:
                if time.monotonic() > deadline:
                    raise VmError(f"{error}{self.log()}") from error
                time.sleep(0.02)

    def log(self):
        return self._places.tail()

    def close(self):
        self._socket.close()
        self.qmp.close()

    def ticks(self):
        return [line for line in self.lines if "tick" in line]

    def pauses(self):
        """(when it stood still, when it went on) by the clock of time.time(), None: it has not."""
        found = []
        for event in list(self.qmp.events):
            at = event["timestamp"]["seconds"] + event["timestamp"]["microseconds"] / 1e6
            if event["event"] == "STOP":
                found.append((at, None))
            elif event["event"] == "RESUME" and found and found[-1][1] is None:
                found[-1] = (found[-1][0], at)
        return found
