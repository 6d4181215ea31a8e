"""A QEMU 11.1 whose RAM is shared with tandem-qemu instead of being sent: its host is killed, and the guest goes on at the
other node on the image itself. Every page of the image is what the guest has to have written by then, and the guest, which
checks all its memory, finds nothing wrong for as long as it goes on; it reboots. Memory that it has reported free, and that its
balloon takes and gives back, is zeros in between. The first host comes back, has a copy, and goes on when the other one dies.

Run as `SCRIPT STORY BUILD`."""

import json
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from device_test import CHECKOUT, expect, main, until

sys.path.insert(0, str(CHECKOUT / "tests"))

from guest import Bed  # noqa: E402 (the path above comes first)
from guest.bed import KERNEL_OPTIONS  # noqa: E402
from kill.layout import PAIR, on_loopback  # noqa: E402
from kill.pair import Pair  # noqa: E402

from lab import private_qemu  # noqa: E402
from lab.qmp import Qmp  # noqa: E402

RAM_MIB = 128
BALLOON_MIB = 104
MEMORY_MIB = 16
PAGES = MEMORY_MIB * 256
INTERVAL_MS = 50
EPOCHS = 40  # before the host is killed
STATE_BYTES_MAX = 2**20
SHARED = "is shared with QEMU: pagemap"
# Pushed while it runs and copied in the stop: what docs/qemu.md advises.
PAIR_OPTIONS = {"state_bytes_max": str(STATE_BYTES_MAX), "capture": '"stage"',
                "push_interval_us": "20000"}
SETTINGS = f"memory_mib={MEMORY_MIB} hot_mib={MEMORY_MIB // 2} rate=4000 check_rate=8000 tick_ms=50"


class Guest:
    """The protected program, as the harness wants it."""

    name = "tandem-qemu"

    def __init__(self, bed, shared):
        self.folder, self.shared = bed.folder, shared
        self.words = [
            str(bed.programs[private_qemu.VERSION]), "-accel", "tcg", "-cpu", "max", "-m",
            f"{RAM_MIB}M", "-machine", "pc,memory-backend=ram", "-nodefaults", "-no-user-config",
            "-display", "none", "-kernel", str(bed.kernel.image), "-initrd", str(bed.initramfs),
            "-append", f"{KERNEL_OPTIONS} -- {SETTINGS}",
            "-device", "virtio-balloon-pci,free-page-reporting=on"]

    def path(self, programs):
        return programs / self.name

    @staticmethod
    def _options(run_directory):
        return ["--pair", PAIR, "--run-dir", run_directory, "--ungated", "--memory", "shared",
                "--interval", str(INTERVAL_MS), "--"]

    def _own(self, name):
        return ["-object", f"memory-backend-file,id=ram,size={RAM_MIB}M,share=on,"
                           f"mem-path={self.shared}/{name}.ram",
                "-serial", f"file:{self.serial(name)}",
                "-qmp", f"unix:{self.socket(name)},server=on,wait=off"]

    def arguments(self, node):
        return [*self._options(str(node.run_directory)), *self.words, *self._own(node.name)]

    def promote_command(self, _):
        """The image is copied before it becomes a running guest's memory."""
        words = " ".join(shlex.quote(word) for word in self.words)
        options = " ".join(self._options('"$TANDEM_RUN_DIR"'))
        return (f'cp "$TANDEM_IMAGE_DIR"/block-0 {self.epoch("$TANDEM_NODE")}; '
                f'echo "$TANDEM_EPOCH" > {self.folder}/"$TANDEM_NODE".number; '
                f'exec "$TANDEM_BIN_DIR/tandem-qemu" {options} {words} '
                + " ".join(self._own("$TANDEM_NODE")))

    def epoch(self, name):
        return self.folder / f"{name}.epoch"

    def epoch_number(self, name):
        return int((self.folder / f"{name}.number").read_text())

    def serial(self, name):
        return self.folder / f"{name}.serial"

    def socket(self, name):
        return self.folder / f"{name}.qmp"

    def told(self, name, key):
        """Of the guest's messages those with the key."""
        path = self.serial(name)
        lines = path.read_bytes().splitlines()[:-1] if path.exists() else []
        messages = (json.loads(line) for line in lines if line.startswith(b'{"'))
        return [message for message in messages if key in message]

    def tick(self, name):
        return (self.told(name, "tick") or [None])[-1]


def see_epochs(pair, name, count):
    """The first one more may have been under way, the second has what was before."""
    enough = pair.stats(name).epochs_committed + count
    until(lambda: pair.stats(name).epochs_committed >= enough, f"{count} more epochs are committed")


def give_and_take(guest, pair):
    """The balloon leaves the guest less of its memory, then all of it, epoch by epoch."""
    with Qmp(guest.socket("a")) as qmp:
        for mib in (BALLOON_MIB, RAM_MIB):
            qmp.execute("balloon", value=mib * 2**20)
            until(lambda mib=mib: qmp.execute("query-balloon")["actual"] == mib * 2**20,
                  f"the balloon leaves {mib} MiB")
            see_epochs(pair, "a", 3)


def check_image(bed, guest, name):
    done = subprocess.run([bed.build / "tests/guest_memory", guest.epoch(name)],
                          capture_output=True, text=True, check=False)
    expect(done.returncode == 0, "every page of the image is what it has to be",
           done.stdout + done.stderr)
    return json.loads(done.stdout)["step"]


def check_take_over(bed, guest, pair, dead, heir):
    log = pair.layout.log_path(heir)
    told_count = log.read_text().count(SHARED)
    before = guest.tick(dead)
    see_epochs(pair, dead, 2)
    guest.serial(heir).unlink(missing_ok=True)  # of an earlier life
    {"a": pair.a, "b": pair.b}[dead].signal_all(signal.SIGKILL)
    first = until(lambda: guest.tick(heir), f"the guest goes on at node {heir}", 60)
    expect(first["boot"] == before["boot"], "without having booted", first)
    step = check_image(bed, guest, heir)
    expect(first["step"] >= step >= before["step"], "from the image, which has what was before its epoch",
           (before, step, first))
    epochs = guest.epoch_number(heir), pair.stats(dead).epoch_committed
    expect(epochs[0] >= epochs[1], "which is the last one that was committed", epochs)
    until(lambda: guest.tick(heir)["checked"] > first["checked"] + 2 * PAGES,
          "it has checked all its memory")
    expect(not guest.told(heir, "wrong") and guest.tick(heir)["wrong_count"] == 0,
           "and nothing is wrong", guest.told(heir, "wrong"))
    until(lambda: log.read_text().count(SHARED) > told_count, "its memory is shared, and its stores are seen")


def check_reboots(guest, name):
    boot = guest.tick(name)["boot"]
    with Qmp(guest.socket(name)) as qmp:
        qmp.execute("system_reset")
    until(lambda: guest.tick(name)["boot"] != boot, "it can reboot", 60)
    expect(not guest.told(name, "wrong"), "and its memory is right", guest.told(name, "wrong"))


def play(bed, guest, pair, layout):
    pair.start()
    pair.wait_pair()
    until(lambda: guest.tick("a"), "the guest runs", 60)
    see_epochs(pair, "a", EPOCHS)
    expect(SHARED in layout.log_path("a").read_text(),
           "its memory is shared, and its stores are seen")
    give_and_take(guest, pair)
    check_take_over(bed, guest, pair, "a", "b")
    pair.a.start(with_server=False)
    until(lambda: pair.stats("b").is_pair, "the first host has a copy again")
    check_take_over(bed, guest, pair, "b", "a")
    check_reboots(guest, "a")
    expect(not pair.faults(), "no program reports a fault", pair.faults())


def story():
    with Bed(sys.argv[2]) as bed, tempfile.TemporaryDirectory(dir="/dev/shm") as shared:
        guest = Guest(bed, shared)
        layout = on_loopback(program=guest, pair_options=PAIR_OPTIONS)
        is_well = False
        try:
            with Pair(layout, Path(sys.argv[2]) / "bin") as pair:
                play(bed, guest, pair, layout)
            is_well = True
        finally:
            if not is_well:
                for node in "ab":
                    print(f"--- node {node}\n{layout.log_path(node).read_text(errors='replace')}")
            layout.remove()


main({"kill": story})
